package dlo

import (
	"regexp"
	"strconv"
	"strings"
	"time"

	"dalang/commands/queue"
)

// maxImportedText is how much of PuppetDB's text is kept in a diagnosis.
const maxImportedText = 64 << 10

var (
	attemptLine = regexp.MustCompile(`^Attempt (\d+) @ (\S+)$`)
	ansiColour  = regexp.MustCompile("\x1b\\[[0-9;]*m")
)

// readImported fills a diagnosis from the text that PuppetDB left beside a
// letter (spec commands.md §5). A text of another shape is kept whole, with
// its first line for the message.
func (d *Diagnosis) readImported(text string) {
	d.Cause = CauseImported
	text = ansiColour.ReplaceAllString(strings.ToValidUTF8(text, "\uFFFD"), "")
	if len(text) > maxImportedText {
		text = strings.ToValidUTF8(text[:maxImportedText], "")
	}
	d.Stack = strings.TrimSpace(text)
	if d.Stack == "" {
		d.Message = "no reason was left beside the letter"
		return
	}
	for _, part := range splitAttempts(d.Stack) {
		d.Attempts = append(d.Attempts, queue.Attempt{At: part.at, Error: headline(part.lines)})
	}
	if len(d.Attempts) == 0 {
		d.Message = headline(strings.Split(d.Stack, "\n"))
		return
	}
	d.Message = d.Attempts[len(d.Attempts)-1].Error
}

type importedAttempt struct {
	at    time.Time
	lines []string
}

// splitAttempts returns the attempts of a text, oldest first.
func splitAttempts(text string) []importedAttempt {
	var list []importedAttempt
	for line := range strings.SplitSeq(text, "\n") {
		if m := attemptLine.FindStringSubmatch(strings.TrimSpace(line)); m != nil {
			at, err := time.Parse(time.RFC3339, m[2])
			if _, e := strconv.Atoi(m[1]); err == nil && e == nil {
				list = append([]importedAttempt{{at: at}}, list...)
				continue
			}
		}
		if len(list) > 0 {
			list[0].lines = append(list[0].lines, line)
		}
	}
	return list
}

// headline makes one line of a Java stack trace: its message without the
// class, the line after it when it announces one, and the innermost cause.
func headline(lines []string) string {
	var words []string
	for _, line := range lines {
		if line = strings.TrimSpace(line); line != "" {
			words = append(words, line)
		}
	}
	if len(words) == 0 {
		return "no reason was left beside the letter"
	}
	head := withoutClass(words[0])
	if strings.HasSuffix(head, ":") && len(words) > 1 {
		head += " " + words[1]
	}
	for i := len(words) - 1; i > 0; i-- {
		if cause, ok := strings.CutPrefix(words[i], "Caused by: "); ok {
			return head + "; caused by " + cause
		}
	}
	return head
}

// withoutClass cuts a leading "some.java.Class: ".
func withoutClass(s string) string {
	class, rest, ok := strings.Cut(s, ": ")
	if ok && strings.Contains(class, ".") && !strings.Contains(class, " ") && rest != "" {
		return rest
	}
	return strings.TrimPrefix(s, "clojure.lang.ExceptionInfo: ")
}
