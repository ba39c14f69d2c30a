package pxp_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

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
			r.Receive = func(_ context.Context, o job.Outcome) job.Outcome {
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
		r.Receive = func(context.Context, job.Outcome) job.Outcome { panic("there is nothing to receive") }
		w.start(r)
		w.ends(r, `{"_error":{"kind":"puppetlabs.pxp-agent/execution-error","msg":"fork failed","details":{}}}`)
		require.Equal(t, "result a errored", w.takeTold())
	})
}

// TestReceiveSlowly: what takes longer than an answer may is received once,
// however often it comes, and is the outcome; what is stopped is given up.
func TestReceiveSlowly(t *testing.T) {
	for _, stop := range []bool{false, true} {
		inWorld(t, func(t *testing.T, w *world) {
			times := 0
			r := run("a")
			r.Module, r.Params = "command", []byte(`{"command":"x"}`)
			r.Receive = func(ctx context.Context, o job.Outcome) job.Outcome {
				times++
				select {
				case <-ctx.Done():
				case <-time.After(10 * time.Minute):
				}
				return job.Outcome{State: job.Finished, Results: []byte(`{"a":1}`)}
			}
			require.NoError(t, w.Query(t.Context(), r))
			question := w.one("status")
			done := make(chan struct{})
			for range 2 {
				go func() {
					w.answers(question, r, `"status":"success","exitcode":0,"stdout":"out"`)
					w.ends(r, `{"exitcode":0,"stdout":"out"}`)
					done <- struct{}{}
				}()
			}
			if stop {
				w.pass(time.Second)
				require.NoError(t, w.Stop(t.Context(), r))
			}
			for range 2 {
				<-done
			}
			require.Equal(t, 1, times)
			require.Empty(t, w.takeSent(), "nothing is asked meanwhile")
			synctest.Wait()
			if stop {
				require.Empty(t, w.takeTold())
			} else {
				require.Equal(t, "result a finished", w.takeTold())
			}
			require.Zero(t, w.open())
		})
	}
}
