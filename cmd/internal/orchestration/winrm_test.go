package orchestration

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"dalang/orchestrator/winrm/winrmtest"
)

// TestWinRM: tasks over WinRM, by the real program, as far as that can be seen
// without Windows: from the API to a service that speaks the protocol and back.
// No secret is anywhere afterwards.
func TestWinRM(t *testing.T) {
	const host, secret = winrmtest.Host, "t0ps3cret-and-long"
	path := environment(t)
	writeFile(t, filepath.Join(path, "production/modules/demo/tasks/win.ps1"), "param($name, $token)\r\n")
	writeFile(t, filepath.Join(path, "production/modules/demo/tasks/win.json"), `{"parameters":{"name":{"type":"String"},"token":{"type":"Optional[String]","sensitive":true}}}`)
	writeFile(t, filepath.Join(path, "production/modules/demo/tasks/perl.pl"), "print 1\n")
	writeFile(t, filepath.Join(path, "production/modules/demo/tasks/perl.json"), `{"parameters":{"name":{},"token":{"sensitive":true}}}`)
	w := newWorld(t, "--set", "orchestrator.environmentpath="+path)
	s := winrmtest.Serve(t, func(dir string, files map[string]string) (string, string, int, bool) {
		var in map[string]any
		if json.Unmarshal([]byte(files[dir+`\arguments.json`]), &in) != nil || !strings.Contains(files[dir+`\wrapper.ps1`], `& '`+dir+`\win.ps1' @named`) {
			return "", "not the files of the task", 9, true
		}
		if in["name"] == "fail" {
			return "before\r\n", "woe", 3, true
		}
		return fmt.Sprintf(`{"greeting":"hello %v","task":"%v","token_length":%d}`, in["name"], in["_task"], len(fmt.Sprint(in["token"]))), "", 0, true
	})
	target := func(name, more string) string {
		return fmt.Sprintf(`{"task":"demo::win","params":{"name":%q,"token":%q},"scope":{"nodes":[%q]},"targets":[{"hostnames":[%[3]q],"transport":"winrm","user":"admin","port":%d%s}]}`,
			name, secret, host, s.Port, more)
	}

	name, nodes := w.task(t, target("world", `,"password":"login","ssl-verify":false`))
	require.Equal(t, "finished", nodes[host].State, nodes[host].Message)
	require.Equal(t, "winrm", nodes[host].Transport)
	require.Equal(t, map[string]any{"greeting": "hello world", "task": "demo::win", "token_length": float64(len(secret))}, nodes[host].Result)
	_, nodes = w.task(t, target("fail", `,"password":"login","ssl-verify":false`))
	require.Equal(t, "failed", nodes[host].State)
	require.Equal(t, "before\r\n", nodes[host].Result["_output"])
	_, nodes = w.task(t, target("world", `,"password":"login"`))
	require.Equal(t, "errored", nodes[host].State, "nobody signed its certificate")
	require.Contains(t, nodes[host].Message, "certificate")
	_, nodes = w.task(t, target("world", `,"password":"wrong-pass","ssl-verify":false`))
	require.Equal(t, "errored", nodes[host].State)
	require.Equal(t, "puppetlabs.tasks/connect-error", nodes[host].Result["kind"])
	_, nodes = w.task(t, strings.Replace(target("world", `,"password":"login","ssl-verify":false`), "demo::win", "demo::perl", 1))
	require.Equal(t, "errored", nodes[host].State)
	require.Contains(t, nodes[host].Message, `files that end with ".pl"`)

	// A stored connection does the same, under another name.
	status, text, _ := w.ask(t, http.MethodPost, "/inventory/v1/command/create-connection", fmt.Sprintf(`{"certnames":["win.example.com"],"type":"winrm",
		"parameters":{"hostname":%q,"port":%d,"ssl-verify":false},"sensitive_parameters":{"user":"admin","password":"login"},"duplicates":"error"}`, host, s.Port))
	require.Equal(t, http.StatusCreated, status, "%s", text)
	_, nodes = w.task(t, `{"task":"demo::win","params":{"name":"stored"},"scope":{"nodes":["win.example.com"]}}`)
	require.Equal(t, "hello stored", nodes["win.example.com"].Result["greeting"], nodes["win.example.com"].Message)

	require.Empty(t, s.Files(), "nothing is left on the target")
	for _, word := range []string{secret, "wrong-pass"} {
		nowhere(t, word, w.Data)
		require.NotContains(t, w.Log(), word)
		for _, line := range s.Lines() {
			require.NotContains(t, line+winrmtest.Script(line), word)
		}
		for _, path := range []string{"/jobs", "/jobs/" + name, "/jobs/" + name + "/nodes", "/jobs/" + name + "/events"} {
			_, text, _ := w.ask(t, http.MethodGet, "/orchestrator/v1"+path, "")
			require.NotContains(t, string(text), word, path)
		}
	}
}
