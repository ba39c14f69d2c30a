package storetest

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dalang/orchestrator/job"
)

// newPlan stores a plan job, a second after whatever was before.
func (b *bench) newPlan(plan, login string) *job.PlanJob {
	b.t.Helper()
	b.now = b.now.Add(time.Second)
	p, err := b.CreatePlanJob(context.Background(), &job.PlanJob{Plan: plan, Environment: "production", Options: json.RawMessage(`{"plan_name":"` + plan + `"}`),
		Owner: json.RawMessage(`{"login":"` + login + `"}`), OwnerLogin: login}, 0)
	require.NoError(b.t, err)
	return p
}

func (b *bench) endPlan(id int64, state job.PlanState, result string) bool {
	b.t.Helper()
	b.now = b.now.Add(time.Second)
	ended, err := b.EndPlanJob(context.Background(), id, state, json.RawMessage(result))
	require.NoError(b.t, err)
	return ended
}

func (b *bench) planEvents(id int64) (list []string) {
	b.t.Helper()
	events, err := b.PlanEvents(context.Background(), id, 0, 0)
	require.NoError(b.t, err)
	for _, e := range events {
		require.Equal(b.t, id, e.PlanJob)
		list = append(list, e.Type+" "+string(e.Details))
	}
	return list
}

func testPlans(t *testing.T, open Open) {
	t.Run("life", func(t *testing.T) { testPlanLife(t, start(t, open, nil)) })
	t.Run("interrupt", func(t *testing.T) { testInterruptPlans(t, start(t, open, nil)) })
	t.Run("lists", func(t *testing.T) { testPlanLists(t, start(t, open, nil)) })
	t.Run("prune", func(t *testing.T) { testPrunePlans(t, start(t, open, nil)) })
	t.Run("firing", func(t *testing.T) {
		b := start(t, open, nil)
		_, err := b.CreatePlanJob(t.Context(), &job.PlanJob{Plan: "p"}, 77)
		require.ErrorIs(t, err, job.ErrSettled)
		_, total, err := b.PlanJobs(t.Context(), job.PlanFilter{})
		require.NoError(t, err)
		require.Zero(t, total, "nothing is stored for a firing that is not open")
	})
}

func testPlanLife(t *testing.T, b *bench) {
	p := b.newPlan("canary", "brian")
	require.Equal(t, int64(1), p.ID)
	read, err := b.PlanJob(t.Context(), p.ID)
	require.NoError(t, err)
	require.Equal(t, job.PlanPending, read.State)
	require.Equal(t, b.now, read.Created)
	require.Equal(t, b.now, read.Timestamp)
	require.True(t, read.Started.IsZero() && read.Finished.IsZero() && read.Result == nil)
	require.JSONEq(t, `{"plan_name":"canary"}`, string(read.Options))
	require.JSONEq(t, `{}`, string(read.Userdata))

	b.now = b.now.Add(time.Second)
	begun, err := b.BeginPlanJob(t.Context(), p.ID)
	require.NoError(t, err)
	require.True(t, begun)
	begun, err = b.BeginPlanJob(t.Context(), p.ID)
	require.NoError(t, err)
	require.False(t, begun, "only once")
	j, err := b.CreateJob(t.Context(), &job.Draft{Job: job.Job{Type: job.TypePlanCommand, PlanJob: p.ID, Timeout: time.Hour},
		Nodes: []job.Node{{Certname: "a", Transport: "pcp"}}})
	require.NoError(t, err)
	added, err := b.AddPlanEvent(t.Context(), p.ID, job.EventCommand, json.RawMessage(`{"job-id":"1"}`), "")
	require.NoError(t, err)
	require.True(t, added)
	require.True(t, b.endPlan(p.ID, job.PlanSuccess, `[1]`))
	ended := b.now
	require.False(t, b.endPlan(p.ID, job.PlanFailure, `{}`), "an end is one")
	added, err = b.AddPlanEvent(t.Context(), p.ID, job.EventMessage, nil, "late")
	require.NoError(t, err)
	require.False(t, added)
	_, err = b.EndPlanJob(t.Context(), p.ID, job.PlanRunning, nil)
	require.ErrorContains(t, err, "no end")

	read, err = b.PlanJob(t.Context(), p.ID)
	require.NoError(t, err)
	require.Equal(t, job.PlanSuccess, read.State)
	require.Equal(t, `[1]`, string(read.Result))
	require.Equal(t, ended, read.Timestamp)
	require.Equal(t, ended, read.Finished)
	require.Equal(t, map[int64][]job.Span{j.ID: j.Spans}, read.Steps)
	require.Equal(t, []string{`command_start {"job-id":"1"}`, `plan_finished {"plan-id":"1","result":[1]}`}, b.planEvents(p.ID))
	events, err := b.PlanEvents(t.Context(), p.ID, 2, 0)
	require.NoError(t, err)
	require.Len(t, events, 1)
	_, err = b.PlanJob(t.Context(), 99)
	require.ErrorIs(t, err, job.UnknownPlanJob(99))
	_, err = b.PlanEvents(t.Context(), 99, 0, 0)
	require.ErrorIs(t, err, job.UnknownPlanJob(99))
	added, err = b.AddPlanEvent(t.Context(), 99, job.EventMessage, nil, "")
	require.NoError(t, err)
	require.False(t, added)
}

func testInterruptPlans(t *testing.T, b *bench) {
	pending, running, done := b.newPlan("a", "x"), b.newPlan("b", "x"), b.newPlan("c", "x")
	_, err := b.BeginPlanJob(t.Context(), running.ID)
	require.NoError(t, err)
	require.True(t, b.endPlan(done.ID, job.PlanSuccess, ``))
	ids, err := b.InterruptPlanJobs(t.Context(), json.RawMessage(`{"kind":"k"}`))
	require.NoError(t, err)
	require.Equal(t, []int64{pending.ID, running.ID}, ids)
	for _, id := range ids {
		p, err := b.PlanJob(t.Context(), id)
		require.NoError(t, err)
		require.Equal(t, job.PlanFailure, p.State)
		require.Equal(t, `{"kind":"k"}`, string(p.Result))
		require.Len(t, b.planEvents(id), 1)
	}
	ids, err = b.InterruptPlanJobs(t.Context(), json.RawMessage(`{}`))
	require.NoError(t, err)
	require.Empty(t, ids)
}

func testPlanLists(t *testing.T, b *bench) {
	for _, login := range []string{"c", "a", "b"} {
		b.newPlan("p", login)
	}
	require.True(t, b.endPlan(2, job.PlanSuccess, `"r"`))
	at := b.now
	require.True(t, b.endPlan(3, job.PlanFailure, `{}`))
	for _, c := range []struct {
		f     job.PlanFilter
		ids   []int64
		total int
	}{
		{job.PlanFilter{}, []int64{3, 2, 1}, 3},
		{job.PlanFilter{OrderBy: "owner"}, []int64{2, 3, 1}, 3},
		{job.PlanFilter{OrderBy: "timestamp", Desc: true}, []int64{3, 2, 1}, 3},
		{job.PlanFilter{OrderBy: "state"}, []int64{3, 1, 2}, 3},
		{job.PlanFilter{OrderBy: "name", Limit: 1, Offset: 1}, []int64{2}, 3},
		{job.PlanFilter{OrderBy: "environment"}, []int64{1, 2, 3}, 3},
		{job.PlanFilter{State: job.PlanPending}, []int64{1}, 1},
		{job.PlanFilter{MaxFinished: at}, []int64{2}, 1},
		{job.PlanFilter{MinFinished: at.Add(time.Millisecond), NoResults: true}, []int64{3}, 1},
	} {
		plans, total, err := b.PlanJobs(t.Context(), c.f)
		require.NoError(t, err)
		require.Equal(t, c.total, total)
		ids := []int64{}
		for _, p := range plans {
			ids = append(ids, p.ID)
			require.Equal(t, p.State.Terminal() && !c.f.NoResults, p.Result != nil)
		}
		require.Equal(t, c.ids, ids, "%+v", c.f)
	}
	_, _, err := b.PlanJobs(t.Context(), job.PlanFilter{OrderBy: "id; DROP TABLE job"})
	require.Error(t, err)
}

func testPrunePlans(t *testing.T, b *bench) {
	old, open, late := b.newPlan("a", "x"), b.newPlan("b", "x"), b.newPlan("c", "x")
	require.True(t, b.endPlan(old.ID, job.PlanSuccess, ``))
	cut := b.now.Add(time.Millisecond)
	require.True(t, b.endPlan(late.ID, job.PlanSuccess, ``))
	n, err := b.PrunePlanJobs(t.Context(), cut)
	require.NoError(t, err)
	require.Equal(t, int64(1), n)
	_, err = b.PlanJob(t.Context(), old.ID)
	require.ErrorIs(t, err, job.UnknownPlanJob(0))
	for _, id := range []int64{open.ID, late.ID} {
		_, err = b.PlanJob(t.Context(), id)
		require.NoError(t, err)
	}
	require.Len(t, b.planEvents(late.ID), 1)
	require.Equal(t, 1, b.count("plan_event"))
	require.Zero(t, b.count("pruned_plan_job"))
	require.Greater(t, b.newPlan("d", "x").ID, late.ID, "ids are never used again")
}
