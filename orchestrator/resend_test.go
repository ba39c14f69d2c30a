package orchestrator_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"dalang/orchestrator"
	"dalang/orchestrator/job"
)

// limited deploys with a timeout.
func (l *life) limited(certnames string, seconds int64) int64 {
	l.world.t.Helper()
	return l.deploy(certnames, func(d *job.Deploy) { d.Timeout = &seconds })
}

// TestResentAfterItsTimeout: a request that got lost is sent again after a
// restart, longer after its claim than a run may take. That run has its time.
func TestResentAfterItsTimeout(t *testing.T) {
	inWorld(t, "a b", func(t *testing.T, w *world) {
		for _, a := range w.agents {
			a.deaf, a.takes = true, 10*time.Second
		}
		w.agents["b"].takes = time.Minute
		l := w.start(nil)
		id := l.limited("a b", 15)
		pass(5 * time.Second)
		require.Equal(t, "a ready, b ready: running", w.states(id))
		l.stop()
		pass(16 * time.Second)
		for _, a := range w.agents {
			a.deaf = false
		}
		l = w.start(nil)
		defer l.stop()
		pass(time.Second)
		require.Equal(t, "a running, b running: running", w.states(id))
		require.Equal(t, 15*time.Second, w.agents["a"].asked[1].Timeout)
		pass(11 * time.Second)
		require.Equal(t, "a finished, b running: running", w.states(id))
		pass(4 * time.Second)
		require.Equal(t, "a finished, b errored: failed", w.states(id), "15 s after it was sent again")
		require.Equal(t, []string{"node_running a", "node_running b", "node_finished a", "node_errored b", "job_finished"}, w.events(id))
		require.Equal(t, "a b", w.ran())
		pass(time.Minute)
	})
}

// TestConfirmedKeepsItsTimeout: a run that the last life knew of has its time
// from when it began, however often the server starts.
func TestConfirmedKeepsItsTimeout(t *testing.T) {
	inWorld(t, "a b", func(t *testing.T, w *world) {
		w.agents["a"].takes, w.agents["b"].takes = 20*time.Minute, 20*time.Minute
		l := w.start(nil)
		id := l.limited("a", 600)
		late := l.limited("b", 600)
		for range 3 {
			pass(2 * time.Minute)
			l.stop()
			l = w.start(nil)
		}
		pass(3 * time.Minute)
		require.Equal(t, "a running: running", w.states(id))
		l.stop()
		pass(2 * time.Minute)
		l = w.start(nil)
		defer l.stop()
		pass(time.Second)
		require.Equal(t, "a errored: failed", w.states(id))
		require.Equal(t, "Error running puppet on a: the run did not end within 10m0s", w.node(id, "a").Message)
		require.Equal(t, "b errored: failed", w.states(late))
		require.Equal(t, "a b", w.ran())
		pass(20 * time.Minute)
	})
}

// TestHandedBackForLong: a request that its transport gave back waits for a
// slot longer than a run may take. Its run has its time; but one that cannot be
// sent within Config.ResendWithin is never sent.
func TestHandedBackForLong(t *testing.T) {
	inWorld(t, "a b", func(t *testing.T, w *world) {
		w.agents["a"].takes, w.agents["b"].takes = 10*time.Second, 50*time.Minute
		l := w.start(func(c *orchestrator.Config) { c.Compiles = 1 })
		defer l.stop()
		back := func() int64 {
			id := l.limited("a", 15)
			w.connect("a", false)
			l.engine.Error("a", w.node(id, "a").TransactionID, job.ErrNotConnected)
			synctest.Wait()
			return id
		}
		again := func() {
			pass(2 * time.Second)
			w.connect("a", true)
		}
		id := back()
		slow := l.deploy("b", nil)
		again()
		pass(40 * time.Minute)
		require.Equal(t, "a ready: running", w.states(id), "it waits for a slot")
		require.Equal(t, "b", w.ran())
		pass(10*time.Minute + 20*time.Second)
		require.Equal(t, "b finished: finished", w.states(slow))
		require.Equal(t, "a finished: finished", w.states(id))

		w.agents["b"].takes = 59 * time.Minute
		id = back()
		l.deploy("b", nil)
		again()
		pass(59 * time.Minute)
		require.Equal(t, "a running: running", w.states(id))
		pass(time.Minute)
		require.Equal(t, "a finished: finished", w.states(id))

		w.agents["b"].takes = 2 * time.Hour
		id = back()
		l.deploy("b", func(d *job.Deploy) { limit := int64(7000); d.Timeout = &limit })
		again()
		pass(2 * time.Hour)
		require.Equal(t, "a errored: failed", w.states(id))
		require.Equal(t, "Error running puppet on a: the request could not be sent within 1h0m0s", w.node(id, "a").Message)
		require.Equal(t, []string{"node_errored a", "job_finished"}, w.events(id))
		require.Equal(t, 2, w.agents["a"].ran)
		pass(time.Hour)
	})
}

// counting counts how often whole jobs are read.
type counting struct {
	orchestrator.Database
	whole atomic.Int32
}

func (c *counting) WholeJob(ctx context.Context, id int64) (*job.Job, []job.Node, []job.Edge, error) {
	c.whole.Add(1)
	return c.Database.WholeJob(ctx, id)
}

// TestStopEnded: to stop a job that has ended costs one look at it.
func TestStopEnded(t *testing.T) {
	inWorld(t, "a", func(t *testing.T, w *world) {
		c := &counting{Database: w.store}
		l := w.start(func(cfg *orchestrator.Config) { cfg.Database = c })
		defer l.stop()
		id := l.deploy("a nobody", nil)
		pass(2 * time.Minute)
		events := w.events(id)
		c.whole.Store(0) // it may have been made while the engine looked for open jobs
		for _, force := range []bool{false, true} {
			counts, err := l.engine.Stop(t.Context(), id, force)
			require.NoError(t, err)
			require.Equal(t, job.Counts{job.Finished: 1, job.Errored: 1}, counts)
		}
		require.Zero(t, c.whole.Load())
		require.Equal(t, events, w.events(id))
	})
}

// TestSettledByReport: a run that its report ends is over for the transport,
// too, whose agent may never say another word. What it says is dropped.
func TestSettledByReport(t *testing.T) {
	inWorld(t, "a b c", func(t *testing.T, w *world) {
		for _, a := range w.agents {
			a.reports, a.mute = true, true
		}
		l := w.start(nil)
		defer l.stop()
		id := l.deploy("a b", nil)
		pass(2 * time.Minute)
		require.Equal(t, "a finished, b finished: finished", w.states(id))
		events := w.events(id)
		for _, certname := range []string{"a", "b"} {
			n := w.node(id, certname)
			require.NotEmpty(t, n.ReportHash)
			require.Equal(t, []uuid.UUID{n.TransactionID}, w.agents[certname].stopped)
			l.engine.Result(certname, n.TransactionID, job.Outcome{State: job.Failed})
			pass(time.Second)
			require.Equal(t, n, w.node(id, certname))
		}
		require.Equal(t, events, w.events(id))

		w.agents["c"].mute = false // it says how it ended in the same moment
		id = l.deploy("c", nil)
		pass(2 * time.Minute)
		require.Equal(t, []string{"node_running c", "node_finished c", "job_finished"}, w.events(id))
		require.NotEmpty(t, w.node(id, "c").ReportHash)
	})
}

// late is a database in which a job is made while the last life's are read.
type late struct {
	orchestrator.Database
	read func()
}

func (d *late) OpenJobs(ctx context.Context) ([]int64, error) {
	d.read()
	return d.Database.OpenJobs(ctx)
}

// TestRescued: jobs that the start finds are taken up once, also those that
// were made meanwhile, and nothing is remembered of how they came.
func TestRescued(t *testing.T) {
	inWorld(t, "a b", func(t *testing.T, w *world) {
		w.agents["b"].takes = time.Hour
		var jobs []int64
		for range 3 {
			j, err := w.store.CreateJob(t.Context(), draft("b"))
			require.NoError(t, err)
			jobs = append(jobs, j.ID)
		}
		var l *life
		made := make(chan struct{})
		reading := make(chan struct{})
		l = w.start(func(c *orchestrator.Config) {
			c.Compiles, c.Database = 10, &late{w.store, func() { close(reading); <-made }}
		})
		defer l.stop()
		<-reading
		id, err := l.engine.Submit(t.Context(), nil, draft("a"))
		require.NoError(t, err)
		close(made)
		pass(2 * time.Minute)
		require.Equal(t, "a finished: finished", w.states(id))
		require.Equal(t, 1, w.agents["a"].ran)
		require.Equal(t, "b running: running", w.states(jobs[2]))
		require.Zero(t, l.engine.Early())
		require.Len(t, w.events(id), 3)
		pass(time.Hour)
		require.Equal(t, 3, w.agents["b"].ran)
	})
}
