package orchestration

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"dalang/orchestrator/ssh/sshtest"
)

// TestDownloads: a plan gets a directory from an agent and from a target of SSH.
// It is on the server's disk, and neither in its database nor in an answer.
func TestDownloads(t *testing.T) {
	path := environment(t)
	writeFile(t, filepath.Join(path, "production/modules/demo/plans/fetch.yaml"), `
parameters: {nodes: {type: TargetSpec}, from: {type: String}}
steps:
- {name: got, download: $from, destination: logs/today, targets: $nodes, catch_errors: true}
return:
  paths: $got.ok_set.map |$r| { $r['path'] }
  errors: $got.error_set.map |$r| { $r.error.message }
`)
	w := newWorld(t, "--set", "orchestrator.environmentpath="+path, "--set", "orchestrator.pcp-timeout=300ms")
	w.newNode(t, "one.example.com", nil).start(t)
	w.connected(t, 1)
	s := sshtest.Serve(t)
	status, text, _ := w.ask(t, http.MethodPost, "/inventory/v1/command/create-connection", fmt.Sprintf(`{"certnames":["switch.example.com"],"type":"ssh",
		"parameters":{"hostname":"127.0.0.1","port":%d,"tmpdir":%q},"sensitive_parameters":{"user":"admin","password":"login"},"duplicates":"error"}`, s.Port, s.Home))
	require.Equal(t, http.StatusCreated, status, "%s", text)

	const content = "t0ps3cret-and-long"
	from := filepath.Join(t.TempDir(), "it's a log")
	writeFile(t, filepath.Join(from, "app/a.log"), content)
	writeFile(t, filepath.Join(from, "b.log"), "")
	run := func(from, nodes string) planJob {
		given, err := json.Marshal(from)
		require.NoError(t, err)
		p := w.planEnded(t, w.plan(t, "plan_run", `{"plan_name":"demo::fetch","params":{"from":`+string(given)+`,"nodes":`+nodes+`}}`))
		require.Equal(t, "success", p.State, "%s", p.Result)
		return p
	}
	var result struct{ Paths, Errors []string }
	require.NoError(t, json.Unmarshal(run(from, `["one.example.com","switch.example.com","gone.example.com"]`).Result, &result))
	require.Len(t, result.Errors, 1)
	require.Contains(t, result.Errors[0], "not connected")
	require.Len(t, result.Paths, 2)
	for i, name := range []string{"one.example.com", "switch.example.com"} {
		require.Equal(t, filepath.Join(w.Data, "downloads/1/logs/today", name, "it's a log"), result.Paths[i])
		for file, want := range map[string]string{"app/a.log": content, "b.log": ""} {
			text, err := os.ReadFile(filepath.Join(result.Paths[i], file))
			require.NoError(t, err)
			require.Equal(t, want, string(text))
		}
	}

	kept := result.Paths[0]
	require.NoError(t, json.Unmarshal(run(from+"/none", `["one.example.com","switch.example.com"]`).Result, &result))
	require.Len(t, result.Errors, 2)
	for _, e := range result.Errors {
		require.Contains(t, e, "there is no such file or directory")
	}
	require.NoDirExists(t, filepath.Join(w.Data, "downloads/2"))

	out, status := w.program(t, "plan", "run", "demo::fetch", "from="+from, "--nodes", "one.example.com")
	require.Zero(t, status, out)
	require.Contains(t, out, "Downloaded 'one.example.com:"+from+"' to '"+filepath.Join(w.Data, "downloads/3/logs/today/one.example.com")+"'")

	w.Kill(t)
	w.Start(t)
	require.DirExists(t, kept, "it stays as long as the plan job")
	require.NoError(t, os.RemoveAll(filepath.Join(w.Data, "downloads")))
	for _, word := range []string{content, base64.StdEncoding.EncodeToString([]byte(content))} {
		nowhere(t, word, w.Data, s.Home)
		require.NotContains(t, w.Log(), word)
		for _, path := range []string{"/jobs/1", "/jobs/1/nodes", "/jobs/1/events", "/plan_jobs/1", "/plan_jobs/1/events"} {
			_, text, _ := w.ask(t, http.MethodGet, "/orchestrator/v1"+path, "")
			require.NotContains(t, string(text), word, path)
			require.False(t, strings.Contains(string(text), "H4sI"), "nor packed: %s", path)
		}
	}
}

// TestDownloadKilled: a server that is killed while a node packs a file. The plan
// has failed; the job that it made goes on, and the file is kept.
func TestDownloadKilled(t *testing.T) {
	path, bin := environment(t), t.TempDir()
	tar, err := exec.LookPath("tar")
	require.NoError(t, err)
	began, proceed := filepath.Join(bin, "began"), filepath.Join(bin, "proceed")
	writeFile(t, filepath.Join(bin, "tar"), fmt.Sprintf("#!/bin/sh\ntouch '%s'\nwhile [ ! -e '%s' ]; do sleep 0.1; done\nexec '%s' \"$@\"\n", began, proceed, tar))
	require.NoError(t, os.Chmod(filepath.Join(bin, "tar"), 0o755))
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	writeFile(t, filepath.Join(path, "production/modules/demo/plans/fetch.yaml"),
		"parameters: {from: {type: String}}\nsteps:\n- {download: $from, destination: d, targets: one.example.com}\n")
	w := newWorld(t, "--set", "orchestrator.environmentpath="+path)
	w.newNode(t, "one.example.com", nil).start(t)
	w.connected(t, 1)
	from := filepath.Join(t.TempDir(), "motd")
	writeFile(t, from, "hello")
	name := w.plan(t, "plan_run", fmt.Sprintf(`{"plan_name":"demo::fetch","params":{"from":%q}}`, from))
	w.appears(t, began)
	w.Kill(t)
	half := filepath.Join(w.Data, "downloads/.unpacking/1/new/motd")
	writeFile(t, half, "as if it had been unpacking")
	w.Start(t)
	writeFile(t, proceed, "")
	require.Contains(t, string(w.planEnded(t, name).Result), "plan-interrupted")
	n := w.ended(t, "1")["one.example.com"]
	require.Equal(t, "finished", n.State, n.Message)
	kept := filepath.Join(w.Data, "downloads", name, "d/one.example.com/motd")
	require.Equal(t, kept, n.Result["path"])
	text, err := os.ReadFile(kept)
	require.NoError(t, err)
	require.Equal(t, "hello", string(text))
	require.NoFileExists(t, half)
}
