// Package planjob is the life of plan jobs (orchestrator.md §2.4, §2.8, §2.10,
// §3.7, §5.3): it starts plans, does what their steps ask for by making
// ordinary jobs of the engine, keeps what happened as events, and ends them.
//
//	            a slot is free        its value, or its error
//	pending ──────────────────▶ running ──────────────▶ success | failure
//	   └────────────── stopped, timed out, server ends ────▶ failure
//
// Who runs a plan:
//
//	YAML (.yaml)      this process, by package plan
//	Puppet (.pp)      the program that Config.Runner names: see runner.go
//	neither           somebody else, who told by plan_start and tells by
//	                  plan_finish: Bolt with its pcp transport
//
// A plan lives in memory only, and so do the secrets among its parameters. When
// the server ends, its plans fail with kind
// puppetlabs.orchestrator/plan-interrupted; what a killed server left is ended
// like that when the next one comes up. Jobs that a plan made go on whatever
// becomes of the plan, but for one that the plan waits for when its time is up:
// that is stopped.
//
// # As whom
//
// A plan runs what it runs for whoever started it, who needs plans:run for the
// plan and nothing for what is in it: tasks, commands, other plans, and nodes.
// Jobs that somebody adds to a plan of plan_start need what they need otherwise.
package planjob
