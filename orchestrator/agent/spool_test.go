package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"dalang/orchestrator/agent/action"
	"dalang/orchestrator/pcp"
)

func newSpool(t *testing.T) *spool {
	s, err := openSpool(filepath.Join(t.TempDir(), "spool"))
	require.NoError(t, err)
	return s
}

// TestAcceptOnce: of many at a time, one takes a transaction.
func TestAcceptOnce(t *testing.T) {
	s := newSpool(t)
	rec := record{Transaction: uuid.NewString(), Module: "command", Action: "run", Notify: true, Accepted: time.Now().UTC()}
	var taken, claimed atomic.Int64
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			e, err := s.accept(rec)
			if err == nil {
				taken.Add(1)
			} else if !errors.Is(err, errKnown) {
				t.Error(err)
			}
			for !e.known() {
			}
			if err = e.claim(process{PID: i + 1}); err == nil {
				claimed.Add(1)
			} else if !errors.Is(err, errClaimed) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	require.Equal(t, int64(1), taken.Load())
	require.Equal(t, int64(1), claimed.Load())
	e := s.entry(rec.Transaction)
	got, err := e.request()
	require.NoError(t, err)
	require.Equal(t, rec, got)
	names, err := os.ReadDir(string(e))
	require.NoError(t, err)
	require.Len(t, names, 2, "nothing temporary is left")

	_, err = e.result()
	require.ErrorIs(t, err, os.ErrNotExist)
	want := action.Result{ExitCode: 2, Stdout: "a", Stderr: "b", Error: "c"}
	require.NoError(t, e.finish(want))
	result, err := e.result()
	require.NoError(t, err)
	require.Equal(t, want, result)
	require.NoError(t, e.tell())
	require.True(t, e.has(toldFile))
	require.NoError(t, e.untell())
	require.False(t, e.has(toldFile))
	require.NoError(t, s.remove(e))
	require.False(t, e.known())
	left, err := os.ReadDir(s.dir)
	require.NoError(t, err)
	require.Empty(t, left)
}

func TestOpenSpool(t *testing.T) {
	s := newSpool(t)
	rec := record{Transaction: uuid.NewString()}
	_, err := s.accept(rec)
	require.NoError(t, err)
	require.NoError(t, os.MkdirAll(filepath.Join(s.dir, tmpPrefix+"1"), 0o700))
	require.NoError(t, os.MkdirAll(filepath.Join(s.dir, "lost+found"), 0o700))
	s, err = openSpool(s.dir)
	require.NoError(t, err)
	require.NoDirExists(t, filepath.Join(s.dir, tmpPrefix+"1"))
	ids, err := s.list()
	require.NoError(t, err)
	require.Equal(t, []string{rec.Transaction}, ids)
}

func TestProcess(t *testing.T) {
	me, err := identify(os.Getpid())
	require.NoError(t, err)
	require.True(t, me.alive())
	other := me
	other.Start++
	require.False(t, other.alive(), "the pid came again")
	other = me
	other.Boot = "before"
	require.False(t, other.alive(), "the machine was restarted")
	cmd := exec.Command("true")
	require.NoError(t, cmd.Start())
	pid := cmd.Process.Pid
	require.Eventually(t, func() bool { _, err := identify(pid); return errors.Is(err, os.ErrNotExist) }, 10*time.Second, time.Millisecond, "a zombie")
	require.NoError(t, cmd.Wait())
	_, err = identify(pid)
	require.ErrorIs(t, err, os.ErrNotExist)
}

// TestResume: every state that a killed agent can leave a transaction in.
func TestResume(t *testing.T) {
	s := set(t)
	cfg := s.config(t)
	sp, err := openSpool(filepath.Join(cfg.Data, "spool"))
	require.NoError(t, err)
	add := func(files func(e entry)) string {
		rec := record{Transaction: uuid.NewString(), Module: "command", Action: "run", Requester: controller, Request: uuid.NewString(), Notify: true}
		e, err := sp.accept(rec)
		require.NoError(t, err)
		files(e)
		return rec.Transaction
	}
	never := add(func(entry) {})
	abandoned := add(func(e entry) { require.NoError(t, e.claim(process{Abandoned: true})) })
	dead := add(func(e entry) { require.NoError(t, e.claim(process{PID: 1 << 22, Boot: "x"})) })
	finished := add(func(e entry) { require.NoError(t, e.finish(action.Result{Stdout: "f"})) })
	told := add(func(e entry) {
		require.NoError(t, e.finish(action.Result{Stdout: "t"}))
		require.NoError(t, e.tell())
	})
	damaged := add(func(e entry) { require.NoError(t, os.WriteFile(e.path(claimFile), []byte("{"), 0o600)) })
	run(t, cfg)
	s.broker.join()
	outcomes := map[string]string{}
	for range 2 {
		m := <-s.broker.came
		var w wire
		require.NoError(t, json.Unmarshal(m.Data, &w))
		outcomes[w.Transaction] = m.Type
	}
	require.Equal(t, map[string]string{dead: pcp.RPCError, finished: pcp.NonBlockingResponse}, outcomes)
	for tx, want := range map[string]string{never: "unknown", abandoned: "unknown", dead: "failure", finished: "success", told: "success", damaged: "failure"} {
		require.Equal(t, want, s.broker.status(tx)["status"])
	}
	s.broker.quiet()
	// What was never begun may be sent again; what is damaged may not run.
	s.broker.command(never, "echo now")
	s.broker.next(pcp.ProvisionalResponse)
	require.Contains(t, string(s.broker.next(pcp.NonBlockingResponse).Data), "now")
	s.broker.command(damaged, "echo now")
	s.broker.next(pcp.ProvisionalResponse)
	s.broker.quiet()
}

// TestWorker: it does nothing without an order, or if it comes too late.
func TestWorker(t *testing.T) {
	s := newSpool(t)
	e, err := s.accept(record{Transaction: uuid.NewString()})
	require.NoError(t, err)
	t.Chdir(string(e))
	mark := filepath.Join(t.TempDir(), "ran")
	o := work{string(e), action.Order{Module: "command", Action: "run", Params: json.RawMessage(`{"command":"touch ` + mark + `"}`),
		Settings: action.Settings{Timeout: time.Minute, MaxOutput: 10, Grace: time.Second}}}
	order, err := json.Marshal(o)
	require.NoError(t, err)
	var problems bytes.Buffer
	require.Equal(t, workerNoOrder, Work(bytes.NewReader(order[:20]), &problems))
	require.Contains(t, problems.String(), "no order")
	require.False(t, e.has(claimFile))
	require.NoError(t, e.claim(process{Abandoned: true}))
	require.Equal(t, workerNotOurs, Work(bytes.NewReader(order), &problems))
	require.Contains(t, problems.String(), "claimed")
	require.NoFileExists(t, mark)

	// It claims a directory that is being removed, and is no transaction's any more.
	require.NoError(t, os.Remove(e.path(claimFile)))
	require.NoError(t, os.Rename(string(e), string(e)+"-moved"))
	require.Equal(t, workerNotOurs, Work(bytes.NewReader(order), &problems))
	require.NoError(t, os.Mkdir(string(e), 0o700))
	require.NoError(t, os.Remove(filepath.Join(string(e)+"-moved", claimFile)))
	require.Equal(t, workerNotOurs, Work(bytes.NewReader(order), &problems))
	require.NoFileExists(t, mark)

	t.Chdir(string(e))
	require.Equal(t, workerDone, Work(bytes.NewReader(order), &problems))
	require.FileExists(t, mark)
	r, err := e.result()
	require.NoError(t, err)
	require.Equal(t, action.Result{}, r)
}

func TestPurge(t *testing.T) {
	s := set(t)
	cfg := s.config(t)
	now := time.Now()
	cfg.Now = func() time.Time { return now.Add(14*24*time.Hour + time.Minute) }
	a, err := New(cfg)
	require.NoError(t, err)
	a.spool = newSpool(t)
	add := func(finished bool, age time.Duration) entry {
		e, err := a.spool.accept(record{Transaction: uuid.NewString(), Notify: true})
		require.NoError(t, err)
		if finished {
			require.NoError(t, e.finish(action.Result{}))
			at := now.Add(-age)
			require.NoError(t, os.Chtimes(e.path(resultFile), at, at))
		}
		return e
	}
	old, young, running := add(true, 0), add(true, -time.Hour), add(false, 0)
	a.ended(a.id(old), old)
	a.purgeOnce()
	require.False(t, old.known())
	require.True(t, young.known())
	require.True(t, running.known())
	require.Empty(t, a.toTell())
	a.purge(func() context.Context { ctx, cancel := context.WithCancel(t.Context()); cancel(); return ctx }())
}
