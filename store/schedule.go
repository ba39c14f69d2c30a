package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"dalang/orchestrator/schedule"
)

const scheduleColumns = `s.id, s.type, s.enabled, s.environment, s.description, s.name, s.input, s.sealed, s.userdata, s.owner, s.owner_id,
	s.owner_login, s.start, s.interval, s.next_run, s.created, s.changed, f.id, f.due, f.instant, f.claimed, f.settled, f.job_id, f.plan, f.error`

// scheduleRows are the entries, each with its latest settled firing.
const scheduleRows = ` FROM scheduled_job s LEFT JOIN scheduled_firing f ON f.id =
	(SELECT max(id) FROM scheduled_firing WHERE scheduled_job_id = s.id AND settled IS NOT NULL)`

func scanSchedule(scan func(...any) error) (e schedule.Entry, err error) {
	var input, userdata, owner, ownerID string
	var start, created, changed int64
	var interval, next sql.NullInt64
	var f firingRow
	if err = scan(append([]any{&e.ID, &e.Type, &e.Enabled, &e.Environment, &e.Description, &e.Name, &input, &e.Sealed, &userdata, &owner, &ownerID,
		&e.OwnerLogin, &start, &interval, &next, &created, &changed}, f.dest()...)...); err != nil {
		return e, err
	}
	e.Input, e.Userdata, e.Owner = json.RawMessage(input), json.RawMessage(userdata), json.RawMessage(owner)
	e.Grid = schedule.Grid{Start: time.UnixMilli(start).UTC(), Interval: time.Duration(interval.Int64) * time.Second}
	e.Next, e.Created, e.Changed = timeOf(next), time.UnixMilli(created).UTC(), time.UnixMilli(changed).UTC()
	if f.id.Valid {
		if e.Last, err = f.firing(e.ID); err != nil {
			return e, err
		}
	}
	e.OwnerID, err = uuid.Parse(ownerID)
	return e, err
}

// ScheduledJobs lists entries; see schedule.Entries.
func (s *Store) ScheduledJobs(ctx context.Context, f schedule.Filter) (entries []schedule.Entry, total int, err error) {
	order := map[string]string{
		"": "s.id", "next_run_time": "s.next_run", "environment": "s.environment", "owner": "s.owner_login", "name": "s.id", "type": "s.type", "scheduled_time": "s.start",
	}[f.OrderBy]
	if order == "" {
		return nil, 0, fmt.Errorf("read scheduled jobs: no order by %q", f.OrderBy)
	}
	where, args := []string{"1"}, []any{}
	if f.Type != "" {
		where, args = append(where, "s.type = ?1"), append(args, f.Type)
	}
	if f.Enabled {
		where = append(where, "s.enabled = 1")
	}
	condition := " WHERE " + strings.Join(where, " AND ")
	err = s.ReadTx(ctx, func(ctx context.Context, conn *sql.Conn) error {
		if err := conn.QueryRowContext(ctx, "SELECT count(*) FROM scheduled_job s"+condition, args...).Scan(&total); err != nil {
			return err
		}
		entries, err = collect(ctx, conn, func(rows *sql.Rows) (schedule.Entry, error) { return scanSchedule(rows.Scan) },
			"SELECT "+scheduleColumns+scheduleRows+condition+" ORDER BY "+order+direction(f.Desc)+" NULLS LAST, s.id"+direction(f.Desc)+page(f.Limit, f.Offset), args...)
		return err
	})
	if err != nil {
		return nil, 0, fmt.Errorf("read scheduled jobs: %w", err)
	}
	return entries, total, nil
}

// ScheduledJob is one entry; see schedule.Entries.
func (s *Store) ScheduledJob(ctx context.Context, id int64) (*schedule.Entry, error) {
	var found []schedule.Entry
	err := s.ReadTx(ctx, func(ctx context.Context, conn *sql.Conn) (err error) {
		found, err = collect(ctx, conn, func(rows *sql.Rows) (schedule.Entry, error) { return scanSchedule(rows.Scan) },
			"SELECT "+scheduleColumns+scheduleRows+" WHERE s.id = ?1", id)
		return err
	})
	switch {
	case err != nil:
		return nil, fmt.Errorf("read scheduled job %d: %w", id, err)
	case len(found) == 0:
		return nil, schedule.Unknown(id)
	}
	return &found[0], nil
}

// changeSchedules runs fn in one write transaction.
func (s *Store) changeSchedules(ctx context.Context, what string, fn func(*writer) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.writer.transaction(ctx, func() error { return fn(s.writer) }); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// AddScheduledJob stores an entry; see schedule.Entries.
func (s *Store) AddScheduledJob(ctx context.Context, e *schedule.Entry) (id int64, err error) {
	err = s.changeSchedules(ctx, "add a scheduled job", func(w *writer) error {
		result, err := w.execResult(`INSERT INTO scheduled_job (type, enabled, environment, description, name, input, sealed, userdata, owner, owner_id,
			owner_login, start, interval, next_run, created, changed) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?15)`,
			e.Type, e.Enabled, e.Environment, e.Description, e.Name, object(e.Input), e.Sealed, object(e.Userdata), object(e.Owner), e.OwnerID.String(),
			e.OwnerLogin, ms(e.Grid.Start), orNull(int64(e.Grid.Interval/time.Second)), timeOrNull(e.Next), ms(e.Created))
		if err != nil {
			return err
		}
		id, err = result.LastInsertId()
		return err
	})
	return id, err
}

// scheduled reads an entry in the writer's transaction.
func (w *writer) scheduled(id int64) (*schedule.Entry, error) {
	var e *schedule.Entry
	err := w.rows("SELECT "+scheduleColumns+scheduleRows+" WHERE s.id = ?1", []any{id}, func(scan func(...any) error) error {
		found, err := scanSchedule(scan)
		e = &found
		return err
	})
	if err == nil && e == nil {
		err = schedule.Unknown(id)
	}
	return e, err
}

// ChangeScheduledJob changes an entry; see schedule.Entries.
func (s *Store) ChangeScheduledJob(ctx context.Context, id int64, change func(*schedule.Entry) error) error {
	return s.changeSchedules(ctx, "change a scheduled job", func(w *writer) error {
		e, err := w.scheduled(id)
		if err != nil {
			return err
		}
		if err := change(e); err != nil {
			return err
		}
		return w.exec(`UPDATE scheduled_job SET enabled = ?2, environment = ?3, description = ?4, name = ?5, input = ?6, sealed = ?7, userdata = ?8,
			start = ?9, interval = ?10, next_run = ?11, changed = ?12 WHERE id = ?1`,
			id, e.Enabled, e.Environment, e.Description, e.Name, object(e.Input), e.Sealed, object(e.Userdata),
			ms(e.Grid.Start), orNull(int64(e.Grid.Interval/time.Second)), timeOrNull(e.Next), ms(e.Changed))
	})
}

// DeleteScheduledJob deletes an entry; see schedule.Entries.
func (s *Store) DeleteScheduledJob(ctx context.Context, id int64, check func(*schedule.Entry) error) error {
	return s.changeSchedules(ctx, "delete a scheduled job", func(w *writer) error {
		e, err := w.scheduled(id)
		if err != nil {
			return err
		}
		if err := check(e); err != nil {
			return err
		}
		if err := w.exec("DELETE FROM scheduled_firing WHERE scheduled_job_id = ?1", id); err != nil {
			return err
		}
		return w.exec("DELETE FROM scheduled_job WHERE id = ?1", id)
	})
}

var _ schedule.Store = (*Store)(nil)
