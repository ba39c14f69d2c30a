package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"dalang/orchestrator/job"
)

// CreatePlanJob stores a plan job, pending, and gives it its id and times. It
// settles the firing of a schedule that it is for, 0 for none: a firing that is
// settled already makes it job.ErrSettled, and nothing is stored.
func (s *Store) CreatePlanJob(ctx context.Context, p *job.PlanJob, firing int64) (*job.PlanJob, error) {
	made := *p
	made.State, made.Created = job.PlanPending, s.cfg.Now().UTC().Truncate(time.Millisecond)
	made.Timestamp = made.Created
	err := s.changePlans(ctx, func(w *writer) error {
		result, err := w.execResult(`INSERT INTO plan_job (state, plan, environment, external, options, owner, owner_login, userdata, changed, created)
			VALUES ('pending', ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8)`, made.Plan, made.Environment, made.External, object(made.Options),
			object(made.Owner), made.OwnerLogin, object(made.Userdata), ms(made.Created))
		if err != nil {
			return err
		}
		if made.ID, err = result.LastInsertId(); err != nil {
			return err
		}
		return w.settleFiring(firing, made.ID, true, made.Created)
	})
	if err != nil {
		return nil, fmt.Errorf("create plan job: %w", err)
	}
	return &made, nil
}

// changePlans runs fn in one write transaction.
func (s *Store) changePlans(ctx context.Context, fn func(*writer) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.writer.transaction(ctx, func() error { return fn(s.writer) })
}

// BeginPlanJob has a pending plan job run. It is false if it does not wait any more.
func (s *Store) BeginPlanJob(ctx context.Context, id int64) (begun bool, err error) {
	now := ms(s.cfg.Now())
	err = s.changePlans(ctx, func(w *writer) error {
		n, err := w.changed("UPDATE plan_job SET state = 'running', started = ?2, changed = ?2 WHERE id = ?1 AND state = 'pending'", id, now)
		begun = n > 0
		return err
	})
	if err != nil {
		return false, fmt.Errorf("begin plan job %d: %w", id, err)
	}
	return begun, nil
}

// EndPlanJob ends a plan job, with its last event. It is false if it had ended.
func (s *Store) EndPlanJob(ctx context.Context, id int64, state job.PlanState, result json.RawMessage) (ended bool, err error) {
	if !state.Terminal() {
		return false, fmt.Errorf("end plan job %d: %s is no end", id, state)
	}
	now := ms(s.cfg.Now())
	err = s.changePlans(ctx, func(w *writer) error {
		ended, err = w.endPlan(id, state, result, now)
		return err
	})
	if err != nil {
		return false, fmt.Errorf("end plan job %d: %w", id, err)
	}
	return ended, nil
}

func (w *writer) endPlan(id int64, state job.PlanState, result json.RawMessage, now int64) (bool, error) {
	if len(result) == 0 {
		result = json.RawMessage("null")
	}
	n, err := w.changed("UPDATE plan_job SET state = ?2, result = ?3, finished = ?4, changed = ?4 WHERE id = ?1 AND finished IS NULL",
		id, state, string(result), now)
	if err != nil || n == 0 {
		return false, err
	}
	details, err := json.Marshal(map[string]any{"plan-id": fmt.Sprint(id), "result": result})
	if err != nil {
		return false, err
	}
	kind, message := job.EventPlanFinished, fmt.Sprintf("Plan job %d finished", id)
	if state == job.PlanFailure {
		kind, message = job.EventPlanFailed, fmt.Sprintf("Plan job %d failed", id)
	}
	return true, w.planEvent(id, kind, now, details, message)
}

func (w *writer) planEvent(id int64, kind string, now int64, details json.RawMessage, message string) error {
	return w.exec("INSERT INTO plan_event (plan_job_id, type, at, details, message) VALUES (?1, ?2, ?3, ?4, ?5)", id, kind, now, object(details), message)
}

// AddPlanEvent adds an event to a plan job, unless that has ended: it is false then.
func (s *Store) AddPlanEvent(ctx context.Context, id int64, kind string, details json.RawMessage, message string) (added bool, err error) {
	now := ms(s.cfg.Now())
	err = s.changePlans(ctx, func(w *writer) error {
		var open int64
		if added, err = w.row("SELECT id FROM plan_job WHERE id = ?1 AND finished IS NULL", []any{id}, &open); err != nil || !added {
			return err
		}
		return w.planEvent(id, kind, now, details, message)
	})
	if err != nil {
		return false, fmt.Errorf("add an event to plan job %d: %w", id, err)
	}
	return added, nil
}

// InterruptPlanJobs ends all plan jobs that have not ended, as failures with
// the same result, and gives their ids: nobody can go on with a plan that the
// last life of the server began.
func (s *Store) InterruptPlanJobs(ctx context.Context, result json.RawMessage) (ids []int64, err error) {
	now := ms(s.cfg.Now())
	err = s.changePlans(ctx, func(w *writer) error {
		ids = nil
		if err := w.rows("SELECT id FROM plan_job WHERE finished IS NULL ORDER BY id", nil, func(scan func(...any) error) error {
			var id int64
			err := scan(&id)
			ids = append(ids, id)
			return err
		}); err != nil {
			return err
		}
		for _, id := range ids {
			if _, err := w.endPlan(id, job.PlanFailure, result, now); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("interrupt plan jobs: %w", err)
	}
	return ids, nil
}

const prunePlans = "prune_plan_jobs"

// PrunePlanJobs deletes plan jobs that ended before a time, and then their
// events, in steps, with other writers in between; it also finishes prunings
// that a crash cut short. It gives the number of plan jobs.
func (s *Store) PrunePlanJobs(ctx context.Context, before time.Time) (pruned int64, err error) {
	err = s.steps(ctx, prunePlans, func(w *writer, limit int) (int64, error) {
		if err := w.exec("INSERT INTO pruned_plan_job (id) SELECT id FROM plan_job WHERE finished < ?1 ORDER BY id LIMIT ?2", ms(before), limit); err != nil {
			return 0, err
		}
		n, err := w.changed("DELETE FROM plan_job WHERE id IN (SELECT id FROM pruned_plan_job)")
		pruned += n
		return n, err
	})
	if err != nil {
		return pruned, err
	}
	return pruned, s.steps(ctx, prunePlans, func(w *writer, limit int) (int64, error) {
		var id int64
		found, err := w.row("SELECT id FROM pruned_plan_job LIMIT 1", nil, &id)
		if err != nil || !found {
			return 0, err
		}
		n, err := w.changed("DELETE FROM plan_event WHERE id IN (SELECT id FROM plan_event WHERE plan_job_id = ?1 LIMIT ?2)", id, limit)
		if n > 0 || err != nil {
			return n, err
		}
		return w.changed("DELETE FROM pruned_plan_job WHERE id = ?1", id)
	})
}
