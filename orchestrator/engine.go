package orchestrator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"dalang/orchestrator/job"
)

// Store keeps jobs. Its methods are safe for concurrent use. What they
// returned for without an error is on disk.
type Store interface {
	// CreateJob stores a job with its nodes, and gives it its ID.
	CreateJob(ctx context.Context, d *job.Draft) (*job.Job, error)
	// ChangeJobs does all of a batch in one transaction, or nothing.
	ChangeJobs(ctx context.Context, b *job.Batch) (*job.Applied, error)
	// OpenJobs are the ids of the jobs that have not ended, in order.
	OpenJobs(ctx context.Context) ([]int64, error)
	// WholeJob is a job with its nodes and their order, or job.UnknownJob.
	WholeJob(ctx context.Context, id int64) (*job.Job, []job.Node, []job.Edge, error)
	// Job is a job without its nodes, or job.UnknownJob.
	Job(ctx context.Context, id int64) (*job.Job, error)
	// PruneJobs deletes jobs that ended before a time.
	PruneJobs(ctx context.Context, before time.Time) (int64, error)
}

// Reports are the stored reports that wait to be joined with runs.
type Reports interface {
	// JobReports are the first of them. They go when Batch.Notes names them.
	JobReports(ctx context.Context, limit int) ([]job.ReportNote, error)
	// ReportNotes gets a value after some were added.
	ReportNotes() <-chan struct{}
}

// Database is all that an engine wants of a store.
type Database interface {
	Store
	Reports
}

// Subject is who commands. nil may do everything: it is the server itself.
type Subject interface {
	// May tells whether the subject has a permission (orchestrator.md §1.2).
	May(objectType, action, instance string) bool
	// Owner is the snapshot that a job keeps: an object with login.
	Owner() json.RawMessage
}

// Config is how an engine works. Database, Scopes and PuppetRun are required.
type Config struct {
	Database Database
	Scopes   *Scopes
	// PuppetRun makes the parameters of pxp-module-puppet's run.
	PuppetRun func(d job.Deploy, jobName string) (json.RawMessage, error)
	// Tasking is for tasks and the steps of plans; nil: there are none.
	Tasking *Tasking
	// Works are other types of jobs.
	Works map[job.Type]Work

	Compiles    int // nodes of all deploys that run at a time; 0: 8
	Tasks       int // nodes of all tasks and commands; 0: 250
	Connections int // nodes over ssh and winrm; 0: 100

	PCPTimeout    time.Duration // how long a node waits for its agent to connect; 0: 30 s
	RescueTimeout time.Duration // the same after a start, for runs of the last life; 0: 2 min, at least PCPTimeout
	NodeTimeout   time.Duration // of a node's run, unless the job says otherwise; 0: 1 h
	ResendWithin  time.Duration // how old a request may be that is sent again, or sent at last; 0: 1 h
	PruneAfter    time.Duration // how long jobs are kept after their end; 0: 30 days, at least 2 days

	Logger     *slog.Logger
	Registerer prometheus.Registerer
	Now        func() time.Time
}

const day = 24 * time.Hour

func (c Config) withDefaults() (Config, error) {
	if c.Database == nil || c.Scopes == nil || c.PuppetRun == nil {
		return c, errors.New("orchestrator: Database, Scopes and PuppetRun are required")
	}
	for _, n := range []struct {
		value   *int
		usually int
		name    string
	}{{&c.Compiles, 8, "Compiles"}, {&c.Tasks, 250, "Tasks"}, {&c.Connections, 100, "Connections"}} {
		if *n.value < 0 {
			return c, fmt.Errorf("orchestrator: %s must not be negative", n.name)
		}
		if *n.value == 0 {
			*n.value = n.usually
		}
	}
	for _, d := range []struct {
		value            *time.Duration
		usually, atLeast time.Duration
	}{{&c.PCPTimeout, 30 * time.Second, 0}, {&c.RescueTimeout, 2 * time.Minute, c.PCPTimeout}, {&c.NodeTimeout, time.Hour, 0},
		{&c.ResendWithin, time.Hour, 0}, {&c.PruneAfter, 30 * day, 2 * day}} {
		if *d.value <= 0 {
			*d.value = d.usually
		}
		*d.value = max(*d.value, d.atLeast)
	}
	if c.Tasking != nil {
		tasking := *c.Tasking
		if err := tasking.complete(); err != nil {
			return c, err
		}
		c.Tasking = &tasking
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c, nil
}

// Engine runs jobs. It is the job.Sink of its transports. Its methods are safe
// for concurrent use; what they are told before Run is done when Run begins.
type Engine struct {
	cfg        Config
	db         Database
	log        *slog.Logger
	metrics    *metrics
	works      map[job.Type]Work
	inbox      *mailbox[func(*turn)]
	transports map[string]*courier
	began      chan struct{} // closed when Run has taken up the last life's jobs
	submitting atomic.Int32  // calls of Submit whose job may be stored and not be told yet

	// The rest is the loop's.
	jobs     map[int64]*active
	ring     []*active // jobs that have not ended, in order; they take turns
	next     int       // whose turn it is
	runs     map[uuid.UUID]*run
	absent   map[string][]*run // by certname: waiting for their agents
	due      deadlines
	pools    map[string]*pool
	early    map[int64]bool // jobs that were loaded while Submit may still have to tell of them
	phases   [sent + 1]int  // runs by where they wait
	joinable bool           // reports may be waiting
}

var _ job.Sink = (*Engine)(nil)

// New makes an engine. Add its transports, then Run it.
func New(cfg Config) (*Engine, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	e := &Engine{
		cfg: cfg, db: cfg.Database, log: cfg.Logger, inbox: newMailbox[func(*turn)](),
		transports: map[string]*courier{}, began: make(chan struct{}), jobs: map[int64]*active{}, runs: map[uuid.UUID]*run{}, early: map[int64]bool{}, absent: map[string][]*run{},
		works: map[job.Type]Work{job.TypeDeploy: &deploys{params: cfg.PuppetRun}}, joinable: true,
		pools: map[string]*pool{Compiles: {size: cfg.Compiles}, Tasks: {size: cfg.Tasks}, connections: {size: cfg.Connections}},
	}
	if cfg.Tasking != nil {
		for _, kind := range []job.Type{job.TypeTask, job.TypePlanTask, job.TypePlanCommand, job.TypePlanScript, job.TypePlanUpload, job.TypePlanApply} {
			e.works[kind] = &assignments{cfg.Tasking.Secrets, cfg.Tasking.Downloads}
		}
	}
	for kind, work := range cfg.Works {
		e.works[kind] = work
	}
	e.metrics = newMetrics(cfg.Registerer, e)
	return e, nil
}

// Add gives the engine a transport, before Run. The transport's sink is the engine.
func (e *Engine) Add(t job.Transport) {
	e.transports[t.Name()] = &courier{transport: t, engine: e, orders: newMailbox[order]()}
}

// Run runs jobs until ctx ends. It begins with those that the last life of the
// server left. Its error is only that these could not be read.
func (e *Engine) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, c := range e.transports {
		group.Go(func() error { c.run(ctx); return nil })
	}
	group.Go(func() error { e.prune(ctx); return nil })
	group.Go(func() error { return e.loop(ctx) })
	return group.Wait()
}

// Ready is closed when Run has taken up what the last life left.
func (e *Engine) Ready() <-chan struct{} { return e.began }

func (e *Engine) loop(ctx context.Context) error {
	if err := e.rescue(ctx); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	close(e.began)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil {
		if e.turn(ctx) {
			continue
		}
		wait := e.due.wait(e.cfg.Now())
		if e.joinable {
			wait = min(wait, time.Second) // reports could not be read
		}
		timer.Reset(wait)
		select {
		case <-ctx.Done():
		case <-e.inbox.signal:
		case <-timer.C:
		case <-e.db.ReportNotes():
			e.joinable = true
		}
	}
	return nil
}

// turn does what has come in, and lets nodes start. It tells whether there is
// more to do at once.
func (e *Engine) turn(ctx context.Context) (more bool) {
	t := e.newTurn(ctx)
	for _, do := range e.inbox.take() {
		do(t)
	}
	select {
	case <-e.db.ReportNotes():
		e.joinable = true
	default:
	}
	more = e.joinable && e.join(t) && e.joinable
	e.expire(t)
	more = e.schedule(t) || more
	e.commit(t)
	if len(e.early) > 0 && e.submitting.Load() == 0 {
		clear(e.early) // all have told
	}
	e.metrics.look(e)
	return more
}

// post has the loop do something in its next turn. It never blocks.
func (e *Engine) post(do func(*turn)) { e.inbox.put(do) }

// Deploy runs Puppet on the nodes of a scope. Nothing is stored unless it
// returns the job's ID. Errors are *job.Error where the command is at fault, in the
// order of orchestrator.md §2.1, beginning with what no agent could be asked.
func (e *Engine) Deploy(ctx context.Context, who Subject, d job.Deploy) (int64, error) {
	if err := e.CheckDeploy(d); err != nil {
		return 0, err
	}
	target, err := e.cfg.Scopes.Deploy(ctx, who, d)
	if err != nil {
		return 0, err
	}
	options, err := json.Marshal(d)
	if err != nil {
		return 0, fmt.Errorf("options of the deploy: %w", err)
	}
	draft := &job.Draft{Edges: target.Edges, Firing: d.Firing, Job: job.Job{
		Type: job.TypeDeploy, Environment: d.Environment, Options: options, Description: d.Description, Userdata: d.Userdata,
		Concurrency: d.Concurrency.Max, Timeout: e.cfg.NodeTimeout,
	}}
	if d.Timeout != nil {
		draft.Job.Timeout = time.Duration(*d.Timeout) * time.Second
	}
	for _, certname := range target.Nodes {
		draft.Nodes = append(draft.Nodes, job.Node{Certname: certname, Transport: "pcp"})
	}
	return e.Submit(ctx, who, draft)
}

// CheckDeploy tells why no agent could be asked to run Puppet so, whatever the
// scope: a *job.Error.
func (e *Engine) CheckDeploy(d job.Deploy) error {
	_, err := e.cfg.PuppetRun(d, "1") // the name makes no difference
	return err
}

// Submit makes a job of a draft and runs it. The draft is taken for granted:
// its nodes exist once, its edges are between them and make no cycle.
func (e *Engine) Submit(ctx context.Context, who Subject, draft *job.Draft) (int64, error) {
	if _, known := e.works[draft.Job.Type]; !known {
		return 0, fmt.Errorf("orchestrator: nothing runs jobs of type %q", draft.Job.Type)
	}
	if who != nil {
		draft.Job.Owner = who.Owner()
		var owner struct{ Login string }
		if err := json.Unmarshal(draft.Job.Owner, &owner); err != nil {
			return 0, fmt.Errorf("owner of the job: %w", err)
		}
		draft.Job.OwnerLogin = owner.Login
	}
	e.submitting.Add(1)
	j, err := e.db.CreateJob(ctx, draft)
	if err != nil {
		e.submitting.Add(-1)
		return 0, err
	}
	e.log.LogAttrs(ctx, slog.LevelInfo, "job created", slog.Int64("job_id", j.ID), slog.String("type", string(j.Type)),
		slog.String("task", j.Task), slog.String("environment", j.Environment), slog.String("owner", j.OwnerLogin), slog.Int("nodes", j.NodeCount))
	nodes := make([]job.Node, len(draft.Nodes))
	for i, n := range draft.Nodes {
		nodes[i] = job.Node{JobID: j.ID, Certname: n.Certname, Transport: n.Transport, State: job.New, Position: i}
	}
	id := j.ID // j is the loop's now
	e.post(func(t *turn) {
		e.submitting.Add(-1)
		if e.early[id] { // a stop or the rescue came first
			delete(e.early, id)
			return
		}
		e.admit(t, j, nodes, draft.Edges)
	})
	return id, nil
}

// Stop stops a job: its nodes that have not started never will. With force
// those that run are given up as well. It gives the states of its nodes as they
// are then. It may be called at any time, any number of times; a job that has
// ended stays as it is. For any other one it waits for Run.
func (e *Engine) Stop(ctx context.Context, id int64, force bool) (job.Counts, error) {
	j, err := e.db.Job(ctx, id)
	switch {
	case err != nil:
		return nil, err
	case j.State.Terminal():
		return j.Nodes, nil
	}
	done := make(chan struct{})
	e.post(func(t *turn) {
		e.stop(t, id, force)
		t.then(func() { close(done) })
	})
	select {
	case <-ctx.Done():
		return nil, fmt.Errorf("stop job %d: %w", id, context.Cause(ctx))
	case <-done:
	}
	if j, err = e.db.Job(ctx, id); err != nil {
		return nil, err
	}
	return j.Nodes, nil
}

// prune deletes old jobs once an hour.
func (e *Engine) prune(ctx context.Context) {
	ticker := time.NewTicker(time.Hour)
	defer ticker.Stop()
	for ctx.Err() == nil {
		pruned, err := e.db.PruneJobs(ctx, e.cfg.Now().Add(-e.cfg.PruneAfter))
		if err != nil && ctx.Err() == nil {
			e.log.LogAttrs(ctx, slog.LevelError, "pruning jobs failed", slog.Any("error", err))
		}
		if pruned > 0 {
			e.log.LogAttrs(ctx, slog.LevelInfo, "pruned jobs", slog.Int64("jobs", pruned))
		}
		select {
		case <-ctx.Done():
		case <-ticker.C:
		}
	}
}
