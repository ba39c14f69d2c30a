package orchestrator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"dalang/orchestrator/job"
	"dalang/orchestrator/task"
)

// TaskSource has the tasks of environments. Errors are *job.Error for an
// unknown environment or task, *task.Error for a task that is none.
type TaskSource interface {
	Task(ctx context.Context, environment, name string) (*task.Task, error)
}

// Secrets seals what must not be stored in the clear; see package secret.
type Secrets interface {
	Seal(purpose string, plain []byte) []byte
	Open(purpose string, sealed []byte) ([]byte, error)
}

// Reach is what is stored of nodes without an agent and of who may use them.
type Reach interface {
	// Connections are the stored ones of some nodes.
	Connections(ctx context.Context, certnames []string) ([]job.StoredConnection, error)
	// JobConnection is the sealed connection of a node in a job, nil for none.
	JobConnection(ctx context.Context, id int64, certname string) ([]byte, error)
	TaskTargets(ctx context.Context) ([]job.TaskTarget, error)
}

// Tasking is what tasks and the steps of plans need. All but Downloads and
// Timeout are required.
type Tasking struct {
	Source    TaskSource
	Secrets   Secrets
	Reach     Reach
	Downloads Downloads     // nil: no plan gets files from nodes
	Timeout   time.Duration // of a node's run, unless the job says otherwise; 0: 40 min
}

// Purposes of what is sealed.
const (
	sealRequest    = "job request"
	sealConnection = "job connection"
	sealStored     = "stored connection"
)

// errNoTasks: the engine was made without Tasking.
var errNoTasks = errors.New("this server runs no tasks")

func (t *Tasking) complete() error {
	if t.Source == nil || t.Secrets == nil || t.Reach == nil {
		return errors.New("orchestrator: Tasking needs Source, Secrets and Reach")
	}
	if t.Timeout <= 0 {
		t.Timeout = 40 * time.Minute
	}
	return nil
}

// taskOptions is what a task's job shows (orchestrator.md §3.1): no secrets.
type taskOptions struct {
	Description  string          `json:"description"`
	Environment  string          `json:"environment"`
	Task         string          `json:"task"`
	Params       map[string]any  `json:"params"`
	Sensitive    []string        `json:"sensitive"`
	Scope        job.Scope       `json:"scope"`
	Targets      []targetOptions `json:"targets"`
	Noop         bool            `json:"noop"`
	Timeout      *int64          `json:"timeout"`
	Transport    string          `json:"transport"` // of all nodes, or mixed
	ScheduledJob *string         `json:"scheduled-job-id"`
	PlanJob      *string         `json:"plan_job"`
	Userdata     json.RawMessage `json:"userdata"`
}

type targetOptions struct {
	Hostnames []string `json:"hostnames"`
	Transport string   `json:"transport"`
}

// Task runs a task on those nodes of a scope that who may run it on. Nothing is
// stored unless it returns the job's id. Errors are *job.Error where the
// command is at fault: unknown environment, unknown task, params or noop that
// the task does not take, then the scope, permissions and targets.
func (e *Engine) Task(ctx context.Context, who Subject, t job.Task) (int64, error) {
	found, arguments, err := e.lookTask(ctx, &t)
	if err != nil {
		return 0, err
	}
	scope, err := e.cfg.Scopes.Nodes(ctx, who, t.Scope)
	if err != nil {
		return 0, err
	}
	if err := targetsIn(t.Targets, scope); err != nil {
		return 0, err
	}
	nodes, err := e.permitted(ctx, who, t.Task, scope)
	if err != nil {
		return 0, err
	}
	params, err := taskParams(found, arguments, t.Noop)
	if err != nil {
		return 0, err
	}
	draft := &job.Draft{Firing: t.Firing, Job: job.Job{Type: job.TypeTask, Environment: t.Environment, Task: t.Task, Description: t.Description,
		Userdata: t.Userdata, PlanJob: t.PlanJob, Timeout: e.timeout(t.Timeout)}}
	if t.PlanJob != 0 {
		draft.Job.Type = job.TypePlanTask
	}
	if err := e.equip(ctx, draft, nodes, params, t.Targets, t.RunAs); err != nil {
		return 0, err
	}
	if draft.Job.Options, err = optionsOf(&t, arguments, draft.Nodes); err != nil {
		return 0, err
	}
	return e.Submit(ctx, who, draft)
}

// CheckTask answers the names of the params that are secrets, or why Task would
// refuse the command whatever its nodes.
func (e *Engine) CheckTask(ctx context.Context, t job.Task) (secrets []string, err error) {
	_, arguments, err := e.lookTask(ctx, &t)
	if err != nil {
		return nil, err
	}
	return arguments.Sensitive, nil
}

// lookTask finds a task, and checks what the command says of it.
func (e *Engine) lookTask(ctx context.Context, t *job.Task) (*task.Task, *task.Arguments, error) {
	if e.cfg.Tasking == nil {
		return nil, nil, job.Unavailable(errNoTasks)
	}
	if err := e.cfg.Scopes.known(ctx, t.Environment); err != nil {
		return nil, nil, err
	}
	found, err := e.cfg.Tasking.Source.Task(ctx, t.Environment, t.Task)
	if err != nil {
		return nil, nil, badTask(err)
	}
	arguments, err := checkTask(found, t)
	return found, arguments, err
}

// Step makes a job of a plan's step. Errors as Task's.
func (e *Engine) Step(ctx context.Context, who Subject, s job.Step) (int64, error) {
	if e.cfg.Tasking == nil {
		return 0, job.Unavailable(errNoTasks)
	}
	if _, _, known := moduleOf(s.Type); !known || s.Type == job.TypeTask || s.Type == job.TypePlanTask {
		return 0, fmt.Errorf("orchestrator: %q is no step of a plan", s.Type)
	}
	nodes, err := e.cfg.Scopes.Nodes(ctx, nil, s.Scope)
	if err != nil {
		return 0, err
	}
	draft := &job.Draft{Job: job.Job{Type: s.Type, Environment: s.Environment, Options: s.Options, Description: s.Description,
		PlanJob: s.PlanJob, Timeout: e.timeout(s.Timeout)}}
	if err := e.equip(ctx, draft, nodes, s.Params, nil, s.RunAs); err != nil {
		return 0, err
	}
	return e.Submit(ctx, who, draft)
}

func (e *Engine) timeout(seconds *int64) time.Duration {
	if seconds == nil {
		return e.cfg.Tasking.Timeout
	}
	return time.Duration(*seconds) * time.Second
}

// badTask is a task whose files are not what Puppet takes for one.
func badTask(err error) error {
	var bad *task.Error
	if errors.As(err, &bad) {
		return &job.Error{Kind: bad.Kind, Msg: bad.Msg, Status: 400}
	}
	return err
}

// checkTask checks what the command says against what the task says of itself.
func checkTask(found *task.Task, t *job.Task) (*task.Arguments, error) {
	arguments, err := found.Metadata.Arguments(t.Params, t.Secrets...)
	var problems task.Problems
	if errors.As(err, &problems) {
		bad := job.Invalid("params", "The task %s does not take these params: %v", t.Task, problems)
		bad.Details["problems"] = []string(problems)
		return nil, bad
	}
	if err != nil {
		return nil, err
	}
	if t.Noop && !found.Metadata.SupportsNoop {
		return nil, job.Invalid("noop", "The task %s does not support noop: it would change things", t.Task)
	}
	return arguments, nil
}

// taskParams are the parameters of the module task (orchestrator.md §7.2), or
// of the module command for a task that is one.
func taskParams(found *task.Task, arguments *task.Arguments, noop bool) (json.RawMessage, error) {
	if found.Command {
		return object(map[string]any{"command": arguments.Values["command"]}), nil
	}
	if noop {
		arguments.Values["_noop"] = true
	}
	text, err := task.Marshal(map[string]any{
		"task": found.Name, "input": arguments.Values, "files": append([]task.File{}, found.Files...), "metadata": found.Metadata.Raw,
	})
	if err != nil {
		return nil, fmt.Errorf("write the request of the task %s: %w", found.Name, err)
	}
	return text, nil
}

// targetsIn checks that targets name nodes of the scope, each once.
func targetsIn(targets []job.Target, scope []string) error {
	in := make(map[string]bool, len(scope))
	for _, certname := range scope {
		in[certname] = true
	}
	seen := map[string]bool{}
	for i, t := range targets {
		for j, name := range t.Hostnames {
			key := fmt.Sprintf("targets[%d].hostnames[%d]", i, j)
			if !in[name] {
				return job.EmptyTarget(map[string]any{"key": key, "hostname": name}, "%s: %s is not in the scope", key, name)
			}
			if seen[name] {
				return job.Invalid(key, "%s: %s is in targets more than once", key, name)
			}
			seen[name] = true
		}
	}
	return nil
}

// equip gives a draft its nodes, how each is reached, and, sealed, what they
// are asked: as a target says, else by the stored connection, else by its agent.
func (e *Engine) equip(ctx context.Context, draft *job.Draft, nodes []string, params json.RawMessage, targets []job.Target, runAs string) error {
	secrets := e.cfg.Tasking.Secrets
	draft.Job.Sealed = secrets.Seal(sealRequest, params)
	stored, err := e.cfg.Tasking.Reach.Connections(ctx, nodes)
	if err != nil {
		return err
	}
	how := map[string]string{}
	given := map[string]job.Connection{}
	for _, c := range stored {
		how[c.Certname] = c.Type
		if runAs != "" {
			given[c.Certname] = job.Connection{RunAs: runAs} // completes the stored one
		}
	}
	for _, t := range targets {
		for _, name := range t.Hostnames {
			how[name], given[name] = t.Transport, t.Connection
			if runAs != "" {
				c := t.Connection
				c.RunAs = runAs
				given[name] = c
			}
		}
	}
	draft.Connections = map[string][]byte{}
	for _, certname := range nodes {
		n := job.Node{Certname: certname, Transport: "pcp"}
		if transport, other := how[certname]; other {
			n.Transport = transport
		}
		draft.Nodes = append(draft.Nodes, n)
		if c, ok := given[certname]; ok {
			text, err := json.Marshal(c)
			if err != nil {
				return fmt.Errorf("connection of %s: %w", certname, err)
			}
			draft.Connections[certname] = secrets.Seal(sealConnection, text)
		}
	}
	return nil
}

func optionsOf(t *job.Task, arguments *task.Arguments, nodes []job.Node) (json.RawMessage, error) {
	given, err := task.Object(t.Params)
	if err != nil {
		return nil, fmt.Errorf("options of the task: %w", err)
	}
	o := taskOptions{Description: t.Description, Environment: t.Environment, Task: t.Task, Params: arguments.Public(given),
		Sensitive: append([]string{}, arguments.Sensitive...), Scope: t.Scope, Targets: []targetOptions{}, Noop: t.Noop,
		Timeout: t.Timeout, Transport: nodes[0].Transport, Userdata: t.Userdata}
	if slices.ContainsFunc(nodes, func(n job.Node) bool { return n.Transport != o.Transport }) {
		o.Transport = "mixed"
	}
	if len(o.Userdata) == 0 {
		o.Userdata = json.RawMessage("{}")
	}
	for _, target := range t.Targets {
		o.Targets = append(o.Targets, targetOptions{target.Hostnames, target.Transport})
	}
	if t.ScheduledJob != "" {
		o.ScheduledJob = &t.ScheduledJob
	}
	if t.PlanJob != 0 {
		name := fmt.Sprint(t.PlanJob)
		o.PlanJob = &name
	}
	text, err := task.Marshal(o)
	if err != nil {
		return nil, fmt.Errorf("options of the task: %w", err)
	}
	return text, nil
}

// MayRun tells of tasks whether who may run them at all: on all nodes, or on
// those of a task-target.
func (e *Engine) MayRun(ctx context.Context, who Subject) (func(task string) bool, error) {
	if who == nil || who.May("tasks", "run", "*") || e.cfg.Tasking == nil {
		return func(string) bool { return true }, nil
	}
	targets, err := e.usable(ctx, who)
	if err != nil {
		return nil, err
	}
	return func(task string) bool {
		return who.May("tasks", "run", task) || slices.ContainsFunc(targets, func(t job.TaskTarget) bool { return t.AllTasks || slices.Contains(t.Tasks, task) })
	}, nil
}

// usable are the task-targets that who may use.
func (e *Engine) usable(ctx context.Context, who Subject) ([]job.TaskTarget, error) {
	all, err := e.cfg.Tasking.Reach.TaskTargets(ctx)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(t job.TaskTarget) bool { return !who.May("tasks", "run_with_constraints", fmt.Sprint(t.ID)) }), nil
}

// permitted are the nodes that who may run a task on; it is an error if there
// is none.
func (e *Engine) permitted(ctx context.Context, who Subject, name string, nodes []string) ([]string, error) {
	if who == nil || who.May("tasks", "run", name) {
		return nodes, nil
	}
	targets, err := e.usable(ctx, who)
	if err != nil {
		return nil, err
	}
	allowed := map[string]bool{}
	for _, t := range targets {
		if !t.AllTasks && !slices.Contains(t.Tasks, name) {
			continue
		}
		members, err := e.cfg.Scopes.members(ctx, t)
		var mistaken *job.Error
		if errors.As(err, &mistaken) && mistaken.Status < 500 {
			e.log.Warn("the nodes of a task-target cannot be found; it permits nothing", "task_target", t.ID, "error", err)
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, certname := range members {
			allowed[certname] = true
		}
	}
	permitted := slices.DeleteFunc(slices.Clone(nodes), func(certname string) bool { return !allowed[certname] })
	if len(permitted) == 0 {
		return nil, job.NotPermitted(map[string]any{"object_type": "tasks", "action": "run", "instance": name},
			"You are not permitted to run the task %s on any of these nodes", name)
	}
	return permitted, nil
}

// members are the nodes of a task-target.
func (s *Scopes) members(ctx context.Context, t job.TaskTarget) ([]string, error) {
	members := slices.Clone(t.Nodes)
	for _, group := range t.NodeGroups {
		if s.cfg.Groups == nil {
			continue
		}
		of, err := s.cfg.Groups.Resolve(ctx, group)
		if err != nil {
			return nil, fmt.Errorf("resolve node group %s: %w", group, err)
		}
		members = append(members, of...)
	}
	if t.PQL != "" {
		text, err := json.Marshal(t.PQL)
		if err != nil {
			return nil, err
		}
		found, err := s.cfg.Querier.Certnames(ctx, text)
		if err != nil {
			return nil, err
		}
		members = append(members, found...)
	}
	return members, nil
}
