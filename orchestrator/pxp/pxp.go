package pxp

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/google/uuid"

	"dalang/orchestrator/broker"
	"dalang/orchestrator/job"
	"dalang/orchestrator/pcp"
)

// ClientType is the controller's in its URI.
const ClientType = "orchestrator"

// Controller is the job.Transport of agents that connect to the broker. Its
// methods never wait for an agent.
type Controller struct {
	cfg     Config
	uri     string
	metrics *metrics

	// mu guards all below. The broker and the sink are called with it held, so
	// that they are told in order; neither calls back or blocks.
	mu           sync.Mutex
	over         atomic.Bool // Run has ended; read without mu, too
	transactions map[uuid.UUID]*transaction
	polls        map[uuid.UUID]*transaction // by the transaction of the question that is open
	messages     map[string]*transaction    // by the id of the last request, and of the open question
	nodes        map[string]map[*transaction]struct{}
}

var (
	_ job.Transport = (*Controller)(nil)
	_ broker.Local  = (*Controller)(nil)
)

// New makes a controller and attaches it to the broker; do so before the
// broker runs.
func New(cfg Config) (*Controller, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	c := &Controller{
		cfg: cfg, transactions: map[uuid.UUID]*transaction{}, polls: map[uuid.UUID]*transaction{},
		messages: map[string]*transaction{}, nodes: map[string]map[*transaction]struct{}{},
	}
	if c.metrics, err = newMetrics(cfg.Registerer, c); err != nil {
		return nil, err
	}
	c.uri = cfg.Broker.Attach(ClientType, c)
	return c, nil
}

// Run forgets all transactions when ctx ends: agents go on, and the next life
// of the server asks for them. Its error is nil.
func (c *Controller) Run(ctx context.Context) error {
	<-ctx.Done()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over.Store(true)
	for _, t := range c.transactions {
		c.forget(t)
	}
	return nil
}

// Name is the transport's among jobs.
func (c *Controller) Name() string { return "pcp" }

// Connected tells whether the node's agent is there.
func (c *Controller) Connected(certname string) bool {
	if c.over.Load() {
		return false
	}
	_, there := c.cfg.Broker.Find(pcp.AgentURI(certname))
	return there
}

// Start sends a request, see job.Transport. One that the agent has confirmed
// is not sent again.
func (c *Controller) Start(_ context.Context, r job.Request) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	t, err := c.take(r)
	switch {
	case err != nil:
		return err
	case t.phase == running:
		c.cfg.Sink.Provisional(r.Certname, r.TransactionID)
		return nil
	}
	t.phase, t.sent = asking, 0
	return c.begun(t, c.request(t))
}

// Query asks for the status of a transaction, see job.Transport. One that is
// known is asked for at once.
func (c *Controller) Query(_ context.Context, r job.Request) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	t, err := c.take(r)
	if err != nil {
		return err
	}
	t.tell = true
	if t.phase == fresh {
		t.phase = querying
	}
	return c.begun(t, c.poll(t))
}

// Stop forgets a transaction. The protocol has no way to end what runs.
func (c *Controller) Stop(_ context.Context, r job.Request) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t := c.transactions[r.TransactionID]; t != nil && t.request.Certname == r.Certname {
		c.forget(t)
	}
	return nil
}

// take finds a transaction, or makes it if its agent is there.
func (c *Controller) take(r job.Request) (*transaction, error) {
	t := c.transactions[r.TransactionID]
	switch {
	case t != nil && t.request.Certname != r.Certname:
		return nil, fmt.Errorf("pxp: transaction %s is of %s, not of %s", r.TransactionID, t.request.Certname, r.Certname)
	case t != nil:
		return t, nil
	case !c.Connected(r.Certname):
		return nil, job.ErrNotConnected
	}
	return c.remember(r), nil
}

// begun answers for the first message of a transaction.
func (c *Controller) begun(t *transaction, err error) error {
	if err == nil || t.phase == running {
		return nil // running: it goes on, whatever becomes of a question
	}
	c.forget(t)
	switch {
	case errors.Is(err, broker.ErrNotConnected):
		return job.ErrNotConnected
	case errors.Is(err, broker.ErrTooLarge):
		return job.NodeError(kindFailure, t.request.Certname, "the request cannot be sent: %v", err)
	}
	return err
}
