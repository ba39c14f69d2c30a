package store

import (
	"context"
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
// when one interval has passed. It finishes deletions that a crash cut short,
// and keeps the write-ahead log short.
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
	wg.Go(func() { s.keepWALShort(ctx) })
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
