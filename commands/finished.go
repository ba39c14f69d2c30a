package commands

import (
	"sync"
	"time"

	"github.com/google/uuid"
)

// finished remembers how the latest commands ended, for a time and up to a number.
type finished struct {
	mu    sync.Mutex
	keep  time.Duration
	ring  []Status // in order of their ends, from next on
	next  int
	index map[uuid.UUID]int // place in ring
}

func newFinished(keep time.Duration, count int) *finished {
	if keep < 0 {
		count = 0
	}
	return &finished{keep: keep, ring: make([]Status, 0, min(count, 1024)), next: 0, index: map[uuid.UUID]int{}}
}

func (f *finished) add(s Status, limit int) {
	if f.keep < 0 || limit <= 0 {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.ring) < limit {
		f.index[s.UUID] = len(f.ring)
		f.ring = append(f.ring, s)
		return
	}
	delete(f.index, f.ring[f.next].UUID)
	f.ring[f.next] = s
	f.index[s.UUID] = f.next
	f.next = (f.next + 1) % limit
}

func (f *finished) get(id uuid.UUID, now time.Time) (Status, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	at, ok := f.index[id]
	if !ok || f.ring[at].Finished != nil && now.Sub(f.ring[at].Finished.Time) > f.keep {
		return Status{}, false
	}
	return f.ring[at], true
}
