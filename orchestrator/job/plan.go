package job

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// PlanState is the state of a plan job: pending, then running, then success or
// failure, which a plan that never began may reach as well. Success and
// failure are never left.
type PlanState string

// The states of plan jobs.
const (
	PlanPending PlanState = "pending" // accepted; waits for its turn
	PlanRunning PlanState = "running"
	PlanSuccess PlanState = "success"
	PlanFailure PlanState = "failure"
)

// Terminal tells whether a state is never left.
func (s PlanState) Terminal() bool { return s == PlanSuccess || s == PlanFailure }

// Types of events of plan jobs.
const (
	EventTask         = "task_start" // a job was made: details {"job-id"}
	EventScript       = "script_start"
	EventCommand      = "command_start"
	EventUpload       = "upload_start"
	EventApply        = "apply_start"
	EventMessage      = "out_message"   // details {"message"}
	EventPlanStart    = "plan_start"    // a plan that the plan runs: details {"plan"}
	EventPlanEnd      = "plan_end"      // details {"plan","result"}
	EventPlanFinished = "plan_finished" // details {"plan-id","result"}
	EventPlanFailed   = "plan_failed"   // details {"plan-id","result"}
)

// PlanJob is the run of a plan. Times as in Job.
type PlanJob struct {
	ID          int64 // its name is ID in decimal: a counter of its own, never reused
	State       PlanState
	Plan        string // its name
	Environment string
	External    bool // whoever runs it is not this server, which only keeps the books
	// Options is an object with what was asked for: description, plan_name,
	// parameters without secrets, sensitive, environment, scheduled_job_id.
	Options    json.RawMessage
	Owner      json.RawMessage // an object
	OwnerLogin string
	Userdata   json.RawMessage // an object
	Result     json.RawMessage // any JSON; nil before the end
	Timestamp  time.Time       // the last change of State
	Created    time.Time
	Started    time.Time
	Finished   time.Time
	Steps      map[int64][]Span // of the jobs that it made, by their ids
}

// Name is the plan job's name: decimal.
func (p *PlanJob) Name() string { return strconv.FormatInt(p.ID, 10) }

// PlanEvent is one thing that happened in a plan job.
type PlanEvent struct {
	ID      int64 // one counter for the events of all plan jobs
	PlanJob int64
	Type    string
	At      time.Time
	Details json.RawMessage // an object
	Message string
}

// PlanFilter is which plan jobs a list shows, and how. Zero values mean no restriction.
type PlanFilter struct {
	State       PlanState
	MinFinished time.Time // inclusive; hides those that have not finished
	MaxFinished time.Time // inclusive; likewise
	NoResults   bool      // Result is left nil
	OrderBy     string    // "": newest first; owner, timestamp, environment, name, state
	Desc        bool
	Limit       int // 0: all
	Offset      int
}

// UnknownPlanJob: there is no such plan job.
func UnknownPlanJob(id int64) *Error {
	return newError(http.StatusNotFound, "unknown-job", map[string]any{"plan_job": fmt.Sprint(id)}, "Unknown plan job %d", id)
}

// MismatchedEvent: an event is not one of that plan job.
func MismatchedEvent(id, event int64) *Error {
	return newError(http.StatusNotFound, "mismatched-job-event-id", map[string]any{"plan_job": fmt.Sprint(id), "event": fmt.Sprint(event)},
		"The plan job %d has no event %d", id, event)
}

// PlanFinished: the plan job has ended, nothing can be added to it.
func PlanFinished(id int64) *Error {
	return newError(http.StatusBadRequest, "plan-already-finished", map[string]any{"plan_job": fmt.Sprint(id)}, "The plan job %d has already finished", id)
}

// KindInterrupted is of plan jobs that the end of the server cut short.
const KindInterrupted = Prefix + "plan-interrupted"
