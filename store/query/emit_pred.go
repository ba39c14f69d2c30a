package query

import (
	"encoding/json"
	"slices"
	"strings"

	"dalang/store/query/ast"
	"dalang/store/query/sqlfunc"
)

// joined joins predicates as a balanced tree: the database bounds its depth.
func joined(s *scope, args []pred, op string) string {
	const width = 50
	list := make([]string, len(args))
	for i, a := range args {
		list[i] = a.sql(s)
	}
	for len(list) > width {
		var up []string
		for part := range slices.Chunk(list, width) {
			up = append(up, "("+strings.Join(part, op)+")")
		}
		list = up
	}
	return "(" + strings.Join(list, op) + ")"
}

func (p allOf) sql(s *scope) string  { return joined(s, p.args, " AND ") }
func (p anyOf) sql(s *scope) string  { return joined(s, p.args, " OR ") }
func (p noneOf) sql(s *scope) string { return "NOT " + p.arg.sql(s) }

func (p always) sql(*scope) string {
	if p.yes {
		return "1"
	}
	return "0"
}

func (p isNumber) sql(s *scope) string { return numeric(s.use(p.t.field.SQL)) }

func (p ofType) sql(s *scope) string {
	return "(" + typeName(s.use(p.t.field.SQL)) + " = " + s.arg(p.name) + ")"
}

func (p inState) sql(s *scope) string {
	s.used["n"] = true
	if p.active {
		return "(n.deactivated IS NULL AND n.expired IS NULL)"
	}
	since := s.arg(p.since)
	return "((n.deactivated IS NOT NULL AND n.deactivated > " + since + ") OR (n.expired IS NOT NULL AND n.expired > " + since + "))"
}

func (p compare) sql(s *scope) string {
	f := p.t.field
	if f.Type == Tags && f.Dict != "" {
		return f.inDictionary(s, anyElement(s, "xd."+f.DictText, p.v.(string)))
	}
	x := s.use(f.Compare)
	switch f.Type {
	case Bool, Flag:
		return flagEquals(f, x, p.v.(bool))
	case Tags:
		test := anyElement(s, x, p.v.(string))
		if f.NotNull {
			return test
		}
		return "CASE WHEN " + x + " IS NOT NULL THEN " + test + " END"
	case Pairs:
		return "EXISTS (SELECT 1 FROM json_each(" + x + ") xa, json_each(xa.value) xb WHERE xb.value = " + s.arg(p.v) + ")"
	case Value:
		return s.compareValue(f, x, p.op, p.v.(ast.Value))
	case Document:
		test := "pdb_json_contains(" + x + ", " + s.arg(canonical(p.v.(ast.Value))) + ")"
		if f.NotNull {
			return test
		}
		return "ifnull(" + test + ", 0)" // no document contains nothing
	}
	return x + " " + p.op + " " + s.arg(p.v)
}

// flagEquals writes booleans as literals: partial indexes apply to nothing else.
func flagEquals(f *Field, x string, want bool) string {
	if strings.HasPrefix(f.SQL, "(") { // a predicate itself
		if want {
			return x
		}
		return "NOT " + x
	}
	if want {
		return x + " = 1"
	}
	return x + " = 0"
}

// anyElement tests a JSON array of strings; instr spares most rows the parsing.
func anyElement(s *scope, x, want string) string {
	return "(instr(" + x + ", " + s.arg(canonical(ast.Str(want))) + ") > 0 AND EXISTS (SELECT 1 FROM json_each(" + x + ") xa WHERE xa.value = " + s.arg(want) + "))"
}

// compareValue compares any JSON value, as jsonb does. < and its like look at
// numbers only.
func (s *scope) compareValue(f *Field, x, op string, v ast.Value) string {
	text := canonical(v)
	if v.Kind == ast.String || v.Kind == ast.Bool || v.Kind == ast.Null {
		return x + " = " + s.arg(text)
	}
	exact := "pdb_json_key(" + x + ") " + op + " " + s.arg(sqlfunc.Key(text))
	if v.Kind != ast.Number {
		return "(" + x + " >= '[' AND " + exact + ")"
	}
	if f.Number == "" {
		return "(" + numeric(x) + " AND " + exact + ")"
	}
	n := s.use(f.Number) // close, and so a filter that an index helps
	switch op {
	case "<":
		op = "<="
	case ">":
		op = ">="
	}
	return "(" + n + " IS NOT NULL AND " + n + " " + op + " " + s.arg(float(v)) + " AND " + exact + ")"
}

func float(v ast.Value) float64 {
	switch n := number(v).(type) {
	case int64:
		return float64(n)
	case float64:
		return n
	}
	return 0
}

func (p regex) sql(s *scope) string {
	f := p.t.field
	pattern := s.arg(p.pattern)
	if f.Dict != "" {
		test := "pdb_regexp(" + pattern + ", xd." + f.DictText + ")"
		if f.Type == Tags {
			test = "EXISTS (SELECT 1 FROM json_each(xd." + f.DictText + ") xa WHERE pdb_regexp(" + pattern + ", xa.value))"
		}
		return f.inDictionary(s, test)
	}
	x := s.use(f.Compare)
	switch f.Type {
	case Tags:
		return "EXISTS (SELECT 1 FROM json_each(" + x + ") xa WHERE pdb_regexp(" + pattern + ", xa.value))"
	case Pairs:
		return "EXISTS (SELECT 1 FROM json_each(" + x + ") xa, json_each(xa.value) xb WHERE pdb_regexp(" + pattern + ", xb.value))"
	case Value:
		return "pdb_regexp(" + pattern + ", pdb_json_text(" + x + "))"
	}
	if f.NotNull {
		return "pdb_regexp(" + pattern + ", " + x + ")"
	}
	return "ifnull(pdb_regexp(" + pattern + ", " + x + "), 0)" // spec §3.6: not NULL
}

func (p noPattern) sql(s *scope) string {
	f := p.t.field
	switch {
	case p.t.path != nil:
		return "(" + s.top(p.t) + " IS NOT NULL AND NULL)"
	case f.Type == Tags || f.Type == Pairs: // whether there is an element, never unknown
		return always{}.sql(s)
	case f.Type == Value || f.NotNull:
		return "NULL"
	}
	return "(" + s.use(f.Compare) + " IS NOT NULL AND NULL)"
}

// inDictionary tests the dictionary's texts. No reference is no match.
func (f *Field) inDictionary(s *scope, test string) string {
	in := s.use(f.Dict) + " IN (SELECT xd.id FROM " + f.DictTable + " xd WHERE " + test + ")"
	if f.NotNull {
		return in
	}
	return "ifnull(" + in + ", 0)"
}

func (p nullTest) sql(s *scope) string {
	f := p.t.field
	switch {
	case p.t.path != nil || f.Type == Value || f.Type == Document:
		x := s.use(f.SQL)
		if p.t.path != nil {
			x = s.place(term{field: f, path: p.t.path.whole()})
		}
		if p.want {
			return x + " = 'null'"
		}
		return x + " <> 'null'"
	case f.Type == Encoded: // is never null, and upstream takes any argument for true
		return always{}.sql(s)
	case f.Name == "tag": // no column of its own
		return always{}.sql(s)
	case p.want:
		return s.use(f.Compare) + " IS NULL"
	}
	return s.use(f.Compare) + " IS NOT NULL"
}

// manyValues is how many values of a list become parameters of their own; their
// number is bounded.
const manyValues = 200

func (p oneOf) sql(s *scope) string {
	f := p.t.field
	if len(p.vals) == 0 {
		return "0"
	}
	x := s.use(f.Compare)
	if len(p.vals) > manyValues && (f.Type == Text || f.Type == Path || f.Type == LeafPath) {
		text, err := json.Marshal(p.vals)
		if err == nil { // it is a list of strings
			return x + " IN (SELECT xv.value FROM json_each(" + s.arg(string(text)) + ") xv)"
		}
	}
	var list, keys []string
	for _, v := range p.vals {
		switch v := v.(type) {
		case ast.Value:
			if v.Kind == ast.Number || v.Kind >= ast.Array {
				keys = append(keys, s.arg(sqlfunc.Key(canonical(v))))
			} else {
				list = append(list, s.arg(canonical(v)))
			}
		case bool:
			list = append(list, map[bool]string{true: "1", false: "0"}[v])
		default:
			list = append(list, s.arg(v))
		}
	}
	var any []string
	if list != nil {
		any = append(any, x+" IN ("+strings.Join(list, ", ")+")")
	}
	if keys != nil {
		any = append(any, "pdb_json_key("+x+") IN ("+strings.Join(keys, ", ")+")")
	}
	return "(" + strings.Join(any, " OR ") + ")"
}

func (p pathMatch) sql(s *scope) string {
	f := p.t.field
	if f.PathID == "" {
		return "pdb_path_match(" + s.use(f.SQL) + ", " + s.arg(p.patterns) + ")"
	}
	return s.use(f.PathID) + " IN (SELECT xp.id FROM fact_path xp WHERE pdb_path_match(xp.path, " + s.arg(p.patterns) + "))"
}
