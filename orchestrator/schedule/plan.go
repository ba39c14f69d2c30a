package schedule

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"

	"dalang/orchestrator/job"
	"dalang/orchestrator/rbac"
	"dalang/orchestrator/task"
)

// PlanOrder is the command to run a plan.
type PlanOrder struct {
	Plan    string          `json:"plan"`
	Params  json.RawMessage `json:"params"` // an object
	Timeout int64           `json:"timeout,omitempty"`
	// Find are params whose values are nodes that are found when it runs.
	Find map[string]job.Scope `json:"find,omitempty"`

	Sensitive    []string        `json:"-"` // params that are secrets whatever the plan says
	Environment  string          `json:"-"`
	Description  string          `json:"-"`
	Userdata     json.RawMessage `json:"-"`
	ScheduledJob string          `json:"-"`
	Firing       int64           `json:"-"`
}

// Planning runs plans: *planjob.Service, but for the types.
type Planning struct {
	Start func(ctx context.Context, who *rbac.Subject, p PlanOrder) (int64, error)
	// Check answers the names of the params that are secrets, or why Start would
	// refuse the plan whatever it finds.
	Check func(ctx context.Context, p PlanOrder) (secrets []string, err error)
}

// PlanInput is the Entry.Secret of a plan.
func PlanInput(p PlanOrder) (json.RawMessage, error) {
	text, err := task.Marshal(p)
	if err != nil {
		return nil, fmt.Errorf("input of a scheduled plan: %w", err)
	}
	return text, nil
}

func readPlan(input json.RawMessage) (p PlanOrder, err error) {
	if err = json.Unmarshal(input, &p); err != nil {
		return p, fmt.Errorf("input of a scheduled plan: %w", err)
	}
	return p, nil
}

// shownPlan is a plan's input as the API shows it. A parameter that is found
// when the plan runs is shown with its type, as it was given.
type shownPlan struct {
	Name       string         `json:"name"`
	Parameters map[string]any `json:"parameters"`
	Sensitive  []string       `json:"sensitive_parameters"`
	Timeout    int64          `json:"timeout,omitempty"`
}

// Plans is the kind of plans. Their inputs are PlanInput's.
func Plans(run Planning) Kind {
	return Kind{
		May: func(_ context.Context, who Subject, e *Entry) error { return permitted(who, "plans", "run", e.Name) },
		Check: func(ctx context.Context, e *Entry) (json.RawMessage, error) {
			p, err := readPlan(e.Secret)
			if err != nil {
				return nil, err
			}
			p.Environment, p.Sensitive = e.Environment, e.Hidden
			secrets, err := run.Check(ctx, p)
			if err != nil {
				return nil, err
			}
			doc := shownPlan{Name: p.Plan, Timeout: p.Timeout}
			if doc.Parameters, doc.Sensitive, err = public(p.Params, joined(secrets, e.Hidden)); err != nil {
				return nil, err
			}
			for name, scope := range p.Find {
				doc.Parameters[name] = found(scope)
			}
			return task.Marshal(doc)
		},
		Run: func(ctx context.Context, who *rbac.Subject, o Order) (int64, error) {
			p, err := readPlan(o.Input)
			if err != nil {
				return 0, err
			}
			p.Environment, p.Description, p.Userdata, p.Sensitive = o.Environment, o.Description, o.Userdata, o.Hidden
			p.ScheduledJob, p.Firing = strconv.FormatInt(o.Entry, 10), o.Firing
			return run.Start(ctx, who, p)
		},
	}
}

// found is a parameter that is found, as environment_plan_run takes it.
func found(scope job.Scope) any {
	type typed struct {
		Type  string `json:"type"`
		Value any    `json:"value"`
	}
	if scope.NodeGroup != "" {
		return typed{"node_group", scope.NodeGroup}
	}
	return typed{"query", scope.Query}
}
