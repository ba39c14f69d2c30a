package pxp

import (
	"encoding/json"
	"strings"

	"github.com/google/uuid"

	"dalang/orchestrator/job"
	"dalang/orchestrator/pcp"
)

// answer is the data of what agents send.
type answer struct {
	TransactionID uuid.UUID       `json:"transaction_id"`
	Results       json.RawMessage `json:"results"`
	Description   string          `json:"description"`
}

// Receive takes a message of an agent; see broker.Local.
func (c *Controller) Receive(m *pcp.Message) {
	var a answer
	if m.Type != pcp.ErrorMessage {
		if err := json.Unmarshal(m.Data, &a); err != nil {
			c.ignore(m, "data", err.Error())
			return
		}
	}
	switch m.Type {
	case pcp.ProvisionalResponse:
		c.with(m, a.TransactionID, c.confirmed)
	case pcp.NonBlockingResponse:
		c.ended(m, &a)
	case pcp.BlockingResponse:
		c.answered(m, &a)
	case pcp.RPCError:
		c.refused(m, a.TransactionID, "", a.Description)
	case pcp.ErrorMessage:
		c.refused(m, uuid.Nil, m.InReplyTo, m.ErrorText())
	default:
		c.ignore(m, "type", "")
	}
}

// ignore notes a message that nobody wants.
func (c *Controller) ignore(m *pcp.Message, reason, why string) {
	c.metrics.ignored.WithLabelValues(reason).Inc()
	c.cfg.Logger.Debug("a message was ignored", "sender", m.Sender, "message_type", m.Type, "reason", reason, "error", why)
}

// with does something with the transaction, if the sender may speak of it.
func (c *Controller) with(m *pcp.Message, id uuid.UUID, do func(*transaction)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t := c.transactions[id]; c.entitled(m, t) {
		do(t)
	}
}

// entitled tells whether the message is of the agent that the transaction is
// with: others may know its id and must not speak of it.
func (c *Controller) entitled(m *pcp.Message, t *transaction) bool {
	switch {
	case t == nil:
		c.ignore(m, "unknown", "")
	case m.Sender != t.agent:
		c.metrics.ignored.WithLabelValues("foreign").Inc()
		c.cfg.Logger.Warn("a peer speaks of another node's run", "sender", m.Sender, "certname", t.request.Certname, "message_type", m.Type)
	default:
		return true
	}
	return false
}

// find is the transaction that the sender may speak of, or nil.
func (c *Controller) find(m *pcp.Message, in map[uuid.UUID]*transaction, id uuid.UUID) *transaction {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t := in[id]; c.entitled(m, t) {
		return t
	}
	return nil
}

// ended takes the outcome that an agent sends by itself.
func (c *Controller) ended(m *pcp.Message, a *answer) {
	t := c.find(m, c.transactions, a.TransactionID)
	if t == nil || !c.claim(t) {
		return
	}
	o := outcome(t.wanted, &t.request, a.Results) // may take a while, so others go on
	c.with(m, a.TransactionID, func(now *transaction) {
		if now == t {
			c.conclude(t, o)
		}
	})
}

// claim tells whether to make the outcome of a transaction of what its agent
// sent. Where somebody receives that, it is done once, and nothing is asked
// meanwhile: what is sent again would only wait for what came first.
func (c *Controller) claim(t *transaction) bool {
	if t.request.Receive == nil {
		return true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if t.claimed || t.wanted.Err() != nil {
		return false
	}
	t.claimed = true
	c.rest(t)
	return true
}

func (c *Controller) conclude(t *transaction, o job.Outcome) {
	c.forget(t)
	c.cfg.Sink.Result(t.request.Certname, t.request.TransactionID, o)
}

// status is the results of a question.
type status struct {
	TransactionID uuid.UUID `json:"transaction_id"`
	Status        string    `json:"status"`
	ExitCode      int       `json:"exitcode"`
	Stdout        string    `json:"stdout"`
	Stderr        string    `json:"stderr"`
}

// answered takes the answer to a question.
func (c *Controller) answered(m *pcp.Message, a *answer) {
	t := c.find(m, c.polls, a.TransactionID)
	if t == nil {
		return
	}
	var s status
	err := json.Unmarshal(a.Results, &s)
	if err == nil && s.TransactionID == t.request.TransactionID && (s.Status == "success" || s.Status == "failure") {
		c.ran(t, &s)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if t.question != a.TransactionID || a.TransactionID == uuid.Nil {
		return // over, or asked anew
	}
	switch {
	case err != nil || s.TransactionID != t.request.TransactionID:
		c.ignore(m, "data", "the status is of another transaction, or none")
		c.unanswered(t)
		return
	case s.Status == "running":
		c.told(t, s.Status)
		if t.phase == running && !t.tell {
			c.plan(t)
			return
		}
		t.phase = asking
		c.confirmed(t)
	case s.Status == "unknown":
		c.told(t, s.Status)
		c.unknown(t)
	default:
		c.ignore(m, "data", "unknown status "+s.Status)
		c.unanswered(t)
	}
}

// ran takes the answer that a run has ended. How it ended stays true if the
// question was given up while the outcome was made.
func (c *Controller) ran(t *transaction, s *status) {
	if !c.claim(t) {
		return
	}
	o := s.outcome(t.wanted, &t.request)
	c.mu.Lock()
	defer c.mu.Unlock()
	if t.wanted.Err() == nil {
		c.told(t, s.Status)
		c.conclude(t, o)
	}
}

// told: a question was answered.
func (c *Controller) told(t *transaction, label string) {
	c.rest(t)
	t.misses = 0
	c.metrics.answers.WithLabelValues(label).Inc()
}

// unknown: the agent has never heard of the transaction. While it has yet to
// confirm a request, the request is still on its way.
func (c *Controller) unknown(t *transaction) {
	if t.phase == asking {
		c.after(t, c.cfg.Confirm, c.unconfirmed)
		return
	}
	c.fail(t, job.ErrUnknownTransaction)
}

// refused: the agent answers a request or a question with an error. Errors of
// PXP name the transaction, those of PCP the message.
func (c *Controller) refused(m *pcp.Message, id uuid.UUID, message, why string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	t, question := c.transactions[id], false
	if t == nil {
		t, question = c.polls[id], true
	}
	if message != "" {
		t = c.messages[message]
		question = t != nil && t.questionMessage == message
	}
	if !c.entitled(m, t) {
		return
	}
	why = clip(why)
	if question {
		c.cfg.Logger.Info("an agent does not tell the status of a run", "certname", t.request.Certname, "error", why)
		c.unanswered(t)
		return
	}
	text := "the agent refused the request: %s"
	if t.phase == running {
		text = "the agent could not complete the run: %s"
	}
	c.fail(t, job.NodeError(kindFailure, t.request.Certname, text, why))
}

// Presence takes note of agents that come and go; see broker.Local.
func (c *Controller) Presence(peer pcp.URI, connected bool) {
	if peer.Type != pcp.AgentType {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	there := c.Connected(peer.Certname)
	for t := range c.nodes[peer.Certname] {
		switch {
		case connected && t.phase == asking: // it may have left with the old connection
			t.sent = 0
			c.again(t)
		case connected:
			t.interval = c.cfg.PollFirst
			if c.poll(t) != nil && t.phase != running {
				c.lost(t)
			}
		case there: // it is back already, and that will be told
		case t.phase == running:
			c.rest(t) // until it is back
		default:
			c.lost(t)
		}
	}
	c.cfg.Sink.Presence(peer.Certname, connected)
}

// clip makes a text of an agent fit to be shown.
func clip(text string) string {
	const most = 2000
	text = strings.ToValidUTF8(strings.TrimSpace(text), "\uFFFD")
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}
