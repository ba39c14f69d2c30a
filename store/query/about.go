package query

import "strings"

// about is what an entity's rows are, and aboutField what one of its fields
// says: for the documentation and for completion. "" means that nobody said.
func about(entity string) string {
	switch entity {
	case "catalog_input_contents":
		return "What nodes' catalogs were compiled from, a row for each input."
	case "catalog_inputs":
		return "What nodes' catalogs were compiled from, a row for each node that ever sent inputs."
	case "catalogs":
		return "The latest catalog of each node."
	case "edges":
		return "Relationships between the resources of catalogs."
	case "environments":
		return "Environments that anything stored was made for."
	case "events":
		return "What happened to resources, by report. Those of plans are among them."
	case "fact_contents":
		return "Leaves of facts: a row for each scalar within a node's facts. Empty objects and arrays have no leaves. Messages call it `fact_nodes`."
	case "fact_names":
		return "Names of top-level facts. The rows of an answer are bare strings, each once, in order."
	case "fact_paths":
		return "Paths of leaves of facts, of all nodes together, a row for each path and type. Paths that no node has any more stay until they are collected."
	case "facts":
		return "Top-level facts, structured values whole."
	case "factsets":
		return "The facts of each node as they were submitted, a row for each node."
	case "inventory":
		return "Nodes with their facts as one object, into which dotted fields lead."
	case "nodes":
		return "Nodes, with what came from them last. The latest report is that of an agent, by `producer_timestamp`."
	case "package_inventory":
		return "Packages by node."
	case "packages":
		return "Packages that any node has."
	case "producers":
		return "Puppet Servers that sent anything stored."
	case "reports":
		return "Reports. Those of plans are left out unless the condition speaks of `type`."
	case "resource_graphs":
		return "Reports of agents joined with the catalogs that were applied. A catalog is known as long as it is the node's latest one; " +
			"of the resources of earlier runs, only what the report says."
	case "resources":
		return "Resources of the latest catalogs."
	}
	return ""
}

func aboutField(entity, name string) string {
	if text := fieldOf(entity, name); text != "" {
		return text
	}
	if strings.HasPrefix(name, "latest_report_") {
		return "`" + strings.TrimPrefix(name, "latest_report_") + "` of the latest report"
	}
	return commonField(name)
}

// fieldOf is what a field says in this entity only.
func fieldOf(entity, name string) string {
	switch entity + "." + name {
	case "catalog_inputs.inputs":
		return "pairs of type and name; operators look at any string in it"
	case "catalogs.edges", "resource_graphs.edges":
		return "the catalog's edges"
	case "catalogs.resources":
		return "the catalog's resources"
	case "catalogs.hash":
		return "of the content; equal catalogs have equal ones"
	case "events.file", "resources.file":
		return "of the manifest that declares the resource"
	case "events.line", "resources.line":
		return "in that file"
	case "events.report":
		return "hash of the report"
	case "events.timestamp":
		return "when it happened"
	case "events.status":
		return "`success`, `failure`, `noop` or `skipped`"
	case "events.name":
		return "of the event, such as `mode_changed`"
	case "events.latest_report?":
		return "whether the event is of the latest report of its node"
	case "fact_contents.name", "fact_paths.name":
		return "of the top-level fact"
	case "fact_contents.path":
		return "strings for keys, integers for indexes"
	case "fact_contents.value":
		return "a string, a number, a boolean or null"
	case "fact_paths.path":
		return "strings for keys, integers for indexes"
	case "fact_paths.type":
		return "`string`, `integer`, `float`, `boolean` or `null`"
	case "factsets.facts":
		return "all facts, as a list of name and value"
	case "factsets.hash":
		return "of the content; equal facts have equal ones"
	case "inventory.facts":
		return "all facts by their names, `trusted` among them; dotted fields lead into it: `facts.os.family`"
	case "inventory.trusted":
		return "what the agent's certificate says; dotted fields lead into it"
	case "catalog_input_contents.name", "catalog_input_contents.type":
		return "of the input"
	case "packages.version", "package_inventory.version":
		return "as the provider writes it"
	case "nodes.deactivated":
		return "when the node was deactivated; null: it was not"
	case "nodes.expired":
		return "when nothing had come from it for `node-ttl`; null: something has"
	case "nodes.cached_catalog_status":
		return "of the latest report"
	case "reports.hash":
		return "of the content; two equal reports are one"
	case "reports.latest_report?":
		return "whether the report is the latest of its node"
	case "reports.resource_events":
		return "the report's events"
	case "reports.type":
		return "`agent` or `plan`"
	case "resource_graphs.resources":
		return "resources of the catalog and of the report, each with its `events` and whether it was `skipped`"
	case "resources.resource":
		return "hash of type, title and parameters"
	}
	return ""
}

// commonField is what a field says wherever it occurs.
func commonField(name string) string {
	switch name {
	case "cached_catalog_status":
		return "`not_used`, `explicitly_requested` or `on_failure`"
	case "catalog_environment", "facts_environment", "report_environment":
		return "the environment of the latest " + strings.TrimSuffix(name, "_environment")
	case "catalog_timestamp", "facts_timestamp":
		return "when the latest " + strings.TrimSuffix(name, "_timestamp") + " came in"
	case "catalog_uuid":
		return "of the catalog, in catalogs, their inputs and reports alike"
	case "certname":
		return "the node's name"
	case "code_id":
		return "of the code that the catalog was compiled from"
	case "configuration_version", "version":
		return "as Puppet's `config_version` gave it"
	case "containing_class":
		return "the innermost class that contains the resource"
	case "containment_path":
		return "what contains the resource, from outside in"
	case "corrective_change":
		return "whether a change set right what something else had changed"
	case "depth":
		return "0 for a top-level scalar"
	case "end_time", "run_end_time":
		return "when the run ended"
	case "environment":
		return "that it was made for"
	case "exported":
		return "whether other nodes may collect it"
	case "job_id":
		return "of the orchestrator's job"
	case "logs", "metrics":
		return "of the run"
	case "message":
		return "for people"
	case "name":
		return "its name"
	case "new_value", "old_value":
		return "of the property"
	case "noop":
		return "whether the run was in noop mode"
	case "noop_pending":
		return "whether any resource was in noop mode and would have changed"
	}
	return moreFields(name)
}

// moreFields is the rest of commonField.
func moreFields(name string) string {
	switch name {
	case "package_name":
		return "its name"
	case "parameters":
		return "by their names; dotted fields lead into it: `parameters.mode`"
	case "producer":
		return "the Puppet Server that sent it"
	case "producer_timestamp":
		return "when that was, by the sender's clock"
	case "property":
		return "of the resource"
	case "provider":
		return "such as `apt` or `gem`"
	case "puppet_version":
		return "of the agent"
	case "receive_time", "report_receive_time", "timestamp":
		return "when it came in"
	case "relationship":
		return "`contains`, `before`, `required-by`, `notifies` or `subscription-of`"
	case "report_format":
		return "Puppet's version of it"
	case "report_timestamp":
		return "when the latest run ended"
	case "resource_title", "source_title", "target_title", "title":
		return "of the resource"
	case "resource_type", "source_type", "target_type", "type":
		return "of the resource; its case counts"
	case "start_time", "run_start_time":
		return "when the run began"
	case "status":
		return "`changed`, `unchanged` or `failed`"
	case "tag":
		return "any of the tags, whatever the case of the value that it is compared with"
	case "tags":
		return "operators look at any of them"
	case "transaction_uuid":
		return "of the run, in catalogs and reports alike"
	case "value":
		return "any JSON"
	}
	return ""
}
