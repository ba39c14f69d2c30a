package orchestrator

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"dalang/orchestrator/job"
)

// turn is what one turn of the loop does. While it is planned the loop's view
// of runs already is what it will be; nothing leaves before the commit.
type turn struct {
	ctx   context.Context
	at    time.Time
	batch job.Batch
	moved []*run       // of batch.Nodes
	ends  map[node]int // moves of batch.Nodes that end a run
	after []func()
}

// node is a node of a job.
type node struct {
	job      int64
	certname string
}

func (e *Engine) newTurn(ctx context.Context) *turn {
	return &turn{ctx: ctx, ends: map[node]int{}, at: e.cfg.Now().UTC().Truncate(time.Millisecond)}
}

// then is done after the commit, in order.
func (t *turn) then(do func()) { t.after = append(t.after, do) }

// move plans the move of a run.
func (t *turn) move(r *run, to job.State, c conclusion) {
	if c.event == "" {
		c.event = job.NodeEvent(to)
	}
	m := job.NodeMove{JobID: r.job.ID, Certname: r.certname, From: r.state, To: to, Event: c.event, Message: c.message, Detail: c.detail,
		TransactionUUID: c.transactionUUID, ReportHash: c.reportHash, Details: c.details, Result: c.result}
	if to == job.Ready || r.state != job.New {
		m.TransactionID, m.Fingerprint = r.transaction, r.fingerprint
	}
	if to.Terminal() {
		t.ends[node{m.JobID, m.Certname}] = len(t.batch.Nodes)
	}
	t.batch.Nodes = append(t.batch.Nodes, m)
	t.moved = append(t.moved, r)
	r.state = to
}

// Bounds of one transaction and of the waiting for a database that fails.
const (
	chunk      = 500 // moves
	retryFirst = 250 * time.Millisecond
	retryLast  = 15 * time.Second
)

// commit stores what the turn has planned and then does what was to be done
// after it. It tries until it succeeds or the engine ends, in which case
// nothing more happens.
func (e *Engine) commit(t *turn) {
	t.batch.At = t.at
	for !t.batch.Empty() {
		part := t.batch
		moved := t.moved
		if len(part.Nodes) > chunk {
			part = job.Batch{At: t.at, Stop: part.Stop, Nodes: part.Nodes[:chunk]}
			t.batch.Stop, t.batch.Nodes = nil, t.batch.Nodes[chunk:]
			moved, t.moved = moved[:chunk], moved[chunk:]
		} else {
			t.batch = job.Batch{}
		}
		applied := e.store(t.ctx, &part)
		if applied == nil {
			return
		}
		e.committed(t, &part, moved, applied)
	}
	for _, do := range t.after {
		do()
	}
}

// store tries until the database takes the batch. It is nil when ctx ended first.
func (e *Engine) store(ctx context.Context, b *job.Batch) *job.Applied {
	for wait := retryFirst; ; wait = min(wait*2, retryLast) {
		start := time.Now()
		applied, err := e.db.ChangeJobs(ctx, b)
		if err == nil {
			e.metrics.commit.Observe(time.Since(start).Seconds())
			return applied
		}
		if ctx.Err() != nil {
			return nil
		}
		e.metrics.failedCommits.Inc()
		e.log.LogAttrs(ctx, slog.LevelError, "storing changes of jobs failed", slog.Any("error", err), slog.Duration("again_in", wait))
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
	}
}

// committed tells what has happened. A move that did not happen means that
// somebody else changed the database: its job is read anew.
func (e *Engine) committed(t *turn, b *job.Batch, moved []*run, applied *job.Applied) {
	var strange []int64
	for i := range b.Nodes {
		m := &b.Nodes[i]
		if !applied.Nodes[i] {
			e.log.LogAttrs(t.ctx, slog.LevelError, "a node was not where it should be", slog.Int64("job_id", m.JobID), slog.String("certname", m.Certname),
				slog.String("from", string(m.From)), slog.String("to", string(m.To)))
			if !slices.Contains(strange, m.JobID) {
				strange = append(strange, m.JobID)
			}
			continue
		}
		e.metrics.moves.WithLabelValues(string(m.To)).Inc()
		if m.To.Terminal() && !moved[i].started.IsZero() {
			e.metrics.runTime.WithLabelValues(string(moved[i].job.Type)).Observe(t.at.Sub(moved[i].started).Seconds())
		}
		e.log.LogAttrs(t.ctx, slog.LevelInfo, "node changed state", slog.Int64("job_id", m.JobID), slog.String("certname", m.Certname),
			slog.String("from", string(m.From)), slog.String("to", string(m.To)), slog.String("transaction_id", m.TransactionID.String()))
	}
	for id, standing := range applied.Jobs {
		if a := e.jobs[id]; a != nil {
			a.State = standing.State
		}
		for _, state := range standing.Moved {
			if state.Terminal() {
				e.metrics.jobsEnded.WithLabelValues(string(state)).Inc()
			}
			e.log.LogAttrs(t.ctx, slog.LevelInfo, "job changed state", slog.Int64("job_id", id), slog.String("to", string(state)))
		}
	}
	for _, id := range strange {
		e.forget(id)
		e.post(func(t *turn) { e.load(t, id) })
	}
}

// forget drops a job and all its runs from memory, whatever they do.
func (e *Engine) forget(id int64) {
	a := e.jobs[id]
	if a == nil {
		return
	}
	for _, r := range a.open {
		e.release(r)
		e.leaveAway(r)
		e.leave(r)
	}
	a.lanes = [2][]*run{}
	e.drop(a)
	a.tell() // who waits asks again
}

// order sends an order to the run's transport after the commit.
func (e *Engine) order(t *turn, r *run, o order) {
	c := e.transports[r.transport]
	if c != nil {
		t.then(func() { c.orders.put(o) })
	}
}
