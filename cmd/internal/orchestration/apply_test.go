package orchestration

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// apply is `puppet apply` of the node: of a catalog it knows files, with their
// content, and exec, which fails.
func (n *node) apply(args []string) error {
	var catalog struct {
		Name, Environment string
		Resources         []struct {
			Type, Title string
			Parameters  struct{ Content, Command string }
		}
	}
	if err := json.NewDecoder(os.Stdin).Decode(&catalog); err != nil {
		return err
	}
	if err := appendLine(n.file("applied"), catalog.Name+" "+catalog.Environment+" "+args[3]); err != nil {
		return err
	}
	status, noop := "changed", slices.Contains(args, "--noop")
	var y strings.Builder
	for _, r := range catalog.Resources[2:] { // behind those that are Puppet's
		fmt.Fprintf(&y, "  %s[%s]:\n    title: %s\n    failed: %v\n    events:\n    - status: failure\n      message: of no use\n", r.Type, r.Title, r.Title, r.Type == "Exec")
		switch {
		case r.Type == "Exec":
			status = "failed"
		case !noop:
			if err := os.WriteFile(r.Title, []byte(r.Parameters.Content), 0o600); err != nil {
				return err
			}
		}
	}
	report := fmt.Sprintf("--- !ruby/object:Puppet::Transaction::Report\nhost: %s\nstatus: %s\nmetrics:\n  resources:\n    values:\n    - - total\n      - Total\n      - %d\nresource_statuses:\n%s",
		catalog.Name, status, len(catalog.Resources)-2, y.String())
	return os.WriteFile(args[slices.Index(args, "--lastrunreport")+1], []byte(report), 0o600)
}

// TestPlanResources: resources of a plan over real agents, one of which may not
// apply any, and over SSH, which cannot.
func TestPlanResources(t *testing.T) {
	path := t.TempDir()
	for name, text := range map[string]string{
		"init.yaml": `
parameters: {nodes: {type: TargetSpec}, into: {type: String}, token: {type: 'Sensitive[String]'}, noop: {type: Boolean, default: false}}
steps:
- name: put
  targets: $nodes
  noop: $noop
  catch_errors: true
  resources:
  - {file: $into, parameters: {content: $token}}
return:
  good: $put.ok_set.names
  bad: $put.error_set.map |$r| { "${r.target.name} ${r.error.kind}" }
  output: $put.ok_set.map |$r| { $r.message }
  host: $put.ok_set.map |$r| { $r.report['host'] }
`,
		"fail.yaml": "parameters: {nodes: {type: TargetSpec}}\nsteps:\n- {resources: [exec: 'false'], targets: $nodes}\n- message: never\n",
	} {
		writeFile(t, filepath.Join(path, "production/modules/demo/plans", name), text)
	}
	w := newWorld(t, "--set", "orchestrator.environmentpath="+path, "--set", "orchestrator.pcp-timeout=300ms")
	one := w.newNode(t, "one.example.com", nil)
	one.start(t)
	two := w.newNode(t, "two.example.com", nil)
	two.start(t, "modules=task")
	w.connected(t, 2)
	status, text, _ := w.ask(t, http.MethodPost, "/inventory/v1/command/create-connection",
		`{"certnames":["ssh.example.com"],"type":"ssh","parameters":{"hostname":"127.0.0.1","port":1},"sensitive_parameters":{"user":"x","password":"y"},"duplicates":"error"}`)
	require.Equal(t, http.StatusCreated, status, "%s", text)

	const secret = "t0ps3cret-and-long"
	into := filepath.Join(t.TempDir(), "token")
	run := func(noop bool, nodes string) planJob {
		return w.planEnded(t, w.plan(t, "plan_run", fmt.Sprintf(`{"plan_name":"demo","params":{"nodes":%s,"into":%q,"token":%q,"noop":%v}}`, nodes, into, secret, noop)))
	}
	p := run(true, `["one.example.com","two.example.com","ssh.example.com","gone.example.com"]`)
	require.Equal(t, "success", p.State, "%s", p.Result)
	var result struct{ Good, Bad, Output, Host []string }
	require.NoError(t, json.Unmarshal(p.Result, &result))
	require.Equal(t, []string{"one.example.com"}, result.Good)
	require.Equal(t, []string{"one.example.com"}, result.Host, "the catalog has the node's name")
	require.Equal(t, []string{"changed: 0, failed: 0, unchanged: 1 skipped: 0, noop: 0"}, result.Output)
	require.ElementsMatch(t, []string{"two.example.com puppetlabs.orchestrator/execution-failure", "ssh.example.com puppetlabs.orchestrator/execution-failure",
		"gone.example.com puppetlabs.orchestrator/not-connected"}, result.Bad)
	require.NoFileExists(t, into)
	var nodes struct {
		Items []struct{ Name, Message string }
	}
	w.read(t, "/jobs/1/nodes", &nodes)
	messages := map[string]string{}
	for _, n := range nodes.Items {
		messages[n.Name] = n.Message
	}
	require.Contains(t, messages["two.example.com"], "the module 'apply' is not enabled on this node")
	require.Contains(t, messages["ssh.example.com"], "Resources cannot be applied over ssh: that takes an agent")
	require.Contains(t, messages["gone.example.com"], "not connected")

	p = run(false, `"one.example.com"`)
	require.Equal(t, "success", p.State, "%s", p.Result)
	content, err := os.ReadFile(into)
	require.NoError(t, err)
	require.Equal(t, secret, string(content))
	require.NoError(t, os.Remove(into))
	applied, err := os.ReadFile(one.file("applied"))
	require.NoError(t, err)
	require.Equal(t, "one.example.com production --noop\none.example.com production --no-noop\n", string(applied))
	var j struct{ Type, State string }
	w.read(t, "/jobs/2", &j)
	require.Equal(t, "plan_apply finished", j.Type+" "+j.State)
	nowhere(t, secret, w.Data, one.Dir)
	require.NotContains(t, w.Log(), secret)
	for _, path := range []string{"/jobs/2", "/jobs/2/nodes", "/jobs/2/events", "/plan_jobs/2", "/plan_jobs/2/events"} {
		_, text, _ := w.ask(t, http.MethodGet, "/orchestrator/v1"+path, "")
		require.NotContains(t, string(text), secret, path)
	}

	p = w.planEnded(t, w.plan(t, "plan_run", `{"plan_name":"demo::fail","params":{"nodes":"one.example.com"}}`))
	require.Equal(t, "failure", p.State)
	require.Contains(t, string(p.Result), `"kind":"bolt/apply-failure","msg":"apply 'catalog' failed on 1 target"`)
	require.Contains(t, string(p.Result), `Resources failed to apply for one.example.com\n  Exec[false]: of no use`)
}
