package store

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"dalang/commands/outcome"
	"dalang/wireformat"
)

func openPath(t *testing.T, path string, registerer prometheus.Registerer) *Store {
	t.Helper()
	s, err := Open(context.Background(), Config{Path: path, ReportTTL: 7300 * 24 * time.Hour, Registerer: registerer})
	require.NoError(t, err)
	return s
}

func factsOf(t *testing.T, certname string, bytes int) outcome.Change {
	t.Helper()
	payload, err := wireformat.Decode(wireformat.ReplaceFacts, 5, time.Now(), fmt.Appendf(nil,
		`{"certname":%q,"environment":"e","producer":null,"producer_timestamp":"2026-04-01","values":{"n":%q}}`, certname, strings.Repeat("x", bytes)))
	require.NoError(t, err)
	return outcome.Change{Payload: payload, Received: time.Now()}
}

func nodes(t *testing.T, s *Store) (n int) {
	t.Helper()
	require.NoError(t, s.ReadTx(context.Background(), func(ctx context.Context, conn *sql.Conn) error {
		return conn.QueryRowContext(ctx, "SELECT count(*) FROM node").Scan(&n)
	}))
	return n
}

func (s *Store) pragma(t *testing.T, text string) {
	t.Helper()
	if s.writer.conn == nil { // dropped after an error; the pool gives the same one again
		require.NoError(t, s.writer.connect(context.Background()))
	}
	_, err := s.writer.conn.ExecContext(context.Background(), "PRAGMA "+text)
	require.NoError(t, err)
}

// TestFullDatabase: a database that may not grow is the world's fault. Nothing
// of the batch stays, and the same batch goes in when there is room again.
func TestFullDatabase(t *testing.T) {
	s := openPath(t, filepath.Join(t.TempDir(), "dalang.db"), nil)
	defer func() { require.NoError(t, s.Close()) }()
	s.pragma(t, "max_page_count = 1") // SQLite makes it the present size
	batch := []outcome.Change{factsOf(t, "small", 10), factsOf(t, "large", 1<<20)}
	_, err := s.Apply(context.Background(), batch)
	require.ErrorContains(t, err, "full")
	_, fatal := outcome.IsFatal(err)
	require.False(t, fatal)
	require.Zero(t, nodes(t, s))
	s.pragma(t, "max_page_count = 1000000")
	require.NoError(t, s.Probe(context.Background()))
	results, err := s.Apply(context.Background(), batch)
	require.NoError(t, err)
	for _, r := range results {
		require.NoError(t, r.Err)
	}
	require.Equal(t, 2, nodes(t, s))
}

// TestLockedDatabase: somebody else writes. It is the world's fault too.
func TestLockedDatabase(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dalang.db")
	s := openPath(t, path, nil)
	defer func() { require.NoError(t, s.Close()) }()
	s.pragma(t, "busy_timeout = 10")
	other := openPath(t, path, nil)
	defer func() { require.NoError(t, other.Close()) }()
	require.NoError(t, other.writer.transaction(context.Background(), func() error {
		_, err := s.Apply(context.Background(), []outcome.Change{factsOf(t, "a", 1)})
		require.ErrorContains(t, err, "locked")
		require.Error(t, s.Probe(context.Background()))
		return nil
	}))
	_, err := s.Apply(context.Background(), []outcome.Change{factsOf(t, "a", 1)})
	require.NoError(t, err)
}

// TestReadersSeeSnapshots: a reader neither waits for the writer nor sees what
// is committed after it began, and the writer does not wait for it.
func TestReadersSeeSnapshots(t *testing.T) {
	s := openPath(t, filepath.Join(t.TempDir(), "dalang.db"), nil)
	defer func() { require.NoError(t, s.Close()) }()
	_, err := s.Apply(context.Background(), []outcome.Change{factsOf(t, "a", 1)})
	require.NoError(t, err)
	require.NoError(t, s.ReadTx(context.Background(), func(ctx context.Context, conn *sql.Conn) error {
		count := func() (n int) {
			require.NoError(t, conn.QueryRowContext(ctx, "SELECT count(*) FROM node").Scan(&n))
			return n
		}
		require.Equal(t, 1, count())
		_, err := s.Apply(context.Background(), []outcome.Change{factsOf(t, "b", 1)})
		require.NoError(t, err)
		require.Equal(t, 1, count())
		_, err = conn.ExecContext(ctx, "DELETE FROM node")
		require.ErrorContains(t, err, "readonly")
		return nil
	}))
	require.Equal(t, 2, nodes(t, s))
}

// TestReopen: what Apply returned for is there without a Close, and a schema
// from the future is refused.
func TestReopen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dalang.db")
	first := openPath(t, path, nil)
	_, err := first.Apply(context.Background(), []outcome.Change{factsOf(t, "a", 1)})
	require.NoError(t, err)
	second := openPath(t, path, nil)
	require.Equal(t, 1, nodes(t, second))
	require.NoError(t, first.Close())
	_, err = second.writer.conn.ExecContext(context.Background(), "INSERT INTO schema_version VALUES (999, 'future')")
	require.NoError(t, err)
	require.NoError(t, second.Close())
	_, err = Open(context.Background(), Config{Path: path})
	var newer *NewerSchemaError
	require.ErrorAs(t, err, &newer)
	require.Equal(t, 999, newer.Have)
}

// TestInterruptedPurge: a crash between a node's row and its data leaves the
// data invisible; the next start deletes it.
func TestInterruptedPurge(t *testing.T) {
	s := openPath(t, filepath.Join(t.TempDir(), "dalang.db"), nil)
	defer func() { require.NoError(t, s.Close()) }()
	_, err := s.Apply(context.Background(), []outcome.Change{factsOf(t, "a", 1)})
	require.NoError(t, err)
	require.NoError(t, s.writer.transaction(context.Background(), func() error {
		_, err := s.detach(context.Background(), s.writer, "SELECT id FROM node")
		return err
	}))
	_, err = s.Apply(context.Background(), []outcome.Change{factsOf(t, "b", 1)})
	require.NoError(t, err)
	ended, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- s.RunGC(ended) }()
	require.Eventually(t, func() bool {
		left, err := s.read(context.Background(), "SELECT id FROM purged_node")
		return err == nil && len(left) == 0
	}, 10*time.Second, time.Millisecond)
	cancel()
	require.NoError(t, <-done)
	left, err := s.read(context.Background(), "SELECT count(*) FROM fact")
	require.NoError(t, err)
	require.Equal(t, []int64{1}, left)
}

// TestPanic: a bug that one command meets undoes the batch, keeps nobody out
// and leaves nothing remembered that is not stored. (Who called Apply goes
// through the batch one by one then; see package commands.)
func TestPanic(t *testing.T) {
	s := openPath(t, filepath.Join(t.TempDir(), "dalang.db"), nil)
	defer func() { require.NoError(t, s.Close()) }()
	batch := []outcome.Change{factsOf(t, "a", 10), {Payload: (*wireformat.Facts)(nil)}, factsOf(t, "c", 10)}
	require.Panics(t, func() { _, _ = s.Apply(context.Background(), batch) })
	require.Zero(t, nodes(t, s))
	for _, one := range []int{0, 2} {
		results, err := s.Apply(context.Background(), batch[one:one+1])
		require.NoError(t, err)
		require.NoError(t, results[0].Err)
	}
	require.Panics(t, func() { _, _ = s.Apply(context.Background(), batch[1:2]) })
	require.Equal(t, 2, nodes(t, s))
	unknown, err := s.read(context.Background(), "SELECT count(*) FROM fact WHERE name_id NOT IN (SELECT id FROM fact_name)")
	require.NoError(t, err)
	require.Equal(t, []int64{0}, unknown)
}

// TestNoStatistics: plans are the same whatever has been run on the file.
func TestNoStatistics(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dalang.db")
	first := openPath(t, path, nil)
	_, err := first.Apply(context.Background(), []outcome.Change{factsOf(t, "a", 1)})
	require.NoError(t, err)
	_, err = first.writer.conn.ExecContext(context.Background(), "ANALYZE")
	require.NoError(t, err)
	require.NoError(t, first.Close())
	second := openPath(t, path, nil)
	defer func() { require.NoError(t, second.Close()) }()
	left, err := second.read(context.Background(), "SELECT count(*) FROM sqlite_schema WHERE name LIKE 'sqlite_stat%'")
	require.NoError(t, err)
	require.Equal(t, []int64{0}, left)
}

// TestTemporaryFiles: what queries sort goes to files when it is much, what
// the writer has to undo stays in memory.
func TestTemporaryFiles(t *testing.T) {
	s := openPath(t, filepath.Join(t.TempDir(), "dalang.db"), nil)
	defer func() { require.NoError(t, s.Close()) }()
	const files, memory = 1, 2
	mode, err := s.read(context.Background(), "PRAGMA temp_store")
	require.NoError(t, err)
	require.Equal(t, []int64{files}, mode)
	var of int
	require.NoError(t, s.writer.conn.QueryRowContext(context.Background(), "PRAGMA temp_store").Scan(&of))
	require.Equal(t, memory, of)
}
