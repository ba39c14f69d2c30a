package query

const (
	catalogResources = `(SELECT '[' || group_concat('{"resource":"' || xb.hash || '","type":' || json_quote(xq.type) || ',"title":' || json_quote(xq.title) ||` +
		` ',"tags":' || xt.tags || ',"exported":' || iif(xr.exported, 'true', 'false') || ',"file":' || json_quote(xs.name) ||` +
		` ',"line":' || coalesce(xr.line, 'null') || ',"parameters":' || coalesce(xb.parameters, '{}') || '}') || ']'` +
		` FROM resource xr JOIN resource_ref xq ON xq.id = xr.ref_id JOIN resource_body xb ON xb.id = xr.body_id JOIN resource_tags xt ON xt.id = xr.tags_id` +
		` LEFT JOIN source_file xs ON xs.id = xr.file_id WHERE xr.node_id = c.node_id)`
	catalogEdges = `(SELECT '[' || group_concat('{"source_type":' || json_quote(xs.type) || ',"source_title":' || json_quote(xs.title) ||` +
		` ',"target_type":' || json_quote(xt.type) || ',"target_title":' || json_quote(xt.title) || ',"relationship":"' ||` +
		` CASE xg.relationship WHEN 1 THEN 'contains' WHEN 2 THEN 'before' WHEN 3 THEN 'required-by' WHEN 4 THEN 'notifies' ELSE 'subscription-of' END || '"}') || ']'` +
		` FROM edge xg JOIN resource_ref xs ON xs.id = xg.source_id JOIN resource_ref xt ON xt.id = xg.target_id WHERE xg.node_id = c.node_id)`
)

// catalogs is the entity of that name. Spec query.md §2.8.
func catalogs() *Entity {
	list, graph := display("resources", Raw, catalogResources), display("edges", Raw, catalogEdges)
	list.Href = "'/pdb/query/v4/catalogs/' || n.certname || '/resources'"
	graph.Href = "'/pdb/query/v4/catalogs/' || n.certname || '/edges'"
	e := &Entity{
		Name: "catalogs", From: "catalog c", Node: true, Relations: append(ofNodes(), toEnvironments(), toProducers()),
		Fields: []Field{
			notNull("version", Text, "c.version"),
			certname("c.node_id"),
			notNull("hash", Text, "c.hash"),
			column("transaction_uuid", Text, "c.transaction_uuid"),
			column("catalog_uuid", Text, "c.catalog_uuid"),
			column("code_id", Text, "c.code_id"),
			column("job_id", Text, "c.job_id"),
			column("environment", Text, "e.name"),
			notNull("producer_timestamp", Time, "c.producer_timestamp"),
			list, graph,
			column("producer", Text, "pr.name"),
		},
	}
	return e.join("n", nodeOf+"c.node_id").
		join("e", " LEFT JOIN environment e ON e.id = c.environment_id").
		join("pr", " LEFT JOIN producer pr ON pr.id = c.producer_id")
}

// edges is the entity of that name. Spec query.md §2.9.
func edges() *Entity {
	e := &Entity{
		Name: "edges", From: "edge g", Sweep: sweep{"node n", "n", " CROSS JOIN edge g ON g.node_id = n.id"}, Lookups: []string{"certname"}, Node: true, Relations: ofNodes(),
		Fields: []Field{
			certname("g.node_id"),
			notNull("relationship", Text, "CASE g.relationship WHEN 1 THEN 'contains' WHEN 2 THEN 'before' WHEN 3 THEN 'required-by' WHEN 4 THEN 'notifies' ELSE 'subscription-of' END"),
			notNull("source_title", Text, "es.title"),
			notNull("source_type", Text, "es.type"),
			notNull("target_title", Text, "et.title"),
			notNull("target_type", Text, "et.type"),
		},
	}
	return e.join("n", nodeOf+"g.node_id").
		join("es", " JOIN resource_ref es ON es.id = g.source_id").
		join("et", " JOIN resource_ref et ON et.id = g.target_id")
}

// resources is the entity of that name. Spec query.md §2.10.
func resources() *Entity {
	e := &Entity{
		Name: "resources", From: "resource r", Node: true,
		Sweep: sweep{"node n", "n", " CROSS JOIN resource r ON r.node_id = n.id"}, Lookups: []string{"certname", "type", "title", "resource", "exported"},
		Relations: []Relation{same("catalogs", "certname"), same("nodes", "certname"), toEnvironments()},
		Fields: []Field{
			notNull("resource", Text, "rb.hash"),
			certname("r.node_id"),
			notNull("tags", Tags, "rt.tags").in("r.tags_id", "resource_tags", "tags"),
			notNull("exported", Flag, "r.exported"),
			column("line", Int, "r.line"),
			notNull("title", Text, "rr.title"),
			notNull("type", Text, "rr.type"),
			column("environment", Text, "e.name").in("n.catalog_environment_id", "environment", "name"),
			column("file", Text, "sf.name").in("r.file_id", "source_file", "name"),
			notNull("parameters", Document, "coalesce(rb.parameters, '{}')"),
			hidden("tag", Tags, "rt.tags").in("r.tags_id", "resource_tags", "tags"),
		},
	}
	return e.join("n", nodeOf+"r.node_id").
		join("rr", " JOIN resource_ref rr ON rr.id = r.ref_id").
		join("rb", " JOIN resource_body rb ON rb.id = r.body_id").
		join("rt", " JOIN resource_tags rt ON rt.id = r.tags_id").
		join("sf", " LEFT JOIN source_file sf ON sf.id = r.file_id").
		join("e", " LEFT JOIN environment e ON e.id = n.catalog_environment_id")
}

// catalogInputs is the entity of that name. Spec query.md §2.14.
func catalogInputs() *Entity {
	return &Entity{
		Name: "catalog_inputs", From: "node n", Where: "n.inputs_timestamp IS NOT NULL", Node: true, Relations: ofNodes(),
		Fields: []Field{
			certname("n.id"),
			notNull("producer_timestamp", Time, "n.inputs_timestamp"),
			column("catalog_uuid", Text, "n.inputs_uuid"),
			notNull("inputs", Pairs, `coalesce((SELECT '[' || group_concat(json_array(xi.type, xi.name)) || ']' FROM catalog_input xi WHERE xi.node_id = n.id), '[]')`),
		},
	}
}

// catalogInputContents is the entity of that name. Spec query.md §2.14.
func catalogInputContents() *Entity {
	e := &Entity{
		Name: "catalog_input_contents", From: "catalog_input ci", Sweep: sweep{"node n", "n", " CROSS JOIN catalog_input ci ON ci.node_id = n.id"},
		Lookups: []string{"certname", "type", "name"}, Node: true, Relations: ofNodes(),
		Fields: []Field{
			certname("ci.node_id"),
			notNull("producer_timestamp", Time, "n.inputs_timestamp"),
			column("catalog_uuid", Text, "n.inputs_uuid"),
			notNull("name", Text, "ci.name"),
			notNull("type", Text, "ci.type"),
		},
	}
	return e.join("n", nodeOf+"ci.node_id")
}
