package storetest

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"dalang/orchestrator/job"
	"dalang/orchestrator/schedule"
)

func testSchedules(t *testing.T, open Open) {
	t.Run("entries", func(t *testing.T) { testScheduledJobs(t, start(t, open, nil)) })
	t.Run("lists", func(t *testing.T) { testScheduledLists(t, start(t, open, nil)) })
	t.Run("claims", func(t *testing.T) { testClaims(t, start(t, open, nil)) })
	t.Run("settling", func(t *testing.T) { testSettling(t, start(t, open, nil)) })
	t.Run("resuming", func(t *testing.T) { testResuming(t, start(t, open, nil)) })
	t.Run("history", func(t *testing.T) { testFiringHistory(t, start(t, open, nil)) })
}

// entry is a schedule that begins so long after the suite's present.
func (b *bench) entry(after, interval time.Duration) *schedule.Entry {
	e := &schedule.Entry{Type: schedule.Deploy, Enabled: true, Environment: "production", Description: "d", Input: json.RawMessage(`{"scope":{"nodes":["a"]}}`),
		Userdata: json.RawMessage(`{"u":1}`), Owner: json.RawMessage(`{"login":"ann"}`), OwnerID: uuid.MustParse("751a8f7e-b53a-4ccd-9f4f-e93db6aa38ec"),
		OwnerLogin: "ann", Grid: schedule.Grid{Start: b.now.Add(after), Interval: interval}, Created: b.now, Changed: b.now}
	e.Next = e.Grid.Begin(b.now)
	return e
}

func (b *bench) addEntry(e *schedule.Entry) int64 {
	b.t.Helper()
	id, err := b.AddScheduledJob(b.t.Context(), e)
	require.NoError(b.t, err)
	return id
}

func (b *bench) getEntry(id int64) *schedule.Entry {
	b.t.Helper()
	e, err := b.ScheduledJob(b.t.Context(), id)
	require.NoError(b.t, err)
	return e
}

// due claims what is due so long after the suite's present.
func (b *bench) due(after time.Duration) ([]schedule.Firing, time.Time) {
	b.t.Helper()
	claimed, next, err := b.ClaimDue(b.t.Context(), b.now.Add(after))
	require.NoError(b.t, err)
	return claimed, next
}

func testScheduledJobs(t *testing.T, b *bench) {
	ctx := t.Context()
	e := b.entry(time.Hour, time.Minute)
	e.Name, e.Sealed = "package", []byte{0, 1}
	e.ID = b.addEntry(e)
	require.Equal(t, int64(1), e.ID)
	require.Equal(t, e, b.getEntry(1))
	_, err := b.ScheduledJob(ctx, 2)
	require.Equal(t, schedule.Unknown(2), err)

	want := *e
	want.Enabled, want.Environment, want.Description, want.Name, want.Input, want.Sealed = false, "test", "x", "y", json.RawMessage(`{}`), nil
	want.Userdata, want.Grid, want.Next, want.Changed = json.RawMessage(`{"v":2}`), schedule.Grid{Start: b.now}, time.Time{}, b.now.Add(time.Second)
	require.NoError(t, b.ChangeScheduledJob(ctx, 1, func(got *schedule.Entry) error {
		require.Equal(t, e, got)
		*got = want
		got.OwnerLogin, got.Type, got.Created = "stays", schedule.Plan, time.Time{}
		return nil
	}))
	require.Equal(t, &want, b.getEntry(1))
	stop := errors.New("stop")
	require.ErrorIs(t, b.ChangeScheduledJob(ctx, 1, func(got *schedule.Entry) error { got.Description = "z"; return stop }), stop)
	require.ErrorIs(t, b.ChangeScheduledJob(ctx, 2, func(*schedule.Entry) error { return nil }), schedule.Unknown(2))
	require.ErrorIs(t, b.DeleteScheduledJob(ctx, 1, func(*schedule.Entry) error { return stop }), stop)
	require.Equal(t, &want, b.getEntry(1))
	require.NoError(t, b.DeleteScheduledJob(ctx, 1, func(*schedule.Entry) error { return nil }))
	require.ErrorIs(t, b.DeleteScheduledJob(ctx, 1, func(*schedule.Entry) error { return nil }), schedule.Unknown(1))
	require.Equal(t, int64(2), b.addEntry(b.entry(0, 0)), "ids are not used again")
}

func testScheduledLists(t *testing.T, b *bench) {
	for _, c := range []struct {
		after              time.Duration
		kind               schedule.Type
		environment, login string
		enabled            bool
	}{
		{3 * time.Hour, schedule.Task, "b", "zoe", true},
		{time.Hour, schedule.Deploy, "c", "ann", true},
		{2 * time.Hour, schedule.Plan, "a", "mia", true},
		{4 * time.Hour, schedule.Task, "b", "bob", false},
	} {
		e := b.entry(c.after, 0)
		e.Type, e.Environment, e.OwnerLogin, e.Enabled = c.kind, c.environment, c.login, c.enabled
		if !c.enabled {
			e.Next = time.Time{}
		}
		b.addEntry(e)
	}
	for name, c := range map[string]struct {
		filter schedule.Filter
		want   []int64
		total  int
	}{
		"all":                {schedule.Filter{}, []int64{1, 2, 3, 4}, 4},
		"next":               {schedule.Filter{OrderBy: "next_run_time"}, []int64{2, 3, 1, 4}, 4},
		"next, descending":   {schedule.Filter{OrderBy: "next_run_time", Desc: true}, []int64{1, 3, 2, 4}, 4},
		"start":              {schedule.Filter{OrderBy: "scheduled_time", Desc: true}, []int64{4, 1, 3, 2}, 4},
		"environment":        {schedule.Filter{OrderBy: "environment"}, []int64{3, 1, 4, 2}, 4},
		"owner":              {schedule.Filter{OrderBy: "owner"}, []int64{2, 4, 3, 1}, 4},
		"name, descending":   {schedule.Filter{OrderBy: "name", Desc: true}, []int64{4, 3, 2, 1}, 4},
		"type":               {schedule.Filter{OrderBy: "type"}, []int64{2, 3, 1, 4}, 4},
		"of a type":          {schedule.Filter{Type: schedule.Task}, []int64{1, 4}, 2},
		"of a type, enabled": {schedule.Filter{Type: schedule.Task, Enabled: true}, []int64{1}, 1},
		"a part":             {schedule.Filter{OrderBy: "name", Limit: 2, Offset: 1}, []int64{2, 3}, 4},
	} {
		t.Run(name, func(t *testing.T) {
			list, total, err := b.ScheduledJobs(t.Context(), c.filter)
			require.NoError(t, err)
			var ids []int64
			for _, e := range list {
				ids = append(ids, e.ID)
			}
			require.Equal(t, c.want, ids)
			require.Equal(t, c.total, total)
		})
	}
	for _, order := range schedule.Orders() {
		_, _, err := b.ScheduledJobs(t.Context(), schedule.Filter{OrderBy: order})
		require.NoError(t, err)
	}
	_, _, err := b.ScheduledJobs(t.Context(), schedule.Filter{OrderBy: "id; DROP TABLE scheduled_job"})
	require.Error(t, err)
}

func testClaims(t *testing.T, b *bench) {
	claimed, next := b.due(0)
	require.Empty(t, claimed)
	require.True(t, next.IsZero())
	every, once := b.addEntry(b.entry(time.Hour, time.Hour)), b.addEntry(b.entry(90*time.Minute, 0))
	claimed, next = b.due(time.Hour - time.Millisecond)
	require.Empty(t, claimed)
	require.Equal(t, b.now.Add(time.Hour), next)

	claimed, next = b.due(time.Hour)
	first := schedule.Firing{ID: 1, Entry: every, Due: b.now.Add(time.Hour), Instant: b.now.Add(time.Hour), Claimed: b.now.Add(time.Hour)}
	require.Equal(t, []schedule.Firing{first}, claimed)
	require.Equal(t, b.now.Add(90*time.Minute), next)
	require.Equal(t, b.now.Add(2*time.Hour), b.getEntry(every).Next)
	require.Nil(t, b.getEntry(every).Last, "an open firing is no result")
	claimed, _ = b.due(time.Hour)
	require.Empty(t, claimed, "nothing is claimed twice")

	claimed, next = b.due(3*time.Hour + time.Minute)
	require.Equal(t, []schedule.Firing{{ID: 2, Entry: once, Due: b.now.Add(90 * time.Minute), Instant: b.now.Add(90 * time.Minute),
		Claimed: b.now.Add(3*time.Hour + time.Minute)}}, claimed, "the other one has an open firing already")
	require.Equal(t, b.now.Add(4*time.Hour), next)
	require.True(t, b.getEntry(once).Next.IsZero())
	first.Instant = b.now.Add(3 * time.Hour)
	all, err := b.OpenFirings(t.Context())
	require.NoError(t, err)
	require.Equal(t, []schedule.Firing{first, claimed[0]}, all)
}

func testSettling(t *testing.T, b *bench) {
	ctx := t.Context()
	ids := []int64{b.addEntry(b.entry(0, 0)), b.addEntry(b.entry(0, 0)), b.addEntry(b.entry(0, 0)), b.addEntry(b.entry(0, 0))}
	claimed, _ := b.due(0)
	require.Len(t, claimed, 4)
	draft := func(firing int64) *job.Draft {
		return &job.Draft{Firing: firing, Job: job.Job{Type: job.TypeDeploy}, Nodes: []job.Node{{Certname: "a", Transport: "pcp"}}}
	}
	refused := func(firing int64) {
		t.Helper()
		before := b.count("job")
		_, err := b.CreateJob(ctx, draft(firing))
		require.ErrorIs(t, err, job.ErrSettled)
		require.Equal(t, before, b.count("job"), "and there is no job")
	}
	b.now = b.now.Add(time.Second)
	j, err := b.CreateJob(ctx, draft(claimed[0].ID))
	require.NoError(t, err)
	f := claimed[0]
	f.Settled, f.Job = b.now, j.ID
	require.Equal(t, &f, b.getEntry(ids[0]).Last)
	refused(f.ID)
	require.NoError(t, b.SettleFiring(ctx, f.ID, b.now, job.Query("no")))
	require.Equal(t, &f, b.getEntry(ids[0]).Last, "what is settled stays")

	f = claimed[1]
	why := job.EmptyTarget(map[string]any{"node_group": "x"}, "nobody")
	require.NoError(t, b.SettleFiring(ctx, f.ID, b.now, why))
	f.Settled, f.Error = b.now, &job.Error{Kind: why.Kind, Msg: "nobody", Details: map[string]any{"node_group": "x"}}
	require.Equal(t, &f, b.getEntry(ids[1]).Last)
	refused(f.ID)

	require.NoError(t, b.ChangeScheduledJob(ctx, ids[2], func(e *schedule.Entry) error { e.Enabled = false; return nil }))
	refused(claimed[2].ID)
	require.NoError(t, b.DeleteScheduledJob(ctx, ids[3], func(*schedule.Entry) error { return nil }))
	refused(claimed[3].ID)
	require.NoError(t, b.SettleFiring(ctx, claimed[3].ID, b.now, why), "it is gone")
	open, err := b.OpenFirings(ctx)
	require.NoError(t, err)
	require.Len(t, open, 1)
}

func testResuming(t *testing.T, b *bench) {
	ctx := t.Context()
	fired, never, once := b.addEntry(b.entry(time.Hour, time.Hour)), b.addEntry(b.entry(50*time.Hour, time.Hour)), b.addEntry(b.entry(9*time.Hour, 0))
	claimed, _ := b.due(time.Hour)
	require.NoError(t, b.SettleFiring(ctx, claimed[0].ID, b.now, job.Query("no")))
	resume := func(after time.Duration) int {
		t.Helper()
		n, err := b.ResumeSchedules(ctx, b.now.Add(after))
		require.NoError(t, err)
		return n
	}
	require.Zero(t, resume(time.Hour), "nothing has happened")
	require.Zero(t, resume(0), "the instant after the last firing it is, whatever the clock")
	b.due(1000*time.Hour + time.Minute) // a future that proves false
	require.Equal(t, b.now.Add(1001*time.Hour), b.getEntry(fired).Next)
	require.Equal(t, 2, resume(90*time.Minute))
	require.Equal(t, b.now.Add(3*time.Hour), b.getEntry(fired).Next, "after the instant that was fired for in that future")
	require.Equal(t, b.now.Add(51*time.Hour), b.getEntry(never).Next)
	require.True(t, b.getEntry(once).Next.IsZero())
	require.Zero(t, resume(90*time.Minute))
}

func testFiringHistory(t *testing.T, b *bench) {
	ctx := t.Context()
	id, other := b.addEntry(b.entry(0, time.Minute)), b.addEntry(b.entry(0, 0))
	for i := range 105 {
		claimed, _ := b.due(time.Duration(i) * time.Minute)
		for _, f := range claimed {
			require.NoError(t, b.SettleFiring(ctx, f.ID, b.now, job.Query("%d", i)))
		}
	}
	list, err := b.ScheduledFirings(ctx, id)
	require.NoError(t, err)
	require.Len(t, list, 100, "no more are kept")
	require.Equal(t, "104", list[99].Error.Msg)
	require.Equal(t, list[99], *b.getEntry(id).Last)
	require.Equal(t, 1, len(list[0].Error.Msg))
	require.NotNil(t, b.getEntry(other).Last)
}
