package schedule_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"dalang/orchestrator/job"
	"dalang/orchestrator/rbac"
	"dalang/orchestrator/schedule"
	"dalang/store"
)

var errDead = errors.New("the process is dead")

// mortal is a database whose process dies at its n-th commit: right before it,
// or right after it and before anybody learns of it.
type mortal struct {
	*store.Store
	die func()

	mu      sync.Mutex
	commits int
	at      int
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
	err = m.commit(func() (err error) { j, err = m.Store.CreateJob(ctx, d); return err })
	return j, err
}

func (m *mortal) ClaimDue(ctx context.Context, now time.Time) (claimed []schedule.Firing, next time.Time, err error) {
	// Most claims find nothing and commit nothing.
	first, _, err := m.Store.ScheduledJobs(ctx, schedule.Filter{OrderBy: "next_run_time", Limit: 1})
	if err != nil || len(first) == 0 || first[0].Next.IsZero() || first[0].Next.After(now) {
		return nil, now.Add(time.Second), err
	}
	err = m.commit(func() (err error) { claimed, next, err = m.Store.ClaimDue(ctx, now); return err })
	return claimed, next, err
}

func (m *mortal) SettleFiring(ctx context.Context, id int64, at time.Time, why *job.Error) error {
	return m.commit(func() error { return m.Store.SettleFiring(ctx, id, at, why) })
}

// TestKilledAtEveryCommit: a process that dies right before or after any commit
// fires nothing twice and forgets nothing. Two schedules, one of which is
// refused; three instants.
func TestKilledAtEveryCommit(t *testing.T) {
	for _, before := range []bool{true, false} {
		for at := 1; ; at++ {
			died := false
			t.Run(fmt.Sprintf("commit %d, before %t", at, before), func(t *testing.T) {
				inWorld(t, func(t *testing.T, w *world) { died = killAt(t, w, at, before) })
			})
			if !died {
				require.Greater(t, at, 6, "there are as many commits at least")
				break
			}
		}
	}
}

func killAt(t *testing.T, w *world, at int, before bool) (died bool) {
	begin := w.now()
	ann, bob := w.operator("ann"), w.operator("bob")
	m := &mortal{Store: w.store, at: at, before: before}
	l := w.begin(m)
	m.die = func() { died = true; l.end() }
	good := l.add(t, ann, w.entry(time.Minute, time.Minute))
	bad := l.add(t, bob, w.entry(time.Minute, time.Minute))
	require.NoError(t, w.store.ChangeUser(t.Context(), bob.ID, w.now(), func(u *rbac.User) error { u.Revoked = true; return nil }))
	l.run(t)
	pass(3*time.Minute + time.Second)
	if died {
		<-l.over
		next := w.start()
		defer next.stop()
	} else {
		defer l.stop()
	}
	synctest.Wait()
	open, err := w.store.OpenFirings(t.Context())
	require.NoError(t, err)
	require.Empty(t, open, "what was claimed has been submitted")

	// Each instant has one job, or was passed over while nobody was there: then
	// the last firing speaks for it.
	seen := map[time.Duration]int{}
	for _, f := range firings(t, w, good) {
		require.NotZero(t, f.Job)
		require.Nil(t, f.Error)
		for i := f.Due.Sub(begin); i <= f.Instant.Sub(begin); i += time.Minute {
			seen[i]++
		}
	}
	require.Equal(t, map[time.Duration]int{time.Minute: 1, 2 * time.Minute: 1, 3 * time.Minute: 1}, seen)
	require.Len(t, w.jobs(), len(firings(t, w, good)), "and each job is a firing's")
	for _, f := range firings(t, w, bad) {
		require.Zero(t, f.Job)
		require.Equal(t, "puppetlabs.rbac/user-revoked", f.Error.Kind)
	}
	return died
}

// firings are all settled firings of an entry, in order.
func firings(t *testing.T, w *world, id int64) []schedule.Firing {
	t.Helper()
	list, err := w.store.ScheduledFirings(t.Context(), id)
	require.NoError(t, err)
	return list
}

// TestSettledOnce: a firing has one job at most, whoever tries.
func TestSettledOnce(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		l := w.start()
		defer l.stop()
		id := l.add(t, w.operator("ann"), w.entry(time.Minute, 0))
		pass(time.Minute)
		f := firings(t, w, id)[0]
		again := schedule.Deploys(w.deploy(w.store), anything).Run
		who, err := w.access.Subject(t.Context(), w.get(id).OwnerID)
		require.NoError(t, err)
		_, err = again(t.Context(), who, schedule.Order{Firing: f.ID, Entry: id, Environment: "production", Input: w.get(id).Input})
		require.ErrorIs(t, err, job.ErrSettled)
		require.NoError(t, w.store.SettleFiring(t.Context(), f.ID, w.now(), job.Query("no")))
		require.Equal(t, []schedule.Firing{f}, firings(t, w, id))
		require.Len(t, w.jobs(), 1)
	})
}
