package store

import (
	"context"
	"database/sql"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestWriterNeverScans: whoever writes finds every row by an index. What has
// to look at many rows does so beside the writer.
func TestWriterNeverScans(t *testing.T) {
	now := time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC)
	day := 24 * time.Hour
	s, err := Open(t.Context(), Config{Path: filepath.Join(t.TempDir(), "dalang.db"), Now: func() time.Time { return now },
		NodeTTL: 7 * day, NodePurgeTTL: 7 * day, ReportTTL: 60 * day, ResourceEventsTTL: 60 * day, EventsTTLSet: true})
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	slow := &slowStore{Store: s}
	slow.fill(t, 20)
	all := []CleanOp{{Name: ExpireNodes}, {Name: PurgeNodes}, {Name: PurgeReports}, {Name: PurgeResourceEvents},
		{Name: GCPackages}, {Name: Other}, {Name: GCCatalogs}, {Name: GCFactPaths}}
	for _, days := range []int{0, 31, 40, 60} { // it expires, its events and reports go, then the node
		now = now.Add(time.Duration(days) * day)
		require.NoError(t, s.Clean(t.Context(), all))
	}
	require.NoError(t, s.Probe(t.Context()))
	left, err := s.read(t.Context(), "SELECT (SELECT count(*) FROM node) + (SELECT count(*) FROM report) + (SELECT count(*) FROM resource_body)")
	require.NoError(t, err)
	require.Equal(t, []int64{0}, left)

	require.Greater(t, len(s.writer.stmts), 50)
	require.NoError(t, s.ReadTx(t.Context(), func(ctx context.Context, conn *sql.Conn) error {
		for text := range s.writer.stmts {
			if strings.Contains(text, "SAVEPOINT") || strings.HasPrefix(text, "R") {
				continue
			}
			rows, err := conn.QueryContext(ctx, "EXPLAIN QUERY PLAN "+text, make([]any, strings.Count(text, "?"))...)
			if err != nil {
				return err
			}
			for rows.Next() {
				var id, parent, unused int
				var detail string
				require.NoError(t, rows.Scan(&id, &parent, &unused, &detail))
				require.False(t, strings.HasPrefix(detail, "SCAN ") && detail != "SCAN CONSTANT ROW", "%s\n%s", detail, text)
			}
			require.NoError(t, rows.Close())
		}
		return nil
	}))
}
