package sqlfunc

import (
	"sort"
	"strings"

	"dalang/store/query/ast"
)

// A doc is JSON text that the store wrote: valid and without white space. The
// functions below walk it in place. On text that is not JSON they end early
// and never panic.
type doc = string

// valueEnd is the offset after the value that starts at i.
func valueEnd(s doc, i int) int {
	if i >= len(s) {
		return len(s)
	}
	switch s[i] {
	case '"':
		return stringEnd(s, i)
	case '{', '[':
		depth := 0
		for i < len(s) {
			switch s[i] {
			case '"':
				i = stringEnd(s, i)
				continue
			case '{', '[':
				depth++
			case '}', ']':
				if depth--; depth == 0 {
					return i + 1
				}
			}
			i++
		}
		return len(s)
	}
	for i < len(s) && s[i] != ',' && s[i] != ']' && s[i] != '}' {
		i++
	}
	return i
}

func stringEnd(s doc, i int) int {
	for i++; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(s)
}

// each calls f for the members of an object or array; key is the quoted key,
// "" within an array. f returns false to stop.
func each(s doc, f func(key, value doc) bool) {
	if len(s) < 2 || s[0] != '{' && s[0] != '[' {
		return
	}
	object := s[0] == '{'
	for i := 1; i < len(s)-1; {
		key := ""
		if object {
			end := valueEnd(s, i)
			key = s[i:end]
			i = min(end+1, len(s)) // the colon
		}
		end := valueEnd(s, i)
		if !f(key, s[i:end]) || end <= i {
			return
		}
		i = end + 1 // the comma
	}
}

// unquote decodes a JSON string.
func unquote(s doc) string {
	if len(s) >= 2 && s[0] == '"' && !strings.Contains(s, `\`) {
		return s[1 : len(s)-1]
	}
	v, err := ast.Read(s)
	if err != nil {
		return s
	}
	return v.Text
}

// kind orders the kinds of JSON as jsonb does.
type kind byte

const (
	kNull kind = iota + 1
	kString
	kNumber
	kBool
	kArray
	kObject
)

func kindOf(s doc) kind {
	if s == "" {
		return kNull
	}
	switch s[0] {
	case '"':
		return kString
	case 't', 'f':
		return kBool
	case '[':
		return kArray
	case '{':
		return kObject
	case 'n':
		return kNull
	}
	return kNumber
}

// member is one key of an object, decoded.
type member struct {
	key   string
	value doc
}

// members returns an object's members in jsonb's order: shorter keys first,
// then by bytes.
func members(s doc) []member {
	var out []member
	each(s, func(k, v doc) bool {
		out = append(out, member{unquote(k), v})
		return true
	})
	sort.SliceStable(out, func(i, j int) bool {
		if len(out[i].key) != len(out[j].key) {
			return len(out[i].key) < len(out[j].key)
		}
		return out[i].key < out[j].key
	})
	return out
}

// Contains is jsonb's doc @> sub: objects recursively, arrays as sets; an
// array at the top also contains a scalar.
func Contains(s, sub string) bool {
	if kindOf(s) == kArray && kindOf(sub) < kArray {
		return hasScalar(s, sub)
	}
	return contains(s, sub)
}

func contains(s, sub doc) bool {
	k := kindOf(s)
	if k != kindOf(sub) {
		return false
	}
	ok := true
	switch k {
	case kObject:
		each(sub, func(key, want doc) bool {
			v, found := get(s, key)
			ok = found && contains(v, want)
			return ok
		})
	case kArray:
		each(sub, func(_, want doc) bool {
			if kindOf(want) < kArray {
				ok = hasScalar(s, want)
				return ok
			}
			ok = false
			each(s, func(_, v doc) bool {
				ok = contains(v, want)
				return !ok
			})
			return ok
		})
	default:
		return sameScalar(s, sub)
	}
	return ok
}

func hasScalar(s, want doc) (found bool) {
	each(s, func(_, v doc) bool {
		found = kindOf(v) == kindOf(want) && sameScalar(v, want)
		return !found
	})
	return found
}

func sameScalar(a, b doc) bool {
	if a == b {
		return true
	}
	switch kindOf(a) {
	case kNumber:
		return string(numberKey(nil, a)) == string(numberKey(nil, b))
	case kString:
		return unquote(a) == unquote(b)
	}
	return false
}

// get finds a member of an object by its quoted key.
func get(s, key doc) (v doc, found bool) {
	want := unquote(key)
	return getKey(s, want)
}

func getKey(s doc, want string) (v doc, found bool) {
	if kindOf(s) != kObject {
		return "", false
	}
	each(s, func(k, x doc) bool {
		if unquote(k) == want {
			v, found = x, true
		}
		return !found
	})
	return v, found
}

// Text is jsonb's #>> '{}': what a value looks like as text. The JSON null
// has none.
func Text(s string) (string, bool) {
	switch kindOf(s) {
	case kNull:
		return "", false
	case kString:
		return unquote(s), true
	case kNumber:
		return plainNumber(s), true
	case kBool:
		return s, true
	}
	var b strings.Builder
	writeText(&b, s)
	return b.String(), true
}

// writeText prints a container as PostgreSQL prints jsonb.
func writeText(b *strings.Builder, s doc) {
	switch kindOf(s) {
	case kObject:
		b.WriteByte('{')
		for i, m := range members(s) {
			if i > 0 {
				b.WriteString(", ")
			}
			b.Write(ast.AppendString(nil, m.key))
			b.WriteString(": ")
			writeText(b, m.value)
		}
		b.WriteByte('}')
	case kArray:
		b.WriteByte('[')
		first := true
		each(s, func(_, v doc) bool {
			if !first {
				b.WriteString(", ")
			}
			first = false
			writeText(b, v)
			return true
		})
		b.WriteByte(']')
	case kNumber:
		b.WriteString(plainNumber(s))
	default:
		b.WriteString(s)
	}
}
