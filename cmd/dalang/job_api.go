package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/google/uuid"

	"dalang/cmd/internal/client"
)

const orchestratorPath = "/orchestrator/v1"

// jobInfo is a job as the API shows it.
type jobInfo struct {
	Name        string `json:"name"`
	State       string `json:"state"`
	Type        string `json:"type"`
	Description string `json:"description"`
	Environment struct {
		Name string `json:"name"`
	} `json:"environment"`
	Owner struct {
		Login string `json:"login"`
	} `json:"owner"`
	Options    json.RawMessage `json:"options"`
	Created    *time.Time      `json:"created_timestamp"`
	Started    *time.Time      `json:"started_timestamp"`
	Finished   *time.Time      `json:"finished_timestamp"`
	Duration   *float64        `json:"duration"`
	NodeCount  int             `json:"node_count"`
	NodeStates map[string]int  `json:"node_states"`
	Userdata   json.RawMessage `json:"userdata"`
	Status     []struct {
		State string     `json:"state"`
		Enter time.Time  `json:"enter_time"`
		Exit  *time.Time `json:"exit_time"`
	} `json:"status"`
}

// ended tells whether nothing of the job will change any more.
func (j *jobInfo) ended() bool {
	return j.State == "finished" || j.State == "failed" || j.State == "stopped"
}

// nodeInfo is the run of a node as the API shows it.
type nodeInfo struct {
	Name      string     `json:"name"`
	State     string     `json:"state"`
	Transport string     `json:"transport"`
	Started   *time.Time `json:"start_timestamp"`
	Finished  *time.Time `json:"finish_timestamp"`
	Duration  *float64   `json:"duration"`
	Message   string     `json:"message"`
	// Result is what a task or a step of a plan answered, or why it could not.
	Result  json.RawMessage `json:"result,omitempty"`
	Details struct {
		ReportURL string           `json:"report-url"`
		Metrics   map[string]int64 `json:"metrics"`
		Detail    struct {
			Msg string `json:"msg"`
		} `json:"detail"`
	} `json:"details"`
}

// noop tells whether a run of Puppet only looked, which an agent's own
// configuration decides, too.
func (n *nodeInfo) noop() bool {
	var result struct {
		Noop struct{ Noop bool }
	}
	return json.Unmarshal(n.Result, &result) == nil && result.Noop.Noop // of another type: it is no deploy's
}

// eventInfo is an event as the API shows it.
type eventInfo struct {
	ID        string    `json:"id"`
	Type      string    `json:"type"`
	Timestamp time.Time `json:"timestamp"`
	Message   string    `json:"message"`
	Details   struct {
		Node   string      `json:"node"`
		Detail eventDetail `json:"detail"`
	} `json:"details"`
}

// eventDetail is what an event tells of a node: of a deploy numbers, of a task
// its result, which may have any keys.
type eventDetail struct {
	Msg     string
	Noop    bool
	Metrics map[string]int64
	raw     json.RawMessage
}

// UnmarshalJSON takes of an object what it knows, and the rest as it is.
func (d *eventDetail) UnmarshalJSON(text []byte) error {
	d.raw = append(json.RawMessage(nil), text...)
	var fields map[string]json.RawMessage
	if json.Unmarshal(text, &fields) != nil {
		return nil // anything else says nothing
	}
	for key, into := range map[string]any{"msg": &d.Msg, "noop": &d.Noop, "metrics": &d.Metrics} {
		_ = json.Unmarshal(fields[key], into) // of another type: a task's own key
	}
	return nil
}

// jobAPI is a server's orchestrator.
type jobAPI struct{ client *client.Client }

func (a *jobAPI) get(ctx context.Context, path string, query url.Values, into any) error {
	return a.client.JSON(ctx, client.Request{Path: orchestratorPath + path, Query: query}, into)
}

func (a *jobAPI) command(ctx context.Context, name string, body, into any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	return a.client.JSON(ctx, client.Request{Method: http.MethodPost, Path: orchestratorPath + "/command/" + name, Body: text}, into)
}

// deploy starts a job and answers its name.
func (a *jobAPI) deploy(ctx context.Context, body map[string]any) (string, error) {
	var answer struct{ Job struct{ Name string } }
	err := a.command(ctx, "deploy", body, &answer)
	return answer.Job.Name, err
}

// stop stops a job and answers in which states its nodes are then.
func (a *jobAPI) stop(ctx context.Context, name string, force bool) (map[string]int, error) {
	body := map[string]any{"job": name}
	if force {
		body["force"] = true
	}
	var answer struct {
		Job struct{ Nodes map[string]int }
	}
	err := a.command(ctx, "stop", body, &answer)
	return answer.Job.Nodes, err
}

func (a *jobAPI) job(ctx context.Context, name string) (*jobInfo, error) {
	var j jobInfo
	err := a.get(ctx, "/jobs/"+url.PathEscape(name), nil, &j)
	return &j, err
}

// jobs lists the latest, newest first.
func (a *jobAPI) jobs(ctx context.Context, query url.Values) (jobs []jobInfo, total int, err error) {
	var list struct {
		Items      []jobInfo
		Pagination struct{ Total int }
	}
	err = a.get(ctx, "/jobs", query, &list)
	return list.Items, list.Pagination.Total, err
}

func (a *jobAPI) nodes(ctx context.Context, name string, query url.Values) ([]nodeInfo, error) {
	var list struct{ Items []nodeInfo }
	err := a.get(ctx, "/jobs/"+url.PathEscape(name)+"/nodes", query, &list)
	return list.Items, err
}

// events lists those from start on, and answers where the next ones start.
func (a *jobAPI) events(ctx context.Context, name, start string) (events []eventInfo, next string, err error) {
	var list struct {
		Next  struct{ Event string } `json:"next-events"`
		Items []eventInfo
	}
	query := url.Values{}
	if start != "" {
		query.Set("start", start)
	}
	err = a.get(ctx, "/jobs/"+url.PathEscape(name)+"/events", query, &list)
	return list.Items, list.Next.Event, err
}

// group finds a node group by its id or its name.
func (a *jobAPI) group(ctx context.Context, given string) (string, error) {
	if id, err := uuid.Parse(given); err == nil {
		return id.String(), nil
	}
	var groups []struct{ ID, Name string }
	if err := a.client.JSON(ctx, client.Request{Path: "/classifier-api/v1/groups"}, &groups); err != nil {
		var refused *client.Error
		if errors.As(err, &refused) && refused.Status == http.StatusNotFound {
			return "", &usageError{fmt.Errorf("this server keeps no node groups, so that %q must be the group's id", given)}
		}
		return "", fmt.Errorf("look for the node group %s: %w", strconv.Quote(given), err)
	}
	for _, g := range groups {
		if g.Name == given {
			return g.ID, nil
		}
	}
	return "", &usageError{fmt.Errorf("there is no node group %q, or you may not see it: that needs the permission node_groups:view", given)}
}
