package store

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"

	"dalang/orchestrator/job"
)

// count adds the changes of the batch to the jobs' counts.
func (m *mover) count() error {
	for _, id := range m.touched {
		d := m.deltas[id]
		changed := false
		for _, n := range d {
			changed = changed || n != 0
		}
		if !changed {
			continue
		}
		if err := m.exec(`UPDATE job SET nodes_new = nodes_new + ?2, nodes_ready = nodes_ready + ?3, nodes_running = nodes_running + ?4,
			nodes_finished = nodes_finished + ?5, nodes_failed = nodes_failed + ?6, nodes_errored = nodes_errored + ?7,
			nodes_skipped = nodes_skipped + ?8, nodes_stopped = nodes_stopped + ?9 WHERE id = ?1`,
			id, d[job.New], d[job.Ready], d[job.Running], d[job.Finished], d[job.Failed], d[job.Errored], d[job.Skipped], d[job.Stopped]); err != nil {
			return err
		}
	}
	return nil
}

// standing reads a job's state and counts; found is false for a job that is gone.
func (m *mover) standing(id int64) (state job.State, counts job.Counts, found bool, err error) {
	n := make([]int, len(job.NodeStates()))
	dest := []any{&state}
	for i := range n {
		dest = append(dest, &n[i])
	}
	found, err = m.row(`SELECT state, nodes_new, nodes_ready, nodes_running, nodes_finished, nodes_failed, nodes_errored,
		nodes_skipped, nodes_stopped FROM job WHERE id = ?1`, []any{id}, dest...)
	return state, countsOf(n), found, err
}

// countsOf takes numbers in the order of job.NodeStates.
func countsOf(n []int) job.Counts {
	counts := job.Counts{}
	for i, s := range job.NodeStates() {
		if n[i] != 0 {
			counts[s] = n[i]
		}
	}
	return counts
}

func (m *mover) stop(id int64) error {
	state, _, found, err := m.standing(id)
	if err != nil || !found || state.Terminal() || state == job.Stopping {
		return err
	}
	return m.job(id, state, job.Stopping, job.JobStopping, "Stopping job "+strconv.FormatInt(id, 10))
}

func (m *mover) abort(a job.Abort) error {
	state, _, found, err := m.standing(a.JobID)
	if err != nil || !found || state.Terminal() {
		return err
	}
	return m.job(a.JobID, state, job.Failed, job.JobAborted, fmt.Sprintf("Aborted job %d: %s", a.JobID, a.Why))
}

// settle moves a job on as its nodes allow, and notes where it stands.
func (m *mover) settle(id int64) error {
	state, counts, found, err := m.standing(id)
	if err != nil || !found {
		return err
	}
	for next := job.Settle(state, counts); next != state; next = job.Settle(state, counts) {
		if err := m.job(id, state, next, job.JobEvent(state, next), "Job "+strconv.FormatInt(id, 10)+" "+string(next)); err != nil {
			return err
		}
		state = next
	}
	m.applied.Jobs[id] = job.Standing{State: state, Nodes: counts, Moved: slices.Clone(m.moved[id])}
	return nil
}

// job moves a job, which is in state from in this transaction.
func (m *mover) job(id int64, from, to job.State, event, message string) error {
	if !job.Allowed(job.OfJob, from, to, event) {
		return fmt.Errorf("job %d: no move from %s to %s with event %q", id, from, to, event)
	}
	happened, err := m.changed(`UPDATE job SET state = ?3, changed = ?4, started = CASE WHEN ?3 = 'running' THEN ?4 ELSE started END,
		finished = CASE WHEN ?5 THEN ?4 END WHERE id = ?1 AND state = ?2`, id, from, to, m.at, to.Terminal())
	if err != nil {
		return err
	}
	if happened == 0 {
		return fmt.Errorf("job %d has left %s within the transaction", id, from)
	}
	m.moved[id] = append(m.moved[id], to)
	if to.Terminal() {
		if err := m.exec("DELETE FROM job_secret WHERE job_id = ?1", id); err != nil {
			return err
		}
	}
	if err := m.exec("UPDATE job_span SET exited = ?2 WHERE job_id = ?1 AND exited IS NULL", id, m.at); err != nil {
		return err
	}
	if err := m.exec(`INSERT INTO job_span (job_id, seq, state, entered)
		SELECT ?1, coalesce(max(seq), -1) + 1, ?2, ?3 FROM job_span WHERE job_id = ?1`, id, to, m.at); err != nil {
		return err
	}
	if event == "" {
		return nil
	}
	_, err = m.event(id, event, "", map[string]any{"state": to, "job": strconv.FormatInt(id, 10)}, message)
	return err
}

// object is the column of a JSON object; nil is an empty one.
func object(text json.RawMessage) string {
	if len(text) == 0 {
		return "{}"
	}
	return string(text)
}

func rawOrNull(text json.RawMessage) any {
	if text == nil {
		return nil
	}
	return string(text)
}

// orNull is NULL for a zero value.
func orNull[T comparable](v T) any {
	var zero T
	if v == zero {
		return nil
	}
	return v
}

func timeOrNull(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return ms(t)
}

func uuidOrNull(id uuid.UUID) any {
	if id == uuid.Nil {
		return nil
	}
	return id.String()
}
