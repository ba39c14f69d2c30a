package query

const (
	// Times within reports look as PostgreSQL writes them into JSON.
	eventTime    = `strftime('%Y-%m-%dT%H:%M:%S', xe.timestamp / 1000, 'unixepoch') || CASE WHEN xe.timestamp % 1000 = 0 THEN '' ELSE '.' || rtrim(printf('%03d', xe.timestamp % 1000), '0') END || '+00:00'`
	reportEvents = `(SELECT '[' || group_concat('{"status":' || json_quote(xe.status) || ',"timestamp":"' || ` + eventTime + ` || '","resource_type":' || json_quote(xq.type) ||` +
		` ',"resource_title":' || json_quote(xq.title) || ',"property":' || json_quote(xe.property) || ',"name":' || json_quote(xe.name) ||` +
		` ',"corrective_change":' || CASE xe.corrective_change WHEN 1 THEN 'true' WHEN 0 THEN 'false' ELSE 'null' END ||` +
		` ',"new_value":' || coalesce(xe.new_value, 'null') || ',"old_value":' || coalesce(xe.old_value, 'null') || ',"message":' || json_quote(xe.message) ||` +
		` ',"file":' || json_quote(xs.name) || ',"line":' || coalesce(xe.line, 'null') || ',"containment_path":' || coalesce(xe.containment_path, 'null') ||` +
		` ',"containing_class":' || json_quote(xe.containing_class) || '}') || ']'` +
		` FROM (SELECT * FROM event WHERE report_id = r.id ORDER BY seq) xe JOIN resource_ref xq ON xq.id = xe.ref_id LEFT JOIN source_file xs ON xs.id = xe.file_id)`
)

// reports is the entity of that name. Spec query.md §2.11.
func reports() *Entity {
	child := func(name string, f Field) Field {
		f.Href = "'/pdb/query/v4/reports/' || r.hash || '/" + name + "'"
		return f
	}
	e := &Entity{
		Name: "reports", From: "report r", Node: true, Agent: true,
		Relations: append(ofNodesButEvents(), toEnvironments(), toProducers(), Relation{Target: "events", Local: []string{"hash"}, Foreign: []string{"report"}}),
		Fields: []Field{
			notNull("receive_time", Time, "r.receive_time"),
			column("corrective_change", Flag, "r.corrective_change"),
			column("code_id", Text, "r.code_id"),
			column("noop", Bool, "r.noop"),
			certname("r.node_id"),
			notNull("puppet_version", Text, "r.puppet_version"),
			notNull("hash", Text, "r.hash"),
			column("cached_catalog_status", Text, "r.cached_catalog_status"),
			column("transaction_uuid", Text, "r.transaction_uuid"),
			notNull("configuration_version", Text, "r.configuration_version"),
			column("status", Text, "r.status"),
			column("job_id", Text, "r.job_id"),
			column("producer", Text, "pr.name"),
			column("catalog_uuid", Text, "r.catalog_uuid"),
			child("logs", display("logs", Raw, "pdb_unpack(rb.logs)")),
			column("noop_pending", Bool, "r.noop_pending"),
			notNull("end_time", Time, "r.end_time"),
			notNull("type", Text, "r.type"),
			column("environment", Text, "e.name"),
			notNull("start_time", Time, "r.start_time"),
			child("events", display("resource_events", Raw, reportEvents)),
			child("metrics", display("metrics", Raw, "pdb_unpack(rb.metrics)")),
			notNull("producer_timestamp", Time, "r.producer_timestamp"),
			notNull("report_format", Int, "r.report_format"),
			hidden("latest_report?", Flag, latestReport),
		},
	}
	return e.join("n", nodeOf+"r.node_id").
		join("e", " LEFT JOIN environment e ON e.id = r.environment_id").
		join("pr", " LEFT JOIN producer pr ON pr.id = r.producer_id").
		join("rb", " LEFT JOIN report_body rb ON rb.report_id = r.id")
}

const latestReport = "(n.latest_report_id IS r.id)"

func ofNodesButEvents() []Relation {
	var out []Relation
	for _, r := range ofNodes() {
		if r.Target != "events" {
			out = append(out, r)
		}
	}
	return out
}

// events is the entity of that name. Spec query.md §2.12.
func events() *Entity {
	var of []Relation
	for _, r := range ofNodes() {
		if r.Target != "reports" {
			of = append(of, r)
		}
	}
	e := &Entity{
		Name: "events", From: "event v", Node: true,
		Sweep: sweep{"report r", "r", " CROSS JOIN event v ON v.report_id = r.id"},
		Lookups: []string{"certname", "report", "resource_type", "resource_title", "timestamp", "containing_class", "latest_report?", "configuration_version",
			"report_receive_time", "run_end_time"},
		Relations: append(of, toEnvironments(), Relation{Target: "reports", Local: []string{"report"}, Foreign: []string{"hash"}}),
		Fields: []Field{
			column("message", Text, "v.message"),
			column("old_value", Encoded, "coalesce(v.old_value, 'null')"),
			notNull("report_receive_time", Time, "r.receive_time"),
			column("corrective_change", Bool, "v.corrective_change"),
			column("containment_path", Tags, "v.containment_path"),
			certname("r.node_id"),
			notNull("timestamp", Time, "v.timestamp"),
			notNull("run_end_time", Time, "r.end_time"),
			column("name", Text, "v.name"),
			notNull("configuration_version", Text, "r.configuration_version"),
			column("new_value", Encoded, "coalesce(v.new_value, 'null')"),
			notNull("resource_title", Text, "rr.title"),
			notNull("status", Text, "v.status"),
			column("property", Text, "v.property"),
			notNull("resource_type", Text, "rr.type"),
			column("line", Int, "v.line"),
			column("environment", Text, "e.name"),
			column("containing_class", Text, "v.containing_class"),
			notNull("run_start_time", Time, "r.start_time"),
			column("file", Text, "sf.name").in("v.file_id", "source_file", "name"),
			notNull("report", Text, "r.hash"),
			hidden("latest_report?", Flag, latestReport),
		},
	}
	return e.join("r", " JOIN report r ON r.id = v.report_id").
		join("n", nodeOf+"r.node_id").
		join("rr", " JOIN resource_ref rr ON rr.id = v.ref_id").
		join("e", " LEFT JOIN environment e ON e.id = r.environment_id").
		join("sf", " LEFT JOIN source_file sf ON sf.id = v.file_id")
}
