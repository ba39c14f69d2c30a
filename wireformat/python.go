package wireformat

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strconv"
	"unicode"
	"unicode/utf8"
)

// PythonDigest is the checksum that pypuppetdb sends: the SHA-1 of the text
// that Python's str() makes of the payload. Keys keep the order of the body.
// The error is an *Error of cause "parse". Spec clients.md, trap 2.
func PythonDigest(body []byte) (sum string, err error) {
	p := &pythonWriter{scanner: scanner{b: body}}
	defer recoverSyntax(&err)
	p.next()
	p.value()
	return hexSHA1(p.out), nil
}

// pythonWriter writes values as Python's repr does while it reads them.
type pythonWriter struct {
	scanner
	out   []byte
	moved int // bytes moved for repeated keys
}

func (p *pythonWriter) value() {
	switch c := p.next(); {
	case c == '{':
		p.dict()
	case c == '[':
		p.out = append(p.out, '[')
		p.array(func(n int) {
			if n > 0 {
				p.out = append(p.out, ", "...)
			}
			p.value()
		})
		p.out = append(p.out, ']')
	case c == '"':
		p.out = appendPythonString(p.out, p.str())
	case c == 't':
		p.literal("true")
		p.out = append(p.out, "True"...)
	case c == 'f':
		p.literal("false")
		p.out = append(p.out, "False"...)
	case c == 'n':
		p.literal("null")
		p.out = append(p.out, "None"...)
	case c == '-' || digit(c):
		text, integer := p.number()
		switch {
		case !integer:
			f, _ := strconv.ParseFloat(string(text), 64)
			p.out = appendPythonFloat(p.out, f)
		case string(text) == "-0":
			p.out = append(p.out, '0')
		default:
			p.out = append(p.out, text...)
		}
	default:
		p.unexpected("a value")
	}
}

// dict writes an object; a repeated key keeps its first place and takes its
// last value, as in Python.
func (p *pythonWriter) dict() {
	type place struct{ start, end int } // of a value in out
	var places []place
	var names map[string]int
	p.out = append(p.out, '{')
	p.object(func(key []byte) {
		if names == nil {
			names = map[string]int{}
		}
		before := len(p.out)
		if len(places) > 0 {
			p.out = append(p.out, ", "...)
		}
		at, again := names[string(key)]
		if !again {
			names[string(key)] = len(places)
		}
		p.out = append(appendPythonString(p.out, key), ": "...)
		start := len(p.out)
		p.value()
		if !again {
			places = append(places, place{start, len(p.out)})
			return
		}
		if p.moved += len(p.out) - places[at].start; p.moved > maxMoves*(len(p.b)+4096) {
			p.fail("too many repeated keys")
		}
		value := bytes.Clone(p.out[start:])
		old := places[at]
		p.out = slices.Replace(p.out[:before], old.start, old.end, value...)
		grown := len(value) - (old.end - old.start)
		places[at].end += grown
		for i := at + 1; i < len(places); i++ {
			places[i].start += grown
			places[i].end += grown
		}
	})
	p.out = append(p.out, '}')
}

// appendPythonString writes text between single quotes, or between double
// ones if it holds single quotes only.
func appendPythonString(dst, text []byte) []byte {
	mark := byte('\'')
	if bytes.IndexByte(text, '\'') >= 0 && bytes.IndexByte(text, '"') < 0 {
		mark = '"'
	}
	dst = append(dst, mark)
	for len(text) > 0 {
		r, size := utf8.DecodeRune(text)
		switch {
		case r == rune(mark) || r == '\\':
			dst = append(dst, '\\', byte(r))
		case r == '\n':
			dst = append(dst, `\n`...)
		case r == '\r':
			dst = append(dst, `\r`...)
		case r == '\t':
			dst = append(dst, `\t`...)
		case r < ' ' || r == 0x7F:
			dst = fmt.Appendf(dst, `\x%02x`, r)
		case r < 0x80 || pythonPrintable(r):
			dst = append(dst, text[:size]...)
		case r <= 0xFF:
			dst = fmt.Appendf(dst, `\x%02x`, r)
		case r <= 0xFFFF:
			dst = fmt.Appendf(dst, `\u%04x`, r)
		default:
			dst = fmt.Appendf(dst, `\U%08x`, r)
		}
		text = text[size:]
	}
	return append(dst, mark)
}

// pythonPrintable is str.isprintable: no separators but the blank, nothing of
// category "other".
func pythonPrintable(r rune) bool {
	return unicode.In(r, unicode.L, unicode.M, unicode.N, unicode.P, unicode.S)
}

// appendPythonFloat writes the shortest text that reads back as f, plain for
// exponents from -4 to 15, with at least one digit behind the point.
func appendPythonFloat(dst []byte, f float64) []byte {
	if math.IsInf(f, 0) {
		return append(dst, map[bool]string{true: "inf", false: "-inf"}[f > 0]...)
	}
	if a := math.Abs(f); a != 0 && (a < 1e-4 || a >= 1e16) {
		return strconv.AppendFloat(dst, f, 'e', -1, 64)
	}
	start := len(dst)
	dst = strconv.AppendFloat(dst, f, 'f', -1, 64)
	if bytes.IndexByte(dst[start:], '.') < 0 {
		dst = append(dst, ".0"...)
	}
	return dst
}
