package orchestrator_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"dalang/orchestrator"
	"dalang/orchestrator/job"
	"dalang/orchestrator/pxp"
)

func TestDeploy(t *testing.T) {
	inWorld(t, "a b c", func(t *testing.T, w *world) {
		w.agents["b"].ends = job.Failed
		w.agents["c"].refuses = job.NodeError("puppetlabs.pxp-agent/execution-error", "c", "no puppet here")
		l := w.start(nil)
		defer l.stop()
		id := l.deploy("a b c a", func(d *job.Deploy) { d.Noop = true })
		require.Equal(t, "a ready, b ready, c ready: running", w.states(id))
		pass(time.Second)
		require.Equal(t, "a running, b running, c errored: running", w.states(id))
		pass(time.Minute)
		require.Equal(t, "a finished, b failed, c errored: failed", w.states(id))
		require.Equal(t, []string{"node_running a", "node_running b", "node_errored c", "node_finished a", "node_failed b", "job_finished"}, w.events(id))
		require.Equal(t, "a b", w.ran())

		a := w.node(id, "a")
		require.Equal(t, "Finished puppet run on a - Success!", a.Message)
		require.Equal(t, time.Minute, a.Finished.Sub(a.Started))
		require.Equal(t, uuidOf(a.TransactionID), a.TransactionUUID)
		require.JSONEq(t, fmt.Sprintf(`{"hash":null,"transaction_uuid":%q,"noop":{"noop":true,"no_noop":false},"status":"changed","environment":"production",
			"configuration_version":null,"metrics":{"total":7,"changed":2,"failed":0,"skipped":0,"restarted":0,"failed_to_restart":0,"scheduled":0,
			"out_of_sync":0,"corrective_change":0}}`, a.TransactionUUID), string(a.Result))
		require.Contains(t, string(a.Details), `"metrics":{`)
		events, err := w.store.JobEvents(t.Context(), id, a.LatestEvent, 1)
		require.NoError(t, err)
		var details struct{ Detail struct{ Noop bool } }
		require.NoError(t, json.Unmarshal(events[0].Details, &details))
		require.True(t, details.Detail.Noop)

		require.Equal(t, "Finished puppet run on b - Failed!", w.node(id, "b").Message)
		c := w.node(id, "c")
		require.Equal(t, "Error running puppet on c: no puppet here", c.Message)
		require.JSONEq(t, `{"kind":"puppetlabs.pxp-agent/execution-error","msg":"no puppet here","details":{"node":"c"}}`, string(c.Result))
		require.JSONEq(t, `{"detail":`+string(c.Result)+`}`, string(c.Details))
	})
}

// TestDeployThatNobodyCanBeAsked: what no agent takes is refused, and nothing of
// it stored, also where its environment is not known.
func TestDeployThatNobodyCanBeAsked(t *testing.T) {
	inWorld(t, "a", func(t *testing.T, w *world) {
		l := w.start(func(c *orchestrator.Config) { c.PuppetRun = pxp.PuppetRun })
		defer l.stop()
		word, tags := "random", "a;b"
		for key, d := range map[string]job.Deploy{
			"ordering": {Environment: "random", EnforceEnvironment: true, Ordering: &word},
			"tags":     {Environment: "nowhere", Tags: &tags},
		} {
			d.Scope = job.Scope{Nodes: []string{"a"}}
			_, err := l.engine.Deploy(t.Context(), nil, d)
			var refused *job.Error
			require.ErrorAs(t, err, &refused)
			require.Equal(t, "puppetlabs.orchestrator/validation-error 400 "+key, fmt.Sprint(refused.Kind, " ", refused.Status, " ", refused.Details["key"]))
		}
		_, total, err := w.store.Jobs(t.Context(), job.Filter{})
		require.NoError(t, err)
		require.Zero(t, total)
		id := l.deploy("a", func(d *job.Deploy) { d.Environment, d.Ordering = "random", &word })
		pass(2 * time.Minute)
		require.Equal(t, "a finished: finished", w.states(id), "it is not enforced")
		require.JSONEq(t, `{"flags":["--ordering","random"],"job":"1"}`, string(w.agents["a"].asked[0].Params))
	})
}

// TestForeignWords: only the node that was asked may speak of a transaction,
// and what comes when a run is over changes nothing.
func TestForeignWords(t *testing.T) {
	inWorld(t, "a b", func(t *testing.T, w *world) {
		l := w.start(nil)
		defer l.stop()
		id := l.deploy("a", nil)
		transaction := w.node(id, "a").TransactionID
		failed := job.Outcome{State: job.Failed}
		l.engine.Result("b", transaction, failed)
		l.engine.Result("a", uuid.New(), failed)
		l.engine.Provisional("b", transaction)
		l.engine.Error("b", transaction, job.ErrNotConnected)
		pass(2 * time.Minute)
		require.Equal(t, "a finished: finished", w.states(id))
		l.engine.Result("a", transaction, failed)
		l.engine.Provisional("a", transaction)
		l.engine.Error("a", transaction, job.ErrUnknownTransaction)
		pass(time.Second)
		require.Equal(t, []string{"node_running a", "node_finished a", "job_finished"}, w.events(id))
	})
}

// TestReadOnce: what all nodes of a job are asked is made once.
func TestReadOnce(t *testing.T) {
	inWorld(t, many(20), func(t *testing.T, w *world) {
		w.agents["n01"].reports = true
		var made atomic.Int32
		l := w.start(func(c *orchestrator.Config) {
			c.PuppetRun = func(d job.Deploy, name string) (json.RawMessage, error) {
				made.Add(1)
				return pxp.PuppetRun(d, name)
			}
		})
		defer l.stop()
		id := l.deploy(many(20), func(d *job.Deploy) { d.NoNoop = true })
		pass(10 * time.Minute)
		require.Equal(t, 20, strings.Count(w.states(id), "finished,")+strings.Count(w.states(id), "finished:"))
		require.Equal(t, int32(2), made.Load(), "the other time it is only looked whether it can be")
		for certname, a := range w.agents {
			require.JSONEq(t, `{"flags":["--no-noop"],"job":"1"}`, string(a.asked[0].Params))
			require.Contains(t, string(w.node(id, certname).Result), `"no_noop":true`)
		}
	})
}

func many(n int) string {
	var list []string
	for i := range n {
		list = append(list, fmt.Sprintf("n%02d", i))
	}
	return strings.Join(list, " ")
}

func TestCaps(t *testing.T) {
	inWorld(t, many(12), func(t *testing.T, w *world) {
		l := w.start(func(c *orchestrator.Config) { c.Compiles = 5 })
		defer l.stop()
		id := l.deploy(many(12), func(d *job.Deploy) { require.NoError(t, json.Unmarshal([]byte(`"1-3"`), &d.Concurrency)) })
		for range 4 {
			pass(time.Second)
			require.Equal(t, 3, w.atWork(), "the job's own cap")
			pass(time.Minute)
		}
		j, err := w.store.Job(t.Context(), id)
		require.NoError(t, err)
		require.Equal(t, job.Finished, j.State)

		first, second := l.deploy(many(12), nil), l.deploy(many(12), nil)
		for range 4 {
			pass(time.Second)
			require.Equal(t, 5, w.atWork(), "the cap of all jobs")
			pass(time.Minute)
		}
		pass(time.Minute)
		for _, id := range []int64{first, second} {
			j, err := w.store.Job(t.Context(), id)
			require.NoError(t, err)
			require.Equal(t, job.Finished, j.State)
		}
	})
}

// TestFairness: a job of one node does not wait for one of many.
func TestFairness(t *testing.T) {
	inWorld(t, many(12)+" small tiny", func(t *testing.T, w *world) {
		l := w.start(func(c *orchestrator.Config) { c.Compiles = 2 })
		defer l.stop()
		big := l.deploy(many(12), nil)
		small, tiny := l.deploy("small", nil), l.deploy("tiny", nil)
		require.Equal(t, "small new: ready", w.states(small))
		pass(62 * time.Second)
		require.Equal(t, "small running: running", w.states(small), "the first that ends makes room for the next job")
		require.Equal(t, "tiny running: running", w.states(tiny))
		pass(62 * time.Second)
		require.Equal(t, "small finished: finished", w.states(small))
		require.Equal(t, 4, strings.Count(w.states(big), "finished")+strings.Count(w.states(big), "n02 running")+strings.Count(w.states(big), "n03 running"))
		pass(6 * time.Minute)
		require.Equal(t, many(12)+" small tiny", w.ran())
	})
}

func TestAbsence(t *testing.T) {
	inWorld(t, "a b c", func(t *testing.T, w *world) {
		w.agents["a"].connected, w.agents["b"].connected = false, false
		l := w.start(func(c *orchestrator.Config) { c.Compiles = 1 })
		defer l.stop()
		id := l.deploy("a b c", nil)
		require.Equal(t, "a new, b new, c ready: running", w.states(id), "who is not there holds no slot")
		pass(20 * time.Second)
		w.connect("b", true)
		synctest.Wait()
		require.Equal(t, "a new, b new, c running: running", w.states(id))
		pass(11 * time.Second)
		require.Equal(t, "a errored, b new, c running: running", w.states(id), "30 s after its turn")
		require.Equal(t, "Error running puppet on a: the node is not connected", w.node(id, "a").Message)
		w.connect("a", true)
		pass(30 * time.Second)
		require.Equal(t, "a errored, b running, c finished: running", w.states(id))
		w.connect("b", false) // the transport looks after it
		pass(30 * time.Second)
		w.connect("b", true)
		pass(40 * time.Second)
		require.Equal(t, "b c", w.ran())
		require.Equal(t, "a errored, b finished, c finished: failed", w.states(id))
	})
}

// TestHandedBack: an agent that goes between the claim and the sending comes
// back to the same transaction; the slot is free meanwhile.
func TestHandedBack(t *testing.T) {
	inWorld(t, "a b", func(t *testing.T, w *world) {
		l := w.start(func(c *orchestrator.Config) { c.Compiles = 1 })
		defer l.stop()
		id := l.deploy("a b", nil)
		transaction := w.node(id, "a").TransactionID
		w.connect("a", false)
		l.engine.Error("a", transaction, job.ErrNotConnected)
		synctest.Wait()
		require.Equal(t, "a ready, b ready: running", w.states(id))
		pass(10 * time.Second)
		w.connect("a", true)
		pass(time.Minute)
		require.Equal(t, "a running, b finished: running", w.states(id))
		pass(time.Minute)
		require.Equal(t, transaction, w.node(id, "a").TransactionID)
		require.Equal(t, "a b", w.ran())

		again := l.deploy("a b", nil)
		w.connect("a", false)
		l.engine.Error("a", w.node(again, "a").TransactionID, job.ErrNotConnected)
		pass(time.Second)
		counts, err := l.engine.Stop(t.Context(), again, false)
		require.NoError(t, err)
		require.Equal(t, job.Counts{job.Stopped: 1, job.Running: 1}, counts, "its request never left")
		w.connect("a", true)
		pass(2 * time.Minute)
		require.Equal(t, "a stopped, b finished: stopped", w.states(again))
	})
}

// TestBackAlready: a request is given back after its agent has come again.
func TestBackAlready(t *testing.T) {
	inWorld(t, "a", func(t *testing.T, w *world) {
		l := w.start(nil)
		defer l.stop()
		id := l.deploy("a", nil)
		transaction := w.node(id, "a").TransactionID
		w.connect("a", false)
		pass(time.Second) // the request is lost
		w.connect("a", true)
		pass(time.Second)
		l.engine.Error("a", transaction, job.ErrNotConnected)
		pass(2 * time.Minute)
		require.Equal(t, "a finished: finished", w.states(id))
		require.Equal(t, "a", w.ran())
	})
}

func TestNodeTimeout(t *testing.T) {
	inWorld(t, "a b", func(t *testing.T, w *world) {
		w.agents["a"].takes = 3 * time.Hour
		w.agents["b"].mute = true
		l := w.start(nil)
		id := l.deploy("a", nil)
		limit := int64(600)
		short := l.deploy("b", func(d *job.Deploy) { d.Timeout = &limit })
		pass(599 * time.Second)
		require.Equal(t, "b running: running", w.states(short))
		pass(time.Second)
		require.Equal(t, "b errored: failed", w.states(short))
		require.Equal(t, "Error running puppet on b: the run did not end within 10m0s", w.node(short, "b").Message)
		pass(time.Hour)
		require.Equal(t, "a errored: failed", w.states(id))
		require.Equal(t, []uuid.UUID{w.node(id, "a").TransactionID}, w.agents["a"].stopped)
		pass(3 * time.Hour)
		require.Equal(t, "a errored: failed", w.states(id), "what comes later changes nothing")
		l.stop()
	})
}

// TestStop is the sequence of orchestrator.md §10.5.
func TestStop(t *testing.T) {
	inWorld(t, many(10), func(t *testing.T, w *world) {
		l := w.start(nil)
		defer l.stop()
		_, err := l.engine.Stop(t.Context(), 99, true)
		require.ErrorIs(t, err, job.UnknownJob(0))
		id := l.deploy(many(10), func(d *job.Deploy) { d.Concurrency.Max = 2 })
		pass(time.Second)
		stop := func(force bool) job.Counts {
			counts, err := l.engine.Stop(t.Context(), id, force)
			require.NoError(t, err)
			return counts
		}
		require.Equal(t, job.Counts{job.Running: 2, job.Stopped: 8}, stop(false))
		events := w.events(id)
		require.Equal(t, []string{"node_running n00", "node_running n01", "job_stopping", "node_skipped n02"}, events[:4])
		require.Equal(t, job.Counts{job.Running: 2, job.Stopped: 8}, stop(false))
		require.Equal(t, events, w.events(id))
		require.Equal(t, job.Counts{job.Stopped: 10}, stop(true))
		events = w.events(id)
		require.Equal(t, []string{"node_errored n00", "node_errored n01", "job_finished"}, events[len(events)-3:])
		require.Contains(t, string(w.node(id, "n00").Result), "puppetlabs.orchestrator/force-stopped")
		require.Contains(t, string(w.node(id, "n05").Details), "job stopped")
		require.Equal(t, job.Counts{job.Stopped: 10}, stop(true))
		pass(2 * time.Minute)
		require.Equal(t, events, w.events(id), "late results are dropped")
		require.Len(t, w.agents["n00"].stopped, 1)

		plain := l.deploy("n00 n01", func(d *job.Deploy) { d.Concurrency.Max = 1 })
		pass(time.Second)
		_, err = l.engine.Stop(t.Context(), plain, false)
		require.NoError(t, err)
		require.Equal(t, "n00 running, n01 stopped: stopping", w.states(plain))
		pass(time.Minute)
		require.Equal(t, "n00 finished, n01 stopped: stopped", w.states(plain))
	})
}

// TestStopMany: more nodes than one transaction takes.
func TestStopMany(t *testing.T) {
	inWorld(t, "", func(t *testing.T, w *world) {
		l := w.start(nil)
		defer l.stop()
		d := &job.Draft{Job: job.Job{Type: job.TypeDeploy, Options: json.RawMessage(`{}`), Timeout: time.Hour}}
		for i := range 1200 {
			d.Nodes = append(d.Nodes, job.Node{Certname: fmt.Sprint("m", i), Transport: "pcp"})
		}
		id, err := l.engine.Submit(t.Context(), nil, d)
		require.NoError(t, err)
		counts, err := l.engine.Stop(t.Context(), id, false)
		require.NoError(t, err)
		require.Equal(t, job.Counts{job.Stopped: 1200}, counts)
		events := w.events(id)
		require.Len(t, events, 1202)
		require.Equal(t, "job_stopping", events[0])
		require.Equal(t, "job_finished", events[1201])
	})
}

func TestOrder(t *testing.T) {
	submit := func(l *life, certnames string, edges ...job.Edge) int64 {
		d := &job.Draft{Job: job.Job{Type: job.TypeDeploy, Options: json.RawMessage(`{}`), Timeout: time.Hour}, Edges: edges}
		for _, certname := range strings.Fields(certnames) {
			d.Nodes = append(d.Nodes, job.Node{Certname: certname, Transport: "pcp"})
		}
		id, err := l.engine.Submit(l.world.t.Context(), nil, d)
		require.NoError(l.world.t, err)
		return id
	}
	inWorld(t, "a b c d e", func(t *testing.T, w *world) {
		l := w.start(nil)
		defer l.stop()
		id := submit(l, "a b c d", job.Edge{Before: "b", After: "a"}, job.Edge{Before: "c", After: "a"}, job.Edge{Before: "d", After: "c"})
		pass(time.Second)
		require.Equal(t, "a new, b running, c new, d running: running", w.states(id))
		pass(time.Minute)
		require.Equal(t, "a new, b finished, c running, d finished: running", w.states(id))
		pass(2 * time.Minute)
		require.Equal(t, "a finished, b finished, c finished, d finished: finished", w.states(id))

		w.agents["d"].ends = job.Failed
		id = submit(l, "a b c d e", job.Edge{Before: "d", After: "c"}, job.Edge{Before: "c", After: "b"}, job.Edge{Before: "d", After: "b"})
		pass(2 * time.Minute)
		require.Equal(t, "a finished, b skipped, c skipped, d failed, e finished: failed", w.states(id))
		require.Equal(t, "Skipped puppet run on b: a node that it depends on did not finish: c", w.node(id, "b").Message)
		require.Contains(t, string(w.node(id, "c").Details), `"details":{"nodes":["d"]}`)
		require.Contains(t, string(w.node(id, "c").Details), "puppetlabs.orchestrator/dependency-failed")

		id = submit(l, "a b", job.Edge{Before: "a", After: "b"})
		pass(time.Second)
		_, err := l.engine.Stop(t.Context(), id, false)
		require.NoError(t, err)
		pass(time.Minute)
		require.Equal(t, "a finished, b stopped: stopped", w.states(id))
	})
}

// TestAbort: a job whose options nobody can read ends at once.
func TestAbort(t *testing.T) {
	inWorld(t, "a b", func(t *testing.T, w *world) {
		_, err := w.store.CreateJob(t.Context(), &job.Draft{Job: job.Job{Type: job.TypeDeploy, Options: json.RawMessage(`{"noop":"x"}`)},
			Nodes: []job.Node{{Certname: "a", Transport: "pcp"}, {Certname: "b", Transport: "smoke"}}})
		require.NoError(t, err)
		_, err = w.store.CreateJob(t.Context(), &job.Draft{Job: job.Job{Type: job.TypeTask}, Nodes: []job.Node{{Certname: "a", Transport: "pcp"}}})
		require.NoError(t, err)
		l := w.start(nil)
		defer l.stop()
		id := l.deploy("a", nil)
		pass(2 * time.Minute)
		require.Equal(t, "a errored, b errored: failed", w.states(1))
		require.Equal(t, []string{"node_errored a", "node_errored b", "job_aborted"}, w.events(1))
		require.Equal(t, "a errored: failed", w.states(2))
		require.Equal(t, "a finished: finished", w.states(id))
		_, err = l.engine.Submit(t.Context(), nil, &job.Draft{Job: job.Job{Type: job.TypePlanWait}})
		require.ErrorContains(t, err, "nothing runs jobs of type")
	})
}

func TestPruning(t *testing.T) {
	inWorld(t, "a", func(t *testing.T, w *world) {
		w.agents["a"].takes = 40 * 24 * time.Hour
		l := w.start(func(c *orchestrator.Config) { c.PruneAfter = time.Hour; c.NodeTimeout = 60 * 24 * time.Hour })
		defer l.stop()
		old := l.deploy("nobody", nil)
		running := l.deploy("a", nil)
		pass(47 * time.Hour)
		require.Equal(t, "nobody errored: failed", w.states(old), "two days are the least")
		pass(3 * time.Hour)
		_, err := w.store.Job(t.Context(), old)
		require.ErrorIs(t, err, job.UnknownJob(0))
		require.Equal(t, "a running: running", w.states(running))
		pass(38 * 24 * time.Hour)
		require.Equal(t, "a finished: finished", w.states(running))
	})
}

func TestConfig(t *testing.T) {
	_, err := orchestrator.New(orchestrator.Config{})
	require.ErrorContains(t, err, "are required")
	_, err = orchestrator.NewScopes(orchestrator.ScopesConfig{})
	require.ErrorContains(t, err, "Querier is required")
}

// gate is a database that commits only while it is open.
type gate struct {
	orchestrator.Database
	open    chan struct{} // holds a value while it is
	commits atomic.Int32
}

func newGate(w *world) *gate {
	g := &gate{Database: w.store, open: make(chan struct{}, 1)}
	g.open <- struct{}{}
	return g
}

func (g *gate) ChangeJobs(ctx context.Context, b *job.Batch) (*job.Applied, error) {
	<-g.open
	defer func() { g.open <- struct{}{} }()
	g.commits.Add(1)
	return g.Database.ChangeJobs(ctx, b)
}

// TestTogether: an agent's word and its report are taken up in one turn, and
// join.
func TestTogether(t *testing.T) {
	inWorld(t, "a b", func(t *testing.T, w *world) {
		w.agents["a"].reports = true
		g := newGate(w)
		l := w.start(func(c *orchestrator.Config) { c.Database = g })
		defer l.stop()
		id := l.deploy("a", nil)
		pass(30 * time.Second)
		require.Equal(t, "a running: running", w.states(id))
		<-g.open
		l.deploy("b", nil)
		pass(time.Minute) // a has reported and ended
		require.Equal(t, "a running: running", w.states(id), "the engine waits for the database")
		before := g.commits.Load()
		g.open <- struct{}{}
		synctest.Wait()
		require.Equal(t, "a finished: finished", w.states(id))
		n := w.node(id, "a")
		require.NotEmpty(t, n.ReportHash)
		require.Equal(t, uuidOf(n.TransactionID), n.TransactionUUID)
		require.Equal(t, []string{"node_running a", "node_finished a", "job_finished"}, w.events(id))
		require.Equal(t, before+2, g.commits.Load(), "that of b, and one of all that a has to say")
		left, err := w.store.JobReports(t.Context(), 1)
		require.NoError(t, err)
		require.Empty(t, left)
	})
}

// TestMany: nodes start a hundred at a time; what those before them say is
// heard in between, and all of them start at once nevertheless.
func TestMany(t *testing.T) {
	all := many(350)
	inWorld(t, all, func(t *testing.T, w *world) {
		for _, a := range w.agents {
			a.far = 0
		}
		g := newGate(w)
		l := w.start(func(c *orchestrator.Config) { c.Database, c.Compiles = g, 1000 })
		defer l.stop()
		id := l.deploy(all, nil)
		require.Equal(t, 350, w.atWork())
		require.GreaterOrEqual(t, g.commits.Load(), int32(4))
		pass(time.Minute)
		j, err := w.store.Job(t.Context(), id)
		require.NoError(t, err)
		require.Equal(t, job.Counts{job.Finished: 350}, j.Nodes)
	})
}

// TestOwnNoop: whether a node only looked is what its report says, not what the
// job said: an agent's own configuration may say noop.
func TestOwnNoop(t *testing.T) {
	inWorld(t, "a b", func(t *testing.T, w *world) {
		l := w.start(nil)
		defer l.stop()
		id := l.deploy("a b", nil)
		pass(2 * time.Minute)
		for _, certname := range []string{"a", "b"} {
			require.Contains(t, string(w.node(id, certname).Result), `"noop":{"no_noop":false,"noop":false}`)
		}
		w.report("a", map[string]string{"job_id": fmt.Sprintf("%q", fmt.Sprint(id)), "noop": "true",
			"transaction_uuid": fmt.Sprintf("%q", w.node(id, "a").TransactionUUID)})
		pass(time.Minute)
		require.Contains(t, string(w.node(id, "a").Result), `"noop":{"no_noop":false,"noop":true}`)
		require.Contains(t, string(w.node(id, "b").Result), `"noop":{"no_noop":false,"noop":false}`)
	})
}
