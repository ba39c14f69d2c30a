//go:build unix

package planjob_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dalang/orchestrator/job"
	"dalang/orchestrator/planjob"
)

// runner is a world whose external runner is a shell script.
func runner(t *testing.T, script string) *world {
	t.Helper()
	return newWorld(t, plans()).start(func(c *planjob.Config) {
		c.RunnerGrace = 200 * time.Millisecond
		c.Runner = []string{"/bin/sh", "-c", script, "runner", "{plan}", "--environment={environment}", "{plan_job}"}
	})
}

func TestRunner(t *testing.T) {
	for _, c := range []struct {
		name, script, want string
		state              job.PlanState
	}{
		{"echo", `cat`, `{"name":"kim","password":"hush"}`, job.PlanSuccess},
		{"arguments", `cat >/dev/null; echo "[\"$1\", \"$2\", $3, $DALANG_PLAN_JOB]"`, `["m::classic","--environment=production",2,2]`, job.PlanSuccess},
		{"text", `echo no JSON`, `"no JSON"`, job.PlanSuccess},
		{"nothing", `:`, `null`, job.PlanSuccess},
		{"its error", `echo '{"kind":"bolt/run-failure","msg":"no","details":{"a":1.0}}'; exit 2`, `{"details":{"a":1.0},"kind":"bolt/run-failure","msg":"no"}`, job.PlanFailure},
		{"no error", `echo half; echo why >&2; exit 3`, `{"details":{"exit_code":3},"kind":"bolt/plan-failure","msg":"The external runner failed with exit status 3: why"}`, job.PlanFailure},
		{"too much", `head -c 17000000 /dev/zero`, `{"details":{},"kind":"bolt/invalid-plan-result","msg":"The external runner wrote more than 16777216 bytes"}`, job.PlanFailure},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := runner(t, c.script).run("m::classic", `{"name":"kim","password":"hush"}`)
			require.Equal(t, c.state, p.State)
			require.Equal(t, c.want, string(p.Result))
			require.Contains(t, string(p.Options), `"parameters":{"name":"kim"},"sensitive":["password"]`)
		})
	}
}

func TestRunnerMessages(t *testing.T) {
	w := runner(t, `cat >/dev/null; echo one >&2; echo >&2; printf 'tw\377o' >&2; echo 5`)
	p := w.run("m::classic", `{}`)
	require.Equal(t, "5", string(p.Result))
	require.Equal(t, "out_message {\"message\":\"one\"}\nout_message {\"message\":\"tw\uFFFDo\"}\nplan_finished {\"plan-id\":\"2\",\"result\":5}", w.events(p.ID))
}

// TestRunnerStop: the whole process group ends with the plan.
func TestRunnerStop(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pid")
	w := runner(t, `trap '' TERM; (trap '' TERM; echo $$ > `+file+`.tmp; sleep 1000 & echo $! > `+file+`; wait) & wait`)
	id, err := w.Start(t.Context(), somebody{"*"}, planjob.Request{Plan: "m::classic", Environment: "production"})
	require.NoError(t, err)
	var child int
	require.Eventually(t, func() bool {
		text, err := os.ReadFile(file)
		child, _ = strconv.Atoi(strings.TrimSpace(string(text)))
		return err == nil && child > 0
	}, 10*time.Second, 5*time.Millisecond)
	require.NoError(t, w.Service.Stop(t.Context(), somebody{"*"}, id))
	require.Contains(t, string(w.ended(id).Result), "The plan was stopped")
	require.Eventually(t, func() bool { return gone(child) }, 5*time.Second, 5*time.Millisecond)
}

// gone tells whether a process has ended; one that nobody has waited for has.
func gone(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return true
	}
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err != nil || strings.Contains(string(stat), ") Z ")
}

func TestRunnerMissing(t *testing.T) {
	w := newWorld(t, plans()).start(func(c *planjob.Config) { c.Runner = []string{"/nonexistent/bolt"} })
	p := w.run("m::classic", `{}`)
	require.Equal(t, job.PlanFailure, p.State)
	var e struct{ Kind, Msg string }
	require.NoError(t, json.Unmarshal(p.Result, &e))
	require.Contains(t, e.Msg, "the external runner cannot be run: ")
}
