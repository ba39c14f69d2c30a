package query

import (
	"fmt"
	"slices"

	"dalang/store/query/ast"
	"dalang/store/query/sqlfunc"
)

// fact resolves a comparison with ["fact", name]. Spec query.md §3.4.
func (r *resolver) fact(ent *Entity, c *ast.Compare) pred {
	v := c.Value
	switch k := v.Kind; {
	case c.Op == "=" && (k == ast.String || k == ast.Bool):
	case c.Op == "~" && (k == ast.String || k == ast.Bool):
		v = ast.Str(asText(v))
		checkPattern(v.Text)
	case c.Op != "~" && c.Op != "~>" && k == ast.Number:
	default:
		fail("Operator '%s' not allowed on value '%s'", c.Op, message(v))
	}
	if !ent.Node {
		r.unknownField(ent, "fact")
		return always{}
	}
	return r.factTest(ent, c.Field.Name, c.Op, withoutNUL(v))
}

// factTest is the comparison facts.NAME op v of the inventory, as which
// upstream reads name: os.family is a place within the fact os, and a fact
// whose own name holds a dot must be quoted.
func (r *resolver) factTest(ent *Entity, name, op string, v ast.Value) pred {
	text := "facts." + name
	d, ok := parseDotted(text)
	if !ok {
		fail(`Don't recognize AST field component at character %d: "%s"`, badSegment(text), text)
	}
	if s := d.segs[0]; len(d.segs) == 1 && s.key == name && s.index < 0 && s.match == "" {
		return ofFact{r.nodeID(ent), name, op, v}
	}
	if d.matches() {
		return always{} // upstream takes match() for a key here
	}
	inventory := ast.List(ast.Str("select_inventory"), ast.List(ast.Str(op), ast.Str(text), v))
	e, err := ast.ParseExpr(ast.List(ast.Str("in"), ast.Str("certname"), ast.List(ast.Str("extract"), ast.Str("certname"), inventory)))
	check(err)
	return r.expr(ent, e)
}

// nodeID is the column with the id of a row's node.
func (r *resolver) nodeID(ent *Entity) string { return ent.field("certname").Key }

// factIn resolves ["in", ["fact", name], ["array", …]].
func (r *resolver) factIn(ent *Entity, name string, list []ast.Value) pred {
	if len(list) == 0 || slices.ContainsFunc(list, func(v ast.Value) bool { return jsonType(v) != jsonType(list[0]) }) {
		fail("All values in array must be the same type.")
	}
	if !ent.Node {
		r.unknownField(ent, "fact")
		return always{}
	}
	any := make([]pred, len(list))
	for i, v := range list {
		any[i] = ofFact{r.nodeID(ent), name, "=", withoutNUL(v)}
	}
	return anyOf{any}
}

// jsonType tells integers of several sizes and other numbers apart, as
// upstream's types do.
func jsonType(v ast.Value) string {
	if v.Kind == ast.Number {
		switch n, isInt := number(v).(int64); {
		case isInt && n == int64(int32(n)):
			return "int"
		case isInt:
			return "long"
		}
		return "float"
	}
	return fmt.Sprint(v.Kind)
}

// rewritten knows the one spelling of a fact subquery that upstream turns into
// a comparison with the inventory: a bare column, select_facts, and a name and
// a value. Spec query.md §3.1.
func (r *resolver) rewritten(ent *Entity, e *ast.In) (pred, bool) {
	q := e.Query
	if !e.Legacy || !q.Bare || q.Entity != "facts" || len(e.Fields) != 1 || e.Fields[0].Name != "certname" || !ent.Node ||
		len(q.Columns) != 1 || q.Columns[0].Name != "certname" {
		return nil, false
	}
	and, ok := q.Where.(*ast.And)
	if !ok || len(and.Args) != 2 {
		return nil, false
	}
	name, ok1 := and.Args[0].(*ast.Compare)
	value, ok2 := and.Args[1].(*ast.Compare)
	if !ok1 || !ok2 || name.Op != "=" || name.Field.Form != ast.Name || name.Field.Name != "name" || name.Value.Kind != ast.String ||
		value.Field.Form != ast.Name || value.Field.Name != "value" || value.Op == "~>" || value.Op == "~" && value.Value.Kind != ast.String {
		return nil, false
	}
	if value.Value.Kind == ast.Array {
		return nil, false
	}
	check(noNUL(name.Value))
	check(noNUL(value.Value))
	if value.Op != "=" && value.Op != "~" && value.Value.Kind != ast.Number {
		return nil, false // the usual way has the message for it
	}
	if value.Op == "~" {
		checkPattern(value.Value.Text)
	}
	return r.factTest(ent, name.Value.Text, value.Op, value.Value), true
}

// parameter resolves a comparison with ["parameter", name]. Spec query.md §3.4.
func (r *resolver) parameter(ent *Entity, c *ast.Compare) pred {
	if ent.Name != "resources" {
		r.unknownField(ent, "parameter")
		return always{}
	}
	switch {
	case c.Op == "=":
		return ofParameter{c.Field.Name, "=", canonical(c.Value)}
	case c.Op == "~" && c.Value.Kind == ast.String:
		pattern := string(ast.AppendString(nil, c.Value.Text))
		checkPattern(pattern)
		return ofParameter{c.Field.Name, "~", pattern}
	}
	fail("Query operator %s is not allowed on [\"parameter\" \"%s\"]", c.Op, c.Field.Name)
	return nil
}

// typeOf resolves ["=", ["function", "jsonb_typeof", "value"], type].
func (r *resolver) typeOf(ent *Entity, c *ast.Compare) pred {
	if c.Field.Name != "jsonb_typeof" || c.Op != "=" || c.Value.Kind != ast.String {
		fail("function %s is not supported in a condition", c.Field.Name)
	}
	t := r.function(ent, c.Field)
	return ofType{term{field: t.field}, c.Value.Text}
}

// simple tells whether a value may be compared with < and its like within a Document.
func simple(v ast.Value) bool {
	return v.Kind != ast.Object && !slices.ContainsFunc(v.Items, func(x ast.Value) bool {
		_, isInt := number(x).(int64)
		return x.Kind != ast.String && !(x.Kind == ast.Number && isInt)
	})
}

// dotted resolves a comparison within a Document. Spec query.md §3.5.
func (r *resolver) dotted(t term, c *ast.Compare) pred {
	if c.Op == "~>" {
		fail("Query operator ~> is not allowed on field %s", c.Field.Name)
	}
	if t.path.matches() {
		switch {
		case t.path.ofFacts():
			if _, err := sqlfunc.CompileRegexp(pathPattern(t.path)); err != nil {
				fail("%s", err)
			}
		case c.Op == "=":
			return always{} // spec §3.5: no rows
		default:
			fail("No matching clause: :puppetlabs.puppetdb.query-eng.parse/match-field-part")
		}
	}
	switch c.Op {
	case "~":
		text, ok := patternOf(c.Value)
		if !ok {
			return noPattern{t}
		}
		checkPattern(text)
		return inDoc{t, "~", ast.Str(text)}
	case "<", "<=", ">", ">=":
		if !t.path.matches() && !simple(c.Value) {
			fail("Invalid %s clause", c.Op)
		}
	}
	return inDoc{t, c.Op, c.Value}
}
