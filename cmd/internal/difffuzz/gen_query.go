package difffuzz

import (
	"encoding/json"
	"slices"

	"dalang/store/query"
	"dalang/store/query/ast"
)

// query makes up what stands for one entity: nothing, a condition, or an extract.
func (g *generator) query(e *query.EntityInfo) *ast.Value {
	var q ast.Value
	switch n := g.IntN(100); {
	case n < 10:
		return nil
	case n < 45:
		q = g.expr(e, 3)
	case n < 60:
		q = g.groups(e)
	default:
		q = ast.List(ast.Str("extract"), g.columns(e, true))
		if g.chance(80) {
			q.Items = append(q.Items, g.expr(e, 3))
		}
		if g.odd && g.chance(5) {
			q.Items = append(q.Items, pick(g.Rand, []ast.Value{ast.List(ast.Str("limit"), ast.Int(1)), ast.Str("x"), ast.List(), ast.List(ast.Str("group_by"))}))
		}
	}
	return &q
}

func (g *generator) fields(e *query.EntityInfo, want func(query.FieldInfo) bool) []query.FieldInfo {
	var out []query.FieldInfo
	for _, f := range e.Fields {
		if want(f) {
			out = append(out, f)
		}
	}
	return out
}

func names(list []query.FieldInfo) []string {
	var out []string
	for _, f := range list {
		out = append(out, f.Name)
	}
	return out
}

// columns of extract. At the top, mistakes and functions are possible.
func (g *generator) columns(e *query.EntityInfo, top bool) ast.Value {
	all := names(g.fields(e, func(f query.FieldInfo) bool { return f.Shown && (top || f.Queryable) }))
	if top && g.chance(8) {
		return ast.List(g.function(e))
	}
	if g.chance(20) {
		return ast.Str(pick(g.Rand, all))
	}
	list := ast.List()
	for range 1 + g.IntN(4) {
		name := pick(g.Rand, all)
		if d := g.dotted(e, false); d != "" && g.chance(30) {
			name = d
		}
		again := slices.ContainsFunc(list.Items, func(v ast.Value) bool { return v.Text == name })
		if !again || name == "certname" { // of other types, what repeats shows as it is stored
			list.Items = append(list.Items, ast.Str(name))
		}
	}
	if g.odd && g.chance(15) {
		list.Items = append(list.Items, ast.Str(pick(g.Rand, []string{"bogus", "", "tag", "depth", "latest_report?", "node_state", "certname", "facts"})))
	}
	if top && g.chance(2) {
		list.Items = nil
	}
	return list
}

// function is a function of a field that can take it.
func (g *generator) function(e *query.EntityInfo) ast.Value {
	call := func(name string, args ...string) ast.Value {
		v := ast.List(ast.Str("function"), ast.Str(name))
		for _, a := range args {
			v.Items = append(v.Items, ast.Str(a))
		}
		return v
	}
	f := pick(g.Rand, g.fields(e, func(f query.FieldInfo) bool { return f.Shown && f.Queryable }))
	made := g.v.volatile[e.Name+"."+f.Name]
	switch {
	case g.odd && g.chance(10):
		return pick(g.Rand, []ast.Value{call("bogus"), call("count", "bogus"), call("avg"), call("sum", "certname"), call("to_string", f.Name), call("max", "certname", "x")})
	case f.Type == query.Int:
		return call(pick(g.Rand, []string{"avg", "sum", "min", "max", "count"}), f.Name)
	case f.Type == query.Value:
		return call(pick(g.Rand, []string{"avg", "sum", "min", "max", "count"}), f.Name)
	case f.Type == query.Time && !made && g.chance(50):
		return call("to_string", f.Name, pick(g.Rand, []string{"YYYY", "YYYY-MM-DD", "HH24:MI:SS", "DAY", "Day", "FMDay", "month", "YY", "MON", "FMMonth DD", "DDD", "Q"}))
	case f.Type == query.Time || f.Type == query.Text && !made:
		return call(pick(g.Rand, []string{"min", "max", "count"}), f.Name)
	case g.chance(50):
		return call("count", f.Name)
	}
	return call("count")
}

// groups is an extract with group_by.
func (g *generator) groups(e *query.EntityInfo) ast.Value {
	all := g.fields(e, func(f query.FieldInfo) bool {
		return f.Shown && f.Queryable && f.Type != query.Raw && f.Type != query.Document
	})
	cols, group := ast.List(), ast.List(ast.Str("group_by"))
	for range 1 + g.IntN(2) {
		name := pick(g.Rand, all).Name
		if d := g.dotted(e, false); d != "" && g.chance(30) {
			name = d
		}
		if slices.ContainsFunc(cols.Items, func(v ast.Value) bool { return v.Text == name }) {
			continue
		}
		cols.Items, group.Items = append(cols.Items, ast.Str(name)), append(group.Items, ast.Str(name))
	}
	if g.chance(70) {
		fn := g.function(e)
		cols.Items = append(cols.Items, fn)
		if name := fn.Items[1].Text; name == "to_string" || name == "jsonb_typeof" || g.odd && g.chance(10) {
			group.Items = append(group.Items, fn)
		}
	}
	if g.odd && g.chance(10) {
		group.Items = append(group.Items, ast.Str(pick(g.Rand, []string{"bogus", "certname", "count"})))
	}
	q := ast.List(ast.Str("extract"), cols)
	if g.chance(60) {
		q.Items = append(q.Items, g.expr(e, 2))
	}
	q.Items = append(q.Items, group)
	return q
}

// keys are fields to order by: mostly without ties.
func (g *generator) keys(e *query.EntityInfo, clause *ast.Value) []string {
	var list []string
	if clause != nil {
		if n := len(clause.Items); n > 2 {
			if head, _ := clause.Items[n-1].Head(); head == "group_by" {
				for _, x := range clause.Items[n-1].Items[1:] {
					if x.Kind == ast.String && slices.ContainsFunc(e.Fields, func(f query.FieldInfo) bool { return f.Name == x.Text && g.orderable(e, f) }) {
						list = append(list, x.Text)
					}
				}
				g.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
				return list
			}
		}
	}
	all := names(g.fields(e, func(f query.FieldInfo) bool { return g.orderable(e, f) }))
	for range g.IntN(3) {
		list = append(list, pick(g.Rand, all))
	}
	if g.chance(85) {
		list = append(list, uniqueKey(e.Name)...)
	}
	if g.odd && g.chance(15) {
		list = append(list, pick(g.Rand, []string{"bogus", "resources", "facts.kernel", "count", ""}))
	}
	var out []string
	for _, k := range list {
		if !slices.Contains(out, k) {
			out = append(out, k)
		}
	}
	return out
}

// orderable tells whether the order of a field's values is the same for both:
// not that of what was made up, nor that of sets.
func (g *generator) orderable(e *query.EntityInfo, f query.FieldInfo) bool {
	return f.Queryable && f.Type != query.Raw && f.Type != query.Pairs && f.Name != "tag" && !(e.Name == "resources" && f.Type == query.Tags) &&
		!(g.v.volatile[e.Name+"."+f.Name] && f.Type == query.Text)
}

func (g *generator) pagingClauses(e *query.EntityInfo, clause *ast.Value) []ast.Value {
	var out []ast.Value
	order := ast.List()
	for _, k := range g.keys(e, clause) {
		switch g.IntN(3) {
		case 0:
			order.Items = append(order.Items, ast.Str(k))
		case 1:
			order.Items = append(order.Items, ast.List(ast.Str(k), ast.Str("asc")))
		default:
			order.Items = append(order.Items, ast.List(ast.Str(k), ast.Str("desc")))
		}
	}
	if len(order.Items) > 0 {
		out = append(out, ast.List(ast.Str("order_by"), order))
		if g.chance(60) {
			out = append(out, ast.List(ast.Str("limit"), ast.Int(int64(1+g.IntN(20)))))
		}
		if g.chance(30) {
			out = append(out, ast.List(ast.Str("offset"), ast.Int(int64(g.IntN(10)))))
		}
	}
	if g.odd && g.chance(20) {
		out = append(out, pick(g.Rand, []ast.Value{ast.List(ast.Str("limit")), ast.List(ast.Str("limit"), ast.Int(1)), ast.List(ast.Str("bogus"), ast.Int(1)),
			ast.List(ast.Str("="), ast.Str("certname"), ast.Str("x")), ast.List(ast.Str("order_by"))}))
	}
	g.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}

func (g *generator) pagingParams(e *query.EntityInfo, clause *ast.Value) []Param {
	var out []Param
	type key struct {
		Field string `json:"field"`
		Order string `json:"order,omitempty"`
	}
	var order []key
	for _, k := range g.keys(e, clause) {
		order = append(order, key{k, pick(g.Rand, []string{"", "asc", "desc", "DESC"})})
	}
	if order == nil {
		return nil
	}
	b, err := json.Marshal(order)
	if err != nil {
		return nil
	}
	out = append(out, Param{"order_by", string(b)})
	if g.chance(60) {
		out = append(out, Param{"limit", pick(g.Rand, []string{"1", "2", "5", "17", "50"})})
	}
	if g.chance(30) {
		out = append(out, Param{"offset", pick(g.Rand, []string{"0", "1", "3", "20"})})
	}
	return out
}
