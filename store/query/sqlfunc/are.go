package sqlfunc

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// translation is a pattern in the syntax that Go's regexp and regexp2 share.
type translation struct {
	text       string
	literal    *string
	backtracks bool // needs regexp2
}

// PostgreSQL's reasons for refusing a pattern.
const (
	errQuantifier = "quantifier operand invalid"
	errBracket    = "brackets [] not balanced"
	errParen      = "parentheses () not balanced"
	errEscape     = `invalid escape \ sequence`
	errRepeat     = "invalid repetition count(s)"
	errOption     = "invalid embedded option"
	errBackref    = "invalid backreference number"
	errClass      = "invalid character class"
	errRange      = "invalid character range"
	errCollate    = "invalid collating element"
)

// The classes of PostgreSQL know all of Unicode.
const (
	classDigit = `\p{Nd}`
	classSpace = `\s\p{Z}`
	classWord  = `\p{L}\p{N}_`
)

// translate turns a PostgreSQL ARE into the common syntax. Spec query.md §3.6
// lists what differs.
func translate(pattern string) (tr translation, err error) {
	defer func() { // the one place where the translator's panics end
		if p := recover(); p != nil {
			reason, ok := p.(string)
			if !ok {
				panic(p)
			}
			err = &RegexpError{reason}
		}
	}()
	if rest, ok := strings.CutPrefix(pattern, "***="); ok {
		return translation{literal: &rest}, nil
	}
	a := &are{src: strings.TrimPrefix(pattern, "***:"), flags: "s"}
	if a.options(); a.literal {
		rest := a.src[a.pos:]
		return translation{literal: &rest}, nil
	}
	a.out.WriteString("(?" + a.flags + ")")
	a.alternatives(0)
	if a.pos < len(a.src) {
		panic(errParen) // a closing one that nobody opened
	}
	return translation{text: a.out.String(), backtracks: a.backtracks}, nil
}

type are struct {
	src        string
	pos        int
	out        strings.Builder
	flags      string // of Go's syntax
	expanded   bool   // x: blanks and comments do not count
	literal    bool   // q
	groups     int
	backtracks bool
}

func (a *are) more() bool { return a.pos < len(a.src) }
func (a *are) peek(s string) bool {
	return strings.HasPrefix(a.src[a.pos:], s)
}

// options takes the embedded options at the start: (?i).
func (a *are) options() {
	if !a.peek("(?") || len(a.src) < 3 || a.src[2] < 'a' || a.src[2] > 'z' {
		return
	}
	end := strings.IndexByte(a.src, ')')
	if end < 0 {
		panic(errParen)
	}
	for _, c := range a.src[2:end] {
		switch c {
		case 'i':
			a.flags = strings.ReplaceAll(a.flags, "i", "") + "i"
		case 'c':
			a.flags = strings.ReplaceAll(a.flags, "i", "")
		case 'm', 'n':
			a.flags = strings.NewReplacer("s", "", "m", "").Replace(a.flags) + "m"
		case 'p':
			a.flags = strings.NewReplacer("s", "", "m", "").Replace(a.flags)
			if a.flags == "" {
				a.flags = "-s"
			}
		case 'w':
			a.flags = strings.NewReplacer("s", "", "m", "").Replace(a.flags) + "sm"
		case 's':
			a.flags = strings.NewReplacer("s", "", "m", "").Replace(a.flags) + "s"
		case 'x':
			a.expanded = true
		case 't':
			a.expanded = false
		case 'q':
			a.literal = true
		case 'b', 'e':
		default:
			panic(errOption)
		}
	}
	a.pos = end + 1
}

const maxNesting = 200

// alternatives reads branches up to a closing parenthesis or the end.
func (a *are) alternatives(depth int) {
	if depth > maxNesting {
		panic("regular expression is too complex")
	}
	operand := false // whether a quantifier may follow
	for a.more() {
		c := a.src[a.pos]
		switch {
		case a.skipExpanded(c):
		case c == ')':
			return
		case c == '|':
			a.out.WriteByte('|')
			a.pos++
			operand = false
		case a.atQuantifier():
			if !operand {
				panic(errQuantifier)
			}
			a.quantifier()
			operand = false
		case c == '(':
			operand = a.group(depth)
		case c == '[':
			operand = a.bracket()
		case c == '\\':
			operand = a.escape()
		case c == '^', c == '$':
			a.anchor(c)
			operand = false
		case c == '.':
			a.out.WriteByte('.')
			a.pos++
			operand = true
		default:
			r, n := utf8.DecodeRuneInString(a.src[a.pos:])
			a.rune(r)
			a.pos += n
			operand = true
		}
	}
}

func (a *are) anchor(c byte) {
	multi := strings.Contains(a.flags, "m")
	switch {
	case multi:
		a.out.WriteByte(c)
	case c == '^':
		a.out.WriteString(`\A`)
	default:
		a.out.WriteString(`\z`)
	}
	a.pos++
}

func (a *are) skipExpanded(c byte) bool {
	if a.peek("(?#") {
		end := strings.IndexByte(a.src[a.pos:], ')')
		if end < 0 {
			panic(errParen)
		}
		a.pos += end + 1
		return true
	}
	if !a.expanded {
		return false
	}
	switch c {
	case ' ', '\t', '\n', '\r', '\f', '\v':
		a.pos++
		return true
	case '#':
		if end := strings.IndexByte(a.src[a.pos:], '\n'); end >= 0 {
			a.pos += end
		} else {
			a.pos = len(a.src)
		}
		return true
	}
	return false
}

// rune writes one character that stands for itself.
func (a *are) rune(r rune) {
	if r < utf8.RuneSelf && !(r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z') {
		fmt.Fprintf(&a.out, `\x%02x`, r)
		return
	}
	a.out.WriteRune(r)
}

func (a *are) atQuantifier() bool {
	switch c := a.src[a.pos]; c {
	case '*', '+', '?':
		return true
	case '{':
		return a.pos+1 < len(a.src) && a.src[a.pos+1] >= '0' && a.src[a.pos+1] <= '9'
	}
	return false
}

func (a *are) quantifier() {
	if c := a.src[a.pos]; c != '{' {
		a.out.WriteByte(c)
		a.pos++
	} else {
		end := strings.IndexByte(a.src[a.pos:], '}')
		if end < 0 {
			panic("braces {} not balanced")
		}
		low, high, comma := strings.Cut(a.src[a.pos+1:a.pos+end], ",")
		m, err := strconv.Atoi(low)
		n := m
		if err == nil && comma && high != "" {
			n, err = strconv.Atoi(high)
		}
		if err != nil || m > 255 || n > 255 || n < m {
			panic(errRepeat)
		}
		a.out.WriteString(a.src[a.pos : a.pos+end+1])
		a.pos += end + 1
	}
	if a.more() && a.src[a.pos] == '?' {
		a.out.WriteByte('?')
		a.pos++
	}
	if a.more() && a.atQuantifier() {
		panic(errQuantifier)
	}
}

// group reads a parenthesis; it tells whether a quantifier may follow.
func (a *are) group(depth int) (operand bool) {
	open, look := "(", false
	if a.peek("(?") {
		for _, p := range []string{"(?:", "(?=", "(?!", "(?<=", "(?<!"} {
			if a.peek(p) {
				open, look = p, p != "(?:"
			}
		}
		if open == "(" {
			panic(errQuantifier)
		}
	}
	if open == "(" {
		a.groups++
	}
	a.backtracks = a.backtracks || look
	a.out.WriteString(open)
	a.pos += len(open)
	a.alternatives(depth + 1)
	if !a.more() {
		panic(errParen)
	}
	a.out.WriteByte(')')
	a.pos++
	return !look
}

func containsText(text, part string) bool { return strings.Contains(text, part) }
