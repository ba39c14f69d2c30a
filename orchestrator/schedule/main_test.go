package schedule_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"dalang/orchestrator/job"
	"dalang/orchestrator/rbac"
	"dalang/orchestrator/schedule"
	"dalang/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is what outlives a server: its disk, its users, and the clock on the
// wall, in a bubble of synctest.
type world struct {
	t      *testing.T
	store  *store.Store
	access *rbac.Access
	offset time.Duration // by how much the wall's clock is off the bubble's
	log    journal
	mu     sync.Mutex      // guards what follows
	tried  int             // submissions
	fail   func(int) error // what the n-th submission fails with, before it is stored
	warmup time.Duration
	change func(*schedule.Config) // of schedulers; may be nil
	hang   chan struct{}          // submissions wait for it; nil: they do not
}

// journal is what all lives log.
type journal struct {
	mu   sync.Mutex
	text strings.Builder
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// failWith sets what submissions fail with.
func (w *world) failWith(fail func(int) error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fail = fail
}

// hangOn sets what submissions wait for.
func (w *world) hangOn(hang chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hang = hang
}

// tries is how many submissions there were.
func (w *world) tries() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.tried
}

func inWorld(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t}
		var err error
		w.store, err = store.Open(t.Context(), store.Config{Path: filepath.Join(t.TempDir(), "dalang.db"), Now: w.now})
		require.NoError(t, err)
		defer func() { require.NoError(t, w.store.Close()) }()
		w.access, err = rbac.New(rbac.Config{Store: w.store})
		require.NoError(t, err)
		test(t, w)
	})
}

func (w *world) now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return time.Now().Add(w.offset)
}

// jump sets the clock on the wall.
func (w *world) jump(by time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.offset += by
}

// user makes somebody with permissions.
func (w *world) user(login string, permissions ...string) *rbac.Subject {
	w.t.Helper()
	role := &rbac.Role{Name: login}
	for _, p := range permissions {
		permission, err := rbac.ParsePermission(p)
		require.NoError(w.t, err)
		role.Permissions = append(role.Permissions, permission)
	}
	id, err := w.store.AddRole(w.t.Context(), role)
	require.NoError(w.t, err)
	u := &rbac.User{ID: uuid.New(), Login: login, RoleIDs: []int64{id}, Created: w.now()}
	require.NoError(w.t, w.store.AddUser(w.t.Context(), u))
	s, err := w.access.Subject(w.t.Context(), u.ID)
	require.NoError(w.t, err)
	return s
}

// operator may do what a schedule of deploys needs.
func (w *world) operator(login string) *rbac.Subject {
	return w.user(login, "orchestrator:view:*", "puppet_agent:run:*")
}

// deploy stores a job as the engine does.
func (w *world) deploy(db creator) func(context.Context, *rbac.Subject, job.Deploy) (int64, error) {
	return func(ctx context.Context, who *rbac.Subject, d job.Deploy) (int64, error) {
		w.mu.Lock()
		n := w.tried
		w.tried++
		fail, hang := w.fail, w.hang
		w.mu.Unlock()
		if hang != nil {
			select {
			case <-hang:
			case <-ctx.Done():
				return 0, ctx.Err()
			}
		}
		if fail != nil {
			if err := fail(n); err != nil {
				return 0, err
			}
		}
		options, err := json.Marshal(d)
		if err != nil {
			return 0, err
		}
		j, err := db.CreateJob(ctx, &job.Draft{Firing: d.Firing, Nodes: []job.Node{{Certname: d.Scope.Nodes[0], Transport: "pcp"}},
			Job: job.Job{Type: job.TypeDeploy, Environment: d.Environment, Description: d.Description, Options: options, Owner: who.Owner(), OwnerLogin: who.Login, Userdata: d.Userdata}})
		if err != nil {
			return 0, err
		}
		return j.ID, nil
	}
}

// anything may be deployed, but in the environment "never".
func anything(d job.Deploy) error {
	if d.Environment == "never" {
		return job.Invalid("ordering", "no agent can be asked that: %s", *d.Ordering)
	}
	return nil
}

type creator interface {
	CreateJob(ctx context.Context, d *job.Draft) (*job.Job, error)
}

// database is all that a scheduler and its runner want of a store.
type database interface {
	schedule.Store
	creator
}

// life is one life of a server.
type life struct {
	*schedule.Scheduler
	end     context.CancelFunc
	janitor *rbac.Subject
	over    chan struct{}
}

// begin makes a scheduler that does not run yet. db nil: the world's.
func (w *world) begin(db database) *life {
	w.t.Helper()
	if db == nil {
		db = w.store
	}
	w.mu.Lock()
	log := slog.New(slog.NewTextHandler(&w.log, nil))
	w.mu.Unlock()
	cfg := schedule.Config{Store: db, Owners: w.access, Now: w.now, Warmup: w.warmup, Logger: log, Registerer: prometheus.NewRegistry(),
		Kinds: map[schedule.Type]schedule.Kind{schedule.Deploy: schedule.Deploys(w.deploy(db), anything)}}
	if w.change != nil {
		w.change(&cfg)
	}
	s, err := schedule.New(cfg)
	require.NoError(w.t, err)
	return &life{Scheduler: s, over: make(chan struct{})}
}

// start starts a server.
func (w *world) start() *life {
	l := w.begin(nil)
	l.run(w.t)
	return l
}

func (l *life) run(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	l.end = cancel
	go func() {
		defer close(l.over)
		if err := l.Run(ctx); err != nil {
			t.Error(err)
		}
	}()
	synctest.Wait()
}

func (l *life) stop() {
	l.end()
	<-l.over
}

// entry is a schedule of a deploy: in after from now, every interval.
func (w *world) entry(after, interval time.Duration) *schedule.Entry {
	return &schedule.Entry{Type: schedule.Deploy, Environment: "production", Description: "why", Input: json.RawMessage(`{"noop":true,"scope":{"nodes":["web1"]}}`),
		Userdata: json.RawMessage(`{"a":1}`), Grid: schedule.Grid{Start: w.now().UTC().Truncate(time.Second).Add(after), Interval: interval}}
}

// add makes a schedule.
func (l *life) add(t *testing.T, who *rbac.Subject, e *schedule.Entry) int64 {
	t.Helper()
	id, err := l.Create(t.Context(), who, e)
	require.NoError(t, err)
	return id
}

func (w *world) get(id int64) *schedule.Entry {
	w.t.Helper()
	e, err := w.store.ScheduledJob(w.t.Context(), id)
	require.NoError(w.t, err)
	return e
}

// jobs are the jobs that there are, in order.
func (w *world) jobs() []job.Job {
	w.t.Helper()
	list, _, err := w.store.Jobs(w.t.Context(), job.Filter{})
	require.NoError(w.t, err)
	slices.Reverse(list)
	return list
}

// times are when jobs were created, in seconds from a beginning.
func (w *world) times(begin time.Time) []int {
	var list []int
	for _, j := range w.jobs() {
		list = append(list, int(j.Created.Sub(begin).Seconds()))
	}
	return list
}

// pass lets time pass.
func pass(d time.Duration) {
	time.Sleep(d) // of the bubble: nobody waits
	synctest.Wait()
}

var errDown = errors.New("the database is down")

func (w *world) String() string { return w.log.String() }
