package ast

import (
	"fmt"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// MaxDepth bounds the nesting of a query, so that no input can exhaust a stack.
const MaxDepth = 200

// SyntaxError says why a text is not a JSON query. Its text is upstream's
// (spec query.md §6), which shows the place with a caret.
type SyntaxError struct {
	Line, Column int // 1-based, of the place after the offending character
	Source       string
	Message      string
	Bare         bool // the message says everything, no place to show
}

func (e *SyntaxError) Error() string {
	if e.Bare {
		return e.Message
	}
	lines := strings.Split(e.Source, "\n")
	line := ""
	if e.Line <= len(lines) {
		line = strings.TrimSuffix(lines[e.Line-1], "\r")
	}
	return fmt.Sprintf("Json parse error at line %d, column %d:\n\n%s\n%s^\n\n%s",
		e.Line, e.Column, line, strings.Repeat(" ", max(e.Column-2, 0)), e.Message)
}

// Read reads one JSON value and nothing after it.
func Read(src string) (v Value, err error) {
	r := reader{src: src}
	defer func() { // the one place where the reader's panics end
		if p := recover(); p != nil {
			e, ok := p.(*SyntaxError)
			if !ok {
				panic(p)
			}
			v, err = Value{}, e
		}
	}()
	v = r.value(0)
	if r.space(); r.pos < len(src) {
		next := r.value(0)
		return Value{}, &SyntaxError{Bare: true, Message: fmt.Sprintf(
			"Only one query may be sent in a request. Found JSON (%s) after the query %s", next.Clojure(), v.Clojure())}
	}
	return v, nil
}

type reader struct {
	src string
	pos int
}

// fail ends reading; at is the offset of the offending character.
func (r *reader) fail(at int, format string, args ...any) {
	at = max(at, 0)
	before := r.src[:min(at, len(r.src))]
	line := 1 + strings.Count(before, "\n")
	start := strings.LastIndexByte(before, '\n') + 1
	panic(&SyntaxError{Line: line, Column: utf8.RuneCountInString(before[start:]) + 2,
		Source: r.src, Message: fmt.Sprintf(format, args...)})
}

// failEnd is fail for a text that ends too early: the last character is shown.
func (r *reader) failEnd(format string, args ...any) {
	r.fail(len(r.src)-1, format, args...)
}

func (r *reader) place(at int) string {
	before := r.src[:at]
	return fmt.Sprintf("[Source: (StringReader); line: %d, column: %d]", 1+strings.Count(before, "\n"),
		at-strings.LastIndexByte(before, '\n'))
}

func (r *reader) space() {
	for r.pos < len(r.src) {
		switch r.src[r.pos] {
		case ' ', '\t', '\n', '\r':
			r.pos++
		default:
			return
		}
	}
}

const wantValue = "expected a valid value (JSON String, Number, Array, Object or token 'null', 'true' or 'false')"

func (r *reader) value(depth int) Value {
	r.space()
	if r.pos >= len(r.src) {
		r.failEnd("Unexpected end-of-input")
	}
	if depth > MaxDepth {
		r.fail(r.pos, "The query is nested deeper than %d levels", MaxDepth)
	}
	v := Value{Pos: r.pos}
	switch c := r.src[r.pos]; {
	case c == '[':
		r.list(&v, depth)
	case c == '{':
		r.object(&v, depth)
	case c == '"':
		v.Kind, v.Text = String, r.str()
	case c == '-' || c >= '0' && c <= '9':
		v.Kind, v.Text = Number, r.number()
	case c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z':
		r.word(&v)
	default:
		r.unexpected(wantValue)
	}
	return v
}

func (r *reader) unexpected(want string) {
	c, _ := utf8.DecodeRuneInString(r.src[r.pos:])
	r.fail(r.pos, "Unexpected character ('%c' (code %d)): %s", c, c, want)
}

func (r *reader) list(v *Value, depth int) {
	v.Kind = Array
	r.pos++
	for {
		if r.space(); r.pos < len(r.src) && r.src[r.pos] == ']' && len(v.Items) == 0 {
			r.pos++
			return
		}
		if r.pos >= len(r.src) {
			r.openEnd("Array", v.Pos)
		}
		v.Items = append(v.Items, r.value(depth+1))
		if r.separator("Array", v.Pos, ']') {
			return
		}
	}
}

func (r *reader) object(v *Value, depth int) {
	v.Kind = Object
	r.pos++
	for {
		if r.space(); r.pos < len(r.src) && r.src[r.pos] == '}' && len(v.Items) == 0 {
			r.pos++
			return
		}
		if r.pos >= len(r.src) {
			r.openEnd("Object", v.Pos)
		}
		if r.src[r.pos] != '"' {
			r.unexpected("was expecting double-quote to start field name")
		}
		v.Keys = append(v.Keys, r.str())
		if r.space(); r.pos >= len(r.src) {
			r.openEnd("Object", v.Pos)
		}
		if r.src[r.pos] != ':' {
			r.unexpected("was expecting a colon to separate field name and value")
		}
		r.pos++
		v.Items = append(v.Items, r.value(depth+1))
		if r.separator("Object", v.Pos, '}') {
			return
		}
	}
}

func (r *reader) openEnd(what string, start int) {
	r.failEnd("Unexpected end-of-input: expected close marker for %s (start marker at %s)", what, r.place(start))
}

// separator takes a comma or the closing mark; it tells whether it was the latter.
func (r *reader) separator(what string, start int, closing byte) bool {
	r.space()
	if r.pos >= len(r.src) {
		r.openEnd(what, start)
	}
	switch r.src[r.pos] {
	case closing:
		r.pos++
		return true
	case ',':
		r.pos++
	default:
		entries := map[string]string{"Array": "Array entries", "Object": "Object entries"}[what]
		r.unexpected("was expecting comma to separate " + entries)
	}
	return false
}

func (r *reader) word(v *Value) {
	end := r.pos
	for end < len(r.src) && (r.src[end] == '_' || r.src[end] >= '0' && r.src[end] <= '9' ||
		r.src[end] >= 'a' && r.src[end] <= 'z' || r.src[end] >= 'A' && r.src[end] <= 'Z') {
		end++
	}
	switch w := r.src[r.pos:end]; w {
	case "null":
		v.Kind = Null
	case "true", "false":
		v.Kind, v.Flag = Bool, w == "true"
	default:
		r.fail(end-1, "Unrecognized token '%s': was expecting (JSON String, Number, Array, Object or token 'null', 'true' or 'false')", w)
	}
	r.pos = end
}

func (r *reader) digits() bool {
	from := r.pos
	for r.pos < len(r.src) && r.src[r.pos] >= '0' && r.src[r.pos] <= '9' {
		r.pos++
	}
	return r.pos > from
}

func (r *reader) number() string {
	from := r.pos
	if r.src[r.pos] == '-' {
		r.pos++
	}
	lead := r.pos
	if !r.digits() {
		r.fail(min(r.pos, len(r.src)-1), "Unexpected character: expected digit (0-9) to follow minus sign, for valid numeric value")
	}
	if r.src[lead] == '0' && r.pos-lead > 1 {
		r.fail(lead, "Invalid numeric value: Leading zeroes not allowed")
	}
	if r.pos < len(r.src) && r.src[r.pos] == '.' {
		r.pos++
		if !r.digits() {
			r.fail(min(r.pos, len(r.src)-1), "Decimal point not followed by a digit")
		}
	}
	if r.pos < len(r.src) && (r.src[r.pos] == 'e' || r.src[r.pos] == 'E') {
		r.pos++
		if r.pos < len(r.src) && (r.src[r.pos] == '+' || r.src[r.pos] == '-') {
			r.pos++
		}
		if !r.digits() {
			r.fail(min(r.pos, len(r.src)-1), "Exponent indicator not followed by a digit")
		}
	}
	return r.src[from:r.pos]
}

// str takes a string. Control characters may stand in it as they are, as upstream's parser lets them.
func (r *reader) str() string {
	r.pos++
	from := r.pos
	for i := from; i < len(r.src); i++ { // the common case: nothing to decode
		if c := r.src[i]; c == '"' {
			r.pos = i + 1
			return clean(r.src[from:i])
		} else if c == '\\' {
			break
		}
	}
	var b strings.Builder
	for r.pos < len(r.src) {
		c := r.src[r.pos]
		switch {
		case c == '"':
			r.pos++
			return clean(b.String())
		case c == '\\':
			r.escape(&b)
		default:
			b.WriteByte(c)
			r.pos++
		}
	}
	r.failEnd("Unexpected end-of-input: was expecting closing quote for a string value")
	return ""
}

func (r *reader) escape(b *strings.Builder) {
	r.pos++
	if r.pos >= len(r.src) {
		r.failEnd("Unexpected end-of-input: was expecting closing quote for a string value")
	}
	c := r.src[r.pos]
	r.pos++
	if i := strings.IndexByte(`"\/bfnrt`, c); i >= 0 {
		b.WriteByte("\"\\/\b\f\n\r\t"[i])
		return
	}
	if c != 'u' {
		r.pos--
		u, _ := utf8.DecodeRuneInString(r.src[r.pos:])
		r.fail(r.pos, "Unrecognized character escape '%c' (code %d)", u, u)
	}
	u := r.hex4()
	if utf16.IsSurrogate(u) && strings.HasPrefix(r.src[r.pos:], `\u`) {
		at := r.pos
		r.pos += 2
		if low := utf16.DecodeRune(u, r.hex4()); low != utf8.RuneError {
			u = low
		} else {
			r.pos = at
		}
	}
	b.WriteRune(u) // half a surrogate pair becomes U+FFFD
}

func (r *reader) hex4() rune {
	var u rune
	for range 4 {
		if r.pos >= len(r.src) {
			r.failEnd("Unexpected end-of-input in character escape sequence")
		}
		c := r.src[r.pos]
		switch {
		case c >= '0' && c <= '9':
			u = u<<4 | rune(c-'0')
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			u = u<<4 | rune(c|0x20-'a'+10)
		default:
			r.unexpected("expected a hex-digit for character escape sequence")
		}
		r.pos++
	}
	return u
}

// clean makes text valid UTF-8. NUL is left for the compiler to refuse.
func clean(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}
