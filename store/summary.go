package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"math"
	"path/filepath"
	"strconv"
	"strings"

	"dalang/wireformat"
)

// SummaryStats describes the data under the keys and in the shapes of
// PuppetDB's summary-stats (spec commands.md §7.4), all but version. Rows of
// PostgreSQL's statistics keep their keys, with null for what SQLite does not
// count. It reads much, in many short snapshots: nobody is held up by it, and
// the numbers may be some moments apart.
func (s *Store) SummaryStats(ctx context.Context) (map[string]any, error) {
	stats := map[string]any{}
	err := s.ReadTx(ctx, func(ctx context.Context, conn *sql.Conn) error { return s.usage(ctx, conn, stats) })
	if err != nil {
		return nil, fmt.Errorf("summary stats: %w", err)
	}
	for key, of := range map[string]struct {
		read  func(ctx context.Context, conn *sql.Conn, query string) (any, error)
		query string
	}{
		"table_usage":   {s.tableUsage, ""},
		"node_activity": {activeNodes, "SELECT deactivated IS NULL AND expired IS NULL, count(*) FROM node GROUP BY 1 ORDER BY 1"},
		"fact_path_counts_by_depth": {depths, `SELECT depth, count(*) FROM
			(SELECT depth FROM fact_path UNION ALL SELECT 0 FROM (SELECT DISTINCT name_id FROM fact_path WHERE depth > 0)) GROUP BY depth ORDER BY depth`},
		"report_metric_size_dist": {distribution, "SELECT length(metrics) FROM report_body WHERE metrics IS NOT NULL"},
		"report_log_size_dist":    {distribution, "SELECT length(logs) FROM report_body WHERE logs IS NOT NULL"},
		"num_resources_per_node":  {distribution, "SELECT count(*) FROM resource GROUP BY node_id"},
		"num_resources_per_file":  {distribution, "SELECT count(*) FROM resource WHERE file_id IS NOT NULL GROUP BY file_id"},
		"file_resources_per_catalog": {distribution,
			"SELECT count(*) FROM resource r JOIN resource_ref f ON f.id = r.ref_id WHERE f.type = 'File' GROUP BY r.node_id"},
		"file_resources_per_catalog_with_source": {distribution, `SELECT count(*) FROM resource r JOIN resource_ref f ON f.id = r.ref_id
			JOIN resource_body b ON b.id = r.body_id WHERE f.type = 'File' AND pdb_json_path(b.parameters, '["source"]') IS NOT NULL GROUP BY r.node_id`},
		"num_distinct_edges_source_target": {oneCount, `SELECT count(*) FROM (SELECT DISTINCT s.body_id, t.body_id FROM edge e
			JOIN resource s ON s.node_id = e.node_id AND s.ref_id = e.source_id JOIN resource t ON t.node_id = e.node_id AND t.ref_id = e.target_id)`},
	} {
		err := s.ReadTx(ctx, func(ctx context.Context, conn *sql.Conn) (err error) {
			stats[key], err = of.read(ctx, conn, of.query)
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("summary stats: %s: %w", key, err)
		}
	}
	return stats, nil
}

// statsRow is a row of a PostgreSQL statistics view: its keys, separated by
// blanks, all null but those in known.
func statsRow(keys string, known map[string]any) map[string]any {
	row := map[string]any{}
	for _, key := range strings.Fields(keys) {
		row[key] = nil
	}
	for key, v := range known {
		row[key] = v
	}
	return row
}

// The columns of PostgreSQL's views, as PuppetDB shows them.
const (
	tableColumns = `analyze_count autoanalyze_count autovacuum_count idx_scan idx_tup_fetch last_analyze last_autoanalyze last_autovacuum
		last_vacuum n_dead_tup n_ins_since_vacuum n_live_tup n_mod_since_analyze n_tup_del n_tup_hot_upd n_tup_ins n_tup_upd relid relname
		schemaname seq_scan seq_tup_read vacuum_count`
	indexColumns    = "idx_scan idx_tup_fetch idx_tup_read indexrelid indexrelname relid relname schemaname"
	databaseColumns = `active_time blk_read_time blk_write_time blks_hit blks_read checksum_failures checksum_last_failure conflicts current_time
		datid datname deadlocks idle_in_transaction_time numbackends session_time sessions sessions_abandoned sessions_fatal sessions_killed
		stats_reset temp_bytes temp_files tup_deleted tup_fetched tup_inserted tup_returned tup_updated xact_commit xact_rollback`
)

// usage fills in what is known of the database and its indexes.
func (s *Store) usage(ctx context.Context, conn *sql.Conn, stats map[string]any) error {
	free, err := s.db.FreeBytes(ctx, conn)
	if err != nil {
		return err
	}
	database := map[string]any{"current_time": wireformat.FormatTime(s.cfg.Now()), "datname": filepath.Base(s.cfg.Path),
		"numbackends": s.db.Reader().Stats().OpenConnections + 1, "free_bytes": free}
	for part, bytes := range s.db.Sizes(ctx) {
		database[part+"_bytes"] = bytes
	}
	stats["database_usage"] = []any{statsRow(databaseColumns, database)}
	tables, err := s.db.Tables(ctx, conn)
	if err != nil {
		return err
	}
	indexes := []any{}
	for _, table := range tables {
		for _, index := range table.Indexes {
			indexes = append(indexes, statsRow(indexColumns, map[string]any{"schemaname": "main", "relname": table.Name, "indexrelname": index}))
		}
	}
	stats["index_usage"] = indexes
	return nil
}

func (s *Store) tableUsage(ctx context.Context, conn *sql.Conn, _ string) (any, error) {
	tables, err := s.db.Tables(ctx, conn)
	if err != nil {
		return nil, err
	}
	usage := []any{}
	for _, table := range tables {
		var rows int64
		if err := conn.QueryRowContext(ctx, "SELECT count(*) FROM "+table.Name).Scan(&rows); err != nil {
			return nil, err
		}
		usage = append(usage, statsRow(tableColumns, map[string]any{"schemaname": "main", "relname": table.Name, "n_live_tup": rows}))
	}
	return usage, nil
}

// pairs reads two columns of numbers.
func pairs(ctx context.Context, conn *sql.Conn, query string, each func(a, b int64)) error {
	rows, err := conn.QueryContext(ctx, query)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var a, b int64
		if err := rows.Scan(&a, &b); err != nil {
			return err
		}
		each(a, b)
	}
	return rows.Err()
}

func activeNodes(ctx context.Context, conn *sql.Conn, query string) (any, error) {
	list := []any{}
	err := pairs(ctx, conn, query, func(active, n int64) { list = append(list, map[string]any{"count": n, "active": active == 1}) })
	return list, err
}

// depths counts a structured fact itself too, as upstream does, which keeps
// its name among the paths.
func depths(ctx context.Context, conn *sql.Conn, query string) (any, error) {
	list := []any{}
	err := pairs(ctx, conn, query, func(depth, n int64) { list = append(list, map[string]any{"depth": depth, "count": n}) })
	return list, err
}

func oneCount(ctx context.Context, conn *sql.Conn, query string) (any, error) {
	var n int64
	err := conn.QueryRowContext(ctx, query).Scan(&n)
	return []any{map[string]any{"count": n}}, err
}

// distribution gives the quantiles of a column of numbers. Only how often each
// of them occurs is kept in memory.
func distribution(ctx context.Context, conn *sql.Conn, query string) (any, error) {
	var h histogram
	err := pairs(ctx, conn, "SELECT n, count(*) FROM (SELECT n FROM ("+strings.Replace(query, " FROM", " AS n FROM", 1)+")) GROUP BY n ORDER BY n", h.add)
	return []any{map[string]any{"quantiles": h.quantiles()}}, err
}

// histogram is how often each number occurs, from the smallest on.
type histogram struct {
	numbers, upTo []int64 // upTo: how many are this one or smaller
}

func (h *histogram) add(number, times int64) {
	h.numbers, h.upTo = append(h.numbers, number), append(h.upTo, h.total()+times)
}

func (h *histogram) total() int64 {
	if len(h.upTo) == 0 {
		return 0
	}
	return h.upTo[len(h.upTo)-1]
}

// at is the number at a place of the sorted list, from 0 on.
func (h *histogram) at(place int64) float64 {
	for i, n := range h.upTo {
		if place < n {
			return float64(h.numbers[i])
		}
	}
	return math.NaN()
}

// quantiles are the numbers at 0 %, 5 %, … 100 %, between two of them in
// proportion, as percentile_cont of SQL has them; nil when there is none.
func (h *histogram) quantiles() []json.RawMessage {
	if h.total() == 0 {
		return nil
	}
	out := make([]json.RawMessage, 21)
	for i := range out {
		place := float64(i) / 20 * float64(h.total()-1)
		low, high := h.at(int64(math.Floor(place))), h.at(int64(math.Ceil(place)))
		out[i] = double(low + (place-math.Floor(place))*(high-low))
	}
	return out
}

// double writes a number with the fraction that upstream writes, if only .0.
func double(f float64) json.RawMessage {
	text := strconv.AppendFloat(nil, f, 'e', -1, 64)
	canonical, err := wireformat.Canonical(text)
	if err != nil { // no number
		return json.RawMessage("null")
	}
	return json.RawMessage(canonical)
}
