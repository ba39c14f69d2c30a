package query

// nodes is the entity of that name. Spec query.md §2.1.
func nodes() *Entity {
	e := &Entity{
		Name: "nodes", From: "node n", Node: true, Relations: ofNodes(),
		Fields: []Field{
			column("latest_report_corrective_change", Bool, "n.latest_report_corrective_change"),
			column("deactivated", Stamp, "n.deactivated"),
			column("expired", Time, "n.expired"),
			column("report_environment", Text, "re.name"),
			certname("n.id"),
			column("facts_timestamp", Time, "n.facts_timestamp"),
			column("facts_environment", Text, "fe.name"),
			column("cached_catalog_status", Text, "n.cached_catalog_status"),
			column("latest_report_status", Text, "n.latest_report_status"),
			column("latest_report_hash", Text, "n.latest_report_hash"),
			column("catalog_timestamp", Time, "n.catalog_timestamp"),
			column("latest_report_noop_pending", Bool, "n.latest_report_noop_pending"),
			column("report_timestamp", Time, "n.report_timestamp"),
			column("latest_report_noop", Bool, "n.latest_report_noop"),
			column("catalog_environment", Text, "ce.name"),
			column("latest_report_job_id", Text, "n.latest_report_job_id"),
		},
	}
	return e.join("re", " LEFT JOIN environment re ON re.id = n.report_environment_id").
		join("fe", " LEFT JOIN environment fe ON fe.id = n.facts_environment_id").
		join("ce", " LEFT JOIN environment ce ON ce.id = n.catalog_environment_id")
}

// withExpiration is nodes with the fields of include_facts_expiration.
func withExpiration(e *Entity) *Entity {
	x := *e
	x.Fields = append(append([]Field{}, e.Fields...),
		notNull("expires_facts", Bool, "coalesce(n.expires_facts, 1)"),
		column("expires_facts_updated", Time, "n.expires_facts_updated"))
	x.index()
	return &x
}
