package docexample

import (
	"fmt"
	"strings"
)

// step is one thing that a page does, in order.
type step struct {
	line int    // of the page, from 1
	verb string // example, serve, load, run
	text string // command, or arguments of the directive

	// Of an example: what the page says is printed, and where that stands: the
	// lines [first, end), from 0.
	want       string
	first, end int
}

const (
	fence     = "```console"
	directive = "<!-- example: "
)

// parse finds the steps of a page.
func parse(page string) ([]step, error) {
	var steps []step
	lines := strings.Split(page, "\n")
	skip := false
	for i := 0; i < len(lines); i++ {
		switch line := lines[i]; {
		case strings.HasPrefix(line, directive):
			s, end, err := parseDirective(lines, i)
			if err != nil {
				return nil, err
			}
			i = end
			if s.verb == "skip" {
				skip = true
				continue
			}
			steps = append(steps, s)
		case strings.TrimSpace(line) == fence:
			list, end, err := parseBlock(lines, i+1)
			if err != nil {
				return nil, err
			}
			i = end
			if !skip {
				steps = append(steps, list...)
			}
			skip = false
		case strings.HasPrefix(line, "```") && len(line) > 3 || line == "```":
			for i++; i < len(lines) && lines[i] != "```"; i++ {
			}
		}
	}
	return steps, nil
}

// parseDirective reads the comment that begins on line at, and says on which
// one it ends.
func parseDirective(lines []string, at int) (s step, end int, err error) {
	text := strings.TrimPrefix(lines[at], directive)
	for end = at; !strings.HasSuffix(strings.TrimRight(text, " "), "-->"); {
		if end++; end == len(lines) {
			return step{}, 0, fmt.Errorf("line %d: the comment does not end", at+1)
		}
		text += "\n" + lines[end]
	}
	text = strings.TrimSpace(strings.TrimSuffix(strings.TrimRight(text, " "), "-->"))
	verb, rest := text, ""
	if i := strings.IndexAny(text, " \n"); i >= 0 {
		verb, rest = text[:i], strings.TrimSpace(text[i:])
	}
	switch verb {
	case "serve", "skip":
	case "load", "run":
		if rest == "" {
			return step{}, 0, fmt.Errorf("line %d: %s of what?", at+1, verb)
		}
	default:
		return step{}, 0, fmt.Errorf("line %d: there is no directive %q; there are serve, load, run and skip", at+1, verb)
	}
	return step{line: at + 1, verb: verb, text: rest}, end, nil
}

// parseBlock reads the examples of the block whose first line is at, and says
// on which line it ends.
func parseBlock(lines []string, at int) (steps []step, end int, err error) {
	i := at
	for i < len(lines) && lines[i] != "```" {
		command, ok := strings.CutPrefix(lines[i], "$ ")
		if !ok {
			return nil, 0, fmt.Errorf("line %d: a console block begins with \"$ \" and a command", i+1)
		}
		s := step{line: i + 1, verb: "example"}
		for i++; open(command); i++ {
			if i == len(lines) || lines[i] == "```" {
				return nil, 0, fmt.Errorf("line %d: the command does not end", s.line)
			}
			command += "\n" + lines[i]
		}
		s.text, s.first = command, i
		for i < len(lines) && lines[i] != "```" && !strings.HasPrefix(lines[i], "$ ") {
			i++
		}
		s.end = i
		s.want = strings.Join(lines[s.first:s.end], "\n")
		steps = append(steps, s)
	}
	if i == len(lines) {
		return nil, 0, fmt.Errorf("line %d: the block does not end", at)
	}
	return steps, i, nil
}

// open tells whether a command goes on on the next line: it ends with a
// backslash, or within quotes.
func open(command string) bool {
	quote := byte(0)
	for i := 0; i < len(command); i++ {
		switch c := command[i]; {
		case c == '\\' && quote != '\'':
			if i++; i == len(command) {
				return true
			}
		case c == quote:
			quote = 0
		case quote == 0 && (c == '"' || c == '\''):
			quote = c
		}
	}
	return quote != 0
}

// rewrite puts printed, by the index of the step, in the place of what the
// page says is printed.
func rewrite(page string, steps []step, printed map[int]string) string {
	lines := strings.Split(page, "\n")
	for i := len(steps) - 1; i >= 0; i-- {
		text, ok := printed[i]
		if !ok {
			continue
		}
		var with []string
		if text = trim(text); text != "" {
			with = strings.Split(text, "\n")
		}
		s := steps[i]
		if s.end < len(lines) && lines[s.end] != "```" {
			with = append(with, "") // another command follows
		}
		lines = append(lines[:s.first:s.first], append(with, lines[s.end:]...)...)
	}
	return strings.Join(lines, "\n")
}
