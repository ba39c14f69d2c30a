package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"dalang/orchestrator/job"
)

// CreateJob stores a job with its nodes and their order, all new, and makes it
// ready, in one transaction, which settles the firing that it is for. The job
// comes back with its ID and times.
func (s *Store) CreateJob(ctx context.Context, d *job.Draft) (*job.Job, error) {
	if len(d.Nodes) == 0 {
		return nil, errors.New("create job: no nodes")
	}
	made := d.Job
	made.State, made.NodeCount = job.Ready, len(d.Nodes)
	made.Nodes = job.Counts{job.New: len(d.Nodes)}
	made.Created = s.cfg.Now().UTC().Truncate(time.Millisecond)
	made.Timestamp = made.Created
	made.Spans = []job.Span{{State: job.New, Enter: made.Created, Exit: made.Created}, {State: job.Ready, Enter: made.Created}}
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.writer.transaction(ctx, func() error {
		w := s.writer
		result, err := w.execResult(`INSERT INTO job (type, state, environment, options, owner, owner_login, description, userdata,
			concurrency, timeout, plan_job_id, task, changed, created, nodes_new)
			VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?13, ?14)`,
			made.Type, made.State, made.Environment, object(made.Options), object(made.Owner), made.OwnerLogin, made.Description,
			object(made.Userdata), made.Concurrency, made.Timeout.Milliseconds(), orNull(made.PlanJob), made.Task, ms(made.Created), len(d.Nodes))
		if err != nil {
			return err
		}
		if made.ID, err = result.LastInsertId(); err != nil {
			return err
		}
		if err := w.settleFiring(d.Firing, made.ID, false, made.Created); err != nil {
			return err
		}
		for i, span := range made.Spans {
			if err := w.exec("INSERT INTO job_span (job_id, seq, state, entered, exited) VALUES (?1, ?2, ?3, ?4, ?5)",
				made.ID, i, span.State, ms(span.Enter), timeOrNull(span.Exit)); err != nil {
				return err
			}
		}
		if err := w.insertSecrets(&made, d); err != nil {
			return err
		}
		return w.insertNodes(&made, d)
	})
	if err != nil {
		return nil, fmt.Errorf("create job: %w", err)
	}
	return &made, nil
}

// insertNodes writes the nodes and edges of a draft, each list by one
// statement: a job of 10,000 nodes holds the writer for some 30 ms.
func (w *writer) insertNodes(made *job.Job, d *job.Draft) error {
	nodes := make([][2]string, len(d.Nodes))
	for i := range d.Nodes {
		nodes[i] = [2]string{d.Nodes[i].Certname, d.Nodes[i].Transport}
	}
	list, err := json.Marshal(nodes)
	if err != nil {
		return err
	}
	if err := w.exec(`INSERT INTO job_node (job_id, position, certname, state, transport, changed)
		SELECT ?1, key, value ->> 0, 'new', value ->> 1, ?2 FROM json_each(?3)`, made.ID, ms(made.Created), string(list)); err != nil {
		return err
	}
	edges := make([][2]string, len(d.Edges))
	for i, e := range d.Edges {
		edges[i] = [2]string{e.After, e.Before}
	}
	if list, err = json.Marshal(edges); err != nil {
		return err
	}
	return w.exec(`INSERT INTO job_edge (job_id, certname, needs) SELECT DISTINCT ?1, value ->> 0, value ->> 1 FROM json_each(?2)`,
		made.ID, string(list))
}

// ChangeJobs does what a batch says in one transaction; see job.Batch.
func (s *Store) ChangeJobs(ctx context.Context, b *job.Batch) (*job.Applied, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := &mover{writer: s.writer, at: ms(b.At), applied: &job.Applied{Nodes: make([]bool, len(b.Nodes)), Jobs: map[int64]job.Standing{}}}
	if err := s.writer.transaction(ctx, func() error { return m.apply(b) }); err != nil {
		return nil, fmt.Errorf("change jobs: %w", err)
	}
	s.tellReports()
	return m.applied, nil
}

// mover applies one batch.
type mover struct {
	*writer
	at      int64
	touched []int64               // jobs, in the order in which they were named first
	deltas  map[int64]job.Counts  // by how much the counts of a job's nodes change
	moved   map[int64][]job.State // what jobs went to
	applied *job.Applied
}

func (m *mover) apply(b *job.Batch) error {
	m.deltas, m.moved = map[int64]job.Counts{}, map[int64][]job.State{}
	for _, id := range b.Stop {
		m.touch(id)
		if err := m.stop(id); err != nil {
			return err
		}
	}
	for i := range b.Nodes {
		m.touch(b.Nodes[i].JobID)
		var err error
		if m.applied.Nodes[i], err = m.node(&b.Nodes[i]); err != nil {
			return err
		}
	}
	if err := m.count(); err != nil {
		return err
	}
	for _, a := range b.Abort {
		m.touch(a.JobID)
		if err := m.abort(a); err != nil {
			return err
		}
	}
	for _, id := range m.touched {
		if err := m.settle(id); err != nil {
			return err
		}
	}
	for i := range b.Enrich {
		if err := m.enrich(&b.Enrich[i]); err != nil {
			return err
		}
	}
	for _, note := range b.Notes {
		if err := m.exec("DELETE FROM job_report WHERE id = ?1", note); err != nil {
			return err
		}
	}
	return nil
}

func (m *mover) touch(id int64) {
	if _, known := m.deltas[id]; !known {
		m.deltas[id] = job.Counts{}
		m.touched = append(m.touched, id)
	}
}

// node moves a node if it is where the move begins, and writes its event.
func (m *mover) node(n *job.NodeMove) (bool, error) {
	if !job.Allowed(job.OfNode, n.From, n.To, n.Event) {
		return false, fmt.Errorf("node %s of job %d: no move from %s to %s with event %q", n.Certname, n.JobID, n.From, n.To, n.Event)
	}
	var happened int64
	var err error
	if n.To == job.Ready {
		happened, err = m.changed(`UPDATE job_node SET state = 'ready', transaction_id = ?3, fingerprint = ?4, sent = ?5, changed = ?5
			WHERE job_id = ?1 AND certname = ?2 AND state = 'new'
			AND (SELECT state FROM job WHERE id = ?1) IN ('ready', 'running')`,
			n.JobID, n.Certname, n.TransactionID.String(), n.Fingerprint, m.at)
	} else {
		happened, err = m.changed(`UPDATE job_node SET state = ?4, changed = ?5, started = CASE WHEN ?4 = 'running' THEN ?5 ELSE started END,
			finished = CASE WHEN ?4 = 'running' THEN NULL ELSE ?5 END, transaction_uuid = coalesce(?6, transaction_uuid),
			report_hash = coalesce(?7, report_hash), message = ?8, details = coalesce(?9, details), result = coalesce(?10, result)
			WHERE job_id = ?1 AND certname = ?2 AND state = ?3 AND (?11 IS NULL OR transaction_id = ?11)`,
			n.JobID, n.Certname, n.From, n.To, m.at, orNull(n.TransactionUUID), orNull(n.ReportHash), n.Message,
			rawOrNull(n.Details), rawOrNull(n.Result), uuidOrNull(n.TransactionID))
	}
	if err != nil || happened == 0 {
		return false, err
	}
	if n.To.Terminal() {
		if err := m.exec("DELETE FROM job_secret WHERE job_id = ?1 AND certname = ?2", n.JobID, n.Certname); err != nil {
			return false, err
		}
	}
	m.deltas[n.JobID][n.From]--
	m.deltas[n.JobID][n.To]++
	if n.Event != "" {
		id, err := m.event(n.JobID, n.Event, n.Certname, nodeDetails(n), n.Message)
		if err != nil {
			return false, err
		}
		if err := m.exec("UPDATE job_node SET latest_event = ?3 WHERE job_id = ?1 AND certname = ?2", n.JobID, n.Certname, id); err != nil {
			return false, err
		}
	}
	if n.TransactionUUID != "" && n.ReportHash == "" {
		return true, m.noteStored(n.JobID, n.Certname, n.TransactionUUID)
	}
	return true, nil
}

func nodeDetails(n *job.NodeMove) any {
	return map[string]any{"node": n.Certname, "detail": json.RawMessage(object(n.Detail))}
}

// event writes an event and gives its id.
func (m *mover) event(id int64, kind, certname string, details any, message string) (int64, error) {
	text, err := json.Marshal(details)
	if err != nil {
		return 0, err
	}
	result, err := m.execResult("INSERT INTO job_event (job_id, type, certname, at, details, message) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
		id, kind, orNull(certname), m.at, string(text), message)
	if err != nil {
		return 0, err
	}
	return result.LastInsertId()
}

// enrich joins a report with a run that has ended without one.
func (m *mover) enrich(e *job.Enrichment) error {
	return m.exec(`UPDATE job_node SET report_hash = ?3, transaction_uuid = coalesce(transaction_uuid, ?4), details = coalesce(?5, details),
		result = coalesce(?6, result) WHERE job_id = ?1 AND certname = ?2 AND report_hash IS NULL AND finished IS NOT NULL`,
		e.JobID, e.Certname, e.ReportHash, orNull(e.TransactionUUID), rawOrNull(e.Details), rawOrNull(e.Result))
}
