package store

import (
	"context"
	"fmt"
	"time"

	"dalang/commands/outcome"
	"dalang/store/dialect"
	"dalang/wireformat"
)

// Apply takes decoded commands in, in their order, all in one transaction that
// is synced when Apply returns. A command whose data can never be stored gets
// a fatal error of its own and leaves nothing behind. An error of Apply itself
// is the world's fault: nothing of the batch was stored.
func (s *Store) Apply(ctx context.Context, batch []outcome.Change) ([]outcome.Result, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	start := time.Now()
	results := make([]outcome.Result, len(batch))
	err := s.writer.transaction(ctx, func() error {
		for i := range batch {
			if err := s.applyOne(&batch[i], &results[i]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		s.metrics.failedBatches.Inc()
		return nil, fmt.Errorf("store %d commands: %w", len(batch), err)
	}
	s.tellReports()
	s.noteWAL(ctx)
	s.metrics.batchSize.Observe(float64(len(batch)))
	s.metrics.batchTime.Observe(time.Since(start).Seconds())
	return results, nil
}

// applyOne applies one command under a savepoint. It returns only the world's faults.
func (s *Store) applyOne(change *outcome.Change, result *outcome.Result) error {
	start := time.Now()
	err := s.writer.savepoint(func() error {
		a := &applier{writer: s.writer, store: s, now: s.cfg.Now(), received: change.Received}
		var err error
		*result, err = a.apply(change.Payload)
		return err
	})
	s.metrics.applyTime.WithLabelValues(string(change.Payload.Kind())).Observe(time.Since(start).Seconds())
	if err == nil {
		return nil
	}
	if _, fatal := outcome.IsFatal(err); fatal {
		*result = outcome.Result{Err: err}
		return nil
	}
	if s.db.Fault(err) == dialect.Data {
		*result = outcome.Result{Err: outcome.Fatal(outcome.CauseStore, err)}
		return nil
	}
	return err
}

// applier applies one command. Its methods are the rules of spec commands.md §6.
type applier struct {
	*writer
	store    *Store
	now      time.Time // of processing
	received time.Time
}

func (a *applier) apply(payload wireformat.Payload) (outcome.Result, error) {
	switch p := payload.(type) {
	case *wireformat.Facts:
		return a.facts(p)
	case *wireformat.Catalog:
		return a.catalog(p)
	case *wireformat.Report:
		return a.report(p)
	case *wireformat.CatalogInputs:
		return a.inputs(p)
	case *wireformat.Deactivate:
		return a.deactivate(p)
	case *wireformat.Expiration:
		return a.expiration(p)
	}
	return outcome.Result{}, outcome.Fatal(outcome.CauseStore, fmt.Errorf("no way to store %T", payload))
}
