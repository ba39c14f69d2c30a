package schedule_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dalang/orchestrator/job"
	"dalang/orchestrator/rbac"
	"dalang/orchestrator/schedule"
)

// TestOnce: what is due once fires once, as its owner, with all that was asked
// for, and keeps which job that was.
func TestOnce(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		l, begin := w.start(), w.now()
		defer l.stop()
		ann := w.operator("ann")
		id := l.add(t, ann, w.entry(time.Minute, 0))
		e := w.get(id)
		require.Equal(t, e.Grid.Start, e.Next)
		require.Nil(t, e.Last)
		pass(59 * time.Second)
		require.Empty(t, w.jobs())
		pass(time.Second)
		require.Equal(t, []int{60}, w.times(begin))
		j := w.jobs()[0]
		require.Equal(t, "ann", j.OwnerLogin)
		require.Equal(t, "why", j.Description)
		require.JSONEq(t, `{"a":1}`, string(j.Userdata))
		require.Contains(t, string(j.Options), `"noop":true`)
		require.Contains(t, string(j.Options), `"enforce_environment":true`)
		e = w.get(id)
		require.True(t, e.Next.IsZero())
		require.True(t, e.Enabled)
		require.Equal(t, &schedule.Firing{ID: e.Last.ID, Entry: id, Due: e.Grid.Start, Instant: e.Grid.Start, Claimed: e.Grid.Start,
			Settled: e.Last.Settled, Job: j.ID}, e.Last)
		pass(48 * time.Hour)
		require.Len(t, w.jobs(), 1)
		for _, want := range []string{"schedule created", "schedule fired", "by=ann", "job_id=1", "owner=ann"} {
			require.Contains(t, w.String(), want)
		}
	})
}

// TestEvery: the grid stays whatever firings take, and the last result is kept.
func TestEvery(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		l, begin := w.start(), w.now()
		defer l.stop()
		id := l.add(t, w.operator("ann"), w.entry(10*time.Second, time.Minute))
		pass(3*time.Minute + 9*time.Second)
		require.Equal(t, []int{10, 70, 130}, w.times(begin))
		require.Equal(t, int64(3), w.get(id).Last.Job)
		pass(time.Second)
		require.Equal(t, []int{10, 70, 130, 190}, w.times(begin))
	})
}

// TestDowntime: over several instants nothing is made up for: it fires once
// when the server is up, and goes on along the grid.
func TestDowntime(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		begin, ann := w.now(), w.operator("ann")
		l := w.start()
		id := l.add(t, ann, w.entry(time.Minute, time.Minute))
		once := l.add(t, ann, w.entry(2*time.Minute, 0))
		pass(time.Minute)
		l.stop()
		pass(5*time.Minute + 30*time.Second) // over 120 … 360, and once
		require.Equal(t, []int{60}, w.times(begin))
		l = w.start()
		defer l.stop()
		require.Equal(t, []int{60, 390, 390}, w.times(begin))
		last := w.get(id).Last
		require.Equal(t, 2*time.Minute, last.Due.Sub(begin))
		require.Equal(t, 6*time.Minute, last.Instant.Sub(begin))
		require.NotZero(t, w.get(once).Last.Job)
		pass(90 * time.Second)
		require.Equal(t, []int{60, 390, 390, 420, 480}, w.times(begin))
	})
}

// TestClockJumps: ahead is like a downtime; back fires nothing again, and a
// future that proved false is not waited for.
func TestClockJumps(t *testing.T) {
	const hour = time.Hour
	for name, test := range map[string]func(t *testing.T, w *world, l *life, id int64){
		"ahead by two hours": func(t *testing.T, w *world, l *life, id int64) {
			w.jump(2*hour + 30*time.Minute)
			pass(20 * time.Second)
			require.Len(t, w.jobs(), 2, "once, for what was jumped over")
			pass(hour / 2)
			require.Len(t, w.jobs(), 3)
		},
		"back by half a minute": func(t *testing.T, w *world, l *life, id int64) {
			w.jump(-30 * time.Second)
			pass(time.Minute)
			require.Len(t, w.jobs(), 1, "the instant has been fired for")
			pass(hour)
			require.Len(t, w.jobs(), 2)
		},
		"back by a day": func(t *testing.T, w *world, l *life, id int64) {
			w.jump(-24 * hour)
			pass(24 * hour)
			require.Len(t, w.jobs(), 1)
			pass(hour)
			require.Len(t, w.jobs(), 2)
		},
		"ten years ahead and back": func(t *testing.T, w *world, l *life, id int64) {
			w.jump(10 * 365 * 24 * hour)
			pass(20 * time.Second)
			require.Len(t, w.jobs(), 2, "the clock says so")
			w.jump(-10 * 365 * 24 * hour)
			pass(20 * time.Second)
			pass(hour)
			require.Len(t, w.jobs(), 2, "the next instant has been fired for, in that future")
			pass(hour)
			require.Len(t, w.jobs(), 3, "and goes on in the present")
		},
		"ten years ahead and back while it is down": func(t *testing.T, w *world, l *life, id int64) {
			w.jump(10 * 365 * 24 * hour)
			pass(20 * time.Second)
			l.stop()
			w.jump(-10 * 365 * 24 * hour)
			l2 := w.start()
			defer l2.stop()
			pass(2 * hour)
			require.Len(t, w.jobs(), 3)
		},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				l := w.start()
				defer l.stop()
				id := l.add(t, w.operator("ann"), w.entry(hour, hour))
				pass(hour)
				require.Len(t, w.jobs(), 1)
				test(t, w, l, id)
			})
		})
	}
}

// TestOwner: what the owner may at the moment of the firing decides.
func TestOwner(t *testing.T) {
	for name, c := range map[string]struct {
		change func(w *world, who *rbac.Subject) error
		kind   string
	}{
		"revoked": {func(w *world, who *rbac.Subject) error {
			return w.store.ChangeUser(context.Background(), who.ID, w.now(), func(u *rbac.User) error { u.Revoked = true; return nil })
		}, "puppetlabs.rbac/user-revoked"},
		"deleted": {func(w *world, who *rbac.Subject) error { return w.store.DeleteUser(context.Background(), who.ID) },
			"puppetlabs.orchestrator/not-permitted"},
		"may not run Puppet any more": {func(w *world, who *rbac.Subject) error {
			return w.store.ChangeRole(context.Background(), who.Roles[0], func(r *rbac.Role) error { r.Permissions = r.Permissions[:1]; return nil })
		}, "puppetlabs.orchestrator/not-permitted"},
		"may not use the orchestrator any more": {func(w *world, who *rbac.Subject) error {
			return w.store.ChangeRole(context.Background(), who.Roles[0], func(r *rbac.Role) error { r.Permissions = r.Permissions[1:]; return nil })
		}, "puppetlabs.orchestrator/not-permitted"},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				l := w.start()
				defer l.stop()
				ann := w.operator("ann")
				id := l.add(t, ann, w.entry(time.Minute, time.Minute))
				require.NoError(t, c.change(w, ann))
				pass(time.Minute)
				require.Empty(t, w.jobs())
				last := w.get(id).Last
				require.NotNil(t, last.Error)
				require.Equal(t, c.kind, last.Error.Kind)
				require.NotEmpty(t, last.Error.Msg)
				require.Contains(t, w.String(), "schedule could not be fired")
				pass(time.Minute)
				require.NotEqual(t, last.ID, w.get(id).Last.ID, "it is asked again each time")
			})
		})
	}
}

// TestFailures: what the order is to blame for is kept as it is; what the world
// is to blame for is tried again, and what comes due meanwhile counts as the same.
func TestFailures(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		l, begin := w.start(), w.now()
		defer l.stop()
		id := l.add(t, w.operator("ann"), w.entry(time.Minute, time.Minute))
		w.failWith(func(int) error { return job.UnknownEnvironment("production") })
		pass(time.Minute)
		require.Equal(t, job.UnknownEnvironment("production").Details, w.get(id).Last.Error.Details)
		require.Equal(t, 1, w.tries())

		w.failWith(func(n int) error {
			if n < 12 {
				return errDown
			}
			return nil
		})
		pass(2*time.Minute + 55*time.Second)
		require.Equal(t, []int{110 + 120}, w.times(begin), "every ten seconds from 120 on")
		last := w.get(id).Last
		require.Equal(t, int64(1), last.Job)
		require.Equal(t, 3*time.Minute, last.Instant.Sub(begin), "two instants passed")
		pass(5 * time.Second)
		require.Equal(t, []int{230, 240}, w.times(begin))

		w.failWith(func(int) error { return job.Unavailable(errors.New("nobody answers")) })
		pass(14 * time.Minute)
		require.Equal(t, int64(2), w.get(id).Last.Job, "not given up yet")
		pass(3 * time.Minute)
		require.Equal(t, "puppetlabs.orchestrator/unknown-error", w.get(id).Last.Error.Kind)
		require.NotContains(t, w.get(id).Last.Error.Msg, "nobody answers", "what is inside stays in the log")
		require.Contains(t, w.String(), "nobody answers")
	})
}

// TestSlow: a submission that hangs keeps no other from its time, and is ended.
func TestSlow(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		l, begin := w.start(), w.now()
		defer l.stop()
		ann := w.operator("ann")
		slow := l.add(t, ann, w.entry(time.Minute, 0))
		hang := make(chan struct{})
		w.hangOn(hang)
		pass(time.Minute)
		w.hangOn(nil)
		l.add(t, ann, w.entry(time.Minute, 0))
		pass(time.Minute)
		require.Equal(t, []int{120}, w.times(begin))
		require.Nil(t, w.get(slow).Last)
		pass(5 * time.Minute) // its time is over, and the next attempt does not hang
		require.Equal(t, []int{120, 370}, w.times(begin))
		close(hang)
	})
}

// TestWarmup: what is due at the start waits until agents may be back.
func TestWarmup(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		begin := w.now()
		w.warmup = 45 * time.Second
		l := w.start()
		defer l.stop()
		l.add(t, w.operator("ann"), w.entry(10*time.Second, time.Minute))
		pass(44 * time.Second)
		require.Empty(t, w.jobs())
		pass(time.Minute)
		require.Equal(t, []int{45, 70}, w.times(begin))
	})
}

// TestMany: more than can be submitted at a time, all at the same moment.
func TestMany(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		l, begin := w.start(), w.now()
		defer l.stop()
		ann := w.operator("ann")
		for range 50 {
			l.add(t, ann, w.entry(time.Minute, 0))
		}
		pass(time.Minute)
		times := w.times(begin)
		require.Len(t, times, 50)
		require.Equal(t, 60, times[49])
	})
}
