package wireformat

import (
	"bytes"
	"math"
	"slices"
	"strconv"
	"unicode/utf8"
)

// Canonical returns the canonical form of the first JSON value of text.
// The error is an *Error of cause "parse".
func Canonical(text []byte) (value JSON, err error) {
	c := canonicalizer{scanner: scanner{b: text}}
	defer recoverSyntax(&err)
	c.next()
	return c.canonical(make([]byte, 0, len(text))), nil
}

// recoverSyntax turns a *syntaxError panic into an *Error.
func recoverSyntax(err *error) {
	switch e := recover().(type) {
	case nil:
	case *syntaxError:
		*err = &Error{Cause: CauseParse, Message: e.Error(), Err: e}
	default:
		panic(e)
	}
}

// canonicalizer writes values in canonical form while it reads them.
type canonicalizer struct {
	scanner
	members  []member // of all objects that are open
	sorting  []byte   // scratch
	slashes  bool     // a key with a slash has been seen
	keywords bool     // sort keys as Clojure sorts keywords
	moved    int      // bytes that sorting has moved
}

// maxMoves bounds how often sorting may move each byte of the text: once for
// every unsorted object around it, a handful in honest payloads. Without a
// bound, deep nesting makes the work quadratic.
const maxMoves = 100

// member is where an object's member stands in the output.
type member struct {
	start, colon, end int // "key", the colon behind it, the end of the value
}

// canonical appends the value that the scanner stands on to dst.
func (c *canonicalizer) canonical(dst []byte) []byte {
	switch b := c.next(); {
	case b == '"':
		return c.canonicalString(dst)
	case b == '{':
		return c.canonicalObject(dst)
	case b == '[':
		dst = append(dst, '[')
		c.array(func(n int) {
			if n > 0 {
				dst = append(dst, ',')
			}
			dst = c.canonical(dst)
		})
		return append(dst, ']')
	case b == 't':
		c.literal("true")
		return append(dst, "true"...)
	case b == 'f':
		c.literal("false")
		return append(dst, "false"...)
	case b == 'n':
		c.literal("null")
		return append(dst, "null"...)
	case b == '-' || digit(b):
		text, integer := c.number()
		if !integer {
			return appendDouble(dst, text)
		}
		if len(text) == 2 && text[0] == '-' && text[1] == '0' {
			return append(dst, '0')
		}
		return append(dst, text...)
	}
	c.unexpected("a value")
	return nil
}

func (c *canonicalizer) canonicalString(dst []byte) []byte {
	start, end, f := c.span()
	if f != foreign {
		return append(dst, c.b[start-1:end+1]...)
	}
	c.text = c.unescape(c.text[:0], start, end)
	return appendString(dst, c.text)
}

// canonicalObject sorts an object's members where they are not sorted already.
func (c *canonicalizer) canonicalObject(dst []byte) []byte {
	first := len(c.members)
	begin := len(dst)
	sorted := true
	dst = append(dst, '{')
	c.enter()
	for c.next() != '}' {
		if len(c.members) > first {
			c.expect(',')
			c.next()
			dst = append(dst, ',')
		}
		if c.next() != '"' {
			c.unexpected("a string as key")
		}
		m := member{start: len(dst)}
		dst = c.canonicalString(dst)
		m.colon = len(dst)
		if bytes.IndexByte(dst[m.start:], '/') >= 0 {
			c.slashes = true
		}
		c.expect(':')
		dst = append(dst, ':')
		c.next()
		dst = c.canonical(dst)
		m.end = len(dst)
		if n := len(c.members); n > first {
			last := c.members[n-1]
			sorted = sorted && c.compareKeys(dst[last.start+1:last.colon-1], dst[m.start+1:m.colon-1]) < 0
		}
		c.members = append(c.members, m)
	}
	c.i++
	c.depth--
	if !sorted {
		dst = c.sortMembers(dst, begin, c.members[first:])
	}
	c.members = c.members[:first]
	return append(dst, '}')
}

// sortMembers rewrites the members of the object that begins at begin in
// order of their keys; of equal keys the last one stays.
func (c *canonicalizer) sortMembers(dst []byte, begin int, members []member) []byte {
	if c.moved += len(dst) - begin; c.moved > maxMoves*(len(c.b)+4096) {
		c.fail("too many objects within objects to sort their keys")
	}
	key := func(m member) []byte { return dst[m.start+1 : m.colon-1] }
	slices.SortStableFunc(members, func(a, b member) int { return c.compareKeys(key(a), key(b)) })
	c.sorting = append(c.sorting[:0], '{')
	for i, m := range members {
		if i+1 < len(members) && bytes.Equal(key(m), key(members[i+1])) {
			continue
		}
		if len(c.sorting) > 1 {
			c.sorting = append(c.sorting, ',')
		}
		c.sorting = append(c.sorting, dst[m.start:m.end]...)
	}
	return append(dst[:begin], c.sorting...)
}

// compareKeys orders the canonical content of two keys by the text they stand for.
func (c *canonicalizer) compareKeys(a, b []byte) int {
	if bytes.IndexByte(a, '\\') >= 0 || bytes.IndexByte(b, '\\') >= 0 {
		var s scanner
		plainText := func(key []byte) []byte {
			s.b = key
			return s.unescape(nil, 0, len(key))
		}
		a, b = plainText(a), plainText(b)
	}
	if c.keywords {
		return compareKeywords(a, b)
	}
	return compareText(a, b)
}

// compareKeywords orders keys as Clojure orders keywords: what stands before
// the first slash is a namespace; names without one come first.
func compareKeywords(a, b []byte) int {
	aSpace, aName, aHas := bytes.Cut(a, []byte("/"))
	bSpace, bName, bHas := bytes.Cut(b, []byte("/"))
	if len(a) == 1 {
		aHas = false // a lone slash is a name
	}
	if len(b) == 1 {
		bHas = false
	}
	switch {
	case !aHas && !bHas:
		return compareText(a, b)
	case !aHas:
		return -1
	case !bHas:
		return 1
	}
	if c := compareText(aSpace, bSpace); c != 0 {
		return c
	}
	return compareText(aName, bName)
}

// compareText orders UTF-8 text as Java orders strings, by UTF-16 units: like
// bytes, but characters beyond the basic plane come before U+E000 to U+FFFF.
func compareText(a, b []byte) int {
	for i := 0; i < len(a) && i < len(b); i++ {
		x, y := a[i], b[i]
		if x == y {
			continue
		}
		if x >= 0xEE && y >= 0xEE && (x >= 0xF0) != (y >= 0xF0) {
			return int(y) - int(x)
		}
		return int(x) - int(y)
	}
	return len(a) - len(b)
}

// QuoteString is the canonical JSON form of a string.
func QuoteString(text string) JSON { return appendString(nil, text) }

// appendString appends text as a canonical JSON string. Malformed UTF-8 and
// NUL become U+FFFD.
func appendString[T ~string | ~[]byte](dst []byte, text T) []byte {
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(text); {
		c := text[i]
		if class[c] == plain {
			i++
			continue
		}
		if class[c] == high {
			r, size := utf8.DecodeRuneInString(string(text[i:min(i+utf8.UTFMax, len(text))]))
			if r != utf8.RuneError || size > 1 {
				i += size
				continue
			}
		}
		dst = append(dst, text[start:i]...)
		dst = appendEscape(dst, c)
		i++
		start = i
	}
	dst = append(dst, text[start:]...)
	return append(dst, '"')
}

func appendEscape(dst []byte, c byte) []byte {
	const hex = "0123456789ABCDEF"
	switch c {
	case '"', '\\':
		return append(dst, '\\', c)
	case '\b':
		return append(dst, '\\', 'b')
	case '\t':
		return append(dst, '\\', 't')
	case '\n':
		return append(dst, '\\', 'n')
	case '\f':
		return append(dst, '\\', 'f')
	case '\r':
		return append(dst, '\\', 'r')
	}
	if c == 0 || c >= utf8.RuneSelf {
		return append(dst, replacement...)
	}
	return append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
}

// appendDouble appends a number with a fraction or an exponent as Java prints
// the double nearest to it: always a digit behind the point, plain notation
// from 1e-3 to 1e7. Beyond a double's range it is the text "Infinity", which
// is what upstream makes of it.
func appendDouble(dst, text []byte) []byte {
	f, _ := strconv.ParseFloat(string(text), 64)
	return AppendFloat(dst, f)
}

// AppendFloat appends f as Java's Double.toString writes it (spec §10).
func AppendFloat(dst []byte, f float64) []byte {
	switch a := math.Abs(f); {
	case math.IsInf(f, 1):
		return append(dst, `"Infinity"`...)
	case math.IsInf(f, -1):
		return append(dst, `"-Infinity"`...)
	case a == 0 || a >= 1e-3 && a < 1e7:
		start := len(dst)
		dst = strconv.AppendFloat(dst, f, 'f', -1, 64)
		if bytes.IndexByte(dst[start:], '.') < 0 {
			dst = append(dst, ".0"...)
		}
		return dst
	}
	var buf [32]byte
	e := strconv.AppendFloat(buf[:0], f, 'e', -1, 64)
	at := bytes.IndexByte(e, 'e')
	mantissa, exponent := e[:at], e[at+1:]
	dst = append(dst, mantissa...)
	if bytes.IndexByte(mantissa, '.') < 0 {
		dst = append(dst, ".0"...)
	}
	dst = append(dst, 'E')
	if exponent[0] == '-' {
		dst = append(dst, '-')
	}
	exponent = bytes.TrimLeft(exponent[1:], "0")
	return append(dst, exponent...)
}
