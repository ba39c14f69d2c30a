package ssh

import (
	"context"
	"crypto/rand"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dalang/orchestrator/agentless"
	"dalang/orchestrator/ssh/sshtest"
)

// TestHostileTargets: whatever a target does, its run ends soon after its time,
// and leaves nothing behind here (TestMain looks).
func TestHostileTargets(t *testing.T) {
	for name, c := range map[string]struct {
		manner sshtest.Manner
		code   string
	}{
		"silent":   {sshtest.Silent, agentless.CodeConnect},
		"garbage":  {sshtest.Garbage, agentless.CodeConnect},
		"deaf":     {sshtest.Deaf, agentless.CodeConnect},
		"mute":     {sshtest.Mute, agentless.CodeConnect},
		"endless":  {sshtest.Endless, agentless.CodeOutput},
		"hangs up": {sshtest.HangsUp, agentless.CodeConnect},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := server{sshtest.New(t, sshtest.Config{Manner: func(string) sshtest.Manner { return c.manner }})}
			target := s.target()
			target.ConnectTimeout = time.Second
			ended := make(chan error, 1)
			go func() {
				_, err := Run(context.WithoutCancel(t.Context()), Config{MaxOutput: 1000, stallTime: time.Second, cleanTime: time.Second}, target, Job{ID: "1", Command: "true", Timeout: time.Minute})
				ended <- err
			}()
			select {
			case err := <-ended:
				var e *Error
				require.ErrorAs(t, err, &e)
				require.Equal(t, c.code, e.Code, e.Msg)
				require.Less(t, len(e.Msg), 500)
			case <-time.After(30 * time.Second):
				s.HangUp()
				t.Fatal("it waits for ever")
			}
			empty(t, s)
		})
	}
}

// TestBrokenConnection: what a run left whose connection broke is deleted over
// another connection, and what runs is ended; where that cannot be had, the
// directory is told.
func TestBrokenConnection(t *testing.T) {
	s := serve(t)
	run := func(broken func()) (Outcome, error) {
		type end struct {
			out Outcome
			err error
		}
		ended := make(chan end, 1)
		began := make(chan struct{})
		go func() {
			out, err := Run(context.WithoutCancel(t.Context()), Config{}, s.target(), Job{ID: "1", Command: slow, Began: func() { close(began) }})
			ended <- end{out, err}
		}()
		<-began
		require.Eventually(t, func() bool { _, err := os.Stat(filepath.Join(s.Home, "began")); return err == nil }, 10*time.Second, 5*time.Millisecond)
		broken()
		e := <-ended
		return e.out, e.err
	}
	out, err := run(s.HangUp)
	var e *Error
	require.ErrorAs(t, err, &e)
	require.Contains(t, e.Msg, "was lost")
	require.Empty(t, out.Left)
	empty(t, s)
	gone(t, filepath.Join(s.Home, "child"))

	require.NoError(t, os.Remove(filepath.Join(s.Home, "began")))
	out, err = run(func() {
		s.Refuse()
		s.HangUp()
	})
	require.ErrorAs(t, err, &e)
	require.Equal(t, filepath.Join(s.Home, "dalang-1"), out.Left)
	pid, err := os.ReadFile(filepath.Join(out.Left, "pid"))
	require.NoError(t, err)
	group, err := strconv.Atoi(strings.TrimSpace(string(pid)))
	require.NoError(t, err)
	session, err := syscall.Getpgid(group)
	require.NoError(t, err)
	require.NoError(t, syscall.Kill(-session, syscall.SIGKILL))
}

// TestCommandLines: the words of commands and their variables are in no
// process's arguments on the target.
func TestCommandLines(t *testing.T) {
	s := serve(t)
	word := rand.Text()
	out, err := Run(t.Context(), Config{}, s.target(), Job{ID: "1",
		Command: `A='` + word + `'; export A; case $(cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\0' ' ') in *"$A"*) echo bad ;; *"cat /proc/"*) echo good ;; esac; exit 4`})
	require.NoError(t, err)
	require.Equal(t, "good\n", string(out.Stdout))
	require.Equal(t, 4, out.ExitCode)
	out, err = Run(t.Context(), Config{}, s.target(), Job{ID: "2", Command: "if"})
	require.NoError(t, err)
	require.Equal(t, 2, out.ExitCode, "%s", out.Stderr)
	require.Contains(t, strings.ToLower(string(out.Stderr)), "syntax error")
	empty(t, s)
}
