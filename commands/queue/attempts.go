package queue

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strconv"
	"time"
)

// Attempt is one try of a command that failed.
type Attempt struct {
	At    time.Time `json:"at"`
	Error string    `json:"error"`
}

// SaveAttempts keeps what has been tried, in place of what was kept before.
// It survives the end of the process; a crash of the machine may bring back an
// earlier list, or none.
func (q *Queue) SaveAttempts(e Entry, list []Attempt) error {
	if err := q.begin(); err != nil {
		return err
	}
	defer q.running.Done()
	text, err := json.Marshal(list)
	if err != nil {
		return fmt.Errorf("encode attempts: %w", err)
	}
	path := q.attemptsPath(e)
	if err := q.writeTmp(path+".tmp", text); err != nil {
		var d *DiskError
		errors.As(err, &d)
		return q.fail(d.Op, d.Err)
	}
	// Known before it is there: forgetting one too many is harmless.
	q.mu.Lock()
	q.attempted[tryOf(e)] = struct{}{}
	q.mu.Unlock()
	if err := q.cfg.FS.Replace(path+".tmp", path); err != nil {
		q.discard(path + ".tmp")
		return q.fail(opMove, err)
	}
	return nil
}

// Attempts reads what SaveAttempts kept; nil when there is nothing.
func (q *Queue) Attempts(e Entry) ([]Attempt, error) {
	q.mu.Lock()
	_, has := q.attempted[tryOf(e)]
	q.mu.Unlock()
	if !has {
		return nil, nil
	}
	f, err := q.cfg.FS.Open(q.attemptsPath(e))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("open attempts: %w", err)
	}
	defer f.Close() // read only: nothing to lose
	text, err := io.ReadAll(f)
	if err != nil {
		return nil, fmt.Errorf("read attempts: %w", err)
	}
	var list []Attempt
	if err := json.Unmarshal(text, &list); err != nil {
		return nil, fmt.Errorf("read attempts of command %d: %w", e.ID, err)
	}
	return list, nil
}

// tried names a command among the attempts. The id alone would not do: one
// that is free at a start is given again, and two spools may have been merged.
type tried struct {
	id       uint64
	received int64 // milliseconds
}

func tryOf(e Entry) tried { return tried{e.ID, e.Meta.Received.UnixMilli()} }

func (t tried) fileName() string {
	return strconv.FormatUint(t.id, 10) + "-" + strconv.FormatInt(t.received, 10) + ".json"
}

func (q *Queue) attemptsPath(e Entry) string {
	return filepath.Join(q.tries, tryOf(e).fileName())
}

// forgetAttempts deletes the attempts of a command that has left the queue.
// What it cannot delete, the next Open does.
func (q *Queue) forgetAttempts(e Entry) {
	q.mu.Lock()
	_, has := q.attempted[tryOf(e)]
	delete(q.attempted, tryOf(e))
	q.mu.Unlock()
	if has {
		q.discard(q.attemptsPath(e))
	}
}

// listAttempts learns which commands have attempts and deletes the lists of
// those that are gone.
func (q *Queue) listAttempts(entries []Entry) error {
	names, err := q.cfg.FS.ReadDir(q.tries)
	if err != nil {
		return fmt.Errorf("list attempts: %w", err)
	}
	if len(names) == 0 {
		return nil
	}
	queued := make(map[string]tried, len(entries))
	for _, e := range entries {
		t := tryOf(e)
		queued[t.fileName()] = t
	}
	for _, name := range names {
		if t, ok := queued[name]; ok {
			q.attempted[t] = struct{}{}
			continue
		}
		q.discard(filepath.Join(q.tries, name))
	}
	return nil
}
