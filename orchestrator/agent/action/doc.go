// Package action is what a node can be told to run. Everything in it happens in
// a process of its own (package agent's worker), which outlives the agent.
//
//	module              action     params
//	pxp-module-puppet   run        {"flags":[…], "job"?}
//	task                run        {"task", "input":{}, "files":[…], "metadata"?, "features"?, "input_method"?, "timeout"?}
//	command             run        {"command", "timeout"?}
//	script              run        {"script":{"filename","uri","sha256"}, "arguments":[…], "timeout"?}
//	apply               apply      {"catalog":{}, "apply_options":{}, "timeout"?}
//	file                download   {"files":[{"uri","sha256","destination","kind","link_source"}], "timeout"?}
//
// The shapes are upstream's agent's; timeout, in seconds, is ours. What the
// agent's configuration says is the most; if it does not say, and neither does
// the request, that is an hour.
//
// # Puppet runs
//
// The flags may hold the names of a fixed list and their values, and nothing
// else; --onetime, --no-daemonize and --verbose are added, and --job-id of job.
// The order of items and repeated items are kept (upstream's module makes a set
// of them, and so loses values).
//
// The result is a JSON document with what last_run_report.yaml says: time,
// transaction_uuid, environment, status, metrics, and exitcode and version; and,
// if it went wrong, error and error_type:
//
//	no_puppet_bin             there is no puppet where the configuration says
//	agent_failed_to_start     the program could not be started
//	agent_disabled            puppet agent --disable
//	agent_locked              another run did not end within ten minutes
//	no_last_run_report        the run left no report of its own
//	invalid_last_run_report   the report cannot be read
//	agent_exit_non_zero       the run has a report and a status other than 0
//	invalid_json              the flags are not allowed
//
// Where another run holds the lock, Puppet skips ours; we wait for the lock and
// try again. A report that is new and has our job's id proves that ours took
// place, and then it is never tried again.
//
// # Catalogs
//
// apply has `puppet apply` apply a catalog that the server made (package apply),
// which it gets by its standard input: a catalog may hold secrets. apply_options
// are noop and show_diff, true or false. Puppet's state directory, its report of
// the last run and its environment are directories of this one run, so that the
// node's own runs do not see it; everything else is as puppet.conf says, but
// routes.yaml does not count, and neither facts nor a report are sent. Puppet's lock of its own runs is taken, with the pid of the
// Puppet that applies; another run is waited for as above.
//
// What is written is Puppet's report as its own JSON has it, shortened, in which
// texts that the catalog calls secrets are [redacted]; or an object with an _error
// of kind bolt/apply-error, and exit code 1, if there is none.
//
// # Tasks
//
// The first implementation whose requirements are among the features shell,
// puppet-agent and those of the request is taken, else the first file. Files are
// fetched over HTTPS from the servers of the configuration, below the paths that
// it allows, and kept by their SHA-256. Input goes to standard input as JSON
// (stdin, powershell), into the environment as PT_<name> (environment) or both.
// What the metadata lists as files lies below _installdir while the task runs.
//
// # Limits
//
// Tasks, commands, scripts and catalogs have a time; then their process group gets
// SIGTERM, and SIGKILL after a grace, as do processes that left the group. More
// output than allowed is an error, never a cut result.
package action
