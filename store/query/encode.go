package query

import (
	"database/sql/driver"
	"math"
	"strconv"

	"dalang/store/query/ast"
)

// encodedColumn turns one or two values of a row into a member of its object.
type encodedColumn struct {
	key  []byte // "name":
	typ  Type
	href bool // two values: where the data are, and the data
}

func encoded(name string, typ Type) encodedColumn {
	return encodedColumn{key: append(ast.AppendString(nil, name), ':'), typ: typ}
}

// output is the SQL of a column of the answer, and how to encode it.
func (s *scope) output(c outcol, href bool) ([]string, encodedColumn) {
	sql, typ := s.shown(c.term)
	enc := encoded(c.name, typ)
	if f := c.term.field; f != nil && href && f.Href != "" && c.term.fn == nil && c.term.path == nil {
		enc.href = true
		return []string{s.use(f.Href), sql}, enc
	}
	return []string{sql}, enc
}

// appendRow appends a row as a JSON object, or as its only value when bare.
func appendRow(b []byte, cols []encodedColumn, vals []driver.Value, bare bool) []byte {
	if bare {
		return appendValue(b, cols[0], vals[0])
	}
	b = append(b, '{')
	for i, c := range cols {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, c.key...)
		if c.href {
			b = append(b, `{"href":`...)
			b = ast.AppendString(b, text(vals[0]))
			b = append(b, `,"data":`...)
			b = appendValue(b, c, vals[1])
			b = append(b, '}')
			vals = vals[2:]
			continue
		}
		b = appendValue(b, c, vals[0])
		vals = vals[1:]
	}
	return append(b, '}')
}

func text(v driver.Value) string {
	switch v := v.(type) {
	case string:
		return v
	case []byte:
		return string(v)
	}
	return ""
}

func appendValue(b []byte, c encodedColumn, v driver.Value) []byte {
	if v == nil {
		return append(b, "null"...)
	}
	switch c.typ {
	case Bool, Flag:
		return strconv.AppendBool(b, v != int64(0))
	case Time, Stamp:
		if ms, ok := v.(int64); ok {
			return appendTime(b, ms)
		}
	case Int:
		return appendNumber(b, v)
	case Tags, Pairs, Value, Document, Raw, Encoded, Path, LeafPath: // JSON already
		switch v := v.(type) {
		case string:
			return append(b, v...)
		case []byte:
			return append(b, v...)
		}
		return appendNumber(b, v)
	}
	return ast.AppendString(b, text(v))
}

func appendNumber(b []byte, v driver.Value) []byte {
	switch v := v.(type) {
	case int64:
		return strconv.AppendInt(b, v, 10)
	case float64:
		if math.IsInf(v, 0) || math.IsNaN(v) {
			return append(b, "null"...)
		}
		return strconv.AppendFloat(b, v, 'f', -1, 64)
	}
	return ast.AppendString(b, text(v))
}

// appendTime appends "YYYY-MM-DDTHH:MM:SS.mmmZ".
func appendTime(b []byte, ms int64) []byte {
	b = append(b, '"')
	b = timeOf(ms).AppendFormat(b, "2006-01-02T15:04:05.000Z")
	return append(b, '"')
}
