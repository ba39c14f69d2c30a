package query

// extensions are the entities of routes of their own, which no query can name.
func extensions() catalogue {
	c := catalogue{}
	for _, e := range []*Entity{resourceGraphs()} {
		e.Alias = e.Name
		e.index()
		c[e.Name] = e
	}
	return c
}

// resourceGraphs joins the reports of agents with the catalogs that were
// applied: as long as it is the node's present one, what a catalog knows of the
// resources is there too. Spec query.md §1.4.
func resourceGraphs() *Entity {
	e := &Entity{
		Name: "resource_graphs", From: "report r", Where: "r.type = 'agent'", Node: true,
		Relations: []Relation{same("nodes", "certname"), toEnvironments()},
		Fields: []Field{
			certname("r.node_id"),
			column("environment", Text, "e.name"),
			column("transaction_uuid", Text, "r.transaction_uuid"),
			column("catalog_uuid", Text, "r.catalog_uuid"),
			column("code_id", Text, "r.code_id"),
			notNull("producer_timestamp", Time, "r.producer_timestamp"),
			column("status", Text, "r.status"),
			column("noop", Bool, "r.noop"),
			display("resources", Raw, "pdb_resource_graph("+catalogResources+", pdb_unpack(rb.resources))"),
			display("edges", Raw, "coalesce("+catalogEdges+", '[]')"),
		},
	}
	return e.join("n", nodeOf+"r.node_id").
		join("e", " LEFT JOIN environment e ON e.id = r.environment_id").
		join("rb", " LEFT JOIN report_body rb ON rb.report_id = r.id").
		join("c", " LEFT JOIN catalog c ON c.node_id = r.node_id AND CASE WHEN r.catalog_uuid IS NULL OR c.catalog_uuid IS NULL"+
			" THEN c.transaction_uuid = r.transaction_uuid ELSE c.catalog_uuid = r.catalog_uuid END")
}
