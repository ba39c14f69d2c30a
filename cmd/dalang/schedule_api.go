package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"dalang/cmd/internal/client"
)

const schedulesPath = "/scheduled_jobs/environment_jobs"

// scheduledInfo is a scheduled job as the API shows it.
type scheduledInfo struct {
	Name        string                     `json:"name"`
	Enabled     bool                       `json:"enabled"`
	Environment string                     `json:"environment"`
	Owner       struct{ Login string }     `json:"owner"`
	Description string                     `json:"description"`
	Type        string                     `json:"type"`
	Input       map[string]json.RawMessage `json:"input"`
	Userdata    json.RawMessage            `json:"userdata"`
	Schedule    struct {
		Start    time.Time                `json:"start_time"`
		Interval *struct{ Value float64 } `json:"interval"`
	} `json:"schedule"`
	NextRun *struct{ Time time.Time } `json:"next_run"`
	LastRun *struct {
		Time time.Time
		Job  struct {
			ID    string
			Name  string
			Error *struct{ Kind, Msg string } `json:"submission_error"`
		}
	} `json:"last_run"`
}

// interval is 0 for what runs once.
func (s *scheduledInfo) interval() time.Duration {
	if s.Schedule.Interval == nil {
		return 0
	}
	return time.Duration(s.Schedule.Interval.Value) * time.Second
}

// what is Puppet, or the task or plan.
func (s *scheduledInfo) what() string {
	var name string
	if s.Type == "deploy" || json.Unmarshal(s.Input["name"], &name) != nil {
		return "Puppet"
	}
	return s.Type + " " + oneLine(name)
}

// every is how often it runs.
func (s *scheduledInfo) every() string {
	if d := s.interval(); d != 0 {
		return "every " + spanText(d)
	}
	return "once"
}

// when says when it runs, for people.
func (s *scheduledInfo) when(now time.Time) string {
	switch {
	case !s.Enabled:
		return "disabled"
	case s.NextRun == nil:
		return "which will not run again"
	case s.interval() == 0:
		return "once, " + momentText(s.NextRun.Time, now)
	}
	return fmt.Sprintf("next %s, then %s", momentText(s.NextRun.Time, now), s.every())
}

// scheduled lists scheduled jobs.
func (a *jobAPI) scheduled(ctx context.Context, query url.Values) (list []scheduledInfo, total int, err error) {
	var answer struct {
		Items      []scheduledInfo
		Pagination struct{ Total int }
	}
	err = a.get(ctx, schedulesPath, query, &answer)
	return answer.Items, answer.Pagination.Total, err
}

func (a *jobAPI) scheduledJob(ctx context.Context, name string) (*scheduledInfo, error) {
	var s scheduledInfo
	err := a.get(ctx, schedulesPath+"/"+url.PathEscape(name), nil, &s)
	return &s, err
}

// schedule makes a scheduled job and answers its name.
func (a *jobAPI) schedule(ctx context.Context, body map[string]any) (string, error) {
	var answer struct {
		Job struct{ Name string } `json:"scheduled_job"`
	}
	err := a.send(ctx, http.MethodPost, schedulesPath, body, &answer)
	return answer.Job.Name, err
}

func (a *jobAPI) editSchedule(ctx context.Context, name string, body map[string]any) error {
	return a.send(ctx, http.MethodPut, schedulesPath+"/"+url.PathEscape(name), body, nil)
}

func (a *jobAPI) deleteSchedule(ctx context.Context, name string) error {
	return a.client.JSON(ctx, client.Request{Method: http.MethodDelete, Path: orchestratorPath + "/scheduled_jobs/" + url.PathEscape(name)}, nil)
}

func (a *jobAPI) send(ctx context.Context, method, path string, body, into any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	return a.client.JSON(ctx, client.Request{Method: method, Path: orchestratorPath + path, Body: text}, into)
}
