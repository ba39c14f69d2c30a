package orch

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"dalang/orchestrator/content"
	"dalang/orchestrator/job"
	"dalang/orchestrator/task"
)

// TaskSource has the tasks of environments; see content.Source.
type TaskSource interface {
	Tasks(ctx context.Context, environment string) (tasks []content.Entry, codeID string, err error)
	Task(ctx context.Context, environment, name string) (*task.Task, error)
}

// codeRef is an environment and the version of its code; null: it has none.
type codeRef struct {
	Name   string  `json:"name"`
	CodeID *string `json:"code_id"`
}

// taskItem is a task in a list.
type taskItem struct {
	named
	Permitted bool `json:"permitted"`
}

// listTasks answers GET /tasks.
func (a *API) listTasks(w http.ResponseWriter, r *http.Request, s Subject) error {
	environment, err := environmentOf(r)
	if err != nil {
		return err
	}
	tasks, code, err := a.cfg.Tasks.Tasks(r.Context(), environment)
	if err != nil {
		return err
	}
	may, err := a.cfg.Engine.MayRun(r.Context(), s)
	if err != nil {
		return err
	}
	items := make([]taskItem, len(tasks))
	for i, t := range tasks {
		items[i] = taskItem{a.taskRef(r, t.Name), may(t.Name)}
	}
	ref := codeRef{Name: environment}
	if code != "" {
		ref.CodeID = &code
	}
	return WriteJSON(w, http.StatusOK, struct {
		Environment codeRef    `json:"environment"`
		Items       []taskItem `json:"items"`
	}{ref, items})
}

// environmentOf is the parameter environment.
func environmentOf(r *http.Request) (string, error) {
	name := "production"
	if values := r.URL.Query(); values.Has("environment") {
		name = values.Get("environment")
	}
	if !job.ValidEnvironment(name) {
		return "", badEnvironment(name)
	}
	return name, nil
}

func (a *API) taskRef(r *http.Request, name string) named {
	module, own := task.SplitName(name)
	return named{a.url(r, "/tasks/%s/%s", module, own), name}
}

// taskDoc is a task with its files.
type taskDoc struct {
	taskItem
	Environment codeRef         `json:"environment"`
	Metadata    json.RawMessage `json:"metadata"`
	Files       []task.File     `json:"files"`
}

// getTask answers GET /tasks/:module/:task.
func (a *API) getTask(w http.ResponseWriter, r *http.Request, s Subject) error {
	environment, err := environmentOf(r)
	if err != nil {
		return err
	}
	module, own := pathVar(r, "module"), pathVar(r, "task")
	name := task.JoinName(module, own)
	if strings.Contains(module, ":") || strings.Contains(own, ":") || !task.ValidName(name) || !task.ValidName(own) {
		return invalid("task", "the names of a module and a task, in lower-case letters, digits and _", quoted(module+"/"+own))
	}
	found, err := a.cfg.Tasks.Task(r.Context(), environment, name)
	var bad *task.Error
	if errors.As(err, &bad) {
		return &job.Error{Kind: bad.Kind, Msg: bad.Msg, Status: http.StatusBadRequest}
	}
	if err != nil {
		return err
	}
	may, err := a.cfg.Engine.MayRun(r.Context(), s)
	if err != nil {
		return err
	}
	metadata, err := found.Metadata.Shown()
	if err != nil {
		return err
	}
	return WriteJSON(w, http.StatusOK, taskDoc{taskItem{a.taskRef(r, found.Name), may(found.Name)}, codeRef{Name: environment},
		orEmpty(metadata), append([]task.File{}, found.Files...)})
}
