package store

import (
	"context"
	"database/sql"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"dalang/commands/outcome"
)

// commits lets readers wait for the writer.
type commits struct {
	mu    sync.Mutex
	more  *sync.Cond
	n     int
	ended bool
}

func (c *commits) add(ended bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n++
	c.ended = ended
	c.more.Broadcast()
}

func (c *commits) wait(n int) (goOn bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for n += c.n; c.n < n && !c.ended; {
		c.more.Wait()
	}
	return !c.ended
}

// underReaders writes some megabytes while readers overlap without a gap and
// returns the greatest size of the log.
func underReaders(t *testing.T, s *Store) (largest int64) {
	t.Helper()
	c := &commits{}
	c.more = sync.NewCond(&c.mu)
	var all sync.WaitGroup
	reads := make([]int, 3)
	for i := range reads {
		all.Go(func() {
			for goOn := true; goOn; reads[i]++ {
				err := s.ReadTx(context.Background(), func(ctx context.Context, conn *sql.Conn) error {
					var n int
					err := conn.QueryRowContext(ctx, "SELECT count(*) FROM node").Scan(&n) // from here on it has a snapshot
					goOn = c.wait(3 + i)
					return err
				})
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	const batches = 100
	for n := range batches {
		_, err := s.Apply(context.Background(), []outcome.Change{factsOf(t, "node", 50_000+n)})
		require.NoError(t, err)
		largest = max(largest, s.db.LogBytes(context.Background()))
		c.add(n == batches-1)
	}
	all.Wait()
	for _, n := range reads {
		require.Greater(t, n, 5, "readers get on")
	}
	return largest
}

// TestWALStaysShort: readers that overlap do not make the log grow for ever.
// Without who shortens it, they do.
func TestWALStaysShort(t *testing.T) {
	const bound = 1 << 20
	open := func() *Store {
		s, err := Open(t.Context(), Config{Path: filepath.Join(t.TempDir(), "dalang.db"), WALBytes: bound, ReportTTL: 7300 * 24 * time.Hour})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, s.Close()) })
		return s
	}
	unattended := underReaders(t, open())
	require.Greater(t, unattended, int64(5*bound))

	s := open()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- s.RunGC(ctx) }()
	require.Less(t, underReaders(t, s), unattended/2)
	cancel()
	require.NoError(t, <-done)
	require.Positive(t, testutil.ToFloat64(s.metrics.walShortened.WithLabelValues("done")))
}

// TestWALAndALongReader: a reader that does not end in time keeps the others
// waiting for maxHeldBack, no longer, and the log stays.
func TestWALAndALongReader(t *testing.T) {
	file := filepath.Join(t.TempDir(), "dalang.db")
	synctest.Test(t, func(t *testing.T) {
		s := openPath(t, file, nil)
		_, err := s.Apply(t.Context(), []outcome.Change{factsOf(t, "a", 100_000)})
		require.NoError(t, err)
		end, shortened := make(chan struct{}), make(chan bool, 1)
		var all sync.WaitGroup
		read := func(use func()) {
			all.Go(func() {
				require.NoError(t, s.ReadTx(t.Context(), func(ctx context.Context, conn *sql.Conn) error {
					var n int
					defer use()
					return conn.QueryRowContext(ctx, "SELECT count(*) FROM node").Scan(&n)
				}))
			})
			synctest.Wait()
		}
		read(func() { <-end })
		start := time.Now()
		all.Go(func() {
			done, err := s.shortenWAL(t.Context())
			require.NoError(t, err)
			shortened <- done
		})
		synctest.Wait()
		held := make(chan time.Duration, 1)
		read(func() { held <- time.Since(start) })
		require.Empty(t, held, "it is held back")
		require.Equal(t, maxHeldBack, <-held)
		require.False(t, <-shortened)
		require.Positive(t, s.db.LogBytes(t.Context()))
		close(end)
		all.Wait()
		done, err := s.shortenWAL(t.Context())
		require.NoError(t, err)
		require.True(t, done)
		require.Zero(t, s.db.LogBytes(t.Context()))
		require.NoError(t, s.Close())
	})
}

// TestLongReadersStepAside: short reads get a connection though as many long
// ones run as there are turns.
func TestLongReadersStepAside(t *testing.T) {
	file := filepath.Join(t.TempDir(), "dalang.db")
	synctest.Test(t, func(t *testing.T) {
		s := openPath(t, file, nil)
		r := s.readers
		end := make(chan struct{})
		var all sync.WaitGroup
		long := func(n int64) {
			for range n {
				all.Go(func() {
					require.NoError(t, s.ReadTx(t.Context(), func(context.Context, *sql.Conn) error { <-end; return nil }))
				})
			}
			synctest.Wait()
		}
		long(r.nTurns)
		start := time.Now()
		require.NoError(t, s.ProbeRead(t.Context()))
		require.Equal(t, longRead, time.Since(start))
		require.NoError(t, s.ProbeRead(t.Context()))
		require.Equal(t, longRead, time.Since(start), "there is room now")

		long(r.nTurns) // and when all the room is taken, the others wait
		brief, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		require.ErrorIs(t, s.ProbeRead(brief), context.DeadlineExceeded)
		close(end)
		all.Wait()
		require.NoError(t, s.ProbeRead(t.Context()))
		require.NoError(t, s.Close())
	})
}
