package store

import (
	"context"
	"fmt"
	"log/slog"
	"time"
)

// SQLite starts its write-ahead log afresh when nobody reads from it. Readers
// that overlap without a gap would keep it growing for ever, and every read
// slower. So once it has outgrown its bound new readers are held back until
// those that read have ended, but not for longer than maxHeldBack; a reader
// that takes longer leaves the log as it is until the next attempt.
const (
	maxHeldBack = 2 * time.Second
	walPause    = 15 * time.Second // after an attempt in vain
)

// noteWAL has the log shortened, by who does it, when it has outgrown its bound.
func (s *Store) noteWAL(ctx context.Context) {
	if s.walOutgrown(ctx) {
		select {
		case s.walGrew <- struct{}{}:
		default:
		}
	}
}

func (s *Store) walOutgrown(ctx context.Context) bool { return s.db.LogBytes(ctx) > s.cfg.WALBytes }

// keepWALShort shortens the log whenever it has outgrown its bound, until ctx ends.
func (s *Store) keepWALShort(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.walGrew:
		}
		if !s.walOutgrown(ctx) {
			continue
		}
		start := time.Now()
		done, err := s.shortenWAL(ctx)
		if ctx.Err() != nil {
			return
		}
		s.log.LogAttrs(ctx, slog.LevelDebug, "shortened the write-ahead log",
			slog.Bool("done", done), slog.Duration("took", time.Since(start)), slog.Any("error", err))
		if done {
			s.metrics.walShortened.WithLabelValues("done").Inc()
			continue
		}
		s.metrics.walShortened.WithLabelValues("in vain").Inc()
		pause := time.NewTimer(walPause)
		select {
		case <-ctx.Done():
		case <-pause.C:
		}
		pause.Stop()
	}
}

// shortenWAL empties the log; false when somebody reads from it for too long.
func (s *Store) shortenWAL(ctx context.Context) (done bool, err error) {
	patience, cancel := context.WithTimeout(ctx, maxHeldBack)
	defer cancel()
	resume, err := s.readers.holdBack(patience)
	if err != nil {
		return false, nil
	}
	defer resume()
	// Most of the work is done beside the writer, which then waits for the rest.
	if err := s.db.CopyLog(ctx); err != nil {
		return false, fmt.Errorf("copy the write-ahead log: %w", err)
	}
	if err := s.mu.LockContext(ctx); err != nil {
		return false, err
	}
	defer s.mu.Unlock()
	if err := s.writer.connected(ctx); err != nil {
		return false, err
	}
	if done, err = s.db.EmptyLog(ctx, s.writer.conn); err != nil {
		return false, fmt.Errorf("empty the write-ahead log: %w", err)
	}
	return done, nil
}
