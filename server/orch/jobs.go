package orch

import (
	"encoding/json"
	"net/http"

	"dalang/orchestrator/job"
)

// jobDoc is a job, in lists and alone.
type jobDoc struct {
	ID          string            `json:"id"`
	Name        string            `json:"name"`
	State       job.State         `json:"state"`
	Command     string            `json:"command"`
	Type        job.Type          `json:"type"`
	Options     json.RawMessage   `json:"options"`
	Owner       json.RawMessage   `json:"owner"`
	Description string            `json:"description"`
	Timestamp   moment            `json:"timestamp"` // of the last change of state
	Created     moment            `json:"created_timestamp"`
	Started     moment            `json:"started_timestamp"`
	Finished    moment            `json:"finished_timestamp"`
	Duration    *float64          `json:"duration"`
	Environment environmentRef    `json:"environment"`
	NodeCount   int               `json:"node_count"`
	NodeStates  map[job.State]int `json:"node_states"` // null without nodes
	Status      []spanDoc         `json:"status"`
	Nodes       link              `json:"nodes"`
	Report      link              `json:"report"`
	Events      link              `json:"events"`
	Userdata    json.RawMessage   `json:"userdata"`
}

type environmentRef struct {
	Name string `json:"name"`
}

// spanDoc is how long a job was in a state; it is in the last one still.
type spanDoc struct {
	State job.State `json:"state"`
	Enter moment    `json:"enter_time"`
	Exit  moment    `json:"exit_time"`
}

func (a *API) jobDoc(r *http.Request, j *job.Job) jobDoc {
	id := a.url(r, "/jobs/%d", j.ID)
	doc := jobDoc{
		ID: id, Name: j.Name(), State: j.State, Command: string(j.Type), Type: j.Type, Options: orEmpty(j.Options),
		Owner: orEmpty(j.Owner), Description: j.Description, Timestamp: moment(j.Timestamp), Created: moment(j.Created),
		Started: moment(j.Started), Finished: moment(j.Finished), Duration: seconds(j.Started, j.Finished),
		Environment: environmentRef{j.Environment}, NodeCount: j.NodeCount, Status: make([]spanDoc, len(j.Spans)),
		Nodes: link{id + "/nodes"}, Report: link{id + "/report"}, Events: link{id + "/events"}, Userdata: orEmpty(j.Userdata),
	}
	if len(j.Nodes) > 0 {
		doc.NodeStates = j.Nodes
	}
	for i, s := range j.Spans {
		doc.Status[i] = spanDoc{s.State, moment(s.Enter), moment(s.Exit)}
	}
	return doc
}

// jobTypes are the values of the parameter type.
func jobTypes() []string {
	return []string{"deploy", "task", "plan_task", "plan_script", "plan_upload", "plan_command", "plan_wait", "plan_apply", "plan_apply_prep"}
}

// jobFilter reads the parameters of a list of jobs. Without an order it is the
// newest first, so that limit gives the most recent ones.
func jobFilter(r *http.Request) (job.Filter, pagination, error) {
	p := paramsOf(r)
	page := p.page("timestamp", "owner", "timestamp", "environment", "name", "state")
	page.Type = p.oneOf("type", jobTypes()...)
	f := job.Filter{
		Type: job.Type(page.Type), Task: p.values.Get("task"),
		MinFinished: p.when("min_finish_timestamp", false), MaxFinished: p.when("max_finish_timestamp", true),
		OrderBy: page.OrderBy, Desc: page.Order == "desc", Limit: page.limit(), Offset: int(page.Offset),
	}
	if f.Type == job.TypeDeploy && p.values.Has("task") {
		p.wrong("task", "left out where type is deploy", f.Task)
	}
	if page.OrderBy == "" {
		page.OrderBy, page.Order = "name", "desc"
	}
	return f, page, p.err
}

// listJobs answers GET /jobs.
func (a *API) listJobs(w http.ResponseWriter, r *http.Request, _ Subject) error {
	f, page, err := jobFilter(r)
	if err != nil {
		return err
	}
	jobs, total, err := a.cfg.Jobs.Jobs(r.Context(), f)
	if err != nil {
		return err
	}
	page.Total = total
	items := make([]jobDoc, len(jobs))
	for i := range jobs {
		items[i] = a.jobDoc(r, &jobs[i])
	}
	return WriteJSON(w, http.StatusOK, struct {
		Items      []jobDoc   `json:"items"`
		Pagination pagination `json:"pagination"`
	}{items, page})
}

// getJob answers GET /jobs/:job-id.
func (a *API) getJob(w http.ResponseWriter, r *http.Request, _ Subject) error {
	id, err := jobIn(r)
	if err != nil {
		return err
	}
	j, err := a.cfg.Jobs.Job(r.Context(), id)
	if err != nil {
		return err
	}
	return WriteJSON(w, http.StatusOK, a.jobDoc(r, j))
}
