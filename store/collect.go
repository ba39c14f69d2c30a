package store

import (
	"context"
	"fmt"
)

// collectable is a dictionary whose unused rows are garbage.
type collectable struct {
	names  func(n names) *dictionary
	unused string // selects the ids that nothing refers to, at most ?1
	remove string // deletes one row by its id
}

// maxCollected bounds the ids of one run; the next one goes on.
const maxCollected = 200_000

// collectables are the dictionaries that a kind of cleanup looks at.
func collectables(op string) []collectable {
	switch op {
	case GCPackages:
		return []collectable{{func(n names) *dictionary { return n.pkg },
			"SELECT id FROM package p WHERE NOT EXISTS (SELECT 1 FROM node_package WHERE package_id = p.id) LIMIT ?1",
			"DELETE FROM package WHERE id = ?1"}}
	case GCFactPaths:
		return []collectable{
			{func(n names) *dictionary { return n.factPath },
				"SELECT id FROM fact_path p WHERE NOT EXISTS (SELECT 1 FROM fact_leaf WHERE path_id = p.id) LIMIT ?1",
				"DELETE FROM fact_path WHERE id = ?1"},
			{func(n names) *dictionary { return n.factName },
				`SELECT id FROM fact_name n WHERE NOT EXISTS (SELECT 1 FROM fact WHERE name_id = n.id)
					AND NOT EXISTS (SELECT 1 FROM fact_path WHERE name_id = n.id) LIMIT ?1`,
				"DELETE FROM fact_name WHERE id = ?1"},
		}
	case Other:
		return []collectable{{func(n names) *dictionary { return n.environment },
			`SELECT id FROM environment EXCEPT SELECT environment_id FROM factset EXCEPT SELECT environment_id FROM catalog
				EXCEPT SELECT environment_id FROM report EXCEPT SELECT facts_environment_id FROM node
				EXCEPT SELECT catalog_environment_id FROM node EXCEPT SELECT report_environment_id FROM node LIMIT ?1`,
			"DELETE FROM environment WHERE id = ?1"}}
	case GCCatalogs:
		return []collectable{
			{func(n names) *dictionary { return n.body },
				"SELECT id FROM resource_body b WHERE NOT EXISTS (SELECT 1 FROM resource WHERE body_id = b.id) LIMIT ?1",
				"DELETE FROM resource_body WHERE id = ?1"},
			{func(n names) *dictionary { return n.ref },
				`SELECT id FROM resource_ref r WHERE NOT EXISTS (SELECT 1 FROM resource WHERE ref_id = r.id)
					AND NOT EXISTS (SELECT 1 FROM event WHERE ref_id = r.id) LIMIT ?1`,
				"DELETE FROM resource_ref WHERE id = ?1"},
			{func(n names) *dictionary { return n.tags },
				"SELECT id FROM resource_tags EXCEPT SELECT tags_id FROM resource LIMIT ?1", "DELETE FROM resource_tags WHERE id = ?1"},
			{func(n names) *dictionary { return n.file },
				"SELECT id FROM source_file EXCEPT SELECT file_id FROM resource EXCEPT SELECT file_id FROM event LIMIT ?1",
				"DELETE FROM source_file WHERE id = ?1"},
		}
	}
	return nil
}

// collect deletes unused dictionary rows. Which are unused is found out beside
// the writer, which may take some of them into use meanwhile: it notes those.
func (s *Store) collect(ctx context.Context, op string) error {
	if op == GCCatalogs {
		defer s.population.bodiesDeleted()
	}
	for _, c := range collectables(op) {
		if err := s.collectOne(ctx, op, c); err != nil {
			return fmt.Errorf("%s: %w", op, err)
		}
	}
	return nil
}

func (s *Store) collectOne(ctx context.Context, op string, c collectable) error {
	s.mu.Lock()
	dictionary := c.names(s.writer.names)
	dictionary.used = map[int64]bool{} // before the snapshot is taken
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		dictionary.used = nil
		s.mu.Unlock()
	}()
	ids, err := s.read(ctx, c.unused, maxCollected)
	if err != nil {
		return err
	}
	return s.steps(ctx, op, func(w *writer, limit int) (done int64, err error) {
		for ; len(ids) > 0 && done < int64(limit); ids = ids[1:] {
			done++
			if dictionary.used[ids[0]] {
				continue
			}
			if err := w.exec(c.remove, ids[0]); err != nil {
				return done, err
			}
		}
		clear(dictionary.ids) // none of the deleted may be remembered
		return done, nil
	})
}
