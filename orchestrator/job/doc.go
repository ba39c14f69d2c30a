// Package job says what a job of the orchestrator is: its states and allowed
// moves, the documents that the engine, the store, the transports and the API
// share, and the errors they answer with. It is a leaf: it does nothing.
//
// # A job
//
//	new ──> ready ──> running ──> finished | failed
//	 │        │          │
//	 └────────┴──────────┴──────> stopping ──> stopped
//
// # A node's run
//
//	new ──> ready ──> running ──> finished | failed | errored | stopped
//	 │        └─────────────────> errored | stopped
//	 └──────────────────────────> skipped | stopped | errored
//
// The table of moves in state.go is the whole truth: which move is allowed,
// which event it writes, and when it happens (orchestrator.md §5);
// docs/api/states.md is made of it. Every move
// is a conditional update of one row; its event is written in the same
// transaction. A state that is Terminal is never left. What a job's nodes are
// in decides the job's own moves (Settle); the store makes them in the
// transaction in which the last node moved.
//
// # Who runs exactly once
//
// A node is claimed (new to ready) together with a random transaction id,
// which is on disk before the request leaves. Agents remember transaction ids
// and never run one twice, so whoever starts the engine again sends the same
// id or asks what became of it.
//
// # Reports
//
// A report that carries the name of a job whose node it is of is noted in the
// transaction that stores it. The engine reads these notes, joins them with
// the node (Report.Matches), and deletes a note in the transaction that used
// it. So a report is never missed and never counted twice.
package job
