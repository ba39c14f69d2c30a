package orchestrator

import (
	"container/heap"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"github.com/google/uuid"

	"dalang/orchestrator/job"
)

// Kinds of what can be wrong with a node's run.
const (
	kindFailure      = job.Prefix + "execution-failure"
	kindDependency   = job.Prefix + "dependency-failed"
	kindStopped      = job.Prefix + "job-stopped"
	kindForceStopped = job.Prefix + "force-stopped"
)

// conclusion is what a move tells of a run, besides the state.
type conclusion struct {
	event   string // "": the state's usual one
	message string
	detail  json.RawMessage // of the event
	details json.RawMessage // of the node
	result  json.RawMessage
	// why the run ended so: becomes detail, details and, with failed, result
	err    *job.Error
	failed bool

	transactionUUID, reportHash string
}

// explain puts the error where it is shown.
func (c *conclusion) explain() {
	if c.err == nil {
		return
	}
	details := c.err.Details
	if details == nil {
		details = map[string]any{}
	}
	text, err := json.Marshal(map[string]any{"kind": c.err.Kind, "msg": c.err.Msg, "details": details})
	if err != nil { // a detail that has no JSON
		text = json.RawMessage(`{}`)
	}
	c.detail = text
	c.details = json.RawMessage(`{"detail":` + string(text) + `}`)
	if c.failed && c.result == nil {
		c.result = text
	}
}

// Provisional takes up that an agent has begun; see job.Sink.
func (e *Engine) Provisional(certname string, transaction uuid.UUID) {
	e.post(func(t *turn) {
		if r := e.find(certname, transaction); r != nil {
			e.confirmed(t, r)
		}
	})
}

// Result takes up that a run has ended; see job.Sink.
func (e *Engine) Result(certname string, transaction uuid.UUID, o job.Outcome) {
	e.post(func(t *turn) {
		r := e.find(certname, transaction)
		if r == nil {
			e.log.Info("a result came for a run that is over", "certname", certname, "transaction_id", transaction.String())
			return
		}
		e.conclude(t, r, o)
	})
}

// Error takes up that a transaction will have no result; see job.Sink.
func (e *Engine) Error(certname string, transaction uuid.UUID, err error) {
	e.post(func(t *turn) {
		r := e.find(certname, transaction)
		switch {
		case r == nil:
		case errors.Is(err, job.ErrNotConnected):
			e.notConnected(t, r)
		case errors.Is(err, job.ErrUnknownTransaction):
			e.unknown(t, r)
		default:
			e.fail(t, r, nodeError(r.certname, err))
		}
	})
}

// Presence takes up that an agent has come or gone; see job.Sink.
func (e *Engine) Presence(certname string, connected bool) {
	if !connected {
		return // a transport looks after its transactions; nobody else is concerned
	}
	e.post(func(t *turn) {
		waiting := e.absent[certname]
		delete(e.absent, certname)
		for _, r := range waiting {
			e.shift(r, sent)
			if r.ask {
				e.ask(t, r)
			} else {
				e.enqueue(r, true)
			}
		}
	})
}

// find is the open run of a transaction. Nobody but the node that was asked
// may speak of it.
func (e *Engine) find(certname string, transaction uuid.UUID) *run {
	r := e.runs[transaction]
	if r == nil || r.certname != certname {
		return nil
	}
	return r
}

// confirmed: the agent has the request, and runs.
func (e *Engine) confirmed(t *turn, r *run) {
	e.unqueue(r)
	e.leaveAway(r)
	e.shift(r, sent)
	r.handed, r.ask = true, false
	e.take(r, e.slotsOf(r)) // it runs, whether there was a slot or not
	if r.state == job.Ready {
		r.started = t.at
		t.move(r, job.Running, conclusion{message: fmt.Sprintf("Started %s on %s ...", r.job.work.Name(r.job.Job), r.certname)})
	}
	if end := r.end(); !r.deadline.Equal(end) {
		e.expect(r, end)
	}
}

// conclude ends a run with what its agent says.
func (e *Engine) conclude(t *turn, r *run, o job.Outcome) {
	if s, ok := r.job.work.(Settler); ok {
		o = s.Settle(r.job.Job, o)
	}
	if o.State != job.Finished && o.State != job.Failed {
		e.fail(t, r, nodeError(r.certname, o.Err))
		return
	}
	c := r.job.work.Conclude(r.job.Job, o)
	e.end(t, r, o.State, conclusion{message: e.finished(r, o.State), detail: c.Detail, details: c.Details, result: c.Result,
		transactionUUID: c.TransactionUUID})
}

func (e *Engine) finished(r *run, state job.State) string {
	how := "Success!"
	if state != job.Finished {
		how = "Failed!"
	}
	return fmt.Sprintf("Finished %s on %s - %s", r.job.work.Name(r.job.Job), r.certname, how)
}

// nodeError is an error as a node shows it; a *job.Error keeps its kind.
func nodeError(certname string, err error) *job.Error {
	var known *job.Error
	if errors.As(err, &known) {
		return known
	}
	if err == nil {
		err = errors.New("the agent gave no reason")
	}
	return job.NodeError(kindFailure, certname, "%v", err)
}

// fail: the run could not be made, or was lost.
func (e *Engine) fail(t *turn, r *run, why *job.Error) {
	name := "on"
	if r.job.work != nil {
		name = r.job.work.Verb(r.job.Job) + " on"
	}
	e.end(t, r, job.Errored, conclusion{message: fmt.Sprintf("Error running %s %s: %s", name, r.certname, why.Msg), err: why, failed: true})
}

// end ends a run, and with it what waited for it.
func (e *Engine) end(t *turn, r *run, state job.State, c conclusion) {
	if r.state == job.Ready && (state == job.Finished || state == job.Failed) {
		e.confirmed(t, r)
	}
	c.explain()
	t.move(r, state, c)
	e.release(r)
	e.unqueue(r)
	e.leaveAway(r)
	e.leave(r)
	delete(r.job.open, r.certname)
	for _, follower := range r.followers {
		e.follow(t, follower, r.certname, state)
	}
	r.followers = nil
	if len(r.job.open) == 0 {
		e.drop(r.job)
		t.then(r.job.tell)
	}
}

// follow: a node that r needs has ended.
func (e *Engine) follow(t *turn, r *run, needed string, state job.State) {
	if r.state != job.New {
		return // skipped for the sake of another one
	}
	if state != job.Finished {
		if !r.job.stopping {
			e.skip(t, r, []string{needed})
		}
		return
	}
	r.needs--
	if r.needs == 0 && r.phase == blocked && !r.job.stopping {
		e.enqueue(r, false)
	}
}

func (e *Engine) skip(t *turn, r *run, needed []string) {
	why := job.NodeError(kindDependency, r.certname, "a node that it depends on did not finish: %s", needed[0])
	why.Details = map[string]any{"nodes": needed}
	e.end(t, r, job.Skipped, conclusion{message: fmt.Sprintf("Skipped %s on %s: %s", r.job.work.Name(r.job.Job), r.certname, why.Msg), err: why})
}

// unqueue takes a run out of its job's queue.
func (e *Engine) unqueue(r *run) {
	if r.phase != queued {
		return
	}
	lane := r.lane()
	if i := slices.Index(*lane, r); i > 0 {
		*lane = slices.Delete(*lane, i, i+1)
	} else if i == 0 {
		pop(lane)
	}
	e.shift(r, sent)
}

// notConnected: the transport gives a request back. The agent may have come
// meanwhile, and that been told before anybody waited for it.
func (e *Engine) notConnected(t *turn, r *run) {
	switch {
	case r.phase != sent:
	case r.ask: // wait on, until the deadline that the question had
		e.stayAway(r)
	case r.state == job.Ready:
		r.handed = false
		e.goAway(r, t.at.Add(e.cfg.PCPTimeout))
	}
	if c := e.transports[r.transport]; r.phase == away && c != nil && c.transport.Connected(r.certname) {
		e.Presence(r.certname, true)
	}
}

// unknown: the agent never saw the transaction. The same request goes out
// again, and its time begins anew, unless the agent had confirmed it once: then
// it has forgotten, and a second run is not wanted.
func (e *Engine) unknown(t *turn, r *run) {
	switch {
	case r.state == job.Running:
		e.fail(t, r, job.NodeError(kindFailure, r.certname, "the agent has forgotten the run"))
	case r.resent:
		e.fail(t, r, job.NodeError(kindFailure, r.certname, "the agent does not take the request"))
	case t.at.Sub(r.sentAt) >= e.cfg.ResendWithin:
		e.fail(t, r, job.NodeError(kindFailure, r.certname, "the agent never got the request, which is too old to be sent again"))
	case r.job.stopping:
		r.handed = false
		e.stopNew(t, r)
	default:
		r.ask, r.resent, r.handed = false, true, false
		e.release(r)
		e.unqueue(r)
		e.leaveAway(r)
		e.enqueue(r, true)
	}
}

// expire ends what has waited too long.
func (e *Engine) expire(t *turn) {
	for len(e.due) > 0 && !e.due[0].at.After(t.at) {
		d := heap.Pop(&e.due).(deadline)
		r := d.run
		if !r.deadline.Equal(d.at) || r.deadline.IsZero() {
			continue
		}
		if r.phase == away && r.state != job.Running {
			e.fail(t, r, job.NodeError(job.Prefix+"not-connected", r.certname, "the node is not connected"))
			continue
		}
		why := fmt.Sprintf("the run did not end within %s", r.job.Timeout)
		if r.ask {
			why = "the agent did not say what became of the run"
		}
		e.dismiss(t, r)
		e.fail(t, r, job.NodeError(kindFailure, r.certname, "%s", why))
	}
}

// dismiss has the transport forget a run that ends without a word of it.
func (e *Engine) dismiss(t *turn, r *run) {
	if request, _, err := e.request(r, t.at); err == nil {
		e.order(t, r, order{do: job.Transport.Stop, request: request, final: true})
	}
}

// stop stops a job; see Engine.Stop.
func (e *Engine) stop(t *turn, id int64, force bool) {
	if e.jobs[id] == nil {
		e.load(t, id) // made a moment ago, or ended
	}
	a := e.jobs[id]
	if a == nil {
		return
	}
	if !a.stopping || force {
		t.then(func() {
			e.log.LogAttrs(t.ctx, slog.LevelInfo, "job was told to stop", slog.Int64("job_id", id), slog.Bool("force", force))
		})
	}
	if !a.stopping {
		a.stopping = true
		t.batch.Stop = append(t.batch.Stop, id)
	}
	for _, r := range sorted(a.open) {
		switch {
		case r.state == job.New || r.state == job.Ready && !r.handed:
			e.stopNew(t, r)
		case force:
			e.abandon(t, r)
		}
	}
}

// stopNew stops a node that has not started.
func (e *Engine) stopNew(t *turn, r *run) {
	why := job.NodeError(kindStopped, r.certname, "job stopped")
	e.end(t, r, job.Stopped, conclusion{message: fmt.Sprintf("Skipped %s on %s: job stopped", r.job.work.Name(r.job.Job), r.certname), err: why})
}

// abandon gives a run up; the agent may go on.
func (e *Engine) abandon(t *turn, r *run) {
	e.dismiss(t, r)
	why := job.NodeError(kindForceStopped, r.certname, "job stopped by force; the node may still be at work")
	e.end(t, r, job.Stopped, conclusion{event: job.NodeErrored, err: why, failed: true,
		message: fmt.Sprintf("Error running %s on %s: %s", r.job.work.Verb(r.job.Job), r.certname, why.Msg)})
}
