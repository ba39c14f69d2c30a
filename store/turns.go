package store

import (
	"context"
	"database/sql"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"
)

// fairLock is a mutex that serves in order of arrival: between two steps of a
// cleanup comes whoever waited meanwhile.
type fairLock struct {
	turn    *semaphore.Weighted
	waiting atomic.Int32 // who asked and has not got it
}

func newFairLock() *fairLock { return &fairLock{turn: semaphore.NewWeighted(1)} }

func (l *fairLock) Lock() { _ = l.LockContext(context.Background()) } // which never ends

// LockContext gives up when ctx ends.
func (l *fairLock) LockContext(ctx context.Context) error {
	l.waiting.Add(1)
	defer l.waiting.Add(-1)
	return l.turn.Acquire(ctx, 1)
}

func (l *fairLock) Unlock() { l.turn.Release(1) }

// longRead is how long a reader keeps its turn. One that needs longer goes on
// beside the others, as far as there is room.
const longRead = 2 * time.Second

// readers is a pool of read-only connections. database/sql's own queue gives a
// free connection to anyone of those who wait; turns keep their order.
//
// There are more connections than turns: a reader that has been at it for
// longRead gives its turn to the next and keeps its connection. So a few long
// queries do not hold up the short ones; when all the room beside is taken,
// the others wait.
type readers struct {
	db     *sql.DB
	turns  *semaphore.Weighted
	beside *semaphore.Weighted // places of those that gave their turn away

	nTurns, nBeside int64
}

func newReaders(db *sql.DB, beside int) *readers {
	connections := max(db.Stats().MaxOpenConnections, 1)
	r := &readers{db: db, nTurns: int64(max(connections-beside, 1)), nBeside: int64(beside)}
	r.turns, r.beside = semaphore.NewWeighted(r.nTurns), semaphore.NewWeighted(r.nBeside)
	return r
}

// turn is one reader's.
type turn struct {
	of   *readers
	late *time.Timer

	mu           sync.Mutex
	aside, ended bool
}

func (r *readers) take(ctx context.Context) (*turn, error) {
	if err := r.turns.Acquire(ctx, 1); err != nil {
		return nil, err
	}
	t := &turn{of: r}
	if r.nBeside > 0 {
		t.late = time.AfterFunc(longRead, t.stepAside)
	}
	return t, nil
}

// stepAside gives the turn to the next if there is room beside.
func (t *turn) stepAside() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.ended && t.of.beside.TryAcquire(1) {
		t.aside = true
		t.of.turns.Release(1)
	}
}

func (t *turn) end() {
	if t.late != nil {
		t.late.Stop()
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ended = true
	if t.aside {
		t.of.beside.Release(1)
		return
	}
	t.of.turns.Release(1)
}

// holdBack waits until nobody reads and lets nobody begin until resume is
// called. Its error is ctx's; those who waited get on then too.
func (r *readers) holdBack(ctx context.Context) (resume func(), err error) {
	if err := r.turns.Acquire(ctx, r.nTurns); err != nil {
		return nil, err
	}
	if err := r.beside.Acquire(ctx, r.nBeside); err != nil {
		r.turns.Release(r.nTurns)
		return nil, err
	}
	return func() {
		r.beside.Release(r.nBeside)
		r.turns.Release(r.nTurns)
	}, nil
}

// readTx runs fn on one connection, in one snapshot.
func (r *readers) readTx(ctx context.Context, fn func(ctx context.Context, conn *sql.Conn) error) error {
	turn, err := r.take(ctx)
	if err != nil {
		return fmt.Errorf("wait for a connection: %w", err)
	}
	defer turn.end()
	conn, err := r.db.Conn(ctx)
	if err != nil {
		return fmt.Errorf("wait for a connection: %w", err)
	}
	defer conn.Close()
	if _, err := conn.ExecContext(ctx, "BEGIN"); err != nil {
		return fmt.Errorf("begin reading: %w", err)
	}
	// The transaction ends even if ctx has ended: the connection is used again.
	defer conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK") //nolint:errcheck // nothing was written
	return fn(ctx, conn)
}
