package orchestrator_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"dalang/commands/outcome"
	"dalang/orchestrator"
	"dalang/orchestrator/job"
	"dalang/store"
	"dalang/store/query"
	"dalang/wireformat"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is what outlives a server: its disk and the agents. It lives in a
// bubble of synctest, with a clock of its own.
type world struct {
	t      *testing.T
	store  *store.Store
	path   string // of the database
	mu     sync.Mutex
	agents map[string]*agent
	life   *life // the server that is up, or nil
}

// agent remembers transactions, as agents do: it runs each once.
type agent struct {
	certname  string
	connected bool
	far       time.Duration // how long a frame takes; 0: it arrives at once
	takes     time.Duration // of a run; 0: one minute
	ends      job.State     // what runs end in; "": Finished
	refuses   error         // what it says to a request instead of running
	mute      bool          // its result gets lost
	deaf      bool          // requests get lost
	reports   bool          // it sends a report before it ends
	answers   string        // the result of its tasks
	asked     []job.Request
	runs      map[uuid.UUID]*agentRun
	ran       int // how often Puppet ran
	first     time.Time
	atWork    int // runs at this moment
	stopped   []uuid.UUID
}

type agentRun struct{ done bool }

// life is one life of a server: an engine and its transport.
type life struct {
	world  *world
	engine *orchestrator.Engine
	end    context.CancelFunc
	over   chan struct{} // closed when Run has returned
	dead   chan struct{} // closed when it was killed
}

var errDead = errors.New("the process is dead")

// inWorld runs a test in a world with agents, all connected.
func inWorld(t *testing.T, certnames string, test func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, agents: map[string]*agent{}, path: filepath.Join(t.TempDir(), "dalang.db")}
		var err error
		w.store, err = store.Open(t.Context(), store.Config{Path: w.path, ReportTTL: 14 * 24 * time.Hour})
		require.NoError(t, err)
		defer func() { require.NoError(t, w.store.Close()) }()
		for i, certname := range strings.Fields(certnames) {
			w.agents[certname] = &agent{certname: certname, connected: true, far: time.Duration(10+i) * time.Millisecond, runs: map[uuid.UUID]*agentRun{}}
		}
		test(t, w)
	})
}

// start starts a server. change may be nil.
func (w *world) start(change func(*orchestrator.Config)) *life {
	w.t.Helper()
	engine, err := query.New(query.Config{DB: w.store})
	require.NoError(w.t, err)
	scopes, err := orchestrator.NewScopes(orchestrator.ScopesConfig{Querier: orchestrator.NewQuerier(engine), Environments: everything{}, Applications: w.store})
	require.NoError(w.t, err)
	cfg := orchestrator.Config{Database: w.store, Scopes: scopes, PuppetRun: func(d job.Deploy, name string) (json.RawMessage, error) {
		return json.Marshal(map[string]any{"job": name, "noop": d.Noop})
	}}
	cfg.Tasking = &orchestrator.Tasking{Source: library{}, Secrets: keeper(w.t), Reach: w.store}
	if change != nil {
		change(&cfg)
	}
	l := &life{world: w, over: make(chan struct{}), dead: make(chan struct{})}
	l.engine, err = orchestrator.New(cfg)
	require.NoError(w.t, err)
	l.engine.Add(l)
	l.engine.Add(&shell{l})
	w.mu.Lock()
	w.life = l
	w.mu.Unlock()
	ctx, cancel := context.WithCancel(w.t.Context())
	l.end = cancel
	go func() {
		defer close(l.over)
		if err := l.engine.Run(ctx); err != nil && !errors.Is(err, errDead) {
			w.t.Error(err)
		}
	}()
	return l
}

// kill ends a server between two instructions: nothing of it reaches an agent
// or the disk any more. Connections break.
func (l *life) kill() {
	l.world.mu.Lock()
	defer l.world.mu.Unlock()
	if l.world.life == l {
		l.world.life = nil
		close(l.dead)
	}
	l.end()
}

// stop ends a server at the end of a test.
func (l *life) stop() {
	l.kill()
	<-l.over
	synctest.Wait()
}

type everything struct{}

func (everything) Known(_ context.Context, name string) (bool, error) { return name != "nowhere", nil }

// The transport. Frames take some milliseconds; a frame of a life that is over is lost.
func (l *life) Name() string { return "pcp" }

func (l *life) Connected(certname string) bool {
	l.world.mu.Lock()
	defer l.world.mu.Unlock()
	a := l.world.agents[certname]
	return l.world.life == l && a != nil && a.connected
}

func (l *life) Start(_ context.Context, r job.Request) error {
	return l.send(r, func(a *agent) {
		a.asked = append(a.asked, r)
		if a.deaf {
			return
		}
		if a.refuses != nil {
			l.engine.Error(a.certname, r.TransactionID, a.refuses)
			return
		}
		l.engine.Provisional(a.certname, r.TransactionID)
		switch run := a.runs[r.TransactionID]; {
		case run == nil:
			run = &agentRun{}
			a.runs[r.TransactionID] = run
			a.ran++
			a.atWork++
			if a.first.IsZero() {
				a.first = time.Now()
			}
			go l.world.work(a, run, r)
		case run.done:
			l.engine.Result(a.certname, r.TransactionID, a.outcome(r)) // as a poll finds out
		}
	})
}

func (l *life) Query(_ context.Context, r job.Request) error {
	return l.send(r, func(a *agent) {
		switch run := a.runs[r.TransactionID]; {
		case run == nil:
			l.engine.Error(a.certname, r.TransactionID, job.ErrUnknownTransaction)
		case run.done:
			l.engine.Result(a.certname, r.TransactionID, a.outcome(r))
		default:
			l.engine.Provisional(a.certname, r.TransactionID)
		}
	})
}

func (l *life) Stop(_ context.Context, r job.Request) error {
	return l.send(r, func(a *agent) { a.stopped = append(a.stopped, r.TransactionID) })
}

// send has an agent take a frame, unless the connection breaks before.
func (l *life) send(r job.Request, take func(a *agent)) error {
	if !l.Connected(r.Certname) {
		return job.ErrNotConnected
	}
	l.world.mu.Lock()
	far := l.world.agents[r.Certname].far
	l.world.mu.Unlock()
	arrive := func() {
		l.world.mu.Lock()
		defer l.world.mu.Unlock()
		if a := l.world.agents[r.Certname]; l.world.life == l && a.connected {
			take(a)
		}
	}
	if far == 0 {
		arrive()
		return nil
	}
	time.AfterFunc(far, arrive)
	return nil
}

// work is a run of Puppet. It goes on whatever becomes of the server.
func (w *world) work(a *agent, run *agentRun, r job.Request) {
	takes := a.takes
	if takes == 0 {
		takes = time.Minute
	}
	time.Sleep(takes)
	if a.reports {
		w.report(a.certname, map[string]string{"job_id": fmt.Sprintf("%q", fmt.Sprint(r.JobID)), "transaction_uuid": fmt.Sprintf("%q", uuidOf(r.TransactionID))})
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	run.done = true
	a.atWork--
	if w.life != nil && a.connected && !a.mute {
		w.life.engine.Result(a.certname, r.TransactionID, a.outcome(r))
	}
}

// uuidOf is the report's transaction that a PXP transaction leads to.
func uuidOf(transaction uuid.UUID) string {
	return uuid.NewSHA1(uuid.NameSpaceDNS, transaction[:]).String()
}

func (a *agent) outcome(r job.Request) job.Outcome {
	transaction := r.TransactionID
	o := job.Outcome{State: a.ends, Results: json.RawMessage(fmt.Sprintf(`{"transaction_uuid":%q,"status":"changed","environment":"production",
		"metrics":{"total":7,"changed":2.0,"odd":1},"exitcode":0,"version":1}`, uuidOf(transaction)))}
	if r.Module != "pxp-module-puppet" {
		o.Results = json.RawMessage(a.answers)
	}
	if r.Receive != nil {
		return r.Receive(context.Background(), job.Outcome{State: job.Finished, Stdout: a.answers})
	}
	if o.State == "" {
		o.State = job.Finished
	}
	return o
}

// shell is the transport of nodes without an agent: they are always there, and
// what ran when the server died is lost.
type shell struct{ *life }

func (*shell) Name() string { return "ssh" }

func (s *shell) Query(_ context.Context, r job.Request) error {
	s.engine.Error(r.Certname, r.TransactionID, job.NodeError("puppetlabs.orchestrator/orchestrator-restarted", r.Certname, "lost"))
	return nil
}

// connect has an agent come or go.
func (w *world) connect(certname string, connected bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.agents[certname].connected = connected
	if w.life != nil {
		w.life.engine.Presence(certname, connected)
	}
}

// atWork is how many agents are running.
func (w *world) atWork() (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, a := range w.agents {
		n += a.atWork
	}
	return n
}

// ran are the agents that ran, with how often, if not once.
func (w *world) ran() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var list []string
	for certname, a := range w.agents {
		switch a.ran {
		case 0:
		case 1:
			list = append(list, certname)
		default:
			list = append(list, fmt.Sprint(certname, "*", a.ran))
		}
	}
	slices.Sort(list)
	return strings.Join(list, " ")
}

// report stores a report.
func (w *world) report(certname string, more map[string]string) {
	now := wireformat.FormatTime(time.Now())
	members := map[string]string{
		"certname": fmt.Sprintf("%q", certname), "environment": `"production"`, "puppet_version": `"8"`, "report_format": "12",
		"configuration_version": `"c1"`, "transaction_uuid": "null", "catalog_uuid": "null", "code_id": "null",
		"cached_catalog_status": "null", "producer": "null", "status": `"changed"`, "noop": "false", "noop_pending": "false",
		"corrective_change": "null", "metrics": `[{"category":"resources","name":"total","value":7.0},{"category":"time","name":"total","value":9}]`,
		"logs": "[]", "resources": "[]", "start_time": fmt.Sprintf("%q", now), "end_time": fmt.Sprintf("%q", now), "producer_timestamp": fmt.Sprintf("%q", now),
	}
	for k, v := range more {
		members[k] = v
	}
	var list []string
	for k, v := range members {
		list = append(list, fmt.Sprintf("%q:%s", k, v))
	}
	w.apply(wireformat.StoreReport, 8, "{"+strings.Join(list, ",")+"}")
}

func (w *world) apply(command wireformat.Command, version int, body string) {
	payload, err := wireformat.Decode(command, version, time.Now(), []byte(body))
	if err != nil {
		w.t.Error(err)
		return
	}
	results, err := w.store.Apply(context.Background(), []outcome.Change{{Payload: payload, Received: time.Now().UTC().Truncate(time.Millisecond)}})
	if err != nil || results[0].Err != nil {
		w.t.Error(err, results)
	}
}

// deploy starts a job on a list of nodes.
func (l *life) deploy(certnames string, change func(*job.Deploy)) int64 {
	l.world.t.Helper()
	d := job.Deploy{Environment: "production", Scope: job.Scope{Nodes: strings.Fields(certnames)}}
	if change != nil {
		change(&d)
	}
	id, err := l.engine.Deploy(l.world.t.Context(), nil, d)
	require.NoError(l.world.t, err)
	synctest.Wait()
	return id
}

// pass lets time pass, and everybody do what is to be done then.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// states are the states of a job's nodes by position, and of the job.
func (w *world) states(id int64) string {
	w.t.Helper()
	nodes, _, _, err := w.store.JobNodes(context.Background(), id, job.NodeFilter{})
	require.NoError(w.t, err)
	var list []string
	for _, n := range nodes {
		list = append(list, n.Certname+" "+string(n.State))
	}
	j, err := w.store.Job(context.Background(), id)
	require.NoError(w.t, err)
	return strings.Join(list, ", ") + ": " + string(j.State)
}

func (w *world) node(id int64, certname string) job.Node {
	w.t.Helper()
	nodes, _, _, err := w.store.JobNodes(context.Background(), id, job.NodeFilter{})
	require.NoError(w.t, err)
	i := slices.IndexFunc(nodes, func(n job.Node) bool { return n.Certname == certname })
	require.GreaterOrEqual(w.t, i, 0)
	return nodes[i]
}

// events are the job's events as type and certname.
func (w *world) events(id int64) []string {
	w.t.Helper()
	events, err := w.store.JobEvents(context.Background(), id, 0, 0)
	require.NoError(w.t, err)
	list := []string{}
	for _, e := range events {
		list = append(list, strings.TrimSpace(e.Type+" "+e.Certname))
	}
	return list
}
