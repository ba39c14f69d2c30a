package store

import (
	"context"
	"time"
)

// PruneJobs deletes jobs that ended before a time, with all that is theirs,
// and finishes prunings that a crash cut short. A job's row goes at once; the
// rest follows in steps, with other writers in between. It gives the number of
// jobs whose rows it deleted.
func (s *Store) PruneJobs(ctx context.Context, before time.Time) (pruned int64, err error) {
	err = s.steps(ctx, pruneJobs, func(w *writer, limit int) (int64, error) {
		if err := w.exec("INSERT INTO pruned_job (id) SELECT id FROM job WHERE finished < ?1 ORDER BY id LIMIT ?2", ms(before), limit); err != nil {
			return 0, err
		}
		n, err := w.changed("DELETE FROM job WHERE id IN (SELECT id FROM pruned_job)")
		pruned += n
		return n, err
	})
	if err != nil {
		return pruned, err
	}
	return pruned, s.steps(ctx, pruneJobs, func(w *writer, limit int) (int64, error) {
		var id int64
		found, err := w.row("SELECT id FROM pruned_job LIMIT 1", nil, &id)
		if err != nil || !found {
			return 0, err
		}
		for _, statement := range []string{
			"DELETE FROM job_event WHERE id IN (SELECT id FROM job_event WHERE job_id = ?1 LIMIT ?2)",
			"DELETE FROM job_node WHERE id IN (SELECT id FROM job_node WHERE job_id = ?1 LIMIT ?2)",
			"DELETE FROM job_edge WHERE (job_id, certname, needs) IN (SELECT job_id, certname, needs FROM job_edge WHERE job_id = ?1 LIMIT ?2)",
			"DELETE FROM job_span WHERE (job_id, seq) IN (SELECT job_id, seq FROM job_span WHERE job_id = ?1 LIMIT ?2)",
		} {
			if n, err := w.changed(statement, id, limit); n > 0 || err != nil {
				return n, err
			}
		}
		return w.changed("DELETE FROM pruned_job WHERE id = ?1", id)
	})
}

const pruneJobs = "prune_jobs"
