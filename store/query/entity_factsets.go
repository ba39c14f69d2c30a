package query

// Children are put together in SQL from texts that are JSON already, or are
// quoted there; group_concat of no rows is NULL, which shows as null.
const (
	factsetFacts = `(SELECT '[' || group_concat('{"name":' || json_quote(xn.name) || ',"value":' || xf.value || '}') || ']'` +
		` FROM fact xf JOIN fact_name xn ON xn.id = xf.name_id WHERE xf.node_id = fs.node_id)`
	factObject = `(SELECT '{' || group_concat(json_quote(xn.name) || ':' || xf.value) || '}'` +
		` FROM fact xf JOIN fact_name xn ON xn.id = xf.name_id WHERE xf.node_id = fs.node_id)`
	packageList = `coalesce((SELECT '[' || group_concat(json_array(xp.name, xp.version, xp.provider)) || ']'` +
		` FROM node_package xr JOIN package xp ON xp.id = xr.package_id WHERE xr.node_id = fs.node_id), '[]')`
	// oneFact is the value of a top-level fact; %s is the place of its name.
	oneFact = `(SELECT xf.value FROM fact xf WHERE xf.node_id = fs.node_id AND xf.name_id = (SELECT xn.id FROM fact_name xn WHERE xn.name = %s))`
)

// factsets is the entity of that name. Spec query.md §2.6.
func factsets() *Entity {
	data := display("facts", Raw, factsetFacts)
	data.Queryable = true // upstream lists it so, though no operator takes it
	data.Href = "'/pdb/query/v4/factsets/' || n.certname || '/facts'"
	e := &Entity{
		Name: "factsets", From: "factset fs", Node: true, Relations: append(ofNodes(), toEnvironments(), toProducers()),
		Fields: []Field{
			notNull("timestamp", Time, "fs.timestamp"),
			data,
			certname("fs.node_id"),
			notNull("hash", Text, "fs.hash"),
			notNull("producer_timestamp", Time, "fs.producer_timestamp"),
			column("producer", Text, "pr.name"),
			column("environment", Text, "e.name"),
		},
	}
	return e.join("n", nodeOf+"fs.node_id").
		join("e", " LEFT JOIN environment e ON e.id = fs.environment_id").
		join("pr", " LEFT JOIN producer pr ON pr.id = fs.producer_id")
}

// withPackages is factsets with the field of include_package_inventory.
func withPackages(e *Entity) *Entity {
	x := *e
	x.Fields = append(append([]Field{}, e.Fields...), display("package_inventory", Raw, packageList))
	x.index()
	return &x
}

// inventory is the entity of that name. Its dotted fields are resolved in
// dotted.go. Spec query.md §2.7.
func inventory() *Entity {
	e := &Entity{
		Name: "inventory", From: "factset fs", Node: true, Relations: ofNodes(),
		Fields: []Field{
			certname("fs.node_id"),
			notNull("timestamp", Time, "fs.timestamp"),
			column("environment", Text, "e.name"),
			notNull("facts", Document, "coalesce("+factObject+", '{}')"),
			column("trusted", Document, `(SELECT xf.value FROM fact xf WHERE xf.node_id = fs.node_id AND xf.name_id = (SELECT xn.id FROM fact_name xn WHERE xn.name = 'trusted'))`),
		},
	}
	return e.join("n", nodeOf+"fs.node_id").
		join("e", " LEFT JOIN environment e ON e.id = fs.environment_id")
}
