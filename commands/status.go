package commands

import (
	"encoding/json"
	"time"

	"github.com/google/uuid"
)

// State is where a command is in its life: see doc.go.
type State string

// The states. The last five are final.
const (
	StateQueued     State = "queued"     // durable, waiting for its turn
	StateProcessing State = "processing" // being read, decoded or applied
	StateRetrying   State = "retrying"   // failed by the world's fault; will be tried again
	StateProcessed  State = "processed"  // in the store
	StateStale      State = "stale"      // the store knows something newer
	StateDuplicate  State = "duplicate"  // the store has this report
	StateSuperseded State = "superseded" // a newer one of its kind was queued behind it
	StateDiscarded  State = "discarded"  // by its own fault; in the dead letter office
)

// Final tells whether the command has left the queue.
func (s State) Final() bool {
	switch s {
	case StateQueued, StateProcessing, StateRetrying:
		return false
	}
	return true
}

// Status is what is known of a command, as GET /pdb/cmd/v1/<uuid> answers it.
type Status struct {
	UUID              uuid.UUID  `json:"uuid"`
	Command           string     `json:"command"`
	Version           int        `json:"version"`
	Certname          string     `json:"certname"`
	State             State      `json:"state"`
	Received          Timestamp  `json:"received"`
	ProducerTimestamp *Timestamp `json:"producer_timestamp"` // of the parameter; null: none
	Attempts          int        `json:"attempts"`           // tries begun, failed ones included
	Started           *Timestamp `json:"started"`            // of the latest try
	Finished          *Timestamp `json:"finished"`
	Error             *string    `json:"error"` // of the latest failure
}

// Timestamp is a time that is written as 2006-01-02T15:04:05.000Z.
type Timestamp struct{ time.Time }

const timestampLayout = "2006-01-02T15:04:05.000Z"

// MarshalJSON writes the time in UTC with milliseconds.
func (t Timestamp) MarshalJSON() ([]byte, error) {
	return json.Marshal(t.UTC().Format(timestampLayout))
}

// UnmarshalJSON reads what MarshalJSON writes, and any RFC 3339 time.
func (t *Timestamp) UnmarshalJSON(b []byte) error { return t.Time.UnmarshalJSON(b) }

func timestampOrNil(t time.Time) *Timestamp {
	if t.IsZero() {
		return nil
	}
	return &Timestamp{t.UTC()}
}
