package store

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Population is how much there is of what. Cached for a minute.
type Population struct {
	ActiveNodes, InactiveNodes, Resources int64
	ResourcesPerNode                      float64
	DuplicateResources                    float64 // share of resources that are equal to another's, 0 to 1
}

type populationCache struct {
	mu   sync.Mutex
	at   time.Time
	last Population
}

// Population counts nodes and resources.
func (s *Store) Population(ctx context.Context) (Population, error) {
	s.population.mu.Lock()
	defer s.population.mu.Unlock()
	if now := s.cfg.Now(); s.population.at.IsZero() || now.Sub(s.population.at) > time.Minute {
		var p Population
		var bodies int64
		err := s.ReadTx(ctx, func(ctx context.Context, conn *sql.Conn) error {
			return conn.QueryRowContext(ctx, `SELECT (SELECT count(*) FROM node WHERE deactivated IS NULL AND expired IS NULL),
				(SELECT count(*) FROM node WHERE deactivated IS NOT NULL OR expired IS NOT NULL),
				(SELECT count(*) FROM resource r JOIN node n ON n.id = r.node_id AND n.deactivated IS NULL AND n.expired IS NULL),
				(SELECT count(*) FROM resource_body)`).Scan(&p.ActiveNodes, &p.InactiveNodes, &p.Resources, &bodies)
		})
		if err != nil {
			return Population{}, fmt.Errorf("count the population: %w", err)
		}
		if p.ActiveNodes > 0 {
			p.ResourcesPerNode = float64(p.Resources) / float64(p.ActiveNodes)
		}
		if p.Resources > 0 {
			p.DuplicateResources = max(0, float64(p.Resources-bodies)/float64(p.Resources))
		}
		s.population.at, s.population.last = now, p
	}
	return s.population.last, nil
}

// SummaryStats describes the data by the keys that PuppetDB's summary-stats
// has (spec commands.md §7.4). Where PuppetDB shows PostgreSQL's statistics,
// rows and bytes stand instead.
func (s *Store) SummaryStats(ctx context.Context) (map[string]any, error) {
	stats := map[string]any{"index_usage": []any{}, "database_usage": s.db.Sizes(ctx)}
	err := s.ReadTx(ctx, func(ctx context.Context, conn *sql.Conn) error {
		usage := []map[string]any{}
		for _, table := range []string{"node", "factset", "fact", "fact_path", "fact_leaf", "catalog", "resource", "resource_ref",
			"resource_body", "edge", "report", "event", "package", "node_package", "catalog_input", "environment", "producer"} {
			var rows int64
			if err := conn.QueryRowContext(ctx, "SELECT count(*) FROM "+table).Scan(&rows); err != nil {
				return err
			}
			usage = append(usage, map[string]any{"relname": table, "n_live_tup": rows})
		}
		stats["table_usage"] = usage
		for _, shape := range []struct{ key, query string }{
			{"report_metric_size_dist", "SELECT length(metrics) FROM report_body"},
			{"report_log_size_dist", "SELECT length(logs) FROM report_body"},
			{"num_resources_per_node", "SELECT count(*) FROM resource GROUP BY node_id"},
			{"num_resources_per_file", "SELECT count(*) FROM resource WHERE file_id IS NOT NULL GROUP BY file_id"},
			{"num_distinct_edges_source_target", "SELECT count(*) FROM edge GROUP BY source_id, target_id"},
			{"file_resources_per_catalog", "SELECT count(*) FROM resource r JOIN resource_ref f ON f.id = r.ref_id WHERE f.type = 'File' GROUP BY r.node_id"},
			{"file_resources_per_catalog_with_source", `SELECT count(*) FROM resource r JOIN resource_ref f ON f.id = r.ref_id
				JOIN resource_body b ON b.id = r.body_id WHERE f.type = 'File' AND json_extract(b.parameters, '$.source') IS NOT NULL GROUP BY r.node_id`},
		} {
			numbers, err := column(ctx, conn, shape.query)
			if err != nil {
				return fmt.Errorf("%s: %w", shape.key, err)
			}
			stats[shape.key] = []map[string]any{{"quantiles": quantiles(numbers)}}
		}
		return s.moreStats(ctx, conn, stats)
	})
	if err != nil {
		return nil, fmt.Errorf("summary stats: %w", err)
	}
	return stats, nil
}

func (s *Store) moreStats(ctx context.Context, conn *sql.Conn, stats map[string]any) error {
	var active, inactive int64
	if err := conn.QueryRowContext(ctx, `SELECT count(*) FILTER (WHERE deactivated IS NULL AND expired IS NULL),
		count(*) FILTER (WHERE deactivated IS NOT NULL OR expired IS NOT NULL) FROM node`).Scan(&active, &inactive); err != nil {
		return err
	}
	stats["node_activity"] = []map[string]any{{"active": active, "inactive": inactive}}
	rows, err := conn.QueryContext(ctx, "SELECT depth, count(*) FROM fact_path GROUP BY depth ORDER BY depth")
	if err != nil {
		return err
	}
	defer rows.Close()
	depths := []map[string]any{}
	for rows.Next() {
		var depth, count int64
		if err := rows.Scan(&depth, &count); err != nil {
			return err
		}
		depths = append(depths, map[string]any{"depth": depth, "count": count})
	}
	stats["fact_path_counts_by_depth"] = depths
	return rows.Err()
}

func column(ctx context.Context, conn *sql.Conn, query string) ([]int64, error) {
	rows, err := conn.QueryContext(ctx, query)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var numbers []int64
	for rows.Next() {
		var n sql.NullInt64
		if err := rows.Scan(&n); err != nil {
			return nil, err
		}
		if n.Valid {
			numbers = append(numbers, n.Int64)
		}
	}
	return numbers, rows.Err()
}

// quantiles gives the smallest number, those at every 5 %, and the largest:
// 21 in all, or none.
func quantiles(numbers []int64) []int64 {
	if len(numbers) == 0 {
		return []int64{}
	}
	slices.Sort(numbers)
	out := make([]int64, 21)
	for i := range out {
		out[i] = numbers[(len(numbers)-1)*i/20]
	}
	return out
}
