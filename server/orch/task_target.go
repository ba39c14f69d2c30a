package orch

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"strconv"
	"strings"

	"dalang/orchestrator/job"
)

// TaskTargets keeps task-targets.
type TaskTargets interface {
	AddTaskTarget(ctx context.Context, t *job.TaskTarget) (id int64, err error)
	TaskTargets(ctx context.Context) ([]job.TaskTarget, error)
	DeleteTaskTarget(ctx context.Context, id int64) (found bool, err error)
}

// taskTargetDoc is a task-target as the API shows it.
type taskTargetDoc struct {
	named
	DisplayName string   `json:"display_name"`
	Tasks       []string `json:"tasks"`
	AllTasks    bool     `json:"all_tasks"`
	Nodes       []string `json:"nodes"`
	NodeGroups  []string `json:"node_groups"`
	PQL         string   `json:"pql_query,omitempty"`
}

func (a *API) taskTargetRef(r *http.Request, id int64) named {
	return named{a.url(r, "/scopes/task_targets/%d", id), strconv.FormatInt(id, 10)}
}

func (a *API) taskTargetDoc(r *http.Request, t *job.TaskTarget) taskTargetDoc {
	return taskTargetDoc{a.taskTargetRef(r, t.ID), t.DisplayName, append([]string{}, t.Tasks...), t.AllTasks,
		append([]string{}, t.Nodes...), append([]string{}, t.NodeGroups...), t.PQL}
}

// createTaskTarget answers POST /command/task_target. Who lets others run
// tasks has to be allowed to run all.
func (a *API) createTaskTarget(w http.ResponseWriter, r *http.Request, s Subject) error {
	if err := permit(s, "tasks", "run"); err != nil {
		return err
	}
	body, err := a.readBody(w, r)
	if err != nil {
		return err
	}
	t, err := parseTaskTarget(body)
	if err != nil {
		return err
	}
	id, err := a.cfg.TaskTargets.AddTaskTarget(r.Context(), t)
	if err != nil {
		return err
	}
	note(r, slog.Int64("task_target", id), slog.Bool("all_tasks", t.AllTasks), slog.String("tasks", joined(t.Tasks)))
	return WriteJSON(w, http.StatusOK, struct {
		TaskTarget named `json:"task_target"`
	}{a.taskTargetRef(r, id)})
}

// parseTaskTarget reads a task-target (orchestrator.md §2.7). Whether tasks,
// nodes and groups exist is not looked at.
func parseTaskTarget(o *object) (*job.TaskTarget, error) {
	o.short("pql_query")
	t := &job.TaskTarget{DisplayName: strings.TrimSpace(o.str("display_name", "")), AllTasks: o.loose("all_tasks"), PQL: o.str("pql_query", "")}
	if t.DisplayName == "" {
		o.wrong("display_name", "a string that is not empty", "missing or empty")
	}
	t.Tasks, _ = o.names("tasks", maxNodes)
	switch {
	case t.AllTasks:
		t.Tasks = nil
	case len(t.Tasks) == 0:
		o.wrong("tasks", "an array of at least one task where all_tasks is not true", "missing or empty")
	}
	var given bool
	if t.Nodes, given = o.nodes("nodes", hostNames()); !given {
		o.missing("nodes", "an array of strings, which may be empty")
	}
	if t.NodeGroups, given = o.names("node_groups", maxNodes); !given {
		o.missing("node_groups", "an array of strings, which may be empty")
	}
	return t, o.done()
}

// loose is a boolean member; the strings "true" and "false", which the
// documented examples send, will do.
func (o *object) loose(key string) bool {
	var text string
	if json.Unmarshal(o.members[key], &text) == nil && (text == "true" || text == "false") {
		o.take(key)
		return text == "true"
	}
	return o.yes(key)
}

// listTaskTargets answers GET /scopes/task_targets.
func (a *API) listTaskTargets(w http.ResponseWriter, r *http.Request, _ Subject) error {
	all, err := a.cfg.TaskTargets.TaskTargets(r.Context())
	if err != nil {
		return err
	}
	items := make([]taskTargetDoc, len(all))
	for i := range all {
		items[i] = a.taskTargetDoc(r, &all[i])
	}
	return WriteJSON(w, http.StatusOK, struct {
		Items []taskTargetDoc `json:"items"`
	}{items})
}

// taskTargetIn is the id of the task-target in the path.
func taskTargetIn(r *http.Request) (int64, error) {
	name := pathVar(r, "target")
	if !digits.MatchString(name) {
		return 0, invalid("task-target-id", "an integer", quoted(name))
	}
	id, err := strconv.ParseInt(name, 10, 64)
	if err != nil {
		return 0, unknownTaskTarget(name)
	}
	return id, nil
}

func unknownTaskTarget(name string) error {
	return &job.Error{Kind: job.Prefix + "unknown-task-target", Msg: "Unknown task-target " + shortened(name), Status: http.StatusNotFound,
		Details: map[string]any{"task_target": shortened(name)}}
}

// getTaskTarget answers GET /scopes/task_targets/:task-target-id.
func (a *API) getTaskTarget(w http.ResponseWriter, r *http.Request, _ Subject) error {
	id, err := taskTargetIn(r)
	if err != nil {
		return err
	}
	all, err := a.cfg.TaskTargets.TaskTargets(r.Context())
	if err != nil {
		return err
	}
	for i := range all {
		if all[i].ID == id {
			return WriteJSON(w, http.StatusOK, a.taskTargetDoc(r, &all[i]))
		}
	}
	return unknownTaskTarget(strconv.FormatInt(id, 10))
}

// deleteTaskTarget answers DELETE /scopes/task_targets/:task-target-id, which
// is an addition of ours.
func (a *API) deleteTaskTarget(w http.ResponseWriter, r *http.Request, s Subject) error {
	if err := permit(s, "tasks", "run"); err != nil {
		return err
	}
	id, err := taskTargetIn(r)
	if err != nil {
		return err
	}
	found, err := a.cfg.TaskTargets.DeleteTaskTarget(r.Context(), id)
	if err == nil && !found {
		err = unknownTaskTarget(strconv.FormatInt(id, 10))
	}
	if err != nil {
		return err
	}
	return noContent(w)
}
