package orch

import (
	"context"
	"net/http"
	"time"

	"dalang/orchestrator/job"
)

// Usage keeps how many nodes there were, and what happened.
type Usage interface {
	// Usage is by day, the newest first; both bounds are inclusive, a zero time
	// is none.
	Usage(ctx context.Context, first, last time.Time) ([]job.Usage, error)
}

type usageDoc struct {
	Date         string `json:"date"`
	Total        int    `json:"total_nodes"`
	WithAgent    int    `json:"nodes_with_agent"`
	WithoutAgent int    `json:"nodes_without_agent"`
	*usageEvents
}

// usageEvents is left out with events=exclude.
type usageEvents struct {
	Corrective  int `json:"corrective_agent_changes"`
	Intentional int `json:"intentional_agent_changes"`
	TaskNodes   int `json:"nodes_affected_by_task_runs"`
	PlanNodes   int `json:"nodes_affected_by_plan_runs"`
}

// usageBounds are the query's own words.
type usageBounds struct {
	Start *string `json:"start_date"`
	End   *string `json:"end_date"`
}

// getUsage answers GET /usage.
func (a *API) getUsage(w http.ResponseWriter, r *http.Request, _ Subject) error {
	p := paramsOf(r)
	date := func(key string) (t time.Time, shown *string) {
		if !p.values.Has(key) {
			return t, nil
		}
		text := p.values.Get(key)
		t, err := time.Parse("2006-01-02", text)
		if err != nil {
			p.wrong(key, "a date as 2006-01-02", text)
		}
		return t, &text
	}
	first, start := date("start_date")
	last, end := date("end_date")
	if start != nil && end != nil && last.Before(first) {
		p.wrong("end_date", "a date not before start_date", *end)
	}
	events := p.oneOf("events", "include", "exclude") != "exclude"
	if p.err != nil {
		return p.err
	}
	days, err := a.cfg.Usage.Usage(r.Context(), first, last)
	if err != nil {
		return err
	}
	items := make([]usageDoc, len(days))
	for i, d := range days {
		items[i] = usageDoc{d.Day, d.WithAgent + d.WithoutAgent, d.WithAgent, d.WithoutAgent, nil}
		if events {
			items[i].usageEvents = &usageEvents{d.Corrective, d.Intentional, d.TaskNodes, d.PlanNodes}
		}
	}
	return WriteJSON(w, http.StatusOK, struct {
		Items      []usageDoc  `json:"items"`
		Pagination usageBounds `json:"pagination"`
	}{items, usageBounds{start, end}})
}
