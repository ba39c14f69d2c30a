// Package agent is the agent of a node: it keeps a connection to a PCP broker
// with the node's Puppet certificate, and runs what the orchestrator asks for.
// It speaks version 2 of the protocol (package pcp) and PXP on top of it.
//
// # Requests
//
// Data of rpc_blocking_request: {transaction_id, module, action, params?}; of
// rpc_non_blocking_request: the same and notify_outcome. Any other member, or
// one that is missing, is answered with the broker protocol's error_message;
// everything else that is wrong with an rpc_error_message
// {transaction_id, id, description}, where id is that of the request.
//
//	blocking      ping ping       {"request_hops":[]}
//	              echo echo       {"outcome": argument}
//	              status query    see below
//	non-blocking  what package action has
//
// A non-blocking request is answered with rpc_provisional_response once it is on
// disk and its process has taken it on, and again if it is repeated: nothing
// runs twice under one transaction id, which must be a UUID (that of a blocking
// request may be any text of at most 256 bytes). How it ended is told
// once, as rpc_non_blocking_response {transaction_id, results} or, if it could
// not be run, as rpc_error_message, if the request wanted that (notify_outcome).
// What ended while there was no connection, or no agent, is told with the next.
//
// status query {"transaction_id"} is answered with {transaction_id, status,
// exitcode?, stdout?, stderr?}:
//
//	unknown    never heard of, forgotten, or never begun: it may be sent again
//	running
//	success    it has ended, with exit status 0
//	failure    with another; or it could not be run to its end: stdout is
//	           {"_error":{"kind":"puppetlabs.pxp-agent/execution-error","msg","details"}}
//
// # Spool
//
// A directory per transaction, below <data>/spool, named by its id in lower case:
//
//	request.json   module, action, who asked, the request's id, notify_outcome, when
//	claim          pid, start time and boot of the process that runs it, or that
//	               it is abandoned
//	result.json    how it ended: action.Result
//	told           its outcome has been told
//
// Params are not in it: they may hold secrets. They go to the process through
// memory.
//
// Every file is complete or not there: it is written under another name, synced,
// renamed (claim: linked, which fails if it exists), and the directory is synced.
// The directory of a transaction appears with its request.json by a rename that
// fails if there is one: that is the promise not to run it twice.
//
//	1 accept    tmp-*/request.json → rename → sync of spool
//	2 launch    a worker in a session of its own, its order on stdin
//	3 worker    claim
//	4 answer    rpc_provisional_response: a run that is confirmed is not forgotten
//	  worker    run, then result.json
//	5 agent     sees result.json, tells, told
//
// A killed agent leaves the worker alone. The next one finds, by transaction:
// result.json: told, if that is still to do. A claim of a living process: it is
// watched. A claim of one that is gone: it ended without a result, and result.json
// says so. No claim: the agent abandons it by writing the claim itself, so that a
// worker that has not got there yet ends without doing anything; the transaction
// is then forgotten, and unknown, and may be sent again.
//
// Transactions are forgotten 14 days after they ended.
//
// # Connection
//
// Brokers are tried in turn, with a pause that grows to half a minute and is
// spread at random: a restarted server shall not meet all its agents at once. An
// agent whose connection was taken over by another with the same certificate
// (close code 4000) waits the longest pause.
package agent
