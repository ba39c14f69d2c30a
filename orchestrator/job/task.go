package job

import (
	"encoding/json"
	"fmt"
	"log/slog"

	"github.com/google/uuid"
)

// Task is the command that runs a task (orchestrator.md §2.5). It holds secrets,
// which its JSON leaves out.
type Task struct {
	Environment string
	Task        string
	Params      json.RawMessage `json:"-"` // an object
	Secrets     []string        // names of Params that are secrets whatever the task says of them
	Scope       Scope
	Targets     []Target `json:"-"` // of the scope's nodes, those that are reached so; the others as usual
	Noop        bool
	Description string
	Timeout     *int64 // seconds, of one node
	Userdata    json.RawMessage
	// PlanJob is the plan job that this is a step of: the job's type is
	// plan_task then; 0: none.
	PlanJob int64
	// ScheduledJob is the name of the scheduled job that this is a run of; "": none.
	ScheduledJob string
	// Firing is the firing of that scheduled job, as in Draft.
	Firing int64
	// RunAs is as whom to act on targets without an agent; "": as their
	// connections say.
	RunAs string
}

// Step is what a plan asks of nodes besides a task. Who may do it was decided
// when the plan began.
type Step struct {
	Type        Type // TypePlanCommand, TypePlanScript, TypePlanUpload or TypePlanApply
	PlanJob     int64
	Environment string
	Scope       Scope
	// Params are of the PXP module (orchestrator.md §7.3): command run
	// {"command"}, script run {"script":{"filename","uri","sha256"},"arguments"},
	// file download {"files"}, apply apply {"catalog" (see package apply),
	// "apply_options"}. They may hold secrets. A command whose output is a file has
	// "download" beside it, a Download, which nodes do not see.
	Params      json.RawMessage `json:"-"`
	Options     json.RawMessage // what the job's options show: an object without secrets
	Description string
	Timeout     *int64 // seconds, of one node
	RunAs       string // as in Task
}

// Download is a file or a directory that a plan gets from nodes.
type Download struct {
	Source      string `json:"source"`      // on the nodes: absolute
	Destination string `json:"destination"` // below what is the plan job's: relative
}

// Target is how to reach some nodes without an agent (orchestrator.md §2.6).
type Target struct {
	Hostnames []string
	Transport string // ssh or winrm
	Connection
}

// Connection is how to log in somewhere. It holds secrets: it is stored sealed
// only, and hides itself from logs.
type Connection struct {
	Hostname       string            `json:"hostname,omitempty"` // "": the node's certname
	User           string            `json:"user,omitempty"`
	Password       string            `json:"password,omitempty"`
	PrivateKey     string            `json:"private-key-content,omitempty"`
	Port           int               `json:"port,omitempty"`
	RunAs          string            `json:"run-as,omitempty"`
	SudoPassword   string            `json:"sudo-password,omitempty"`
	RunAsCommand   []string          `json:"run-as-command,omitempty"`
	ConnectTimeout int               `json:"connect-timeout,omitempty"` // seconds; 0: the transport's
	TTY            bool              `json:"tty,omitempty"`
	TmpDir         string            `json:"tmpdir,omitempty"`
	Extensions     []string          `json:"extensions,omitempty"`
	Interpreters   map[string]string `json:"interpreters,omitempty"` // extension to program
	HostKeyCheck   *bool             `json:"host-key-check,omitempty"`
	SSL            *bool             `json:"ssl,omitempty"`        // of winrm; nil: yes
	SSLVerify      *bool             `json:"ssl-verify,omitempty"` // of winrm; nil: yes
	CACert         string            `json:"cacert,omitempty"`     // of winrm: PEM; "": the system's
}

// String is for messages: it tells no secret.
func (c Connection) String() string { return "connection of " + c.User }

// GoString is String.
func (c Connection) GoString() string { return c.String() }

// LogValue is for logs: it tells no secret.
func (c Connection) LogValue() slog.Value { return slog.StringValue(c.String()) }

// String is for messages: it tells no secret.
func (t Target) String() string { return fmt.Sprintf("%v over %s", t.Hostnames, t.Transport) }

// LogValue is for logs: it tells no secret.
func (t Target) LogValue() slog.Value { return slog.StringValue(t.String()) }

// TaskTarget lets those who may use it run some tasks on some nodes, although
// they may not run tasks otherwise (orchestrator.md §2.7).
type TaskTarget struct {
	ID          int64
	DisplayName string
	Tasks       []string
	AllTasks    bool // Tasks do not count then
	// Nodes, the members of NodeGroups and what PQL finds are the nodes, together.
	Nodes      []string
	NodeGroups []string
	PQL        string // "": no query
}

// StoredConnection is how to reach a node that has no agent, whatever runs
// there (orchestrator.md §4.5).
type StoredConnection struct {
	Certname   string
	ID         uuid.UUID // of the command that stored it: several nodes may have the same
	Type       string    // ssh or winrm
	Parameters json.RawMessage
	Sealed     []byte // the parameters that are secrets: an object, sealed
}

// Usage is how many nodes were there on a day.
type Usage struct {
	Day          string // UTC: 2006-01-02
	WithAgent    int    // active nodes when the day began, or when it was first looked
	WithoutAgent int    // different nodes that something ran on over ssh or winrm
	// Changes that runs of agents made: successful events of their reports.
	Intentional, Corrective int
	TaskNodes               int // nodes that tasks began on, once for each task
	PlanNodes               int // nodes that plans began something on, once for each plan
}
