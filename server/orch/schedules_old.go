package orch

import (
	"encoding/json"
	"log/slog"
	"net/http"

	"dalang/orchestrator/schedule"
)

// oldScheduledDoc is a scheduled job as the API showed it before environment jobs.
type oldScheduledDoc struct {
	ID          string          `json:"id"`
	Name        string          `json:"name"`
	Type        schedule.Type   `json:"type"`
	Task        *string         `json:"task"`
	Plan        *string         `json:"plan"`
	Scope       json.RawMessage `json:"scope"` // {} for plans
	Environment string          `json:"environment"`
	Owner       json.RawMessage `json:"owner"`
	Description string          `json:"description"`
	Scheduled   moment          `json:"scheduled_time"`
	NextRun     moment          `json:"next_run"` // null: it will not run
	Options     struct {
		Interval *intervalDoc `json:"interval"` // null: once
	} `json:"schedule_options"`
	Noop bool `json:"noop"`
}

func (a *API) oldScheduledDoc(r *http.Request, e *schedule.Entry) oldScheduledDoc {
	doc := oldScheduledDoc{
		ID: a.url(r, "/scheduled_jobs/%d", e.ID), Name: e.Label(), Type: e.Type, Environment: e.Environment, Owner: orEmpty(e.Owner),
		Description: e.Description, Scheduled: moment(e.Grid.Start), NextRun: moment(e.Next),
	}
	switch e.Type {
	case schedule.Task:
		doc.Task = &e.Name
	case schedule.Plan:
		doc.Plan = &e.Name
	}
	var input struct {
		Scope json.RawMessage
		Noop  bool
	}
	if json.Unmarshal(e.Input, &input) == nil { // it was read when it was stored
		doc.Noop = input.Noop
	}
	doc.Scope, doc.Options.Interval = orEmpty(input.Scope), intervalOf(e.Grid.Interval)
	return doc
}

// listOldScheduled answers GET /scheduled_jobs. Disabled ones, which this form
// cannot show, are left out.
func (a *API) listOldScheduled(w http.ResponseWriter, r *http.Request, _ Subject) error {
	f, page, err := scheduledFilter(r, "next_run", "next_run", "scheduled_time", "name")
	if err != nil {
		return err
	}
	if f.OrderBy == "next_run" {
		f.OrderBy = "next_run_time"
	}
	f.Enabled = true
	entries, total, err := a.cfg.Schedules.Entries(r.Context(), f)
	if err != nil {
		return err
	}
	page.Total = total
	items := make([]oldScheduledDoc, len(entries))
	for i := range entries {
		items[i] = a.oldScheduledDoc(r, &entries[i])
	}
	return WriteJSON(w, http.StatusOK, struct {
		Items      []oldScheduledDoc `json:"items"`
		Pagination pagination        `json:"pagination"`
	}{items, page})
}

// getOldScheduled answers GET /scheduled_jobs/:job-id, which is where the
// answers to the old commands lead.
func (a *API) getOldScheduled(w http.ResponseWriter, r *http.Request, _ Subject) error {
	e, err := a.scheduledIn(r)
	if err != nil {
		return err
	}
	return WriteJSON(w, http.StatusOK, a.oldScheduledDoc(r, e))
}

// deleteScheduled answers DELETE /scheduled_jobs/:job-id.
func (a *API) deleteScheduled(w http.ResponseWriter, r *http.Request, s Subject) error {
	id, err := jobIn(r)
	if err != nil {
		return err
	}
	if err := a.cfg.Schedules.Delete(r.Context(), s, id); err != nil {
		return err
	}
	return noContent(w)
}

// oldSchedule reads what the old commands have in common.
func (o *object) oldSchedule(e *schedule.Entry) {
	e.Description, e.Userdata = o.description(), o.data("userdata", maxUserdata)
	e.Grid.Start = o.start("scheduled_time")
	if options := o.object("schedule_options"); options != nil {
		e.Grid.Interval = options.interval()
		o.fail(options.done())
	}
}

// scheduleDeploy answers POST /command/schedule_deploy: the keys of a deploy,
// and when. The answer names the scheduled job twice, for it used to be called a job.
func (a *API) scheduleDeploy(w http.ResponseWriter, r *http.Request, s Subject) error {
	if err := permit(s, "puppet_agent", "run"); err != nil {
		return err
	}
	o, err := a.readBody(w, r)
	if err != nil {
		return err
	}
	e := &schedule.Entry{Type: schedule.Deploy, Environment: o.must("environment", "the name of an environment, or empty where enforce_environment is false")}
	o.oldSchedule(e)
	e.Input = o.deployInput(e.Environment)
	if err := o.done(); err != nil {
		return err
	}
	ref, err := a.createOld(r, s, e)
	if err != nil {
		return err
	}
	return WriteJSON(w, http.StatusAccepted, struct {
		scheduledRef
		jobRef
	}{ref, jobRef(ref)})
}

func (a *API) createOld(r *http.Request, s Subject, e *schedule.Entry) (scheduledRef, error) {
	noteScheduled(r, e)
	id, err := a.cfg.Schedules.Create(r.Context(), s, e)
	if err == nil {
		note(r, slog.Int64("scheduled_job", id))
	}
	return scheduledRef{named{a.url(r, "/scheduled_jobs/%d", id), decimal(id)}}, err
}

// scheduleTask answers POST /command/schedule_task: the keys of a task, and when.
func (a *API) scheduleTask(w http.ResponseWriter, r *http.Request, s Subject) error {
	o, err := a.readBody(w, r)
	if err != nil {
		return err
	}
	e := &schedule.Entry{Type: schedule.Task, Environment: o.must("environment", "the name of an environment")}
	o.oldSchedule(e)
	t, err := parseTask(o)
	if err == nil {
		err = setTask(e, t)
	}
	if err != nil {
		return err
	}
	return a.answerOld(w, r, s, e)
}

// schedulePlan answers POST /command/schedule_plan: the keys of plan_run, and when.
func (a *API) schedulePlan(w http.ResponseWriter, r *http.Request, s Subject) error {
	o, err := a.readBody(w, r)
	if err != nil {
		return err
	}
	e := &schedule.Entry{Type: schedule.Plan}
	o.oldSchedule(e)
	p, err := parsePlan(o, (*object).planParams)
	if err != nil {
		return err
	}
	e.Environment = p.Environment
	if err := setPlan(e, p); err != nil {
		return err
	}
	return a.answerOld(w, r, s, e)
}

func (a *API) answerOld(w http.ResponseWriter, r *http.Request, s Subject, e *schedule.Entry) error {
	ref, err := a.createOld(r, s, e)
	if err != nil {
		return err
	}
	return WriteJSON(w, http.StatusAccepted, ref)
}
