package schedule_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dalang/orchestrator/job"
	"dalang/orchestrator/schedule"
)

// kind wants an error of the API.
func kind(t *testing.T, want string, err error) {
	t.Helper()
	var e *job.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, "puppetlabs.orchestrator/"+want, e.Kind)
}

func TestCreate(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		l := w.begin(nil)
		ctx, ann := t.Context(), w.operator("ann")
		_, err := l.Create(ctx, ann, w.entry(-time.Second, time.Hour))
		kind(t, "invalid-time", err)
		_, err = l.Create(ctx, w.user("viewer", "orchestrator:view:*"), w.entry(time.Hour, 0))
		kind(t, "not-permitted", err)
		group := w.entry(time.Hour, 0)
		group.Input = json.RawMessage(`{"scope":{"node_group":"00000000-0000-4000-8000-000000000001"}}`)
		_, err = l.Create(ctx, ann, group)
		kind(t, "not-permitted", err)
		for _, other := range []schedule.Type{schedule.Task, schedule.Plan} {
			e := w.entry(time.Hour, 0)
			e.Type = other
			_, err = l.Create(ctx, ann, e)
			kind(t, "validation-error", err)
			require.ErrorContains(t, err, "cannot run a "+string(other)+" on a schedule; it can run: deploy")
		}
		_, total, err := l.Entries(ctx, schedule.Filter{})
		require.NoError(t, err)
		require.Zero(t, total)
		require.Equal(t, int64(1), l.add(t, ann, w.entry(0, 0)), "now is not the past")
	})
}

func TestChange(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		l, begin := w.start(), w.now()
		defer l.stop()
		ctx, ann, bob := t.Context(), w.operator("ann"), w.operator("bob")
		id := l.add(t, ann, w.entry(time.Minute, time.Hour))
		describe := func(e *schedule.Entry) error { e.Description = "other"; return nil }
		kind(t, "not-permitted", l.Change(ctx, bob, id, describe))
		kind(t, "not-permitted", l.Disable(ctx, bob, id))
		kind(t, "not-permitted", l.Delete(ctx, bob, id))
		kind(t, "unknown-job", l.Change(ctx, ann, 99, describe))
		kind(t, "unknown-job", l.Delete(ctx, ann, 99))
		require.Equal(t, "why", w.get(id).Description)

		pass(time.Minute)
		next := w.get(id).Next
		require.NoError(t, l.Change(ctx, ann, id, describe))
		require.Equal(t, "other", w.get(id).Description)
		require.Equal(t, next, w.get(id).Next, "what it is due at has nothing to do with that")

		require.NoError(t, l.Change(ctx, ann, id, func(e *schedule.Entry) error { e.Grid.Interval = time.Minute; return nil }))
		require.Equal(t, 2*time.Minute, w.get(id).Next.Sub(begin), "the old start, another interval")
		pass(time.Minute)
		require.Equal(t, []int{60, 120}, w.times(begin))
		past := func(e *schedule.Entry) error { e.Grid.Start = begin.Add(90 * time.Second).UTC(); return nil }
		kind(t, "invalid-time", l.Change(ctx, ann, id, past))
		kind(t, "invalid-time", l.Change(ctx, ann, id, func(e *schedule.Entry) error { e.Grid.Interval = 0; return nil }))
		require.NoError(t, l.Change(ctx, ann, id, func(e *schedule.Entry) error {
			e.Grid = schedule.Grid{Start: begin.Add(10 * time.Minute).UTC()}
			return nil
		}))
		pass(10 * time.Minute)
		require.Equal(t, []int{60, 120, 600}, w.times(begin))

		// Who may change everybody's must be permitted to run what it becomes.
		kind(t, "not-permitted", l.Change(ctx, w.user("editor", "orchestrator:view:*", "scheduled_jobs:edit:*"), id, describe))
		chief := w.user("chief", "orchestrator:view:*", "scheduled_jobs:edit:*", "puppet_agent:run:*")
		require.NoError(t, l.Change(ctx, chief, id, describe))
		require.Equal(t, "ann", w.get(id).OwnerLogin, "and it stays whose it is")
	})
}

// TestDisable: once that is answered, nothing starts any more, not even what
// was due and is being submitted.
func TestDisable(t *testing.T) {
	for name, end := range map[string]func(t *testing.T, l *life, id int64){
		"disable": func(t *testing.T, l *life, id int64) {
			require.NoError(t, l.Disable(t.Context(), l.janitor, id))
		},
		"delete": func(t *testing.T, l *life, id int64) {
			require.NoError(t, l.Delete(t.Context(), l.janitor, id))
		},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				l := w.start()
				defer l.stop()
				l.janitor = w.user("janitor", "scheduled_jobs:delete:*")
				ann := w.operator("ann")
				id := l.add(t, ann, w.entry(time.Minute, time.Minute))
				hang := make(chan struct{})
				w.hangOn(hang)
				pass(time.Minute)
				end(t, l, id)
				close(hang)
				pass(5 * time.Minute)
				require.Empty(t, w.jobs())
				if name == "delete" {
					_, err := l.Entry(t.Context(), id)
					kind(t, "unknown-job", err)
					require.Contains(t, w.String(), "schedule deleted")
					require.Equal(t, int64(2), l.add(t, ann, w.entry(time.Minute, 0)), "ids are not used again")
					return
				}
				e := w.get(id)
				require.False(t, e.Enabled)
				require.True(t, e.Next.IsZero())
				kind(t, "disabled-scheduled-job", l.Disable(t.Context(), ann, id))
				kind(t, "disabled-scheduled-job", l.Change(t.Context(), ann, id, func(e *schedule.Entry) error { e.Description = ""; return nil }))
				require.Contains(t, w.String(), "msg=\"schedule disabled\"")
				require.Contains(t, w.String(), "by=janitor")
			})
		})
	}
}
