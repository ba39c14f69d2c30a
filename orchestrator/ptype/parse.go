package ptype

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/dlclark/regexp2"
)

// maxDepth bounds how deep types may nest.
const maxDepth = 50

// regexTime bounds one match: patterns come from people.
const regexTime = 100 * time.Millisecond

// Error says where a type cannot be read, and why.
type Error struct {
	Text   string
	Offset int // in bytes
	Reason string
}

func (e *Error) Error() string {
	return fmt.Sprintf("type %q: %s at character %d", e.Text, e.Reason, utf8.RuneCountInString(e.Text[:e.Offset])+1)
}

// Parse reads a type. Its error is an *Error.
func Parse(text string) (t *Type, err error) {
	p := &parser{text: text}
	defer func() {
		switch failure := recover().(type) {
		case nil:
		case *Error:
			t, err = nil, failure
		default:
			panic(failure)
		}
	}()
	t = p.typ(0)
	p.space()
	if p.at < len(text) {
		p.fail("nothing more expected")
	}
	return t, nil
}

type argKind int

const (
	argType argKind = iota
	argText
	argNumber
	argRegex
	argDefault
	argBool
	argUndef
	argStruct
)

// arg is what may stand between brackets.
type arg struct {
	kind   argKind
	offset int
	typ    *Type
	text   string // of text and number
	regex  *regexp2.Regexp
	truth  bool
	fields []field
}

// parser panics with an *Error, which Parse recovers.
type parser struct {
	text string
	at   int
}

func (p *parser) fail(reason string, args ...any) {
	panic(&Error{p.text, p.at, fmt.Sprintf(reason, args...)})
}

func (p *parser) space() {
	for p.at < len(p.text) && strings.IndexByte(" \t\r\n", p.text[p.at]) >= 0 {
		p.at++
	}
}

// next is the byte behind white space, 0 at the end.
func (p *parser) next() byte {
	p.space()
	if p.at == len(p.text) {
		return 0
	}
	return p.text[p.at]
}

func (p *parser) expect(token string) {
	p.next()
	if !strings.HasPrefix(p.text[p.at:], token) {
		p.fail("%s expected", token)
	}
	p.at += len(token)
}

func upper(c byte) bool { return c >= 'A' && c <= 'Z' }
func digit(c byte) bool { return c >= '0' && c <= '9' }
func wordly(c byte) bool {
	return upper(c) || digit(c) || c == '_' || c >= 'a' && c <= 'z'
}

// word takes letters, digits, _ and whole ::.
func (p *parser) word() string {
	start := p.at
	for p.at < len(p.text) {
		switch c := p.text[p.at]; {
		case wordly(c):
			p.at++
		case c == ':' && p.at > start && strings.HasPrefix(p.text[p.at:], "::") && p.at+2 < len(p.text) && wordly(p.text[p.at+2]):
			p.at += 2
		default:
			return p.text[start:p.at]
		}
	}
	return p.text[start:]
}

func (p *parser) typ(depth int) *Type {
	if depth > maxDepth {
		p.fail("types nest deeper than %d", maxDepth)
	}
	if !upper(p.next()) {
		p.fail("a type expected, such as String")
	}
	start := p.at
	t := &Type{name: p.word()}
	var args []arg
	if p.next() == '[' {
		p.at++
		for {
			args = append(args, p.arg(depth+1))
			if p.next() != ',' {
				break
			}
			p.at++
			if p.next() == ']' { // a comma at the end is legal
				break
			}
		}
		p.expect("]")
	}
	t.text = p.text[start:p.at]
	t.resolve(p, args)
	return t
}

func (p *parser) arg(depth int) arg {
	c := p.next()
	a := arg{offset: p.at}
	switch {
	case c == '\'' || c == '"':
		a.kind, a.text = argText, p.quoted(c)
	case c == '/':
		a.kind, a.regex = argRegex, p.regex()
	case c == '{':
		a.kind, a.fields = argStruct, p.fields(depth)
	case digit(c) || c == '-' || c == '+':
		a.kind, a.text = argNumber, p.number()
	case upper(c):
		a.kind, a.typ = argType, p.typ(depth)
	case wordly(c):
		switch a.text = p.word(); a.text {
		case "default":
			a.kind = argDefault
		case "undef":
			a.kind = argUndef
		case "true", "false":
			a.kind, a.truth = argBool, a.text == "true"
		default:
			a.kind = argText
		}
	default:
		p.fail("a type, a string, a number or a regular expression expected")
	}
	return a
}

// quoted reads a string. A backslash takes the next character as it is, but
// for \n and the like within double quotes.
func (p *parser) quoted(quote byte) string {
	p.at++
	var b strings.Builder
	for ; p.at < len(p.text); p.at++ {
		switch c := p.text[p.at]; {
		case c == quote:
			p.at++
			return b.String()
		case c == '\\' && p.at+1 < len(p.text):
			p.at++
			c = p.text[p.at]
			switch {
			case quote == '"' && c == 'n':
				c = '\n'
			case quote == '"' && c == 't':
				c = '\t'
			case quote == '\'' && c != '\'' && c != '\\':
				b.WriteByte('\\')
			}
			b.WriteByte(c)
		default:
			b.WriteByte(c)
		}
	}
	p.fail("the string does not end")
	return ""
}

func (p *parser) regex() *regexp2.Regexp {
	start := p.at + 1
	for p.at++; p.at < len(p.text) && p.text[p.at] != '/'; p.at++ {
		if p.text[p.at] == '\\' {
			p.at++
		}
	}
	if p.at >= len(p.text) {
		p.at = start - 1
		p.fail("the regular expression does not end")
	}
	pattern := p.text[start:p.at]
	// In Ruby ^ and $ are always of lines, \h is a hexadecimal digit.
	source := strings.NewReplacer(`\\`, `\\`, `\/`, `/`, `\h`, `[0-9a-fA-F]`).Replace(pattern)
	re, err := regexp2.Compile(source, regexp2.Multiline)
	if err != nil {
		p.at = start - 1
		p.fail("the regular expression cannot be read (%v)", err)
	}
	re.MatchTimeout = regexTime
	p.at++
	return re
}

func (p *parser) number() string {
	start := p.at
	p.at++
	for p.at < len(p.text) && (wordly(p.text[p.at]) || p.text[p.at] == '.' ||
		(p.text[p.at] == '-' || p.text[p.at] == '+') && strings.IndexByte("eE", p.text[p.at-1]) >= 0) {
		p.at++
	}
	return strings.TrimPrefix(p.text[start:p.at], "+")
}

// field is one key of a Struct.
type field struct {
	name     string
	optional bool // may be missing
	typ      *Type
}

func (p *parser) fields(depth int) []field {
	p.at++
	fields := []field{}
	for p.next() != '}' {
		var f field
		key := p.arg(depth)
		switch {
		case key.kind == argText:
			f.name = key.text
		case key.kind == argType && key.typ.literal != "" && (key.typ.name == "Optional" || key.typ.name == "NotUndef"):
			f.name, f.optional = key.typ.literal, key.typ.name == "Optional"
		default:
			p.at = key.offset
			p.fail("a key expected: a string, or one in Optional[…]")
		}
		p.expect("=>")
		f.typ = p.typ(depth + 1)
		// A key whose value may be undef may be missing.
		f.optional = f.optional || key.kind == argText && f.typ.takesUndef()
		fields = append(fields, f)
		if p.next() != ',' {
			break
		}
		p.at++
	}
	p.expect("}")
	return fields
}
