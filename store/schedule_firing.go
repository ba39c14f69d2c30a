package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"dalang/orchestrator/job"
	"dalang/orchestrator/schedule"
)

// keptFirings are how many firings of an entry are kept.
const keptFirings = 100

// firingRow is a row of scheduled_firing, or of NULLs.
type firingRow struct {
	id, due, instant, claimed, settled, job, plan sql.NullInt64
	error                                         sql.NullString
}

func (r *firingRow) dest() []any {
	return []any{&r.id, &r.due, &r.instant, &r.claimed, &r.settled, &r.job, &r.plan, &r.error}
}

// errorDoc is an error as it is stored.
type errorDoc struct {
	Kind    string         `json:"kind"`
	Msg     string         `json:"msg"`
	Details map[string]any `json:"details"`
}

func (r *firingRow) firing(entry int64) (*schedule.Firing, error) {
	f := &schedule.Firing{ID: r.id.Int64, Entry: entry, Due: timeOf(r.due), Instant: timeOf(r.instant), Claimed: timeOf(r.claimed),
		Settled: timeOf(r.settled), Job: r.job.Int64, Plan: r.plan.Int64 != 0}
	if r.error.Valid {
		var doc errorDoc
		if err := json.Unmarshal([]byte(r.error.String), &doc); err != nil {
			return nil, fmt.Errorf("error of firing %d: %w", f.ID, err)
		}
		f.Error = &job.Error{Kind: doc.Kind, Msg: doc.Msg, Details: doc.Details}
	}
	return f, nil
}

// nextSchedule is when the next entry is due.
const nextSchedule = "SELECT min(next_run) FROM scheduled_job WHERE next_run IS NOT NULL"

// ClaimDue claims what is due; see schedule.Firings. Where nothing is, it only reads.
func (s *Store) ClaimDue(ctx context.Context, now time.Time) (claimed []schedule.Firing, next time.Time, err error) {
	var first sql.NullInt64
	err = s.ReadTx(ctx, func(ctx context.Context, conn *sql.Conn) error {
		return conn.QueryRowContext(ctx, nextSchedule).Scan(&first)
	})
	if err != nil {
		return nil, next, fmt.Errorf("look for scheduled jobs that are due: %w", err)
	}
	if !first.Valid || first.Int64 > ms(now) {
		return nil, timeOf(first), nil
	}
	err = s.changeSchedules(ctx, "claim scheduled jobs", func(w *writer) error {
		claimed = nil
		due, err := w.due(now)
		if err != nil {
			return err
		}
		for i := range due {
			f, err := w.claim(&due[i], now)
			if err != nil {
				return err
			}
			if f != nil {
				claimed = append(claimed, *f)
			}
		}
		_, err = w.row(nextSchedule, nil, &first)
		return err
	})
	if err != nil {
		return nil, time.Time{}, err
	}
	return claimed, timeOf(first), nil
}

// dueEntry is what a claim needs to know of an entry.
type dueEntry struct {
	id   int64
	next time.Time
	grid schedule.Grid
}

func (w *writer) due(now time.Time) (due []dueEntry, err error) {
	err = w.rows("SELECT id, next_run, start, interval FROM scheduled_job WHERE next_run <= ?1 ORDER BY next_run, id", []any{ms(now)},
		func(scan func(...any) error) error {
			var e dueEntry
			var next, start int64
			var interval sql.NullInt64
			err := scan(&e.id, &next, &start, &interval)
			e.next = time.UnixMilli(next).UTC()
			e.grid = schedule.Grid{Start: time.UnixMilli(start).UTC(), Interval: time.Duration(interval.Int64) * time.Second}
			due = append(due, e)
			return err
		})
	return due, err
}

// claim moves an entry on and makes its firing, nil if it has an open one.
func (w *writer) claim(e *dueEntry, now time.Time) (*schedule.Firing, error) {
	instant, next := e.grid.Fire(e.next, now)
	if err := w.exec("UPDATE scheduled_job SET next_run = ?2 WHERE id = ?1", e.id, timeOrNull(next)); err != nil {
		return nil, err
	}
	n, err := w.changed("UPDATE scheduled_firing SET instant = ?2 WHERE scheduled_job_id = ?1 AND settled IS NULL", e.id, ms(instant))
	if err != nil || n > 0 {
		return nil, err
	}
	result, err := w.execResult("INSERT INTO scheduled_firing (scheduled_job_id, due, instant, claimed) VALUES (?1, ?2, ?3, ?4)",
		e.id, ms(e.next), ms(instant), ms(now))
	if err != nil {
		return nil, err
	}
	f := &schedule.Firing{Entry: e.id, Due: e.next, Instant: instant, Claimed: time.UnixMilli(ms(now)).UTC()}
	if f.ID, err = result.LastInsertId(); err != nil {
		return nil, err
	}
	return f, w.exec(`DELETE FROM scheduled_firing WHERE scheduled_job_id = ?1 AND id <=
		(SELECT id FROM scheduled_firing WHERE scheduled_job_id = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)`, e.id, keptFirings)
}

// OpenFirings are not settled; see schedule.Firings.
func (s *Store) OpenFirings(ctx context.Context) ([]schedule.Firing, error) {
	return s.firings(ctx, "settled IS NULL")
}

// ScheduledFirings are the latest settled firings of an entry, in order.
func (s *Store) ScheduledFirings(ctx context.Context, id int64) ([]schedule.Firing, error) {
	return s.firings(ctx, "settled IS NOT NULL AND scheduled_job_id = ?1", id)
}

func (s *Store) firings(ctx context.Context, where string, args ...any) (list []schedule.Firing, err error) {
	err = s.ReadTx(ctx, func(ctx context.Context, conn *sql.Conn) error {
		list, err = collect(ctx, conn, func(rows *sql.Rows) (f schedule.Firing, err error) {
			var r firingRow
			var entry int64
			if err := rows.Scan(append(r.dest(), &entry)...); err != nil {
				return f, err
			}
			found, err := r.firing(entry)
			if err != nil {
				return f, err
			}
			return *found, nil
		}, "SELECT id, due, instant, claimed, settled, job_id, plan, error, scheduled_job_id FROM scheduled_firing WHERE "+where+" ORDER BY id", args...)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read firings: %w", err)
	}
	return list, nil
}

// SettleFiring settles a firing that started nothing; see schedule.Firings.
func (s *Store) SettleFiring(ctx context.Context, id int64, at time.Time, why *job.Error) error {
	details := why.Details
	if details == nil {
		details = map[string]any{}
	}
	text, err := json.Marshal(errorDoc{why.Kind, why.Msg, details})
	if err != nil {
		return fmt.Errorf("settle firing %d: %w", id, err)
	}
	return s.changeSchedules(ctx, "settle a firing", func(w *writer) error {
		return w.exec("UPDATE scheduled_firing SET settled = ?2, error = ?3 WHERE id = ?1 AND settled IS NULL", id, ms(at), string(text))
	})
}

// settleFiring settles the firing that a job is for, in the transaction that
// creates the job. 0 is none.
func (w *writer) settleFiring(id, jobID int64, plan bool, at time.Time) error {
	if id == 0 {
		return nil
	}
	return w.affect(job.ErrSettled, `UPDATE scheduled_firing SET settled = ?2, job_id = ?3, plan = ?4 WHERE id = ?1 AND settled IS NULL
		AND (SELECT enabled FROM scheduled_job WHERE id = scheduled_job_id) = 1`, id, ms(at), jobID, plan)
}

// ResumeSchedules looks at the clock; see schedule.Firings.
func (s *Store) ResumeSchedules(ctx context.Context, now time.Time) (moved int, err error) {
	err = s.changeSchedules(ctx, "resume scheduled jobs", func(w *writer) error {
		moved = 0
		later := map[int64]time.Time{}
		err := w.rows(`SELECT id, start, interval, next_run, (SELECT max(due) FROM scheduled_firing WHERE scheduled_job_id = s.id)
			FROM scheduled_job s WHERE next_run > ?1 AND interval IS NOT NULL`, []any{ms(now)}, func(scan func(...any) error) error {
			var id, start, interval, next int64
			var due sql.NullInt64
			if err := scan(&id, &start, &interval, &next, &due); err != nil {
				return err
			}
			grid := schedule.Grid{Start: time.UnixMilli(start).UTC(), Interval: time.Duration(interval) * time.Second}
			if at := grid.Resume(now, timeOf(due)); !at.IsZero() && ms(at) < next {
				later[id] = at
			}
			return nil
		})
		if err != nil {
			return err
		}
		for id, at := range later {
			if err := w.exec("UPDATE scheduled_job SET next_run = ?2 WHERE id = ?1", id, ms(at)); err != nil {
				return err
			}
		}
		moved = len(later)
		return nil
	})
	return moved, err
}
