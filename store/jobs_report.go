package store

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"

	"dalang/orchestrator/job"
	"dalang/wireformat"
)

// noteReport notes a report that may be of a run of some job: it carries the
// job's name and the node is in that job, or a run told its transaction. The
// note is in the report's own transaction, so that none is ever missed.
func (a *applier) noteReport(id int64, p *wireformat.Report) error {
	if p.JobID != nil {
		// Anybody may send any text: only the decimal form of a number is a name.
		if name, err := strconv.ParseInt(*p.JobID, 10, 64); err == nil && strconv.FormatInt(name, 10) == *p.JobID {
			noted, err := a.changed(`INSERT INTO job_report (report_id, job_id, certname)
				SELECT ?1, job_id, certname FROM job_node WHERE job_id = ?2 AND certname = ?3`, id, name, p.Certname)
			if noted > 0 || err != nil {
				a.noted = a.noted || noted > 0
				return err
			}
		}
	}
	if p.TransactionUUID == nil {
		return nil
	}
	noted, err := a.changed(`INSERT INTO job_report (report_id, job_id, certname)
		SELECT ?1, job_id, certname FROM job_node WHERE transaction_uuid = ?2 AND certname = ?3 LIMIT 1`, id, *p.TransactionUUID, p.Certname)
	a.noted = a.noted || noted > 0
	return err
}

// noteStored notes the report of a transaction that a run has just told, if
// it is stored already.
func (m *mover) noteStored(id int64, certname, transaction string) error {
	noted, err := m.changed(`INSERT INTO job_report (report_id, job_id, certname)
		SELECT report.id, ?1, ?2 FROM report JOIN node ON node.id = report.node_id
		WHERE report.transaction_uuid = ?3 AND node.certname = ?2
		AND NOT EXISTS (SELECT 1 FROM job_report r WHERE r.report_id = report.id) LIMIT 1`, id, certname, transaction)
	m.noted = m.noted || noted > 0
	return err
}

// tellReports wakes whoever waits for notes, after a commit. Store.mu is held.
func (s *Store) tellReports() {
	if !s.writer.noted {
		return
	}
	s.writer.noted = false
	select {
	case s.reportNotes <- struct{}{}:
	default:
	}
}

// ReportNotes gets a value after reports were noted. Look for them once at the
// start as well: they survive a crash, the signal does not.
func (s *Store) ReportNotes() <-chan struct{} { return s.reportNotes }

// JobReports are the first notes of reports that wait to be joined with a run.
func (s *Store) JobReports(ctx context.Context, limit int) ([]job.ReportNote, error) {
	var notes []job.ReportNote
	err := s.ReadTx(ctx, func(ctx context.Context, conn *sql.Conn) error {
		rows, err := conn.QueryContext(ctx, `SELECT j.id, j.job_id, j.certname, r.hash, coalesce(r.job_id, ''), coalesce(r.transaction_uuid, ''),
			coalesce(r.status, ''), coalesce(r.noop, 0), coalesce(e.name, ''), r.configuration_version, r.start_time, r.end_time, pdb_unpack(b.metrics)
			FROM job_report j LEFT JOIN report r ON r.id = j.report_id LEFT JOIN environment e ON e.id = r.environment_id
			LEFT JOIN report_body b ON b.report_id = r.id ORDER BY j.id LIMIT ?1`, limit)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			n, err := scanNote(rows)
			if err != nil {
				return err
			}
			notes = append(notes, n)
		}
		if err := rows.Err(); err != nil {
			return err
		}
		for i := range notes {
			n := &notes[i]
			nodes, err := queryNodes(ctx, conn, "job_id = ?1 AND certname = ?2", "", n.Node.JobID, n.Node.Certname)
			if err != nil {
				return err
			}
			if len(nodes) == 0 {
				n.Report = nil // the job was pruned
				continue
			}
			n.Node = nodes[0]
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read reports of jobs: %w", err)
	}
	return notes, nil
}

func scanNote(rows *sql.Rows) (job.ReportNote, error) {
	var n job.ReportNote
	var hash, configuration sql.NullString
	var start, end sql.NullInt64
	var metrics sql.NullString
	r := &job.Report{}
	err := rows.Scan(&n.Note, &n.Node.JobID, &n.Node.Certname, &hash, &r.JobID, &r.TransactionUUID, &r.Status, &r.Noop,
		&r.Environment, &configuration, &start, &end, &metrics)
	if err != nil || !hash.Valid {
		return n, err // a report that was deleted has no hash
	}
	r.Hash, r.Certname, r.ConfigurationVersion = hash.String, n.Node.Certname, configuration.String
	r.Start, r.End = timeOf(start), timeOf(end)
	if metrics.Valid {
		r.Metrics = []byte(metrics.String)
	}
	n.Report = r
	return n, nil
}
