package orchestration

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dalang/orchestrator/ssh/sshtest"
)

// oneTarget is targets for one host of the SSH server; more is added to it.
func oneTarget(certname string, s *sshtest.Server, more string) string {
	return fmt.Sprintf(`"scope":{"nodes":[%q]},"targets":[{"hostnames":[%[1]q],"transport":"ssh","user":"admin","port":%d,"tmpdir":%q%s}]`,
		certname, s.Port, s.Home, more)
}

// TestAgentless: tasks over SSH, by the real program; no secret is anywhere
// afterwards, nor in what a target could see of its command lines.
func TestAgentless(t *testing.T) {
	w := newWorld(t, "--set", "orchestrator.environmentpath="+environment(t))
	s := sshtest.Serve(t, "SUDO_FAKE=password")
	const host = "127.0.0.1" // a certname that can be dialled
	const secret = "t0ps3cret-and-long"

	name, nodes := w.task(t, `{"task":"demo::greet","params":{"name":"world","token":"`+secret+`"},`+oneTarget(host, s, `,"password":"login","run-as":"root","sudo-password":"s3cret pass"`)+`}`)
	require.Equal(t, "finished", nodes[host].State, nodes[host].Message)
	require.Equal(t, "ssh", nodes[host].Transport)
	require.Equal(t, "hello world", nodes[host].Result["greeting"])
	require.EqualValues(t, len(secret), nodes[host].Result["token_length"])
	key, err := json.Marshal(s.UserKey)
	require.NoError(t, err)
	_, nodes = w.task(t, `{"task":"demo","params":{},`+oneTarget(host, s, `,"private-key-content":`+string(key))+`}`)
	require.Equal(t, map[string]any{"_output": "shared and served"}, nodes[host].Result)
	_, nodes = w.task(t, `{"task":"demo::fail","params":{},`+oneTarget(host, s, `,"password":"login"`)+`}`)
	require.Equal(t, "failed", nodes[host].State)
	_, nodes = w.task(t, `{"task":"demo::fail","params":{},`+oneTarget(host, s, `,"password":"wrong-pass"`)+`}`)
	require.Equal(t, "errored", nodes[host].State)
	require.Equal(t, "puppetlabs.tasks/connect-error", nodes[host].Result["kind"])

	// A stored connection does the same, under another name.
	status, text, _ := w.ask(t, http.MethodPost, "/inventory/v1/command/create-connection", fmt.Sprintf(`{"certnames":["switch.example.com"],"type":"ssh",
		"parameters":{"hostname":"127.0.0.1","port":%d,"tmpdir":%q},"sensitive_parameters":{"user":"admin","password":"login"},"duplicates":"error"}`, s.Port, s.Home))
	require.Equal(t, http.StatusCreated, status, "%s", text)
	_, nodes = w.task(t, `{"task":"demo::greet","params":{"name":"switch"},"scope":{"nodes":["switch.example.com"]}}`)
	require.Equal(t, "hello switch", nodes["switch.example.com"].Result["greeting"], nodes["switch.example.com"].Message)

	keyLine := strings.Split(s.UserKey, "\n")[2]
	for _, word := range []string{secret, "s3cret pass", keyLine, "wrong-pass"} {
		nowhere(t, word, w.Data, s.Home)
		require.NotContains(t, w.Log(), word)
		require.NotContains(t, strings.Join(s.Asked(), "\n"), word)
		for _, path := range []string{"/jobs", "/jobs/" + name, "/jobs/" + name + "/nodes", "/jobs/" + name + "/events"} {
			_, text, _ := w.ask(t, http.MethodGet, "/orchestrator/v1"+path, "")
			require.NotContains(t, string(text), word, path)
		}
	}
	left, err := filepath.Glob(filepath.Join(s.Home, "*"))
	require.NoError(t, err)
	require.Empty(t, left, "nothing is left on the target")
}

// TestAgentlessKilled: a server that is killed while a task runs over SSH. The
// next one says so, ends what still runs, and deletes what was left.
func TestAgentlessKilled(t *testing.T) {
	path := environment(t)
	began := filepath.Join(t.TempDir(), "began")
	writeFile(t, filepath.Join(path, "production/modules/demo/tasks/slow.sh"), "#!/bin/sh\necho $$ > '"+began+"'\nexec sleep 600\n")
	w := newWorld(t, "--set", "orchestrator.environmentpath="+path)
	s := sshtest.Serve(t)
	const host, secret = "127.0.0.1", "t0ps3cret-and-long"
	status, text, _ := w.ask(t, http.MethodPost, "/orchestrator/v1/command/task", `{"task":"demo::slow","params":{"x":"`+secret+`"},`+oneTarget(host, s, `,"password":"login"`)+`}`)
	require.Equal(t, http.StatusAccepted, status, "%s", text)
	pid := w.slow(t, began)
	w.Kill(t)
	w.Start(t)
	nodes := w.ended(t, "1")
	require.Equal(t, "errored", nodes[host].State)
	require.Equal(t, "puppetlabs.orchestrator/orchestrator-restarted", nodes[host].Result["kind"])
	left, err := filepath.Glob(filepath.Join(s.Home, "dalang-*"))
	require.NoError(t, err)
	require.Empty(t, left)
	require.Eventually(t, func() bool { return gone(pid) }, 10*time.Second, 10*time.Millisecond, "what ran was ended")
	nowhere(t, `"password":"login"`, w.Data)
}

// slow waits until the run of job 1 has begun and is known to have. It answers
// the process's id.
func (w *world) slow(t *testing.T, began string) string {
	t.Helper()
	var pid []byte
	require.Eventually(t, func() bool { pid, _ = os.ReadFile(began); return len(pid) > 0 }, 10*time.Second, 10*time.Millisecond)
	require.Eventually(t, func() bool {
		var j struct {
			States map[string]int `json:"node_states"`
		}
		w.read(t, "/jobs/1", &j)
		return j.States["running"] == 1
	}, 10*time.Second, 10*time.Millisecond)
	return strings.TrimSpace(string(pid))
}

// TestAgentlessUnreachable: where the target of a run that a killed server left
// cannot be reached any more, the node's error and the log name the directory.
func TestAgentlessUnreachable(t *testing.T) {
	path := environment(t)
	began := filepath.Join(t.TempDir(), "began")
	writeFile(t, filepath.Join(path, "production/modules/demo/tasks/slow.sh"), "#!/bin/sh\necho $$ > '"+began+"'\nexec sleep 600\n")
	w := newWorld(t, "--set", "orchestrator.environmentpath="+path)
	s := sshtest.Serve(t)
	const host = "127.0.0.1"
	status, text, _ := w.ask(t, http.MethodPost, "/orchestrator/v1/command/task", `{"task":"demo::slow","params":{},`+oneTarget(host, s, `,"password":"login"`)+`}`)
	require.Equal(t, http.StatusAccepted, status, "%s", text)
	pid, err := strconv.Atoi(w.slow(t, began))
	require.NoError(t, err)
	w.Kill(t)
	s.Refuse()
	w.Start(t)
	nodes := w.ended(t, "1")
	require.Equal(t, "errored", nodes[host].State)
	left, err := filepath.Glob(filepath.Join(s.Home, "dalang-*"))
	require.NoError(t, err)
	require.Len(t, left, 1)
	require.Contains(t, nodes[host].Message, filepath.Base(left[0])+", could not be deleted")
	require.Contains(t, w.Log(), "a run of an earlier life was not cleaned up")
	_, text, _ = w.ask(t, http.MethodGet, "/orchestrator/v1/jobs/1/events", "")
	require.Contains(t, string(text), filepath.Base(left[0]))
	session, err := syscall.Getpgid(pid)
	require.NoError(t, err)
	require.NoError(t, syscall.Kill(-session, syscall.SIGKILL))
}

// gone tells whether a process has ended.
func gone(pid string) bool {
	text, err := os.ReadFile("/proc/" + pid + "/stat")
	return err != nil || strings.Contains(string(text), ") Z ")
}
