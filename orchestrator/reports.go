package orchestrator

import (
	"log/slog"

	"dalang/orchestrator/job"
)

// reportsAtOnce is how many reports one turn joins.
const reportsAtOnce = 200

// join plans to join stored reports with their runs: a run that is still open
// ends, one that has ended gets what the report knows. It is false if the
// reports could not be read; they wait then for another turn.
func (e *Engine) join(t *turn) bool {
	notes, err := e.db.JobReports(t.ctx, reportsAtOnce)
	if err != nil {
		if t.ctx.Err() == nil {
			e.log.LogAttrs(t.ctx, slog.LevelError, "reading reports of jobs failed", slog.Any("error", err))
		}
		return false
	}
	e.joinable = len(notes) == reportsAtOnce
	jobs := map[int64]*job.Job{}
	for i := range notes {
		t.batch.Notes = append(t.batch.Notes, notes[i].Note)
		if notes[i].Report != nil {
			t.foresee(&notes[i].Node)
			e.joinOne(t, &notes[i], jobs)
		}
	}
	return true
}

// foresee brings a node that was read to where it will be after this turn: what
// its agent said may have come together with its report.
func (t *turn) foresee(n *job.Node) {
	i, ended := t.ends[node{n.JobID, n.Certname}]
	if !ended {
		return
	}
	m := &t.batch.Nodes[i]
	n.State, n.Finished = m.To, t.at
	if m.TransactionUUID != "" {
		n.TransactionUUID = m.TransactionUUID
	}
	if m.ReportHash != "" {
		n.ReportHash = m.ReportHash
	}
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
		e.dismiss(t, r) // its agent may never say a word more
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
	if a := e.jobs[n.Node.JobID]; a != nil {
		j = a.Job
	}
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
