// Package pxp is the controller of the Puppet Execution Protocol: it has
// agents run what the engine asks for, through the broker in the same process,
// as pcp://<certname of the server>/orchestrator. It is the job.Transport
// named pcp.
//
// # Messages
//
// The data of the messages, all JSON objects. An agent's answers name the
// transaction, not the message that they answer; only a PCP error_message does.
//
//	rpc_non_blocking_request   → {transaction_id, notify_outcome, module, action, params?}
//	rpc_provisional_response   ← {transaction_id}              it has begun
//	rpc_non_blocking_response  ← {transaction_id, results}     it has ended
//	rpc_blocking_request       → the same without notify_outcome; of us: status query
//	rpc_blocking_response      ← {transaction_id, results}
//	rpc_error_message          ← {transaction_id, id, description}
//
// What an agent says counts only for transactions of its own certname.
//
// # A transaction
//
//	Start ──> asking ──provisional──> running ──results──> over
//	            │  agent gone: ErrNotConnected      ↑
//	            └─ not confirmed: sent again once, then an error
//	Query ──> querying ──running──────┘
//	            └─ unknown: ErrUnknownTransaction
//
// Asking: the request has left. It leaves again, with the same transaction id,
// when the agent connects anew or has not confirmed it within Config.Confirm;
// agents that know the id confirm it and do not run it twice.
//
// Running: agents send the outcome once and never again, so the transaction's
// status is asked for as well: after Config.PollFirst, then in intervals that
// grow to Config.PollMost, with jitter; at once when the agent comes back; not
// while it is away. Too many questions in a row without an answer: the run is
// lost. How long a run may take, and how long an absent agent is waited for,
// are the engine's to say.
//
// Our own agents are told how long a task, a command, a script, a download or a
// catalog may take, as params.timeout in seconds, and end it themselves: nothing in the
// protocol does. Others are not told.
//
// # Outcomes
//
// Of pxp-module-puppet the results say how Puppet ended (orchestrator.md
// §7.1): a run whose status is failed has failed although Puppet's exit code
// is 0, since agents do not use --detailed-exitcodes; one without a report
// erred. Of tasks what they wrote decides (package task): they may exit with 0
// and tell an error; of catalogs the report (package apply). Of all other modules
// the exit code decides. A status answer carries
// the same results: as the text of stdout for Puppet, as exitcode, stdout and
// stderr for the others.
//
// Where job.Request.Receive makes the outcome, that is done on the goroutine of
// the agent's connection, which is not read meanwhile, once for a transaction; the
// agent is not asked until then.
package pxp
