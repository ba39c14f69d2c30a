package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"dalang/orchestrator/job"
)

const jobColumns = `id, type, state, environment, options, owner, owner_login, description, userdata, concurrency, timeout, plan_job_id, task,
	changed, created, started, finished, nodes_new, nodes_ready, nodes_running, nodes_finished, nodes_failed, nodes_errored,
	nodes_skipped, nodes_stopped`

func scanJob(rows *sql.Rows, more ...any) (job.Job, error) {
	var j job.Job
	var options, owner, userdata string
	var timeout, changed, created int64
	var plan, started, finished sql.NullInt64
	n := make([]int, len(job.NodeStates()))
	dest := []any{&j.ID, &j.Type, &j.State, &j.Environment, &options, &owner, &j.OwnerLogin, &j.Description, &userdata, &j.Concurrency,
		&timeout, &plan, &j.Task, &changed, &created, &started, &finished}
	for i := range n {
		dest = append(dest, &n[i])
	}
	if err := rows.Scan(append(dest, more...)...); err != nil {
		return j, err
	}
	j.Options, j.Owner, j.Userdata = json.RawMessage(options), json.RawMessage(owner), json.RawMessage(userdata)
	j.Timeout, j.PlanJob = time.Duration(timeout)*time.Millisecond, plan.Int64
	j.Timestamp, j.Created, j.Started, j.Finished = time.UnixMilli(changed).UTC(), time.UnixMilli(created).UTC(), timeOf(started), timeOf(finished)
	j.Nodes = countsOf(n)
	j.NodeCount = j.Nodes.Total()
	return j, nil
}

func timeOf(n sql.NullInt64) time.Time {
	if !n.Valid {
		return time.Time{}
	}
	return time.UnixMilli(n.Int64).UTC()
}

// collect runs a query and scans each row.
func collect[T any](ctx context.Context, conn *sql.Conn, scan func(*sql.Rows) (T, error), text string, args ...any) ([]T, error) {
	rows, err := conn.QueryContext(ctx, text, args...)
	if err != nil {
		return nil, fmt.Errorf("%.60q: %w", text, err)
	}
	defer rows.Close()
	var list []T
	for rows.Next() {
		item, err := scan(rows)
		if err != nil {
			return nil, err
		}
		list = append(list, item)
	}
	return list, rows.Err()
}

// Jobs are the jobs that a filter lets pass, and how many there are without
// limit and offset.
func (s *Store) Jobs(ctx context.Context, f job.Filter) (jobs []job.Job, total int, err error) {
	where, args := jobConditions(f)
	order := map[string]string{
		"": "id DESC", "owner": "owner_login", "timestamp": "changed", "environment": "environment", "name": "id", "state": "state",
	}[f.OrderBy]
	if order == "" {
		return nil, 0, fmt.Errorf("read jobs: no order by %q", f.OrderBy)
	}
	if f.OrderBy != "" {
		order += direction(f.Desc) + ", id" + direction(f.Desc)
	}
	err = s.ReadTx(ctx, func(ctx context.Context, conn *sql.Conn) error {
		if err := conn.QueryRowContext(ctx, "SELECT count(*) FROM job WHERE "+where, args...).Scan(&total); err != nil {
			return err
		}
		jobs, err = collect(ctx, conn, func(rows *sql.Rows) (job.Job, error) { return scanJob(rows) },
			"SELECT "+jobColumns+" FROM job WHERE "+where+" ORDER BY "+order+page(f.Limit, f.Offset), args...)
		if err == nil {
			err = readSpans(ctx, conn, jobs)
		}
		return err
	})
	if err != nil {
		return nil, 0, fmt.Errorf("read jobs: %w", err)
	}
	return jobs, total, nil
}

func jobConditions(f job.Filter) (string, []any) {
	where := []string{"1"}
	var args []any
	add := func(condition string, arg any) {
		args = append(args, arg)
		where = append(where, strings.ReplaceAll(condition, "?", fmt.Sprintf("?%d", len(args))))
	}
	if f.Type != "" {
		add("type = ?", f.Type)
	}
	if f.Task != "" {
		add("instr(task, ?) > 0", f.Task)
	}
	if f.State != "" {
		add("state = ?", f.State)
	}
	if f.PlanJob != 0 {
		add("plan_job_id = ?", f.PlanJob)
	}
	if !f.MinFinished.IsZero() {
		add("finished >= ?", ms(f.MinFinished))
	}
	if !f.MaxFinished.IsZero() {
		add("finished <= ?", ms(f.MaxFinished))
	}
	return strings.Join(where, " AND "), args
}

func direction(desc bool) string {
	if desc {
		return " DESC"
	}
	return ""
}

func page(limit, offset int) string {
	if limit == 0 {
		limit = -1
	}
	return fmt.Sprintf(" LIMIT %d OFFSET %d", limit, offset)
}

// Job is one job with its Spans, or job.UnknownJob.
func (s *Store) Job(ctx context.Context, id int64) (*job.Job, error) {
	var found *job.Job
	err := s.ReadTx(ctx, func(ctx context.Context, conn *sql.Conn) (err error) {
		found, err = readJob(ctx, conn, id)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read job %d: %w", id, err)
	}
	return found, nil
}

func readJob(ctx context.Context, conn *sql.Conn, id int64) (*job.Job, error) {
	jobs, err := collect(ctx, conn, func(rows *sql.Rows) (job.Job, error) { return scanJob(rows) },
		"SELECT "+jobColumns+" FROM job WHERE id = ?1", id)
	if err != nil {
		return nil, err
	}
	if len(jobs) == 0 {
		return nil, job.UnknownJob(id)
	}
	return &jobs[0], readSpans(ctx, conn, jobs)
}

// readSpans fills in the spans of jobs.
func readSpans(ctx context.Context, conn *sql.Conn, jobs []job.Job) error {
	ids := make([]int64, len(jobs))
	at := make(map[int64]int, len(jobs))
	for i := range jobs {
		ids[i], at[jobs[i].ID] = jobs[i].ID, i
	}
	list, err := json.Marshal(ids)
	if err != nil {
		return err
	}
	type row struct {
		id   int64
		span job.Span
	}
	rows, err := collect(ctx, conn, func(rows *sql.Rows) (r row, err error) {
		var enter, exit sql.NullInt64
		err = rows.Scan(&r.id, &r.span.State, &enter, &exit)
		r.span.Enter, r.span.Exit = timeOf(enter), timeOf(exit)
		return r, err
	}, "SELECT job_id, state, entered, exited FROM job_span WHERE job_id IN (SELECT value FROM json_each(?1)) ORDER BY job_id, seq", string(list))
	for _, r := range rows {
		j := &jobs[at[r.id]]
		j.Spans = append(j.Spans, r.span)
	}
	return err
}

// OpenJobs are the ids of the jobs that have not ended, in order.
func (s *Store) OpenJobs(ctx context.Context) ([]int64, error) {
	ids, err := s.read(ctx, "SELECT id FROM job WHERE finished IS NULL ORDER BY id")
	if err != nil {
		return nil, fmt.Errorf("read open jobs: %w", err)
	}
	return ids, nil
}

// WholeJob is a job with all its nodes, by position, and their order, in one
// snapshot; or job.UnknownJob.
func (s *Store) WholeJob(ctx context.Context, id int64) (j *job.Job, nodes []job.Node, edges []job.Edge, err error) {
	err = s.ReadTx(ctx, func(ctx context.Context, conn *sql.Conn) (err error) {
		if j, err = readJob(ctx, conn, id); err != nil {
			return err
		}
		if nodes, err = queryNodes(ctx, conn, "job_id = ?1", "ORDER BY position", id); err != nil {
			return err
		}
		edges, err = collect(ctx, conn, func(rows *sql.Rows) (e job.Edge, err error) { return e, rows.Scan(&e.After, &e.Before) },
			"SELECT certname, needs FROM job_edge WHERE job_id = ?1", id)
		if err == nil {
			j.Sealed, err = readSecret(ctx, conn, id, "")
		}
		return err
	})
	if err != nil {
		return nil, nil, nil, fmt.Errorf("read job %d: %w", id, err)
	}
	return j, nodes, edges, nil
}

const nodeColumns = `job_id, certname, position, state, transport, transaction_id, fingerprint, sent, started, finished, changed,
	transaction_uuid, report_hash, latest_event, message, details, result`

func queryNodes(ctx context.Context, conn *sql.Conn, where, order string, args ...any) ([]job.Node, error) {
	return collect(ctx, conn, scanNode, "SELECT "+nodeColumns+" FROM job_node WHERE "+where+" "+order, args...)
}

func scanNode(rows *sql.Rows) (job.Node, error) {
	var n job.Node
	var transaction, fingerprint, uuidText, hash, result sql.NullString
	var details string
	var sent, started, finished, changed sql.NullInt64
	if err := rows.Scan(&n.JobID, &n.Certname, &n.Position, &n.State, &n.Transport, &transaction, &fingerprint, &sent, &started, &finished,
		&changed, &uuidText, &hash, &n.LatestEvent, &n.Message, &details, &result); err != nil {
		return n, err
	}
	if transaction.Valid {
		id, err := uuid.Parse(transaction.String)
		if err != nil {
			return n, fmt.Errorf("transaction of node %s in job %d: %w", n.Certname, n.JobID, err)
		}
		n.TransactionID = id
	}
	n.Fingerprint, n.TransactionUUID, n.ReportHash, n.Details = fingerprint.String, uuidText.String, hash.String, json.RawMessage(details)
	n.SentAt, n.Started, n.Finished, n.Timestamp = timeOf(sent), timeOf(started), timeOf(finished), timeOf(changed)
	if result.Valid {
		n.Result = json.RawMessage(result.String)
	}
	return n, nil
}

// JobNodes are the nodes of a job that a filter lets pass, how many there are
// without limit and offset, and the id of the first event that is not yet
// there (at least 1): all in one snapshot. Or job.UnknownJob.
func (s *Store) JobNodes(ctx context.Context, id int64, f job.NodeFilter) (nodes []job.Node, total int, next int64, err error) {
	from, where, args := "job_node", "job_id = ?1", []any{id}
	if f.State != "" {
		where, args = where+" AND state = ?2", append(args, f.State)
	}
	if f.State != "" || f.OrderBy != "" && f.OrderBy != "name" {
		// It has what is sorted by; the planner would rather read the wide rows, in the right order.
		from += " INDEXED BY job_node_state"
	}
	now := f.Now
	if now.IsZero() {
		now = s.cfg.Now()
	}
	order := map[string]string{
		"": "position", "name": "certname", "state": "state", "start_timestamp": "started", "finish_timestamp": "finished",
		"duration": fmt.Sprintf("coalesce(finished, %d) - started", ms(now)),
	}[f.OrderBy]
	if order == "" {
		return nil, 0, 0, fmt.Errorf("read nodes of job %d: no order by %q", id, f.OrderBy)
	}
	order = " ORDER BY " + order + direction(f.Desc) + ", position"
	err = s.ReadTx(ctx, func(ctx context.Context, conn *sql.Conn) (err error) {
		j, err := readJob(ctx, conn, id)
		if err != nil {
			return err
		}
		if total = j.NodeCount; f.State != "" {
			total = j.Nodes[f.State]
		}
		if next, err = nextEvent(ctx, conn, id); err != nil {
			return err
		}
		// Rows are wide: what is sorted is their ids.
		nodes, err = queryNodes(ctx, conn, "id IN (SELECT id FROM "+from+" WHERE "+where+order+page(f.Limit, f.Offset)+")", order, args...)
		return err
	})
	if err != nil {
		return nil, 0, 0, fmt.Errorf("read nodes of job %d: %w", id, err)
	}
	return nodes, total, next, nil
}

func nextEvent(ctx context.Context, conn *sql.Conn, id int64) (next int64, err error) {
	err = conn.QueryRowContext(ctx, "SELECT coalesce(max(id), 0) + 1 FROM job_event WHERE job_id = ?1", id).Scan(&next)
	return next, err
}

// JobEvents are the events of a job from id start on, ascending, at most limit
// (0: all), or job.UnknownJob.
func (s *Store) JobEvents(ctx context.Context, id, start int64, limit int) (events []job.Event, err error) {
	err = s.ReadTx(ctx, func(ctx context.Context, conn *sql.Conn) (err error) {
		if _, err = readJob(ctx, conn, id); err != nil {
			return err
		}
		events, err = collect(ctx, conn, scanEvent, `SELECT id, job_id, type, certname, at, details, message FROM job_event
			WHERE job_id = ?1 AND id >= ?2 ORDER BY id`+page(limit, 0), id, start)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read events of job %d: %w", id, err)
	}
	return events, nil
}

func scanEvent(rows *sql.Rows) (e job.Event, err error) {
	var certname sql.NullString
	var at sql.NullInt64
	var details string
	err = rows.Scan(&e.ID, &e.JobID, &e.Type, &certname, &at, &details, &e.Message)
	e.Certname, e.At, e.Details = certname.String, timeOf(at), json.RawMessage(details)
	return e, err
}
