package job

import (
	"encoding/json"
	"time"

	"github.com/google/uuid"
)

// Batch is what one transaction does to jobs: all of it or nothing. First jobs
// are stopped, then nodes move, in their order, then jobs abort; at last jobs
// settle (Settle). Each move is conditional: one whose From is not the state
// of the row does not happen, and Applied says so.
type Batch struct {
	At     time.Time
	Stop   []int64 // jobs that go to stopping
	Nodes  []NodeMove
	Abort  []Abort
	Enrich []Enrichment
	Notes  []int64 // reports that are used up: ReportNote.Note
}

// Empty tells whether there is nothing to do.
func (b *Batch) Empty() bool {
	return len(b.Stop)+len(b.Nodes)+len(b.Abort)+len(b.Enrich)+len(b.Notes) == 0
}

// NodeMove is the move of one node. Ready needs a job that is ready or
// running, TransactionID and Fingerprint; it sets SentAt. Other moves need the
// row to carry TransactionID, unless that is uuid.Nil.
type NodeMove struct {
	JobID         int64
	Certname      string
	From, To      State
	Event         string // as the table says; "" for none
	TransactionID uuid.UUID
	Fingerprint   string
	Message       string          // of the event
	Detail        json.RawMessage // of the event, an object; nil: {}
	// What the node's row gets; empty keeps what is there.
	TransactionUUID, ReportHash string
	Details, Result             json.RawMessage
}

// Abort ends a job that cannot be carried on. Its nodes have moved before.
type Abort struct {
	JobID int64
	Why   string
}

// Enrichment adds a late report to a node that has ended and has none.
type Enrichment struct {
	JobID                       int64
	Certname                    string
	TransactionUUID, ReportHash string
	Details, Result             json.RawMessage // nil keeps what is there
}

// Applied is what became of a Batch.
type Applied struct {
	Nodes []bool // which moves of Batch.Nodes happened
	// Jobs are the jobs that Stop, Nodes and Abort named, as they are now.
	Jobs map[int64]Standing
}

// Standing is where a job stands.
type Standing struct {
	State State
	Nodes Counts
	Moved []State // what it went to in this transaction, in order
}
