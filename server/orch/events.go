package orch

import (
	"encoding/json"
	"math"
	"net/http"
	"strconv"

	"dalang/orchestrator/job"
)

// eventDoc is one thing that happened.
type eventDoc struct {
	ID        string          `json:"id"`
	Type      string          `json:"type"`
	Timestamp moment          `json:"timestamp"`
	Details   json.RawMessage `json:"details"`
	Message   string          `json:"message"`
}

func newEventDoc(e *job.Event) eventDoc {
	return eventDoc{strconv.FormatInt(e.ID, 10), e.Type, moment(e.At), orEmpty(e.Details), e.Message}
}

// listEvents answers GET /jobs/:job-id/events.
func (a *API) listEvents(w http.ResponseWriter, r *http.Request, _ Subject) error {
	id, err := jobIn(r)
	if err != nil {
		return err
	}
	start, err := startIn(r)
	if err != nil {
		return err
	}
	events, err := a.cfg.Jobs.JobEvents(r.Context(), id, start, 0)
	if err != nil {
		return err
	}
	items := make([]eventDoc, len(events))
	for i := range events {
		items[i] = newEventDoc(&events[i])
		start = max(start, events[i].ID+1)
	}
	return writeEvents(w, a.nextEvents(r, id, start), items)
}

// writeEvents answers with events and where they go on.
func writeEvents(w http.ResponseWriter, next nextEvents, items []eventDoc) error {
	return WriteJSON(w, http.StatusOK, struct {
		Next  nextEvents `json:"next-events"`
		Items []eventDoc `json:"items"`
	}{next, items})
}

// startIn reads the parameter start: the first event that is asked for.
func startIn(r *http.Request) (int64, error) {
	p := paramsOf(r)
	start := p.integer("start", math.MinInt64, 1)
	return start, p.err
}

// reportItem is one node with its events.
type reportItem struct {
	Node      string     `json:"node"`
	State     job.State  `json:"state"`
	Timestamp moment     `json:"timestamp"`
	Events    []eventDoc `json:"events"`
}

// getReport answers GET /jobs/:job-id/report.
func (a *API) getReport(w http.ResponseWriter, r *http.Request, _ Subject) error {
	id, err := jobIn(r)
	if err != nil {
		return err
	}
	nodes, _, _, err := a.cfg.Jobs.JobNodes(r.Context(), id, job.NodeFilter{Now: a.cfg.Now()})
	if err != nil {
		return err
	}
	events, err := a.cfg.Jobs.JobEvents(r.Context(), id, 0, 0)
	if err != nil {
		return err
	}
	of := map[string][]eventDoc{}
	for i := range events {
		if name := events[i].Certname; name != "" {
			of[name] = append(of[name], newEventDoc(&events[i]))
		}
	}
	items := make([]reportItem, len(nodes))
	for i, n := range nodes {
		items[i] = reportItem{n.Certname, n.State, moment(n.Timestamp), of[n.Certname]}
		if items[i].Events == nil {
			items[i].Events = []eventDoc{}
		}
	}
	return WriteJSON(w, http.StatusOK, struct {
		Items []reportItem `json:"items"`
	}{items})
}
