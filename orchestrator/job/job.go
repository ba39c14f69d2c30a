package job

import (
	"encoding/json"
	"strconv"
	"time"

	"github.com/google/uuid"
)

// Type is what a job does.
type Type string

// The types of jobs, as the API's parameter type names them.
const (
	TypeDeploy        Type = "deploy"
	TypeTask          Type = "task"
	TypePlanTask      Type = "plan_task"
	TypePlanScript    Type = "plan_script"
	TypePlanUpload    Type = "plan_upload"
	TypePlanCommand   Type = "plan_command"
	TypePlanWait      Type = "plan_wait"
	TypePlanApply     Type = "plan_apply"
	TypePlanApplyPrep Type = "plan_apply_prep"
)

// Job is one job. Times are UTC with milliseconds; a zero time is none.
type Job struct {
	ID          int64 // its name is ID in decimal: one counter for all types, never reused
	Type        Type
	State       State
	Environment string
	Options     json.RawMessage // the command as given or defaulted: an object, echoed as it is
	Owner       json.RawMessage // who asked, as known then: an object
	OwnerLogin  string          // for sorting
	Description string
	Userdata    json.RawMessage // an object
	Concurrency int             // nodes at a time; 0: no limit of its own
	Timeout     time.Duration   // of one node's run
	PlanJob     int64           // the plan job that it is a step of; 0: none
	Task        string          // the task's name; "" unless Type is of tasks
	Timestamp   time.Time       // the last change of State
	Created     time.Time
	Started     time.Time // it began to run
	Finished    time.Time
	Spans       []Span // in order; the last one has no Exit
	NodeCount   int
	Nodes       Counts // only states that are not zero
	// Sealed is what its nodes are asked, as package secret seals it: it may
	// hold secrets. Only those who run jobs are given it; it is deleted when the
	// job ends. nil: the options say it all.
	Sealed []byte
	// Params is what its nodes are asked: Sealed, opened, or made of Options; nil:
	// it was not wanted yet. It is never stored.
	Params json.RawMessage
	// Download is set with Params where its nodes are asked for a file. It is never
	// stored.
	Download *Download
	// Deploy is Options of a deploy without its scope; nil: it was not wanted yet.
	// It is never stored.
	Deploy *Deploy
}

// Name is the job's name: decimal.
func (j *Job) Name() string { return strconv.FormatInt(j.ID, 10) }

// Span is how long a job was in a state.
type Span struct {
	State       State
	Enter, Exit time.Time // no Exit: it still is
}

// Node is the run of one node in a job. Times as in Job.
type Node struct {
	JobID           int64
	Certname        string
	Position        int // in the job's scope, from 0
	State           State
	Transport       string    // pcp, ssh, winrm
	TransactionID   uuid.UUID // of the request; uuid.Nil before it is claimed
	Fingerprint     string    // of the request: SHA-256, hex
	SentAt          time.Time // claimed: the request left after it
	Started         time.Time // the agent began
	Finished        time.Time
	Timestamp       time.Time // the last thing that happened
	TransactionUUID string    // the report's, "" if not known
	ReportHash      string    // "" if no report was joined
	LatestEvent     int64     // 0: none yet
	Message         string    // of the latest event
	// Details holds, where they apply, "metrics" (of a deploy that ended) and
	// "detail" (an object: why it erred, was skipped or stopped). Never nil.
	// Message, report-url and run-time are for the API to add.
	Details json.RawMessage
	Result  json.RawMessage // the node's result as the API shows it; nil: none
}

// Event is one thing that happened, as /jobs/:id/events shows it.
type Event struct {
	ID       int64 // one counter for the whole server
	JobID    int64
	Type     string
	Certname string // "" for events of the job
	At       time.Time
	Details  json.RawMessage // {"node":…,"detail":{…}} or {"state":…,"job":"352"}
	Message  string
}

// Edge says that Before has to finish ahead of After, in one job.
type Edge struct{ Before, After string }

// Draft is a job to be made. The store gives it its ID.
type Draft struct {
	Job   Job // State, times, counts and ID are the store's
	Nodes []Node
	Edges []Edge // between nodes of Nodes; no cycle
	// Firing is the firing of a schedule that the job is for; 0: none. The
	// job's creation settles it, and fails with ErrSettled where it is settled.
	Firing int64
	// Connections are how to reach nodes without an agent, by certname: a
	// Connection's JSON, sealed. One is deleted when its node's run has ended.
	Connections map[string][]byte
}

// Filter is which jobs a list shows, and how. Zero values mean no restriction.
type Filter struct {
	Type        Type
	Task        string // a part of the task's name
	State       State
	PlanJob     int64
	MinFinished time.Time // inclusive; hides jobs that have not finished
	MaxFinished time.Time // inclusive; likewise
	OrderBy     string    // "": newest first; owner, timestamp, environment, name, state
	Desc        bool
	Limit       int // 0: all
	Offset      int
}

// NodeFilter is which nodes of a job a list shows, and how.
type NodeFilter struct {
	State   State  // "": all
	OrderBy string // "": Position; name, duration, state, start_timestamp, finish_timestamp
	Desc    bool
	Limit   int // 0: all
	Offset  int
	Now     time.Time // for the duration of what still runs
}
