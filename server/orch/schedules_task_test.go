package orch_test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"dalang/orchestrator/job"
)

// TestScheduledTask: parameters in both forms; secrets are neither shown nor
// stored in the clear, and changes of something else keep them.
func TestScheduledTask(t *testing.T) {
	s := newScheduling(t)
	task := func(input string) string { return body(map[string]string{"type": `"task"`, "input": input}) }
	const login = `"targets":[{"hostnames":["a"],"transport":"ssh","user":"root","password":"geheim-2"}]`
	name := s.post(t, task(`{"name":"package","parameters":{"name":{"value":"openssl"},"password":{"value":"geheim-1"},"n":{"value":1}},
		"scope":{"nodes":["a","b"]},"noop":true,"timeout":60,`+login+`}`))
	require.JSONEq(t, `{"name":"openssl","password":"geheim-1","n":1}`, string(s.task.Params))
	require.Equal(t, "production", s.task.Environment)
	got := s.job(t, name)
	shown := map[string]any{"name": "package", "parameters": map[string]any{"name": "openssl", "n": 1.0}, "sensitive_parameters": []any{"password"},
		"scope": map[string]any{"nodes": []any{"a", "b"}}, "noop": true, "timeout": 60.0,
		"targets": []any{map[string]any{"hostnames": []any{"a"}, "transport": "ssh"}}}
	require.Equal(t, shown, got.Input)

	status, text, _ := s.ask(t, http.MethodPut, environmentJobs+"/"+name, `{"environment":"test"}`)
	require.Equal(t, http.StatusOK, status, "%s", text)
	require.Equal(t, "test", s.task.Environment, "it is looked for in the new one")
	require.Contains(t, string(s.task.Params), "geheim-1")
	require.Equal(t, "geheim-2", s.task.Targets[0].Password)
	require.Equal(t, shown, s.job(t, name).Input)
	files, err := filepath.Glob(filepath.Join(s.dir, "*"))
	require.NoError(t, err)
	for _, file := range files {
		content, err := os.ReadFile(file)
		require.NoError(t, err)
		require.NotContains(t, string(content), "geheim", file)
	}

	s.post(t, task(`{"name":"package","parameters":{"a":{"value":1},"b":2},"scope":{"query":"nodes{}"}}`))
	require.JSONEq(t, `{"a":{"value":1},"b":2}`, string(s.task.Params), "plain, since not all are wrapped")
	s.post(t, task(`{"name":"package::init","parameters":{},"scope":{"query":"nodes{}"}}`))
	for input, key := range map[string]string{
		`{"parameters":{},"scope":{"nodes":["a"]}}`:                                                  "input.name",
		`{"name":"Package","parameters":{},"scope":{"nodes":["a"]}}`:                                 "input.name",
		`{"name":"package","scope":{"nodes":["a"]}}`:                                                 "input.parameters",
		`{"name":"package","parameters":[],"scope":{"nodes":["a"]}}`:                                 "input.parameters",
		`{"name":"package","parameters":{}}`:                                                         "input.scope",
		`{"name":"package","parameters":{},"scope":{"whole_environment":true}}`:                      "input.scope",
		`{"name":"package","parameters":{},"scope":{"nodes":["a"]},"task":"x"}`:                      "input.task",
		`{"name":"package","parameters":{},"scope":{"nodes":["a"]},"targets":[{"hostnames":["a"]}]}`: "input.targets[0].transport",
		`{"name":"package","parameters":{},"scope":{"nodes":["a"]},"noop":"yes"}`:                    "input.noop",
	} {
		e := s.refused(t, http.MethodPost, environmentJobs, task(input), http.StatusBadRequest, "validation-error")
		require.Equal(t, key, e.Details["key"], input)
	}
	s.refused(t, http.MethodPost, environmentJobs, task(`{"name":"package","parameters":{},"scope":{"nodes":[]}}`), http.StatusBadRequest, "empty-target")
	s.refused(t, http.MethodPost, environmentJobs, task(`{"name":"unknown","parameters":{},"scope":{"nodes":["a"]}}`), http.StatusNotFound, "unknown-task")
	s.refused(t, http.MethodPut, environmentJobs+"/"+name, `{"environment":"a b"}`, http.StatusBadRequest, "validation-error")
	s.token = "other"
	e := s.refused(t, http.MethodPost, environmentJobs, task(`{"name":"package","parameters":{},"scope":{"nodes":["a"]}}`), http.StatusForbidden, "not-permitted")
	require.Equal(t, map[string]any{"object_type": "tasks", "action": "run", "instance": "package"}, e.Details)
}

// TestScheduledPlan: parameters with values, and with what finds nodes later.
func TestScheduledPlan(t *testing.T) {
	s := newScheduling(t)
	plan := func(input string) string { return body(map[string]string{"type": `"plan"`, "input": input}) }
	name := s.post(t, plan(`{"name":"example::plan","parameters":{"message":{"value":"hello"},"object":{"value":{"value":"xyz"}},"password":{"value":"geheim"},
		"targets":{"type":"query","value":"nodes[certname] { }"},"more":{"type":"node_group","value":"00000000-0000-4000-8000-000000000000"}},"timeout":60}`))
	require.JSONEq(t, `{"message":"hello","object":{"value":"xyz"},"password":"geheim"}`, string(s.plan.Params))
	require.Equal(t, map[string]job.Scope{"targets": {Query: json.RawMessage(`"nodes[certname] { }"`)}, "more": {NodeGroup: "00000000-0000-4000-8000-000000000000"}}, s.plan.Find)
	require.Equal(t, int64(60), s.plan.Timeout)
	require.Equal(t, map[string]any{"name": "example::plan", "sensitive_parameters": []any{"password"}, "timeout": 60.0, "parameters": map[string]any{
		"message": "hello", "object": map[string]any{"value": "xyz"}, "targets": map[string]any{"type": "query", "value": "nodes[certname] { }"},
		"more": map[string]any{"type": "node_group", "value": "00000000-0000-4000-8000-000000000000"}}}, s.job(t, name).Input)
	for input, key := range map[string]string{
		`{"parameters":{}}`:                                                 "input.name",
		`{"name":"a-b","parameters":{}}`:                                    "input.name",
		`{"name":"a"}`:                                                      "input.parameters",
		`{"name":"a","parameters":{"p":1}}`:                                 "input.parameters.p",
		`{"name":"a","parameters":{"p":{}}}`:                                "input.parameters.p.value",
		`{"name":"a","parameters":{"p":{"value":1,"type":"fact"}}}`:         "input.parameters.p.type",
		`{"name":"a","parameters":{"p":{"value":1,"type":"query"}}}`:        "input.parameters.p.value",
		`{"name":"a","parameters":{"p":{"value":"x","type":"node_group"}}}`: "input.parameters.p.value",
		`{"name":"a","parameters":{"p":{"value":1,"more":2}}}`:              "input.parameters.p.more",
		`{"name":"a","parameters":{},"scope":{"nodes":["a"]}}`:              "input.scope",
	} {
		e := s.refused(t, http.MethodPost, environmentJobs, plan(input), http.StatusBadRequest, "validation-error")
		require.Equal(t, key, e.Details["key"], input)
	}
	s.token = "other"
	e := s.refused(t, http.MethodPost, environmentJobs, plan(`{"name":"a","parameters":{}}`), http.StatusForbidden, "not-permitted")
	require.Equal(t, map[string]any{"object_type": "plans", "action": "run", "instance": "a"}, e.Details)
}

// TestOldTaskAndPlan: the seed's requests for tasks and plans, and go-pe-client's.
func TestOldTaskAndPlan(t *testing.T) {
	s := newScheduling(t)
	ask := func(command, body string) clientRef {
		t.Helper()
		status, text, header := s.ask(t, http.MethodPost, "/orchestrator/v1/command/"+command, body)
		require.Equal(t, http.StatusAccepted, status, "%s", text)
		require.Equal(t, "true", header.Get("Deprecation"))
		return strict[clientScheduled](t, text).ScheduledJob
	}
	require.Equal(t, clientRef{rootURL + "/scheduled_jobs/1", "1"},
		ask("schedule_task", `{"environment" : "production", "task" : "package", "params" : {}, `+allNodes+`, "scheduled_time": "2027-05-05T19:50:08Z"}`))
	ref := ask("schedule_task", `{"environment":"test-env-1","task":"package","params":{"action":"install","package":"httpd"},"scope":{"nodes":["node1.example.com"]},
		"scheduled_time":"2027-05-05T19:50:08Z","schedule_options":{"interval":{"units":"seconds","value":86400}}}`)
	require.JSONEq(t, `{"action":"install","package":"httpd"}`, string(s.task.Params))
	old := strict[clientOldScheduled](t, s.get(t, oldJobs+"/"+ref.Name))
	require.Equal(t, "package", *old.Task)
	require.Equal(t, &clientInterval{"seconds", 86400}, old.ScheduleOptions.Interval)
	ref = ask("schedule_plan", `{"plan_name" : "canary", "params" : { "nodes" : ["node1.example.com", "node2.example.com"]}, "scheduled_time" : "2027-05-05T19:50:08Z"}`)
	require.Equal(t, rootURL+"/scheduled_jobs/3", ref.ID)
	require.Equal(t, "canary", s.plan.Plan)
	require.Equal(t, "production", s.plan.Environment)
	require.JSONEq(t, `{"nodes":["node1.example.com","node2.example.com"]}`, string(s.plan.Params))
	old = strict[clientOldScheduled](t, s.get(t, oldJobs+"/"+ref.Name))
	require.Equal(t, "canary", *old.Plan)
	for command, bodies := range map[string]map[string]string{
		"schedule_task": {
			`{"task":"package","params":{},` + allNodes + `,"scheduled_time":"2027-05-05T19:50:08Z"}`:                                  "environment",
			`{"environment":"production","params":{},` + allNodes + `,"scheduled_time":"2027-05-05T19:50:08Z"}`:                        "task",
			`{"environment":"production","task":"package",` + allNodes + `,"scheduled_time":"2027-05-05T19:50:08Z"}`:                   "params",
			`{"environment":"production","task":"package","params":{},"scheduled_time":"2027-05-05T19:50:08Z"}`:                        "scope",
			`{"environment":"production","task":"package","params":{},` + allNodes + `}`:                                               "scheduled_time",
			`{"environment":"production","task":"package","params":{},` + allNodes + `,"scheduled_time":"2027-05-05T19:50:08Z","x":1}`: "x",
		},
		"schedule_plan": {
			`{"scheduled_time":"2027-05-05T19:50:08Z"}`:                                        "plan_name",
			`{"plan_name":"canary"}`:                                                           "scheduled_time",
			`{"plan_name":"Canary","scheduled_time":"2027-05-05T19:50:08Z"}`:                   "plan_name",
			`{"plan_name":"canary","params":[],"scheduled_time":"2027-05-05T19:50:08Z"}`:       "params",
			`{"plan_name":"canary","environment":"-","scheduled_time":"2027-05-05T19:50:08Z"}`: "environment",
		},
	} {
		for body, key := range bodies {
			e := s.refused(t, http.MethodPost, "/orchestrator/v1/command/"+command, body, http.StatusBadRequest, "validation-error")
			require.Equal(t, key, e.Details["key"], body)
		}
	}
	for _, body := range []string{`{"environment":"production","task":"package","params":{},` + allNodes + `,"scheduled_time":"2017-05-05T19:50:08Z"}`} {
		s.refused(t, http.MethodPost, "/orchestrator/v1/command/schedule_task", body, http.StatusBadRequest, "invalid-time")
	}
	s.refused(t, http.MethodPost, "/orchestrator/v1/command/schedule_plan", `{"plan_name":"canary","scheduled_time":"2017-05-05T19:50:08Z"}`, http.StatusBadRequest, "invalid-time")
}
