package orchestration

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// caretaker is a world with what the documentation's examples of tasks and plans name.
func caretaker(t *testing.T) *world {
	t.Helper()
	environments := t.TempDir()
	for name, text := range map[string]string{
		"package/tasks/init.json": `{"parameters":{"action":{"type":"Optional[Enum[install]]"},"name":{"type":"Optional[String]"}}}`,
		"package/tasks/init.sh":   "#!/bin/sh\n",
		"canary/plans/init.yaml": "parameters: {nodes: {type: TargetSpec}, command: {type: String, default: id}, canary: {type: Integer, default: 1}}\n" +
			"steps:\n- {command: $command, targets: $nodes}\n",
	} {
		for _, environment := range []string{"production", "test-env-1"} {
			writeFile(t, filepath.Join(environments, environment, "modules", name), text)
		}
	}
	w := newWorld(t, "--set", "orchestrator.environmentpath="+environments, "--set", "orchestrator.pcp-timeout=100ms")
	w.facts(t, "node1.example.com", "production")
	w.facts(t, "node2.example.com", "production")
	return w
}

// commandScript is an example of the documentation of commands, but for the
// name of the command and its data.
func commandScript(command, data string) string {
	return strings.Replace(strings.Replace(deployScript("DATA"), "/command/deploy", "/command/"+command, 1), "DATA", data, 1)
}

// TestTaskCurlExamples runs the documentation's examples for tasks, plans and
// schedules with curl as they stand there; those of deploy and stop are in
// TestCurlExamples. Not verbatim is what is no JSON there, a comma missing:
// the bodies of task_target, and that of stop with force. Those are refused as
// they stand, and taken with the comma.
func TestTaskCurlExamples(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("curl is not installed")
	}
	w := caretaker(t)
	shell := newShell(t, w, w.token(t, "brian", "orchestrator:view:*", "puppet_agent:run:*", "tasks:run:*", "plans:run:*", "nodes:view_data:*",
		"node_groups:view:00000000-0000-4000-8000-000000000000"))
	const root = "https://orchestrator.example.com:8143/orchestrator/v1"
	for _, c := range []struct {
		command, data string
		status        int
		answer        string
	}{
		{"task", `{"environment": "test-env-1", "task" : "package", "params" : { "action": "install", "name" : "httpd" }, "scope" : { "nodes" : ["node1.example.com"] }}`,
			http.StatusAccepted, `{"job":{"id":"` + root + `/jobs/1","name":"1"}}`},
		{"task", `{
  "environment" : "test-env-1",
  "task" : "package",
  "params" : {
    "action" : "install",
    "name" : "httpd"
  },
  "scope" : {
    "nodes" : ["node1.example.com"]
  }
}`, http.StatusAccepted, `{"job":{"id":"` + root + `/jobs/2","name":"2"}}`},
		{"task", `{"environment": "test-env-2", "task" : "package", "params" : {}, "scope" : { "nodes" : ["node1.example.com"] }}`,
			http.StatusNotFound, `"kind":"puppetlabs.orchestrator/unknown-environment"`},
		{"task_target", `{"display_name": "task_target_example_2", "all_tasks": "true", "nodes": ["node1" "node2"], "node_groups": []}`,
			http.StatusBadRequest, `no JSON: invalid character '\"' after array element`},
		{"task_target", `{"display_name": "task_target_example_2", "all_tasks": "true", "nodes": ["node1", "node2"], "node_groups": []}`,
			http.StatusOK, `{"task_target":{"id":"` + root + `/scopes/task_targets/1","name":"1"}}`},
		{"task_target", `{
  "display_name": "task_target_example_1",
  "tasks": ["task_1", "task_2"],
  "nodes": ["node1", "node2"],
  "node_groups": ["00000000-0000-4000-8000-000000000000"]
}`, http.StatusOK, `{"task_target":{"id":"` + root + `/scopes/task_targets/2","name":"2"}}`},
		{"plan_run", `{"plan_name" : "canary", "description" : "Start the canary plan on node1 and node2", "params" : { "nodes" : ["node1.example.com", "node2.example.com"], "command" : "whoami", "canary" : 1}}`,
			http.StatusAccepted, `{"name":"1"}`},
		{"stop_plan", `{"plan_job": "1234"}`, http.StatusNotFound, `"kind":"puppetlabs.orchestrator/unknown-job"`},
		{"stop_plan", `{"plan_job": "1"}`, http.StatusAccepted, `{"name":"1"}`},
		{"schedule_deploy", `{"environment": "production", "scope" : { "node_group" : "00000000-0000-4000-8000-000000000000" }, "scheduled_time": "2027-05-05T19:50:08Z"}`,
			http.StatusAccepted, `"scheduled_job":{"id":"` + root + `/scheduled_jobs/1","name":"1"}`},
		{"schedule_task", `{"environment" : "production", "task" : "package", "params" : {}, "scope" : { "node_group" : "00000000-0000-4000-8000-000000000000" }, "scheduled_time": "2027-05-05T19:50:08Z"}`,
			http.StatusAccepted, `{"scheduled_job":{"id":"` + root + `/scheduled_jobs/2","name":"2"}}`},
		{"schedule_plan", `{"plan_name" : "canary", "params" : { "nodes" : ["node1.example.com", "node2.example.com"]}, "scheduled_time" : "2027-05-05T19:50:08Z"}`,
			http.StatusAccepted, `{"scheduled_job":{"id":"` + root + `/scheduled_jobs/3","name":"3"}}`},
		{"stop", "{\n  \"job\": \"1234\"\n  \"force\": true\n}", http.StatusBadRequest, "no JSON"},
		{"stop", "{\n  \"job\": \"1\",\n  \"force\": true\n}", http.StatusAccepted, `"job":{"id":"` + root + `/jobs/1","name":"1"`},
	} {
		script := commandScript(c.command, c.data)
		if c.command == "stop_plan" { // the one that says it in short
			script = strings.Replace(script, "--request POST", "-X POST", 1)
		}
		status, text := shell.run(t, script)
		require.Equal(t, c.status, status, "%s %s: %s", c.command, c.data, text)
		require.Contains(t, text, c.answer, "%s %s", c.command, c.data)
	}
	for _, path := range []string{"/tasks", "/plans", "/tasks/package/init"} {
		status, text := shell.run(t, `curl --insecure --header "X-Authentication: $(puppet-access show)" '`+root+path+`?environment=test-env-1'`)
		require.Equal(t, http.StatusOK, status, text)
		require.Contains(t, text, `"environment":{"name":"test-env-1"`)
	}
	text, code := w.program(t, "task", "show", "package", "--environment", "test-env-1")
	require.Zero(t, code, text)
}

// TestCommandCurlExamples runs the examples of the commands endpoint with curl
// as they stand in its documentation.
func TestCommandCurlExamples(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("curl is not installed")
	}
	w := newWorld(t)
	shell := newShell(t, w, "")
	require.NoError(t, os.WriteFile(filepath.Join(shell.dir, ".curlrc"), []byte("silent\nshow-error\nconnect-to = \"::"+w.Address+"\"\nwrite-out = \"\\n%{http_code}\"\n"), 0o600))
	ask := func(query string) string {
		status, text := shell.run(t, "curl -G http://localhost:8080/pdb/query/v4 -d include_facts_expiration=true --data-urlencode 'query="+query+"'")
		require.Equal(t, http.StatusOK, status, text)
		return text
	}
	for _, c := range []struct{ script, query, want string }{
		{`    curl -X POST \
      -H 'Content-Type:application/json' \
      -H 'Accept:application/json' \
      -d '{"certname":"test1","environment":"DEV","values":{"myfact":"myvalue"},"producer_timestamp":"2015-01-01", "producer":"server1"}' \
      "http://localhost:8080/pdb/cmd/v1?command=replace_facts&version=5&certname=test1"`,
			`facts[value] { certname = "test1" and environment = "DEV" }`, `[{"value":"myvalue"}]`},
		{`    curl -X POST \
      -H "Accept: application/json" \
      -H "Content-Type: application/json" \
      -d '{"command":"replace facts","version":5,"payload":{"certname":"test1","environment":"DEV","values":{"myfact":"myvalue"},"producer_timestamp":"2015-01-01", "producer":"server1"}}' \
      http://localhost:8080/pdb/cmd/v1`,
			`facts[value] { certname = "test1" and environment = "DEV" }`, `[{"value":"myvalue"}]`},
		{`    curl -X POST \
      -H 'Content-Type:application/json' \
      -H 'Accept:application/json' \
      -d '{"certname":"test1","producer_timestamp":"2019-01-01","expire":{"facts":false}}' \
      "http://localhost:8080/pdb/cmd/v1?certname=test1&command=configure_expiration&version=1"`,
			`nodes[certname, expires_facts] { node_state = "any" }`, `[{"certname":"test1","expires_facts":false}]`},
		{`    curl -X POST \
      -H 'Content-Type:application/json' \
      -H 'Accept:application/json' \
      -d '{"certname":"test1","producer_timestamp":"2015-01-01"}' \
      "http://localhost:8080/pdb/cmd/v1?certname=test1&command=deactivate_node&version=3"`,
			`nodes[certname] { certname = "test1" }`, `[]`},
		{`    curl -X POST \
      -H "Accept: application/json" \
      -H "Content-Type: application/json" \
      -d '{"command":"deactivate node","version":3,"payload":{"certname":"test1","producer_timestamp":"2015-01-01"}}' \
      http://localhost:8080/pdb/cmd/v1`,
			`nodes[certname] { certname = "test1" }`, `[]`},
	} {
		status, text := shell.run(t, c.script)
		require.Equal(t, http.StatusOK, status, text)
		require.Regexp(t, `\A\{\s*"uuid"\s*:\s*"[0-9a-f-]{36}"\s*\}\z`, text)
		require.Eventually(t, func() bool { return ask(c.query) == c.want }, 30*time.Second, 50*time.Millisecond, c.query)
	}
}
