package dlo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"dalang/commands/queue"
)

// What the office answers for letters it cannot give.
var (
	// ErrNotFound: no such letter, or it has gone.
	ErrNotFound = errors.New("no such letter in the dead letter office")
	// ErrBusy: somebody else works with this letter right now.
	ErrBusy = errors.New("the letter is being worked with")
)

// AmbiguousError says that the beginning of a uuid fits several letters.
type AmbiguousError struct {
	ID      string
	Matches []uuid.UUID // the first few
}

func (e *AmbiguousError) Error() string {
	list := make([]string, len(e.Matches))
	for i, u := range e.Matches {
		list[i] = u.String()
	}
	return fmt.Sprintf("%q begins several letters: %s", e.ID, strings.Join(list, ", "))
}

// Office is the dead letter office of one data directory, which it has to
// itself: who opens it holds the queue's lock. Methods may be called from many
// goroutines.
type Office struct {
	cfg     Config
	metrics *metrics
	tmp     atomic.Uint64 // makes tmp names differ
	// settled wakes Run after a letter came in.
	settled    chan struct{}
	successors *successors // of letters that were replayed

	loading sync.Mutex // held by whoever reads diagnoses; taken before mu

	mu     sync.Mutex // guards what follows; held for moments, never over the disk
	order  []*letter  // sorted by byAcceptance
	byUUID map[uuid.UUID]*letter
	unread int   // letters whose diagnosis has not been read
	bytes  int64 // of all bodies that have been read and are not imported
}

// add takes a letter into the index. One of the same place is replaced.
func (o *Office) add(l *letter) {
	o.mu.Lock()
	defer o.mu.Unlock()
	i, found := slices.BinarySearchFunc(o.order, l, byAcceptance)
	if found {
		o.forget(o.order[i])
		o.order[i] = l
	} else {
		o.order = slices.Insert(o.order, i, l)
	}
	o.remember(l)
}

// drop takes a letter out of the index.
func (o *Office) drop(l *letter) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if i, found := slices.BinarySearchFunc(o.order, l, byAcceptance); found && o.order[i] == l {
		o.order = slices.Delete(o.order, i, i+1)
		o.forget(l)
	}
}

// renote replaces what is known of a letter; with unread, only when nothing is.
func (o *Office) renote(l *letter, d Diagnosis, unread bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if unread && l.read {
		return
	}
	if i, found := slices.BinarySearchFunc(o.order, l, byAcceptance); !found || o.order[i] != l {
		return // gone meanwhile
	}
	o.forget(l)
	l.note(d)
	o.remember(l)
}

// remember counts a letter of o.order; forget undoes it. Both under mu.
func (o *Office) remember(l *letter) {
	o.byUUID[l.uuid] = l
	o.count(l, 1)
}

func (o *Office) forget(l *letter) {
	if o.byUUID[l.uuid] == l {
		delete(o.byUUID, l.uuid)
	}
	o.count(l, -1)
}

func (o *Office) count(l *letter, n int) {
	o.metrics.count(l.meta.Command, l.cause, n, int64(n)*l.size)
	if !l.read {
		o.unread += n
	}
	if !l.imported {
		o.bytes += int64(n) * l.size
	}
}

// claim finds a letter and takes it for the caller alone, who must release it.
// id is a uuid, the name of the body file, or the beginning of a uuid.
func (o *Office) claim(id string) (*letter, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	l, err := o.find(id)
	if err != nil {
		return nil, err
	}
	if l.busy {
		return nil, ErrBusy
	}
	l.busy = true
	return l, nil
}

// seize is claim for a letter that was found before.
func (o *Office) seize(l *letter) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if i, found := slices.BinarySearchFunc(o.order, l, byAcceptance); !found || o.order[i] != l {
		return ErrNotFound
	}
	if l.busy {
		return ErrBusy
	}
	l.busy = true
	return nil
}

func (o *Office) release(l *letter) {
	o.mu.Lock()
	l.busy = false
	o.mu.Unlock()
}

// minPrefix is how much of a uuid must be given.
const minPrefix = 4

// find looks a letter up; under mu.
func (o *Office) find(id string) (*letter, error) {
	if u, err := uuid.Parse(id); err == nil {
		if l, ok := o.byUUID[u]; ok {
			return l, nil
		}
	} else if _, _, err := queue.ParseName(id); err == nil {
		if l := o.findName(id); l != nil {
			return l, nil
		}
	} else if len(id) >= minPrefix {
		return o.findPrefix(strings.ToLower(id))
	} else {
		return nil, fmt.Errorf("%w: %q is too short for the beginning of a uuid", ErrNotFound, id)
	}
	return nil, fmt.Errorf("%w: %s", ErrNotFound, id)
}

func (o *Office) findName(name string) *letter {
	id, meta, err := queue.ParseName(name)
	if err != nil {
		return nil
	}
	for _, l := range o.order {
		if l.id == id && l.meta == meta {
			return l
		}
	}
	return nil
}

func (o *Office) findPrefix(prefix string) (*letter, error) {
	var found *letter
	var ambiguous *AmbiguousError
	for _, l := range o.order {
		if !strings.HasPrefix(l.uuid.String(), prefix) {
			continue
		}
		switch {
		case found == nil:
			found = l
		case ambiguous == nil:
			ambiguous = &AmbiguousError{prefix, []uuid.UUID{found.uuid, l.uuid}}
		case len(ambiguous.Matches) < 5:
			ambiguous.Matches = append(ambiguous.Matches, l.uuid)
		}
	}
	if ambiguous != nil {
		return nil, ambiguous
	}
	if found == nil {
		return nil, fmt.Errorf("%w: %s", ErrNotFound, prefix)
	}
	return found, nil
}

// Run enforces quota and retention until ctx ends. It returns nil then.
func (o *Office) Run(ctx context.Context) error {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	if err := o.load(ctx); err != nil {
		return nil // only ctx ends it
	}
	for {
		o.enforce(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		case <-o.settled:
		}
	}
}
