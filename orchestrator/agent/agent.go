package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"dalang/orchestrator/agent/action"
)

// Agent is one agent; Run is its life.
type Agent struct {
	cfg      Config
	log      *slog.Logger
	spool    *spool
	watchers sync.WaitGroup

	wake chan struct{} // of capacity 1: untold has something

	mu      sync.Mutex
	running map[string]bool // transactions whose process lives, by id
	untold  map[string]bool // transactions that have ended and are to be told
}

// New checks the configuration.
func New(cfg Config) (*Agent, error) {
	if err := cfg.applyDefaults(); err != nil {
		return nil, err
	}
	return &Agent{cfg: cfg, log: cfg.Logger, wake: make(chan struct{}, 1), running: map[string]bool{}, untold: map[string]bool{}}, nil
}

// Run connects and serves until ctx ends. Runs go on without it. An error means
// that it could not begin.
func (a *Agent) Run(ctx context.Context) error {
	if err := os.MkdirAll(a.cfg.Data, privateDir); err != nil {
		return fmt.Errorf("agent: data: %w", err)
	}
	unlock, err := lock(ctx, filepath.Join(a.cfg.Data, "lock"), a.cfg.LockPatience)
	if err != nil {
		return err
	}
	defer unlock()
	if a.spool, err = openSpool(filepath.Join(a.cfg.Data, "spool")); err != nil {
		return fmt.Errorf("agent: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer a.watchers.Wait()
	defer cancel()
	if err := a.resume(ctx); err != nil {
		return fmt.Errorf("agent: %w", err)
	}
	a.cfg.Ready()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { a.connect(ctx); return nil })
	g.Go(func() error { a.purge(ctx); return nil })
	return g.Wait()
}

// lock keeps a second agent out of the directory. It tries for some time: a
// process that a killed agent was just starting has the lock too until it runs
// its program.
func lock(ctx context.Context, path string, patience time.Duration) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, private)
	if err != nil {
		return nil, fmt.Errorf("agent: data: %w", err)
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { _ = f.Close() }, nil // which unlocks
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, errors.Join(fmt.Errorf("agent: %s is locked: is another agent running? %w", path, err), f.Close())
		}
	}
}

// resume takes up what earlier lives of the agent left; see doc.go.
func (a *Agent) resume(ctx context.Context) error {
	ids, err := a.spool.list()
	if err != nil {
		return err
	}
	for _, id := range ids {
		if err := a.resumeOne(ctx, id); err != nil {
			a.log.Error("a transaction of the spool cannot be taken up", "transaction", id, "error", err)
		}
	}
	return nil
}

func (a *Agent) resumeOne(ctx context.Context, id string) error {
	e := a.spool.entry(id)
	if e.has(resultFile) {
		if !e.has(toldFile) {
			a.ended(id, e)
		}
		return nil
	}
	p, err := e.claimed()
	if errors.Is(err, os.ErrNotExist) {
		if err = e.claim(process{Abandoned: true}); err == nil {
			a.log.Warn("a transaction was never begun and is forgotten", "transaction", id)
			return a.spool.remove(e)
		}
		if errors.Is(err, errClaimed) { // by its process, just now
			p, err = e.claimed()
		}
	}
	switch {
	case err != nil:
		return err
	case p.Abandoned:
		return a.spool.remove(e)
	}
	a.log.Info("a run of an earlier life is taken up", "transaction", id, "pid", p.PID)
	a.follow(ctx, id, 0)
	return nil
}

// follow watches a transaction until it has ended.
func (a *Agent) follow(ctx context.Context, id string, pid int) {
	a.mu.Lock()
	a.running[id] = true
	a.mu.Unlock()
	a.watchers.Go(func() { a.watch(ctx, id, pid) })
}

// ended notes that a transaction has its result.
func (a *Agent) ended(id string, e entry) {
	r, err := e.request()
	a.mu.Lock()
	delete(a.running, id)
	tell := err == nil && r.Notify
	if tell {
		a.untold[id] = true
	}
	a.mu.Unlock()
	switch {
	case err != nil:
		a.log.Error("a transaction has ended that cannot be told", "transaction", id, "error", err)
	case tell:
		select {
		case a.wake <- struct{}{}:
		default:
		}
	}
	if result, err := e.result(); err == nil {
		a.log.Info("a run has ended", "transaction", id, "module", r.Module, "action", r.Action, "exitcode", result.ExitCode, "problem", result.Error)
	}
}

// alive tells whether the process of a transaction runs, as far as we know.
func (a *Agent) alive(id string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.running[id]
}

func (a *Agent) runs() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.running)
}

// purge forgets old transactions, and files that none has used for as long.
func (a *Agent) purge(ctx context.Context) {
	tick := time.NewTicker(time.Hour)
	defer tick.Stop()
	for {
		a.purgeOnce()
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (a *Agent) purgeOnce() {
	since := a.cfg.Now().Add(-a.cfg.Keep)
	if err := action.Purge(a.cfg.Settings.Cache, since); err != nil {
		a.log.Warn("the cache cannot be purged", "error", err)
	}
	ids, err := a.spool.list()
	if err != nil {
		a.log.Warn("the spool cannot be purged", "error", err)
		return
	}
	for _, id := range ids {
		e := a.spool.entry(id)
		if at, err := e.ended(); err != nil || !at.Before(since) {
			continue // it runs, or is young
		}
		a.mu.Lock()
		delete(a.untold, id)
		a.mu.Unlock()
		if err := a.spool.remove(e); err != nil {
			a.log.Warn("a transaction cannot be forgotten", "transaction", id, "error", err)
		}
	}
}
