package planjob_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dalang/orchestrator/job"
	"dalang/orchestrator/planjob"
)

const canary = `
description: Run a command on one node first
parameters:
  nodes: {type: TargetSpec}
  command: {type: String, default: whoami}
  password: {type: 'Optional[Sensitive[String]]', default: ~}
steps:
- {message: "Running on ${nodes}"}
- {name: first, command: $command, targets: $nodes, description: look}
- {name: second, task: facts, targets: $nodes, parameters: {p: 10.0, password: $password}, noop: true}
- {script: m/check.sh, targets: $nodes, arguments: [a, 1, $password]}
- {upload: m/conf, destination: /etc/conf, targets: $nodes}
- {name: inner, plan: m::inner, targets: $nodes}
return: $inner
`

func plans() map[string]string {
	return map[string]string{
		"m/plans/canary.yaml": canary, "m/plans/inner.yaml": "parameters: {targets: {type: TargetSpec}}\nsteps:\n- {command: x, targets: $targets, env_vars: {A: \"it's\"}, run_as: root}\n- verbose: deep\nreturn: {n: 1.0}\n",
		"m/files/check.sh": "#!/bin/sh\n", "m/files/conf/a.conf": "a", "m/files/conf/d/b.conf": "b", "m/plans/bad.yaml": "steps:\n- nothing: x\n",
		"m/plans/classic.pp": "plan m::classic(\n  Optional[Sensitive[String]] $password = undef,\n  String $name,\n) { }", "m/plans/init.yaml": "steps: []\n",
		"m/plans/catch.yaml": "parameters: {nodes: {}}\nsteps:\n- {name: r, command: x, targets: $nodes, catch_errors: true}\nreturn: $r.error_set\n",
		"m/plans/fail.yaml":  "parameters: {nodes: {}}\nsteps:\n- {command: x, targets: $nodes}\n- message: never\n",
		"m/plans/down.yaml":  "parameters: {to: {default: y}}\nsteps:\n- {name: d, download: /etc/x, destination: $to, targets: [a, b], run_as: root}\nreturn: $d\n", "m/plans/env.yaml": "steps:\n- {script: m/check.sh, targets: a, env_vars: {A: b}}\n",
		"m/plans/parts.yaml": "parameters: {a: {type: 'Array[Sensitive[String]]'}, h: {type: 'Hash[String, Integer]'}}\n" +
			"steps: [{message: \"${a}\"}, {command: \"echo ${a}\", targets: n}]\nreturn: $a\n",
		"m/plans/lost.yaml": "steps:\n- {script: m/nosuch.sh, targets: a}\n", "m/plans/sub.yaml": "parameters: {p: {}}\nsteps:\n- {plan: $p}\n",
	}
}

func TestPlan(t *testing.T) {
	w := newWorld(t, plans()).start(nil)
	id, err := w.Start(t.Context(), somebody{"plans:run:m::canary"}, planjob.Request{Plan: "m::canary", Environment: "production", Description: "why",
		Params: params(t, `{"nodes":["n2","n1"],"password":"hush"}`), Userdata: json.RawMessage(`{"t":1}`), ScheduledJob: "7"})
	require.NoError(t, err)
	p := w.ended(id)
	require.Equal(t, job.PlanSuccess, p.State, "%s", p.Result)
	require.JSONEq(t, `{"n":1.0}`, string(p.Result))
	require.JSONEq(t, `{"description":"why","plan_name":"m::canary","parameters":{"nodes":["n2","n1"]},"sensitive":["password"],"environment":"production","scheduled_job_id":"7"}`, string(p.Options))
	require.Equal(t, "brian", p.OwnerLogin)
	require.JSONEq(t, `{"t":1}`, string(p.Userdata))
	require.Len(t, p.Steps, 5)
	require.Equal(t, fmt.Sprintf(`out_message {"message":"Running on [n2, n1]"}
command_start {"job-id":"1"}
task_start {"job-id":"2"}
script_start {"job-id":"3"}
upload_start {"job-id":"4"}
plan_start {"plan":"m::inner","plan-id":"%d"}
command_start {"job-id":"5"}
out_message {"message":"deep","verbose":true}
plan_end {"plan":"m::inner","plan-id":"%[1]d","result":{"n":1.0}}
plan_finished {"plan-id":"%[1]d","result":{"n":1.0}}`, id), w.events(id))

	require.Equal(t, []bool{true, true, true, true, true}, w.may, "what is in a plan needs no permissions")
	require.Len(t, w.tasks, 1)
	task := w.tasks[0]
	require.Equal(t, "facts", task.Task)
	require.True(t, task.Noop)
	require.Equal(t, id, task.PlanJob)
	require.JSONEq(t, `{"p":10.0,"password":"hush"}`, string(task.Params))
	require.Equal(t, []string{"password"}, task.Secrets)
	require.Equal(t, []string{"n2", "n1"}, task.Scope.Nodes)
	require.Equal(t, job.TypePlanCommand, w.steps[0].Type)
	require.JSONEq(t, `{"command":"whoami"}`, string(w.steps[0].Params))
	require.JSONEq(t, fmt.Sprintf(`{"command":"whoami","description":"look","environment":"production","noop":false,"plan_job":"%d","scope":{"nodes":["n2","n1"]}}`, id), string(w.steps[0].Options))
	require.Equal(t, job.TypePlanScript, w.steps[1].Type)
	require.JSONEq(t, `{"arguments":["a","1","hush"],"script":{"filename":"check.sh","sha256":"a8076d3d28d21e02012b20eaf7dbf75409a6277134439025f282e368e3305abf",
		"uri":{"path":"/puppet/v3/file_content/modules/m/check.sh","params":{"environment":"production"}}}}`, string(w.steps[1].Params))
	require.NotContains(t, string(w.steps[1].Options), "hush")
	require.Equal(t, job.TypePlanUpload, w.steps[2].Type)
	var upload struct {
		Files []struct{ Destination, Kind, SHA256 string }
	}
	require.NoError(t, json.Unmarshal(w.steps[2].Params, &upload))
	var put []string
	for _, f := range upload.Files {
		put = append(put, f.Kind+" "+f.Destination)
	}
	require.Equal(t, []string{"directory /etc/conf", "file /etc/conf/a.conf", "directory /etc/conf/d", "file /etc/conf/d/b.conf"}, put)
	require.JSONEq(t, `{"command":"export A='it'\\''s'; x"}`, string(w.steps[3].Params))
	require.Equal(t, "root", w.steps[3].RunAs)
	require.NotContains(t, string(w.steps[3].Options), "it's")
	for id := int64(1); id <= 5; id++ {
		j, err := w.store.Job(t.Context(), id)
		require.NoError(t, err)
		require.Equal(t, p.ID, j.PlanJob)
	}
}

// TestSecrets: no secret param is found in what is stored.
func TestSecrets(t *testing.T) {
	w := newWorld(t, plans()).start(nil)
	p := w.run("m::canary", `{"nodes":"a","password":"hush-hush"}`)
	require.Equal(t, job.PlanSuccess, p.State)
	p = w.run("m::parts", `{"a":["hush-hush"],"h":{}}`)
	require.Equal(t, job.PlanSuccess, p.State)
	require.Contains(t, string(p.Options), `"parameters":{"h":{}},"sensitive":["a"]`)
	// What was a secret once is one whatever the plan says now.
	r := planjob.Request{Plan: "m::parts", Environment: "production", Params: params(t, `{"a":["x"],"h":{"hush-hush":"x"}}`), Sensitive: []string{"h"}}
	_, err := w.Start(t.Context(), somebody{"*"}, r)
	require.ErrorContains(t, err, "the parameter 'h': expected Hash[String, Integer], got another Hash")
	require.NotContains(t, fmt.Sprint(err), "hush")
	secrets, err := w.Check(t.Context(), planjob.Request{Plan: "m::parts", Environment: "production", Params: params(t, `{"a":["x"],"h":{"hush-hush":1}}`), Sensitive: []string{"h"}})
	require.NoError(t, err)
	require.Equal(t, []string{"a", "h"}, secrets)
	r.Params["h"] = map[string]any{"hush-hush": json.Number("1")}
	id, err := w.Start(t.Context(), somebody{"*"}, r)
	require.NoError(t, err)
	require.Contains(t, string(w.ended(id).Options), `"parameters":{},"sensitive":["a","h"]`)
	w.end()
	files, err := filepath.Glob(filepath.Join(w.root, "dalang.db*"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		require.NotContains(t, string(text), "hush-hush", file)
	}
}

func TestFailures(t *testing.T) {
	w := newWorld(t, plans()).start(nil)
	w.results = func(name string) (job.State, string) {
		switch name {
		case "lost":
			return job.Errored, `{"detail":{"kind":"puppetlabs.orchestrator/execution-failure","msg":"not connected","details":{"node":"lost"}}}`
		case "bad":
			return job.Failed, `{"stdout":"","stderr":"","exit_code":3,"_error":{"kind":"puppetlabs.tasks/command-error","msg":"The command failed with exit code 3","details":{"exit_code":3}}}`
		}
		return job.Finished, `{"stdout":"","stderr":"","exit_code":0}`
	}
	p := w.run("m::fail", `{"nodes":["good","bad","lost"]}`)
	require.Equal(t, job.PlanFailure, p.State)
	var e struct {
		Kind, Msg string
		Details   struct {
			Action, Object string
			ResultSet      []struct {
				Target, Status string
				Value          struct {
					Error *struct{ Kind, Msg string } `json:"_error"`
				}
			} `json:"result_set"`
		}
	}
	require.NoError(t, json.Unmarshal(p.Result, &e))
	require.Equal(t, "bolt/run-failure", e.Kind)
	require.Equal(t, "run_command 'x' failed on 2 targets", e.Msg)
	require.Len(t, e.Details.ResultSet, 3)
	require.Nil(t, e.Details.ResultSet[0].Value.Error)
	require.Equal(t, "The command failed with exit code 3", e.Details.ResultSet[1].Value.Error.Msg)
	require.Equal(t, "not connected", e.Details.ResultSet[2].Value.Error.Msg)
	require.True(t, strings.HasSuffix(w.events(p.ID), string(p.Result)+"}"), "plan_failed has the error")
	require.NotContains(t, w.events(p.ID), "never")

	p = w.run("m::catch", `{"nodes":["good","bad"]}`)
	require.Equal(t, job.PlanSuccess, p.State)
	require.Contains(t, string(p.Result), `"target":"bad"`)
	require.NotContains(t, string(p.Result), "good")

	for plan, want := range map[string]string{"m::env": `"kind":"bolt/action-refused","msg":"env_vars cannot be set for scripts`,
		"m::lost": `"kind":"bolt/validation-error","msg":"The environment production has no file m/nosuch.sh"`} {
		p = w.run(plan, `{}`)
		require.Equal(t, job.PlanFailure, p.State)
		require.Contains(t, string(p.Result), want)
	}
	for sub, want := range map[string]string{"m::nosuch": "bolt/unknown-plan", "m::bad": "bolt/invalid-plan", "m::classic": "cannot run it here", "X": "is not the name of a plan"} {
		p = w.run("m::sub", `{"p":"`+sub+`"}`)
		require.Contains(t, string(p.Result), want)
	}
	for err, want := range map[error]string{
		job.UnknownTask("production", "x"): `"kind":"bolt/unknown-task"`, job.Invalid("params", "no"): `"kind":"bolt/validation-error"`,
		job.NotPermitted(nil, "no"): `"kind":"puppetlabs.orchestrator/not-permitted"`, errors.New("disk"): `"kind":"bolt/plan-failure","msg":"disk"`,
	} {
		w.mu.Lock()
		w.err = err
		w.mu.Unlock()
		p = w.run("m::fail", `{"nodes":"a"}`)
		for _, part := range strings.Split(want, ",") {
			require.Contains(t, string(p.Result), part)
		}
	}
}

func TestRefused(t *testing.T) {
	w := newWorld(t, plans())
	var err error
	down, err := planjob.New(w.cfg)
	require.NoError(t, err)
	_, err = down.Start(t.Context(), nil, planjob.Request{Plan: "m", Environment: "production"})
	require.ErrorContains(t, err, "starting or stopping")
	w.start(nil)
	_, before, err := w.store.PlanJobs(t.Context(), job.PlanFilter{})
	require.NoError(t, err)
	for _, c := range []struct {
		who    somebody
		r      planjob.Request
		kind   string
		within string
	}{
		{somebody{"plans:run:m"}, planjob.Request{Plan: "m::canary", Environment: "nosuch"}, "not-permitted", "plans:run:m::canary"},
		{somebody{"*"}, planjob.Request{Plan: "m::canary", Environment: "nosuch"}, "unknown-environment", ""},
		{somebody{"*"}, planjob.Request{Plan: "m::nosuch", Environment: "production"}, "unknown-plan", ""},
		{somebody{"*"}, planjob.Request{Plan: "m::bad", Environment: "production"}, "validation-error", "plan m::bad, line 2, column 3: steps[0]: the step does nothing"},
		{somebody{"*"}, planjob.Request{Plan: "m::classic", Environment: "production"}, "validation-error", "such plans, orchestrator.plans-external-runner has to"},
		{somebody{"*"}, planjob.Request{Plan: "m::canary", Environment: "production", Params: map[string]any{"node": "a"}}, "validation-error",
			"the parameter 'nodes' is missing: TargetSpec; there is no parameter 'node'"},
		{somebody{"*"}, planjob.Request{Plan: "m::canary", Environment: "production", Find: map[string]job.Scope{"nodes": {Query: json.RawMessage(`"x"`)}}}, "empty-target", "params.nodes: "},
	} {
		_, err := w.Start(t.Context(), c.who, c.r)
		var e *job.Error
		require.ErrorAs(t, err, &e)
		require.Equal(t, job.Prefix+c.kind, e.Kind)
		require.Contains(t, e.Msg, c.within)
	}
	_, total, err := w.store.PlanJobs(t.Context(), job.PlanFilter{})
	require.NoError(t, err)
	require.Equal(t, before, total, "nothing is stored")

	id, err := w.Start(t.Context(), somebody{"*"}, planjob.Request{Plan: "m::canary", Environment: "production", Find: map[string]job.Scope{
		"nodes": {Query: json.RawMessage(`"nodes[certname] { }"`)}, "command": {NodeGroup: "g"}}})
	require.ErrorContains(t, err, "the parameter 'command': expected String, got Array")
	require.Zero(t, id)
	id, err = w.Start(t.Context(), somebody{"*"}, planjob.Request{Plan: "m::fail", Environment: "production", Find: map[string]job.Scope{"nodes": {NodeGroup: "g"}}})
	require.NoError(t, err)
	require.Contains(t, string(w.ended(id).Options), `"parameters":{"nodes":["node3"]}`)
}

func TestStop(t *testing.T) {
	w := newWorld(t, plans())
	w.hold = make(chan struct{})
	w.start(func(c *planjob.Config) { c.Plans = 1 })
	who := somebody{"*"}
	id, err := w.Start(t.Context(), who, planjob.Request{Plan: "m::fail", Environment: "production", Params: params(t, `{"nodes":"a"}`)})
	require.NoError(t, err)
	step := <-w.waiting
	waits, err := w.Start(t.Context(), who, planjob.Request{Plan: "m::fail", Environment: "production", Params: params(t, `{"nodes":"a"}`)})
	require.NoError(t, err)
	p, err := w.store.PlanJob(t.Context(), waits)
	require.NoError(t, err)
	require.Equal(t, job.PlanPending, p.State, "there is one slot")
	for _, id := range []int64{waits, waits, id, id} {
		require.NoError(t, w.Service.Stop(t.Context(), who, id))
	}
	for _, id := range []int64{id, waits} {
		p := w.ended(id)
		require.Equal(t, job.PlanFailure, p.State)
		require.JSONEq(t, fmt.Sprintf(`{"kind":"bolt/plan-failure","msg":"The plan was stopped","details":{"plan_job":"%d"}}`, id), string(p.Result))
		require.NoError(t, w.Service.Stop(t.Context(), who, id), "any number of times")
	}
	require.Empty(t, w.stops, "the job goes on")
	j, err := w.store.Job(t.Context(), step)
	require.NoError(t, err)
	require.False(t, j.State.Terminal())
	require.ErrorIs(t, w.Service.Stop(t.Context(), who, 999), job.UnknownPlanJob(0))
}

func TestTimeout(t *testing.T) {
	w := newWorld(t, plans())
	w.hold = make(chan struct{})
	w.start(nil)
	id, err := w.Start(t.Context(), somebody{"*"}, planjob.Request{Plan: "m::fail", Environment: "production", Params: params(t, `{"nodes":"a"}`), Timeout: time.Second})
	require.NoError(t, err)
	p := w.ended(id)
	require.Equal(t, job.PlanFailure, p.State)
	require.JSONEq(t, `{"kind":"puppetlabs.orchestrator/plan-timeout","msg":"The plan did not end within 1 seconds","details":{}}`, string(p.Result))
	require.Equal(t, []int64{<-w.waiting}, w.stops, "the job that it waited for is stopped")
}

// TestServerEnds: plans do not outlive the server, whether it ends well or not.
func TestServerEnds(t *testing.T) {
	w := newWorld(t, plans())
	w.hold = make(chan struct{})
	w.start(nil)
	id, err := w.Start(t.Context(), somebody{"*"}, planjob.Request{Plan: "m::fail", Environment: "production", Params: params(t, `{"nodes":"a"}`)})
	require.NoError(t, err)
	<-w.waiting
	bolts, err := w.Register(t.Context(), somebody{}, planjob.Request{Plan: "bolts"})
	require.NoError(t, err)
	w.end()
	const want = `{"kind":"puppetlabs.orchestrator/plan-interrupted","msg":"The plan was interrupted: the server that ran it ended","details":{}}`
	p, err := w.store.PlanJob(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, job.PlanFailure, p.State)
	require.JSONEq(t, want, string(p.Result))
	_, err = w.Start(t.Context(), somebody{"*"}, planjob.Request{Plan: "m", Environment: "production"})
	require.ErrorContains(t, err, "starting or stopping")

	killed, err := w.store.CreatePlanJob(t.Context(), &job.PlanJob{Plan: "killed"}, 0)
	require.NoError(t, err)
	w.start(nil)
	for _, id := range []int64{killed.ID, bolts} {
		p := w.ended(id)
		require.Equal(t, job.PlanFailure, p.State)
		require.JSONEq(t, want, string(p.Result))
		require.True(t, strings.HasPrefix(w.events(id), "plan_failed "), "and nothing else")
	}
	_, err = w.Service.Task(t.Context(), somebody{}, job.Task{PlanJob: bolts})
	require.ErrorIs(t, err, job.PlanFinished(0), "which Bolt expects then")
}

// TestRegistered: plans that Bolt runs.
func TestRegistered(t *testing.T) {
	w := newWorld(t, plans()).start(nil)
	who := somebody{}
	id, err := w.Register(t.Context(), who, planjob.Request{Plan: "mine::own", Description: "d", Params: params(t, `{"a":1,"key":"s3cr3t"}`), Sensitive: []string{"password", "key", "key"}})
	require.NoError(t, err)
	step, err := w.Service.Task(t.Context(), who, job.Task{Task: "facts", PlanJob: id, Scope: job.Scope{Nodes: []string{"a"}}})
	require.NoError(t, err)
	require.Equal(t, []bool{false}, w.may, "with its own permissions")
	require.NoError(t, w.Finish(t.Context(), who, id, job.PlanFailure, json.RawMessage(`{"msg":"x"}`)))
	p := w.ended(id)
	require.Equal(t, job.PlanFailure, p.State)
	require.Equal(t, fmt.Sprintf("task_start {\"job-id\":\"%d\"}\nplan_failed {\"plan-id\":\"%d\",\"result\":{\"msg\":\"x\"}}", step, id), w.events(id))
	require.Contains(t, string(p.Options), `"parameters":{"a":1},"sensitive":["key","password"]`)
	require.ErrorIs(t, w.Finish(t.Context(), who, id, job.PlanSuccess, nil), job.PlanFinished(0))
	require.ErrorIs(t, w.Finish(t.Context(), who, 999, job.PlanSuccess, nil), job.UnknownPlanJob(0))
	_, err = w.Service.Task(t.Context(), who, job.Task{PlanJob: 999})
	require.ErrorIs(t, err, job.UnknownPlanJob(0))

	id, err = w.Register(t.Context(), who, planjob.Request{Plan: "mine::own"})
	require.NoError(t, err)
	require.NoError(t, w.Service.Stop(t.Context(), who, id))
	require.Contains(t, string(w.ended(id).Result), "The plan was stopped")

	w.hold = make(chan struct{})
	ours, err := w.Start(t.Context(), somebody{"*"}, planjob.Request{Plan: "m::fail", Environment: "production", Params: params(t, `{"nodes":"a"}`)})
	require.NoError(t, err)
	require.ErrorIs(t, w.Finish(t.Context(), who, ours, job.PlanSuccess, nil), job.Invalid("", ""))
	w.end()
}

func TestDescribe(t *testing.T) {
	w := newWorld(t, plans()).start(nil)
	entries, err := w.Plans(t.Context(), "production")
	require.NoError(t, err)
	require.Equal(t, "m", entries[0].Name)
	d, err := w.Describe(t.Context(), "production", "m::canary")
	require.NoError(t, err)
	require.Equal(t, "Run a command on one node first", d.Description)
	require.Equal(t, "nodes", d.Parameters[0].Name)
	require.True(t, d.Parameters[2].Sensitive && d.Runnable && !d.Puppet)
	d, err = w.Describe(t.Context(), "production", "m::classic")
	require.NoError(t, err)
	require.True(t, d.Puppet && !d.Runnable)
	_, err = w.Describe(t.Context(), "production", "m::bad")
	require.ErrorIs(t, err, job.Invalid("", ""))
}
