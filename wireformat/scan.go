package wireformat

import (
	"encoding/binary"
	"fmt"
	"math/bits"
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
		member(s.key())
		if s.next() == ',' {
			s.i++
			continue
		}
		s.expect('}')
		s.depth--
		return
	}
}

// key reads a member's key and goes on to its value. The key is valid until
// the next string is read.
func (s *scanner) key() []byte {
	if s.next() != '"' {
		s.unexpected("a string as key")
	}
	key := s.str()
	s.expect(':')
	s.next()
	return key
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
	plain     = iota
	quote     // ends the string
	backslash // starts an escape
	ctrl      // raw control character: accepted, but needs escaping
	high      // part of a multi-byte character
)

// class is a table, built by the compiler.
var class = func() (t [256]uint8) {
	for i := range t {
		switch {
		case i == '"':
			t[i] = quote
		case i == '\\':
			t[i] = backslash
		case i < ' ':
			t[i] = ctrl
		case i >= utf8.RuneSelf:
			t[i] = high
		}
	}
	return t
}()

// form says what has to be done to the content of a string.
type form uint8

const (
	bare    form = iota // the text is the content and its canonical form
	escaped             // the text is the canonical form, with escapes in it
	foreign             // escapes or bytes that the canonical form has not
)

// span finds the end of the string that the scanner stands on: the offsets of
// its content and its form. It looks at eight bytes at a time: most strings
// need no second look.
func (s *scanner) span() (start, end int, f form) {
	s.i++
	start = s.i
	multibyte := false
	for i := start; i < len(s.b); {
		if i+8 <= len(s.b) {
			special := specialBytes(binary.LittleEndian.Uint64(s.b[i:]))
			if special == 0 {
				i += 8
				continue
			}
			i += bits.TrailingZeros64(special) >> 3
		}
		switch class[s.b[i]] {
		case quote:
			s.i = i + 1
			if multibyte && !utf8.Valid(s.b[start:i]) {
				f = foreign
			}
			return start, i, f
		case backslash:
			i++
			if i < len(s.b) && canonicalEscape(s.b[i]) {
				f = max(f, escaped)
			} else {
				f = foreign
			}
		case ctrl:
			f = foreign
		case high:
			multibyte = true
		}
		i++
	}
	s.i = len(s.b)
	s.fail("unexpected end inside a string")
	return 0, 0, foreign
}

// canonicalEscape tells whether a backslash and c are how the canonical form
// writes their character.
func canonicalEscape(c byte) bool {
	return c == '"' || c == '\\' || c == 'n' || c == 't' || c == 'r' || c == 'b' || c == 'f'
}

// specialBytes marks the high bit of each byte of w that is a quote, a
// backslash, a control character or part of a multi-byte character. A mark
// above the lowest one may be wrong.
func specialBytes(w uint64) uint64 {
	const ones, high = 0x0101010101010101, 0x8080808080808080
	quotes, escapes := w^ones*'"', w^ones*'\\'
	return ((quotes - ones) | (escapes - ones) | (w - ones*0x20) | w) & high
}

// str reads a string. The bytes are valid until the next string is read; NUL
// and malformed UTF-8 have become U+FFFD.
func (s *scanner) str() []byte {
	start, end, f := s.span()
	if f == bare {
		return s.b[start:end]
	}
	s.text = s.unescape(s.text[:0], start, end)
	return s.text
}

const replacement = "\uFFFD"

// unescape appends the characters of the string content b[start:end] to dst.
func (s *scanner) unescape(dst []byte, start, end int) []byte {
	b := s.b[:end]
	run := start // of bytes that stay as they are
	for i := start; i < end; {
		switch class[b[i]] {
		case plain:
			i++
			continue
		case ctrl:
			if b[i] != 0 {
				i++
				continue
			}
			dst = append(append(dst, b[run:i]...), replacement...)
			i++
		case high:
			size := character(b[i:])
			if size > 0 {
				i += size
				continue
			}
			dst = append(append(dst, b[run:i]...), replacement...)
			i -= size
		default:
			dst, i = s.escape(append(dst, b[run:i]...), b, i)
		}
		run = i
	}
	return append(dst, b[run:]...)
}

// character gives the size of the multi-byte character at the start of b. Of a
// malformed one it gives, negative, how many bytes a reader in Java takes for
// one: as much of it as is well-formed, and a surrogate whole.
func character(b []byte) int {
	r, size := utf8.DecodeRune(b)
	if r != utf8.RuneError || size > 1 {
		return size
	}
	continues := func(i int) bool { return i < len(b) && b[i]&0xC0 == 0x80 }
	switch c := b[0]; {
	case c < 0xE0 || c > 0xF4 || !continues(1):
		return -1
	case c == 0xE0 && b[1] < 0xA0 || c == 0xF0 && b[1] < 0x90 || c == 0xF4 && b[1] > 0x8F:
		return -1
	case !continues(2):
		return -2
	}
	return -3
}

// escape appends the character whose escape starts at b[i].
func (s *scanner) escape(dst, b []byte, i int) ([]byte, int) {
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
