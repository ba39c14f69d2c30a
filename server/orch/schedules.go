package orch

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"time"

	"dalang/orchestrator/schedule"
)

// Schedules keeps scheduled jobs and starts them; it is *schedule.Scheduler.
// Unknown ids are schedule.Unknown.
type Schedules interface {
	Entries(ctx context.Context, f schedule.Filter) (entries []schedule.Entry, total int, err error)
	Entry(ctx context.Context, id int64) (*schedule.Entry, error)
	// Create stores an entry of who and answers its id. It refuses what who may
	// not run, a start that has passed, and types that nothing runs.
	Create(ctx context.Context, who schedule.Subject, e *schedule.Entry) (int64, error)
	// Change has change change an entry that is who's and is enabled.
	Change(ctx context.Context, who schedule.Subject, id int64, change func(*schedule.Entry) error) error
	// Disable has an entry never start anything again.
	Disable(ctx context.Context, who schedule.Subject, id int64) error
	Delete(ctx context.Context, who schedule.Subject, id int64) error
}

// scheduleRoutes are the routes of scheduled jobs (orchestrator.md §2.9, §3.8).
func (a *API) scheduleRoutes() (t []Route) {
	add := func(method, path string, handle guarded, doc string) {
		methods := []string{method}
		if method == http.MethodGet {
			methods = append(methods, http.MethodHead)
		}
		t = append(t, Route{methods, root + path, a.guard(handle), doc})
	}
	old := func(method, path string, handle guarded, doc string) {
		add(method, path, handle, doc+"; deprecated")
		route := &t[len(t)-1]
		route.Handle = deprecated(route.Handle)
	}
	const entries = "/scheduled_jobs/environment_jobs"
	add(http.MethodGet, entries, a.listScheduled, "all scheduled jobs")
	add(http.MethodPost, entries, a.postScheduled, "have a job start later, once or again and again")
	add(http.MethodGet, entries+"/{job}", a.getScheduled, "one scheduled job")
	add(http.MethodPut, entries+"/{job}", a.putScheduled, "change or disable a scheduled job")
	old(http.MethodGet, "/scheduled_jobs", a.listOldScheduled, "the scheduled jobs that are enabled, in an older form")
	old(http.MethodGet, "/scheduled_jobs/{job}", a.getOldScheduled, "one scheduled job, in an older form")
	old(http.MethodDelete, "/scheduled_jobs/{job}", a.deleteScheduled, "delete a scheduled job")
	old(http.MethodPost, "/command/schedule_deploy", a.scheduleDeploy, "run Puppet on nodes later")
	old(http.MethodPost, "/command/schedule_task", a.scheduleTask, "run a task later")
	old(http.MethodPost, "/command/schedule_plan", a.schedulePlan, "run a plan later")
	return t
}

// deprecated marks every answer of a route that has a successor.
func deprecated(handle Handler) Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		w.Header().Set("Deprecation", "true")
		return handle(w, r)
	}
}

// scheduledDoc is a scheduled job, in lists and alone.
type scheduledDoc struct {
	ID          string          `json:"id"`
	Name        string          `json:"name"`
	Enabled     bool            `json:"enabled"`
	Environment string          `json:"environment"`
	Owner       json.RawMessage `json:"owner"`
	Description string          `json:"description"`
	Type        schedule.Type   `json:"type"`
	Input       json.RawMessage `json:"input"`
	Userdata    json.RawMessage `json:"userdata"`
	Schedule    scheduleDoc     `json:"schedule"`
	NextRun     *nextRunDoc     `json:"next_run"` // null: it will not run
	LastRun     *lastRunDoc     `json:"last_run"` // null: it has not run
}

type scheduleDoc struct {
	Start    moment       `json:"start_time"`
	Interval *intervalDoc `json:"interval"` // null: once
}

type intervalDoc struct {
	Units string `json:"units"`
	Value int64  `json:"value"`
}

type nextRunDoc struct {
	Time moment `json:"time"`
}

// lastRunDoc has a named as its job, or a failedRunDoc.
type lastRunDoc struct {
	Time moment `json:"time"`
	Job  any    `json:"job"`
}

// failedRunDoc is a run that started no job. Its name is the run's.
type failedRunDoc struct {
	Error errorDoc `json:"submission_error"`
	Name  string   `json:"name"`
}

type errorDoc struct {
	Kind    string         `json:"kind"`
	Msg     string         `json:"msg"`
	Details map[string]any `json:"details"`
}

func intervalOf(d time.Duration) *intervalDoc {
	if d == 0 {
		return nil
	}
	return &intervalDoc{"seconds", int64(d / time.Second)}
}

func (a *API) scheduledDoc(r *http.Request, e *schedule.Entry) scheduledDoc {
	doc := scheduledDoc{
		ID: a.url(r, "/scheduled_jobs/environment_jobs/%d", e.ID), Name: e.Label(), Enabled: e.Enabled, Environment: e.Environment,
		Owner: orEmpty(e.Owner), Description: e.Description, Type: e.Type, Input: orEmpty(e.Input), Userdata: orEmpty(e.Userdata),
		Schedule: scheduleDoc{moment(e.Grid.Start), intervalOf(e.Grid.Interval)},
	}
	if !e.Next.IsZero() {
		doc.NextRun = &nextRunDoc{moment(e.Next)}
	}
	if f := e.Last; f != nil {
		doc.LastRun = &lastRunDoc{moment(f.Claimed), a.ranDoc(r, f)}
	}
	return doc
}

// ranDoc is what came of a run.
func (a *API) ranDoc(r *http.Request, f *schedule.Firing) any {
	switch {
	case f.Error != nil:
		details := f.Error.Details
		if details == nil {
			details = map[string]any{}
		}
		return failedRunDoc{errorDoc{f.Error.Kind, f.Error.Msg, details}, decimal(f.ID)}
	case f.Plan:
		return named{a.url(r, "/plan_jobs/%d", f.Job), decimal(f.Job)}
	}
	return named{a.url(r, "/jobs/%d", f.Job), decimal(f.Job)}
}

// scheduledRef names a scheduled job in the answer to who made or changed it.
type scheduledRef struct {
	Job named `json:"scheduled_job"`
}

// listScheduled answers GET /scheduled_jobs/environment_jobs.
func (a *API) listScheduled(w http.ResponseWriter, r *http.Request, _ Subject) error {
	f, page, err := scheduledFilter(r, "next_run_time", "next_run_time", "environment", "owner", "name", "type")
	if err != nil {
		return err
	}
	entries, total, err := a.cfg.Schedules.Entries(r.Context(), f)
	if err != nil {
		return err
	}
	page.Total = total
	items := make([]scheduledDoc, len(entries))
	for i := range entries {
		items[i] = a.scheduledDoc(r, &entries[i])
	}
	return WriteJSON(w, http.StatusOK, struct {
		Items      []scheduledDoc `json:"items"`
		Pagination pagination     `json:"pagination"`
	}{items, page})
}

// scheduledFilter reads the parameters of a list of scheduled jobs.
func scheduledFilter(r *http.Request, by string, columns ...string) (schedule.Filter, pagination, error) {
	p := paramsOf(r)
	page := p.page(by, columns...)
	if page.OrderBy == "" {
		page.OrderBy, page.Order = by, "asc"
	}
	page.Type = p.oneOf("type", "deploy", "task", "plan")
	f := schedule.Filter{Type: schedule.Type(page.Type), OrderBy: page.OrderBy, Desc: page.Order == "desc", Limit: page.limit(), Offset: int(page.Offset)}
	return f, page, p.err
}

// scheduledIn is the scheduled job in the path.
func (a *API) scheduledIn(r *http.Request) (*schedule.Entry, error) {
	id, err := jobIn(r)
	if err != nil {
		return nil, err
	}
	return a.cfg.Schedules.Entry(r.Context(), id)
}

// getScheduled answers GET /scheduled_jobs/environment_jobs/:job-id.
func (a *API) getScheduled(w http.ResponseWriter, r *http.Request, _ Subject) error {
	e, err := a.scheduledIn(r)
	if err != nil {
		return err
	}
	return WriteJSON(w, http.StatusOK, a.scheduledDoc(r, e))
}

// postScheduled answers POST /scheduled_jobs/environment_jobs: 202 as soon as
// the scheduled job is stored.
func (a *API) postScheduled(w http.ResponseWriter, r *http.Request, s Subject) error {
	body, err := a.readBody(w, r)
	if err != nil {
		return err
	}
	e, err := parseScheduled(body)
	if err != nil {
		return err
	}
	noteScheduled(r, e)
	id, err := a.cfg.Schedules.Create(r.Context(), s, e)
	if err != nil {
		return err
	}
	note(r, slog.Int64("scheduled_job", id))
	return a.answerScheduled(w, r, http.StatusAccepted, id)
}

// noteScheduled notes what is to run later.
func noteScheduled(r *http.Request, e *schedule.Entry) {
	note(r, slog.String("type", string(e.Type)), slog.String("environment", e.Environment), slog.Time("start", e.Grid.Start), slog.Duration("interval", e.Grid.Interval))
}

func (a *API) answerScheduled(w http.ResponseWriter, r *http.Request, status int, id int64) error {
	return WriteJSON(w, status, scheduledRef{named{a.url(r, "/scheduled_jobs/environment_jobs/%d", id), decimal(id)}})
}

// putScheduled answers PUT /scheduled_jobs/environment_jobs/:job-id. Keys that
// are given replace what was there; "enabled": false is for ever.
func (a *API) putScheduled(w http.ResponseWriter, r *http.Request, s Subject) error {
	e, err := a.scheduledIn(r)
	if err != nil {
		return err
	}
	body, err := a.readBody(w, r)
	if err != nil {
		return err
	}
	edit, err := parseEdit(body)
	if err != nil {
		return err
	}
	note(r, slog.Bool("disable", edit.onlyDisables()))
	if edit.onlyDisables() {
		err = a.cfg.Schedules.Disable(r.Context(), s, e.ID)
	} else {
		err = a.cfg.Schedules.Change(r.Context(), s, e.ID, edit.apply)
	}
	if err != nil {
		return err
	}
	return a.answerScheduled(w, r, http.StatusOK, e.ID)
}
