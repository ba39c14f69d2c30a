package dlo

import (
	"sync"

	"github.com/google/uuid"
)

// successors remember under which uuid letters were submitted again, the latest
// ones: whoever submitted the first time knows only the old uuid.
type successors struct {
	limit int

	mu   sync.Mutex // guards what follows
	next map[uuid.UUID]uuid.UUID
	ring []uuid.UUID // keys of next, in order of their replay, from at on
	at   int
}

func newSuccessors(limit int) *successors {
	return &successors{limit: max(limit, 0), next: map[uuid.UUID]uuid.UUID{}}
}

func (s *successors) add(old, as uuid.UUID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, again := s.next[old]; again || s.limit == 0 { // again: its removal failed the first time
		if again {
			s.next[old] = as
		}
		return
	}
	if len(s.ring) < s.limit {
		s.ring = append(s.ring, old)
	} else {
		delete(s.next, s.ring[s.at])
		s.ring[s.at] = old
		s.at = (s.at + 1) % s.limit
	}
	s.next[old] = as
}

// ReplayedAs tells under which uuid a letter was submitted again: the latest
// one, when that became a letter and was replayed too. It knows of the last
// Config.RememberReplayed letters since the start.
func (o *Office) ReplayedAs(id uuid.UUID) (uuid.UUID, bool) {
	s := o.successors
	s.mu.Lock()
	defer s.mu.Unlock()
	as, ok := s.next[id]
	for range len(s.next) {
		further, more := s.next[as]
		if !more {
			break
		}
		as = further
	}
	return as, ok
}
