package sqlfunc

import (
	"encoding/binary"
	"math"
	"strconv"
	"strings"

	"dalang/store/query/ast"
)

// Key encodes a JSON value so that comparing the bytes of two keys compares
// the values as jsonb does: null < strings < numbers < booleans < arrays <
// objects, except that an empty array at the top is below everything. Strings
// compare by bytes, numbers by value with any number of digits (1 = 1.0),
// arrays by length and then by element, objects by size and then by their
// members in jsonb's order.
func Key(s string) []byte {
	if s == "[]" {
		return []byte{0}
	}
	return appendKey(make([]byte, 0, len(s)+8), s)
}

func appendKey(b []byte, s doc) []byte {
	k := kindOf(s)
	b = append(b, byte(k))
	switch k {
	case kString:
		return stringKey(b, unquote(s))
	case kNumber:
		return numberKey(b, s)
	case kBool:
		return append(b, s[0]) // f < t
	case kArray:
		at := len(b)
		n := uint32(0)
		b = append(b, 0, 0, 0, 0)
		each(s, func(_, v doc) bool {
			n++
			b = appendKey(b, v)
			return true
		})
		binary.BigEndian.PutUint32(b[at:], n)
	case kObject:
		list := members(s)
		b = binary.BigEndian.AppendUint32(b, uint32(len(list)))
		for _, m := range list {
			b = stringKey(b, m.key)
			b = appendKey(b, m.value)
		}
	}
	return b
}

// stringKey ends with two zeros; a zero within the string is followed by 255,
// so that a prefix sorts first.
func stringKey(b []byte, s string) []byte {
	for i := range len(s) {
		b = append(b, s[i])
		if s[i] == 0 {
			b = append(b, 255)
		}
	}
	return append(b, 0, 0)
}

// numberKey is: sign, then for a positive number the exponent and the digits
// of 0.d1d2d3… × 10^exponent, for a negative one the complement of both.
func numberKey(b []byte, s doc) []byte {
	neg, digits, exp := decimal(s)
	if digits == "" {
		return append(b, 0x80)
	}
	if neg {
		b = append(b, 0x40)
	} else {
		b = append(b, 0xC0)
	}
	at := len(b)
	b = binary.BigEndian.AppendUint32(b, uint32(int64(exp)+1<<31))
	b = append(b, digits...)
	b = append(b, 0)
	if neg {
		for i := at; i < len(b); i++ {
			b[i] = ^b[i]
		}
	}
	return b
}

// decimal takes a JSON number apart: 0.<digits> × 10^exp, digits without
// zeros at either end, "" for zero.
func decimal(s doc) (neg bool, digits string, exp int32) {
	mant, e := s, int64(0)
	if i := strings.IndexAny(s, "eE"); i >= 0 {
		mant = s[:i]
		n, err := strconv.ParseInt(s[i+1:], 10, 32)
		if e = n; err != nil { // out of range: as far as it goes
			e = math.MaxInt32 / 2
			if strings.HasPrefix(s[i+1:], "-") {
				e = -e
			}
		}
	}
	mant, neg = strings.CutPrefix(mant, "-")
	whole, frac, _ := strings.Cut(mant, ".")
	digits = whole + frac
	e += int64(len(whole))
	trimmed := strings.TrimLeft(digits, "0")
	e -= int64(len(digits) - len(trimmed))
	digits = strings.TrimRight(trimmed, "0")
	return neg, digits, int32(max(min(e, math.MaxInt32), math.MinInt32))
}

// plainNumber is how PostgreSQL prints a number: without an exponent.
func plainNumber(s doc) string {
	i := strings.IndexAny(s, "eE")
	if i < 0 {
		return s
	}
	neg, digits, exp := decimal(s)
	if digits == "" {
		return "0"
	}
	if exp > 1000 || exp < -1000 {
		return s
	}
	sign := ""
	if neg {
		sign = "-"
	}
	switch n := int(exp); {
	case n <= 0:
		return sign + "0." + strings.Repeat("0", -n) + digits
	case n >= len(digits):
		return sign + digits + strings.Repeat("0", n-len(digits))
	default:
		return sign + digits[:n] + "." + digits[n:]
	}
}

// PathKey encodes a path, a JSON array of strings and integers, so that keys
// order paths element by element, as text; a prefix sorts first.
func PathKey(path string) []byte {
	var b []byte
	each(path, func(_, v doc) bool {
		b = stringKey(b, unquote(v))
		return true
	})
	if b == nil {
		b = []byte{}
	}
	return b
}

// Path is a way into a JSON document. Its text is a JSON array whose elements
// are: a string, which is a key of an object; an integer, which is an index
// of an array; an array of one string of digits, which is either.
type Path []step

type step struct {
	key     string
	index   int
	isKey   bool
	isIndex bool
}

// ParsePath reads the text of a Path.
func ParsePath(text string) (Path, error) {
	v, err := ast.Read(text)
	if err != nil {
		return nil, err
	}
	var p Path
	for _, x := range v.Items {
		switch {
		case x.Kind == ast.String:
			p = append(p, step{key: x.Text, isKey: true})
		case x.Kind == ast.Number:
			n, err := strconv.Atoi(x.Text)
			p = append(p, step{index: n, isIndex: err == nil})
		case x.Kind == ast.Array && len(x.Items) == 1:
			n, err := strconv.Atoi(x.Items[0].Text)
			p = append(p, step{key: x.Items[0].Text, isKey: true, index: n, isIndex: err == nil})
		}
	}
	return p, nil
}

// Find returns the JSON text at the path.
func (p Path) Find(s string) (string, bool) {
	for _, st := range p {
		found := false
		switch kindOf(s) {
		case kObject:
			if st.isKey {
				s, found = getKey(s, st.key)
			}
		case kArray:
			if st.isIndex {
				s, found = element(s, st.index)
			}
		default: // jsonb keeps a scalar as an array of one
			found = st.isIndex && !st.isKey && (st.index == 0 || st.index == -1)
		}
		if !found {
			return "", false
		}
	}
	return s, true
}

// element is an array's nth element; negative n counts from the end.
func element(s doc, n int) (v doc, found bool) {
	if n < 0 {
		count := 0
		each(s, func(_, _ doc) bool { count++; return true })
		if n += count; n < 0 {
			return "", false
		}
	}
	each(s, func(_, x doc) bool {
		if n == 0 {
			v, found = x, true
		}
		n--
		return !found
	})
	return v, found
}
