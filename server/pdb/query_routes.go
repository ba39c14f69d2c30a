package pdb

import "dalang/store/query"

// Parts of paths. They are matched as they were sent, escapes included.
const (
	anySegment  = `[\w%.~:-]*`
	idSegment   = `[A-Za-z0-9._-]+`
	v4          = "/pdb/query/v4"
	extV1       = "/pdb/ext/v1"
	factsTail   = "/facts"
	nameTail    = "/{name:" + anySegment + "}"
	valueTail   = "/{value:" + anySegment + "}"
	typeTail    = "/{type:" + anySegment + "}"
	titleTail   = "/{title:" + anySegment + "}"
	reportsTail = "/reports"
)

// Routes is the route table of the query API. Spec query.md §1.3.
func (q *Queries) Routes() []Route {
	t := &queryTable{q: q}
	t.add("", endpoint{active: true, params: append(typical(), "ast_only")}, "any query, AST or PQL")
	t.nodes()
	t.add("/fact-names", endpoint{entity: "fact_names"}, "names of top-level facts")
	t.add("/fact-paths", endpoint{entity: "fact_paths"}, "paths of leaves of facts")
	t.add("/fact-contents", endpoint{entity: "fact_contents", active: true}, "leaves of facts")
	t.facts("", endpoint{})
	t.factsets()
	t.add("/inventory", endpoint{entity: "inventory", active: true}, "nodes with their facts as one object")
	t.parents()
	t.catalogs()
	t.resources("", endpoint{})
	t.add("/edges", endpoint{entity: "edges", active: true}, "edges of catalogs")
	t.reports("", endpoint{})
	t.add("/events", endpoint{entity: "events", params: eventParams()}, "resource events")
	t.add("/event-counts", endpoint{entity: "events", params: countParams()}, "resource events, counted")
	t.add("/aggregate-event-counts", endpoint{entity: "events", params: aggregateParams(), aggregate: true}, "subjects of resource events, counted")
	t.add("/packages", endpoint{entity: "packages"}, "packages")
	t.add("/package-inventory", endpoint{entity: "package_inventory", active: true}, "packages by node")
	t.add("/package-inventory/{node:"+idSegment+"}", endpoint{entity: "package_inventory", filters: []string{"certname", "node"}}, "packages of a node")
	t.add("/catalog-inputs", endpoint{entity: "catalog_inputs", active: true}, "what catalogs were compiled from")
	t.add("/catalog-input-contents", endpoint{entity: "catalog_input_contents", active: true}, "the same, a row for each input")
	t.extensions()
	t.retired()
	return t.routes
}

type queryTable struct {
	q      *Queries
	routes []Route
}

func (t *queryTable) add(path string, e endpoint, doc string) {
	if e.params == nil {
		e.params = typical()
	}
	t.routes = append(t.routes, Route{Path: v4 + path, Handle: t.q.handle(e), Doc: doc})
}

// with adds filters to an endpoint.
func (e endpoint) with(filters ...string) endpoint {
	e.filters = append(append([]string{}, e.filters...), filters...)
	return e
}

func (t *queryTable) nodes() {
	node := endpoint{parent: query.Node, filters: []string{"certname", "node"}}
	one := node
	one.entity, one.single = "nodes", true
	t.add("/nodes", endpoint{entity: "nodes", active: true}, "nodes")
	t.add("/nodes/{node:"+anySegment+"}", one, "a node")
	t.facts("/nodes/{node:"+anySegment+"}", node)
	t.resources("/nodes/{node:"+anySegment+"}", node)
}

func (t *queryTable) facts(under string, e endpoint) {
	e.entity, e.active = "facts", true
	t.add(under+factsTail, e, "facts")
	t.add(under+factsTail+nameTail, e.with("name", "name"), "facts of a name")
	t.add(under+factsTail+nameTail+valueTail, e.with("name", "name", "value", "value"), "facts of a name with a value")
}

func (t *queryTable) resources(under string, e endpoint) {
	e.entity, e.active = "resources", true
	t.add(under+"/resources", e, "resources")
	t.add(under+"/resources"+typeTail, e.with("type", "type"), "resources of a type")
	t.add(under+"/resources"+typeTail+titleTail, e.with("type", "type", "title", "title"), "resources of a type and a title")
}

func (t *queryTable) factsets() {
	of := endpoint{entity: "factsets", parent: query.Factset, filters: []string{"certname", "factset"}}
	one := of
	one.single = true
	t.add("/factsets", endpoint{entity: "factsets", active: true}, "factsets")
	t.add("/factsets/{factset:"+idSegment+"}", one, "a node's factset")
	t.add("/factsets/{factset:"+idSegment+"}/facts", of, "a node's factset, in an array")
}

func (t *queryTable) parents() {
	for _, p := range []query.Parent{query.Environment, query.Producer} {
		field := string(p)
		path := "/" + field + "s/{" + field + ":" + anySegment + "}"
		t.add("/"+field+"s", endpoint{entity: field + "s"}, field+"s")
		t.add(path, endpoint{entity: field + "s", parent: p, filters: []string{"name", field}, single: true, params: noPaging()}, "one "+field)
		of := endpoint{parent: p, filters: []string{field, field}}
		if p == query.Environment {
			t.facts(path, of)
			t.resources(path, of)
			events := of
			events.entity, events.params = "events", eventParams()
			t.add(path+"/events", events, "events in an environment")
		} else {
			sets, cats := of, of
			sets.entity, sets.active, cats.entity = "factsets", true, "catalogs"
			t.add(path+"/factsets", sets, "factsets of a producer")
			t.add(path+"/catalogs", cats, "catalogs of a producer")
		}
		reports := of
		reports.entity = "reports"
		article := "a "
		if p == query.Environment {
			article = "an "
		}
		t.add(path+reportsTail, reports, "reports of "+article+field)
	}
}

func (t *queryTable) catalogs() {
	path := "/catalogs/{catalog:" + anySegment + "}"
	of := endpoint{parent: query.Catalog, filters: []string{"certname", "catalog"}}
	one, edges := of, of
	one.entity, one.single = "catalogs", true
	edges.entity, edges.active = "edges", true
	t.add("/catalogs", endpoint{entity: "catalogs"}, "catalogs")
	t.add(path, one, "a node's catalog")
	t.add(path+"/edges", edges, "edges of a node's catalog")
	t.resources(path, of)
}

func (t *queryTable) reports(under string, e endpoint) {
	path := "/reports/{report:" + idSegment + "}"
	of := endpoint{parent: query.Report, filters: []string{"report", "report"}, entity: "events", params: eventParams()}
	e.entity = "reports"
	t.add(under+reportsTail, e, "reports")
	t.add(path+"/events", of, "events of a report")
	for _, field := range []string{"metrics", "logs"} {
		t.add(path+"/"+field, endpoint{entity: "reports", parent: query.Report, filters: []string{"hash", "report"}, only: field, params: noPaging()},
			field+" of a report")
	}
}
