package query

import (
	"fmt"
	"strings"
)

func (p member) sql(s *scope) string {
	inner := s.emitter.scope(p.sub.ent)
	var left, right []string
	for i, t := range p.terms {
		c := p.sub.cols[i].term
		if k := t.field; k.Key != "" && c.path == nil && k.KeyOf == c.field.KeyOf {
			left, right = append(left, s.use(k.Key)), append(right, inner.use(c.field.Key))
			continue
		}
		l, r := s.coerced(inner, t.field, c)
		left, right = append(left, l), append(right, r)
	}
	lhs := left[0]
	if len(left) > 1 {
		lhs = "(" + strings.Join(left, ", ") + ")"
	}
	return lhs + " IN (" + p.sub.body(inner, strings.Join(right, ", ")) + ")"
}

// kindOfType groups types that compare with each other.
func kindOfType(t Type) string {
	switch t {
	case Text, Encoded:
		return "text"
	case Int:
		return "number"
	case Bool, Flag:
		return "bool"
	case Time, Stamp:
		return "time"
	case Value, Raw, Document:
		return "json"
	case Path, LeafPath:
		return "path"
	case Tags, Pairs:
		return "array"
	}
	panic(fmt.Sprintf("query: unknown type %d", t))
}

// coercible tells whether in can compare an outer field with an inner column.
// inner is nil for a dotted column, which is JSON.
func coercible(outer, inner *Field) bool {
	o, i := kindOfType(outer.Type), "json"
	if inner != nil {
		i = kindOfType(inner.Type)
	}
	switch {
	case o == i:
		return true
	case o == "text":
		return i == "json" || i == "number" || i == "bool" || i == "time"
	case o == "json":
		return i == "text" || i == "number" || i == "bool"
	case o == "number" || o == "bool":
		return i == "json"
	}
	return false
}

// coerced gives both sides of a comparison of an outer field with an inner
// column, the inner one turned towards the outer one's type. Spec query.md §3.9.
func (s *scope) coerced(inner *scope, f *Field, c term) (left, right string) {
	left = s.use(f.Compare)
	from := "json"
	if c.path != nil {
		right = inner.place(c)
	} else {
		right, from = inner.use(c.field.Compare), kindOfType(c.field.Type)
	}
	to := kindOfType(f.Type)
	switch {
	case to == "json":
		left = "pdb_json_key(" + left + ")"
		right = "pdb_json_key(" + asJSON(right, from) + ")"
	case to == "text" && from == "json":
		right = "pdb_json_text(" + right + ")"
	case to == "text" && from == "number":
		right = "CAST(" + right + " AS TEXT)"
	case to == "text" && from == "bool":
		right = "CASE " + right + " WHEN 1 THEN 'true' WHEN 0 THEN 'false' END"
	case to == "text" && from == "time":
		right = "strftime('%Y-%m-%d %H:%M:%S+00', " + right + " / 1000, 'unixepoch')"
	case to == "number" && from == "json":
		right = "CASE WHEN " + numeric(right) + " THEN CAST(" + right + " AS NUMERIC) END"
	case to == "bool" && from == "json":
		right = "CASE " + right + " WHEN 'true' THEN 1 WHEN 'false' THEN 0 END"
	}
	return left, right
}

func asJSON(sql, from string) string {
	switch from {
	case "text":
		return "json_quote(" + sql + ")"
	case "number":
		return "CAST(" + sql + " AS TEXT)"
	case "bool":
		return "CASE " + sql + " WHEN 1 THEN 'true' WHEN 0 THEN 'false' END"
	}
	return sql
}
