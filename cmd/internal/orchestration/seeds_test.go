package orchestration

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// site is a world with what the documentation's examples are about.
func site(t *testing.T) *world {
	t.Helper()
	environments := t.TempDir()
	for _, name := range []string{"production", "empty", "cyclic", "test_env"} {
		require.NoError(t, os.Mkdir(filepath.Join(environments, name), 0o700))
	}
	w := newWorld(t, "--set", "orchestrator.environmentpath="+environments, "--set", "orchestrator.catalog-applications=true")
	w.facts(t, "node1.example.com", "production")
	w.facts(t, "node2.example.com", "production")
	w.catalog(t, "node1.example.com", "production", resource{"Wordpress_app[demo]", "Wordpress_app::Database", "demo", `{"export":"Database[demo]"}`})
	w.catalog(t, "node2.example.com", "production", resource{"Wordpress_app[demo]", "Wordpress_app::Web", "demo", `{"consume":"Database[demo]"}`})
	w.catalog(t, "left.example.com", "cyclic", resource{"Ring[a]", "Ring::Left", "a", `{"export":"Half[left]","consume":"Half[right]"}`})
	w.catalog(t, "right.example.com", "cyclic", resource{"Ring[a]", "Ring::Right", "a", `{"export":"Half[right]","consume":"Half[left]"}`})
	return w
}

// operatorShell is a shell as the documentation's examples want it: the
// programs puppet and puppet-access, and the server under its name.
type operatorShell struct{ dir string }

func newShell(t *testing.T, w *world, token string) *operatorShell {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"puppet-access": "#!/bin/sh\n[ \"$*\" = show ] && echo '" + token + "'\n",
		"puppet":        "#!/bin/sh\n[ \"$*\" = 'config print server' ] && echo orchestrator.example.com\n",
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o700))
	}
	// Whatever server is asked, it is ours.
	require.NoError(t, os.WriteFile(filepath.Join(dir, ".curlrc"), []byte("silent\nshow-error\nconnect-to = \"::"+w.api+"\"\nwrite-out = \"\\n%{http_code}\"\n"), 0o600))
	return &operatorShell{dir}
}

// run runs an example and answers what it prints and the status.
func (s *operatorShell) run(t *testing.T, script string) (int, string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "bash", "-eu", "-o", "pipefail", "-c", script)
	cmd.Dir = s.dir
	cmd.Env = []string{"PATH=" + s.dir + ":" + os.Getenv("PATH"), "HOME=" + s.dir, "CURL_HOME=" + s.dir}
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s\n%s", script, out)
	text := strings.TrimSpace(string(out))
	at := strings.LastIndexByte(text, '\n')
	status, err := strconv.Atoi(text[at+1:])
	require.NoError(t, err, "%s", out)
	return status, strings.TrimSpace(text[:max(at, 0)])
}

// accepted is the answer to a deploy.
type accepted struct {
	Job struct{ ID, Name string }
}

func (s *operatorShell) accepted(t *testing.T, script string) accepted {
	t.Helper()
	status, text := s.run(t, script)
	require.Equal(t, http.StatusAccepted, status, text)
	var a accepted
	require.NoError(t, json.Unmarshal([]byte(text), &a), text)
	require.Equal(t, "https://orchestrator.example.com:8143/orchestrator/v1/jobs/"+a.Job.Name, a.Job.ID)
	return a
}

// deployBodies are those of the documentation, of all its ages.
func deployBodies() map[string]string {
	return map[string]string{
		"two nodes": `{
  "environment" : "production",
  "scope" : {
    "nodes" : ["node1.example.com", "node2.example.com"]
  }
}`,
		"no environment": `{
  "environment" : "",
  "enforce_environment": false,
  "noop" : true,
  "scope" : {
    "nodes" : ["node1.example.com"]
  },
  "userdata": {
    "servicenow_ticket": "INC0011211"
  }
}`,
		"query": `{
  "environment" : "production",
  "scope" : {
    "query" : ["from", "nodes", ["~", "certname", ".*"]]
  }
}`,
		"whole environment, noop": `{
  "environment" : "production",
  "noop" : true,
  "scope" : {
    "whole_environment" : true
  }
}`,
		"application": `{
  "environment" : "production",
  "scope" : {
    "application" : "Wordpress_app[demo]"
  }
}`,
		"environment alone": `{
  "environment" : "production",
  "noop" : true
}`,
		"target": `{"environment" : "production", "target" : "Wordpress_app"}`,
	}
}

// TestCurlExamples runs the documentation's examples with curl as they stand
// there, and follows them.
func TestCurlExamples(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("curl is not installed")
	}
	w := site(t)
	shell := newShell(t, w, w.token(t, "brian", "orchestrator:view:*", "puppet_agent:run:*", "nodes:view_data:*", "node_groups:view:00000000-0000-4000-8000-000000000000"))

	shell.accepted(t, `
type_header='Content-Type: application/json'
auth_header="X-Authentication: $(puppet-access show)"
uri="https://$(puppet config print server):8143/orchestrator/v1/command/deploy"
data='{"environment": "production", "scope" : { "node_group" : "00000000-0000-4000-8000-000000000000" }}'

curl --insecure --header "$type_header" --header "$auth_header" --request POST "$uri" --data "$data"
`)
	for name, body := range deployBodies() {
		t.Run(name, func(t *testing.T) {
			a := shell.accepted(t, deployScript(body))
			var j struct {
				Options     map[string]any
				NodeCount   int `json:"node_count"`
				Owner       struct{ Login string }
				Environment struct{ Name string }
			}
			w.read(t, "/jobs/"+a.Job.Name, &j)
			var given map[string]any
			require.NoError(t, json.Unmarshal([]byte(body), &given))
			for key, value := range given {
				require.Equal(t, value, j.Options[key], key)
			}
			require.Equal(t, "brian", j.Owner.Login)
			require.Equal(t, given["environment"], j.Environment.Name)
			want := map[string]int{"no environment": 1, "query": 4}[name]
			if want == 0 {
				want = 2
			}
			require.Equal(t, want, j.NodeCount)
		})
	}
	stopExamples(t, shell)
	jobExamples(t, shell)
}

func deployScript(body string) string {
	return `
type_header='Content-Type: application/json'
auth_header="X-Authentication: $(puppet-access show)"
uri="https://$(puppet config print server):8143/orchestrator/v1/command/deploy"
data='` + body + `'

curl --insecure --header "$type_header" --header "$auth_header" --request POST "$uri" --data "$data"
`
}

// stopExamples stops job 1, as often as one likes; the documentation's is 1234.
func stopExamples(t *testing.T, shell *operatorShell) {
	t.Helper()
	const example = `
type_header='Content-Type: application/json'
auth_header="X-Authentication: $(puppet-access show)"
uri="https://$(puppet config print server):8143/orchestrator/v1/command/stop"
data='{"job": "1234"}'

curl --insecure --header "$type_header" --header "$auth_header" --request POST "$uri" --data "$data"
`
	status, text := shell.run(t, example)
	require.Equal(t, http.StatusNotFound, status)
	require.Contains(t, text, `"kind":"puppetlabs.orchestrator/unknown-job"`)
	var last string
	for _, body := range []string{`{"job": "1"}`, `{"job": "1"}`, `{"job": "1", "force": true}`, `{"job": "1"}`} {
		status, text := shell.run(t, strings.Replace(example, `{"job": "1234"}`, body, 1))
		require.Equal(t, http.StatusAccepted, status, text)
		var answer struct {
			Job struct {
				ID, Name string
				Nodes    map[string]int
			}
		}
		require.NoError(t, json.Unmarshal([]byte(text), &answer))
		require.Equal(t, "https://orchestrator.example.com:8143/orchestrator/v1/jobs/1", answer.Job.ID)
		require.Equal(t, "1", answer.Job.Name)
		for _, state := range []string{"new", "running", "failed", "errored", "skipped", "finished"} {
			require.Contains(t, answer.Job.Nodes, state)
		}
		require.Equal(t, 4, answer.Job.Nodes["stopped"], "nobody is connected: none of the nodes ran")
		if last != "" {
			require.JSONEq(t, last, text)
		}
		last = text
	}
}

// jobExamples asks for what the documentation of jobs shows.
func jobExamples(t *testing.T, shell *operatorShell) {
	t.Helper()
	get := func(path string) map[string]any {
		status, text := shell.run(t, `curl --insecure --header "X-Authentication: $(puppet-access show)" 'https://orchestrator.example.com:8143/orchestrator/v1`+path+`'`)
		require.Equal(t, http.StatusOK, status, text)
		var doc map[string]any
		require.NoError(t, json.Unmarshal([]byte(text), &doc))
		return doc
	}
	items := get("/jobs?limit=20")["items"].([]any)
	require.Len(t, items, 8)
	newest := items[0].(map[string]any)
	require.Equal(t, "8", newest["name"], "the most recent come first")
	require.Len(t, get("/jobs?limit=3")["items"], 3)
	for _, doc := range []map[string]any{newest, get("/jobs/8")} {
		for _, key := range []string{"id", "name", "state", "options", "owner", "timestamp", "environment", "status", "nodes", "report"} {
			require.Contains(t, doc, key)
		}
		require.Contains(t, doc["owner"], "id")
		require.Contains(t, doc["owner"], "login")
	}
	stopped := get("/jobs/1")
	require.Equal(t, "stopped", stopped["state"])
	status := stopped["status"].([]any)
	require.Nil(t, status[len(status)-1].(map[string]any)["exit_time"])
	for i, doc := range []map[string]any{get("/jobs/1/nodes"), get("/jobs/1/report")} {
		list := doc["items"].([]any)
		require.Len(t, list, 4)
		keys := [][]string{{"timestamp", "state", "transaction_uuid", "name", "details", "message"}, {"node", "state", "timestamp", "events"}}[i]
		for _, key := range keys {
			require.Contains(t, list[0], key)
		}
	}
	require.Contains(t, get("/jobs/1/nodes"), "next-events")
	require.NotEmpty(t, get("/jobs/1/events")["items"])
}

// TestDocumentedErrors: every error that the documentation names, by a real
// server with real data.
func TestDocumentedErrors(t *testing.T) {
	w := site(t)
	limited := w.token(t, "carl", "orchestrator:view:*", "puppet_agent:run:*")
	viewer := w.token(t, "vera", "orchestrator:view:*")
	nobody := w.token(t, "nora")
	const deploy, stop, jobs = "/orchestrator/v1/command/deploy", "/orchestrator/v1/command/stop", "/orchestrator/v1/jobs"
	for _, c := range []struct {
		status                   int
		kind, method, path, body string
		token                    string
		details                  string
	}{
		{404, "unknown-environment", "POST", deploy, `{"environment":"doesnotexist"}`, "", `{"environment":"doesnotexist"}`},
		{400, "empty-environment", "POST", deploy, `{"environment":"empty"}`, "", `{"environment":"empty"}`},
		{400, "empty-environment", "POST", deploy, `{"environment":"empty","scope":{"whole_environment":true}}`, "", `{"environment":"empty"}`},
		{400, "empty-target", "POST", deploy, `{"environment":"production","scope":{"application":"Wordpress_app[other]"}}`, "", `{"application":"Wordpress_app[other]"}`},
		{400, "empty-target", "POST", deploy, `{"environment":"production","target":"Nothing"}`, "", `{"application":"Nothing"}`},
		{400, "empty-target", "POST", deploy, `{"environment":"production","scope":{"nodes":[]}}`, "", `{}`},
		{400, "empty-target", "POST", deploy, `{"environment":"production","scope":{"query":"nodes{certname = \"x\"}"}}`, "", `{}`},
		{400, "empty-target", "POST", deploy, `{"environment":"production","scope":{"node_group":"00000000-0000-4000-8000-00000000000f"}}`, "",
			`{"node_group":"00000000-0000-4000-8000-00000000000f"}`},
		{400, "query-error", "POST", deploy, `{"environment":"production","scope":{"query":"nodes{"}}`, "", ``},
		{400, "query-error", "POST", deploy, `{"environment":"production","scope":{"query":["from","nodez"]}}`, "", ``},
		{400, "query-error", "POST", deploy, `{"environment":"production","scope":{"query":"nodes[report_environment]{}"}}`, "", ``},
		{400, "query-error", "POST", deploy, `{"environment":"production","scope":{"query":"nodes{}"}}`, limited, ``},
		{400, "validation-error", "POST", deploy, `{"environment":"production","nop":true}`, "", ``},
		{400, "validation-error", "POST", deploy, `{"environment":""}`, "", ``},
		{403, "not-permitted", "POST", deploy, `{"environment":"production"}`, viewer, ``},
		{403, "not-permitted", "POST", deploy, `{"environment":"production"}`, nobody, ``},
		{400, "validation-error", "POST", stop, `{"job":"first"}`, "", ``},
		{400, "validation-error", "POST", stop, `{}`, "", ``},
		{404, "unknown-job", "POST", stop, `{"job":"1234"}`, "", `{"job":"1234"}`},
		{400, "validation-error", "GET", jobs + "?limit=many", "", "", ``},
		{400, "validation-error", "GET", jobs + "/x", "", "", ``},
		{404, "unknown-job", "GET", jobs + "/1234", "", "", `{"job":"1234"}`},
		{400, "validation-error", "GET", jobs + "/x/nodes", "", "", ``},
		{404, "unknown-job", "GET", jobs + "/1234/nodes", "", "", `{"job":"1234"}`},
		{400, "validation-error", "GET", jobs + "/x/report", "", "", ``},
		{404, "unknown-job", "GET", jobs + "/1234/report", "", "", `{"job":"1234"}`},
		{400, "validation-error", "GET", jobs + "/x/events", "", "", ``},
		{404, "unknown-job", "GET", jobs + "/1234/events", "", "", `{"job":"1234"}`},
		{403, "not-permitted", "GET", jobs, "", nobody, ``},
		{404, "not-found", "GET", "/orchestrator/v1/nothing", "", "", ``},
		{405, "method-not-allowed", "GET", deploy, "", "", ``},
	} {
		var headers []string
		if c.token != "" {
			headers = []string{"X-Authentication", c.token}
		}
		e := w.refused(t, c.status, c.kind, c.method, c.path, c.body, headers...)
		if c.details != "" {
			details, err := json.Marshal(e.Details)
			require.NoError(t, err)
			require.JSONEq(t, c.details, string(details), "%s %s", c.path, c.body)
		}
	}
	cycle := w.refused(t, 400, "dependency-cycle", "POST", deploy, `{"environment":"cyclic"}`)
	require.Len(t, cycle.Details["cycle"], 3)
	require.Equal(t, cycle.Details["cycle"].([]any)[0], cycle.Details["cycle"].([]any)[2])

	status, text, _ := w.ask(t, "GET", jobs, "", "X-Authentication", "no token of ours")
	require.Equal(t, http.StatusUnauthorized, status)
	require.Contains(t, string(text), `"kind":"puppetlabs.rbac/invalid-token"`)
	var list struct {
		Pagination struct{ Total int }
	}
	w.read(t, "/jobs", &list)
	require.Zero(t, list.Pagination.Total, "what is refused leaves nothing behind")
	t.Run("no credential", func(t *testing.T) {
		res, err := w.ca.Client(t, "").Get("https://" + w.api + jobs)
		require.NoError(t, err)
		defer res.Body.Close()
		require.Equal(t, http.StatusUnauthorized, res.StatusCode)
		var e map[string]any
		require.NoError(t, json.NewDecoder(res.Body).Decode(&e))
		require.Equal(t, map[string]any{"kind": "puppetlabs.rbac/user-unauthenticated", "msg": "Route requires authentication"}, e)
	})
}

// TestQueriesThatCannotBeAsked: the database answers too late.
func TestQueriesThatCannotBeAsked(t *testing.T) {
	w := newWorld(t, "--set", "puppetdb.query-timeout-default=0.000000001")
	w.facts(t, "node1.example.com", "production")
	e := w.refused(t, 400, "puppetdb-error", "POST", "/orchestrator/v1/command/deploy",
		fmt.Sprintf(`{"environment":"","enforce_environment":false,"scope":{"query":%q}}`, "nodes{}"))
	require.Contains(t, e.Msg, "could not be run")
}
