//go:build acceptance

package action

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dalang/orchestrator/apply"
)

// TestRealPuppet: with the Puppet of this machine.
func TestRealPuppet(t *testing.T) {
	bin, err := exec.LookPath("puppet")
	if err != nil {
		t.Skip("puppet is not installed")
	}
	at := t.TempDir()
	conf := filepath.Join(at, "conf")
	write(t, filepath.Join(conf, "puppet.conf"), "[main]\nvardir = "+at+"/var\nrundir = "+at+"/run\nlogdir = "+at+"/log\nreports = store\nreportdir = "+at+"/reports\nenvironment = elsewhere\n")
	write(t, filepath.Join(at, "puppet"), "#!/bin/sh\ncommand=$1; shift\nexec "+bin+" $command --confdir "+conf+" \"$@\"\n")
	file := filepath.Join(at, "it's 'a' file é")
	list := []apply.Resource{
		{Type: "file", Title: file, Params: map[string]any{"ensure": "file", "content": "hush-hush é\n", "mode": "0640"}, Secrets: []string{"content"}},
		{Type: "exec", Title: "mark", Params: map[string]any{"command": "touch " + at + "/ran # hush-hush", "path": []any{"/bin", "/usr/bin"}, "provider": "shell",
			"creates": at + "/ran", "require": "File[" + file + "]"}, Secrets: []string{"command"}},
		{Type: "notify", Title: "done", Params: map[string]any{"loglevel": "warning"}},
	}
	change := func(o *Order) { o.Settings.Timeout = 5 * time.Minute }
	run := func(noop bool, list ...apply.Resource) (map[string]any, string, bool) {
		params := catalogOf(t, noop, list...)
		r, _ := applied(t, at, params, change)
		require.Empty(t, r.Error)
		require.NotContains(t, r.Stdout, "hush")
		result, failed := apply.Result(orderParams(t, params), "web1", []byte(r.Stdout), []byte(r.Stderr), r.ExitCode)
		var value map[string]any
		require.NoError(t, json.Unmarshal(result, &value))
		msg := ""
		if failed {
			msg = value["_error"].(map[string]any)["msg"].(string)
		}
		return value, msg, failed
	}
	value, msg, failed := run(true, list...)
	require.False(t, failed, msg)
	require.Regexp(t, `^changed: 0, failed: 0, unchanged: \d+ skipped: 0, noop: 3$`, value["_output"])
	require.NoFileExists(t, file)

	value, msg, failed = run(false, list...)
	require.False(t, failed, msg)
	report := value["report"].(map[string]any)
	require.Equal(t, "changed", report["status"])
	require.Equal(t, "production", report["environment"])
	require.Equal(t, "plan job 7", report["configuration_version"])
	content, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, "hush-hush é\n", string(content))
	require.FileExists(t, filepath.Join(at, "ran"))
	require.NoDirExists(t, filepath.Join(at, "reports/web1"))
	for _, left := range []string{"var/state/last_run_report.yaml", "var/state/state.yaml", "var/state/transactionstore.yaml", "var/public/last_run_summary.yaml"} {
		require.NoFileExists(t, filepath.Join(at, left), "the node's own runs keep their state")
	}

	bad := []apply.Resource{{Type: "exec", Title: "fails", Params: map[string]any{"command": "false hush-hush", "path": "/bin:/usr/bin"}, Secrets: []string{"command"}}, {Type: "file", Title: at + "/never", Params: map[string]any{"ensure": "file"}}}
	value, msg, failed = run(false, bad...)
	require.True(t, failed)
	require.Contains(t, msg, "Resources failed to apply for web1\n  Exec[fails]: change from 'notrun' to ['0'] failed: ")
	require.Equal(t, "failed", value["report"].(map[string]any)["status"])
	require.NoFileExists(t, filepath.Join(at, "never"), "what comes after a failure is skipped")

	_, msg, failed = run(false, apply.Resource{Type: "file", Title: at + "/never", Params: map[string]any{"ensure": "file"}}, apply.Resource{Type: "packge", Title: "x"})
	require.True(t, failed)
	require.Contains(t, strings.ToLower(msg), "packge")
	_, msg, failed = run(false, apply.Resource{Type: "file", Title: at + "/never", Params: map[string]any{"colour": "blue"}})
	require.True(t, failed)
	require.Contains(t, msg, "no parameter named 'colour'")
}
