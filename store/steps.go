package store

import (
	"context"
	"fmt"
	"time"
)

// Bounds of one step of garbage collection. A step holds the writer, so it
// should take a fraction of the 50 ms that nobody may hold it.
const (
	stepGoal  = 15 * time.Millisecond
	stepFirst = 32
	stepMax   = 4096
)

// pace sizes the steps of one cleanup after what the last one took.
type pace struct {
	limit  int           // how much the next step may do
	commit time.Duration // the shortest commit so far; 0: none
}

// took notes a step that held the writer for so long, and for how much of that
// it committed. The shortest commit is what the disk takes for any sync, however
// little is written: no smaller step would save it, so it counts for nothing.
// On a slow disk steps would otherwise shrink to single rows, each with a sync.
func (p *pace) took(held, commit time.Duration) {
	if p.commit == 0 || commit < p.commit {
		p.commit = commit
	}
	switch work := held - p.commit; {
	case work > stepGoal:
		p.limit = max(p.limit/2, 1)
	case work < stepGoal/3:
		p.limit = min(p.limit*2, stepMax)
	}
}

// steps runs step, each time in a transaction of its own, until it has nothing
// left to do. The writer is free in between; the size of a step follows the
// time that the ones before it took.
func (s *Store) steps(ctx context.Context, what string, step func(w *writer, limit int) (done int64, err error)) error {
	p := pace{limit: stepFirst}
	for ctx.Err() == nil {
		done, err := s.step(ctx, what, &p, step)
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		if done == 0 {
			return nil
		}
	}
	return ctx.Err()
}

// step runs one step and paces the next.
func (s *Store) step(ctx context.Context, what string, p *pace, step func(w *writer, limit int) (int64, error)) (done int64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	start := s.cfg.Now()
	worked := start
	err = s.writer.transaction(ctx, func() (err error) {
		done, err = step(s.writer, p.limit)
		worked = s.cfg.Now()
		return err
	})
	if err != nil {
		return 0, err
	}
	end := s.cfg.Now()
	held := end.Sub(start)
	s.metrics.gcStep.Observe(held.Seconds())
	s.metrics.gcDone.WithLabelValues(what).Add(float64(done))
	s.noteWAL(ctx)
	if done > 0 { // an empty transaction is not synced
		p.took(held, end.Sub(worked))
	}
	return done, nil
}

// changed runs a statement and counts the rows that it changed.
func (w *writer) changed(text string, args ...any) (int64, error) {
	result, err := w.execResult(text, args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}
