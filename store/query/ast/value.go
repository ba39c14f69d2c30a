package ast

import (
	"bytes"
	"strconv"
)

// Kind is the kind of a JSON value.
type Kind uint8

// The six kinds of JSON values.
const (
	Null Kind = iota
	Bool
	Number
	String
	Array
	Object
)

// Value is one JSON value as it was written. Numbers stay text, so that they
// never lose a digit; objects keep their order and their duplicate keys.
type Value struct {
	Kind  Kind
	Pos   int     // offset of its first byte in the source; 0 when made by hand
	Flag  bool    // of a Bool
	Text  string  // of a String: decoded; of a Number: as written
	Items []Value // of an Array; of an Object: the values
	Keys  []string
}

// Str makes a String.
func Str(s string) Value { return Value{Kind: String, Text: s} }

// Boolean makes a Bool.
func Boolean(b bool) Value { return Value{Kind: Bool, Flag: b} }

// Int makes a Number.
func Int(n int64) Value { return Value{Kind: Number, Text: strconv.FormatInt(n, 10)} }

// List makes an Array.
func List(items ...Value) Value { return Value{Kind: Array, Items: items} }

// Truthy is Clojure's truth: everything but null and false.
func (v Value) Truthy() bool { return v.Kind != Null && (v.Kind != Bool || v.Flag) }

// Head returns the first element of an array when it is a string, which is
// the operator or the clause that the array stands for.
func (v Value) Head() (string, bool) {
	if v.Kind == Array && len(v.Items) > 0 && v.Items[0].Kind == String {
		return v.Items[0].Text, true
	}
	return "", false
}

// JSON is the value as compact JSON text, numbers as they were written.
func (v Value) JSON() []byte { return v.appendJSON(nil) }

func (v Value) appendJSON(b []byte) []byte {
	switch v.Kind {
	case Bool:
		return strconv.AppendBool(b, v.Flag)
	case Number:
		return append(b, v.Text...)
	case String:
		return AppendString(b, v.Text)
	case Array:
		b = append(b, '[')
		for i, x := range v.Items {
			if i > 0 {
				b = append(b, ',')
			}
			b = x.appendJSON(b)
		}
		return append(b, ']')
	case Object:
		b = append(b, '{')
		for i, x := range v.Items {
			if i > 0 {
				b = append(b, ',')
			}
			b = AppendString(b, v.Keys[i])
			b = append(b, ':')
			b = x.appendJSON(b)
		}
		return append(b, '}')
	}
	return append(b, "null"...)
}

// Clojure prints the value as upstream's messages show it: elements of arrays
// separated by blanks, keys as keywords, null as nil.
func (v Value) Clojure() string {
	var b bytes.Buffer
	v.clojure(&b)
	return b.String()
}

func (v Value) clojure(b *bytes.Buffer) {
	switch v.Kind {
	case Array:
		b.WriteByte('[')
		for i, x := range v.Items {
			if i > 0 {
				b.WriteByte(' ')
			}
			x.clojure(b)
		}
		b.WriteByte(']')
	case Object:
		b.WriteByte('{')
		for i, x := range v.Items {
			if i > 0 {
				b.WriteString(", ")
			}
			b.WriteByte(':')
			b.WriteString(v.Keys[i])
			b.WriteByte(' ')
			x.clojure(b)
		}
		b.WriteByte('}')
	case Null:
		b.WriteString("nil")
	default:
		b.Write(v.JSON())
	}
}

// AppendString appends s as a JSON string, escaping only what JSON demands.
func AppendString(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	from := 0
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c >= 0x20 && c != '"' && c != '\\' {
			continue
		}
		b = append(b, s[from:i]...)
		from = i + 1
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, '\\', 'n')
		case '\r':
			b = append(b, '\\', 'r')
		case '\t':
			b = append(b, '\\', 't')
		case '\b':
			b = append(b, '\\', 'b')
		case '\f':
			b = append(b, '\\', 'f')
		default:
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
	}
	b = append(b, s[from:]...)
	return append(b, '"')
}
