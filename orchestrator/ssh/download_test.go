package ssh

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dalang/orchestrator/download"
	"dalang/orchestrator/job"
)

// TestDownload: files come over SSH, with a terminal and sudo in between as well;
// a target's failure is told.
func TestDownload(t *testing.T) {
	source := filepath.Join(t.TempDir(), "it's")
	require.NoError(t, os.MkdirAll(filepath.Join(source, "sub"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(source, "sub/a"), []byte("from the target"), 0o600))
	for _, tty := range []bool{false, true} {
		for _, as := range []string{"", "root"} {
			t.Run(fmt.Sprintf("as %q, tty %v", as, tty), func(t *testing.T) {
				s := serve(t, "SUDO_FAKE=password")
				target := s.target()
				target.TTY, target.RunAs, target.SudoPassword = tty, as, "s3cret pass"
				k, err := download.New(download.Config{Dir: t.TempDir(), Limits: download.Limits{Spare: 1}})
				require.NoError(t, err)
				get := func(from string) job.Outcome {
					out, err := Run(t.Context(), Config{}, target, Job{ID: "1", Command: download.Command(from), Timeout: time.Minute})
					require.NoError(t, err)
					return k.Receive(t.Context(), 7, "web01", job.Download{Source: from, Destination: "d"},
						job.Outcome{State: job.Finished, ExitCode: out.ExitCode, Stdout: string(out.Stdout), Stderr: string(out.Stderr)})
				}
				o := get(source)
				require.Equal(t, job.Finished, o.State, "%s", o.Results)
				require.Contains(t, string(o.Results), "/7/d/web01/it's")
				o = get(source + "/none")
				require.Equal(t, job.Failed, o.State)
				require.Contains(t, string(o.Results), "there is no such file or directory")
				empty(t, s)
			})
		}
	}
}

// TestTransportReceives: who asked for it gets what a command wrote, and the sink
// what he makes of it.
func TestTransportReceives(t *testing.T) {
	s := serve(t)
	tr, k := transport(t, s)
	r := request("command", "run", `{"command":"echo out; echo err >&2; exit 3"}`)
	r.Receive = func(_ context.Context, o job.Outcome) job.Outcome {
		require.Equal(t, job.Outcome{State: job.Finished, ExitCode: 3, Stdout: "out\n", Stderr: "err\n"}, o)
		return job.Outcome{State: job.Failed, Results: []byte(`{"a":1}`)}
	}
	require.NoError(t, tr.Start(t.Context(), r))
	<-k.began
	require.Equal(t, told{outcome: job.Outcome{State: job.Failed, Results: []byte(`{"a":1}`)}}, <-k.ended)
}
