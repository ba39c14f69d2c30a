package pxp

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"

	"dalang/orchestrator/job"
	"dalang/orchestrator/pcp"
)

// phase is where a transaction is; see doc.go.
type phase int

const (
	fresh phase = iota
	asking
	querying
	running
)

// transaction is a request that an agent has, or is to have.
type transaction struct {
	request job.Request
	agent   string // its URI
	phase   phase
	sent    int  // how often the request was sent without an answer
	tell    bool // that it runs, the next time the agent says so
	claimed bool // its outcome is being received

	wanted context.Context // until it is forgotten
	cancel context.CancelFunc

	question        uuid.UUID     // the transaction of the question that is open; uuid.Nil: none
	requestMessage  string        // id of the last request
	questionMessage string        // id of the open question
	interval        time.Duration // to the next question
	misses          int           // questions in a row without an answer
	timer           *time.Timer
	round           int // of the timer: one that was reset too late is ignored
}

// remember begins a transaction.
func (c *Controller) remember(r job.Request) *transaction {
	t := &transaction{request: r, agent: pcp.AgentURI(r.Certname).String(), interval: c.cfg.PollFirst}
	t.wanted, t.cancel = context.WithCancel(context.Background())
	c.transactions[r.TransactionID] = t
	if c.nodes[r.Certname] == nil {
		c.nodes[r.Certname] = map[*transaction]struct{}{}
	}
	c.nodes[r.Certname][t] = struct{}{}
	return t
}

// forget ends a transaction; nothing more is told of it.
func (c *Controller) forget(t *transaction) {
	c.rest(t)
	t.cancel()
	delete(c.messages, t.requestMessage)
	delete(c.transactions, t.request.TransactionID)
	of := c.nodes[t.request.Certname]
	delete(of, t)
	if len(of) == 0 {
		delete(c.nodes, t.request.Certname)
	}
}

// rest stops the timer and gives up the open question.
func (c *Controller) rest(t *transaction) {
	t.round++
	if t.timer != nil {
		t.timer.Stop()
	}
	delete(c.polls, t.question)
	delete(c.messages, t.questionMessage)
	t.question, t.questionMessage = uuid.Nil, ""
}

// after has the transaction's timer fire.
func (c *Controller) after(t *transaction, d time.Duration, do func(*transaction)) {
	t.round++
	round := t.round
	if t.timer != nil {
		t.timer.Stop()
	}
	t.timer = time.AfterFunc(d, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if t.round == round && c.transactions[t.request.TransactionID] == t {
			do(t)
		}
	})
}

// call is the data of a request.
type call struct {
	TransactionID uuid.UUID       `json:"transaction_id"`
	NotifyOutcome *bool           `json:"notify_outcome,omitempty"` // of non-blocking requests only
	Module        string          `json:"module"`
	Action        string          `json:"action"`
	Params        json.RawMessage `json:"params,omitempty"`
}

// request sends the transaction's request, once more if need be.
func (c *Controller) request(t *transaction) error {
	r := &t.request
	delete(c.messages, t.requestMessage)
	m, err := pcp.New(pcp.NonBlockingRequest, t.agent, call{r.TransactionID, &r.NotifyOutcome, r.Module, r.Action, c.params(r)})
	if err != nil {
		return err
	}
	m.Sender = c.uri
	t.requestMessage = m.ID
	c.messages[m.ID] = t
	if err := c.cfg.Broker.Send(m); err != nil {
		return err
	}
	t.sent++
	c.metrics.requests.Inc()
	c.after(t, c.cfg.Confirm, c.unconfirmed)
	return nil
}

// params are those of a request and, where the agent ends what it runs, its
// time: upstream's has no clock and refuses a command with params that it does
// not know.
func (c *Controller) params(r *job.Request) json.RawMessage {
	entry, _ := c.cfg.Broker.Find(pcp.AgentURI(r.Certname))
	object, is := bytes.CutPrefix(bytes.TrimSpace(r.Params), []byte("{"))
	if !entry.Own || !is || r.Timeout <= 0 || !slices.Contains([]string{"task", "command", "script", "file", "apply"}, r.Module) {
		return r.Params
	}
	timed := append([]byte(`{"timeout":`), strconv.FormatFloat(r.Timeout.Seconds(), 'f', -1, 64)...)
	if object = bytes.TrimSpace(object); object[0] != '}' {
		timed = append(timed, ',')
	}
	return append(timed, object...)
}

// unconfirmed: the agent has not answered a request in time.
func (c *Controller) unconfirmed(t *transaction) {
	if !c.Connected(t.request.Certname) {
		c.lost(t)
		return
	}
	if t.sent < 2 {
		c.cfg.Logger.Info("a request was not confirmed; sending it again", "certname", t.request.Certname, "transaction_id", t.request.TransactionID.String())
		c.again(t)
		return
	}
	c.fail(t, job.NodeError(kindFailure, t.request.Certname, "the agent does not confirm the request"))
}

// again sends a request once more.
func (c *Controller) again(t *transaction) {
	c.metrics.resent.Inc()
	if c.request(t) != nil {
		c.lost(t)
	}
}

// lost: the agent went before it confirmed anything.
func (c *Controller) lost(t *transaction) { c.fail(t, job.ErrNotConnected) }

// fail ends a transaction with an error.
func (c *Controller) fail(t *transaction, err error) {
	c.forget(t)
	c.cfg.Sink.Error(t.request.Certname, t.request.TransactionID, err)
}

// confirmed: the agent is at it.
func (c *Controller) confirmed(t *transaction) {
	if t.phase == running {
		return
	}
	c.rest(t)
	t.phase, t.tell = running, false
	c.cfg.Sink.Provisional(t.request.Certname, t.request.TransactionID)
	c.plan(t)
}

// plan has the next question asked in a while, and the one after that later.
func (c *Controller) plan(t *transaction) {
	jitter := 0.8 + 0.4*c.cfg.Random()
	c.after(t, time.Duration(float64(t.interval)*jitter), func(t *transaction) { _ = c.poll(t) }) // poll has seen to an error
	t.interval = min(t.interval*3/2, c.cfg.PollMost)
}

// poll asks for the status. An agent that is away is asked when it is back.
func (c *Controller) poll(t *transaction) error {
	c.rest(t)
	params, err := json.Marshal(map[string]uuid.UUID{"transaction_id": t.request.TransactionID})
	if err != nil {
		return err
	}
	question := uuid.New()
	m, err := pcp.New(pcp.BlockingRequest, t.agent, call{TransactionID: question, Module: "status", Action: "query", Params: params})
	if err != nil {
		return err
	}
	m.Sender = c.uri
	t.question, t.questionMessage = question, m.ID
	c.polls[question], c.messages[m.ID] = t, t
	if err := c.cfg.Broker.Send(m); err != nil {
		c.rest(t)
		return err
	}
	c.after(t, c.cfg.Answer, c.unanswered)
	return nil
}

// unanswered: a question got no answer, or none that helps.
func (c *Controller) unanswered(t *transaction) {
	c.rest(t)
	t.misses++
	c.metrics.answers.WithLabelValues("none").Inc()
	if t.misses >= c.cfg.Misses {
		c.fail(t, job.NodeError(kindFailure, t.request.Certname, "the agent does not answer %d questions for the run's status in a row", t.misses))
		return
	}
	c.plan(t)
}
