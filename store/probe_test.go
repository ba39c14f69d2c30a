package store

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dalang/commands/outcome"
)

// TestWritable: a database that fails is noticed though no command comes, and
// so is its recovery; while all is well it is not tried often.
func TestWritable(t *testing.T) {
	now := time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC)
	file := filepath.Join(t.TempDir(), "dalang.db")
	s, err := Open(t.Context(), Config{Path: file, ReportTTL: 7300 * 24 * time.Hour, Now: func() time.Time { return now }})
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	probed := func() int64 {
		at, err := s.read(t.Context(), "SELECT at FROM probe")
		require.NoError(t, err)
		return at[0]
	}
	require.Zero(t, probed())
	require.NoError(t, s.Writable(t.Context()))
	require.Equal(t, ms(now), probed(), "nothing was known")

	now = now.Add(writeKnown - 1)
	s.pragma(t, "query_only = true") // from now on every write fails
	require.NoError(t, s.Writable(t.Context()), "known from a while ago")
	now = now.Add(1)
	require.ErrorContains(t, s.Writable(t.Context()), "readonly")
	require.NoError(t, s.ProbeRead(t.Context()), "reading works")

	s.pragma(t, "query_only = false")
	require.NoError(t, s.Writable(t.Context()), "failures are not remembered")
	now = now.Add(writeKnown)
	_, err = s.Apply(t.Context(), []outcome.Change{factsOf(t, "a", 1)})
	require.NoError(t, err)
	before := probed()
	require.NoError(t, s.Writable(t.Context()))
	require.Equal(t, before, probed(), "a command has just shown it")
}

// TestWritableWhileSomebodyWrites: who asks is not held up.
func TestWritableWhileSomebodyWrites(t *testing.T) {
	s := openPath(t, filepath.Join(t.TempDir(), "dalang.db"), nil)
	defer func() { require.NoError(t, s.Close()) }()
	s.mu.Lock()
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	require.ErrorIs(t, s.Writable(ctx), context.DeadlineExceeded)
	s.mu.Unlock()
	require.NoError(t, s.Writable(t.Context()))
	s.mu.Lock()
	require.NoError(t, s.Writable(t.Context()), "the last transaction has just worked")
	s.mu.Unlock()
}
