// Package schedule starts jobs at times that were agreed on before
// (orchestrator.md §2.9, §3.8).
//
// # When
//
// An entry is due at its start and, with an interval, at start + k·interval:
// its grid, which knows neither time zones nor summer time, and which does not
// move with what firings or jobs take. Next is the instant of the grid at
// which the entry fires next.
//
// When Next has come, the entry fires for the last instant that has passed,
// and Next becomes the first one to come. So a server that was down over
// several instants fires once, when it is up again, and goes on along the grid.
//
// Clocks jump. After a jump ahead, what came due fires once, as after a
// downtime. After a jump back, nothing fires again: Next becomes the first
// instant after both the clock and the instant that the last firing was due
// at. An entry that fired in a future that proved false goes on with the
// present in this way, instead of waiting for that future.
//
// # Once
//
//	due ──claim──▶ open ──the job's creation──▶ settled: job
//	                 └─────────refusal────────▶ settled: submission error
//
// The claim moves Next on and makes the firing, in one transaction. The store
// settles the firing in the transaction that creates its job, and refuses to
// create one for a firing that is settled, or whose entry is disabled or gone.
// So a process may die between any two steps: a firing has at most one job,
// and one that is open when the server comes up is submitted then. An entry
// has one open firing at most; what comes due meanwhile is counted as part of it.
//
// # As whom
//
// A firing is submitted with the permissions that the entry's owner has at
// that moment. What refuses it (the owner was revoked, may not do that any
// more, or the scope finds no nodes) is kept as the firing's submission error.
// What is the world's fault is tried again, for Config.Patience.
package schedule
