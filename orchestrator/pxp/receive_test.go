package pxp_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"dalang/orchestrator/job"
)

// TestReceive: who asked for it gets what a command wrote, told by the agent
// itself and when asked; what never ran is as ever.
func TestReceive(t *testing.T) {
	for _, asked := range []bool{false, true} {
		inWorld(t, func(t *testing.T, w *world) {
			r := run("a")
			r.Module, r.Params = "command", []byte(`{"command":"x"}`)
			r.Receive = func(o job.Outcome) job.Outcome {
				require.Equal(t, job.Outcome{State: job.Finished, ExitCode: 3, Stdout: "out", Stderr: "err"}, o)
				return job.Outcome{State: job.Failed, Results: []byte(`{"a":1}`)}
			}
			if asked {
				require.NoError(t, w.Query(t.Context(), r))
				w.answers(w.one("status"), r, `"status":"failure","exitcode":3,"stdout":"out","stderr":"err"`)
			} else {
				w.start(r)
				w.ends(r, `{"exitcode":3,"stdout":"out","stderr":"err"}`)
			}
			require.Equal(t, "result a failed", w.takeTold())
			require.Equal(t, []job.Outcome{{State: job.Failed, Results: []byte(`{"a":1}`)}}, w.results)
		})
	}
	inWorld(t, func(t *testing.T, w *world) {
		r := run("a")
		r.Module, r.Params = "command", []byte(`{"command":"x"}`)
		r.Receive = func(job.Outcome) job.Outcome { panic("there is nothing to receive") }
		w.start(r)
		w.ends(r, `{"_error":{"kind":"puppetlabs.pxp-agent/execution-error","msg":"fork failed","details":{}}}`)
		require.Equal(t, "result a errored", w.takeTold())
	})
}
