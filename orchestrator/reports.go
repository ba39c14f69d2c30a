package orchestrator

import (
	"context"
	"log/slog"

	"dalang/orchestrator/job"
)

// reportsAtOnce is how many reports one turn joins.
const reportsAtOnce = 200

// join joins stored reports with their runs, in a turn of its own: a run that
// is still open ends, one that has ended gets what the report knows. It is
// false if the reports could not be read; they wait then for the next turn.
func (e *Engine) join(ctx context.Context) bool {
	notes, err := e.db.JobReports(ctx, reportsAtOnce)
	if err != nil {
		if ctx.Err() == nil {
			e.log.LogAttrs(ctx, slog.LevelError, "reading reports of jobs failed", slog.Any("error", err))
		}
		return false
	}
	e.joinable = len(notes) == reportsAtOnce
	t := e.newTurn(ctx)
	jobs := map[int64]*job.Job{}
	for i := range notes {
		t.batch.Notes = append(t.batch.Notes, notes[i].Note)
		if notes[i].Report != nil {
			e.joinOne(t, &notes[i], jobs)
		}
	}
	e.schedule(t)
	e.commit(t)
	return true
}

func (e *Engine) joinOne(t *turn, n *job.ReportNote, jobs map[int64]*job.Job) {
	d, ok := e.works[job.TypeDeploy].(*deploys)
	if !ok || !n.Report.Matches(&n.Node) {
		e.log.LogAttrs(t.ctx, slog.LevelInfo, "a report is not of the run it names", slog.Int64("job_id", n.Node.JobID),
			slog.String("certname", n.Node.Certname), slog.String("hash", n.Report.Hash))
		return
	}
	if n.Node.State.Terminal() {
		e.enrich(t, d, n, jobs)
		return
	}
	a := e.jobs[n.Node.JobID]
	if a == nil || a.Type != job.TypeDeploy {
		return
	}
	if r := a.open[n.Node.Certname]; r != nil && r.state != job.New {
		c := d.reported(a.Job, n.Report)
		e.end(t, r, n.Report.State(), conclusion{message: e.finished(r, n.Report.State()), detail: c.Detail, details: c.Details, result: c.Result,
			transactionUUID: c.TransactionUUID, reportHash: n.Report.Hash})
	}
}

// enrich adds a report to a run that has ended. What it ended in stays; why it
// erred or was given up stays too.
func (e *Engine) enrich(t *turn, d *deploys, n *job.ReportNote, jobs map[int64]*job.Job) {
	if n.Node.ReportHash != "" {
		return
	}
	j := jobs[n.Node.JobID]
	if j == nil {
		var err error
		if j, err = e.db.Job(t.ctx, n.Node.JobID); err != nil {
			e.log.LogAttrs(t.ctx, slog.LevelError, "reading a job failed", slog.Int64("job_id", n.Node.JobID), slog.Any("error", err))
			return
		}
		jobs[j.ID] = j
	}
	if j.Type != job.TypeDeploy {
		return
	}
	c := d.reported(j, n.Report)
	more := job.Enrichment{JobID: n.Node.JobID, Certname: n.Node.Certname, TransactionUUID: c.TransactionUUID, ReportHash: n.Report.Hash}
	if n.Node.State == job.Finished || n.Node.State == job.Failed {
		more.Result, more.Details = c.Result, c.Details
	}
	t.batch.Enrich = append(t.batch.Enrich, more)
}
