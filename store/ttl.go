package store

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"time"
)

// What is due is looked for beside the writer, once: looking for it within the
// steps would read anew, in each of them, all the rows before the next that is
// due, and the latest reports of nodes that fell silent stay for ever. A step
// looks again whether its rows still are what was found.

// dayOf is the start of the UTC day that lies ttl before now.
func (s *Store) dayOf(ttl time.Duration) int64 {
	return ms(s.cfg.Now().UTC().Add(-ttl).Truncate(24 * time.Hour))
}

// purgeReports deletes reports older than report-ttl, by day; never a node's latest.
func (s *Store) purgeReports(ctx context.Context) error {
	cut := s.dayOf(s.cfg.ReportTTL)
	return s.eachFound(ctx, `SELECT id FROM report WHERE producer_timestamp < ?2
		AND NOT EXISTS (SELECT 1 FROM node WHERE node.latest_report_id = report.id) LIMIT ?1`, cut, func(ids []int64) error {
		return s.steps(ctx, PurgeReports, func(w *writer, limit int) (done int64, err error) {
			for limit = max(limit/16, 1); len(ids) > 0 && done < int64(limit); ids = ids[1:] {
				done++
				gone, err := w.changed(`DELETE FROM report WHERE id = ?1 AND producer_timestamp < ?2
					AND NOT EXISTS (SELECT 1 FROM node WHERE node.latest_report_id = report.id)`, ids[0], cut)
				if err != nil {
					return done, err
				}
				if gone == 0 {
					continue
				}
				if err := w.deleteReportData(ids[0]); err != nil {
					return done, err
				}
			}
			return done, nil
		})
	})
}

// deleteReportData deletes what belongs to a report.
func (w *writer) deleteReportData(id int64) error {
	if err := w.exec("DELETE FROM event WHERE report_id = ?1", id); err != nil {
		return err
	}
	return w.exec("DELETE FROM report_body WHERE report_id = ?1", id)
}

// deleteReports deletes the reports that a selection of ids finds.
func (w *writer) deleteReports(selection string, args ...any) (int64, error) {
	var ids []int64
	err := w.rows(selection, args, func(scan func(...any) error) error {
		var id int64
		err := scan(&id)
		ids = append(ids, id)
		return err
	})
	if err != nil {
		return 0, err
	}
	for _, id := range ids {
		if err := w.exec("DELETE FROM report WHERE id = ?1", id); err != nil {
			return 0, err
		}
		if err := w.deleteReportData(id); err != nil {
			return 0, err
		}
	}
	return int64(len(ids)), nil
}

// purgeEvents deletes events older than resource-events-ttl, by day, but
// leaves those of the latest reports.
func (s *Store) purgeEvents(ctx context.Context) error {
	cut := s.dayOf(min(s.cfg.ResourceEventsTTL, s.cfg.ReportTTL))
	return s.eachFound(ctx, `SELECT DISTINCT report_id FROM event WHERE timestamp < ?2
		AND NOT EXISTS (SELECT 1 FROM node WHERE node.latest_report_id = event.report_id) LIMIT ?1`, cut, func(reports []int64) error {
		return s.steps(ctx, PurgeResourceEvents, func(w *writer, limit int) (done int64, err error) {
			for left := int64(limit); len(reports) > 0 && left > 0; reports = reports[1:] {
				gone, err := w.changed(`DELETE FROM event WHERE (report_id, seq) IN (SELECT report_id, seq FROM event
					WHERE report_id = ?1 AND timestamp < ?2
					AND NOT EXISTS (SELECT 1 FROM node WHERE node.latest_report_id = ?1) LIMIT ?3)`, reports[0], cut, left)
				if err != nil {
					return done, err
				}
				done += max(gone, 1) // whoever looked at a report has done something
				if left -= gone; left <= 0 {
					break // it may have more
				}
			}
			return done, nil
		})
	})
}

// silent is true of nodes that have been silent since ?2 and may expire. Spec §7.1.
const silent = `deactivated IS NULL AND expired IS NULL
	AND coalesce(facts_producer_timestamp < ?2, 1) AND coalesce(catalog_producer_timestamp < ?2, 1)
	AND coalesce(report_producer_timestamp < ?2, 1) AND coalesce(inputs_timestamp < ?2, 1)
	AND (expires_facts IS NULL OR expires_facts = 1 AND expires_facts_updated < ?2)`

// expireNodes marks nodes that have been silent for node-ttl.
func (s *Store) expireNodes(ctx context.Context) error {
	if s.cfg.NodeTTL <= 0 {
		return nil
	}
	now := s.cfg.Now()
	cut := ms(now.Add(-s.cfg.NodeTTL))
	return s.eachFound(ctx, "SELECT id FROM node WHERE "+silent+" LIMIT ?1", cut, func(ids []int64) error {
		return s.steps(ctx, ExpireNodes, func(w *writer, limit int) (done int64, err error) {
			for ; len(ids) > 0 && done < int64(limit); ids = ids[1:] {
				done++
				var certname string
				found, err := w.row("UPDATE node SET expired = ?1 WHERE id = ?3 AND "+silent+" RETURNING certname", []any{ms(now), cut, ids[0]}, &certname)
				if err != nil {
					return done, err
				}
				if found {
					s.log.LogAttrs(ctx, slog.LevelInfo, "auto-expired node", slog.String("certname", certname))
				}
			}
			return done, nil
		})
	})
}

// maxFound bounds the ids that a cleanup keeps in memory.
const maxFound = 200_000

// eachFound reads the ids that a selection finds, beside the writer, and hands
// them to use, until there are no more. ?1 of the selection is how many it may
// find, ?2 is cut.
func (s *Store) eachFound(ctx context.Context, selection string, cut int64, use func(ids []int64) error) error {
	for {
		ids, err := s.read(ctx, selection, maxFound, cut)
		if err != nil {
			return fmt.Errorf("look for what is due: %w", err)
		}
		if err := use(ids); err != nil || len(ids) < maxFound {
			return err
		}
	}
}

// read runs a query of one column of ids beside the writer.
func (s *Store) read(ctx context.Context, text string, args ...any) ([]int64, error) {
	var ids []int64
	err := s.ReadTx(ctx, func(ctx context.Context, conn *sql.Conn) error {
		rows, err := conn.QueryContext(ctx, text, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var id int64
			if err := rows.Scan(&id); err != nil {
				return err
			}
			ids = append(ids, id)
		}
		return rows.Err()
	})
	return ids, err
}
