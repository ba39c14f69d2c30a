package schedule

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"

	"dalang/orchestrator/job"
	"dalang/orchestrator/rbac"
	"dalang/orchestrator/task"
)

// Tasking runs tasks: *orchestrator.Engine, but for the type of who.
type Tasking struct {
	Task func(ctx context.Context, who *rbac.Subject, t job.Task) (int64, error)
	// Check answers the names of the params that are secrets, or why Task would
	// refuse the task whatever its nodes.
	Check func(ctx context.Context, t job.Task) (secrets []string, err error)
	// MayRun tells of tasks whether who may run them, at least on some nodes.
	MayRun func(ctx context.Context, who Subject) (func(task string) bool, error)
}

// taskInput is a task's input with its secrets. It is stored sealed only.
type taskInput struct {
	Task    string          `json:"task"`
	Params  json.RawMessage `json:"params"`
	Scope   job.Scope       `json:"scope"`
	Targets []job.Target    `json:"targets,omitempty"`
	Noop    bool            `json:"noop,omitempty"`
	Timeout *int64          `json:"timeout,omitempty"`
}

// TaskInput is the Entry.Secret of a task.
func TaskInput(t job.Task) (json.RawMessage, error) {
	text, err := task.Marshal(taskInput{t.Task, t.Params, t.Scope, t.Targets, t.Noop, t.Timeout})
	if err != nil {
		return nil, fmt.Errorf("input of a scheduled task: %w", err)
	}
	return text, nil
}

func readTask(input json.RawMessage) (job.Task, error) {
	var in taskInput
	if err := json.Unmarshal(input, &in); err != nil {
		return job.Task{}, fmt.Errorf("input of a scheduled task: %w", err)
	}
	return job.Task{Task: in.Task, Params: in.Params, Scope: in.Scope, Targets: in.Targets, Noop: in.Noop, Timeout: in.Timeout}, nil
}

// shownTask is a task's input as the API shows it.
type shownTask struct {
	Name       string         `json:"name"`
	Parameters map[string]any `json:"parameters"`
	Sensitive  []string       `json:"sensitive_parameters"`
	Scope      job.Scope      `json:"scope"`
	Targets    []shownTarget  `json:"targets,omitempty"`
	Noop       bool           `json:"noop,omitempty"`
	Timeout    *int64         `json:"timeout,omitempty"`
}

// shownTarget says nothing of how to log in.
type shownTarget struct {
	Hostnames []string `json:"hostnames"`
	Transport string   `json:"transport"`
}

// Tasks is the kind of tasks. Their inputs are TaskInput's.
func Tasks(run Tasking) Kind {
	return Kind{
		May: func(ctx context.Context, who Subject, e *Entry) error {
			may, err := run.MayRun(ctx, who)
			if err != nil || may(e.Name) {
				return err
			}
			return permitted(who, "tasks", "run", e.Name)
		},
		Check: func(ctx context.Context, e *Entry) (json.RawMessage, error) {
			t, err := readTask(e.Secret)
			if err != nil {
				return nil, err
			}
			t.Environment, t.Secrets = e.Environment, e.Hidden
			secrets, err := run.Check(ctx, t)
			if err != nil {
				return nil, err
			}
			doc := shownTask{Name: t.Task, Scope: t.Scope, Noop: t.Noop, Timeout: t.Timeout}
			if doc.Parameters, doc.Sensitive, err = public(t.Params, joined(secrets, e.Hidden)); err != nil {
				return nil, err
			}
			for i := range t.Targets {
				doc.Targets = append(doc.Targets, shownTarget{t.Targets[i].Hostnames, t.Targets[i].Transport})
			}
			return task.Marshal(doc)
		},
		Run: func(ctx context.Context, who *rbac.Subject, o Order) (int64, error) {
			t, err := readTask(o.Input)
			if err != nil {
				return 0, err
			}
			t.Environment, t.Description, t.Userdata, t.Secrets = o.Environment, o.Description, o.Userdata, o.Hidden
			t.ScheduledJob, t.Firing = strconv.FormatInt(o.Entry, 10), o.Firing
			return run.Task(ctx, who, t)
		},
	}
}

// public is params, an object, without those that are secrets, whose names
// come sorted beside it.
func public(params json.RawMessage, secrets []string) (shown map[string]any, hidden []string, err error) {
	given, err := task.Object(params)
	if err != nil {
		return nil, nil, fmt.Errorf("parameters of a schedule: %w", err)
	}
	shown, hidden = map[string]any{}, []string{}
	for name, v := range given {
		if slices.Contains(secrets, name) {
			hidden = append(hidden, name)
		} else {
			shown[name] = v
		}
	}
	slices.Sort(hidden)
	return shown, hidden, nil
}
