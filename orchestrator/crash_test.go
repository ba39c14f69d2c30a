package orchestrator_test

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dalang/orchestrator"
	"dalang/orchestrator/job"
)

// mortal is a database whose process dies at its n-th commit: right before
// it, or right after it and before anybody learns of it.
type mortal struct {
	orchestrator.Database
	die func()

	mu      sync.Mutex
	commits int
	at      int // 0: never
	before  bool
	dead    bool
}

// commit does what commits, unless the process dies of it.
func (m *mortal) commit(do func() error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.dead {
		return errDead
	}
	m.commits++
	last := m.commits == m.at
	if !last || !m.before {
		if err := do(); err != nil {
			return err
		}
	}
	if !last {
		return nil
	}
	m.dead = true
	m.die()
	return errDead
}

func (m *mortal) CreateJob(ctx context.Context, d *job.Draft) (j *job.Job, err error) {
	err = m.commit(func() (err error) { j, err = m.Database.CreateJob(ctx, d); return err })
	if err != nil {
		return nil, err
	}
	return j, nil
}

func (m *mortal) ChangeJobs(ctx context.Context, b *job.Batch) (applied *job.Applied, err error) {
	err = m.commit(func() (err error) { applied, err = m.Database.ChangeJobs(ctx, b); return err })
	if err != nil {
		return nil, err
	}
	return applied, nil
}

// startMortal starts a server that dies at its n-th commit.
func (w *world) startMortal(n int, before bool) (*life, *mortal) {
	m := &mortal{Database: w.store, at: n, before: before}
	var l *life
	started := make(chan struct{})
	m.die = func() { <-started; l.kill() }
	l = w.start(func(c *orchestrator.Config) { c.Database, c.Compiles = m, 3 })
	close(started)
	return l, m
}

// story is what happens in a test of crashes.
type story struct {
	name  string
	nodes string
	draft func() *job.Draft
	set   func(w *world)
	// then happens some time after the job was made, whether the server lives or not
	then func(t *testing.T, w *world, l *life)
	want string // states at the end: a regular expression
}

func draft(certnames string, edges ...job.Edge) *job.Draft {
	d := &job.Draft{Job: job.Job{Type: job.TypeDeploy, Options: json.RawMessage(`{}`), Timeout: time.Hour, Concurrency: 2}, Edges: edges}
	for _, certname := range strings.Fields(certnames) {
		d.Nodes = append(d.Nodes, job.Node{Certname: certname, Transport: "pcp"})
	}
	return d
}

func stories() []story {
	return []story{{
		name: "deploy", nodes: "a b c d e f g",
		draft: func() *job.Draft {
			return draft("a b c d e f g", job.Edge{Before: "a", After: "e"}, job.Edge{Before: "b", After: "f"}, job.Edge{Before: "f", After: "g"})
		},
		set: func(w *world) {
			w.agents["b"].ends = job.Failed
			w.agents["c"].connected = false
			w.agents["d"].refuses = job.NodeError("x/y", "d", "no")
		},
		want: "a finished, b failed, c errored, d errored, e finished, f skipped, g skipped: failed",
	}, {
		name: "reports", nodes: "a b c",
		draft: func() *job.Draft { return draft("a b c") },
		set: func(w *world) {
			for _, a := range w.agents {
				a.reports = true
			}
			w.agents["b"].mute = true
		},
		want: "a finished, b finished, c finished: finished",
	}, {
		name: "stop", nodes: "a b c d",
		draft: func() *job.Draft { return draft("a b c d") },
		then: func(t *testing.T, w *world, l *life) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			_, _ = l.engine.Stop(ctx, 1, false) // the client tries again below if the server dies
		},
		// Who had not begun when the server died never does.
		want: "a (finished|stopped), b (finished|stopped), c stopped, d stopped: stopped",
	}, {
		name: "task", nodes: "a b c d",
		draft: func() *job.Draft {
			d := draft("a b c d")
			d.Job.Type, d.Job.Task, d.Job.Sealed = job.TypeTask, "facts", fixed().Seal("job request", []byte(`{"task":"facts","input":{"token":"t0ps3cret"}}`))
			return d
		},
		set: func(w *world) {
			w.agents["b"].ends = job.Failed
			w.agents["c"].connected = false
			w.agents["d"].takes = 100 * time.Second
		},
		want: "a finished, b failed, c errored, d finished: failed",
	}, {
		// The next life begins when every run of the last one would be over.
		name: "short runs", nodes: "a b c d",
		draft: func() *job.Draft {
			d := draft("a b c d", job.Edge{Before: "b", After: "d"})
			d.Job.Timeout = 15 * time.Second
			return d
		},
		set: func(w *world) {
			for _, a := range w.agents {
				a.takes = 10 * time.Second
			}
			w.agents["b"].reports = true
		},
		want: "a finished, b finished, c finished, d finished: finished",
	}}
}

// TestKilledAtEveryCommit runs each story once for each commit that it makes,
// and kills the server right before or right after it. The next server, on the
// same disk, brings it to the same end; every agent ran once.
func TestKilledAtEveryCommit(t *testing.T) {
	for _, s := range stories() {
		t.Run(s.name, func(t *testing.T) {
			for n := 1; ; n++ {
				reached := false
				for _, before := range []bool{true, false} {
					inWorld(t, s.nodes, func(t *testing.T, w *world) { reached = s.play(t, w, n, before) })
					if t.Failed() {
						t.Fatalf("killed at commit %d, before: %t", n, before)
					}
				}
				if !reached {
					require.Greater(t, n, 5, "there was something to kill")
					return
				}
			}
		})
	}
}

// play plays a story in which the server dies at its n-th commit. It is false
// if there were fewer.
func (s *story) play(t *testing.T, w *world, n int, before bool) (reached bool) {
	w.agents["a"].far = 0 // what leaves too early does not get lost
	if s.set != nil {
		s.set(w)
	}
	l, m := w.startMortal(n, before)
	_, err := l.engine.Submit(t.Context(), nil, s.draft())
	if err != nil {
		require.ErrorIs(t, err, errDead)
	}
	pass(30 * time.Second)
	if s.then != nil {
		s.then(t, w, l)
	}
	pass(40 * time.Second) // the first runs are over by now
	for range 8 {
		select {
		case <-l.dead:
			reached = true
		default:
			pass(30 * time.Second)
			continue
		}
		break
	}
	l.stop()
	jobs, _, err := w.store.Jobs(t.Context(), job.Filter{})
	require.NoError(t, err)
	if len(jobs) == 0 { // the client never got an answer, and nothing was stored
		require.Equal(t, 1, n)
		return reached
	}
	s.secondLife(t, w)
	states := w.states(1)
	require.Regexp(t, "^"+s.want+"$", states)
	var ran []string
	for node := range strings.SplitSeq(strings.Split(states, ":")[0], ", ") {
		if certname, state, _ := strings.Cut(node, " "); state == "finished" || state == "failed" {
			ran = append(ran, certname)
		}
	}
	require.Equal(t, strings.Join(ran, " "), w.ran(), "each of them once, and nobody else")
	once(t, w, states)
	require.LessOrEqual(t, m.commits, 40)
	return reached
}

// secondLife is another server; agents find it after a while.
func (s *story) secondLife(t *testing.T, w *world) {
	away := []string{}
	w.mu.Lock()
	for _, a := range w.agents {
		if a.connected {
			a.connected = false
			away = append(away, a.certname)
		}
	}
	w.mu.Unlock()
	l := w.start(func(c *orchestrator.Config) { c.Compiles = 3 })
	pass(5 * time.Second)
	if s.then != nil { // a client that got no answer asks again
		s.then(t, w, l)
	}
	pass(5 * time.Second)
	slices.Sort(away)
	for _, certname := range away {
		w.connect(certname, true)
	}
	pass(10 * time.Minute)
	l.stop()
}

// once looks at the events: a node has run at most once and ended once, and
// the end of the job comes last.
func once(t *testing.T, w *world, states string) {
	t.Helper()
	events := w.events(1)
	ends := map[string]int{}
	seen := map[string]bool{}
	for i, e := range events {
		require.False(t, seen[e], "%s twice in %v", e, events)
		seen[e] = true
		kind, certname, _ := strings.Cut(e, " ")
		if certname == "" {
			require.Equal(t, kind == job.JobFinished, i == len(events)-1, "%v", events)
			continue
		}
		if kind != job.NodeRunning {
			ends[certname]++
			require.Equal(t, strings.Contains(states, certname+" finished") || strings.Contains(states, certname+" failed"),
				seen[job.NodeRunning+" "+certname], "%s: %v", certname, events)
		}
		require.LessOrEqual(t, ends[certname], 1, "%v", events)
	}
	require.Len(t, ends, strings.Count(states, ",")+1)
	require.Equal(t, "job_finished", events[len(events)-1])
	j, err := w.store.Job(t.Context(), 1)
	require.NoError(t, err)
	require.Equal(t, j.NodeCount, j.Nodes.Total())
	for i, span := range j.Spans[:len(j.Spans)-1] {
		require.Equal(t, span.Exit, j.Spans[i+1].Enter)
	}
	require.True(t, j.State.Terminal())
}
