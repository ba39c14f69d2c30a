package plan

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// kind is what a token is.
type kind byte

const (
	tokEnd    kind = iota
	tokVar         // $name; text is the name
	tokName        // a word
	tokNumber      // as written
	tokText        // in single quotes; text is its value
	tokQuoted      // in double quotes; parts are its value
	tokRegex       // between slashes
	tokPunct       // an operator or a bracket
)

type token struct {
	kind  kind
	text  string
	at    int // byte in the source
	line  int // in the source, from 0
	glued bool
	parts []expr // of tokQuoted
}

func (t token) is(text string) bool { return t.kind == tokPunct && t.text == text }

// String is the token as messages show it.
func (t token) String() string {
	switch t.kind {
	case tokEnd:
		return "the end"
	case tokVar:
		return "$" + t.text
	case tokText, tokQuoted:
		return "a text"
	case tokRegex:
		return "a regular expression"
	}
	return "'" + t.text + "'"
}

// syntaxError is a mistake in an expression.
type syntaxError struct {
	line int // from 0, within the expression
	msg  string
}

func fail(line int, format string, args ...any) {
	panic(&syntaxError{line, fmt.Sprintf(format, args...)})
}

func isLower(c byte) bool { return c >= 'a' && c <= 'z' || c == '_' }
func isDigit(c byte) bool { return c >= '0' && c <= '9' }
func isWord(c byte) bool  { return isLower(c) || isDigit(c) || c >= 'A' && c <= 'Z' }

// lexer makes tokens of an expression. It knows what came before, as / and [
// mean other things behind a value.
type lexer struct {
	p      *parser
	source string
	at     int
	line   int
	prev   token
}

// skip passes blanks and comments.
func (l *lexer) skip() {
	for l.at < len(l.source) {
		switch c := l.source[l.at]; {
		case c == '\n':
			l.line++
			l.at++
		case c == ' ' || c == '\t' || c == '\r':
			l.at++
		case c == '#':
			if end := strings.IndexByte(l.source[l.at:], '\n'); end >= 0 {
				l.at += end
			} else {
				l.at = len(l.source)
			}
		default:
			return
		}
	}
}

// behindValue tells whether the token before ends a value.
func (l *lexer) behindValue() bool {
	switch l.prev.kind {
	case tokVar, tokName, tokNumber, tokText, tokQuoted, tokRegex:
		return !(l.prev.kind == tokName && (l.prev.text == "in" || l.prev.text == "and" || l.prev.text == "or"))
	case tokPunct:
		return l.prev.text == ")" || l.prev.text == "]" || l.prev.text == "}"
	}
	return false
}

func (l *lexer) next() token {
	before := l.at
	l.skip()
	t := token{at: l.at, line: l.line, glued: before == l.at && before > 0}
	if l.at == len(l.source) {
		l.prev = t
		return t
	}
	rest := l.source[l.at:]
	switch c := rest[0]; {
	case c == '$':
		t.kind, t.text = tokVar, l.variable(rest)
		l.at += 1 + len(t.text)
	case isDigit(c):
		t.kind, t.text = tokNumber, number(rest)
		l.at += len(t.text)
	case isWord(c):
		t.kind, t.text = tokName, word(rest)
		l.at += len(t.text)
	case c == '\'':
		t.kind, t.text = tokText, l.single()
	case c == '"':
		t.kind, t.parts = tokQuoted, l.double()
	case c == '/' && !l.behindValue():
		t.kind, t.text = tokRegex, l.slashes()
	default:
		t.kind, t.text = tokPunct, operator(rest)
		if t.text == "" {
			r, _ := utf8.DecodeRuneInString(rest)
			fail(l.line, "%q begins nothing that an expression may hold", r)
		}
		l.at += len(t.text)
	}
	l.prev = t
	return t
}

func operator(rest string) string {
	for _, op := range [...]string{"=>", "==", "!=", "=~", "!~", "<=", ">=", "<", ">", "=", "+", "-", "*", "/", "%", "!", "(", ")", "[", "]", "{", "}", ",", ".", "|"} {
		if strings.HasPrefix(rest, op) {
			return op
		}
	}
	return ""
}

// assigns tells whether a single = comes next.
func (l *lexer) assigns() bool {
	rest := strings.TrimLeft(l.source[l.at:], " \t\r\n")
	return strings.HasPrefix(rest, "=") && !strings.HasPrefix(rest, "==") && !strings.HasPrefix(rest, "=>") && !strings.HasPrefix(rest, "=~")
}

// variable reads the name behind a $.
func (l *lexer) variable(rest string) string {
	if len(rest) < 2 || !isLower(rest[1]) {
		fail(l.line, "$ must be followed by the name of a variable: a lower-case letter or _, then letters, digits and _")
	}
	n := 1
	for n < len(rest) && isWord(rest[n]) {
		n++
	}
	if strings.HasPrefix(rest[n:], "::") && n+2 < len(rest) && isLower(rest[n+2]) {
		fail(l.line, "%s::…: variables of other modules are not known to plans", rest[:n])
	}
	return rest[1:n]
}

// word reads letters, digits and _, in parts joined by ::.
func word(rest string) string {
	n := 0
	for n < len(rest) {
		switch {
		case isWord(rest[n]):
			n++
		case strings.HasPrefix(rest[n:], "::") && n+2 < len(rest) && isWord(rest[n+2]):
			n += 2
		default:
			return rest[:n]
		}
	}
	return rest[:n]
}

// number reads digits, a fraction, an exponent; and all that follows at once.
func number(rest string) string {
	n := 0
	for n < len(rest) {
		c := rest[n]
		fraction := c == '.' && n+1 < len(rest) && isDigit(rest[n+1])
		sign := (c == '-' || c == '+') && (rest[n-1] == 'e' || rest[n-1] == 'E') && !strings.HasPrefix(rest, "0x")
		if !isWord(c) && !fraction && !(sign && n > 0) {
			break
		}
		n++
	}
	return rest[:n]
}

// single reads a text in single quotes.
func (l *lexer) single() string {
	begin := l.line
	var b strings.Builder
	for l.at++; l.at < len(l.source); l.at++ {
		c := l.source[l.at]
		switch {
		case c == '\'':
			l.at++
			return b.String()
		case c == '\\' && l.at+1 < len(l.source) && (l.source[l.at+1] == '\'' || l.source[l.at+1] == '\\'):
			l.at++
			c = l.source[l.at]
		case c == '\n':
			l.line++
		}
		b.WriteByte(c)
	}
	fail(begin, "the text in single quotes does not end")
	return ""
}

// slashes reads a regular expression.
func (l *lexer) slashes() string {
	start := l.at + 1
	for l.at++; l.at < len(l.source) && l.source[l.at] != '/' && l.source[l.at] != '\n'; l.at++ {
		if l.source[l.at] == '\\' {
			l.at++
		}
	}
	if l.at >= len(l.source) || l.source[l.at] != '/' {
		fail(l.line, "the regular expression does not end")
	}
	l.at++
	return l.source[start : l.at-1]
}
