package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"strings"

	"dalang/orchestrator/job"
)

const planColumns = "id, state, plan, environment, external, options, owner, owner_login, userdata, changed, created, started, finished"

func scanPlan(rows *sql.Rows) (job.PlanJob, error) {
	var p job.PlanJob
	var options, owner, userdata string
	var result sql.NullString
	var changed, created, started, finished sql.NullInt64
	if err := rows.Scan(&p.ID, &p.State, &p.Plan, &p.Environment, &p.External, &options, &owner, &p.OwnerLogin, &userdata,
		&changed, &created, &started, &finished, &result); err != nil {
		return p, err
	}
	p.Options, p.Owner, p.Userdata = json.RawMessage(options), json.RawMessage(owner), json.RawMessage(userdata)
	p.Timestamp, p.Created, p.Started, p.Finished = timeOf(changed), timeOf(created), timeOf(started), timeOf(finished)
	if result.Valid {
		p.Result = json.RawMessage(result.String)
	}
	return p, nil
}

// PlanJobs are the plan jobs that a filter lets pass, and how many there are
// without limit and offset.
func (s *Store) PlanJobs(ctx context.Context, f job.PlanFilter) (plans []job.PlanJob, total int, err error) {
	where, args := jobConditions(job.Filter{State: job.State(f.State), MinFinished: f.MinFinished, MaxFinished: f.MaxFinished})
	order := map[string]string{
		"": "id DESC", "owner": "owner_login", "timestamp": "changed", "environment": "environment", "name": "id", "state": "state",
	}[f.OrderBy]
	if order == "" {
		return nil, 0, fmt.Errorf("read plan jobs: no order by %q", f.OrderBy)
	}
	if f.OrderBy != "" {
		order += direction(f.Desc) + ", id" + direction(f.Desc)
	}
	result := "result"
	if f.NoResults {
		result = "NULL"
	}
	err = s.ReadTx(ctx, func(ctx context.Context, conn *sql.Conn) error {
		if err := conn.QueryRowContext(ctx, "SELECT count(*) FROM plan_job WHERE "+where, args...).Scan(&total); err != nil {
			return err
		}
		plans, err = collect(ctx, conn, scanPlan, strings.Join([]string{"SELECT ", planColumns, ", ", result, " FROM plan_job WHERE ", where, " ORDER BY ",
			order, page(f.Limit, f.Offset)}, ""), args...)
		if err == nil {
			err = readSteps(ctx, conn, plans)
		}
		return err
	})
	if err != nil {
		return nil, 0, fmt.Errorf("read plan jobs: %w", err)
	}
	return plans, total, nil
}

// readSteps fills in the spans of the jobs that plans made.
func readSteps(ctx context.Context, conn *sql.Conn, plans []job.PlanJob) error {
	at := make(map[int64]int, len(plans))
	ids := make([]int64, len(plans))
	for i := range plans {
		plans[i].Steps = map[int64][]job.Span{}
		ids[i], at[plans[i].ID] = plans[i].ID, i
	}
	list, err := json.Marshal(ids)
	if err != nil {
		return err
	}
	type row struct {
		plan, id int64
		span     job.Span
	}
	rows, err := collect(ctx, conn, func(rows *sql.Rows) (r row, err error) {
		var enter, exit sql.NullInt64
		err = rows.Scan(&r.plan, &r.id, &r.span.State, &enter, &exit)
		r.span.Enter, r.span.Exit = timeOf(enter), timeOf(exit)
		return r, err
	}, `SELECT j.plan_job_id, j.id, s.state, s.entered, s.exited FROM job j JOIN job_span s ON s.job_id = j.id
		WHERE j.plan_job_id IN (SELECT value FROM json_each(?1)) ORDER BY j.id, s.seq`, string(list))
	for _, r := range rows {
		steps := plans[at[r.plan]].Steps
		steps[r.id] = append(steps[r.id], r.span)
	}
	return err
}

// PlanJob is one plan job, or job.UnknownPlanJob.
func (s *Store) PlanJob(ctx context.Context, id int64) (found *job.PlanJob, err error) {
	err = s.ReadTx(ctx, func(ctx context.Context, conn *sql.Conn) error {
		plans, err := collect(ctx, conn, scanPlan, "SELECT "+planColumns+", result FROM plan_job WHERE id = ?1", id)
		switch {
		case err != nil:
			return err
		case len(plans) == 0:
			return job.UnknownPlanJob(id)
		}
		found = &plans[0]
		return readSteps(ctx, conn, plans)
	})
	if err != nil {
		return nil, fmt.Errorf("read plan job %d: %w", id, err)
	}
	return found, nil
}

// PlanEvents are the events of a plan job from id start on, ascending, at most
// limit (0: all), or job.UnknownPlanJob.
func (s *Store) PlanEvents(ctx context.Context, id, start int64, limit int) (events []job.PlanEvent, err error) {
	err = s.ReadTx(ctx, func(ctx context.Context, conn *sql.Conn) error {
		var known bool
		if err := conn.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM plan_job WHERE id = ?1)", id).Scan(&known); err != nil {
			return err
		}
		if !known {
			return job.UnknownPlanJob(id)
		}
		events, err = collect(ctx, conn, scanPlanEvent, `SELECT id, plan_job_id, type, at, details, message FROM plan_event
			WHERE plan_job_id = ?1 AND id >= ?2 ORDER BY id`+page(limit, 0), id, start)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read events of plan job %d: %w", id, err)
	}
	return events, nil
}

func scanPlanEvent(rows *sql.Rows) (e job.PlanEvent, err error) {
	var at sql.NullInt64
	var details string
	err = rows.Scan(&e.ID, &e.PlanJob, &e.Type, &at, &details, &e.Message)
	e.At, e.Details = timeOf(at), json.RawMessage(details)
	return e, err
}
