package orchestration

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// planJob is a plan job as a client sees it.
type planJob struct {
	State   string
	Options json.RawMessage
	Result  json.RawMessage
	Status  map[string][]struct{ State string }
}

// plan starts a plan by a command and answers its job's name.
func (w *world) plan(t *testing.T, command, body string, headers ...string) string {
	t.Helper()
	status, text, _ := w.ask(t, http.MethodPost, "/orchestrator/v1/command/"+command, body, headers...)
	require.Equal(t, http.StatusAccepted, status, "%s", text)
	var made struct{ Name string }
	require.NoError(t, json.Unmarshal(text, &made))
	return made.Name
}

// planEnded waits for the end of a plan.
func (w *world) planEnded(t *testing.T, name string) planJob {
	t.Helper()
	var p planJob
	require.Eventually(t, func() bool {
		p = planJob{}
		w.read(t, "/plan_jobs/"+name, &p)
		return p.State == "success" || p.State == "failure"
	}, 30*time.Second, 30*time.Millisecond)
	return p
}

// planEvents are the types of a plan's events, and the messages.
func (w *world) planEvents(t *testing.T, name string) string {
	t.Helper()
	var list struct {
		Items []struct {
			Type    string
			Details struct{ Message string }
		}
	}
	w.read(t, "/plan_jobs/"+name+"/events", &list)
	var all []string
	for _, e := range list.Items {
		all = append(all, strings.TrimSpace(e.Type+" "+e.Details.Message))
	}
	return strings.Join(all, ", ")
}

// planned is an environment with plans beside the tasks.
func planned(t *testing.T) string {
	t.Helper()
	path := environment(t)
	for name, text := range map[string]string{
		"plans/deploy.yaml": `
description: A file, a script, a task and a command
parameters:
  targets: {type: TargetSpec}
  into: {type: String}
  token: {type: 'Sensitive[String]'}
steps:
- {upload: demo/motd, destination: "${into}/motd", targets: $targets}
- {name: checked, script: demo/check.sh, targets: $targets, arguments: [a b, 1, $token]}
- {name: greeted, task: 'demo::greet', targets: $targets, parameters: {name: $into, token: $token}, description: greet}
- {name: looked, command: "cat ${into}/motd; echo $A", targets: $targets, env_vars: {A: "it's"}}
- message: "on ${looked.names.join(',')}"
return:
  checked: $checked.map |$r| { $r['stdout'] }
  greeted: $greeted.map |$r| { $r['token_length'] }
  looked: $looked.first['stdout']
`,
		"plans/fail.yaml": "parameters: {nodes: {type: TargetSpec}}\nsteps:\n- {command: 'exit 3', targets: $nodes}\n- message: never\n",
		"plans/wait.yaml": "parameters: {nodes: {type: TargetSpec}, into: {type: String}}\nsteps:\n- {command: \"touch $into/began; sleep 2; touch $into/ended\", targets: $nodes}\n- message: never\n",
		"plans/pp.pp":     "plan demo::pp() {}\n", "plans/init.yaml": "steps: []\n",
		"files/check.sh": "#!/bin/sh\necho \"$#:$1:${#3}\"\n",
	} {
		writeFile(t, filepath.Join(path, "production/modules/demo", name), text)
	}
	return path
}

// TestPlanRuns: plans over real agents.
func TestPlanRuns(t *testing.T) {
	w := newWorld(t, "--set", "orchestrator.environmentpath="+planned(t), "--set", "orchestrator.pcp-timeout=300ms")
	for _, name := range []string{"one.example.com", "two.example.com"} {
		w.facts(t, name, "production")
		w.newNode(t, name, nil).start(t)
	}
	w.connected(t, 2)
	const secret = "t0ps3cret-and-long"
	into := t.TempDir()
	name := w.plan(t, "environment_plan_run", fmt.Sprintf(`{"plan_name":"demo::deploy","params":{"into":{"value":%q},"token":{"value":%q},
		"targets":{"type":"query","value":"nodes[certname]{order by certname}"}}}`, into, secret))
	p := w.planEnded(t, name)
	require.Equal(t, "success", p.State, "%s", p.Result)
	n := len(secret)
	require.JSONEq(t, fmt.Sprintf(`{"checked":["3:a b:%d\n","3:a b:%d\n"],"greeted":[%d,%d],"looked":"shared and servedit's\n"}`, n, n, n, n), string(p.Result))
	require.Equal(t, "upload_start, script_start, task_start, command_start, out_message on one.example.com,two.example.com, plan_finished", w.planEvents(t, name))
	require.Len(t, p.Status, 4)
	require.NotContains(t, string(p.Options), secret)
	var j struct{ Type string }
	w.read(t, "/jobs/3", &j)
	require.Equal(t, "plan_task", j.Type)
	nowhere(t, secret, w.Data)

	p = w.planEnded(t, w.plan(t, "plan_run", `{"plan_name":"demo::fail","params":{"nodes":["one.example.com","gone.example.com"]}}`))
	require.Equal(t, "failure", p.State)
	require.Contains(t, string(p.Result), `"msg":"run_command 'exit 3' failed on 2 targets"`)
	require.Contains(t, string(p.Result), "The command failed with exit code 3")
	require.Contains(t, string(p.Result), "not connected")
	w.refused(t, http.StatusBadRequest, "validation-error", http.MethodPost, "/orchestrator/v1/command/plan_run", `{"plan_name":"demo::pp"}`)

	token := w.token(t, "planner", "orchestrator:view:*", "plans:run:demo::wait")
	w.refused(t, http.StatusForbidden, "not-permitted", http.MethodPost, "/orchestrator/v1/command/plan_run", `{"plan_name":"demo::fail","params":{}}`, "X-Authentication", token)
	name = w.plan(t, "plan_run", fmt.Sprintf(`{"plan_name":"demo::wait","params":{"nodes":"one.example.com","into":%q}}`, into), "X-Authentication", token)
	w.appears(t, filepath.Join(into, "began"))
	require.Equal(t, name, w.plan(t, "stop_plan", `{"plan_job":"`+name+`"}`))
	p = w.planEnded(t, name)
	require.Contains(t, string(p.Result), "The plan was stopped")
	require.Equal(t, name, w.plan(t, "stop_plan", `{"plan_job":"`+name+`"}`), "any number of times")
	w.appears(t, filepath.Join(into, "ended"))
	for step := range p.Status {
		require.Equal(t, "finished", w.ended(t, step)["one.example.com"].State, "the job went on")
	}
}

// appears waits for a file.
func (w *world) appears(t *testing.T, path string) {
	t.Helper()
	require.Eventually(t, func() bool { return exec.Command("test", "-e", path).Run() == nil }, 20*time.Second, 20*time.Millisecond, path)
}

// TestPlanKilled: a server that is killed during a plan ends it when it is back;
// the job of its step ran once.
func TestPlanKilled(t *testing.T) {
	w := newWorld(t, "--set", "orchestrator.environmentpath="+planned(t))
	w.newNode(t, "one.example.com", nil).start(t)
	w.connected(t, 1)
	into := t.TempDir()
	name := w.plan(t, "plan_run", fmt.Sprintf(`{"plan_name":"demo::wait","params":{"nodes":"one.example.com","into":%q}}`, into))
	w.appears(t, filepath.Join(into, "began"))
	w.Kill(t)
	w.Start(t)
	p := w.planEnded(t, name)
	require.Equal(t, "failure", p.State)
	require.Contains(t, string(p.Result), `"kind":"puppetlabs.orchestrator/plan-interrupted"`)
	require.Equal(t, "command_start, plan_failed", w.planEvents(t, name))
	for step := range p.Status {
		require.Equal(t, "finished", w.ended(t, step)["one.example.com"].State)
	}
	require.FileExists(t, filepath.Join(into, "ended"))
}

// TestPlanExamples runs the documentation's examples of plans with curl as they
// stand there.
func TestPlanExamples(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("curl is not installed")
	}
	environments := t.TempDir()
	writeFile(t, filepath.Join(environments, "production/modules/canary/plans/init.yaml"),
		"parameters: {nodes: {type: TargetSpec}, command: {type: String, default: whoami}, canary: {type: Integer, default: 1}}\nsteps:\n- {command: $command, targets: $nodes, catch_errors: true}\n")
	w := newWorld(t, "--set", "orchestrator.environmentpath="+environments, "--set", "orchestrator.pcp-timeout=300ms")
	shell := newShell(t, w, w.token(t, "brian", "orchestrator:view:*", "plans:run:canary"))
	status, text := shell.run(t, `
type_header='Content-Type: application/json'
auth_header="X-Authentication: $(puppet-access show)"
uri="https://$(puppet config print server):8143/orchestrator/v1/command/plan_run"
data='{"plan_name" : "canary", "description" : "Start the canary plan on node1 and node2", "params" : { "nodes" : ["node1.example.com", "node2.example.com"], "command" : "whoami", "canary" : 1}}'

curl --insecure --header "$type_header" --header "$auth_header" --request POST "$uri" --data "$data"
`)
	require.Equal(t, http.StatusAccepted, status, text)
	var made struct{ Name string }
	require.NoError(t, json.Unmarshal([]byte(text), &made))
	p := w.planEnded(t, made.Name)
	require.Equal(t, "success", p.State)
	require.Contains(t, string(p.Options), `"parameters":{"canary":1,"command":"whoami","nodes":["node1.example.com","node2.example.com"]}`)
	status, text = shell.run(t, `
type_header='Content-Type: application/json'
auth_header="X-Authentication: $(puppet-access show)"
uri="https://$(puppet config print server):8143/orchestrator/v1/command/stop_plan"
data='{"plan_job": "`+made.Name+`"}'

curl --insecure --header "$type_header" --header "$auth_header" -X POST "$uri" --data "$data"
`)
	require.Equal(t, http.StatusAccepted, status, text)
	require.JSONEq(t, `{"name":"`+made.Name+`"}`, text)
}
