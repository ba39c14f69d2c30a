package job

import (
	"encoding/json"
	"fmt"
	"log/slog"
)

// Task is the command that runs a task (orchestrator.md §2.5). Its JSON is
// what a job's options show, so it has no secrets: of Params, what is named in
// Sensitive is not there, and of Targets only who they are.
type Task struct {
	Environment string          `json:"environment"`
	Task        string          `json:"task"`
	Params      json.RawMessage `json:"params"`    // an object; as given: with secrets
	Sensitive   []string        `json:"sensitive"` // names of those of Params that are secrets; the engine's to fill in
	Scope       Scope           `json:"scope"`
	Targets     []Target        `json:"-"`
	Noop        bool            `json:"noop"`
	Description string          `json:"description"`
	Timeout     *int64          `json:"timeout"` // seconds, of one node
	Userdata    json.RawMessage `json:"userdata"`
	// PlanJob is the plan job that this is a step of: the job's type is
	// plan_task then; 0: none.
	PlanJob int64 `json:"-"`
	// ScheduledJob is the name of the scheduled job that this is a run of; "": none.
	ScheduledJob string `json:"-"`
	Firing       int64  `json:"-"` // which run of it, see Draft; 0: none
	// RunAs is for targets without an agent whose own connection does not say
	// as whom to act; "": as who logs in.
	RunAs string `json:"-"`
}

// Step is what a plan asks of nodes besides a task. Who may do it was decided
// when the plan began.
type Step struct {
	Type        Type // TypePlanCommand, TypePlanScript or TypePlanUpload
	PlanJob     int64
	Environment string
	Scope       Scope
	// Params are of the PXP module (orchestrator.md §7.3): command run
	// {"command"}, script run {"script":{"filename","uri","sha256"},"arguments"},
	// file download {"files"}. They may hold secrets.
	Params      json.RawMessage
	Options     json.RawMessage // what the job's options show: an object without secrets
	Description string
	Timeout     *int64 // seconds, of one node
	RunAs       string // as in Task
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
	User           string            `json:"user"`
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
