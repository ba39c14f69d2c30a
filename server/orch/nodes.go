package orch

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"dalang/orchestrator/job"
)

// nodeDoc is the run of one node.
type nodeDoc struct {
	Name            string          `json:"name"`
	State           job.State       `json:"state"`
	Transport       string          `json:"transport"`
	Timestamp       moment          `json:"timestamp"`
	Start           moment          `json:"start_timestamp"`
	Finish          moment          `json:"finish_timestamp"`
	Duration        *float64        `json:"duration"` // so far, while it runs
	TransactionUUID *string         `json:"transaction_uuid"`
	LatestEvent     int64           `json:"latest-event-id"`
	Message         string          `json:"message"`
	Details         nodeDetails     `json:"details"`
	Result          json.RawMessage `json:"result"`
}

// nodeDetails is what is known of a run: nothing before it begins.
type nodeDetails struct {
	Message   string          `json:"message,omitempty"`
	RunTime   *int64          `json:"run-time,omitempty"` // seconds, while it runs
	ReportURL string          `json:"report-url,omitempty"`
	Metrics   json.RawMessage `json:"metrics,omitempty"`
	Detail    json.RawMessage `json:"detail,omitempty"` // why it erred, was skipped or stopped
}

// nextEvents is where the events go on.
type nextEvents struct {
	ID    string `json:"id"`
	Event string `json:"event"`
}

func (a *API) nextEvents(r *http.Request, id, next int64) nextEvents {
	return nextEvents{a.url(r, "/jobs/%d/events?start=%d", id, next), strconv.FormatInt(next, 10)}
}

func (a *API) nodeDoc(r *http.Request, n *job.Node, now time.Time) nodeDoc {
	doc := nodeDoc{
		Name: n.Certname, State: n.State, Transport: n.Transport, Timestamp: moment(n.Timestamp), Start: moment(n.Started),
		Finish: moment(n.Finished), Duration: seconds(n.Started, n.Finished), LatestEvent: n.LatestEvent, Message: n.Message,
		Details: a.nodeDetails(r, n, now), Result: n.Result,
	}
	if n.State == job.Running {
		doc.Duration = seconds(n.Started, now)
	}
	if n.TransactionUUID != "" {
		doc.TransactionUUID = &n.TransactionUUID
	}
	return doc
}

func (a *API) nodeDetails(r *http.Request, n *job.Node, now time.Time) (d nodeDetails) {
	if n.State == job.New || n.State == job.Ready {
		return d
	}
	_ = json.Unmarshal(n.Details, &d) // the engine's own; what is unreadable is left out
	d.Message = n.Message
	if took := seconds(n.Started, now); n.State == job.Running && took != nil {
		whole := int64(*took)
		d.RunTime = &whole
	}
	if n.State.Terminal() && n.ReportHash != "" {
		d.ReportURL = a.reportURL(r, n.ReportHash)
	}
	return d
}

// reportURL is where to see a report.
func (a *API) reportURL(r *http.Request, hash string) string {
	link := a.cfg.ReportURL
	if link == "" {
		link = "{base}/pdb/query/v4/reports?query=%5B%22%3D%22%2C%22hash%22%2C%22{hash}%22%5D"
	}
	base := a.base(r)
	host := ""
	if u, err := url.Parse(base); err == nil {
		host = u.Hostname()
		if strings.Contains(host, ":") {
			host = "[" + host + "]"
		}
	}
	return strings.NewReplacer("{base}", base, "{host}", host, "{hash}", hash).Replace(link)
}

// inScope is the order of nodes as the scope of their job gave them.
const inScope = "position"

// listNodes answers GET /jobs/:job-id/nodes.
func (a *API) listNodes(w http.ResponseWriter, r *http.Request, _ Subject) error {
	id, err := jobIn(r)
	if err != nil {
		return err
	}
	var states []string
	for _, s := range job.NodeStates() {
		states = append(states, string(s))
	}
	p := paramsOf(r)
	page := p.page("name", "name", "duration", "state", "start_timestamp", "finish_timestamp", inScope)
	if page.OrderBy == "" {
		page.OrderBy, page.Order = inScope, "asc"
	}
	by := page.OrderBy
	if by == inScope {
		by = "" // as they are stored
	}
	state := p.oneOf("state", states...)
	if p.err != nil {
		return p.err
	}
	now := a.cfg.Now()
	nodes, total, next, err := a.cfg.Jobs.JobNodes(r.Context(), id, job.NodeFilter{
		State: job.State(state), OrderBy: by, Desc: page.Order == "desc", Limit: page.limit(), Offset: int(page.Offset), Now: now,
	})
	if err != nil {
		return err
	}
	page.Total = total
	items := make([]nodeDoc, len(nodes))
	for i := range nodes {
		items[i] = a.nodeDoc(r, &nodes[i], now)
	}
	return WriteJSON(w, http.StatusOK, struct {
		Next       nextEvents `json:"next-events"`
		Items      []nodeDoc  `json:"items"`
		Pagination pagination `json:"pagination"`
	}{a.nextEvents(r, id, next), items, page})
}
