package orch

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"dalang/orchestrator"
	"dalang/orchestrator/job"
)

// Handler answers a request. After it has written a header it must not return
// an error that is meant for the client: it is only logged.
type Handler func(http.ResponseWriter, *http.Request) error

// Route is one line of a route table. Package server mounts it.
type Route struct {
	Methods []string
	Path    string // gorilla/mux template, from the root, without a slash at its end
	Handle  Handler
	Doc     string // one line: what the route is for
}

// Subject is who asks.
type Subject = orchestrator.Subject

// Engine runs jobs. Its errors are *job.Error where the client is to blame.
type Engine interface {
	// Deploy starts a job of Puppet runs and answers its id. Nothing is stored
	// when it fails.
	Deploy(ctx context.Context, s Subject, d job.Deploy) (int64, error)
	// Stop stops a job and answers what its nodes are in then. What has ended
	// already stays as it is.
	Stop(ctx context.Context, id int64, force bool) (job.Counts, error)
	// Task starts a job of a task, as Deploy does.
	Task(ctx context.Context, s Subject, t job.Task) (int64, error)
	// MayRun tells of tasks whether s may run them, at least on some nodes.
	MayRun(ctx context.Context, s Subject) (func(task string) bool, error)
}

// Jobs reads what is stored of jobs. Unknown ids are job.UnknownJob.
type Jobs interface {
	Jobs(ctx context.Context, f job.Filter) (jobs []job.Job, total int, err error)
	Job(ctx context.Context, id int64) (*job.Job, error)
	// JobNodes also answers how many nodes the filter lets pass without limit
	// and offset, and the id of the first event that is not yet there.
	JobNodes(ctx context.Context, id int64, f job.NodeFilter) (nodes []job.Node, total int, next int64, err error)
	// JobEvents are the events from id start on, ascending; limit 0: all.
	JobEvents(ctx context.Context, id, start int64, limit int) ([]job.Event, error)
}

// Config is what New needs. Engine, Jobs and Authenticate are required; what
// else is nil is not served.
type Config struct {
	Engine Engine
	Jobs   Jobs
	// Authenticate tells who asks, or why that is not known: a *job.Error.
	Authenticate func(*http.Request) (Subject, error)
	Inventory    Inventory
	Environments Environments
	Schedules    Schedules
	Tasks        TaskSource
	TaskTargets  TaskTargets
	Usage        Usage
	Plans        Plans // with PlanJobs
	PlanJobs     PlanJobs

	// BaseURL begins all ids, "https://orchestrator.example.com:8143"; empty:
	// as the request named the server.
	BaseURL string
	// ReportURL is where to see a report: {hash} stands for its hash, {base} for
	// the beginning of ids, {host} for the host in that. Empty: {base}'s query API.
	ReportURL string
	// LenientKeys lets members of a body pass that the endpoint does not know;
	// they are logged and do nothing.
	LenientKeys bool
	// ValidationKind replaces the kind of validation errors, for clients that
	// know only puppetlabs.validators/validation-error. Empty: the documented one.
	ValidationKind string
	// MaxBody is how large a body may be; default 16 MiB.
	MaxBody int64
	Version string // of Dalang, for the root document
	Logger  *slog.Logger
	Now     func() time.Time
}

// API answers /orchestrator/v1.
type API struct{ cfg Config }

// New fills in defaults.
func New(cfg Config) (*API, error) {
	if cfg.Engine == nil || cfg.Jobs == nil || cfg.Authenticate == nil {
		return nil, errors.New("orch: an engine, its jobs and a way to authenticate are required")
	}
	if cfg.MaxBody <= 0 {
		cfg.MaxBody = 16 << 20
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &API{cfg}, nil
}

// root begins every path.
const root = "/orchestrator/v1"

// Routes is the route table of the orchestrator.
func (a *API) Routes() []Route {
	get, post := []string{http.MethodGet, http.MethodHead}, []string{http.MethodPost}
	var t []Route
	add := func(methods []string, path string, handle guarded, doc string) {
		t = append(t, Route{methods, root + path, a.guard(handle), doc})
	}
	add(post, "/command/deploy", a.deploy, "run Puppet on nodes")
	add(post, "/command/stop", a.stop, "stop a job")
	add(get, "/jobs", a.listJobs, "all jobs")
	add(get, "/jobs/{job}", a.getJob, "one job")
	add(get, "/jobs/{job}/nodes", a.listNodes, "the nodes of a job and what became of them")
	add(get, "/jobs/{job}/report", a.getReport, "the events of a job by node")
	add(get, "/jobs/{job}/events", a.listEvents, "the events of a job")
	if a.cfg.Environments != nil {
		add(get, "/environments", a.listEnvironments, "all environments")
		add(get, "/environments/{environment}", a.getEnvironment, "one environment")
		add(get, "/environments/{environment}/applications", a.listApplications, "the applications of an environment")
		add(get, "/environments/{environment}/instances", a.listInstances, "the application instances of an environment and their components")
	}
	if a.cfg.Schedules != nil {
		t = append(t, a.scheduleRoutes()...)
	}
	if a.cfg.Inventory != nil {
		add(get, "/inventory", a.listInventory, "the nodes whose agents are connected")
		add(post, "/inventory", a.queryInventory, "whether the agents of some nodes are connected")
		add(get, "/inventory/{node}", a.getInventory, "whether the agent of a node is connected")
	}
	a.taskRoutes(add)
	a.planRoutes(add)
	add(get, "/status", a.getStatus, "where the status of the orchestrator is")
	add(get, "", a.getRoot, "what is served")
	t = append(t, Route{get, "/orchestrator", a.guard(a.getRoot), "what is served"})
	return t
}

// taskRoutes adds the routes of tasks.
func (a *API) taskRoutes(add func(methods []string, path string, handle guarded, doc string)) {
	get, post := []string{http.MethodGet, http.MethodHead}, []string{http.MethodPost}
	if a.cfg.Tasks != nil {
		add(post, "/command/task", a.task, "run a task on nodes")
		add(get, "/tasks", a.listTasks, "the tasks of an environment")
		add(get, "/tasks/{module}/{task}", a.getTask, "one task: its metadata and files")
	}
	if a.cfg.TaskTargets != nil {
		add(post, "/command/task_target", a.createTaskTarget, "let others run some tasks on some nodes")
		add(get, "/scopes/task_targets", a.listTaskTargets, "all task-targets")
		add(get, "/scopes/task_targets/{target}", a.getTaskTarget, "one task-target")
		add([]string{http.MethodDelete}, "/scopes/task_targets/{target}", a.deleteTaskTarget, "delete a task-target")
	}
	if a.cfg.Usage != nil {
		add(get, "/usage", a.getUsage, "how many nodes there were, by day")
	}
}

// guarded is a handler behind the gate: s may view the orchestrator.
type guarded func(w http.ResponseWriter, r *http.Request, s Subject) error

// guard lets those in who are known and may use the orchestrator.
func (a *API) guard(handle guarded) Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		s, err := a.cfg.Authenticate(r)
		if err == nil {
			identify(r, s.Owner())
			err = permit(s, "orchestrator", "view")
		}
		if err == nil {
			err = handle(w, r, s)
		}
		return a.shown(err)
	}
}

// permit is an error unless s has a permission on every instance.
func permit(s Subject, objectType, action string) error {
	if s.May(objectType, action, "*") {
		return nil
	}
	return job.NotPermitted(map[string]any{"object_type": objectType, "action": action, "instance": "*"},
		"You are not permitted to do this: it needs %s:%s:*", objectType, action)
}

// shown gives validation errors the kind that the configuration wants, and
// messages a length that they can be read at: some quote what was sent.
func (a *API) shown(err error) error {
	var e *job.Error
	if !errors.As(err, &e) {
		return err
	}
	other := *e
	if a.cfg.ValidationKind != "" && e.Kind == job.Prefix+"validation-error" {
		other.Kind = a.cfg.ValidationKind
	}
	other.Msg = abridged(e.Msg)
	return &other
}
