package planjob_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"dalang/orchestrator/job"
)

const applying = `
parameters:
  nodes: {type: TargetSpec}
  token: {type: 'Sensitive[String]'}
steps:
- name: web
  targets: $nodes
  description: a server
  noop: true
  run_as: root
  resources:
  - package: nginx
    parameters: {ensure: latest}
  - type: file
    title: /etc/token
    parameters: {content: "token ${token.unwrap}", mode: '0600'}
  - exec: /bin/true
    parameters: {environment: ["TOKEN=x", $token], require: 'Package[nginx]'}
  catch_errors: true
return:
  ok: $web.ok_set.names
  bad: $web.error_set.first.error.kind
  status: $web.ok_set.first.report['status']
`

// TestApply: a step with resources makes a job of type plan_apply, with a
// catalog that is sealed and options that show no secrets.
func TestApply(t *testing.T) {
	const secret = "hush-hush"
	w := newWorld(t, map[string]string{"m/plans/init.yaml": applying, "m/plans/plain.yaml": "parameters: {nodes: {}}\nsteps:\n- {resources: [notify: x], targets: $nodes}\n",
		"m/plans/hidden.yaml": "parameters: {nodes: {}, token: {type: 'Sensitive[String]'}}\nsteps:\n- targets: $nodes\n  resources:\n  - {user: kim, parameters: {password: $token, uid: 7}}\n"}).start(nil)
	w.results = func(name string) (job.State, string) {
		if name == "bad" {
			return job.Failed, `{"report":{"status":"failed"},"_error":{"kind":"bolt/resource-failure","msg":"Resources failed to apply for bad","details":{}}}`
		}
		return job.Finished, `{"report":{"status":"changed"},"_output":"changed: 3, failed: 0, unchanged: 0 skipped: 0, noop: 0"}`
	}
	p := w.run("m", `{"nodes":["good","bad"],"token":"not-`+secret+`"}`)
	require.Equal(t, job.PlanSuccess, p.State, "%s", p.Result)
	require.JSONEq(t, `{"ok":["good"],"bad":"bolt/resource-failure","status":"changed"}`, string(p.Result))
	require.Equal(t, fmt.Sprintf("apply_start {\"job-id\":\"1\"}\nplan_finished {\"plan-id\":\"%d\",\"result\":%s}", p.ID, p.Result), w.events(p.ID))
	events, err := w.store.PlanEvents(t.Context(), p.ID, 0, 0)
	require.NoError(t, err)
	require.Equal(t, "Job 1: resources Package[nginx], File[/etc/token], Exec[/bin/true]", events[0].Message)

	step := w.steps[0]
	require.Equal(t, job.TypePlanApply, step.Type)
	require.Equal(t, "root", step.RunAs)
	require.Equal(t, []string{"good", "bad"}, step.Scope.Nodes)
	var params struct {
		Catalog struct {
			Version, Environment string
			Resources            []struct {
				Type, Title string
				Parameters  map[string]any
				Sensitive   []string `json:"sensitive_parameters"`
			}
		}
		Options map[string]bool `json:"apply_options"`
	}
	require.NoError(t, json.Unmarshal(step.Params, &params))
	require.Equal(t, map[string]bool{"noop": true}, params.Options)
	require.Equal(t, "production", params.Catalog.Environment)
	require.Equal(t, "plan job "+p.Name(), params.Catalog.Version)
	require.Len(t, params.Catalog.Resources, 5)
	exec := params.Catalog.Resources[4]
	require.Equal(t, []any{"TOKEN=x", "not-" + secret}, exec.Parameters["environment"])
	require.Equal(t, []string{"environment"}, exec.Sensitive)
	require.JSONEq(t, fmt.Sprintf(`{"description":"a server","environment":"production","noop":true,"plan_job":"%d","run_as":"root","scope":{"nodes":["good","bad"]},"resources":[
		{"type":"package","title":"nginx","parameters":{"ensure":"latest"},"sensitive":[]},
		{"type":"file","title":"/etc/token","parameters":{"content":"token not-hush-hush","mode":"0600"},"sensitive":[]},
		{"type":"exec","title":"/bin/true","parameters":{"require":"Package[nginx]"},"sensitive":["environment"]}]}`, p.ID), string(step.Options),
		"what was unwrapped is shown like everything else")
	j, err := w.store.Job(t.Context(), 1)
	require.NoError(t, err)
	require.Equal(t, job.TypePlanApply, j.Type)

	p = w.run("m::hidden", `{"nodes":"good","token":"`+"0ther-s3cret"+`"}`)
	require.Equal(t, job.PlanSuccess, p.State, "%s", p.Result)
	require.Contains(t, string(w.steps[1].Params), "0ther-s3cret")
	p = w.run("m::plain", `{"nodes":["good","bad"]}`)
	require.Equal(t, job.PlanFailure, p.State)
	require.Contains(t, string(p.Result), `"kind":"bolt/apply-failure","msg":"apply 'catalog' failed on 1 target"`)
	w.end()
	files, err := filepath.Glob(filepath.Join(w.root, "dalang.db*"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		require.NotContains(t, string(text), "0ther-s3cret", file)
	}
}
