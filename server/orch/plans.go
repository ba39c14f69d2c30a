package orch

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"dalang/orchestrator/content"
	"dalang/orchestrator/job"
	"dalang/orchestrator/planjob"
	"dalang/orchestrator/task"
)

// Plans runs plans; it is *planjob.Service.
type Plans interface {
	// Start runs a plan and answers the id of its job.
	Start(ctx context.Context, s Subject, r planjob.Request) (int64, error)
	// Stop interrupts a plan, any number of times.
	Stop(ctx context.Context, s Subject, id int64) error
	Plans(ctx context.Context, environment string) ([]content.Entry, error)
	Describe(ctx context.Context, environment, name string) (*planjob.Description, error)
	ForeignPlans
}

// ForeignPlans keeps the books of plans that Bolt runs.
type ForeignPlans interface {
	Register(ctx context.Context, s Subject, r planjob.Request) (int64, error)
	Task(ctx context.Context, s Subject, t job.Task) (int64, error)
	Finish(ctx context.Context, s Subject, id int64, state job.PlanState, result json.RawMessage) error
}

// PlanJobs reads what is stored of plan jobs. Unknown ids are job.UnknownPlanJob.
type PlanJobs interface {
	PlanJobs(ctx context.Context, f job.PlanFilter) (plans []job.PlanJob, total int, err error)
	PlanJob(ctx context.Context, id int64) (*job.PlanJob, error)
	// PlanEvents are the events from id start on, ascending; limit 0: all.
	PlanEvents(ctx context.Context, id, start int64, limit int) ([]job.PlanEvent, error)
}

// planRoutes are the routes of plans (orchestrator.md §2.4, §2.8, §2.10, §3.6, §3.7).
func (a *API) planRoutes(add func(methods []string, path string, handle guarded, doc string)) {
	get, post := []string{http.MethodGet, http.MethodHead}, []string{http.MethodPost}
	if a.cfg.Plans == nil || a.cfg.PlanJobs == nil {
		return
	}
	add(post, "/command/plan_run", a.planRun, "run a plan")
	add(post, "/command/environment_plan_run", a.environmentPlanRun, "run a plan on the nodes of queries and groups")
	add(post, "/command/stop_plan", a.stopPlan, "stop a plan")
	add(post, "/command/plan_start", a.planStart, "register a plan that the client runs")
	add(post, "/command/plan_task", a.planTask, "run a task as a step of such a plan")
	add(post, "/command/plan_finish", a.planFinish, "end such a plan")
	add(get, "/plans", a.listPlans, "the plans of an environment")
	add(get, "/plans/{module}/{plan}", a.getPlan, "one plan and its parameters")
	add(get, "/plan_jobs", a.listPlanJobs, "all plan jobs")
	add(get, "/plan_jobs/{plan_job}", a.getPlanJob, "one plan job")
	add(get, "/plan_jobs/{plan_job}/events", a.listPlanEvents, "the events of a plan job")
	add(get, "/plan_jobs/{plan_job}/event/{event}", a.getPlanEvent, "one event of a plan job")
}

// planName is the answer to commands about plan jobs.
type planName struct {
	Name string `json:"name"`
}

func accepted(w http.ResponseWriter, id int64) error {
	return WriteJSON(w, http.StatusAccepted, planName{decimal(id)})
}

// planRun answers POST /command/plan_run: 202 as soon as the plan job is stored.
func (a *API) planRun(w http.ResponseWriter, r *http.Request, s Subject) error {
	return a.startPlan(w, r, s, (*object).planParams)
}

// environmentPlanRun answers POST /command/environment_plan_run, whose params
// say what they are.
func (a *API) environmentPlanRun(w http.ResponseWriter, r *http.Request, s Subject) error {
	return a.startPlan(w, r, s, (*object).typedParams)
}

func (a *API) startPlan(w http.ResponseWriter, r *http.Request, s Subject, params func(*object, *planjob.Request)) error {
	body, err := a.readBody(w, r)
	if err != nil {
		return err
	}
	request, err := parsePlan(body, params)
	if err != nil {
		return err
	}
	note(r, slog.String("plan", request.Plan), slog.String("environment", request.Environment))
	id, err := a.cfg.Plans.Start(r.Context(), s, request)
	if err != nil {
		return err
	}
	note(r, slog.Int64("plan_job", id))
	return accepted(w, id)
}

func parsePlan(o *object, params func(*object, *planjob.Request)) (planjob.Request, error) {
	request := planjob.Request{Plan: o.must("plan_name", "the name of a plan"), Environment: o.environmentName(), Description: o.description(),
		Userdata: o.data("userdata", maxUserdata)}
	if timeout := o.integer("timeout", 1); timeout != nil {
		request.Timeout = time.Duration(*timeout) * time.Second
	}
	if o.err == nil && !content.ValidPlan(request.Plan) {
		o.wrong("plan_name", "the name of a plan: names of lower-case letters, digits and _ with :: between them", quoted(request.Plan))
	}
	params(o, &request)
	return request, o.done()
}

// planParams reads params as they are.
func (o *object) planParams(r *planjob.Request) {
	raw := o.take("params")
	if raw == nil {
		r.Params = map[string]any{}
		return
	}
	var err error
	if r.Params, err = task.Object(raw); err != nil || what(raw) != "an object" {
		o.wrong("params", "an object", what(raw))
	}
}

// typedParams reads params that are objects with a value and, perhaps, a type.
func (o *object) typedParams(r *planjob.Request) { o.typedMember("params", r) }

// typedMember reads the params that are the member of some key.
func (o *object) typedMember(key string, r *planjob.Request) {
	raw := o.take(key)
	if raw == nil {
		o.missing(key, "an object of objects with a value")
		return
	}
	var params map[string]json.RawMessage
	if json.Unmarshal(raw, &params) != nil {
		o.wrong(key, "an object of objects with a value", what(raw))
		return
	}
	r.Params, r.Find = map[string]any{}, map[string]job.Scope{}
	for name, text := range params {
		p := &object{path: o.path + key + "." + shortened(name) + "."}
		if json.Unmarshal(text, &p.members) != nil || p.members == nil {
			o.wrong(key+"."+shortened(name), "an object with a value", what(text))
			return
		}
		if p.members["value"] == nil {
			p.missing("value", "there")
			o.fail(p.err)
			return
		}
		p.typedParam(name, r)
		o.fail(p.done())
	}
}

func (o *object) typedParam(name string, r *planjob.Request) {
	kind := o.oneOf("type", "query", "node_group")
	if kind == nil {
		o.known = append(o.known, "value")
		v, err := task.Object(json.RawMessage(`{"v":` + string(o.members["value"]) + `}`))
		if err != nil { // it was part of a body that was JSON
			o.wrong("value", "JSON", what(o.members["value"]))
		}
		r.Params[name] = v["v"]
		return
	}
	// Read as the members of a scope are.
	scope := &object{path: o.path, members: map[string]json.RawMessage{*kind: o.take("value")}}
	found := scope.scope(hostNames())
	if found.Empty() && scope.err == nil {
		o.wrong("value", map[string]string{"query": "a PQL string or an AST array", "node_group": "the UUID of a node group"}[*kind], "null")
	}
	o.short("value")
	if scope.err != nil {
		o.wrong("value", map[string]string{"query": "a PQL string or an AST array", "node_group": "the UUID of a node group"}[*kind], what(o.members["value"]))
	}
	r.Find[name] = found
}

// planJobMember is the member plan_job, a string of digits or an integer.
func (o *object) planJobMember() int64 {
	name := o.serial("plan_job", "the name of a plan job: a string of digits")
	if o.err != nil {
		return 0
	}
	id, err := planJobID(name)
	o.fail(err)
	return id
}

// planJobID reads digits. A number that no counter reaches is no plan job.
func planJobID(name string) (int64, error) {
	id, err := jobID(name)
	if err == nil {
		return id, nil
	}
	e := job.UnknownPlanJob(0)
	e.Msg, e.Details = "Unknown plan job "+shortened(name), map[string]any{"plan_job": shortened(name)}
	return 0, e
}

// stopPlan answers POST /command/stop_plan, any number of times for the same plan job.
func (a *API) stopPlan(w http.ResponseWriter, r *http.Request, s Subject) error {
	body, err := a.readBody(w, r)
	if err != nil {
		return err
	}
	id := body.planJobMember()
	if err := body.done(); err != nil {
		return err
	}
	note(r, slog.Int64("plan_job", id))
	if err := a.cfg.Plans.Stop(r.Context(), s, id); err != nil {
		return err
	}
	return accepted(w, id)
}

// maxSensitive bounds the names of secret params that a client tells.
const maxSensitive = 1000

// planStart answers POST /command/plan_start, which Bolt sends.
func (a *API) planStart(w http.ResponseWriter, r *http.Request, s Subject) error {
	body, err := a.readBody(w, r)
	if err != nil {
		return err
	}
	request := planjob.Request{Plan: body.must("plan_name", "the name of a plan"), Environment: body.environmentName(), Description: body.description(),
		Userdata: body.data("userdata", maxUserdata)}
	body.planParams(&request)
	request.Sensitive, _ = body.names("sensitive", maxSensitive)
	if body.err == nil && strings.TrimSpace(request.Plan) == "" {
		body.wrong("plan_name", "the name of a plan", quoted(request.Plan))
	}
	if err := body.done(); err != nil {
		return err
	}
	note(r, slog.String("plan", shortened(request.Plan)), slog.String("environment", request.Environment))
	id, err := a.cfg.Plans.Register(r.Context(), s, request)
	if err != nil {
		return err
	}
	note(r, slog.Int64("plan_job", id))
	return accepted(w, id)
}

// planTask answers POST /command/plan_task: a task and plan_job.
func (a *API) planTask(w http.ResponseWriter, r *http.Request, s Subject) error {
	body, err := a.readBody(w, r)
	if err != nil {
		return err
	}
	id := body.planJobMember()
	t, err := parseTask(body)
	if err != nil {
		return err
	}
	t.PlanJob = id
	note(r, slog.Int64("plan_job", id))
	noteTask(r, &t)
	made, err := a.cfg.Plans.Task(r.Context(), s, t)
	if err != nil {
		return err
	}
	a.noteJob(r, made)
	return WriteJSON(w, http.StatusAccepted, jobRef{named{a.url(r, "/jobs/%d", made), fmt.Sprint(made)}})
}

// planFinish answers POST /command/plan_finish.
func (a *API) planFinish(w http.ResponseWriter, r *http.Request, s Subject) error {
	body, err := a.readBody(w, r)
	if err != nil {
		return err
	}
	id, status, result := body.planJobMember(), body.oneOf("status", "success", "failure"), body.take("result")
	if status == nil {
		body.missing("status", "success or failure")
	}
	if err := body.done(); err != nil {
		return err
	}
	note(r, slog.Int64("plan_job", id), slog.String("state", *status))
	if err := a.cfg.Plans.Finish(r.Context(), s, id, job.PlanState(*status), result); err != nil {
		return err
	}
	return accepted(w, id)
}
