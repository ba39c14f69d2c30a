package difffuzz

import (
	"strings"

	"dalang/store/query"
	"dalang/store/query/ast"
)

// expr makes up a condition.
func (g *generator) expr(e *query.EntityInfo, depth int) ast.Value {
	n := g.IntN(100)
	switch {
	case depth > 0 && n < 14:
		return g.joint("and", e, depth)
	case depth > 0 && n < 26:
		return g.joint("or", e, depth)
	case depth > 0 && n < 36:
		x := g.expr(e, depth-1)
		if partwise(x) {
			x = ast.List(ast.Str("and"), x)
		}
		return ast.List(ast.Str("not"), x)
	case g.odd && n < 42:
		return g.mistake(e)
	case depth > 0 && n < 48:
		return g.inQuery(e, depth)
	case depth > 0 && n < 54:
		return g.subquery(e, depth)
	case n < 60:
		return g.inArray(e)
	case n < 64:
		return g.pseudo(e)
	case n < 68:
		return ast.List(ast.Str("null?"), ast.Str(g.nullable(e)), ast.Boolean(g.chance(50)))
	case n < 80:
		if d := g.dotted(e, true); d != "" {
			return g.inDocument(d)
		}
	}
	return g.comparison(e)
}

func (g *generator) joint(op string, e *query.EntityInfo, depth int) ast.Value {
	v := ast.List(ast.Str(op))
	if g.odd && g.chance(5) {
		v.Items[0] = ast.Str(strings.ToUpper(op))
	}
	for range 1 + g.IntN(3) {
		v.Items = append(v.Items, g.expr(e, depth-1))
	}
	return v
}

// field is a queryable one.
func (g *generator) field(e *query.EntityInfo) query.FieldInfo {
	all := g.fields(e, func(f query.FieldInfo) bool { return f.Queryable })
	if len(all) == 0 {
		return query.FieldInfo{Name: "name"}
	}
	return pick(g.Rand, all)
}

func (g *generator) nullable(e *query.EntityInfo) string {
	if d := g.dotted(e, true); d != "" && g.chance(40) {
		return d
	}
	for {
		if f := g.field(e); f.Name != "tag" && f.Name != "latest_report?" {
			return f.Name
		}
	}
}

// comparison is an operator that fits the field, or nearly so.
func (g *generator) comparison(e *query.EntityInfo) ast.Value {
	f := g.field(e)
	op, v := "=", g.value(e, f)
	made := g.v.volatile[e.Name+"."+f.Name]
	switch f.Type {
	case query.Text, query.Tags, query.Encoded, query.Pairs:
		if g.chance(40) {
			op, v = "~", g.regexFor(e, f)
			if made {
				v = ast.Str("^zz")
			}
		}
	case query.Int, query.Time:
		op = pick(g.Rand, []string{"=", "<", "<=", ">", ">="})
	case query.Value:
		op = pick(g.Rand, []string{"=", "=", "<", "<=", ">", ">="})
		if op != "=" && g.chance(80) {
			v = g.number()
		}
		if g.chance(25) {
			op, v = "~", g.regexFor(e, f)
		}
	case query.Path, query.LeafPath:
		if g.chance(60) {
			op, v = "~>", g.pathPattern(v)
		}
	}
	if g.odd && g.chance(15) {
		op = pick(g.Rand, []string{"=", "~", "<", ">=", "~>"})
	}
	if g.odd && g.chance(15) {
		v = g.oddValue()
	}
	return ast.List(ast.Str(op), ast.Str(f.Name), v)
}

func (g *generator) inArray(e *query.EntityInfo) ast.Value {
	f := g.field(e)
	list := ast.List()
	for range g.IntN(5) {
		v := g.value(e, f)
		if g.odd && g.chance(10) {
			v = g.oddValue()
		}
		list.Items = append(list.Items, v)
	}
	src := ast.List(ast.Str("array"), list)
	if g.odd && g.chance(5) {
		src.Items[1] = ast.Str("x")
	}
	return ast.List(ast.Str("in"), ast.Str(f.Name), src)
}

// joins are pairs of fields that may have values in common.
func (g *generator) joinFields(outer, inner *query.EntityInfo) (out, in string) {
	if g.chance(70) {
		var common []string
		for _, f := range g.fields(outer, func(f query.FieldInfo) bool { return f.Queryable && f.Shown }) {
			for _, h := range g.fields(inner, func(f query.FieldInfo) bool { return f.Queryable && f.Shown }) {
				if f.Name == h.Name && f.Type == h.Type {
					common = append(common, f.Name)
				}
			}
		}
		if common != nil {
			name := pick(g.Rand, common)
			return name, name
		}
	}
	o, i := g.field(outer), g.field(inner)
	for range 20 {
		if o.Type == i.Type && i.Shown {
			break
		}
		o, i = g.field(outer), g.field(inner)
	}
	return o.Name, i.Name
}

// inQuery is membership in the rows of another query, in either spelling.
func (g *generator) inQuery(e *query.EntityInfo, depth int) ast.Value {
	inner := g.anyEntity()
	out, in := ast.List(), ast.List()
	for range 1 + g.IntN(2) {
		a, b := g.joinFields(e, inner)
		out.Items, in.Items = append(out.Items, ast.Str(a)), append(in.Items, ast.Str(b))
	}
	if len(out.Items) == 1 && g.chance(70) {
		out = out.Items[0]
		if g.chance(50) {
			in = in.Items[0]
		}
	}
	if g.odd && g.chance(10) {
		out = ast.Str(pick(g.Rand, []string{"bogus", "", "facts.kernel", "tag"}))
	}
	if g.odd && g.chance(10) {
		in = ast.Str(pick(g.Rand, []string{"bogus", "facts.kernel", "tag"}))
	}
	name := inner.Name
	if g.odd && g.chance(5) {
		name = strings.ReplaceAll(name, "_", "-")
	}
	where := g.expr(inner, depth-1)
	if g.chance(50) {
		return ast.List(ast.Str("in"), out, ast.List(ast.Str("extract"), in, ast.List(ast.Str("select_"+name), where)))
	}
	x := ast.List(ast.Str("extract"), in)
	if g.chance(85) {
		x.Items = append(x.Items, where)
	}
	from := ast.List(ast.Str("from"), ast.Str(name), x)
	if g.chance(25) {
		from.Items = append(from.Items, g.pagingClauses(inner, nil)...)
	}
	return ast.List(ast.Str("in"), out, from)
}

func (g *generator) subquery(e *query.EntityInfo, depth int) ast.Value {
	target := g.anyEntity()
	if len(e.Relations) > 0 && !(g.odd && g.chance(20)) {
		if t := g.v.entity(pick(g.Rand, e.Relations).Target); t != nil {
			target = t
		}
	}
	return ast.List(ast.Str("subquery"), ast.Str(target.Name), g.expr(target, depth-1))
}

// pseudo is a condition on something that is no field.
func (g *generator) pseudo(e *query.EntityInfo) ast.Value {
	if e.Name == "resources" && g.chance(60) {
		return g.parameter()
	}
	if (e.Name == "reports" || e.Name == "events") && g.chance(50) {
		return ast.List(ast.Str("="), ast.Str("latest_report?"), ast.Boolean(g.chance(60)))
	}
	if (e.Name == "reports" || e.Name == "fact_paths" || e.Name == "resources") && g.chance(30) {
		return ast.List(ast.Str("="), ast.Str("type"), ast.Str("any"))
	}
	if (e.Name == "facts" || e.Name == "fact_contents") && g.chance(30) {
		return ast.List(ast.Str("="), ast.List(ast.Str("function"), ast.Str("jsonb_typeof"), ast.Str("value")),
			ast.Str(pick(g.Rand, []string{"string", "number", "boolean", "null", "object", "array", "x"})))
	}
	if !e.Node && !g.odd {
		return g.comparison(e)
	}
	switch g.IntN(4) {
	case 0:
		return ast.List(ast.Str("="), ast.Str("node_state"), ast.Str(pick(g.Rand, []string{"active", "any", "any", "inactive", "Active"})))
	case 1:
		return ast.List(ast.Str("="), ast.List(ast.Str("node"), ast.Str("active")), ast.Boolean(g.chance(50)))
	}
	return g.fact()
}

func (g *generator) fact() ast.Value {
	name := g.value(g.v.entity("facts"), query.FieldInfo{Name: "name"})
	v := g.value(g.v.entity("facts"), query.FieldInfo{Name: "value", Type: query.Value})
	op := "="
	switch g.IntN(4) {
	case 0:
		op, v = pick(g.Rand, []string{"<", "<=", ">", ">="}), g.number()
	case 1:
		op, v = "~", g.regexFor(g.v.entity("facts"), query.FieldInfo{Name: "value", Type: query.Value})
	case 2:
		if g.chance(30) {
			return ast.List(ast.Str("in"), ast.List(ast.Str("fact"), name), ast.List(ast.Str("array"), ast.List(v, g.sameKind(v))))
		}
	}
	return ast.List(ast.Str(op), ast.List(ast.Str("fact"), name), v)
}

func (g *generator) sameKind(v ast.Value) ast.Value {
	for range 10 {
		if w := g.value(g.v.entity("facts"), query.FieldInfo{Name: "value", Type: query.Value}); w.Kind == v.Kind {
			return w
		}
	}
	return v
}

func (g *generator) parameter() ast.Value {
	p := pick(g.Rand, g.v.params)
	name := ast.List(ast.Str("parameter"), ast.Str(p[0]))
	v := g.documentValue("resources.parameters", p[:1])
	if v.Kind == ast.String && g.chance(30) {
		return ast.List(ast.Str("~"), name, g.pattern(v.Text))
	}
	return ast.List(ast.Str("="), name, v)
}

// inDocument is a comparison with a place within a document.
func (g *generator) inDocument(field string) ast.Value {
	v := g.documentValue(field, nil)
	switch g.IntN(4) {
	case 0:
		return ast.List(ast.Str(pick(g.Rand, []string{"<", "<=", ">", ">="})), ast.Str(field), v)
	case 1:
		text := v.Text
		if v.Kind != ast.String {
			text = string(v.JSON())
		}
		return ast.List(ast.Str("~"), ast.Str(field), g.pattern(text))
	}
	return ast.List(ast.Str("="), ast.Str(field), v)
}

// mistake is a condition that is wrong in some way.
func (g *generator) mistake(e *query.EntityInfo) ast.Value {
	f := g.field(e).Name
	c := g.comparison(e)
	arity := ast.List(c.Items[:1+g.IntN(len(c.Items))]...)
	return pick(g.Rand, []ast.Value{
		ast.List(ast.Str("="), ast.Str(pick(g.Rand, []string{"bogus", "Certname", "", "facts.x", "certname.x", "parameters.x", "node_state", "report-environment"})), ast.Str("x")),
		arity,
		ast.List(append(copied(c).Items, ast.Str("x"))...),
		ast.List(ast.Str("bogus"), ast.Str(f), ast.Str("x")),
		ast.List(ast.Str(strings.ToUpper("not")), c),
		ast.List(),
		ast.List(ast.Str("and")),
		ast.List(ast.Str("or")),
		ast.List(ast.Str("not")),
		ast.List(ast.Str("not"), c, c),
		ast.List(ast.Str("null?"), ast.Str(f)),
		ast.List(ast.Str("null?"), ast.Str("bogus"), ast.Boolean(true)),
		ast.List(ast.Str("null?"), ast.Str(f), pick(g.Rand, []ast.Value{{}, ast.Int(0), ast.Str("x")})),
		ast.List(ast.Str("in"), ast.Str(f), ast.Str("x")),
		ast.List(ast.Str("in"), ast.Str(f)),
		ast.List(ast.Str("in"), ast.Str("bogus"), ast.List(ast.Str("array"), ast.List(ast.Str("x")))),
		ast.List(ast.Str("in"), ast.Str(f), ast.List(ast.Str("array"))),
		ast.List(ast.Str("subquery"), ast.Str("bogus"), c),
		ast.List(ast.Str("subquery"), ast.Str("nodes")),
		ast.List(ast.Str("="), ast.Str(f), ast.Value{}),
		ast.List(ast.Str("~"), ast.Str(f), ast.Str(pick(g.Rand, []string{"*x", "[", "(", `\`, "a{2", "a{3,2}", "(?z)", `\8`, "[b-a]", "x**"}))),
		ast.Str("x"),
		ast.Int(1),
		{},
		{Kind: ast.Object, Keys: []string{"a"}, Items: []ast.Value{ast.Int(1)}},
	})
}
