package query

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"dalang/store/query/ast"
	"dalang/wireformat"
)

// canonical is a JSON value as the store keeps it.
func canonical(v ast.Value) string {
	c, err := wireformat.Canonical(v.JSON())
	if err != nil { // a value that was read has a canonical form
		return string(v.JSON())
	}
	return string(c)
}

// millis reads a time: text in one of many formats, or milliseconds.
func millis(v ast.Value) (int64, error) {
	switch v.Kind {
	case ast.String:
		if t, err := wireformat.ParseTime(v.Text); err == nil {
			return t.UnixMilli(), nil
		}
		return 0, &Error{Message: fmt.Sprintf("'%s' is not a valid timestamp value", v.Text)}
	case ast.Number:
		if n, err := strconv.ParseInt(v.Text, 10, 64); err == nil {
			return n, nil
		}
	}
	return 0, &Error{Message: fmt.Sprintf("'%s' is not a valid timestamp value", v.JSON())}
}

// number is a JSON number as int64 where that is exact, else as the nearest float64.
func number(v ast.Value) any {
	if n, err := strconv.ParseInt(v.Text, 10, 64); err == nil {
		return n
	}
	f, _ := strconv.ParseFloat(v.Text, 64) // out of range is ±Inf, which compares right
	return f
}

// encodedPath is a path of a fact as the store keeps it for lookups.
func encodedPath(v ast.Value) (string, error) {
	path, err := pathElements(v)
	if err != nil {
		return "", err
	}
	return wireformat.EncodeFactPath(path), nil
}

func pathElements(v ast.Value) ([]any, error) {
	if v.Kind == ast.String {
		return nil, &Error{Message: "Path array element wasnt string or integer in {0}"}
	}
	if v.Kind != ast.Array {
		return nil, &Error{Message: fmt.Sprintf("Argument %s is not a path: an array of strings and integers", v.JSON())}
	}
	var path []any
	for _, x := range v.Items {
		n, isInt := ast.Natural(x)
		switch {
		case x.Kind == ast.String:
			path = append(path, x.Text)
		case isInt:
			path = append(path, int(n))
		default:
			return nil, &Error{Message: "Path array element wasnt string or integer in {0}"}
		}
	}
	return path, nil
}

func stringPath(keys []string) string {
	path := make([]any, len(keys))
	for i, k := range keys {
		path[i] = k
	}
	return wireformat.EncodeFactPath(path)
}

// asText is an element of a list as text: what "in" compares text fields with.
func asText(v ast.Value) string {
	if v.Kind == ast.String {
		return v.Text
	}
	return string(v.JSON())
}

// message is a value as messages show it.
func message(v ast.Value) string {
	if v.Kind >= ast.Array {
		return v.Clojure()
	}
	return asText(v)
}

// withoutNUL is a value as it would be stored: with U+FFFD for each NUL.
func withoutNUL(v ast.Value) ast.Value {
	v.Text = strings.ReplaceAll(v.Text, "\x00", "\uFFFD")
	items, keys := v.Items, v.Keys
	v.Items, v.Keys = make([]ast.Value, len(items)), make([]string, len(keys))
	for i, x := range items {
		v.Items[i] = withoutNUL(x)
	}
	for i, k := range keys {
		v.Keys[i] = strings.ReplaceAll(k, "\x00", "\uFFFD")
	}
	return v
}

// noNUL refuses a text that no column can hold, in the database's words.
func noNUL(v ast.Value) error {
	if v.Kind == ast.String && strings.IndexByte(v.Text, 0) >= 0 {
		return &Error{Message: `ERROR: invalid byte sequence for encoding "UTF8": 0x00`}
	}
	for _, x := range v.Items {
		if err := noNUL(x); err != nil {
			return err
		}
	}
	return nil
}

func timeOf(ms int64) time.Time { return time.UnixMilli(ms).UTC() }

// ParseTime reads a time in any of the formats that queries may use.
func ParseTime(s string) (time.Time, error) { return wireformat.ParseTime(s) }
