// Package apply makes catalogs of the resources that a step of a plan names, and
// results of what nodes report of them (orchestrator.md §7.3, module apply).
// Nothing here compiles: a catalog has what the step says and no more, so
// classes and defined types, which only a compiler knows, are not for it.
//
// # The request
//
//	{"catalog": {…}, "apply_options": {"noop": true or false}}
//
// The catalog is as Puppet writes its own, format 2: Stage[main], in it
// Class[Main], in that the resources, in the order of the step. Each of them has
// kind compilable_type, so that a node that does not know its type says so, and
// is before the next one: where one fails, those after it are skipped. Secrets
// stand in it as they are, with the names of their parameters in
// sensitive_parameters. All nodes of a job get the same catalog but for its
// name, which is the node's.
//
// # The result
//
// An agent writes Puppet's report, an object, to its standard output: ours and
// upstream's. Of that the result is made, as Bolt's ApplyResult has it:
//
//	report    Puppet's report as its own JSON has it, without tags; see below
//	_output   "changed: 1, failed: 0, unchanged: 1 skipped: 0, noop: 0"
//	_error    where it failed: kind, msg, details
//
//	bolt/resource-failure   the report's status is failed, or a type is unknown
//	bolt/invalid-report     it lacks metrics, resource_statuses or status
//	bolt/apply-error        there is no report, or too large a one
//
// A report may be large, and is stored for each node: texts of more than 2 KiB
// are cut, and of logs 64 KiB are kept, of resources 160 KiB, what failed first.
// left_out counts what is not there: {"logs": 3, "resource_statuses": 0}. Metrics of
// more than 64 KiB, and what is a list or a map where Puppet has neither, are left
// out without that. Of a report of more than 8 MiB nothing is read.
package apply
