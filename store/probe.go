package store

import (
	"context"
	"database/sql"
	"fmt"
	"sync"
	"time"
)

// writeResult is how the last attempt to write ended.
type writeResult struct {
	mu  sync.Mutex
	at  time.Time
	err error
}

func (r *writeResult) set(at time.Time, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.at, r.err = at, err
}

func (r *writeResult) get() (time.Time, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.at, r.err
}

// Probe tells whether the database can be written to: it writes a row and
// syncs it. When somebody else writes it waits for its turn, until ctx ends.
func (s *Store) Probe(ctx context.Context) error {
	if err := s.mu.LockContext(ctx); err != nil {
		return fmt.Errorf("wait for who writes: %w", err)
	}
	defer s.mu.Unlock()
	return s.writer.transaction(ctx, func() error {
		return s.writer.exec("UPDATE probe SET at = ?1 WHERE id = 1", ms(s.cfg.Now()))
	})
}

// writeKnown is for how long it is taken for granted that the database can be
// written to, after it could be.
const writeKnown = 10 * time.Second

// Writable tells whether the database can be written to, from what is known
// of the last transaction; when that is long ago, or failed, it tries one.
// For those who ask often: at most one probe in writeKnown while all is well.
func (s *Store) Writable(ctx context.Context) error {
	at, last := s.writer.last.get()
	if last == nil && s.cfg.Now().Sub(at) < writeKnown {
		return nil
	}
	err := s.Probe(ctx)
	if err != nil && last != nil && ctx.Err() != nil {
		return last // it says more than that time was up
	}
	return err
}

// ProbeRead tells whether the database answers.
func (s *Store) ProbeRead(ctx context.Context) error {
	return s.ReadTx(ctx, func(ctx context.Context, conn *sql.Conn) error {
		var one int
		return conn.QueryRowContext(ctx, "SELECT 1 FROM probe").Scan(&one)
	})
}
