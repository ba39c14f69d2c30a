package planjob_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"dalang/orchestrator"
	"dalang/orchestrator/content"
	"dalang/orchestrator/job"
	"dalang/orchestrator/planjob"
	"dalang/orchestrator/task"
	"dalang/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// somebody has permissions such as plans:run:m::p.
type somebody []string

func (s somebody) May(objectType, action, instance string) bool {
	for _, p := range s {
		if p == objectType+":"+action+":"+instance || p == "*" {
			return true
		}
	}
	return false
}

func (somebody) Owner() json.RawMessage { return json.RawMessage(`{"id":"x","login":"brian"}`) }

// world is a service over a real store and real files, and an engine whose
// jobs end as it says.
type world struct {
	*planjob.Service
	t     *testing.T
	store *store.Store
	root  string
	cfg   planjob.Config
	end   func() // the server

	mu      sync.Mutex
	tasks   []job.Task
	steps   []job.Step
	stops   []int64
	may     []bool // of each job's subject: everything?
	err     error  // of Task and Step
	results func(certname string) (job.State, string)
	hold    chan struct{} // jobs wait for it; nil: they do not
	waiting chan int64    // gets the id of each job that is waited for
}

// newWorld lays files and opens a store. Start it.
func newWorld(t *testing.T, files map[string]string) *world {
	t.Helper()
	w := &world{t: t, root: t.TempDir(), waiting: make(chan int64, 100), results: func(name string) (job.State, string) {
		return job.Finished, `{"stdout":"` + name + `","stderr":"","exit_code":0}`
	}}
	for name, text := range files {
		file := filepath.Join(w.root, "environments", "production", "modules", name)
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
		require.NoError(t, os.WriteFile(file, []byte(text), 0o755))
	}
	var err error
	w.store, err = store.Open(t.Context(), store.Config{Path: filepath.Join(w.root, "dalang.db"), ReportTTL: 14 * 24 * time.Hour})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, w.store.Close()) })
	w.cfg = planjob.Config{Database: w.store, Engine: w, Scopes: w, Content: content.NewDirectory(content.DirectoryConfig{Path: []string{filepath.Join(w.root, "environments")}})}
	return w
}

// start starts a server. change may be nil.
func (w *world) start(change func(*planjob.Config)) *world {
	w.t.Helper()
	cfg := w.cfg
	cfg.Registerer = prometheus.NewRegistry()
	if change != nil {
		change(&cfg)
	}
	var err error
	w.Service, err = planjob.New(cfg)
	require.NoError(w.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	over := make(chan error, 1)
	go func() { over <- w.Run(ctx) }()
	w.end = sync.OnceFunc(func() {
		cancel()
		require.NoError(w.t, <-over)
	})
	w.t.Cleanup(w.end)
	require.Eventually(w.t, func() bool { // until it takes commands
		_, err := w.Register(w.t.Context(), somebody{}, planjob.Request{Plan: "probe"})
		return err == nil
	}, 10*time.Second, time.Millisecond)
	return w
}

func (w *world) create(d *job.Draft, who orchestrator.Subject, nodes []string) (int64, error) {
	if w.err != nil {
		return 0, w.err
	}
	w.may = append(w.may, who.May("anything", "at", "all"))
	for _, name := range nodes {
		d.Nodes = append(d.Nodes, job.Node{Certname: name, Transport: "pcp"})
	}
	d.Job.Timeout, d.Job.Owner = time.Hour, who.Owner()
	made, err := w.store.CreateJob(context.Background(), d)
	if err != nil {
		return 0, err
	}
	return made.ID, nil
}

func (w *world) Task(_ context.Context, who orchestrator.Subject, t job.Task) (int64, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tasks = append(w.tasks, t)
	return w.create(&job.Draft{Job: job.Job{Type: job.TypePlanTask, PlanJob: t.PlanJob, Task: t.Task}}, who, t.Scope.Nodes)
}

func (w *world) Step(_ context.Context, who orchestrator.Subject, s job.Step) (int64, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.steps = append(w.steps, s)
	return w.create(&job.Draft{Job: job.Job{Type: s.Type, PlanJob: s.PlanJob, Options: s.Options}}, who, s.Scope.Nodes)
}

// Wait moves the job's nodes to their end.
func (w *world) Wait(ctx context.Context, id int64) (*job.Job, error) {
	w.waiting <- id
	if w.hold != nil {
		select {
		case <-w.hold:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	nodes, _, _, err := w.store.JobNodes(ctx, id, job.NodeFilter{})
	if err != nil {
		return nil, err
	}
	for _, n := range nodes {
		state, result := w.results(n.Certname)
		m := job.NodeMove{JobID: id, Certname: n.Certname, From: job.New, To: state, Event: job.NodeEvent(state), Message: n.Certname + " " + string(state)}
		if state == job.Errored {
			m.Details = json.RawMessage(result)
		} else {
			tx := n
			tx.TransactionID = [16]byte{byte(id), byte(n.Position), 1}
			for _, to := range []job.State{job.Ready, job.Running} {
				step := job.NodeMove{JobID: id, Certname: n.Certname, From: m.From, To: to, Event: job.NodeEvent(to), TransactionID: tx.TransactionID, Fingerprint: "f"}
				if _, err := w.store.ChangeJobs(ctx, &job.Batch{At: time.Now(), Nodes: []job.NodeMove{step}}); err != nil {
					return nil, err
				}
				m.From = to
			}
			m.TransactionID, m.Result = tx.TransactionID, json.RawMessage(result)
		}
		applied, err := w.store.ChangeJobs(ctx, &job.Batch{At: time.Now(), Nodes: []job.NodeMove{m}})
		if err != nil {
			return nil, err
		}
		if !applied.Nodes[0] {
			return nil, fmt.Errorf("node %s does not move to %s", n.Certname, state)
		}
	}
	return w.store.Job(ctx, id)
}

func (w *world) Stop(_ context.Context, id int64, force bool) (job.Counts, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if force {
		w.stops = append(w.stops, id)
	}
	return nil, nil
}

// Nodes finds those of the only query and the only group.
func (w *world) Nodes(_ context.Context, who orchestrator.Subject, scope job.Scope) ([]string, error) {
	switch {
	case string(scope.Query) == `"nodes[certname] { }"`:
		return []string{"node1", "node2"}, nil
	case scope.NodeGroup != "" && who.May("node_groups", "view", scope.NodeGroup):
		return []string{"node3"}, nil
	}
	return nil, job.EmptyTarget(map[string]any{"why": "x"}, "The query of the scope finds no nodes")
}

// params decodes parameters.
func params(t *testing.T, text string) map[string]any {
	t.Helper()
	v, err := task.Object(json.RawMessage(text))
	require.NoError(t, err)
	return v
}

// ended waits for the end of a plan job.
func (w *world) ended(id int64) *job.PlanJob {
	w.t.Helper()
	var p *job.PlanJob
	require.Eventually(w.t, func() bool {
		var err error
		p, err = w.store.PlanJob(w.t.Context(), id)
		require.NoError(w.t, err)
		return p.State.Terminal()
	}, 20*time.Second, 2*time.Millisecond)
	return p
}

// run runs a plan to its end.
func (w *world) run(name, given string) *job.PlanJob {
	w.t.Helper()
	id, err := w.Start(w.t.Context(), somebody{"*"}, planjob.Request{Plan: name, Environment: "production", Params: params(w.t, given)})
	require.NoError(w.t, err)
	return w.ended(id)
}

// events are those of a plan job, as type and details.
func (w *world) events(id int64) string {
	w.t.Helper()
	events, err := w.store.PlanEvents(w.t.Context(), id, 0, 0)
	require.NoError(w.t, err)
	var list []string
	for _, e := range events {
		list = append(list, e.Type+" "+string(e.Details))
	}
	return strings.Join(list, "\n")
}
