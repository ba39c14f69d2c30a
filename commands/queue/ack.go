package queue

import (
	"errors"
	"io/fs"
	"time"
)

// maxGone bounds how many files wait to be removed together.
const maxGone = 4096

// Ack forgets a command that has been dealt with. Its file is removed within
// Config.RemoveAfter. That is not synced: after a crash the command may come
// back once more, in its old place.
func (q *Queue) Ack(e Entry) error {
	if err := q.begin(); err != nil {
		return err
	}
	defer q.running.Done()
	if q.cfg.RemoveAfter <= 0 {
		return q.remove(e)
	}
	q.mu.Lock()
	q.gone = append(q.gone, e)
	n := len(q.gone)
	if n == 1 {
		q.removal = time.AfterFunc(q.cfg.RemoveAfter, q.removeGone)
	}
	q.mu.Unlock()
	if n >= maxGone {
		q.removeWaiting()
	}
	return nil
}

// removeGone is the timer's.
func (q *Queue) removeGone() {
	if q.begin() != nil {
		return // Close removes them
	}
	defer q.running.Done()
	q.removeWaiting()
}

// removeWaiting removes what waits for it. The disk's refusals are noted by
// remove: nothing is accepted after one.
func (q *Queue) removeWaiting() {
	q.mu.Lock()
	gone := q.gone
	q.gone = nil
	if q.removal != nil {
		q.removal.Stop()
	}
	q.mu.Unlock()
	for _, e := range gone {
		q.remove(e) // noted there; the command comes back at the next Open
	}
}

func (q *Queue) remove(e Entry) error {
	if err := q.cfg.FS.Remove(q.Path(e)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return q.fail(opRemove, err)
	}
	q.forgetAttempts(e)
	return nil
}
