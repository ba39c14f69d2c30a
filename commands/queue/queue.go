package queue

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
)

// Entry is one command in the queue.
type Entry struct {
	ID   uint64 // order of acceptance
	Meta Meta
	// UUID is what the submitter was told: version 5 of the queue's salt and
	// the file name, so that it is known again after a restart.
	UUID uuid.UUID
	Size int64 // bytes on disk; 0 when not known: Open reads names only
}

// Name is the name of the command's file.
func (e Entry) Name() string { return fileName(e.ID, e.Meta) }

// Config says where a queue is and what it works with.
type Config struct {
	Dir        string                // required; made when missing. <data>/stockpile/cmd
	FS         FS                    // nil: the real disk
	Logger     *slog.Logger          // nil: silent
	Registerer prometheus.Registerer // nil: metrics are kept, not registered
	Now        func() time.Time      // nil: time.Now
	// RemoveAfter is how long the files of commands that have been dealt with
	// stay, to be removed together: a file system that is told what has become
	// free (mount option discard) makes every sync wait for every removal.
	// 0: Ack removes.
	RemoveAfter time.Duration
}

func (c *Config) applyDefaults() error {
	if c.Dir == "" {
		return errors.New("queue: Config.Dir is required")
	}
	if c.FS == nil {
		c.FS = OS()
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return nil
}

// Queue is a directory of accepted commands. All methods may be called from
// many goroutines; calls that concern one Entry must not overlap.
type Queue struct {
	cfg     Config
	q       string // <Dir>/q
	tries   string // <Dir>/attempts
	salt    uuid.UUID
	lock    io.Closer
	metrics *metrics
	dir     dirSyncer // of q

	next atomic.Uint64 // the next id
	tmp  atomic.Uint64 // makes tmp names differ

	mu sync.Mutex // guards what follows; held for moments, never over the disk
	// bad is why nothing is accepted; nil when the disk is well.
	bad *DiskError
	// failures counts failed syncs. A Put that sees it change while it runs
	// fails too: what a failed sync covered is unknown.
	failures uint64
	closed   bool
	running  sync.WaitGroup // calls that use the disk; Add only under mu and not closed
	// attempted holds the commands that have a file of attempts.
	attempted map[tried]struct{}
	gone      []Entry     // acknowledged, to be removed
	removal   *time.Timer // of gone; nil before the first
}

// Available tells why nothing is accepted at the moment: nil, a *DiskError or
// ErrClosed.
func (q *Queue) Available() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.availableLocked()
}

func (q *Queue) availableLocked() error {
	switch {
	case q.closed:
		return ErrClosed
	case q.bad != nil:
		return q.bad // not returned when nil: a nil *DiskError is not a nil error
	}
	return nil
}

// begin counts a call that uses the disk, so that Close can wait for it.
func (q *Queue) begin() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return ErrClosed
	}
	q.running.Add(1)
	return nil
}

// fail notes that the disk refused: acceptance stops until Probe.
func (q *Queue) fail(op string, err error) *DiskError {
	bad := diskError(op, err)
	q.mu.Lock()
	first := q.bad == nil
	q.bad = bad
	if op == opSync || op == opSyncDir {
		q.failures++
	}
	q.mu.Unlock()
	q.metrics.diskErrors.WithLabelValues(op).Inc()
	q.metrics.available.Set(0)
	if first {
		q.cfg.Logger.Error("command queue unavailable", "op", op, "full", bad.Full, "error", err)
	}
	return bad
}

// Body opens the body of a command as it came, gzipped or not. The error is
// fs.ErrNotExist when somebody took the file away.
func (q *Queue) Body(e Entry) (io.ReadCloser, error) {
	f, err := q.cfg.FS.Open(q.Path(e))
	if err != nil {
		return nil, fmt.Errorf("open queued command: %w", err)
	}
	return f, nil
}

// Path is where the body of a command lies, for whoever moves it away; call
// Moved afterwards.
func (q *Queue) Path(e Entry) string { return filepath.Join(q.q, e.Name()) }

// Moved forgets a command whose file somebody else has taken.
func (q *Queue) Moved(e Entry) {
	if err := q.begin(); err != nil {
		return // closed: Open will find the orphaned attempts
	}
	defer q.running.Done()
	q.forgetAttempts(e)
}

// Probe tries whether the disk takes writes again, and if it does, accepts
// again. On a queue that is available it is a check that may make it
// unavailable.
func (q *Queue) Probe(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := q.begin(); err != nil {
		return err
	}
	defer q.running.Done()
	q.mu.Lock()
	was := q.bad
	q.mu.Unlock()
	if err := q.probe(); err != nil {
		return err
	}
	q.mu.Lock()
	if q.bad != was { // refused somebody else meanwhile: the probe says nothing of that
		defer q.mu.Unlock()
		return q.bad
	}
	q.bad = nil
	q.mu.Unlock()
	q.metrics.available.Set(1)
	if was != nil {
		q.cfg.Logger.Info("command queue available again")
	}
	return nil
}

// Close waits for running calls, removes what waits for it and gives the
// directory free. Calling it
// again does nothing.
func (q *Queue) Close() error {
	q.mu.Lock()
	if q.closed {
		q.mu.Unlock()
		return nil
	}
	q.closed = true
	q.mu.Unlock()
	q.running.Wait()
	q.removeWaiting()
	if err := q.lock.Close(); err != nil {
		return fmt.Errorf("unlock queue: %w", err)
	}
	return nil
}
