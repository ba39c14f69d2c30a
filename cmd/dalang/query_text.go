package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"unicode/utf8"
)

// maxQueryText bounds a query; servers take no longer ones.
const maxQueryText = 16 << 20

// text reads the query from where the command line says it is.
func (c *queryCLI) text(stdin io.Reader, args []string) (text, name string, err error) {
	switch {
	case len(args) == 1 && c.file != "":
		return "", "", errors.New("give the query or --file, not both")
	case c.file != "":
		name = c.file
	case len(args) == 0:
		if isTerminal(stdin) {
			return "", "", errors.New("what is the query? Give it in quotes, or name a file with @FILE")
		}
		name = "-"
	case args[0] == "-":
		name = "-"
	case strings.HasPrefix(args[0], "@"):
		name = args[0][1:]
	default:
		text = args[0]
	}
	if name != "" {
		if text, err = readQuery(stdin, name); err != nil {
			return "", "", err
		}
	}
	if strings.TrimSpace(text) == "" {
		return "", "", errors.New("the query is empty")
	}
	return text, name, nil
}

func readQuery(stdin io.Reader, name string) (string, error) {
	from := stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return "", fmt.Errorf("read query: %w", err)
		}
		defer f.Close() // read only: nothing to lose
		from = f
	}
	text, err := io.ReadAll(io.LimitReader(from, maxQueryText+1))
	switch {
	case err != nil:
		return "", fmt.Errorf("read query: %w", err)
	case len(text) > maxQueryText:
		return "", fmt.Errorf("read query: %s is longer than %s", name, humanBytes(maxQueryText))
	}
	return string(text), nil
}

var quotedName = regexp.MustCompile(`'([^' ]+)'`)

// showMistake is a server's refusal of a query, with the line where it is to
// blame. Errors of syntax show it themselves; others name a field or an entity.
func showMistake(q question, message string) error {
	message = strings.TrimRight(plain(message), "\n ")
	if strings.Contains(message, "^\n") {
		if q.name != "" && q.name != "-" {
			message = q.name + ": " + message
		}
		return errors.New(message)
	}
	blamed := message
	for _, end := range []string{" Known queryable", " Acceptable fields", "; Supported columns", "\n"} {
		blamed, _, _ = strings.Cut(blamed, end)
	}
	for _, m := range quotedName.FindAllStringSubmatch(blamed, -1) {
		if at := wordAt(q.text, m[1]); at >= 0 {
			return fmt.Errorf("%s\n\n%s", message, caret(q, at))
		}
	}
	return errors.New(message)
}

// wordAt finds a name in a query where it is not part of a longer one, and not
// the entity of which a message speaks as well; -1: nowhere.
func wordAt(text, name string) int {
	part := func(b byte) bool {
		return b == '_' || b >= '0' && b <= '9' || b >= 'A' && b <= 'Z' || b >= 'a' && b <= 'z'
	}
	for from := 0; ; {
		i := strings.Index(text[from:], name)
		if i < 0 {
			return -1
		}
		at := from + i
		end := at + len(name)
		entity := end < len(text) && (text[end] == '{' || text[end] == '[')
		if (at == 0 || !part(text[at-1])) && (end == len(text) || !part(text[end])) && !(entity && at == 0) {
			return at
		}
		from = end
	}
}

// caret shows a place in a query.
func caret(q question, at int) string {
	start := strings.LastIndexByte(q.text[:at], '\n') + 1
	line, _, _ := strings.Cut(q.text[start:], "\n")
	place := ""
	if n := strings.Count(q.text[:at], "\n") + 1; n > 1 || q.name != "" && q.name != "-" {
		place = fmt.Sprintf("%s line %d:\n", strings.TrimPrefix(q.name, "-"), n)
	}
	pad := strings.Map(func(r rune) rune {
		if r == '\t' {
			return r
		}
		return ' '
	}, q.text[start:at])
	if !utf8.ValidString(line) {
		line = strings.ToValidUTF8(line, "?")
	}
	return strings.TrimLeft(place, " ") + plain(line) + "\n" + pad + "^"
}
