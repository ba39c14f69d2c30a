package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"dalang/orchestrator/job"
)

// day is how days are named.
const day = "2006-01-02"

// NoteUsage keeps how many nodes there are on the day of now, and what happened
// on that day and on the day before, as far as it is not kept yet. Jobs must be
// kept for two days at least.
func (s *Store) NoteUsage(ctx context.Context, now time.Time) error {
	today := now.UTC().Truncate(24 * time.Hour)
	// Counted by a reader: writers do not wait for that.
	var counted []job.Usage
	for _, begin := range []time.Time{today.AddDate(0, 0, -1), today} {
		u, err := s.countUsage(ctx, begin)
		if err != nil {
			return fmt.Errorf("count the usage: %w", err)
		}
		counted = append(counted, u)
	}
	return s.changeAccess(ctx, "note the usage", func(w *writer) error {
		// A day on which nobody looked when it began has no number of agents.
		if err := w.exec(`INSERT OR IGNORE INTO usage_day (day, with_agent, without_agent)
			SELECT ?1, count(*), 0 FROM node WHERE deactivated IS NULL AND expired IS NULL`, today.Format(day)); err != nil {
			return err
		}
		for _, u := range counted {
			// What was counted once may have been deleted since.
			if err := w.exec(`UPDATE usage_day SET without_agent = max(without_agent, ?2), intentional = max(intentional, ?3),
				corrective = max(corrective, ?4), task_nodes = max(task_nodes, ?5), plan_nodes = max(plan_nodes, ?6) WHERE day = ?1`,
				u.Day, u.WithoutAgent, u.Intentional, u.Corrective, u.TaskNodes, u.PlanNodes); err != nil {
				return err
			}
		}
		return nil
	})
}

// countUsage counts what happened on a day.
func (s *Store) countUsage(ctx context.Context, begin time.Time) (u job.Usage, err error) {
	u.Day = begin.Format(day)
	from, to := ms(begin), ms(begin.AddDate(0, 0, 1))
	err = s.ReadTx(ctx, func(ctx context.Context, conn *sql.Conn) error {
		for _, q := range []struct {
			text string
			into []any
		}{
			{"SELECT count(DISTINCT certname) FROM job_node WHERE transport IN ('ssh', 'winrm') AND started >= ?1 AND started < ?2", []any{&u.WithoutAgent}},
			{`SELECT count(*) FILTER (WHERE corrective_change IS NOT 1), count(*) FILTER (WHERE corrective_change IS 1)
				FROM event WHERE status = 'success' AND timestamp >= ?1 AND timestamp < ?2`, []any{&u.Intentional, &u.Corrective}},
			{`SELECT count(*) FILTER (WHERE j.type = 'task'), count(DISTINCT CASE WHEN j.plan_job_id IS NOT NULL THEN j.plan_job_id || ' ' || n.certname END)
				FROM job_node n JOIN job j ON j.id = n.job_id WHERE n.started >= ?1 AND n.started < ?2`, []any{&u.TaskNodes, &u.PlanNodes}},
		} {
			if err := conn.QueryRowContext(ctx, q.text, from, to).Scan(q.into...); err != nil {
				return err
			}
		}
		return nil
	})
	return u, err
}

// Usage is what NoteUsage kept, the newest day first. first and last are
// inclusive; a zero time is no bound.
func (s *Store) Usage(ctx context.Context, first, last time.Time) (days []job.Usage, err error) {
	bound := func(t time.Time, none string) string {
		if t.IsZero() {
			return none
		}
		return t.UTC().Format(day)
	}
	err = s.ReadTx(ctx, func(ctx context.Context, conn *sql.Conn) (err error) {
		days, err = collect(ctx, conn, func(rows *sql.Rows) (u job.Usage, err error) {
			return u, rows.Scan(&u.Day, &u.WithAgent, &u.WithoutAgent, &u.Intentional, &u.Corrective, &u.TaskNodes, &u.PlanNodes)
		}, "SELECT day, with_agent, without_agent, intentional, corrective, task_nodes, plan_nodes FROM usage_day WHERE day >= ?1 AND day <= ?2 ORDER BY day DESC",
			bound(first, ""), bound(last, "9999-12-31"))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the usage: %w", err)
	}
	return days, nil
}
