package query

import (
	"fmt"
	"slices"
	"strings"

	"dalang/store/query/ast"
)

// resolver turns trees into plans. It collects every unknown field, as
// upstream does; any other mistake ends it.
type resolver struct {
	entities  catalogue
	extra     *Entity // of the route, when no query can name it
	agents    bool    // hide reports of plans
	deadSince int64   // inactive nodes died after this time
	old       bool    // as upstream's older compiler: nothing is unknown
	unknown   []string
	hint      string // at what the first unknown field may have meant
}

// resolve is the plan of a request's query.
func (r *resolver) resolve(req *Request, q *ast.Query) (p *plan, err error) {
	defer func() { // the one place where the resolver's panics end
		if x := recover(); x != nil {
			e, ok := x.(*Error)
			if !ok {
				panic(x)
			}
			p, err = nil, e
		}
	}()
	ent := r.extra
	if ent == nil {
		ent = extended(r.entity(q.Entity), req)
	}
	r.outer(ent, req, q)
	p = r.level(ent, q, true)
	r.page(p, req.Paging)
	if len(r.unknown) > 0 {
		return nil, &Error{Message: strings.Join(r.unknown, "\n"), Hint: r.hint}
	}
	if i := slices.IndexFunc(p.cols, outcol.plain); ent.Strings && i >= 0 {
		p.cols = p.cols[i : i+1] // rows are its values: nothing else can show
	}
	return p, nil
}

func extended(ent *Entity, req *Request) *Entity {
	switch {
	case ent.Name == "nodes" && req.FactsExpiration:
		return withExpiration(ent)
	case ent.Name == "factsets" && req.PackageInventory:
		return withPackages(ent)
	}
	return ent
}

// fail ends resolving.
func fail(format string, args ...any) {
	panic(&Error{Message: fmt.Sprintf(format, args...)})
}

func check(err error) {
	if err != nil {
		fail("%s", err)
	}
}

func (r *resolver) entity(name string) *Entity {
	ent := r.entities[strings.ReplaceAll(name, "-", "_")]
	if ent == nil {
		panic(&Error{Message: fmt.Sprintf("Invalid entity '%s' in query", name), Hint: r.nearestEntity(name)})
	}
	return ent
}

func (r *resolver) nearestEntity(name string) string {
	var names []string
	for n := range r.entities {
		names = append(names, n)
	}
	return ast.DidYouMean(name, names)
}

// outer adds what the route and the default visibility of nodes demand.
func (r *resolver) outer(ent *Entity, req *Request, q *ast.Query) {
	var extra []ast.Expr
	for _, v := range req.Restrict {
		e, err := ast.ParseExpr(v)
		check(err)
		extra = append(extra, e)
	}
	if req.ActiveOnly && ent.Node && !mentionsState(q.Where) {
		extra = append(extra, &ast.Compare{Op: "=", Field: ast.Operand{Name: "node_state"}, Value: ast.Str("active")})
	}
	if len(extra) == 0 {
		return
	}
	if q.Where != nil {
		extra = append(extra, q.Where)
	}
	q.Where = &ast.And{Args: extra}
}

// mentionsState tells whether a query speaks of node_state at any level.
func mentionsState(e ast.Expr) (found bool) {
	ast.WalkAll(e, func(x ast.Expr) {
		if c, ok := x.(*ast.Compare); ok && c.Op == "=" && isState(c.Field) {
			found = true
		}
	})
	return found
}

func isState(o ast.Operand) bool {
	return o.Form == ast.NodeActive || o.Form == ast.Name && o.Name == "node_state"
}

// level resolves one level. outer tells the outermost one, whose extract has
// messages of its own.
func (r *resolver) level(ent *Entity, q *ast.Query, outer bool) *plan {
	p := &plan{ent: ent, limit: q.Limit, offset: q.Offset}
	where := q.Where
	if ent.Agent && r.agents && !mentionsType(where) {
		agent := &ast.Compare{Op: "=", Field: ast.Operand{Name: "type"}, Value: ast.Str("agent")}
		if where == nil {
			where = agent
		} else {
			where = &ast.And{Args: []ast.Expr{agent, where}}
		}
	}
	if where = elide(ent, where); where != nil {
		p.where = r.expr(ent, where)
	}
	r.columns(p, q, outer)
	r.orders(p, q.OrderBy)
	return p
}

// mentionsType tells whether a level speaks of a report's type itself.
func mentionsType(e ast.Expr) (found bool) {
	ast.Walk(e, func(x ast.Expr) {
		switch x := x.(type) {
		case *ast.Compare:
			found = found || x.Field.Form == ast.Name && x.Field.Name == "type"
		case *ast.IsNull:
			found = found || x.Field.Name == "type"
		case *ast.In:
			found = found || x.Query == nil && x.Fields[0].Name == "type"
		}
	})
	return found
}

// elide deletes conditions that stand for "any": a parent that becomes empty
// goes too. Spec query.md §2.0.
func elide(ent *Entity, e ast.Expr) ast.Expr {
	list := func(args []ast.Expr) []ast.Expr {
		var out []ast.Expr
		for _, a := range args {
			if a = elide(ent, a); a != nil {
				out = append(out, a)
			}
		}
		return out
	}
	switch x := e.(type) {
	case *ast.And:
		if args := list(x.Args); args != nil {
			return &ast.And{Args: args}
		}
		return nil
	case *ast.Or:
		if args := list(x.Args); args != nil {
			return &ast.Or{Args: args}
		}
		return nil
	case *ast.Not:
		if arg := elide(ent, x.Arg); arg != nil {
			return &ast.Not{Arg: arg}
		}
		return nil
	case *ast.Compare:
		if x.Op != "=" || x.Field.Form != ast.Name || x.Value.Kind != ast.String {
			return e
		}
		if x.Field.Name == "node_state" && strings.EqualFold(x.Value.Text, "any") {
			return nil
		}
		if f := ent.field("type"); x.Field.Name == "type" && x.Value.Text == "any" && f != nil && f.Queryable {
			return nil
		}
	}
	return e
}

func (r *resolver) unknownField(ent *Entity, name string) {
	known := ent.names(queryable, true)
	if len(r.unknown) == 0 {
		r.hint = ast.DidYouMean(name, known)
	}
	text := fmt.Sprintf("'%s' is not a queryable object for %s. Known queryable objects are %s", name, ent.Alias, quoted(known))
	if len(known) == 0 {
		text = fmt.Sprintf("'%s' is not a queryable object for %s. Entity %s has no queryable objects", name, ent.Alias, ent.Alias)
	}
	if !slices.Contains(r.unknown, text) {
		r.unknown = append(r.unknown, text)
	}
}

// lookup finds a queryable field or a dotted one.
func (r *resolver) lookup(ent *Entity, name string) (t term, ok bool) {
	if f := ent.field(name); f != nil && f.Queryable {
		return term{field: f}, true
	}
	d, ok := parseDotted(name)
	if !ok {
		return term{}, false
	}
	if f := ent.field(d.top); f != nil && f.Type == Document {
		return term{field: f, path: d}, true
	}
	return term{}, false
}

// orders resolves sort keys.
func (r *resolver) orders(p *plan, list []ast.Order) {
	for _, o := range list {
		f := p.ent.field(o.Field)
		if f == nil || !f.Queryable {
			known := p.ent.names(queryable, true)
			for i, k := range known {
				known[i] = "'" + k + "'"
			}
			panic(&Error{Message: fmt.Sprintf("Unrecognized column '%s' specified in :order_by; Supported columns are %s", o.Field, strings.Join(known, ", ")),
				Hint: ast.DidYouMean(o.Field, p.ent.names(queryable, true))})
		}
		p.order = append(p.order, sortKey{term{field: f}, o.Desc})
	}
	if len(p.group) == 0 && !p.aggregates() {
		return
	}
	for _, k := range p.order {
		if !slices.ContainsFunc(p.group, func(g term) bool { return g.field == k.term.field && g.path == nil && g.fn == nil }) {
			fail(`column "%s" must appear in the group_by clause to order by it`, k.term.field.Name)
		}
	}
}

// aggregates tells whether a column is an aggregate function.
func (p *plan) aggregates() bool {
	return slices.ContainsFunc(p.cols, func(c outcol) bool { return c.term.fn != nil && c.term.fn.aggregate() })
}

// page lets the request's paging take precedence over the query's.
func (r *resolver) page(p *plan, pg Paging) {
	if pg.Limit != nil {
		p.limit = pg.Limit
	}
	if pg.Offset != nil {
		p.offset = pg.Offset
	}
	if pg.OrderBy != nil {
		p.order = nil
		list := make([]ast.Order, len(pg.OrderBy))
		for i, o := range pg.OrderBy {
			list[i] = ast.Order{Field: o.Field, Desc: o.Desc}
		}
		r.orders(p, list)
	}
	if p.ent.Distinct && p.order == nil && p.group == nil && !p.aggregates() {
		p.order = []sortKey{{term: term{field: &p.ent.Fields[0]}}}
	}
}
