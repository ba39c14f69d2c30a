package store_test

import (
	"bufio"
	"database/sql"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"context"

	"github.com/stretchr/testify/require"

	"dalang/commands/outcome"
	"dalang/store"
	"dalang/wireformat"
)

// long keeps recorded data, which has fixed dates, from being dropped.
const long = 7300 * 24 * time.Hour

func open(t testing.TB, change func(*store.Config)) *store.Store {
	t.Helper()
	cfg := store.Config{Path: filepath.Join(t.TempDir(), "dalang.db"), ReportTTL: long}
	if change != nil {
		change(&cfg)
	}
	s, err := store.Open(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

// apply applies one command in JSON and requires that it was taken in.
func apply(t testing.TB, s *store.Store, cmd wireformat.Command, version int, body string) outcome.Result {
	t.Helper()
	payload, err := wireformat.Decode(cmd, version, time.Now(), []byte(body))
	require.NoError(t, err)
	results, err := s.Apply(context.Background(), []outcome.Change{{Payload: payload, Received: time.Now().UTC().Truncate(time.Millisecond)}})
	require.NoError(t, err)
	require.Len(t, results, 1)
	require.NoError(t, results[0].Err)
	return results[0]
}

// values reads one column of a query as text.
func values(t testing.TB, s *store.Store, query string, args ...any) []string {
	t.Helper()
	out := []string{}
	err := s.ReadTx(t.Context(), func(ctx context.Context, conn *sql.Conn) error {
		rows, err := conn.QueryContext(ctx, query, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var v sql.NullString
			if err := rows.Scan(&v); err != nil {
				return err
			}
			if !v.Valid {
				v.String = "NULL"
			}
			out = append(out, v.String)
		}
		return rows.Err()
	})
	require.NoError(t, err)
	return out
}

func loadCorpus(t testing.TB, s *store.Store) {
	t.Helper()
	for _, name := range []string{"agents.jsonl", "edge.jsonl"} {
		file, err := os.Open(filepath.Join("../testdata/corpus", name))
		require.NoError(t, err)
		defer file.Close()
		lines := bufio.NewScanner(file)
		lines.Buffer(nil, 4<<20)
		for lines.Scan() {
			var r struct {
				Command string
				Version int
				Body    string
			}
			require.NoError(t, json.Unmarshal(lines.Bytes(), &r))
			apply(t, s, wireformat.Command(strings.ReplaceAll(r.Command, "_", " ")), r.Version, r.Body)
		}
		require.NoError(t, lines.Err())
	}
}

func TestCorpus(t *testing.T) {
	s := open(t, nil)
	loadCorpus(t, s)
	require.Equal(t, []string{"13"}, values(t, s, "SELECT count(*) FROM node"))
	for table, query := range map[string]string{
		"facts without a leaf that should have one": `SELECT count(*) FROM fact f WHERE json_type(f.value) NOT IN ('object', 'array')
			AND NOT EXISTS (SELECT 1 FROM fact_leaf l JOIN fact_path p ON p.id = l.path_id
			WHERE l.node_id = f.node_id AND p.name_id = f.name_id AND p.depth = 0 AND l.value = f.value)`,
		"edges without a resource": `SELECT count(*) FROM edge e WHERE NOT EXISTS (SELECT 1 FROM resource r WHERE r.node_id = e.node_id AND r.ref_id = e.source_id)
			OR NOT EXISTS (SELECT 1 FROM resource r WHERE r.node_id = e.node_id AND r.ref_id = e.target_id)`,
	} {
		require.Equal(t, []string{"0"}, values(t, s, query), table)
	}
	require.Equal(t, []string{"ok"}, values(t, s, "PRAGMA integrity_check"))
	_, err := s.SummaryStats(t.Context())
	require.NoError(t, err)
	p, err := s.Population(t.Context())
	require.NoError(t, err)
	count := func(query string) string { return values(t, s, query)[0] }
	require.Equal(t, count("SELECT count(*) FROM resource"), fmt.Sprint(p.Resources), "those of inactive nodes count too, as upstream")
	require.NotEqual(t, count("SELECT count(*) FROM resource r JOIN node n ON n.id = r.node_id WHERE n.deactivated IS NULL"), fmt.Sprint(p.Resources))
	require.InDelta(t, float64(p.Resources)/13, p.ResourcesPerNode, 1e-9)
	require.NoError(t, s.Clean(t.Context(), []store.CleanOp{{Name: store.ExpireNodes}, {Name: store.PurgeNodes}, {Name: store.PurgeReports},
		{Name: store.PurgeResourceEvents}, {Name: store.GCPackages}, {Name: store.Other}, {Name: store.GCCatalogs}, {Name: store.GCFactPaths}}))
	require.Equal(t, []string{"13"}, values(t, s, "SELECT count(*) FROM node"))
}

// TestDeleteNode: nothing of a deleted node stays, and what it alone referred
// to is collected.
func TestDeleteNode(t *testing.T) {
	s := open(t, nil)
	loadCorpus(t, s)
	for _, certname := range values(t, s, "SELECT certname FROM node") {
		require.NoError(t, s.DeleteNode(t.Context(), certname))
	}
	require.NoError(t, s.DeleteNode(t.Context(), "unknown.example.com"))
	require.NoError(t, s.Clean(t.Context(), []store.CleanOp{{Name: store.GCPackages}, {Name: store.Other}, {Name: store.GCCatalogs}, {Name: store.GCFactPaths}}))
	for _, table := range []string{"node", "purged_node", "factset", "fact", "fact_leaf", "fact_path", "fact_name", "catalog", "resource",
		"resource_ref", "resource_body", "resource_tags", "source_file", "edge", "report", "report_body", "event", "package", "node_package",
		"catalog_input", "environment"} {
		require.Equal(t, []string{"0"}, values(t, s, "SELECT count(*) FROM "+table), table)
	}
	loadCorpus(t, s) // no name that is gone is remembered
	require.Equal(t, []string{"13"}, values(t, s, "SELECT count(*) FROM node"))
}
