package orch

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"

	"dalang/orchestrator/content"
	"dalang/orchestrator/job"
	"dalang/orchestrator/planjob"
)

// planItem is a plan in a list.
type planItem struct {
	named
	Permitted bool `json:"permitted"`
}

// planItem makes one: the plan m is m/init, m::a::b is m/a::b.
func (a *API) planItem(r *http.Request, s Subject, name string) planItem {
	module, own, found := strings.Cut(name, "::")
	if !found {
		own = "init"
	}
	return planItem{named{a.url(r, "/plans/%s/%s", module, own), name}, planjob.MayRun(s, name) == nil}
}

// listPlans answers GET /plans.
func (a *API) listPlans(w http.ResponseWriter, r *http.Request, s Subject) error {
	environment, err := environmentOf(r)
	if err != nil {
		return err
	}
	plans, err := a.cfg.Plans.Plans(r.Context(), environment)
	if err != nil {
		return err
	}
	items := make([]planItem, len(plans))
	for i, p := range plans {
		items[i] = a.planItem(r, s, p.Name)
	}
	return WriteJSON(w, http.StatusOK, struct {
		Environment codeRef    `json:"environment"`
		Items       []planItem `json:"items"`
	}{codeRef{Name: environment}, items})
}

// planMetadata is what is known of a plan; nothing of one in the Puppet language.
type planMetadata struct {
	Description string                   `json:"description"`
	Private     bool                     `json:"private,omitempty"`
	Parameters  map[string]planParameter `json:"parameters"`
}

type planParameter struct {
	Type        string          `json:"type"`
	Description string          `json:"description,omitempty"`
	Default     json.RawMessage `json:"default_value,omitempty"`
	Sensitive   bool            `json:"sensitive,omitempty"`
}

// getPlan answers GET /plans/:module/:plan.
func (a *API) getPlan(w http.ResponseWriter, r *http.Request, s Subject) error {
	environment, err := environmentOf(r)
	if err != nil {
		return err
	}
	module, own := pathVar(r, "module"), pathVar(r, "plan")
	name := module
	if own != "init" {
		name += "::" + own
	}
	if strings.Contains(module, ":") || !content.ValidPlan(name) {
		return invalid("plan", "the names of a module and a plan, in lower-case letters, digits and _", quoted(module+"/"+own))
	}
	found, err := a.cfg.Plans.Describe(r.Context(), environment, name)
	if err != nil {
		return err
	}
	var metadata any = struct{}{}
	if !found.Puppet {
		known := planMetadata{found.Description, found.Private, map[string]planParameter{}}
		for i := range found.Parameters {
			p := &found.Parameters[i]
			of := planParameter{Type: "Any", Description: p.Description, Default: p.Default, Sensitive: p.Sensitive}
			if p.Sensitive && p.Default != nil {
				of.Default = json.RawMessage("null") // that there is one is no secret
			}
			if p.Type != nil {
				of.Type = p.Type.String()
			}
			known.Parameters[p.Name] = of
		}
		metadata = known
	}
	return WriteJSON(w, http.StatusOK, struct {
		planItem
		Environment codeRef `json:"environment"`
		Metadata    any     `json:"metadata"`
	}{a.planItem(r, s, name), codeRef{Name: environment}, metadata})
}

// planJobDoc is a plan job, in lists and alone.
type planJobDoc struct {
	ID        string               `json:"id"`
	Name      string               `json:"name"`
	State     job.PlanState        `json:"state"`
	Options   json.RawMessage      `json:"options"`
	Result    json.RawMessage      `json:"result,omitempty"` // left out only where results are not wanted
	Owner     json.RawMessage      `json:"owner"`
	Timestamp moment               `json:"timestamp"` // of the last change of state
	Created   moment               `json:"created_timestamp"`
	Finished  moment               `json:"finished_timestamp"`
	Duration  *float64             `json:"duration"`
	Events    link                 `json:"events"`
	Status    map[string][]spanDoc `json:"status"` // of the jobs that it made, by their names
	Userdata  json.RawMessage      `json:"userdata"`
}

func (a *API) planJobDoc(r *http.Request, p *job.PlanJob, results bool) planJobDoc {
	id := a.url(r, "/plan_jobs/%d", p.ID)
	doc := planJobDoc{
		ID: id, Name: p.Name(), State: p.State, Options: orEmpty(p.Options), Owner: orEmpty(p.Owner), Timestamp: moment(p.Timestamp),
		Created: moment(p.Created), Finished: moment(p.Finished), Duration: seconds(p.Started, p.Finished), Events: link{id + "/events"},
		Status: map[string][]spanDoc{}, Userdata: orEmpty(p.Userdata),
	}
	if results {
		if doc.Result = p.Result; doc.Result == nil {
			doc.Result = json.RawMessage("null")
		}
	}
	for step, spans := range p.Steps {
		list := make([]spanDoc, len(spans))
		for i, s := range spans {
			list[i] = spanDoc{s.State, moment(s.Enter), moment(s.Exit)}
		}
		doc.Status[strconv.FormatInt(step, 10)] = list
	}
	return doc
}

// planFilter reads the parameters of a list of plan jobs. Without an order it
// is the newest first.
func planFilter(r *http.Request) (job.PlanFilter, pagination, error) {
	p := paramsOf(r)
	page := p.page("name", "owner", "timestamp", "environment", "name", "state")
	f := job.PlanFilter{
		MinFinished: p.when("min_finish_timestamp", false), MaxFinished: p.when("max_finish_timestamp", true),
		NoResults: p.oneOf("results", "include", "exclude") == "exclude",
		OrderBy:   page.OrderBy, Desc: page.Order == "desc", Limit: page.limit(), Offset: int(page.Offset),
	}
	if page.OrderBy == "" {
		page.OrderBy, page.Order = "name", "desc"
	}
	return f, page, p.err
}

// listPlanJobs answers GET /plan_jobs.
func (a *API) listPlanJobs(w http.ResponseWriter, r *http.Request, _ Subject) error {
	f, page, err := planFilter(r)
	if err != nil {
		return err
	}
	plans, total, err := a.cfg.PlanJobs.PlanJobs(r.Context(), f)
	if err != nil {
		return err
	}
	page.Total = total
	items := make([]planJobDoc, len(plans))
	for i := range plans {
		items[i] = a.planJobDoc(r, &plans[i], !f.NoResults)
	}
	return WriteJSON(w, http.StatusOK, struct {
		Items      []planJobDoc `json:"items"`
		Pagination pagination   `json:"pagination"`
	}{items, page})
}

// planJobIn is the id of the plan job in the path.
func planJobIn(r *http.Request) (int64, error) {
	name := pathVar(r, "plan_job")
	if !integer.MatchString(name) {
		return 0, invalid("plan-job-id", "an integer", quoted(name))
	}
	return planJobID(name)
}

// getPlanJob answers GET /plan_jobs/:plan-job-id.
func (a *API) getPlanJob(w http.ResponseWriter, r *http.Request, _ Subject) error {
	id, err := planJobIn(r)
	if err != nil {
		return err
	}
	p, err := a.cfg.PlanJobs.PlanJob(r.Context(), id)
	if err != nil {
		return err
	}
	return WriteJSON(w, http.StatusOK, a.planJobDoc(r, p, true))
}

func newPlanEventDoc(e *job.PlanEvent) eventDoc {
	return eventDoc{decimal(e.ID), e.Type, moment(e.At), orEmpty(e.Details), e.Message}
}

// listPlanEvents answers GET /plan_jobs/:plan-job-id/events.
func (a *API) listPlanEvents(w http.ResponseWriter, r *http.Request, _ Subject) error {
	id, err := planJobIn(r)
	if err != nil {
		return err
	}
	start, err := startIn(r)
	if err != nil {
		return err
	}
	events, err := a.cfg.PlanJobs.PlanEvents(r.Context(), id, start, 0)
	if err != nil {
		return err
	}
	items := make([]eventDoc, len(events))
	for i := range events {
		items[i] = newPlanEventDoc(&events[i])
		start = max(start, events[i].ID+1)
	}
	return writeEvents(w, nextEvents{a.url(r, "/plan_jobs/%d/events?start=%d", id, start), decimal(start)}, items)
}

// getPlanEvent answers GET /plan_jobs/:plan-job-id/event/:event-id.
func (a *API) getPlanEvent(w http.ResponseWriter, r *http.Request, _ Subject) error {
	id, err := planJobIn(r)
	if err != nil {
		return err
	}
	name := pathVar(r, "event")
	if !integer.MatchString(name) {
		return invalid("event-id", "an integer", quoted(name))
	}
	event, err := strconv.ParseInt(name, 10, 64)
	if err != nil {
		event = -1 // no counter reaches it
	}
	events, err := a.cfg.PlanJobs.PlanEvents(r.Context(), id, event, 1)
	if err != nil {
		return err
	}
	if len(events) == 0 || events[0].ID != event {
		return job.MismatchedEvent(id, event)
	}
	return WriteJSON(w, http.StatusOK, newPlanEventDoc(&events[0]))
}
