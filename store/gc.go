package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// Intervals says how often each part of garbage collection runs; 0: never.
type Intervals struct {
	ExpireNodes, PurgeNodes, PurgeReports, Packages, Catalogs, FactPaths time.Duration
}

// The kinds of cleanup, in the order in which Clean does them. Spec §7.3.
const (
	ExpireNodes         = "expire_nodes"
	PurgeNodes          = "purge_nodes"
	PurgeReports        = "purge_reports"
	PurgeResourceEvents = "purge_resource_events"
	GCPackages          = "gc_packages"
	Other               = "other"
	GCCatalogs          = "gc_catalogs"
	GCFactPaths         = "gc_fact_paths"
)

// CleanOp is one kind of cleanup.
type CleanOp struct {
	Name       string
	BatchLimit int // of purge_nodes: how many nodes; 0: no bound
}

// ErrBusy is what Clean answers while another cleanup runs.
var ErrBusy = errors.New("another cleanup is already in progress")

// activity is what is being cleaned, for those who ask.
type activity struct {
	mu  sync.Mutex
	now string
}

func (a *activity) set(what string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.now = what
}

// Cleaning names the cleanup that runs, "" for none.
func (s *Store) Cleaning() string {
	s.cleaning.mu.Lock()
	defer s.cleaning.mu.Unlock()
	return s.cleaning.now
}

// RunGC collects garbage at its intervals until ctx ends. Each kind runs first
// when one interval has passed. It finishes deletions that a crash cut short.
func (s *Store) RunGC(ctx context.Context) error {
	s.gcMu.Lock()
	s.report(ctx, "finish purging", s.finishPurging(ctx))
	s.gcMu.Unlock()
	every := map[time.Duration][]CleanOp{}
	for _, task := range []struct {
		interval time.Duration
		ops      []CleanOp
	}{
		{s.cfg.GC.ExpireNodes, []CleanOp{{Name: ExpireNodes}}},
		{s.cfg.GC.PurgeNodes, []CleanOp{{Name: PurgeNodes, BatchLimit: s.cfg.NodePurgeLimit}}},
		{s.cfg.GC.PurgeReports, []CleanOp{{Name: PurgeReports}, {Name: PurgeResourceEvents}}},
		{s.cfg.GC.Packages, []CleanOp{{Name: GCPackages}}},
		{s.cfg.GC.Catalogs, []CleanOp{{Name: Other}, {Name: GCCatalogs}}},
		{s.cfg.GC.FactPaths, []CleanOp{{Name: GCFactPaths}}},
	} {
		if task.interval > 0 {
			every[task.interval] = append(every[task.interval], task.ops...)
		}
	}
	var wg sync.WaitGroup
	for interval, ops := range every {
		wg.Go(func() {
			ticker := time.NewTicker(interval)
			defer ticker.Stop()
			for {
				select {
				case <-ctx.Done():
					return
				case <-ticker.C:
				}
				s.gcMu.Lock()
				s.cleanAll(ctx, ops)
				s.gcMu.Unlock()
			}
		})
	}
	wg.Wait()
	return nil
}

// Clean does the operations, in their order; see the constants. It answers
// ErrBusy at once while another cleanup runs, else the errors of the
// operations that failed, joined.
func (s *Store) Clean(ctx context.Context, ops []CleanOp) error {
	if !s.gcMu.TryLock() {
		return ErrBusy
	}
	defer s.gcMu.Unlock()
	return s.cleanAll(ctx, ops)
}

func (s *Store) cleanAll(ctx context.Context, ops []CleanOp) error {
	defer s.cleaning.set("")
	var errs []error
	for _, op := range ops {
		s.cleaning.set(op.Name)
		start := time.Now()
		err := s.clean(ctx, op)
		s.metrics.gcTime.WithLabelValues(op.Name).Observe(time.Since(start).Seconds())
		s.report(ctx, op.Name, err)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (s *Store) report(ctx context.Context, what string, err error) {
	if err != nil && ctx.Err() == nil {
		s.log.LogAttrs(ctx, slog.LevelError, "garbage collection failed", slog.String("operation", what), slog.Any("error", err))
	}
}

func (s *Store) clean(ctx context.Context, op CleanOp) error {
	switch op.Name {
	case ExpireNodes:
		return s.expireNodes(ctx)
	case PurgeNodes:
		return s.purgeNodes(ctx, op.BatchLimit)
	case PurgeReports:
		return s.purgeReports(ctx)
	case PurgeResourceEvents:
		return s.purgeEvents(ctx)
	case GCPackages, Other, GCCatalogs, GCFactPaths:
		return s.collect(ctx, op.Name)
	}
	return fmt.Errorf("unknown cleanup %q", op.Name)
}

// Bounds of one step of garbage collection. A step holds the writer, so it
// should take a fraction of the 50 ms that nobody may hold it.
const (
	stepGoal = 15 * time.Millisecond
	stepMax  = 4096
)

// steps runs step, each time in a transaction of its own, until it has nothing
// left to do. The writer is free in between; the size of a step follows the
// time that the last one took.
func (s *Store) steps(ctx context.Context, what string, step func(w *writer, limit int) (done int64, err error)) error {
	limit := 32
	for ctx.Err() == nil {
		var done int64
		s.mu.Lock()
		start := time.Now()
		err := s.writer.transaction(ctx, func() (err error) {
			done, err = step(s.writer, limit)
			return err
		})
		held := time.Since(start)
		s.mu.Unlock()
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		s.metrics.gcStep.Observe(held.Seconds())
		s.metrics.gcDone.WithLabelValues(what).Add(float64(done))
		if done == 0 {
			return nil
		}
		switch {
		case held > stepGoal:
			limit = max(limit/2, 1)
		case held < stepGoal/3:
			limit = min(limit*2, stepMax)
		}
	}
	return ctx.Err()
}

// changed runs a statement and counts the rows that it changed.
func (w *writer) changed(text string, args ...any) (int64, error) {
	result, err := w.execResult(text, args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// expireNodes marks nodes that have been silent for node-ttl. Spec §7.1.
func (s *Store) expireNodes(ctx context.Context) error {
	if s.cfg.NodeTTL <= 0 {
		return nil
	}
	now := s.cfg.Now()
	cut := ms(now.Add(-s.cfg.NodeTTL))
	return s.steps(ctx, ExpireNodes, func(w *writer, limit int) (done int64, err error) {
		err = w.rows(`UPDATE node SET expired = ?1 WHERE id IN (SELECT id FROM node
			WHERE deactivated IS NULL AND expired IS NULL
			AND coalesce(facts_producer_timestamp < ?2, 1) AND coalesce(catalog_producer_timestamp < ?2, 1)
			AND coalesce(report_producer_timestamp < ?2, 1) AND coalesce(inputs_timestamp < ?2, 1)
			AND (expires_facts IS NULL OR expires_facts = 1 AND expires_facts_updated < ?2) LIMIT ?3) RETURNING certname`,
			[]any{ms(now), cut, limit}, func(scan func(...any) error) error {
				var certname string
				if err := scan(&certname); err != nil {
					return err
				}
				done++
				s.log.LogAttrs(ctx, slog.LevelInfo, "auto-expired node", slog.String("certname", certname))
				return nil
			})
		return done, err
	})
}

// dayOf is the start of the UTC day that lies ttl before now.
func (s *Store) dayOf(ttl time.Duration) int64 {
	return ms(s.cfg.Now().UTC().Add(-ttl).Truncate(24 * time.Hour))
}

// purgeReports deletes reports older than report-ttl, by day; never a node's latest.
func (s *Store) purgeReports(ctx context.Context) error {
	cut := s.dayOf(s.cfg.ReportTTL)
	return s.steps(ctx, PurgeReports, func(w *writer, limit int) (int64, error) {
		return w.deleteReports(`SELECT id FROM report WHERE producer_timestamp < ?1
			AND NOT EXISTS (SELECT 1 FROM node WHERE node.latest_report_id = report.id) LIMIT ?2`, cut, max(limit/16, 1))
	})
}

// deleteReports deletes the reports that a selection of ids finds.
func (w *writer) deleteReports(selection string, args ...any) (int64, error) {
	var ids []int64
	err := w.rows(selection, args, func(scan func(...any) error) error {
		var id int64
		err := scan(&id)
		ids = append(ids, id)
		return err
	})
	if err != nil {
		return 0, err
	}
	for _, id := range ids {
		for _, statement := range []string{
			"DELETE FROM event WHERE report_id = ?1", "DELETE FROM report_body WHERE report_id = ?1", "DELETE FROM report WHERE id = ?1",
		} {
			if err := w.exec(statement, id); err != nil {
				return 0, err
			}
		}
	}
	return int64(len(ids)), nil
}

// purgeEvents deletes events older than resource-events-ttl, by day, but
// leaves those of the latest reports.
func (s *Store) purgeEvents(ctx context.Context) error {
	cut := s.dayOf(min(s.cfg.ResourceEventsTTL, s.cfg.ReportTTL))
	return s.steps(ctx, PurgeResourceEvents, func(w *writer, limit int) (int64, error) {
		return w.changed(`DELETE FROM event WHERE (report_id, seq) IN (SELECT report_id, seq FROM event WHERE timestamp < ?1
			AND NOT EXISTS (SELECT 1 FROM node WHERE node.latest_report_id = event.report_id) LIMIT ?2)`, cut, limit)
	})
}

// read runs a query of one column of ids beside the writer.
func (s *Store) read(ctx context.Context, text string, args ...any) ([]int64, error) {
	var ids []int64
	err := s.ReadTx(ctx, func(ctx context.Context, conn *sql.Conn) error {
		rows, err := conn.QueryContext(ctx, text, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var id int64
			if err := rows.Scan(&id); err != nil {
				return err
			}
			ids = append(ids, id)
		}
		return rows.Err()
	})
	return ids, err
}
