package orch_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"dalang/orchestrator/job"
	"dalang/orchestrator/pxp"
	"dalang/orchestrator/rbac"
	"dalang/orchestrator/schedule"
	"dalang/orchestrator/secret"
	"dalang/server/orch"
	"dalang/store"
)

// A client's view of scheduled jobs (orchestrator.md §3.8).

type clientScheduled struct {
	ScheduledJob clientRef `json:"scheduled_job"`
}

type clientInterval struct {
	Units string `json:"units"`
	Value int    `json:"value"`
}

type clientSchedule struct {
	StartTime string          `json:"start_time"`
	Interval  *clientInterval `json:"interval"`
}

type clientNextRun struct {
	Time string `json:"time"`
}

type clientLastRun struct {
	Time string       `json:"time"`
	Job  clientLatest `json:"job"`
}

// clientLatest has an id or a submission_error.
type clientLatest struct {
	ID              string       `json:"id,omitempty"`
	Name            string       `json:"name"`
	SubmissionError *clientError `json:"submission_error,omitempty"`
}

type clientEnvironmentJob struct {
	ID          string         `json:"id"`
	Name        string         `json:"name"`
	Enabled     bool           `json:"enabled"`
	Environment string         `json:"environment"`
	Owner       clientOwner    `json:"owner"`
	Description string         `json:"description"`
	Type        string         `json:"type"`
	Input       map[string]any `json:"input"`
	Userdata    map[string]any `json:"userdata"`
	Schedule    clientSchedule `json:"schedule"`
	NextRun     *clientNextRun `json:"next_run"`
	LastRun     *clientLastRun `json:"last_run"`
}

type clientEnvironmentJobs struct {
	Items      []clientEnvironmentJob `json:"items"`
	Pagination clientPagination       `json:"pagination"`
}

type clientOldScheduled struct {
	ID              string      `json:"id"`
	Name            string      `json:"name"`
	Type            string      `json:"type"`
	Task            *string     `json:"task"`
	Plan            *string     `json:"plan"`
	Scope           clientScope `json:"scope"`
	Environment     string      `json:"environment"`
	Owner           clientOwner `json:"owner"`
	Description     string      `json:"description"`
	ScheduledTime   string      `json:"scheduled_time"`
	NextRun         *string     `json:"next_run"`
	ScheduleOptions struct {
		Interval *clientInterval `json:"interval"`
	} `json:"schedule_options"`
	Noop bool `json:"noop"`
}

type clientOldScheduledJobs struct {
	Items      []clientOldScheduled `json:"items"`
	Pagination clientPagination     `json:"pagination"`
}

type nobodyOwns struct{}

func (nobodyOwns) Subject(context.Context, uuid.UUID) (*rbac.Subject, error) {
	return nil, rbac.UserRevoked("brian")
}

// scheduling is an API with a store of scheduled jobs, at noon.
type scheduling struct {
	*api
	store *store.Store
	dir   string
	now   time.Time
	task  job.Task           // that was checked last
	plan  schedule.PlanOrder // likewise
}

func newScheduling(t *testing.T) *scheduling {
	t.Helper()
	s := &scheduling{now: noon, dir: t.TempDir()}
	clock := func() time.Time { return s.now }
	var err error
	s.store, err = store.Open(t.Context(), store.Config{Path: filepath.Join(s.dir, "dalang.db"), Now: clock})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.store.Close()) })
	keeper, err := secret.New(make([]byte, 32))
	require.NoError(t, err)
	scheduler, err := schedule.New(schedule.Config{Store: s.store, Owners: nobodyOwns{}, Secrets: keeper, Now: clock, Kinds: map[schedule.Type]schedule.Kind{
		schedule.Deploy: schedule.Deploys(func(context.Context, *rbac.Subject, job.Deploy) (int64, error) { return 0, nil },
			func(d job.Deploy) error { _, err := pxp.PuppetRun(d, "1"); return err }),
		schedule.Task: schedule.Tasks(schedule.Tasking{
			Task: func(context.Context, *rbac.Subject, job.Task) (int64, error) { return 0, nil },
			Check: func(_ context.Context, got job.Task) ([]string, error) {
				s.task = got
				if got.Task == "unknown" {
					return nil, job.UnknownTask(got.Environment, got.Task)
				}
				return []string{"password"}, nil
			},
			MayRun: func(_ context.Context, who schedule.Subject) (func(string) bool, error) {
				return func(name string) bool { return who.May("tasks", "run", name) }, nil
			},
		}),
		schedule.Plan: schedule.Plans(schedule.Planning{
			Start: func(context.Context, *rbac.Subject, schedule.PlanOrder) (int64, error) { return 0, nil },
			Check: func(_ context.Context, got schedule.PlanOrder) ([]string, error) {
				s.plan = got
				return []string{"password"}, nil
			},
		}),
	}})
	require.NoError(t, err)
	s.api = newAPI(t, func(c *orch.Config) { c.Schedules = scheduler })
	return s
}

const (
	environmentJobs = "/orchestrator/v1/scheduled_jobs/environment_jobs"
	oldJobs         = "/orchestrator/v1/scheduled_jobs"
	allNodes        = `"scope":{"node_group":"00000000-0000-4000-8000-000000000000"}`
)

// body is a scheduled deploy with some members changed; "" takes one away.
func body(change map[string]string) string {
	members := map[string]string{
		"type": `"deploy"`, "input": `{"scope":{"nodes":["web1"]},"noop":true}`, "environment": `"production"`, "description": `"nightly"`,
		"userdata": `{"snow_ticket":"INC0011211"}`, "schedule": `{"start_time":"2026-05-21T03:00:00Z","interval":{"units":"seconds","value":86400}}`,
	}
	for key, value := range change {
		members[key] = value
	}
	var list []string
	for key, value := range members {
		if value != "" {
			list = append(list, fmt.Sprintf("%q:%s", key, value))
		}
	}
	return "{" + strings.Join(list, ",") + "}"
}

// post makes a scheduled job.
func (s *scheduling) post(t *testing.T, body string) string {
	t.Helper()
	status, text, _ := s.ask(t, http.MethodPost, environmentJobs, body)
	require.Equal(t, http.StatusAccepted, status, "%s", text)
	ref := strict[clientScheduled](t, text).ScheduledJob
	require.Equal(t, rootURL+"/scheduled_jobs/environment_jobs/"+ref.Name, ref.ID)
	return ref.Name
}

func (s *scheduling) job(t *testing.T, name string) clientEnvironmentJob {
	t.Helper()
	return strict[clientEnvironmentJob](t, s.get(t, environmentJobs+"/"+name))
}

// TestEnvironmentJob: what is posted is shown, and what came of it.
func TestEnvironmentJob(t *testing.T) {
	s := newScheduling(t)
	name := s.post(t, body(nil))
	text := s.get(t, environmentJobs+"/"+name)
	owner := string(somebody{}.Owner())
	require.JSONEq(t, `{"id":"`+rootURL+`/scheduled_jobs/environment_jobs/1","name":"1","enabled":true,"environment":"production","owner":`+owner+`,
		"description":"nightly","type":"deploy","input":{"scope":{"nodes":["web1"]},"noop":true},"userdata":{"snow_ticket":"INC0011211"},
		"schedule":{"start_time":"2026-05-21T03:00:00Z","interval":{"units":"seconds","value":86400}},
		"next_run":{"time":"2026-05-21T03:00:00Z"},"last_run":null}`, string(text))
	strict[clientEnvironmentJob](t, text)

	s.now = noon.Add(15*time.Hour + 3*time.Second)
	claimed, _, err := s.store.ClaimDue(t.Context(), s.now)
	require.NoError(t, err)
	require.Nil(t, s.job(t, name).LastRun, "nothing has come of it yet")
	j, err := s.store.CreateJob(t.Context(), &job.Draft{Firing: claimed[0].ID, Job: job.Job{Type: job.TypeDeploy}, Nodes: []job.Node{{Certname: "a", Transport: "pcp"}}})
	require.NoError(t, err)
	got := s.job(t, name)
	require.Equal(t, &clientLastRun{"2026-05-21T03:00:03Z", clientLatest{ID: rootURL + "/jobs/" + j.Name(), Name: j.Name()}}, got.LastRun)
	require.Equal(t, &clientNextRun{"2026-05-22T03:00:00Z"}, got.NextRun)

	s.now = noon.Add(39 * time.Hour)
	claimed, _, err = s.store.ClaimDue(t.Context(), s.now)
	require.NoError(t, err)
	require.NoError(t, s.store.SettleFiring(t.Context(), claimed[0].ID, s.now, job.UnknownEnvironment("doesnotexist")))
	require.Equal(t, &clientLastRun{"2026-05-22T03:00:00Z", clientLatest{Name: "2", SubmissionError: &clientError{
		"puppetlabs.orchestrator/unknown-environment", "Unknown environment doesnotexist", map[string]any{"environment": "doesnotexist"}}}}, s.job(t, name).LastRun)

	// Once, in another zone; a plan job is found among the plan jobs.
	once := s.post(t, body(map[string]string{"schedule": `{"start_time":"2027-01-28T09:35:56-08:00","interval":null}`, "description": `""`, "userdata": `{}`}))
	got = s.job(t, once)
	require.Equal(t, clientSchedule{StartTime: "2027-01-28T17:35:56Z"}, got.Schedule)
}

// TestScheduledForms: what is taken, and in which form it is shown.
func TestScheduledForms(t *testing.T) {
	s := newScheduling(t)
	for given, want := range map[string]string{
		`{"scope":{"nodes":["a","b"]},"timeout":60.0,"tags":" a , b ","concurrency":"1-8","noop":null}`: `{"scope":{"nodes":["a","b"]},"timeout":60,"tags":"a,b","concurrency":"1-8"}`,
		`{"scope":{"query":"nodes{}"},"no_noop":true,"enforce_environment":false}`:                      `{"scope":{"query":"nodes{}"},"no_noop":true,"enforce_environment":false}`,
		`{"scope":{"query":["from", "nodes"]}}`:                                                         `{"scope":{"query":["from","nodes"]}}`,
		`{"scope":{"node_group":"00000000-0000-4000-8000-00000000000A"}}`:                               `{"scope":{"node_group":"00000000-0000-4000-8000-00000000000a"}}`,
		`{"scope":{"whole_environment":true}}`:                                                          `{"scope":{"whole_environment":true}}`,
	} {
		name := s.post(t, body(map[string]string{"input": given}))
		shown, err := json.Marshal(s.job(t, name).Input)
		require.NoError(t, err)
		require.JSONEq(t, want, string(shown))
		// What is shown can be sent again.
		status, text, _ := s.ask(t, http.MethodPut, environmentJobs+"/"+name, `{"input":`+string(shown)+`}`)
		require.Equal(t, http.StatusOK, status, "%s", text)
	}
	for _, start := range []string{"2026-05-20T12:00:00Z", "2026-05-20T14:00+02:00", "2026-05-20T14:00:00.000+0200"} {
		name := s.post(t, body(map[string]string{"schedule": `{"start_time":"` + start + `","interval":null}`}))
		require.Equal(t, "2026-05-20T12:00:00Z", s.job(t, name).NextRun.Time)
	}
}

func TestScheduledValidation(t *testing.T) {
	s := newScheduling(t)
	at := func(key, value string) string { return body(map[string]string{key: value}) }
	for _, c := range []struct{ body, key, expected, got string }{
		{at("type", ""), "type", "deploy, task or plan", "missing"},
		{at("type", `"run"`), "type", "one of deploy, task, plan", `"run"`},
		{at("input", ""), "input", "an object", "missing"},
		{at("input", "[]"), "input", "an object", "an array"},
		{at("input", "{}"), "input.scope", "an object with exactly one key", "missing"},
		{at("input", `{"scope":{}}`), "input.scope", "an object with exactly one key", "empty"},
		{at("input", `{"scope":{"nodes":["a"]},"nop":true}`), "input.nop", "one of ", "an unknown key"},
		{at("input", `{"scope":{"nodes":["a"]},"environment":"x"}`), "input.environment", "one of ", "an unknown key"},
		{at("input", `{"scope":{"nodes":["a"]},"target":"App"}`), "input.target", "one of ", "an unknown key"},
		{at("input", `{"scope":{"nodes":["a"]},"noop":"yes"}`), "input.noop", "a boolean", "a string"},
		{at("input", `{"scope":{"nodes":["a"]},"noop":true,"no_noop":true}`), "input.no_noop", "false where noop is true", "true"},
		{at("environment", ""), "environment", "the name of an environment", "missing"},
		{at("environment", `"a/b"`), "environment", job.EnvironmentName, `"a/b"`},
		{at("environment", `""`), "input.enforce_environment", "false where environment is empty", "missing"},
		{body(map[string]string{"environment": `""`, "input": `{"scope":{"whole_environment":true},"enforce_environment":false}`}), "input.scope",
			"nodes, query or node_group where environment is empty", "something else"},
		{at("description", ""), "description", "a string, which may be empty", "missing"},
		{at("userdata", ""), "userdata", "an object, which may be empty", "missing"},
		{at("userdata", "[]"), "userdata", "an object", "an array"},
		{at("enabled", "true"), "enabled", "one of ", "an unknown key"},
		{at("schedule", ""), "schedule", "an object with start_time and interval", "missing"},
		{at("schedule", `"daily"`), "schedule", "an object", "a string"},
		{at("schedule", `{"interval":null}`), "schedule.start_time", "a time with its zone", "missing"},
		{at("schedule", `{"start_time":"tomorrow"}`), "schedule.start_time", "a time with its zone", `"tomorrow"`},
		{at("schedule", `{"start_time":"2027-05-05T19:50:08"}`), "schedule.start_time", "a time with its zone", `"2027-05-05T19:50:08"`},
		{at("schedule", `{"start_time":"2027-13-05T19:50:08Z"}`), "schedule.start_time", "a time with its zone", `"2027-13-05T19:50:08Z"`},
		{at("schedule", `{"start_time":1}`), "schedule.start_time", "a string", "a number"},
		{at("schedule", `{"start_time":"2027-05-05T19:50:08Z"}`), "schedule.interval", "null, or an object with units and value", "missing"},
		{at("schedule", `{"start_time":"2027-05-05T19:50:08Z","interval":60}`), "schedule.interval", "an object", "a number"},
		{at("schedule", `{"start_time":"2027-05-05T19:50:08Z","interval":{"value":60}}`), "schedule.interval.units", "seconds", "missing"},
		{at("schedule", `{"start_time":"2027-05-05T19:50:08Z","interval":{"units":"hours","value":1}}`), "schedule.interval.units", "one of seconds", `"hours"`},
		{at("schedule", `{"start_time":"2027-05-05T19:50:08Z","interval":{"units":"seconds"}}`), "schedule.interval.value", "an integer from 1", "missing"},
		{at("schedule", `{"start_time":"2027-05-05T19:50:08Z","interval":{"units":"seconds","value":0}}`), "schedule.interval.value", "an integer from 1", "0"},
		{at("schedule", `{"start_time":"2027-05-05T19:50:08Z","every":1}`), "schedule.every", "one of interval, start_time", "an unknown key"},
	} {
		e := s.refused(t, http.MethodPost, environmentJobs, c.body, http.StatusBadRequest, "validation-error")
		require.Equal(t, c.key, e.Details["key"], "%s", c.body)
		require.True(t, strings.HasPrefix(e.Details["expected"].(string), c.expected), "%s: %s", c.body, e.Details["expected"])
		require.Equal(t, c.got, e.Details["got"], "%s", c.body)
	}
	s.refused(t, http.MethodPost, environmentJobs, at("input", `{"scope":{"nodes":[]}}`), http.StatusBadRequest, "empty-target")
	e := s.refused(t, http.MethodPost, environmentJobs, body(map[string]string{"environment": `"random"`, "input": `{"scope":{"nodes":["a"]},"ordering":"random"}`}),
		http.StatusBadRequest, "validation-error")
	require.Equal(t, map[string]any{"key": "input.ordering"}, e.Details, "agents could not be asked that")
	e = s.refused(t, http.MethodPost, environmentJobs, at("schedule", `{"start_time":"2026-05-20T11:59:59Z","interval":{"units":"seconds","value":60}}`),
		http.StatusBadRequest, "invalid-time")
	require.Equal(t, map[string]any{"time": "2026-05-20T11:59:59Z", "now": "2026-05-20T12:00:00Z"}, e.Details)
	require.Empty(t, strict[clientEnvironmentJobs](t, s.get(t, environmentJobs)).Items)
}

// TestScheduledPermissions: who may look may not schedule; who may schedule may
// not change what is somebody else's.
func TestScheduledPermissions(t *testing.T) {
	s := newScheduling(t)
	name := s.post(t, body(nil))
	s.token = "viewer"
	s.job(t, name)
	e := s.refused(t, http.MethodPost, environmentJobs, body(nil), http.StatusForbidden, "not-permitted")
	require.Equal(t, map[string]any{"object_type": "puppet_agent", "action": "run", "instance": "*"}, e.Details)
	s.refused(t, http.MethodPost, "/orchestrator/v1/command/schedule_deploy", `{`, http.StatusForbidden, "not-permitted")
	s.token = "nobody"
	for _, path := range []string{environmentJobs, environmentJobs + "/" + name, oldJobs, oldJobs + "/" + name} {
		s.refused(t, http.MethodGet, path, "", http.StatusForbidden, "not-permitted")
	}
	s.token = ""
	status, _, _ := s.ask(t, http.MethodGet, environmentJobs, "")
	require.Equal(t, http.StatusUnauthorized, status)
	s.token = "other" // may do what schedules of deploys need, and is somebody else
	for method, body := range map[string]string{http.MethodPut: `{"description":"x"}`, http.MethodDelete: ""} {
		path := map[string]string{http.MethodPut: environmentJobs, http.MethodDelete: oldJobs}[method] + "/" + name
		e := s.refused(t, method, path, body, http.StatusForbidden, "not-permitted")
		require.Equal(t, "scheduled_jobs", e.Details["object_type"])
	}
}

func TestScheduledEdit(t *testing.T) {
	s := newScheduling(t)
	name := s.post(t, body(nil))
	path := environmentJobs + "/" + name
	put := func(body string) clientEnvironmentJob {
		t.Helper()
		status, text, _ := s.ask(t, http.MethodPut, path, body)
		require.Equal(t, http.StatusOK, status, "%s", text)
		require.Equal(t, clientRef{rootURL + "/scheduled_jobs/environment_jobs/1", "1"}, strict[clientScheduled](t, text).ScheduledJob)
		return s.job(t, name)
	}
	want := s.job(t, name)
	require.Equal(t, want, put(`{}`))
	require.Equal(t, want, put(`{"description":null,"enabled":true}`))
	want.Description, want.Userdata = "", map[string]any{}
	require.Equal(t, want, put(`{"description":"","userdata":{}}`))
	want.Environment, want.Input = "test", map[string]any{"scope": map[string]any{"query": "nodes{}"}}
	require.Equal(t, want, put(`{"environment":"test","input":{"scope":{"query":"nodes{}"}}}`))
	want.Schedule, want.NextRun = clientSchedule{StartTime: "2026-06-01T00:00:00Z"}, &clientNextRun{"2026-06-01T00:00:00Z"}
	require.Equal(t, want, put(`{"schedule":{"start_time":"2026-06-01T00:00:00Z","interval":null}}`))

	for body, key := range map[string]string{
		`{"type":"task"}`: "type", `{"enabled":"no"}`: "enabled", `{"input":{}}`: "input.scope", `{"environment":"a b"}`: "environment",
		`{"environment":""}`: "input.enforce_environment", `{"schedule":{}}`: "schedule.start_time", `{"next_run":null}`: "next_run", `[]`: "",
	} {
		e := s.refused(t, http.MethodPut, path, body, http.StatusBadRequest, "validation-error")
		if key != "" {
			require.Equal(t, key, e.Details["key"], body)
		}
	}
	s.refused(t, http.MethodPut, path, `{"schedule":{"start_time":"2026-05-20T11:00:00Z","interval":null}}`, http.StatusBadRequest, "invalid-time")
	require.Equal(t, want, s.job(t, name))

	want.Enabled, want.NextRun = false, nil
	require.Equal(t, want, put(`{"enabled":false}`))
	for _, body := range []string{`{"enabled":false}`, `{"enabled":true}`, `{"description":"x"}`} {
		e := s.refused(t, http.MethodPut, path, body, http.StatusBadRequest, "disabled-scheduled-job")
		require.Equal(t, map[string]any{"job": "1"}, e.Details)
	}
	for _, id := range []string{"2", "-1", "99999999999999999999"} {
		s.refused(t, http.MethodPut, environmentJobs+"/"+id, `{}`, http.StatusNotFound, "unknown-job")
		s.refused(t, http.MethodGet, environmentJobs+"/"+id, "", http.StatusNotFound, "unknown-job")
		s.refused(t, http.MethodGet, oldJobs+"/"+id, "", http.StatusNotFound, "unknown-job")
		s.refused(t, http.MethodDelete, oldJobs+"/"+id, "", http.StatusNotFound, "unknown-job")
	}
	s.refused(t, http.MethodGet, environmentJobs+"/x", "", http.StatusBadRequest, "validation-error")
	s.refused(t, http.MethodDelete, oldJobs+"/environment_jobs", "", http.StatusBadRequest, "validation-error")
}

func TestScheduledList(t *testing.T) {
	s := newScheduling(t)
	for _, start := range []string{"2026-06-03", "2026-06-01", "2026-06-02"} {
		s.post(t, body(map[string]string{"schedule": `{"start_time":"` + start + `T00:00:00Z","interval":null}`}))
	}
	s.post(t, body(nil))
	status, _, _ := s.ask(t, http.MethodPut, environmentJobs+"/4", `{"enabled":false}`)
	require.Equal(t, http.StatusOK, status)
	limit := 2
	for query, want := range map[string]struct {
		names string
		page  clientPagination
	}{
		"":                                {"2 3 1 4", clientPagination{Order: "asc", OrderBy: "next_run_time", Total: 4}},
		"?limit=2&offset=1":               {"3 1", clientPagination{Limit: &limit, Offset: 1, Order: "asc", OrderBy: "next_run_time", Total: 4}},
		"?order_by=name&order=desc":       {"4 3 2 1", clientPagination{Order: "desc", OrderBy: "name", Total: 4}},
		"?order=desc":                     {"1 3 2 4", clientPagination{Order: "desc", OrderBy: "next_run_time", Total: 4}},
		"?type=task":                      {"", clientPagination{Order: "asc", OrderBy: "next_run_time", Type: "task"}},
		"?type=deploy&order_by=owner":     {"1 2 3 4", clientPagination{Order: "asc", OrderBy: "owner", Type: "deploy", Total: 4}},
		"?order_by=environment&limit=2":   {"1 2", clientPagination{Limit: &limit, Order: "asc", OrderBy: "environment", Total: 4}},
		"?order_by=type&order=asc":        {"1 2 3 4", clientPagination{Order: "asc", OrderBy: "type", Total: 4}},
		"?limit=2&offset=4&order_by=name": {"", clientPagination{Limit: &limit, Offset: 4, Order: "asc", OrderBy: "name", Total: 4}},
	} {
		list := strict[clientEnvironmentJobs](t, s.get(t, environmentJobs+query))
		var names []string
		for _, e := range list.Items {
			names = append(names, e.Name)
		}
		require.Equal(t, want.names, strings.Join(names, " "), query)
		require.Equal(t, want.page, list.Pagination, query)
	}
	for _, query := range []string{"limit=0", "limit=x", "offset=-1", "order=up", "order_by=next_run", "order_by=id", "type=run"} {
		e := s.refused(t, http.MethodGet, environmentJobs+"?"+query, "", http.StatusBadRequest, "validation-error")
		require.Contains(t, query, e.Details["key"])
	}

	// The older form shows those that are enabled.
	list := strict[clientOldScheduledJobs](t, s.get(t, oldJobs+"?order_by=scheduled_time&limit=2"))
	require.Equal(t, clientPagination{Limit: &limit, Order: "asc", OrderBy: "scheduled_time", Total: 3}, list.Pagination)
	require.Equal(t, "2", list.Items[0].Name)
	require.Equal(t, "next_run", strict[clientOldScheduledJobs](t, s.get(t, oldJobs)).Pagination.OrderBy)
	s.refused(t, http.MethodGet, oldJobs+"?order_by=next_run_time", "", http.StatusBadRequest, "validation-error")
}

// TestOldSchedules: the seed's deprecated commands.
func TestOldSchedules(t *testing.T) {
	const path = "/orchestrator/v1/command/schedule_deploy"
	s := newScheduling(t)
	status, text, header := s.ask(t, http.MethodPost, path, `{"environment": "production", `+allNodes+`, "scheduled_time": "2027-05-05T19:50:08Z"}`)
	require.Equal(t, http.StatusAccepted, status, "%s", text)
	require.Equal(t, "true", header.Get("Deprecation"))
	ref := `{"id":"` + rootURL + `/scheduled_jobs/1","name":"1"}`
	require.JSONEq(t, `{"scheduled_job":`+ref+`,"job":`+ref+`}`, string(text))

	status, text, _ = s.ask(t, http.MethodPost, path, `{"environment":"","enforce_environment":false,"scope":{"nodes":["a"]},"noop":true,"description":"why",
		"userdata":{"a":1},"scheduled_time":"2027-05-05T21:50:08+02:00","schedule_options":{"interval":{"units":"seconds","value":86400}}}`)
	require.Equal(t, http.StatusAccepted, status, "%s", text)
	got := s.job(t, "2")
	require.Equal(t, clientSchedule{"2027-05-05T19:50:08Z", &clientInterval{"seconds", 86400}}, got.Schedule)
	require.Equal(t, map[string]any{"enforce_environment": false, "noop": true, "scope": map[string]any{"nodes": []any{"a"}}}, got.Input)
	require.Equal(t, "why", got.Description)
	require.Equal(t, map[string]any{"a": 1.0}, got.Userdata)

	status, text, header = s.ask(t, http.MethodGet, oldJobs+"/2", "")
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, "true", header.Get("Deprecation"))
	require.JSONEq(t, `{"id":"`+rootURL+`/scheduled_jobs/2","name":"2","type":"deploy","task":null,"plan":null,"scope":{"nodes":["a"]},"environment":"",
		"owner":`+string(somebody{}.Owner())+`,"description":"why","scheduled_time":"2027-05-05T19:50:08Z","next_run":"2027-05-05T19:50:08Z",
		"schedule_options":{"interval":{"units":"seconds","value":86400}},"noop":true}`, string(text))
	strict[clientOldScheduled](t, text)

	for body, key := range map[string]string{
		`{` + allNodes + `,"scheduled_time":"2027-05-05T19:50:08Z"}`:                                                                                       "environment",
		`{"environment":"production","scheduled_time":"2027-05-05T19:50:08Z"}`:                                                                             "scope",
		`{"environment":"production","scope":{},"scheduled_time":"2027-05-05T19:50:08Z"}`:                                                                  "scope",
		`{"environment":"production",` + allNodes + `}`:                                                                                                    "scheduled_time",
		`{"environment":"production",` + allNodes + `,"scheduled_time":"soon"}`:                                                                            "scheduled_time",
		`{"environment":"production",` + allNodes + `,"scheduled_time":"2027-05-05T19:50:08Z","nop":true}`:                                                 "nop",
		`{"environment":"production",` + allNodes + `,"scheduled_time":"2027-05-05T19:50:08Z","target":"App"}`:                                             "target",
		`{"environment":"production",` + allNodes + `,"scheduled_time":"2027-05-05T19:50:08Z","noop":1}`:                                                   "noop",
		`{"environment":"production",` + allNodes + `,"scheduled_time":"2027-05-05T19:50:08Z","schedule_options":{"interval":{"units":"days","value":1}}}`: "schedule_options.interval.units",
	} {
		e := s.refused(t, http.MethodPost, path, body, http.StatusBadRequest, "validation-error")
		require.Equal(t, key, e.Details["key"], body)
	}
	s.refused(t, http.MethodPost, path, `{"environment":"production",`+allNodes+`,"scheduled_time":"2017-05-05T19:50:08Z"}`, http.StatusBadRequest, "invalid-time")
	status, _, header = s.ask(t, http.MethodPost, path, `{`)
	require.Equal(t, http.StatusBadRequest, status)
	require.Equal(t, "true", header.Get("Deprecation"), "errors tell it too")

	r, _, header := s.ask(t, http.MethodDelete, oldJobs+"/2", "")
	require.Equal(t, http.StatusNoContent, r)
	require.Equal(t, "true", header.Get("Deprecation"))
	s.refused(t, http.MethodDelete, oldJobs+"/2", "", http.StatusNotFound, "unknown-job")
}

// FuzzScheduled: no body makes the handler fail in a way of its own, and what
// is stored can be sent again.
func FuzzScheduled(f *testing.F) {
	f.Add(body(nil))
	f.Add(body(map[string]string{"environment": `""`, "input": `{"scope":{"query":["from","nodes"]},"enforce_environment":false,"concurrency":{"min":1,"max":2}}`}))
	f.Add(`{"type":"plan"}`)
	f.Fuzz(func(t *testing.T, body string) {
		s := newScheduling(t)
		status, text, _ := s.ask(t, http.MethodPost, environmentJobs, body)
		if status != http.StatusAccepted {
			require.Contains(t, []int{http.StatusBadRequest, http.StatusNotFound}, status, "%s", text)
			return
		}
		e := s.job(t, strict[clientScheduled](t, text).ScheduledJob.Name)
		if e.Type != "deploy" {
			return
		}
		again, err := json.Marshal(map[string]any{"input": e.Input, "environment": e.Environment})
		require.NoError(t, err)
		status, text, _ = s.ask(t, http.MethodPut, environmentJobs+"/"+e.Name, string(again))
		require.Equal(t, http.StatusOK, status, "%s", text)
		require.Equal(t, e, s.job(t, e.Name))
	})
}
