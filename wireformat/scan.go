package wireformat

import (
	"fmt"
	"unicode/utf8"
)

// maxDepth bounds nesting: deeper text is refused before the stack suffers.
const maxDepth = 2000

// scanner reads JSON text once, from left to right, with the leniences of
// upstream's reader (doc.go). Its methods expect to stand on a value and leave
// the position behind it. Syntax errors panic with *syntaxError; Decode and
// Canonical recover them.
type scanner struct {
	b     []byte
	i     int
	depth int
	text  []byte // scratch of unescaped strings
}

// syntaxError is text that is not JSON.
type syntaxError struct {
	offset int
	what   string
}

func (e *syntaxError) Error() string {
	return fmt.Sprintf("invalid JSON at byte %d: %s", e.offset, e.what)
}

func (s *scanner) fail(what string) { panic(&syntaxError{s.i, what}) }

// next skips white space and returns the byte there, 0 at the end.
func (s *scanner) next() byte {
	for s.i < len(s.b) {
		c := s.b[s.i]
		if c > ' ' {
			return c
		}
		if c != ' ' && c != '\n' && c != '\t' && c != '\r' {
			s.fail("unexpected control character")
		}
		s.i++
	}
	return 0
}

func (s *scanner) expect(c byte) {
	if s.next() != c {
		s.unexpected("'" + string(c) + "'")
	}
	s.i++
}

func (s *scanner) unexpected(wanted string) {
	if s.i >= len(s.b) {
		s.fail("unexpected end, wanted " + wanted)
	}
	s.fail(fmt.Sprintf("unexpected %q, wanted %s", s.b[s.i], wanted))
}

func (s *scanner) enter() {
	s.i++
	s.depth++
	if s.depth > maxDepth {
		s.fail(fmt.Sprintf("nested deeper than %d", maxDepth))
	}
}

// object calls member for each key, standing on the member's value.
// The key is valid until the next string is read.
func (s *scanner) object(member func(key []byte)) {
	s.enter()
	if s.next() == '}' {
		s.i++
		s.depth--
		return
	}
	for {
		if s.next() != '"' {
			s.unexpected("a string as key")
		}
		key := s.str()
		s.expect(':')
		s.next()
		member(key)
		if s.next() == ',' {
			s.i++
			continue
		}
		s.expect('}')
		s.depth--
		return
	}
}

// array calls element for each element, standing on it.
func (s *scanner) array(element func(index int)) {
	s.enter()
	if s.next() == ']' {
		s.i++
		s.depth--
		return
	}
	for n := 0; ; n++ {
		s.next()
		element(n)
		if s.next() == ',' {
			s.i++
			continue
		}
		s.expect(']')
		s.depth--
		return
	}
}

// Classes of bytes inside strings.
const (
	plain  = iota
	quote  // ends the string
	escape // backslash
	ctrl   // raw control character: accepted, but needs escaping
	high   // part of a multi-byte character
)

// class is a table, built by the compiler.
var class = func() (t [256]uint8) {
	for i := range t {
		switch {
		case i == '"':
			t[i] = quote
		case i == '\\':
			t[i] = escape
		case i < ' ':
			t[i] = ctrl
		case i >= utf8.RuneSelf:
			t[i] = high
		}
	}
	return t
}()

// span finds the end of the string that the scanner stands on: the offsets of
// its content, and whether the content is its own canonical form.
func (s *scanner) span() (start, end int, verbatim bool) {
	s.i++
	start = s.i
	verbatim = true
	multibyte := false
	for i := start; i < len(s.b); i++ {
		switch class[s.b[i]] {
		case plain:
		case quote:
			s.i = i + 1
			if multibyte && !utf8.Valid(s.b[start:i]) {
				verbatim = false
			}
			return start, i, verbatim
		case escape:
			i++
			verbatim = false
		case ctrl:
			verbatim = false
		case high:
			multibyte = true
		}
	}
	s.i = len(s.b)
	s.fail("unexpected end inside a string")
	return 0, 0, false
}

// str reads a string. The bytes are valid until the next string is read; NUL
// and malformed UTF-8 have become U+FFFD.
func (s *scanner) str() []byte {
	start, end, verbatim := s.span()
	if verbatim {
		return s.b[start:end]
	}
	s.text = s.unescape(s.text[:0], start, end)
	return s.text
}

const replacement = "\uFFFD"

// unescape appends the characters of the string content b[start:end] to dst.
func (s *scanner) unescape(dst []byte, start, end int) []byte {
	b := s.b[:end]
	for i := start; i < end; {
		switch c := b[i]; class[c] {
		case high:
			r, size := utf8.DecodeRune(b[i:])
			if r == utf8.RuneError && size == 1 {
				dst = append(dst, replacement...)
			} else {
				dst = append(dst, b[i:i+size]...)
			}
			i += size
		case escape:
			dst, i = s.escaped(dst, b, i)
		default:
			if c == 0 {
				dst = append(dst, replacement...)
			} else {
				dst = append(dst, c)
			}
			i++
		}
	}
	return dst
}

// escaped appends the character whose escape starts at b[i].
func (s *scanner) escaped(dst, b []byte, i int) ([]byte, int) {
	if i+1 >= len(b) {
		s.i = i
		s.fail("unfinished escape")
	}
	switch c := b[i+1]; c {
	case '"', '\\', '/':
		return append(dst, c), i + 2
	case 'b':
		return append(dst, '\b'), i + 2
	case 'f':
		return append(dst, '\f'), i + 2
	case 'n':
		return append(dst, '\n'), i + 2
	case 'r':
		return append(dst, '\r'), i + 2
	case 't':
		return append(dst, '\t'), i + 2
	case 'u':
		r := s.hex4(b, i+2)
		i += 6
		if r >= 0xD800 && r < 0xDC00 && i+6 <= len(b) && b[i] == '\\' && b[i+1] == 'u' {
			if low := s.hex4(b, i+2); low >= 0xDC00 && low < 0xE000 {
				return utf8.AppendRune(dst, 0x10000+(r-0xD800)<<10+(low-0xDC00)), i + 6
			}
		}
		if r == 0 {
			r = utf8.RuneError
		}
		return utf8.AppendRune(dst, r), i // a lone surrogate becomes U+FFFD
	}
	s.i = i
	s.fail(fmt.Sprintf("unknown escape \\%c", b[i+1]))
	return nil, 0
}

func (s *scanner) hex4(b []byte, i int) rune {
	if i+4 > len(b) {
		s.i = i
		s.fail("unfinished \\u escape")
	}
	var r rune
	for _, c := range b[i : i+4] {
		switch {
		case c >= '0' && c <= '9':
			r = r<<4 | rune(c-'0')
		case c >= 'a' && c <= 'f':
			r = r<<4 | rune(c-'a'+10)
		case c >= 'A' && c <= 'F':
			r = r<<4 | rune(c-'A'+10)
		default:
			s.i = i
			s.fail("bad \\u escape")
		}
	}
	return r
}

// number reads a number and tells whether it is an integer.
func (s *scanner) number() (text []byte, integer bool) {
	start := s.i
	if s.b[s.i] == '-' {
		s.i++
	}
	switch {
	case s.i < len(s.b) && s.b[s.i] == '0':
		s.i++
		if s.i < len(s.b) && digit(s.b[s.i]) {
			s.fail("leading zeros are not allowed")
		}
	default:
		s.digits()
	}
	integer = true
	if s.i < len(s.b) && s.b[s.i] == '.' {
		integer = false
		s.i++
		s.digits()
	}
	if s.i < len(s.b) && (s.b[s.i] == 'e' || s.b[s.i] == 'E') {
		integer = false
		s.i++
		if s.i < len(s.b) && (s.b[s.i] == '+' || s.b[s.i] == '-') {
			s.i++
		}
		s.digits()
	}
	if s.i < len(s.b) && !delimits(s.b[s.i]) {
		s.unexpected("the end of a number")
	}
	return s.b[start:s.i], integer
}

func (s *scanner) digits() {
	start := s.i
	for s.i < len(s.b) && digit(s.b[s.i]) {
		s.i++
	}
	if s.i == start {
		s.unexpected("a digit")
	}
}

func digit(c byte) bool { return c >= '0' && c <= '9' }

// delimits tells whether c may follow a number or a literal.
func delimits(c byte) bool {
	return c == ',' || c == '}' || c == ']' || c == ' ' || c == '\n' || c == '\t' || c == '\r'
}

// literal reads true, false or null.
func (s *scanner) literal(word string) {
	if len(s.b)-s.i < len(word) || string(s.b[s.i:s.i+len(word)]) != word {
		s.unexpected("a value")
	}
	s.i += len(word)
	if s.i < len(s.b) && !delimits(s.b[s.i]) {
		s.unexpected("the end of " + word)
	}
}

// skip reads any value and forgets it.
func (s *scanner) skip() {
	switch c := s.next(); {
	case c == '{':
		s.object(func([]byte) { s.skip() })
	case c == '[':
		s.array(func(int) { s.skip() })
	case c == '"':
		s.str()
	case c == 't':
		s.literal("true")
	case c == 'f':
		s.literal("false")
	case c == 'n':
		s.literal("null")
	case c == '-' || digit(c):
		s.number()
	default:
		s.unexpected("a value")
	}
}
