package query

// environments is the entity of that name. Spec query.md §2.14, §3.8.
func environments() *Entity {
	e := &Entity{Name: "environments", From: "environment e", Fields: []Field{notNull("name", Text, "e.name")}}
	for _, t := range []string{"inventory", "factsets", "catalogs", "reports", "facts", "fact_contents", "events", "resources"} {
		e.Relations = append(e.Relations, Relation{Target: t, Local: []string{"name"}, Foreign: []string{"environment"}})
	}
	return e
}

// producers is the entity of that name. Spec query.md §2.14, §3.8.
func producers() *Entity {
	e := &Entity{Name: "producers", From: "producer pr", Fields: []Field{notNull("name", Text, "pr.name")}}
	for _, t := range []string{"factsets", "catalogs", "reports"} {
		e.Relations = append(e.Relations, Relation{Target: t, Local: []string{"name"}, Foreign: []string{"producer"}})
	}
	return e
}

func packageFields() []Field {
	return []Field{
		notNull("package_name", Text, "pk.name"),
		notNull("version", Text, "pk.version"),
		notNull("provider", Text, "pk.provider"),
	}
}

// packages is the entity of that name. Spec query.md §2.14.
func packages() *Entity {
	return &Entity{Name: "packages", From: "package pk", Fields: packageFields()}
}

// packageInventory is the entity of that name. Spec query.md §2.14.
func packageInventory() *Entity {
	e := &Entity{
		Name: "package_inventory", From: "node_package np", Node: true, Relations: ofNodes(),
		Sweep: sweep{"node n", "n", " CROSS JOIN node_package np ON np.node_id = n.id"}, Lookups: []string{"certname", "package_name"},
		Fields: append([]Field{certname("np.node_id")}, packageFields()...),
	}
	return e.join("n", nodeOf+"np.node_id").
		join("pk", " JOIN package pk ON pk.id = np.package_id")
}
