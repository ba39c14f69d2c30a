// Package orchestrator runs jobs: it resolves whom a command is for, lets
// nodes start as slots, order and presence allow, follows what agents say, and
// joins the reports that they send. What a job is and which moves it makes is
// specified in package job.
//
// # One loop
//
// Everything that changes a job happens in one goroutine, the loop of
// Engine.Run, in turns. A turn takes what has come in (commands, what agents
// said, deadlines), decides, lets nodes start that may, and stores all of it
// in one transaction (several, if it is a great deal). Only then do requests
// leave and callers get their answers. So what the outside sees was on disk
// before, and a process that dies between any two steps has lost nothing but
// what agents will say again.
//
// If the database cannot be written to, the turn waits until it can. Agents go
// on meanwhile; what they say is kept.
//
// # Slots
//
// A node's run holds a slot of its job (concurrency), of its kind of work
// (compiles, tasks) and, over ssh and winrm, of these, from the claim to the
// end. Jobs take turns: each gets one node in, then the next job. A node whose
// agent is not connected when its turn comes waits for it without a slot, and
// errs after Config.PCPTimeout.
//
// # A new life
//
// Engine.Run begins with what the last one left (rescue.go): new nodes are
// scheduled, runs that were claimed are asked for their status as soon as
// their agents are there. An agent that never saw the transaction gets the
// same request again, for at most Config.ResendWithin; only if the run had not
// been confirmed, so that no agent runs twice.
//
// # Time
//
// A run may take the job's timeout, counted from when its request leaves; from
// when it leaves again where the agent never had it, or the transport gave it
// back: that run has not begun before. Of a run that the last life knew of it
// counts from the agent's confirmation. A request that could not leave within
// Config.ResendWithin of its claim never does, and its node errs: so a run is
// over at most ResendWithin, the time that an agent is waited for, and the
// timeout after its claim.
package orchestrator
