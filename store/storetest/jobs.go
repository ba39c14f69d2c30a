package storetest

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"dalang/orchestrator/job"
)

// newJob stores a deploy of nodes; an edge is "a>b": a ahead of b.
func (b *bench) newJob(nodes string, edges ...string) *job.Job {
	b.t.Helper()
	d := &job.Draft{Job: job.Job{Type: job.TypeDeploy, Environment: "production", Options: json.RawMessage(`{"noop":false}`),
		Owner: json.RawMessage(`{"id":"x","login":"brian"}`), OwnerLogin: "brian", Timeout: time.Hour, Concurrency: 3}}
	for _, n := range strings.Fields(nodes) {
		d.Nodes = append(d.Nodes, job.Node{Certname: n, Transport: "pcp"})
	}
	for _, e := range edges {
		before, after, _ := strings.Cut(e, ">")
		d.Edges = append(d.Edges, job.Edge{Before: before, After: after})
	}
	j, err := b.CreateJob(context.Background(), d)
	require.NoError(b.t, err)
	return j
}

// transaction is the transaction of a node's run in these tests.
func transaction(id int64, certname string) uuid.UUID {
	return uuid.NewSHA1(uuid.NameSpaceDNS, fmt.Append(nil, id, certname))
}

// moveOf is the usual move of a node from one state to another.
func moveOf(id int64, certname string, from, to job.State) job.NodeMove {
	m := job.NodeMove{JobID: id, Certname: certname, From: from, To: to, Event: job.NodeEvent(to), Message: certname + " " + string(to)}
	if to == job.Ready || from != job.New {
		m.TransactionID, m.Fingerprint = transaction(id, certname), "f"
	}
	return m
}

// changeJobs applies a batch a second later.
func (b *bench) changeJobs(batch job.Batch) *job.Applied {
	b.t.Helper()
	b.now = b.now.Add(time.Second)
	batch.At = b.now
	applied, err := b.ChangeJobs(context.Background(), &batch)
	require.NoError(b.t, err)
	return applied
}

// walk moves a node through states; each move has to happen.
func (b *bench) walk(id int64, certname string, states ...job.State) *job.Applied {
	b.t.Helper()
	var applied *job.Applied
	for i := 1; i < len(states); i++ {
		applied = b.changeJobs(job.Batch{Nodes: []job.NodeMove{moveOf(id, certname, states[i-1], states[i])}})
		require.Equal(b.t, []bool{true}, applied.Nodes, "%s to %s", certname, states[i])
	}
	return applied
}

// events are the job's events, as type and certname.
func (b *bench) events(id int64) []string {
	b.t.Helper()
	events, err := b.JobEvents(context.Background(), id, 0, 0)
	require.NoError(b.t, err)
	list := []string{}
	for _, e := range events {
		list = append(list, strings.TrimSpace(e.Type+" "+e.Certname))
	}
	return list
}

func (b *bench) job(id int64) *job.Job {
	b.t.Helper()
	j, err := b.Job(context.Background(), id)
	require.NoError(b.t, err)
	return j
}

// jobNode is one node of a job.
func (b *bench) jobNode(id int64, certname string) job.Node {
	b.t.Helper()
	nodes, _, _, err := b.JobNodes(context.Background(), id, job.NodeFilter{})
	require.NoError(b.t, err)
	for _, n := range nodes {
		if n.Certname == certname {
			return n
		}
	}
	b.t.Fatalf("no node %s", certname)
	return job.Node{}
}

func testJobs(t *testing.T, open Open) {
	t.Run("create", func(t *testing.T) { testCreateJob(t, start(t, open, nil)) })
	t.Run("moves", func(t *testing.T) { testMoves(t, start(t, open, nil)) })
	t.Run("every move", func(t *testing.T) { testEveryMove(t, start(t, open, nil)) })
	t.Run("stop", func(t *testing.T) { testStopJob(t, start(t, open, nil)) })
	t.Run("abort", func(t *testing.T) {
		b := start(t, open, nil)
		j := b.newJob("a")
		batch := job.Batch{Nodes: []job.NodeMove{moveOf(j.ID, "a", job.New, job.Errored)}, Abort: []job.Abort{{JobID: j.ID, Why: "x"}}}
		applied := b.changeJobs(batch)
		require.Equal(t, []job.State{job.Failed}, applied.Jobs[j.ID].Moved)
		require.Equal(t, []string{"node_errored a", "job_aborted"}, b.events(j.ID), "and no job_finished")
		require.Equal(t, []bool{false}, b.changeJobs(batch).Nodes)
		require.Len(t, b.events(j.ID), 2)
	})
	t.Run("lists", func(t *testing.T) { testJobLists(t, start(t, open, nil)) })
	t.Run("prune", func(t *testing.T) { testPruneJobs(t, start(t, open, nil)) })
}

func testCreateJob(t *testing.T, b *bench) {
	j := b.newJob("c a b", "a>b", "a>b", "b>c")
	require.Equal(t, int64(1), j.ID)
	read := b.job(j.ID)
	require.Equal(t, j.Spans, read.Spans)
	require.Equal(t, job.Ready, read.State)
	require.Equal(t, job.Counts{job.New: 3}, read.Nodes)
	require.Equal(t, Day(today), read.Created)
	require.Equal(t, time.Hour, read.Timeout)
	require.JSONEq(t, `{"noop":false}`, string(read.Options))
	whole, nodes, edges, err := b.WholeJob(t.Context(), j.ID)
	require.NoError(t, err)
	require.Equal(t, read, whole)
	require.Equal(t, []job.Edge{{Before: "a", After: "b"}, {Before: "b", After: "c"}}, edges)
	var names []string
	for i, n := range nodes {
		require.Equal(t, i, n.Position)
		require.Equal(t, job.New, n.State)
		require.Equal(t, "pcp", n.Transport)
		require.JSONEq(t, "{}", string(n.Details))
		names = append(names, n.Certname)
	}
	require.Equal(t, []string{"c", "a", "b"}, names)
	_, err = b.CreateJob(t.Context(), &job.Draft{})
	require.ErrorContains(t, err, "no nodes")
	_, err = b.CreateJob(t.Context(), &job.Draft{Job: job.Job{Type: "nonsense"}, Nodes: nodes})
	require.Error(t, err)
	require.Equal(t, 1, b.count("job"), "nothing stays of it")
	require.Equal(t, 3, b.count("job_node"))
	_, err = b.Job(t.Context(), 99)
	require.ErrorIs(t, err, job.UnknownJob(0))
}

func testMoves(t *testing.T, b *bench) {
	j := b.newJob("a b")
	applied := b.walk(j.ID, "a", job.New, job.Ready)
	require.Equal(t, job.Standing{State: job.Running, Nodes: job.Counts{job.New: 1, job.Ready: 1}, Moved: []job.State{job.Running}}, applied.Jobs[j.ID])
	n := b.jobNode(j.ID, "a")
	require.Equal(t, transaction(j.ID, "a"), n.TransactionID)
	require.Equal(t, b.now, n.SentAt)
	require.Zero(t, n.LatestEvent)

	again := b.changeJobs(job.Batch{Nodes: []job.NodeMove{moveOf(j.ID, "a", job.New, job.Ready)}})
	require.Equal(t, []bool{false}, again.Nodes, "a move happens once")
	other := moveOf(j.ID, "a", job.Ready, job.Running)
	other.TransactionID = transaction(99, "a")
	require.Equal(t, []bool{false}, b.changeJobs(job.Batch{Nodes: []job.NodeMove{other}}).Nodes, "another transaction moves nothing")

	b.walk(j.ID, "a", job.Ready, job.Running)
	started := b.now
	done := moveOf(j.ID, "a", job.Running, job.Finished)
	done.Detail, done.Result, done.Details, done.TransactionUUID = json.RawMessage(`{"noop":true}`), json.RawMessage(`{"x":1}`), json.RawMessage(`{"metrics":{}}`), "uuid"
	applied = b.changeJobs(job.Batch{Nodes: []job.NodeMove{done}})
	require.Empty(t, applied.Jobs[j.ID].Moved)
	n = b.jobNode(j.ID, "a")
	require.Equal(t, started, n.Started)
	require.Equal(t, b.now, n.Finished)
	require.JSONEq(t, `{"x":1}`, string(n.Result))
	require.Equal(t, "uuid", n.TransactionUUID)
	require.Equal(t, "a finished", n.Message)
	require.Equal(t, int64(2), n.LatestEvent)

	b.walk(j.ID, "b", job.New, job.Errored)
	read := b.job(j.ID)
	require.Equal(t, job.Failed, read.State)
	require.Equal(t, b.now, read.Finished)
	require.Equal(t, read.Finished, read.Timestamp)
	require.Equal(t, job.Counts{job.Finished: 1, job.Errored: 1}, read.Nodes)
	require.Equal(t, []string{"node_running a", "node_finished a", "node_errored b", "job_finished"}, b.events(j.ID))
	var states []job.State
	for i, span := range read.Spans {
		states = append(states, span.State)
		if i > 0 {
			require.Equal(t, read.Spans[i-1].Exit, span.Enter)
		}
	}
	require.Equal(t, []job.State{job.New, job.Ready, job.Running, job.Failed}, states)
	require.True(t, read.Spans[3].Exit.IsZero())
	events, err := b.JobEvents(t.Context(), j.ID, 2, 2)
	require.NoError(t, err)
	require.Len(t, events, 2)
	require.JSONEq(t, `{"node":"a","detail":{"noop":true}}`, string(events[0].Details))
	require.JSONEq(t, `{"node":"b","detail":{}}`, string(events[1].Details))
	events, err = b.JobEvents(t.Context(), j.ID, 4, 0)
	require.NoError(t, err)
	require.JSONEq(t, `{"state":"failed","job":"1"}`, string(events[0].Details))
}

// testEveryMove: the store makes the moves of the table and no others.
func testEveryMove(t *testing.T, b *bench) {
	events := []string{"", job.NodeRunning, job.NodeFinished, job.NodeFailed, job.NodeErrored, job.NodeSkipped}
	for _, from := range job.NodeStates() {
		j := b.jobWith(from)
		for _, to := range job.NodeStates() {
			for _, event := range events {
				m := moveOf(j.ID, "a", from, to)
				m.Event = event
				applied, err := b.ChangeJobs(t.Context(), &job.Batch{At: b.now, Nodes: []job.NodeMove{m}})
				if !job.Allowed(job.OfNode, from, to, event) {
					require.ErrorContains(t, err, "no move", "%s to %s %s", from, to, event)
					continue
				}
				require.NoError(t, err)
				require.Equal(t, []bool{true}, applied.Nodes)
				require.Equal(t, to, b.jobNode(j.ID, "a").State)
				j = b.jobWith(from)
			}
		}
	}
}

// jobWith is a job of nodes a and b whose a is in a state.
func (b *bench) jobWith(state job.State) *job.Job {
	b.t.Helper()
	j := b.newJob("a b")
	way := map[job.State][]job.State{
		job.Ready: {job.Ready}, job.Running: {job.Ready, job.Running}, job.Finished: {job.Ready, job.Running, job.Finished},
		job.Failed: {job.Ready, job.Running, job.Failed}, job.Errored: {job.Errored}, job.Skipped: {job.Skipped}, job.Stopped: {job.Stopped},
	}[state]
	b.walk(j.ID, "a", append([]job.State{job.New}, way...)...)
	require.Equal(b.t, state, b.jobNode(j.ID, "a").State)
	return j
}

func testStopJob(t *testing.T, b *bench) {
	j := b.newJob("a b c")
	b.walk(j.ID, "a", job.New, job.Ready, job.Running)
	stop := job.Batch{Stop: []int64{j.ID}, Nodes: []job.NodeMove{moveOf(j.ID, "b", job.New, job.Stopped)}}
	require.Equal(t, []job.State{job.Stopping}, b.changeJobs(stop).Jobs[j.ID].Moved)
	again := b.changeJobs(stop)
	require.Empty(t, again.Jobs[j.ID].Moved)
	require.Equal(t, job.Stopping, again.Jobs[j.ID].State)
	require.Equal(t, []bool{false}, b.changeJobs(job.Batch{Nodes: []job.NodeMove{moveOf(j.ID, "c", job.New, job.Ready)}}).Nodes, "no node starts any more")
	b.walk(j.ID, "c", job.New, job.Stopped)
	b.walk(j.ID, "a", job.Running, job.Finished)
	require.Equal(t, []string{"node_running a", "job_stopping", "node_skipped b", "node_skipped c", "node_finished a", "job_finished"}, b.events(j.ID))
	require.Equal(t, job.Stopped, b.job(j.ID).State)
	require.Equal(t, job.Stopped, b.changeJobs(stop).Jobs[j.ID].State)
	require.Len(t, b.events(j.ID), 6)

	forced := b.newJob("a b")
	b.walk(forced.ID, "a", job.New, job.Ready, job.Running)
	abandon := moveOf(forced.ID, "a", job.Running, job.Stopped)
	abandon.Event = job.NodeErrored
	applied := b.changeJobs(job.Batch{Stop: []int64{forced.ID}, Nodes: []job.NodeMove{moveOf(forced.ID, "b", job.New, job.Stopped), abandon}})
	require.Equal(t, []job.State{job.Stopping, job.Stopped}, applied.Jobs[forced.ID].Moved)
	require.Equal(t, []string{"node_running a", "job_stopping", "node_skipped b", "node_errored a", "job_finished"}, b.events(forced.ID))
}

func testJobLists(t *testing.T, b *bench) {
	first, second, third := b.newJob("a"), b.newJob("b a c"), b.newJob("a")
	b.walk(first.ID, "a", job.New, job.Ready, job.Running, job.Finished)
	finished := b.now
	b.walk(third.ID, "a", job.New, job.Errored)
	ids := func(f job.Filter) (list []int64) {
		jobs, total, err := b.Jobs(t.Context(), f)
		require.NoError(t, err)
		for _, j := range jobs {
			list = append(list, j.ID)
			require.Equal(t, []any{j.NodeCount, b.job(j.ID).Spans}, []any{j.Nodes.Total(), j.Spans})
		}
		if f.Limit == 0 && f.Offset == 0 {
			require.Len(t, jobs, total)
		}
		return list
	}
	for _, test := range []struct {
		filter job.Filter
		want   []int64
	}{
		{job.Filter{}, []int64{3, 2, 1}},
		{job.Filter{Limit: 2}, []int64{3, 2}},
		{job.Filter{Limit: 1, Offset: 1}, []int64{2}},
		{job.Filter{OrderBy: "name"}, []int64{1, 2, 3}},
		{job.Filter{OrderBy: "name", Desc: true, Offset: 2}, []int64{1}},
		{job.Filter{OrderBy: "state"}, []int64{3, 1, 2}},
		{job.Filter{OrderBy: "timestamp"}, []int64{2, 1, 3}},
		{job.Filter{OrderBy: "owner", Desc: true}, []int64{3, 2, 1}},
		{job.Filter{Type: job.TypeTask}, nil},
		{job.Filter{Type: job.TypeDeploy, State: job.Ready}, []int64{2}},
		{job.Filter{Task: "x"}, nil},
		{job.Filter{MinFinished: finished}, []int64{3, 1}},
		{job.Filter{MaxFinished: finished}, []int64{1}},
		{job.Filter{MinFinished: finished, MaxFinished: finished.Add(-time.Millisecond)}, nil},
	} {
		require.Equal(t, test.want, ids(test.filter), "%+v", test.filter)
	}
	_, _, err := b.Jobs(t.Context(), job.Filter{OrderBy: "x; DROP TABLE job"})
	require.ErrorContains(t, err, "no order by")
	open, err := b.OpenJobs(t.Context())
	require.NoError(t, err)
	require.Equal(t, []int64{second.ID}, open)

	b.walk(second.ID, "a", job.New, job.Ready, job.Running)
	b.now = b.now.Add(time.Minute)
	b.walk(second.ID, "c", job.New, job.Ready, job.Running, job.Failed)
	names := func(f job.NodeFilter) (list string) {
		nodes, total, next, err := b.JobNodes(t.Context(), second.ID, f)
		require.NoError(t, err)
		require.Positive(t, total)
		require.Positive(t, next)
		for _, n := range nodes {
			list += n.Certname
		}
		return list
	}
	for _, test := range []struct {
		filter job.NodeFilter
		want   string
	}{
		{job.NodeFilter{}, "bac"},
		{job.NodeFilter{Limit: 5, Offset: 1}, "ac"},
		{job.NodeFilter{OrderBy: "name"}, "abc"},
		{job.NodeFilter{State: job.Running}, "a"},
		{job.NodeFilter{OrderBy: "start_timestamp", Desc: true}, "cab"},
		{job.NodeFilter{OrderBy: "finish_timestamp", Desc: true, Limit: 1}, "c"},
		{job.NodeFilter{OrderBy: "duration"}, "bca"},
		{job.NodeFilter{OrderBy: "state"}, "cba"}, // failed, new, running
	} {
		require.Equal(t, test.want, names(test.filter), "%+v", test.filter)
	}
	_, _, _, err = b.JobNodes(t.Context(), 99, job.NodeFilter{})
	require.ErrorIs(t, err, job.UnknownJob(0))
	_, err = b.JobEvents(t.Context(), 99, 0, 0)
	require.ErrorIs(t, err, job.UnknownJob(0))
	_, _, next, err := b.JobNodes(t.Context(), b.newJob("a").ID, job.NodeFilter{})
	require.NoError(t, err)
	require.Equal(t, int64(1), next, "a job without events")
}

func testPruneJobs(t *testing.T, b *bench) {
	old, running := b.newJob("a b", "a>b"), b.newJob("a")
	b.walk(old.ID, "a", job.New, job.Ready, job.Running, job.Failed)
	b.walk(old.ID, "b", job.New, job.Skipped)
	b.walk(running.ID, "a", job.New, job.Ready, job.Running)
	pruned, err := b.PruneJobs(t.Context(), b.job(old.ID).Finished)
	require.NoError(t, err)
	require.Zero(t, pruned, "not before its time")
	b.now = b.now.AddDate(1, 0, 0)
	latest := b.newJob("a")
	b.walk(latest.ID, "a", job.New, job.Errored)
	pruned, err = b.PruneJobs(t.Context(), b.now.AddDate(0, -1, 0))
	require.NoError(t, err)
	require.Equal(t, int64(1), pruned, "what runs stays, however old")
	require.Equal(t, []string{"2", "3"}, b.rows("SELECT id FROM job ORDER BY id"))
	for _, table := range []string{"job_node", "job_edge", "job_event", "job_span"} {
		require.Zero(t, b.count(fmt.Sprintf("%s WHERE job_id = %d", table, old.ID)), table)
	}
	require.Zero(t, b.count("pruned_job"))
	pruned, err = b.PruneJobs(t.Context(), b.now.AddDate(0, 0, 1))
	require.NoError(t, err)
	require.Equal(t, int64(1), pruned)
	require.Equal(t, int64(4), b.newJob("a").ID, "a name is never used again")
}
