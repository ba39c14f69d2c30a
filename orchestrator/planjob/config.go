package planjob

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"dalang/orchestrator"
	"dalang/orchestrator/content"
	"dalang/orchestrator/job"
)

// Store keeps plan jobs; see package store.
type Store interface {
	CreatePlanJob(ctx context.Context, p *job.PlanJob, firing int64) (*job.PlanJob, error)
	BeginPlanJob(ctx context.Context, id int64) (begun bool, err error)
	AddPlanEvent(ctx context.Context, id int64, kind string, details json.RawMessage, message string) (added bool, err error)
	EndPlanJob(ctx context.Context, id int64, state job.PlanState, result json.RawMessage) (ended bool, err error)
	InterruptPlanJobs(ctx context.Context, result json.RawMessage) ([]int64, error)
	PrunePlanJobs(ctx context.Context, before time.Time) (int64, error)
}

// Reader reads plan jobs and the nodes of jobs.
type Reader interface {
	PlanJob(ctx context.Context, id int64) (*job.PlanJob, error)
	JobNodes(ctx context.Context, id int64, f job.NodeFilter) (nodes []job.Node, total int, next int64, err error)
}

// Database is all that plan jobs want of a store.
type Database interface {
	Store
	Reader
}

// Engine makes jobs of steps.
type Engine interface {
	Task(ctx context.Context, who orchestrator.Subject, t job.Task) (int64, error)
	Step(ctx context.Context, who orchestrator.Subject, s job.Step) (int64, error)
	// Wait waits until a job has ended.
	Wait(ctx context.Context, id int64) (*job.Job, error)
	Stop(ctx context.Context, id int64, force bool) (job.Counts, error)
}

// Content has the plans of environments and the files that they name.
type Content interface {
	Plans(ctx context.Context, environment string) ([]content.Entry, error)
	Plan(ctx context.Context, environment, name string) (*content.Plan, error)
	Files(ctx context.Context, environment, name string) ([]content.Placed, error)
}

// Scopes finds the nodes of queries and groups.
type Scopes interface {
	Nodes(ctx context.Context, who orchestrator.Subject, scope job.Scope) ([]string, error)
}

// Config is how plan jobs work. Database, Engine, Content and Scopes are required.
type Config struct {
	Database Database
	Engine   Engine
	Content  Content
	Scopes   Scopes
	// Downloads has the files of steps that download; nil: there are none.
	Downloads Downloads
	// Runner is the program for plans in the Puppet language and its
	// arguments; in each {plan}, {environment} and {plan_job} stand for what
	// they say. Empty: such plans cannot be run.
	Runner []string
	// RunnerGrace is how long that has to end when its plan is stopped; 0: 10 s.
	RunnerGrace time.Duration
	Timeout     time.Duration // of a plan, unless its command says otherwise; 0: 1 h
	Plans       int           // how many run at a time; 0: 100
	PruneAfter  time.Duration // how long plan jobs are kept after their end; 0: 30 days, at least 2 days
	Logger      *slog.Logger
	Registerer  prometheus.Registerer
	Now         func() time.Time
}

const day = 24 * time.Hour

func (c Config) withDefaults() (Config, error) {
	if c.Database == nil || c.Engine == nil || c.Content == nil || c.Scopes == nil {
		return c, errors.New("planjob: Database, Engine, Content and Scopes are required")
	}
	if c.Timeout <= 0 {
		c.Timeout = time.Hour
	}
	if c.RunnerGrace <= 0 {
		c.RunnerGrace = 10 * time.Second
	}
	if c.Plans <= 0 {
		c.Plans = 100
	}
	if c.PruneAfter <= 0 {
		c.PruneAfter = 30 * day
	}
	c.PruneAfter = max(c.PruneAfter, 2*day)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c, nil
}

// metrics are counted from the start of the process.
type metrics struct {
	ended  *prometheus.CounterVec // by state
	events prometheus.Counter
}

func newMetrics(r prometheus.Registerer, s *Service) *metrics {
	m := &metrics{
		ended:  prometheus.NewCounterVec(prometheus.CounterOpts{Name: "dalang_orchestrator_plan_jobs_ended_total", Help: "Plan jobs that ended, by state."}, []string{"state"}),
		events: prometheus.NewCounter(prometheus.CounterOpts{Name: "dalang_orchestrator_plan_events_total", Help: "Events of plan jobs."}),
	}
	if r != nil {
		r.MustRegister(m.ended, m.events, prometheus.NewGaugeFunc(
			prometheus.GaugeOpts{Name: "dalang_orchestrator_plan_jobs_active", Help: "Plan jobs that this server runs, or that wait for their turn."},
			func() float64 { s.mu.Lock(); defer s.mu.Unlock(); return float64(len(s.active)) }))
	}
	return m
}
