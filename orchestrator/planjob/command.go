package planjob

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"dalang/orchestrator"
	"dalang/orchestrator/content"
	"dalang/orchestrator/job"
	"dalang/orchestrator/plan"
	"dalang/orchestrator/task"
)

// Request is the command to run a plan.
type Request struct {
	Plan        string
	Environment string
	Params      map[string]any // numbers are json.Number; with secrets
	// Find are params whose values are nodes that are still to be found: a
	// query, or a node group. They are not in Params.
	Find        map[string]job.Scope
	Description string
	Timeout     time.Duration // 0: Config.Timeout
	Userdata    json.RawMessage
	// ScheduledJob is the name of the scheduled job that this is a run of, ""
	// for none, and Firing its firing.
	ScheduledJob string
	Firing       int64
	// Sensitive are the names of params that are secrets whatever the plan says
	// of them; for Register their values need not be in Params.
	Sensitive []string
}

// options is what a plan job shows of what was asked for: no secrets.
type options struct {
	Description  string         `json:"description"`
	Plan         string         `json:"plan_name"`
	Parameters   map[string]any `json:"parameters"`
	Sensitive    []string       `json:"sensitive"`
	Environment  string         `json:"environment"`
	ScheduledJob *string        `json:"scheduled_job_id"`
}

// newJob is the plan job of a request; sensitive are the names of the params
// that it must not show.
func newJob(who orchestrator.Subject, r *Request, sensitive []string) (*job.PlanJob, error) {
	o := options{Description: r.Description, Plan: r.Plan, Parameters: map[string]any{}, Sensitive: []string{}, Environment: r.Environment}
	for name, v := range r.Params {
		switch {
		case slices.Contains(r.Sensitive, name): // below
		case slices.Contains(sensitive, name):
			o.Sensitive = append(o.Sensitive, name)
		default:
			o.Parameters[name] = v
		}
	}
	o.Sensitive = append(o.Sensitive, r.Sensitive...)
	slices.Sort(o.Sensitive)
	o.Sensitive = slices.Compact(o.Sensitive)
	if r.ScheduledJob != "" {
		o.ScheduledJob = &r.ScheduledJob
	}
	text, err := task.Marshal(o)
	if err != nil {
		return nil, fmt.Errorf("options of the plan %s: %w", r.Plan, err)
	}
	p := &job.PlanJob{Plan: r.Plan, Environment: r.Environment, Options: text, OwnerLogin: login(who), Userdata: r.Userdata}
	if who != nil {
		p.Owner = who.Owner()
	}
	return p, nil
}

// MayRun is an error unless who may run a plan.
func MayRun(who orchestrator.Subject, name string) error {
	if who == nil || who.May("plans", "run", name) {
		return nil
	}
	return job.NotPermitted(map[string]any{"object_type": "plans", "action": "run", "instance": name},
		"You are not permitted to run the plan %s: it needs plans:run:%[1]s", name)
}

// Start runs a plan. It answers the plan job's id as soon as that is stored.
// Errors are *job.Error where the command is at fault: not-permitted, unknown
// environment or plan, the errors of scopes, and validation-error for a plan
// that is none, that nothing can run, or that does not take the params.
func (s *Service) Start(ctx context.Context, who orchestrator.Subject, r Request) (int64, error) {
	if err := MayRun(who, r.Plan); err != nil {
		return 0, err
	}
	found, err := s.cfg.Content.Plan(ctx, r.Environment, r.Plan)
	if err != nil {
		return 0, err
	}
	if err := s.find(ctx, who, &r); err != nil {
		return 0, err
	}
	run, sensitive, err := s.prepare(found, &r)
	if err != nil {
		return 0, err
	}
	p, err := newJob(who, &r, sensitive)
	if err != nil {
		return 0, err
	}
	id, err := s.begin(ctx, who, &r, p, run)
	if err == nil {
		p.ID = id
		s.audit(ctx, "plan started", who, p)
	}
	return id, err
}

// Check answers the names of the params that are secrets, or why Start would
// refuse the plan, whoever starts it and whatever nodes it finds.
func (s *Service) Check(ctx context.Context, r Request) (secrets []string, err error) {
	found, err := s.cfg.Content.Plan(ctx, r.Environment, r.Plan)
	if err != nil {
		return nil, err
	}
	params := maps.Clone(r.Params)
	for name := range r.Find {
		params[name] = []any{}
	}
	r.Params = params
	_, secrets, err = s.prepare(found, &r)
	return secrets, err
}

// find puts the nodes of queries and groups into the params.
func (s *Service) find(ctx context.Context, who orchestrator.Subject, r *Request) error {
	if len(r.Find) == 0 {
		return nil
	}
	params := map[string]any{}
	for name, v := range r.Params {
		params[name] = v
	}
	for name, scope := range r.Find {
		nodes, err := s.cfg.Scopes.Nodes(ctx, who, scope)
		if err != nil {
			return about(name, err)
		}
		list := make([]any, len(nodes))
		for i, certname := range nodes {
			list[i] = certname
		}
		params[name] = list
	}
	r.Params = params
	return nil
}

// about adds to an error which param it is of.
func about(name string, err error) error {
	var e *job.Error
	if !errors.As(err, &e) {
		return fmt.Errorf("params.%s: %w", name, err)
	}
	told := *e
	told.Msg = "params." + name + ": " + e.Msg
	told.Details = map[string]any{"key": "params." + name}
	for k, v := range e.Details {
		told.Details[k] = v
	}
	return &told
}

// prepare checks a plan and its params before anything is stored.
func (s *Service) prepare(found *content.Plan, r *Request) (run runnable, sensitive []string, err error) {
	if found.Ext != ".yaml" {
		if len(s.cfg.Runner) == 0 {
			return nil, nil, job.Invalid("plan_name", "The plan %s is written in the Puppet language: to run such plans, orchestrator.plans-external-runner has to name a program that does", r.Plan)
		}
		return s.external(r), secretParams(found, r.Params), nil
	}
	p, err := parse(found)
	if err != nil {
		return nil, nil, err
	}
	params := maps.Clone(r.Params)
	for _, name := range r.Sensitive {
		if v := params[name]; v != nil {
			params[name] = plan.Secret(v)
		}
	}
	arguments, err := p.Check(params)
	var problems task.Problems
	if errors.As(err, &problems) {
		bad := job.Invalid("params", "The plan %s does not take these params: %v", r.Plan, problems)
		bad.Details["problems"] = []string(problems)
		return nil, nil, bad
	}
	if err != nil {
		return nil, nil, err
	}
	run = func(ctx context.Context, h *host) (json.RawMessage, error) {
		v, err := p.Run(ctx, h, params)
		if err != nil {
			return nil, err
		}
		return plan.JSON(v)
	}
	return run, arguments.Sensitive, nil
}

// parse reads a YAML plan; that it is none is a validation-error.
func parse(found *content.Plan) (*plan.Plan, error) {
	p, err := plan.Parse(found.Name, found.Text)
	var bad *plan.LoadError
	if errors.As(err, &bad) {
		e := job.Invalid("plan_name", "The plan cannot be read: %v", bad)
		if bad.Line > 0 {
			e.Details["line"] = bad.Line
		}
		return nil, e
	}
	if err != nil {
		return nil, err
	}
	aliased(p, found)
	return p, nil
}

// aliased makes secrets of the parameters whose types are behind others.
func aliased(p *plan.Plan, found *content.Plan) {
	for i := range p.Parameters {
		p.Parameters[i].Alias(found.Alias)
	}
}

// Register keeps the books of a plan that somebody else runs: it runs from now on.
func (s *Service) Register(ctx context.Context, who orchestrator.Subject, r Request) (int64, error) {
	p, err := newJob(who, &r, nil)
	if err != nil {
		return 0, err
	}
	s.mu.Lock()
	up := s.life != nil
	s.mu.Unlock()
	if !up { // or the next Run would end it
		return 0, job.Unavailable(errDown)
	}
	p.External = true
	made, err := s.db.CreatePlanJob(ctx, p, 0)
	if err != nil {
		return 0, err
	}
	if _, err := s.db.BeginPlanJob(ctx, made.ID); err != nil {
		return 0, err
	}
	s.audit(ctx, "plan registered", who, made)
	return made.ID, nil
}

// registered is an open plan job of Register.
func (s *Service) registered(ctx context.Context, id int64) (*job.PlanJob, error) {
	p, err := s.db.PlanJob(ctx, id)
	switch {
	case err != nil:
		return nil, err
	case p.State.Terminal():
		return nil, job.PlanFinished(id)
	case !p.External:
		return nil, job.Invalid("plan_job", "The plan job %d is run by this server: nobody else can add to it or end it", id)
	}
	return p, nil
}

// Task runs a task as a step of a plan of Register. Errors as Engine.Task's, job.UnknownPlanJob
// and job.PlanFinished.
func (s *Service) Task(ctx context.Context, who orchestrator.Subject, t job.Task) (int64, error) {
	if _, err := s.registered(ctx, t.PlanJob); err != nil {
		return 0, err
	}
	id, err := s.cfg.Engine.Task(ctx, who, t)
	if err != nil {
		return 0, err
	}
	details, err := json.Marshal(map[string]string{"job-id": fmt.Sprint(id)})
	if err == nil {
		_, err = s.db.AddPlanEvent(ctx, t.PlanJob, job.EventTask, details, fmt.Sprintf("Job %d runs the task %s", id, t.Task))
	}
	if err != nil { // the job runs, whatever is told of it
		s.log.ErrorContext(ctx, "the event of a plan's task cannot be stored", "plan_job", t.PlanJob, "job", id, "error", err)
	}
	s.metrics.events.Inc()
	return id, nil
}

// Finish ends a plan of Register.
func (s *Service) Finish(ctx context.Context, who orchestrator.Subject, id int64, state job.PlanState, result json.RawMessage) error {
	p, err := s.registered(ctx, id)
	if err != nil {
		return err
	}
	ended, err := s.db.EndPlanJob(ctx, id, state, result)
	if err != nil {
		return err
	}
	if !ended {
		return job.PlanFinished(id)
	}
	s.metrics.ended.WithLabelValues(string(state)).Inc()
	s.audit(ctx, "plan finished by its client", who, p)
	return nil
}

// Description is what is known of a plan.
type Description struct {
	Name        string
	Description string
	Private     bool
	Puppet      bool             // written in the Puppet language; Parameters are not known then
	Parameters  []plan.Parameter // in the plan's order
	Runnable    bool             // this server could run it
}

// Plans lists the plans of an environment.
func (s *Service) Plans(ctx context.Context, environment string) ([]content.Entry, error) {
	return s.cfg.Content.Plans(ctx, environment)
}

// Describe tells of one plan. A YAML plan that is none is a validation-error.
func (s *Service) Describe(ctx context.Context, environment, name string) (*Description, error) {
	found, err := s.cfg.Content.Plan(ctx, environment, name)
	if err != nil {
		return nil, err
	}
	if found.Ext != ".yaml" {
		return &Description{Name: name, Puppet: true, Runnable: len(s.cfg.Runner) > 0}, nil
	}
	p, err := parse(found)
	if err != nil {
		return nil, err
	}
	return &Description{Name: name, Description: strings.TrimSpace(p.Description), Private: p.Private, Parameters: p.Parameters, Runnable: true}, nil
}
