package schedule

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"dalang/orchestrator/job"
)

// Subject is who makes and changes entries.
type Subject interface {
	// May tells whether the subject has a permission (orchestrator.md §1.2).
	May(objectType, action, instance string) bool
	// Owner is the snapshot that an entry keeps: an object with id and login.
	Owner() json.RawMessage
}

// Supports is an error for a type that nothing here runs.
func (s *Scheduler) Supports(t Type) error {
	if _, ok := s.cfg.Kinds[t]; ok {
		return nil
	}
	var known []string
	for _, k := range slices.Sorted(maps.Keys(s.cfg.Kinds)) {
		known = append(known, string(k))
	}
	e := job.Invalid("type", "This server cannot run a %s on a schedule; it can run: %s", t, strings.Join(known, ", "))
	e.Details["expected"], e.Details["got"] = "one of "+strings.Join(known, ", "), string(t)
	return e
}

// Entries lists entries.
func (s *Scheduler) Entries(ctx context.Context, f Filter) ([]Entry, int, error) {
	return s.db.ScheduledJobs(ctx, f)
}

// Entry is one entry, or Unknown.
func (s *Scheduler) Entry(ctx context.Context, id int64) (*Entry, error) {
	return s.db.ScheduledJob(ctx, id)
}

// changed has Run look at the entries.
func (s *Scheduler) changed() {
	select {
	case s.wake <- struct{}{}:
	default: // it will look anyway
	}
}

// Create stores an entry of who and answers its id. Its start must not have passed.
func (s *Scheduler) Create(ctx context.Context, who Subject, e *Entry) (int64, error) {
	now := s.now()
	if err := s.Supports(e.Type); err != nil {
		return 0, err
	}
	if err := s.mayRun(ctx, who, e); err != nil {
		return 0, err
	}
	if e.Grid.Start.Before(now) {
		return 0, InvalidTime(e.Grid.Start, now)
	}
	if err := s.check(ctx, e); err != nil {
		return 0, err
	}
	if err := e.own(who.Owner()); err != nil {
		return 0, err
	}
	e.Enabled, e.Created, e.Changed, e.Next = true, now, now, e.Grid.Begin(now)
	id, err := s.db.AddScheduledJob(ctx, e)
	if err != nil {
		return 0, err
	}
	e.ID = id
	s.audit(ctx, "schedule created", who, e)
	s.changed()
	return id, nil
}

// Change has change change an entry that is enabled. Only its owner may do
// that, or who has scheduled_jobs:edit; it goes on running as its owner. Who
// changes it must be permitted to run what it becomes. A grid that is new must
// not begin in the past, unless it only gets another interval. A new input with
// secrets goes to Secret. change is called again where somebody else was faster.
func (s *Scheduler) Change(ctx context.Context, who Subject, id int64, change func(*Entry) error) error {
	for {
		err := s.changeOnce(ctx, who, id, change)
		if !errors.Is(err, errFaster) {
			return err
		}
	}
}

var errFaster = errors.New("somebody else changed the scheduled job meanwhile")

// changeOnce looks at the change before the transaction, for that may ask
// others, and takes it over if the entry is still what it was.
func (s *Scheduler) changeOnce(ctx context.Context, who Subject, id int64, change func(*Entry) error) error {
	e, err := s.db.ScheduledJob(ctx, id)
	if err != nil {
		return err
	}
	before := *e
	if err := mayChange(who, e, "edit"); err != nil {
		return err
	}
	if !e.Enabled {
		return Disabled(id)
	}
	if err := change(e); err != nil {
		return err
	}
	now := s.now()
	if e.Grid != before.Grid && e.Grid.Start.Before(now) && (e.Grid.Interval == 0 || !e.Grid.Start.Equal(before.Grid.Start)) {
		return InvalidTime(e.Grid.Start, now)
	}
	if e.Secret == nil && e.Sealed != nil && e.Environment != before.Environment { // it may be another task there
		if e.Secret, err = s.open(e); err != nil {
			return err
		}
		e.Hidden = hidden(&before)
	}
	if err := s.mayRun(ctx, who, e); err != nil {
		return err
	}
	if err := s.check(ctx, e); err != nil {
		return err
	}
	return s.change(ctx, who, id, "edit", func(now *Entry) error {
		if !now.Changed.Equal(before.Changed) {
			return errFaster
		}
		next := now.Next // which a claim may have moved on
		if e.Grid != before.Grid {
			e.Next = next
			next = moved(e, before.Grid, s.now())
		}
		*now = *e
		now.Next = next
		return nil
	})
}

// moved is when an entry is due that has got another grid. What is due already,
// or has been, has nothing to do with another interval.
func moved(e *Entry, before Grid, now time.Time) time.Time {
	switch {
	case !e.Grid.Start.Equal(before.Start):
		return e.Grid.Begin(now)
	case !e.Next.IsZero() && !e.Next.After(now):
		return e.Next
	}
	return e.Grid.After(now)
}

// Disable has an entry never fire again. Its owner may do that, or who has
// scheduled_jobs:delete.
func (s *Scheduler) Disable(ctx context.Context, who Subject, id int64) error {
	return s.change(ctx, who, id, "delete", func(e *Entry) error { e.Enabled = false; return nil })
}

// change changes an entry that is enabled; others than its owner need the
// permission scheduled_jobs:action.
func (s *Scheduler) change(ctx context.Context, who Subject, id int64, action string, change func(*Entry) error) error {
	var after Entry
	err := s.db.ChangeScheduledJob(ctx, id, func(e *Entry) error {
		if err := mayChange(who, e, action); err != nil {
			return err
		}
		if !e.Enabled {
			return Disabled(id)
		}
		was := e.Changed
		if err := change(e); err != nil {
			return err
		}
		// Every change makes it later: changeOnce looks at that.
		if e.Changed = s.now(); !e.Changed.After(was) {
			e.Changed = was.Add(time.Millisecond)
		}
		if !e.Enabled {
			e.Next = time.Time{}
		}
		after = *e
		return nil
	})
	if err != nil {
		return err
	}
	what := "schedule changed"
	if !after.Enabled {
		what = "schedule disabled"
	}
	s.audit(ctx, what, who, &after)
	s.changed()
	return nil
}

// Delete deletes an entry: one's own, or with scheduled_jobs:delete anybody's.
// What it started stays.
func (s *Scheduler) Delete(ctx context.Context, who Subject, id int64) error {
	var gone Entry
	err := s.db.DeleteScheduledJob(ctx, id, func(e *Entry) error {
		gone = *e
		return mayChange(who, e, "delete")
	})
	if err != nil {
		return err
	}
	s.audit(ctx, "schedule deleted", who, &gone)
	return nil
}

// mayChange is an error unless the entry is who's own, or who has the
// permission for everybody's.
func mayChange(who Subject, e *Entry, action string) error {
	own := Entry{}
	if err := own.own(who.Owner()); err != nil {
		return err
	}
	if own.OwnerID == e.OwnerID {
		return nil
	}
	return permitted(who, "scheduled_jobs", action, "*")
}

// audit tells the log who did what.
func (s *Scheduler) audit(ctx context.Context, what string, who Subject, e *Entry) {
	by := Entry{}
	if err := by.own(who.Owner()); err != nil {
		by.OwnerLogin = "?"
	}
	attrs := []slog.Attr{slog.Int64("schedule_id", e.ID), slog.String("by", by.OwnerLogin), slog.String("owner", e.OwnerLogin),
		slog.String("type", string(e.Type)), slog.String("name", e.Name), slog.String("environment", e.Environment),
		slog.Time("start", e.Grid.Start), slog.Duration("interval", e.Grid.Interval)}
	if !e.Next.IsZero() {
		attrs = append(attrs, slog.Time("next", e.Next))
	}
	s.log.LogAttrs(ctx, slog.LevelInfo, what, attrs...)
}
