package query

// ofFacts are the relations that facts and their contents share.
func ofFacts(other string) []Relation {
	out := []Relation{toEnvironments(), same(other, "certname", "name")}
	for _, r := range ofNodes() {
		if r.Target != other {
			out = append(out, r)
		}
	}
	return out
}

const nodeOf = " JOIN node n ON n.id = "

// factName is the field name of rows that have the name's id in column key.
func factName(key string) Field {
	f := notNull("name", Text, "fn.name").in(key, "fact_name", "name")
	f.Key, f.KeyOf = key, "fact_name"
	return f
}

// facts is the entity of that name: top-level facts. Spec query.md §2.2.
func facts() *Entity {
	e := &Entity{
		Name: "facts", From: "fact f", Sweep: sweep{"node n", "n", " CROSS JOIN fact f ON f.node_id = n.id"}, Lookups: []string{"certname", "name"}, Node: true, Relations: ofFacts("fact_contents"),
		Fields: []Field{
			certname("f.node_id"),
			column("environment", Text, "e.name").in("n.facts_environment_id", "environment", "name"),
			factName("f.name_id"),
			notNull("value", Value, "f.value"),
		},
	}
	return e.join("fn", " JOIN fact_name fn ON fn.id = f.name_id").
		join("n", nodeOf+"f.node_id").
		join("e", " LEFT JOIN environment e ON e.id = n.facts_environment_id")
}

// factNames is the entity of that name: the top-level names of the dictionary
// of paths. Spec query.md §2.3.
func factNames() *Entity {
	return &Entity{
		Name: "fact_names", From: "fact_name fn", Distinct: true, Strings: true,
		Where:  "EXISTS (SELECT 1 FROM fact_path q WHERE q.name_id = fn.id)",
		Fields: []Field{factName("fn.id")},
	}
}

const leafType = "CASE p.type WHEN 0 THEN 'string' WHEN 1 THEN 'integer' WHEN 2 THEN 'float' WHEN 3 THEN 'boolean' ELSE 'null' END"

// factPaths is the entity of that name. Spec query.md §2.4.
func factPaths() *Entity {
	path := notNull("path", Path, "p.path")
	path.Compare = "p.encoded"
	e := &Entity{
		Name: "fact_paths", From: "fact_path p",
		Relations: []Relation{same("facts", "name"), same("fact_contents", "path")},
		Fields: []Field{
			notNull("type", Text, leafType),
			path,
			factName("p.name_id"),
			hidden("depth", Int, "p.depth"),
		},
	}
	return e.join("fn", " JOIN fact_name fn ON fn.id = p.name_id")
}

// factContents is the entity of that name: leaves. Spec query.md §2.5.
func factContents() *Entity {
	path, value := notNull("path", LeafPath, "p.path"), notNull("value", Value, "l.value")
	path.Compare, path.PathID = "p.encoded", "l.path_id"
	value.Number = "l.num"
	e := &Entity{
		Name: "fact_contents", Alias: "fact_nodes", From: "fact_leaf l", Sweep: sweep{"node n", "n", " CROSS JOIN fact_leaf l ON l.node_id = n.id"},
		Lookups: []string{"certname", "name", "path"}, Node: true, Relations: ofFacts("facts"),
		Fields: []Field{
			path,
			certname("l.node_id"),
			factName("p.name_id"),
			value,
			column("environment", Text, "e.name").in("n.facts_environment_id", "environment", "name"),
		},
	}
	return e.join("p", " JOIN fact_path p ON p.id = l.path_id").
		join("fn", " JOIN fact_name fn ON fn.id = p.name_id").
		join("n", nodeOf+"l.node_id").
		join("e", " LEFT JOIN environment e ON e.id = n.facts_environment_id")
}
