package pxp_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"dalang/orchestrator/broker"
	"dalang/orchestrator/job"
	"dalang/orchestrator/pcp"
	"dalang/orchestrator/pxp"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a controller in a bubble of synctest between a broker that is made
// of memory and a sink that notes what it is told. Nothing takes time unless
// the test lets it pass.
type world struct {
	*pxp.Controller
	t   *testing.T
	reg *prometheus.Registry

	mu      sync.Mutex
	there   map[string]bool // certnames of agents
	own     map[string]bool // those that are ours
	refuses error           // of Send
	sent    []sent
	told    []string
	results []job.Outcome
	errs    []error
}

// sent is a message of the controller with the time since the world began.
type sent struct {
	*pcp.Message
	call
	at time.Time
}

type call struct {
	TransactionID uuid.UUID       `json:"transaction_id"`
	NotifyOutcome *bool           `json:"notify_outcome"`
	Module        string          `json:"module"`
	Action        string          `json:"action"`
	Params        json.RawMessage `json:"params"`
}

const here = "pcp://server.example.com/orchestrator"

// inWorld runs a test with agents a and b connected. Jitter is none.
func inWorld(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(t, newWorld(t)) })
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, reg: prometheus.NewRegistry(), there: map[string]bool{"a": true, "b": true}}
	var err error
	w.Controller, err = pxp.New(pxp.Config{Broker: w, Sink: sink{w}, Registerer: w.reg, Random: func() float64 { return 0.5 }})
	require.NoError(t, err)
	return w
}

// The broker.
func (w *world) Attach(clientType string, _ broker.Local) string {
	return "pcp://server.example.com/" + clientType
}

func (w *world) Find(peer pcp.URI) (broker.Entry, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return broker.Entry{Peer: peer, Own: w.own[peer.Certname]}, peer.Type == pcp.AgentType && w.there[peer.Certname]
}

func (w *world) Send(m *pcp.Message) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	uri, err := pcp.ParseURI(m.Target)
	switch {
	case err != nil:
		return err
	case w.refuses != nil:
		return w.refuses
	case !w.there[uri.Certname]:
		return broker.ErrNotConnected
	}
	s := sent{Message: m, at: time.Now()}
	if err := json.Unmarshal(m.Data, &s.call); err != nil {
		return err
	}
	w.sent = append(w.sent, s)
	return nil
}

// sink is the engine.
type sink struct{ w *world }

func (s sink) note(format string, args ...any) {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	s.w.told = append(s.w.told, fmt.Sprintf(format, args...))
}
func (s sink) Provisional(certname string, _ uuid.UUID) { s.note("provisional %s", certname) }
func (s sink) Result(certname string, _ uuid.UUID, o job.Outcome) {
	s.note("result %s %s", certname, o.State)
	s.w.results = append(s.w.results, o)
}
func (s sink) Error(certname string, _ uuid.UUID, err error) {
	s.note("error %s: %v", certname, err)
	s.w.errs = append(s.w.errs, err)
}
func (s sink) Presence(certname string, connected bool) {
	s.note("presence %s %t", certname, connected)
}

// takeTold is what the sink was told since the last time, joined.
func (w *world) takeTold() string {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	told := strings.Join(w.told, "; ")
	w.told = nil
	return told
}

// takeSent are the messages since the last time.
func (w *world) takeSent() []sent {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	all := w.sent
	w.sent = nil
	return all
}

// one is the only message since the last time, of a module.
func (w *world) one(module string) sent {
	w.t.Helper()
	all := w.takeSent()
	require.Len(w.t, all, 1)
	require.Equal(w.t, module, all[0].Module)
	return all[0]
}

// pass lets time pass, and everybody do what is to be done then.
func (w *world) pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// run is a request for Puppet on a node.
func run(certname string) job.Request {
	return job.Request{TransactionID: uuid.New(), JobID: 7, Certname: certname, Module: "pxp-module-puppet", Action: "run",
		Params: json.RawMessage(`{"flags":[],"job":"7"}`), NotifyOutcome: true, Timeout: time.Hour}
}

// start starts a run and gives the message that left.
func (w *world) start(r job.Request) sent {
	w.t.Helper()
	require.NoError(w.t, w.Start(w.t.Context(), r))
	return w.one(r.Module)
}

// says has a node say something. data may be a string of JSON.
func (w *world) says(certname, messageType, data string) {
	w.t.Helper()
	m, err := pcp.New(messageType, here, json.RawMessage(data))
	require.NoError(w.t, err)
	m.Sender = pcp.AgentURI(certname).String()
	w.Receive(m)
}

func (w *world) confirms(r job.Request) {
	w.t.Helper()
	w.says(r.Certname, pcp.ProvisionalResponse, fmt.Sprintf(`{"transaction_id":%q}`, r.TransactionID))
}

func (w *world) ends(r job.Request, results string) {
	w.t.Helper()
	w.says(r.Certname, pcp.NonBlockingResponse, fmt.Sprintf(`{"transaction_id":%q,"results":%s}`, r.TransactionID, results))
}

// answers a question for the status of r.
func (w *world) answers(question sent, r job.Request, status string) {
	w.t.Helper()
	w.says(r.Certname, pcp.BlockingResponse, fmt.Sprintf(`{"transaction_id":%q,"results":{"transaction_id":%q,%s}}`, question.TransactionID, r.TransactionID, status))
}

// connect has an agent come or go.
func (w *world) connect(certname string, connected bool) {
	w.mu.Lock()
	w.there[certname] = connected
	w.mu.Unlock()
	w.Presence(pcp.AgentURI(certname), connected)
	synctest.Wait()
}

// open is how many transactions the controller has.
func (w *world) open() int {
	w.t.Helper()
	families, err := w.reg.Gather()
	require.NoError(w.t, err)
	for _, f := range families {
		if f.GetName() == "dalang_pxp_transactions" {
			return int(f.GetMetric()[0].GetGauge().GetValue())
		}
	}
	require.Fail(w.t, "no such metric")
	return 0
}

const changed = `{"time":"2026-01-01","transaction_uuid":"5c1b7e6a-5ad0-4f3a-8f4f-7b8f5f3e2d10","environment":"production","status":"changed","metrics":{"total":7},"exitcode":0,"version":1}`
