package difffuzz

import (
	"fmt"
	"math/rand/v2"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"dalang/store/query"
	"dalang/store/query/ast"
)

// generator makes up requests. The same seed makes the same ones.
type generator struct {
	*rand.Rand
	v     *values
	depth int // of the expression being made
	odd   bool
}

func newGenerator(seed uint64, v *values) *generator {
	return &generator{Rand: rand.New(rand.NewPCG(seed, 3)), v: v}
}

// chance is true in n of 100 cases.
func (g *generator) chance(n int) bool { return g.IntN(100) < n }

// request makes up the next request.
func (g *generator) request() *Request {
	g.odd = g.chance(15) // at most some mistakes in a request: the first one found is told
	switch n := g.IntN(100); {
	case n < 45:
		return g.root()
	case n < 62:
		r := g.root()
		r.PQL = true
		if _, ok := printPQL(*r.Query); !ok {
			r.PQL = false
		}
		return r
	case n < 82:
		return g.endpoint()
	case n < 88:
		return g.below()
	case n < 94:
		return g.counts()
	}
	return g.malformed()
}

func (g *generator) anyEntity() *query.EntityInfo { return &g.v.entities[g.IntN(len(g.v.entities))] }

func (g *generator) root() *Request {
	e := g.anyEntity()
	name := e.Name
	if g.chance(4) {
		name = strings.ReplaceAll(name, "_", "-")
	}
	if g.odd && g.chance(5) {
		name = pick(g.Rand, []string{"bogus", "", "Nodes", "node", "event_counts"})
	}
	q := ast.List(ast.Str("from"), ast.Str(name))
	clause := g.query(e)
	if clause != nil {
		q.Items = append(q.Items, *clause)
	}
	r := &Request{Entity: e.Name, Query: &q, Post: g.chance(10)}
	switch n := g.IntN(10); {
	case n < 3:
		q.Items = append(q.Items, g.pagingClauses(e, clause)...)
	case n < 5:
		r.Params = g.pagingParams(e, clause)
	}
	if g.chance(2) && !g.odd {
		r.Params = append(r.Params, Param{"ast_only", "true"})
	}
	if g.chance(5) {
		r.Params = append(r.Params, Param{"include_total", "true"})
	}
	return r
}

// routes are the endpoints of entities.
func routes() map[string]string {
	return map[string]string{"/nodes": "nodes", "/facts": "facts", "/fact-names": "fact_names", "/fact-paths": "fact_paths", "/fact-contents": "fact_contents",
		"/factsets": "factsets", "/inventory": "inventory", "/environments": "environments", "/producers": "producers", "/catalogs": "catalogs", "/edges": "edges",
		"/resources": "resources", "/reports": "reports", "/events": "events", "/packages": "packages", "/package-inventory": "package_inventory",
		"/catalog-inputs": "catalog_inputs", "/catalog-input-contents": "catalog_input_contents"}
}

func (g *generator) endpoint() *Request {
	all := routes()
	var paths []string
	for p := range all {
		paths = append(paths, p)
	}
	slices.Sort(paths)
	p := pick(g.Rand, paths)
	return g.at(p, all[p])
}

// at makes up a request to a path about an entity.
func (g *generator) at(path, entity string) *Request {
	e := g.v.entity(entity)
	r := &Request{Path: path, Entity: entity, Post: g.chance(10)}
	r.Query = g.query(e)
	if g.chance(50) {
		r.Params = g.pagingParams(e, r.Query)
	}
	if g.chance(8) {
		r.Params = append(r.Params, Param{"include_total", "true"})
	}
	if entity == "nodes" && g.chance(5) {
		r.Params = append(r.Params, Param{"include_facts_expiration", "true"})
	}
	if entity == "factsets" && g.chance(20) {
		r.Params = append(r.Params, Param{"include_package_inventory", "true"})
	}
	if entity == "events" && g.chance(15) {
		r.Params = append(r.Params, g.window()...)
		if g.chance(80) {
			r.Query = g.oldQuery()
		}
	}
	if g.odd && g.chance(20) {
		r.Params = append(r.Params, pick(g.Rand, []Param{{"bogus", "1"}, {"explain", "x"}, {"limit", "0"}, {"limit", "x"}, {"offset", "-1"}, {"order_by", "x"},
			{"order_by", `[{"order":"asc"}]`}, {"order_by", `[{"field":"bogus"}]`}, {"order_by", `{"field":"certname"}`}, {"order_by", `[{"field":"certname","order":"up"}]`}, {"order_by", `[{"field":"certname","x":1}]`}, {"order_by", `["certname"]`}, {"order_by", `[]`}, {"summarize_by", "certname"}}))
		r.Params = slices.CompactFunc(r.Params, func(a, b Param) bool { return a.Name == b.Name })
	}
	return r
}

// below makes up a request to a route about one thing.
func (g *generator) below() *Request {
	value := func(field string) string {
		list := g.v.of[field]
		if len(list) == 0 || g.chance(5) {
			return "bogus"
		}
		x := pick(g.Rand, list)
		if x.Kind == ast.String {
			return x.Text
		}
		return string(x.JSON())
	}
	node, env, report, producer := value("nodes.certname"), value("environments.name"), value("reports.hash"), value("producers.name")
	name, fact := value("facts.name"), value("facts.value")
	typ, title := value("resources.type"), value("resources.title")
	esc := func(parts ...string) string {
		for i, p := range parts {
			parts[i] = strings.ReplaceAll(url.QueryEscape(p), "+", "%20")
		}
		return "/" + strings.Join(parts, "/")
	}
	type route struct{ path, entity string }
	c := pick(g.Rand, []route{
		{esc("nodes", node), "nodes"}, {esc("nodes", node, "facts"), "facts"}, {esc("nodes", node, "facts", name), "facts"}, {esc("nodes", node, "facts", name, fact), "facts"},
		{esc("nodes", node, "resources"), "resources"}, {esc("nodes", node, "resources", typ), "resources"}, {esc("nodes", node, "resources", typ, title), "resources"},
		{esc("facts", name), "facts"}, {esc("facts", name, fact), "facts"}, {esc("factsets", node), "factsets"}, {esc("factsets", node, "facts"), "factsets"},
		{esc("environments", env), "environments"}, {esc("environments", env, "facts", name), "facts"}, {esc("environments", env, "resources", typ), "resources"},
		{esc("environments", env, "reports"), "reports"}, {esc("environments", env, "events"), "events"}, {esc("producers", producer), "producers"},
		{esc("producers", producer, "factsets"), "factsets"}, {esc("producers", producer, "catalogs"), "catalogs"}, {esc("producers", producer, "reports"), "reports"},
		{esc("catalogs", node), "catalogs"}, {esc("catalogs", node, "resources"), "resources"}, {esc("catalogs", node, "resources", typ), "resources"},
		{esc("resources", typ), "resources"}, {esc("resources", typ, title), "resources"}, {esc("reports", report, "events"), "events"},
		{esc("reports", report, "metrics"), ""}, {esc("reports", report, "logs"), ""}, {esc("package-inventory", node), "package_inventory"},
	})
	single := regexp.MustCompile(`^/(environments|producers)/[^/]+$`).MatchString(c.path)
	if c.entity == "" || single || g.chance(50) {
		return &Request{Path: c.path, Entity: c.entity}
	}
	return g.at(c.path, c.entity)
}

func (g *generator) window() []Param {
	list := g.v.of["events.timestamp"]
	a, b := pick(g.Rand, list).Text, pick(g.Rand, list).Text
	if a > b {
		a, b = b, a
	}
	return []Param{{"distinct_resources", pick(g.Rand, []string{"true", "true", "true", "false"})}, {"distinct_start_time", a}, {"distinct_end_time", b}}
}

// counts makes up a request for event counts.
func (g *generator) counts() *Request {
	by := []string{"certname", "resource", "containing_class"}
	r := &Request{Path: "/event-counts", Entity: "event_counts"}
	r.Params = []Param{{"summarize_by", pick(g.Rand, by)}}
	e := g.v.entity("events")
	aggregate := g.chance(40)
	if aggregate {
		r.Path, r.Entity = "/aggregate-event-counts", "aggregate_event_counts"
		if g.chance(50) {
			r.Params[0].Value += "," + pick(g.Rand, by)
		}
	}
	distinct := g.chance(30)
	if distinct {
		r.Params = append(r.Params, g.window()...)
	}
	if g.chance(70) {
		q := g.expr(e, 2)
		if aggregate || distinct {
			q = *g.oldQuery()
		}
		r.Query = &q
	}
	counters := []string{"failures", "skips", "intentional_successes", "corrective_successes", "intentional_noops", "corrective_noops"}
	if g.chance(30) {
		r.Params = append(r.Params, Param{"count_by", pick(g.Rand, []string{"certname", "resource"})})
	}
	if g.chance(30) {
		f := ast.List(ast.Str(pick(g.Rand, []string{"=", "<", ">", "<=", ">="})), ast.Str(pick(g.Rand, counters)), ast.Int(int64(g.IntN(4))))
		r.Params = append(r.Params, Param{"counts_filter", string(f.JSON())})
	}
	if !aggregate && g.chance(30) {
		key := map[string]string{"certname": "certname", "resource": "resource_title", "containing_class": "containing_class"}[r.Params[0].Value]
		r.Params = append(r.Params, Param{"order_by", fmt.Sprintf(`[{"field":%q,"order":"desc"},{"field":%q}]`, pick(g.Rand, counters), key)})
	}
	if !aggregate && g.chance(20) {
		r.Params = append(r.Params, Param{"include_total", "true"})
	}
	return r
}

// oldQuery is a condition on events that upstream's older compiler knows.
func (g *generator) oldQuery() *ast.Value {
	e := g.v.entity("events")
	var make func(depth int) ast.Value
	make = func(depth int) ast.Value {
		switch n := g.IntN(10); {
		case depth > 0 && n < 3:
			return ast.List(ast.Str(pick(g.Rand, []string{"and", "or"})), make(depth-1), make(depth-1))
		case depth > 0 && n < 4:
			return ast.List(ast.Str("not"), make(depth-1))
		}
		f := g.field(e)
		v := g.value(e, f)
		op := "="
		switch {
		case f.Type == query.Time && g.chance(70):
			op = pick(g.Rand, []string{"<", "<=", ">", ">="})
		case f.Type == query.Text && g.chance(30):
			op, v = "~", g.regexFor(e, f)
		}
		return ast.List(ast.Str(op), ast.Str(f.Name), v)
	}
	q := make(2)
	return &q
}
