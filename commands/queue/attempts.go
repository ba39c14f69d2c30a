package queue

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
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
	path := q.attemptsPath(e.ID)
	if err := q.writeTmp(path+".tmp", text); err != nil {
		var d *DiskError
		errors.As(err, &d)
		return q.fail(d.Op, d.Err)
	}
	// Known before it is there: forgetting one too many is harmless.
	q.mu.Lock()
	q.attempted[e.ID] = struct{}{}
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
	_, has := q.attempted[e.ID]
	q.mu.Unlock()
	if !has {
		return nil, nil
	}
	f, err := q.cfg.FS.Open(q.attemptsPath(e.ID))
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

func (q *Queue) attemptsPath(id uint64) string {
	return filepath.Join(q.tries, strconv.FormatUint(id, 10)+".json")
}

// forgetAttempts deletes the attempts of a command that has left the queue.
// What it cannot delete, the next Open does.
func (q *Queue) forgetAttempts(id uint64) {
	q.mu.Lock()
	_, has := q.attempted[id]
	delete(q.attempted, id)
	q.mu.Unlock()
	if has {
		q.discard(q.attemptsPath(id))
	}
}

// listAttempts learns which commands have attempts and deletes the lists of
// those that are gone: their ids may be given again.
func (q *Queue) listAttempts(entries []Entry) error {
	names, err := q.cfg.FS.ReadDir(q.tries)
	if err != nil {
		return fmt.Errorf("list attempts: %w", err)
	}
	if len(names) == 0 {
		return nil
	}
	queued := make(map[uint64]struct{}, len(entries))
	for _, e := range entries {
		queued[e.ID] = struct{}{}
	}
	for _, name := range names {
		stem, ok := strings.CutSuffix(name, ".json")
		id, err := strconv.ParseUint(stem, 10, 63)
		if _, has := queued[id]; ok && err == nil && has {
			q.attempted[id] = struct{}{}
			continue
		}
		q.discard(filepath.Join(q.tries, name))
	}
	return nil
}
