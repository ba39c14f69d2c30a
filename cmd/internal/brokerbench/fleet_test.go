package brokerbench

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"dalang/orchestrator/pcp"
)

// fleet is agents that answer orders to run Puppet: they confirm, post a report
// after a while, and tell how the run ended.
type fleet struct {
	agents  []*agent
	reports *reporter
	longest time.Duration          // a run; the shortest takes a quarter of it
	manner  func(index int) manner // of agents that run tasks; nil: all are good

	mu     sync.Mutex
	last   time.Time // when the last order came
	orders int
	faults []error // of agents whose connection ended, or that were asked nonsense
	over   atomic.Bool
}

// newFleet connects agents.
func newFleet(t *testing.T, p *pki, address string, n int, longest time.Duration, reports *reporter) *fleet {
	t.Helper()
	f := &fleet{agents: make([]*agent, n), reports: reports, longest: longest}
	roots := p.roots()
	var group errgroup.Group
	group.SetLimit(16)
	for i := range f.agents {
		a := &agent{fleet: f, index: i, certname: certname(i), runs: map[string]*puppetRun{}}
		f.agents[i] = a
		cert := p.shared(t, a.certname)
		group.Go(func() (err error) {
			a.conn, err = connect(address, roots, cert, tls.VersionTLS13)
			return err
		})
	}
	require.NoError(t, group.Wait())
	for _, a := range f.agents {
		go a.listen()
	}
	return f
}

// close ends the connections. Agents are of no use afterwards.
func (f *fleet) close() {
	f.over.Store(true)
	for _, a := range f.agents {
		_ = a.conn.Close() // the server goes, too
	}
}

func (a *agent) fault(err error) {
	if a.fleet.manner != nil && a.fleet.manner(a.index) != good {
		return
	}
	a.fleet.fault(fmt.Errorf("%s: %w", a.certname, err))
}

func (f *fleet) fault(err error) {
	if f.over.Load() || errors.Is(err, net.ErrClosed) {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults = append(f.faults, err)
}

// ordered tells how many orders came, when the last one did, and what went wrong.
func (f *fleet) ordered() (int, time.Time, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.orders, f.last, errors.Join(f.faults...)
}

func certname(i int) string { return fmt.Sprintf("node%05d.example.com", i) }

// agent is one of a fleet.
type agent struct {
	fleet    *fleet
	index    int
	certname string
	conn     *tls.Conn

	mu   sync.Mutex // guards all below, and writing
	runs map[string]*puppetRun
}

// puppetRun is one run of Puppet.
type puppetRun struct {
	ordered int             // how often it was asked for
	results json.RawMessage // nil while it runs
}

// status is what the agent's runs end with: one in ten fails.
func (a *agent) status() string {
	switch {
	case a.index%10 == 3:
		return "failed"
	case a.index%4 == 0:
		return "changed"
	}
	return "unchanged"
}

// takes is how long the agent's runs take.
func (a *agent) takes() time.Duration {
	spread := int64(a.index) * 7919 % 1000 // all lengths come, in no order
	return a.fleet.longest/4 + a.fleet.longest*3/4*time.Duration(spread)/1000
}

func (a *agent) listen() {
	r := bufio.NewReaderSize(a.conn, 512)
	for {
		kind, payload, err := readFrame(r)
		switch {
		case err != nil:
		case kind == pingFrame:
			err = a.write(pongFrame, payload)
		case kind == textFrame:
			err = a.take(payload)
		case kind == closeFrame:
			err = fmt.Errorf("sent away: %q", payload)
		}
		if err != nil {
			a.fault(err)
			return
		}
	}
}

func (a *agent) write(kind byte, payload []byte) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	_, err := a.conn.Write(frame(kind, payload))
	return err
}

// order is the data of a request.
type order struct {
	TransactionID string          `json:"transaction_id"`
	Module        string          `json:"module"`
	Action        string          `json:"action"`
	Params        json.RawMessage `json:"params"`
}

// take does what a message asks for.
func (a *agent) take(text []byte) error {
	m, err := pcp.V2.Decode(text)
	if err != nil {
		return err
	}
	var o order
	if err := json.Unmarshal(m.Data, &o); err != nil {
		return err
	}
	switch m.Type {
	case pcp.NonBlockingRequest:
		return a.begin(m, &o)
	case pcp.BlockingRequest:
		return a.tell(m, &o)
	}
	return fmt.Errorf("got a message of type %s: %s", m.Type, text)
}

// begin confirms an order, and runs it unless it is a repetition.
func (a *agent) begin(m *pcp.Message, o *order) error {
	var params struct{ Job string }
	end := func() { a.end(m.Sender, o.TransactionID, params.Job) }
	switch {
	case o.Module == "task" && o.Action == "run":
		end = func() { a.endTask(m.Sender, o.TransactionID) }
		if a.misbehave(m.Sender, o.TransactionID) {
			return nil
		}
	case o.Module != "pxp-module-puppet" || o.Action != "run":
		return fmt.Errorf("asked for %s %s", o.Module, o.Action)
	}
	if err := json.Unmarshal(o.Params, &params); err != nil {
		return err
	}
	f := a.fleet
	f.mu.Lock()
	f.orders, f.last = f.orders+1, time.Now()
	f.mu.Unlock()
	a.mu.Lock()
	run, known := a.runs[o.TransactionID]
	if !known {
		run = &puppetRun{}
		a.runs[o.TransactionID] = run
	}
	run.ordered++
	a.mu.Unlock()
	if !known {
		time.AfterFunc(a.takes(), end)
	}
	return a.send(pcp.ProvisionalResponse, m.Sender, map[string]any{"transaction_id": o.TransactionID})
}

// end posts the report and tells how the run ended.
func (a *agent) end(to, transaction, job string) {
	results, err := a.fleet.reports.post(a, job)
	if err == nil {
		a.mu.Lock()
		a.runs[transaction].results = results
		a.mu.Unlock()
		err = a.send(pcp.NonBlockingResponse, to, map[string]any{"transaction_id": transaction, "results": results})
	}
	if err != nil {
		a.fleet.fault(fmt.Errorf("%s: the end of a run: %w", a.certname, err))
	}
}

// tell answers a question for the status of a run.
func (a *agent) tell(m *pcp.Message, o *order) error {
	var params struct {
		TransactionID string `json:"transaction_id"`
	}
	if err := json.Unmarshal(o.Params, &params); err != nil || o.Module != "status" {
		return fmt.Errorf("asked %s %s %s", o.Module, o.Action, o.Params)
	}
	status := map[string]any{"transaction_id": params.TransactionID, "status": "unknown"}
	a.mu.Lock()
	run := a.runs[params.TransactionID]
	switch {
	case run != nil && run.results != nil:
		status["status"], status["exitcode"], status["stdout"], status["stderr"] = "success", 0, string(run.results), ""
	case run != nil:
		status["status"] = "running"
	}
	a.mu.Unlock()
	return a.send(pcp.BlockingResponse, m.Sender, map[string]any{"transaction_id": o.TransactionID, "results": status})
}

func (a *agent) send(messageType, target string, data any) error {
	m, err := pcp.New(messageType, target, data)
	if err != nil {
		return err
	}
	m.Sender = pcp.AgentURI(a.certname).String()
	text, err := pcp.V2.Encode(m)
	if err != nil {
		return err
	}
	return a.write(textFrame, text)
}
