package query

import (
	"fmt"
	"slices"

	"dalang/store/query/ast"
)

func (f *function) aggregate() bool { return f.name != "to_string" && f.name != "jsonb_typeof" }

// columns resolves extract and group_by.
func (r *resolver) columns(p *plan, q *ast.Query, outer bool) {
	if q.Columns == nil {
		for i := range p.ent.Fields {
			if f := &p.ent.Fields[i]; f.Shown {
				p.cols = append(p.cols, outcol{f.Name, term{field: f}})
			}
		}
	}
	var wrong []string
	for _, o := range q.Columns {
		t, name, ok := r.column(p.ent, o)
		if !ok {
			wrong = append(wrong, name)
			continue
		}
		p.cols = append(p.cols, outcol{unique(p.cols, name), t})
	}
	if len(wrong) > 0 {
		known := p.ent.names(shown, false)
		if !outer {
			known = p.ent.names(queryable, true)
		}
		panic(&Error{Message: cantExtract(p.ent.Alias, wrong, known), Hint: ast.DidYouMean(wrong[0], known)})
	}
	for _, o := range q.GroupBy {
		t, name, ok := r.column(p.ent, o)
		if !ok {
			fail(`"%s" is niether a valid column name nor function name`, name)
		}
		if t.fn != nil && t.fn.aggregate() {
			fail("aggregate functions are not allowed in group_by")
		}
		p.group = append(p.group, t)
	}
	r.grouping(p)
	r.numbersOnly(p, q)
}

func cantExtract(alias string, wrong, known []string) string {
	s := ""
	if len(wrong) > 1 {
		s = "s"
	}
	return fmt.Sprintf("Can't extract unknown '%s' field%s %s. Acceptable fields are %s", alias, s, quoted(wrong), quoted(known))
}

// unique gives a repeated column its suffix.
func unique(cols []outcol, name string) string {
	taken := func(n string) bool {
		return slices.ContainsFunc(cols, func(c outcol) bool { return c.name == n })
	}
	if !taken(name) {
		return name
	}
	for i := 2; ; i++ {
		if n := fmt.Sprintf("%s_%d", name, i); !taken(n) {
			return n
		}
	}
}

// column resolves one column of extract or group_by.
func (r *resolver) column(ent *Entity, o ast.Operand) (t term, name string, ok bool) {
	if o.Form == ast.Function {
		return r.function(ent, o), o.Name, true
	}
	if f := ent.field(o.Name); f != nil && f.Shown {
		return term{field: f}, o.Name, true
	}
	if t, ok = r.lookup(ent, o.Name); !ok || t.path == nil {
		return term{}, o.Name, false
	}
	if t.path.indexed() || t.path.matches() {
		fail("%s can not be extracted: neither indexes nor match() are possible there", o.Name)
	}
	return t, o.Name, true
}

// function resolves a function of a field.
func (r *resolver) function(ent *Entity, o ast.Operand) term {
	fn := &function{name: o.Name}
	args := 1
	switch o.Name {
	case "count":
		if len(o.Args) == 0 {
			fn.star = true
			return term{fn: fn}
		}
	case "avg", "sum", "min", "max", "jsonb_typeof":
	case "to_string":
		if args = 2; len(o.Args) == 2 {
			fn.mask = o.Args[1]
		}
	default:
		fail("Unknown function '%s': known functions are 'avg', 'count', 'jsonb_typeof', 'max', 'min', 'sum', and 'to_string'", o.Name)
	}
	if len(o.Args) != args {
		fail("function %s takes %d arguments, but %d were supplied", o.Name, args, len(o.Args))
	}
	f := ent.field(o.Args[0])
	if f == nil || !f.Queryable && !f.Shown {
		fail("Can't apply function %s to unknown '%s' field '%s'. Acceptable fields are %s", o.Name, ent.Alias, o.Args[0], quoted(ent.names(queryable, true)))
	}
	if bad := fn.illegal(f); bad {
		fail("function %s(%s) does not exist", fn.name, f.Name)
	}
	return term{field: f, fn: fn}
}

// illegal tells whether a function cannot take a field of this type.
func (f *function) illegal(x *Field) bool {
	switch f.name {
	case "avg", "sum":
		return x.Type != Int && x.Type != Value
	case "min", "max":
		return x.Type != Int && x.Type != Value && x.Type != Time && x.Type != Stamp && x.Type != Text
	case "to_string":
		return x.Type != Int && x.Type != Value && x.Type != Time && x.Type != Stamp
	case "jsonb_typeof":
		return x.Type != Value
	}
	return false
}

// grouping checks that a column of grouped rows has one value a group.
func (r *resolver) grouping(p *plan) {
	if p.group == nil && !p.aggregates() {
		return
	}
	for _, c := range p.cols {
		if c.term.fn != nil && c.term.fn.aggregate() {
			continue
		}
		if !slices.ContainsFunc(p.group, func(g term) bool { return sameTerm(g, c.term) }) {
			fail(`column "%s" must appear in the group_by clause or be used in an aggregate function`, c.name)
		}
	}
}

func sameTerm(a, b term) bool {
	if a.field != b.field || (a.fn == nil) != (b.fn == nil) || (a.path == nil) != (b.path == nil) {
		return false
	}
	return (a.fn == nil || *a.fn == *b.fn) && (a.path == nil || a.path.text == b.path.text)
}

// numbersOnly restricts rows to numbers when a function works on values and
// the query has a condition but no groups. Spec query.md §3.10.
func (r *resolver) numbersOnly(p *plan, q *ast.Query) {
	if q.Where == nil || p.group != nil || p.where == nil {
		return
	}
	for _, c := range p.cols {
		if fn := c.term.fn; fn != nil && c.term.field != nil && c.term.field.Type == Value && fn.name != "jsonb_typeof" && fn.name != "to_string" {
			p.where = allOf{[]pred{p.where, isNumber{term{field: c.term.field}}}}
			return
		}
	}
}
