package schedule

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"

	"dalang/orchestrator/job"
)

// Type is what an entry starts.
type Type string

// The types.
const (
	Deploy Type = "deploy"
	Task   Type = "task"
	Plan   Type = "plan"
)

// Entry is one scheduled job. Times are UTC with milliseconds; a zero time is none.
type Entry struct {
	ID          int64 // its name is ID in decimal: a counter of its own, never reused
	Type        Type
	Enabled     bool // false: it never fires again, and cannot be changed any more
	Environment string
	Description string
	Name        string          // of the task or plan; "" for deploys
	Input       json.RawMessage // an object, as the API shows it: nothing in it is secret
	Sealed      []byte          // the input with its secrets, encrypted; nil: Input is all
	Secret      json.RawMessage // the input with its secrets, until it is sealed; never stored
	Hidden      []string        // params of Secret that were secrets when it was sealed before; never stored
	Userdata    json.RawMessage // an object
	Owner       json.RawMessage // who made it, as known then: an object
	OwnerID     uuid.UUID
	OwnerLogin  string
	Grid        Grid
	Next        time.Time // zero: it will not fire
	Last        *Firing   // the latest that is settled; nil: none
	Created     time.Time
	Changed     time.Time
}

// Label is the entry's name: decimal.
func (e *Entry) Label() string { return strconv.FormatInt(e.ID, 10) }

// own takes over who the owner is.
func (e *Entry) own(owner json.RawMessage) error {
	var who struct {
		ID    uuid.UUID
		Login string
	}
	if err := json.Unmarshal(owner, &who); err != nil {
		return fmt.Errorf("owner of a schedule: %w", err)
	}
	if who.ID == uuid.Nil {
		return errors.New("owner of a schedule: it has no id")
	}
	e.Owner, e.OwnerID, e.OwnerLogin = owner, who.ID, who.Login
	return nil
}

// Firing is one time that an entry came due.
type Firing struct {
	ID      int64
	Entry   int64
	Due     time.Time // the instant that was waited for
	Instant time.Time // the last one that had passed: later than Due if some were missed
	Claimed time.Time
	Settled time.Time  // zero: it is open
	Job     int64      // that it started; 0: none
	Plan    bool       // Job is a plan job
	Error   *job.Error // why it started none; nil: it did, or is open
}

// Filter is which entries a list shows, and how.
type Filter struct {
	Type    Type // "": all
	Enabled bool // only those that are
	OrderBy string
	Desc    bool
	Limit   int // 0: all
	Offset  int
}

// Orders are the values of Filter.OrderBy: name is sorted by number, owner by
// login; what has no next run comes last.
func Orders() []string {
	return []string{"next_run_time", "environment", "owner", "name", "type", "scheduled_time"}
}

// Unknown: there is no such entry.
func Unknown(id int64) *job.Error {
	e := job.UnknownJob(id)
	e.Msg = fmt.Sprintf("Unknown scheduled job %d", id)
	return e
}

// Disabled: the entry cannot be changed any more.
func Disabled(id int64) *job.Error {
	return &job.Error{Kind: job.Prefix + "disabled-scheduled-job", Status: 400, Details: map[string]any{"job": strconv.FormatInt(id, 10)},
		Msg: fmt.Sprintf("The scheduled job %d is disabled: it cannot be changed", id)}
}

// InvalidTime: a start has passed.
func InvalidTime(start, now time.Time) *job.Error {
	const form = "2006-01-02T15:04:05Z"
	at, is := start.UTC().Format(form), now.UTC().Format(form)
	return &job.Error{Kind: job.Prefix + "invalid-time", Status: 400, Details: map[string]any{"time": at, "now": is},
		Msg: fmt.Sprintf("The time to start, %s, has passed: it is %s", at, is)}
}
