package orchestrator

import (
	"context"
	"fmt"
	"log/slog"

	"dalang/orchestrator/job"
)

// rescue takes up the jobs that the last life of the server left. Reports that
// came meanwhile settle their runs before any agent is asked.
func (e *Engine) rescue(ctx context.Context) error {
	ids, err := e.db.OpenJobs(ctx)
	if err != nil {
		return fmt.Errorf("take up jobs: %w", err)
	}
	t := e.newTurn(ctx)
	for _, id := range ids {
		j, nodes, edges, err := e.db.WholeJob(ctx, id)
		if err != nil {
			return fmt.Errorf("take up jobs: %w", err)
		}
		e.expectTold(id)
		e.admit(t, j, nodes, edges)
	}
	if len(ids) > 0 {
		e.log.LogAttrs(ctx, slog.LevelInfo, "took up jobs of the last life", slog.Int("jobs", len(ids)))
	}
	// Questions wait until the reports are joined: what a report settles needs none.
	questions := t.after
	t.after = nil
	e.commit(t)
	for e.joinable && ctx.Err() == nil {
		t := e.newTurn(ctx)
		if !e.join(t) {
			break
		}
		e.schedule(t)
		e.commit(t)
	}
	for _, ask := range questions {
		ask()
	}
	return nil
}

// expectTold: a job was read that Submit may still have to tell of; when it
// does, the job is known. Who calls Submit later makes another job.
func (e *Engine) expectTold(id int64) {
	if e.submitting.Load() > 0 {
		e.early[id] = true
	}
}

// load takes up one job as it is stored, unless it has ended.
func (e *Engine) load(t *turn, id int64) {
	if j, err := e.db.Job(t.ctx, id); err == nil && j.State.Terminal() {
		return // without its nodes, which may be many
	}
	j, nodes, edges, err := e.db.WholeJob(t.ctx, id)
	if err != nil {
		e.log.LogAttrs(t.ctx, slog.LevelError, "reading a job failed", slog.Int64("job_id", id), slog.Any("error", err))
		return
	}
	if !j.State.Terminal() {
		e.expectTold(id)
		e.admit(t, j, nodes, edges)
	}
}

// takeUp goes on with a run that was claimed in the last life: its request may
// have left or not.
func (e *Engine) takeUp(t *turn, r *run) {
	e.runs[r.transaction] = r
	r.handed, r.ask = true, true
	until := t.at.Add(e.cfg.RescueTimeout)
	if end := r.end(); r.state == job.Running && end.After(until) {
		until = end
	}
	e.shift(r, sent)
	e.expect(r, until)
	if r.state == job.Running {
		e.take(r, e.slotsOf(r))
	}
	e.ask(t, r)
}

// ask asks the agent what became of a run, or waits until it is there, as long
// as the run's deadline allows.
func (e *Engine) ask(t *turn, r *run) {
	c := e.transports[r.transport]
	if c == nil {
		e.fail(t, r, job.NodeError(kindFailure, r.certname, "there is no transport %q", r.transport))
		return
	}
	if !c.transport.Connected(r.certname) {
		e.stayAway(r)
		return
	}
	request, fingerprint, err := e.request(r, t.at)
	if err != nil {
		e.fail(t, r, job.NodeError(kindFailure, r.certname, "no request can be made: %v", err))
		return
	}
	if fingerprint != r.fingerprint {
		e.log.LogAttrs(t.ctx, slog.LevelWarn, "a request of the last life has changed", slog.Int64("job_id", r.job.ID), slog.String("certname", r.certname))
	}
	e.take(r, e.slotsOf(r))
	t.then(func() {
		if e.runs[request.TransactionID] == r { // a report may have settled it
			c.orders.put(order{do: job.Transport.Query, request: request})
		}
	})
}

// stayAway waits for the agent of a run that may be at work. A run that was
// confirmed keeps its slot.
func (e *Engine) stayAway(r *run) {
	if r.state != job.Running {
		e.release(r)
	}
	e.shift(r, away)
	e.absent[r.certname] = append(e.absent[r.certname], r)
}
