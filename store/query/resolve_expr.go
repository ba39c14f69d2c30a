package query

import (
	"fmt"
	"slices"
	"strings"

	"dalang/store/query/ast"
	"dalang/store/query/sqlfunc"
)

// expr resolves a condition of one level.
func (r *resolver) expr(ent *Entity, e ast.Expr) pred {
	switch e := e.(type) {
	case *ast.And:
		return allOf{r.exprs(ent, e.Args)}
	case *ast.Or:
		return anyOf{merged(r.exprs(ent, e.Args))}
	case *ast.Not:
		return noneOf{r.expr(ent, e.Arg)}
	case *ast.Compare:
		return r.compare(ent, e)
	case *ast.IsNull:
		return r.isNull(ent, e)
	case *ast.In:
		if e.Query == nil {
			return r.inArray(ent, e)
		}
		return r.inQuery(ent, e)
	case *ast.Subquery:
		return r.subquery(ent, e)
	}
	panic(fmt.Sprintf("query: unknown expression %T", e))
}

// merged turns the equalities of one text field among alternatives into one
// membership: clients ask for hundreds of nodes that way.
func merged(args []pred) []pred {
	var out []pred
	at := map[*Field]int{}
	for _, a := range args {
		c, ok := a.(compare)
		if !ok || c.op != "=" || c.t.field.Type != Text {
			out = append(out, a)
			continue
		}
		i, seen := at[c.t.field]
		if !seen {
			at[c.t.field] = len(out)
			out = append(out, c)
			continue
		}
		list, ok := out[i].(oneOf)
		if !ok {
			list = oneOf{t: c.t, vals: []any{out[i].(compare).v}}
		}
		list.vals = append(list.vals, c.v)
		out[i] = list
	}
	return out
}

func (r *resolver) exprs(ent *Entity, list []ast.Expr) []pred {
	out := make([]pred, len(list))
	for i, e := range list {
		out[i] = r.expr(ent, e)
	}
	return out
}

// compare resolves = < > <= >= ~ ~>.
func (r *resolver) compare(ent *Entity, c *ast.Compare) pred {
	switch c.Field.Form {
	case ast.NodeActive:
		if !ent.Node || c.Op != "=" {
			r.unknownField(ent, "node")
			return always{}
		}
		return inState{c.Value.Truthy(), r.deadSince}
	case ast.Fact:
		return r.fact(ent, c)
	case ast.Parameter:
		return r.parameter(ent, c)
	case ast.Function:
		return r.typeOf(ent, c)
	}
	if c.Field.Name == "node_state" && ent.Node {
		return r.state(c)
	}
	t, ok := r.lookup(ent, c.Field.Name)
	switch {
	case c.Op == "~>" && (!ok || t.path != nil || t.field.Type != Path && t.field.Type != LeafPath):
		fail("Query operator ~> is not allowed on field %s", c.Field.Name)
	case !ok:
		r.unknownField(ent, c.Field.Name)
		return always{}
	}
	c = sound(t.field, c)
	if t.path != nil {
		return r.dotted(t, c)
	}
	switch c.Op {
	case "=":
		return r.equal(t, c)
	case "~":
		return r.match(t, c)
	case "~>":
		return r.pathMatch(t, c)
	}
	return r.ordered(t, c)
}

// sound deals with NUL in a comparison's value: no text holds one, and JSON
// that is stored has another character in its place.
func sound(f *Field, c *ast.Compare) *ast.Compare {
	switch {
	case f.Type == Value && c.Op == "=" || f.Type == Document && c.Op != "~":
		d := *c
		d.Value = withoutNUL(c.Value)
		return &d
	case c.Op == "~" || f.Type == Text || f.Type == Tags || f.Type == Pairs || f.Type == Path || f.Type == LeafPath:
		check(noNUL(c.Value))
	}
	return c
}

func (r *resolver) state(c *ast.Compare) pred {
	if c.Op != "=" || c.Value.Kind != ast.String {
		fail("node_state can only be compared with = to 'active', 'inactive' or 'any'")
	}
	switch s := strings.ToLower(c.Value.Text); s {
	case "active", "inactive":
		return inState{s == "active", r.deadSince}
	case "any": // only where eliding could not remove it
		return always{true}
	}
	fail("No matching clause: %s", c.Value.Text)
	return nil
}

func mismatch(v ast.Value, f *Field) {
	if f.Type == Int {
		fail(`Argument "%s" is incompatible with numeric field "%s".`, message(v), f.Name)
	}
	fail(`Argument %s is incompatible with field "%s".`, v.JSON(), f.Name)
}

// literal converts a value to the type of a field, for = and lists.
func literal(f *Field, v ast.Value) any {
	switch f.Type {
	case Text:
		if v.Kind != ast.String {
			mismatch(v, f)
		}
		return v.Text
	case Tags, Pairs:
		if v.Kind == ast.Null || v.Kind >= ast.Array {
			mismatch(v, f)
		}
		return asText(v)
	case Int:
		if v.Kind != ast.Number {
			mismatch(v, f)
		}
		return number(v)
	case Bool, Flag:
		if v.Kind != ast.Bool {
			mismatch(v, f)
		}
		return v.Flag
	case Time, Stamp:
		ms, err := millis(v)
		check(err)
		return ms
	case Path, LeafPath:
		p, err := encodedPath(v)
		check(err)
		return p
	case Encoded:
		return canonical(v)
	case Value, Document:
		return v
	}
	fail("Query operator = is not allowed on field %s", f.Name)
	return nil
}

func (r *resolver) equal(t term, c *ast.Compare) pred {
	v := c.Value
	if t.field.Name == "tag" && v.Kind != ast.Null { // of whatever type it is
		v = ast.Str(strings.ToLower(message(v)))
	}
	p := compare{t, "=", literal(t.field, v)}
	if r.old && !t.field.NotNull {
		return known{p}
	}
	return p
}

func (r *resolver) match(t term, c *ast.Compare) pred {
	f := t.field
	pattern, ok := patternOf(c.Value)
	switch {
	case f.Type == Encoded && c.Value.Kind != ast.String:
		return regex{t, canonical(c.Value)}
	case !ok && c.Value.Kind == ast.Null:
		return noPattern{t}
	case c.Value.Kind != ast.String && f.Type != Tags && f.Type != Pairs:
		fail(`Argument %s is not a regular expression.`, c.Value.JSON())
	}
	switch f.Type {
	case Text, Tags, Pairs, Value, Path:
	case Encoded:
		pattern = string(ast.AppendString(nil, pattern))
	default:
		fail("Query operator ~ is not allowed on field %s", f.Name)
	}
	if f.Name == "tag" {
		pattern = strings.ToLower(pattern)
	}
	checkPattern(pattern)
	return regex{t, pattern}
}

// patternOf is a value as a regular expression where scalars of any type may
// stand for one. ok is false for null.
func patternOf(v ast.Value) (text string, ok bool) {
	if v.Kind >= ast.Array {
		fail("Invalid ~ clause")
	}
	return asText(v), v.Kind != ast.Null
}

func checkPattern(p string) {
	if _, err := sqlfunc.CompileRegexp(p); err != nil {
		fail("%s", err)
	}
}

func (r *resolver) pathMatch(t term, c *ast.Compare) pred {
	if c.Value.Kind != ast.Null { // which is like an empty path
		_, err := pathElements(c.Value)
		check(err)
	}
	text := ast.List(append([]ast.Value{ast.Boolean(t.field.Type == Path)}, c.Value.Items...)...)
	if _, err := sqlfunc.NewPathMatcher(string(text.JSON())); err != nil {
		fail("%s", err)
	}
	return pathMatch{t, string(text.JSON())}
}

// ordered resolves < > <= >=.
func (r *resolver) ordered(t term, c *ast.Compare) pred {
	switch f := t.field; f.Type {
	case Int, Value:
		if c.Value.Kind != ast.Number {
			fail(`Argument "%s" and operator "%s" have incompatible types.`, message(c.Value), c.Op)
		}
		if f.Type == Value {
			return compare{t, c.Op, c.Value}
		}
		return compare{t, c.Op, number(c.Value)}
	case Time:
		ms, err := millis(c.Value)
		check(err)
		return compare{t, c.Op, ms}
	default:
		name := c.Field.Name
		if name == "tag" { // as upstream, which makes tags of it first
			name = "tags"
		}
		fail("Query operators >,>=,<,<= are not allowed on field %s", name)
	}
	return nil
}

func (r *resolver) isNull(ent *Entity, e *ast.IsNull) pred {
	if e.Field.Form != ast.Name {
		fail("null? is not allowed on %s", e.Field.Name)
	}
	t, ok := r.lookup(ent, e.Field.Name)
	if !ok {
		r.unknownField(ent, e.Field.Name)
		return always{}
	}
	return nullTest{t, e.Want}
}

// inArray resolves membership in a list.
func (r *resolver) inArray(ent *Entity, e *ast.In) pred {
	if len(e.Fields) != 1 {
		fail("in with an array takes one field, but %d were supplied", len(e.Fields))
	}
	o := e.Fields[0]
	if o.Form == ast.Fact {
		return r.factIn(ent, o.Name, e.Array)
	}
	if o.Form != ast.Name {
		fail("in is not allowed on %s", o.Name)
	}
	t, ok := r.lookup(ent, o.Name)
	if !ok {
		r.unknownField(ent, o.Name)
		return always{}
	}
	f := t.field
	if t.path != nil || f.Type == Document || f.Type == Encoded || f.Type == Raw {
		fail("Operator in...array is not supported on field %s", o.Name)
	}
	if f.Type == Tags || f.Type == Pairs {
		fail("Operator in...array is not supported on array types")
	}
	list := oneOf{t: t}
	for _, v := range e.Array {
		switch f.Type {
		case Text:
			check(noNUL(v))
			list.vals = append(list.vals, asText(v))
		case Value:
			list.vals = append(list.vals, withoutNUL(v))
		case Time, Stamp:
			if ms, err := millis(v); err == nil {
				list.vals = append(list.vals, ms)
			} else {
				list.vals = append(list.vals, nil) // equal to nothing, but not surely unequal
			}
		default:
			list.vals = append(list.vals, literal(f, v))
		}
	}
	return list
}

// inQuery resolves membership in the rows of another query.
func (r *resolver) inQuery(ent *Entity, e *ast.In) pred {
	if p, ok := r.rewritten(ent, e); ok {
		return p
	}
	var terms []term
	var wrong []string
	for _, o := range e.Fields {
		t, ok := r.lookup(ent, o.Name)
		switch {
		case o.Form != ast.Name:
			fail("in is not allowed on %s", o.Name)
		case !ok || t.path != nil:
			wrong = append(wrong, o.Name)
		default:
			terms = append(terms, t)
		}
	}
	if len(wrong) > 0 {
		s := ""
		if len(wrong) > 1 {
			s = "s"
		}
		r.unknown = append(r.unknown, fmt.Sprintf("Can't match on unknown '%s' field%s %s for 'in'. Acceptable fields are %s",
			ent.Alias, s, quoted(wrong), quoted(ent.names(queryable, true))))
		return always{}
	}
	target := r.target(e)
	sub := r.level(target, e.Query, false)
	if sub.group != nil || slices.ContainsFunc(sub.cols, func(c outcol) bool { return c.term.fn != nil }) {
		fail("functions and group_by are not supported within in")
	}
	if len(sub.cols) < len(terms) {
		fail("in compares %d fields with %d columns", len(terms), len(sub.cols))
	}
	sub.cols = sub.cols[:len(terms)]
	for i, t := range terms {
		if !coercible(t.field, sub.cols[i].term.field) {
			fail("field %s of %s can not be compared with field %s of %s", t.field.Name, ent.Alias, sub.cols[i].name, target.Alias)
		}
	}
	return member{terms, sub}
}

// target is the entity of the query within in, which has to extract.
func (r *resolver) target(e *ast.In) *Entity {
	ent := r.entities[e.Query.Entity]
	switch {
	case ent == nil && e.Legacy:
		fail("Unsupported subquery `select_%s`", e.Query.Entity)
	case ent == nil:
		fail("Can't extract unknown 'null' field '%s'. Acceptable fields are ", firstColumn(e.Query))
	case e.Query.Columns == nil:
		fail("a query within in has to extract the columns to compare with")
	}
	return ent
}

func firstColumn(q *ast.Query) string {
	if len(q.Columns) > 0 {
		return q.Columns[0].Name
	}
	return ""
}

// subquery resolves an implicit join.
func (r *resolver) subquery(ent *Entity, e *ast.Subquery) pred {
	target := r.entities[e.Entity]
	for _, rel := range ent.Relations {
		if target == nil || rel.Target != target.Name {
			continue
		}
		q := &ast.Query{Entity: e.Entity, Where: e.Where}
		var terms []term
		for i, name := range rel.Local {
			terms = append(terms, term{field: ent.field(name)})
			q.Columns = append(q.Columns, ast.Operand{Name: rel.Foreign[i]})
		}
		return member{terms, r.level(target, q, false)}
	}
	panic(&Error{Message: fmt.Sprintf("No implicit relationship for entity '%s'", e.Entity), Hint: r.nearestEntity(e.Entity)})
}
