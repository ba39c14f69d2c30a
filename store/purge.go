package store

import (
	"context"
	"log/slog"
	"math"
)

// Deleting a node would hold the writer for long: its row goes at once, with
// its id noted in purged_node, and nobody sees its data any more. The data
// follows in small steps, also after a crash. Ids are never used again.

// purgeNodes deletes up to limit nodes (0: all) that have been dead for
// node-purge-ttl.
func (s *Store) purgeNodes(ctx context.Context, limit int) error {
	if s.cfg.NodePurgeTTL <= 0 {
		return nil
	}
	cut := ms(s.cfg.Now().Add(-s.cfg.NodePurgeTTL))
	if limit <= 0 {
		limit = math.MaxInt
	}
	ids, err := s.read(ctx, "SELECT id FROM node WHERE deactivated < ?1 OR expired < ?1 LIMIT ?2", cut, limit)
	if err != nil {
		return err
	}
	err = s.steps(ctx, PurgeNodes, func(w *writer, limit int) (done int64, err error) {
		for ; len(ids) > 0 && done < int64(limit); ids = ids[1:] {
			done++
			if _, err := s.detach(ctx, w, "SELECT id FROM node WHERE id = ?1 AND (deactivated < ?2 OR expired < ?2)", ids[0], cut); err != nil {
				return done, err
			}
		}
		return done, nil
	})
	if err != nil {
		return err
	}
	return s.finishPurging(ctx)
}

// DeleteNode deletes a node and everything about it. An unknown one is no error.
func (s *Store) DeleteNode(ctx context.Context, certname string) error {
	s.mu.Lock()
	err := s.writer.transaction(ctx, func() error {
		_, err := s.detach(ctx, s.writer, "SELECT id FROM node WHERE certname = ?1", certname)
		return err
	})
	s.mu.Unlock()
	if err != nil {
		return err
	}
	return s.finishPurging(ctx)
}

// detach deletes the rows of the nodes that a selection of ids finds.
func (s *Store) detach(ctx context.Context, w *writer, selection string, args ...any) (int64, error) {
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
		var certname string
		if _, err := w.row("DELETE FROM node WHERE id = ?1 RETURNING certname", []any{id}, &certname); err != nil {
			return 0, err
		}
		if err := w.exec("INSERT INTO purged_node (id) VALUES (?1)", id); err != nil {
			return 0, err
		}
		s.log.LogAttrs(ctx, slog.LevelInfo, "purged node", slog.String("certname", certname))
	}
	return int64(len(ids)), nil
}

// finishPurging deletes the data of all nodes in purged_node.
func (s *Store) finishPurging(ctx context.Context) error {
	ids, err := s.read(ctx, "SELECT id FROM purged_node")
	if err != nil {
		return err
	}
	for _, id := range ids {
		if err := s.deleteData(ctx, id); err != nil {
			return err
		}
	}
	return nil
}

// deleteData deletes everything that belongs to a node that is gone.
func (s *Store) deleteData(ctx context.Context, node int64) error {
	err := s.steps(ctx, "node_reports", func(w *writer, limit int) (int64, error) {
		return w.deleteReports("SELECT id FROM report WHERE node_id = ?1 LIMIT ?2", node, max(limit/16, 1))
	})
	if err != nil {
		return err
	}
	for _, statement := range []string{
		"DELETE FROM fact_leaf WHERE (node_id, path_id) IN (SELECT node_id, path_id FROM fact_leaf WHERE node_id = ?1 LIMIT ?2)",
		"DELETE FROM fact WHERE (node_id, name_id) IN (SELECT node_id, name_id FROM fact WHERE node_id = ?1 LIMIT ?2)",
		"DELETE FROM resource WHERE (node_id, ref_id) IN (SELECT node_id, ref_id FROM resource WHERE node_id = ?1 LIMIT ?2)",
		`DELETE FROM edge WHERE (node_id, source_id, target_id, relationship) IN
			(SELECT node_id, source_id, target_id, relationship FROM edge WHERE node_id = ?1 LIMIT ?2)`,
		"DELETE FROM node_package WHERE (node_id, package_id) IN (SELECT node_id, package_id FROM node_package WHERE node_id = ?1 LIMIT ?2)",
		"DELETE FROM catalog_input WHERE (node_id, type, name) IN (SELECT node_id, type, name FROM catalog_input WHERE node_id = ?1 LIMIT ?2)",
	} {
		err := s.steps(ctx, "node_data", func(w *writer, limit int) (int64, error) { return w.changed(statement, node, limit) })
		if err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.writer.transaction(ctx, func() error {
		for _, statement := range []string{
			"DELETE FROM factset WHERE node_id = ?1", "DELETE FROM catalog WHERE node_id = ?1", "DELETE FROM purged_node WHERE id = ?1",
		} {
			if err := s.writer.exec(statement, node); err != nil {
				return err
			}
		}
		return nil
	})
}
