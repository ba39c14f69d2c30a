package queue

import "sync"

// dirSyncer lets concurrent Puts share directory syncs: one sync makes every
// name durable that was made before it began.
type dirSyncer struct {
	do func() error // one sync of the directory

	turn sync.Mutex // held by whoever syncs; taken before mu
	mu   sync.Mutex // guards next
	next *syncRound // those that wait for the sync after the running one
}

// syncRound is one sync and its answer, valid when done; both are written and
// read under turn.
type syncRound struct {
	done bool
	err  error
}

// sync returns when a sync has ended that began after the call to sync.
func (s *dirSyncer) sync() error {
	s.mu.Lock()
	if s.next == nil {
		s.next = new(syncRound)
	}
	mine := s.next
	s.mu.Unlock()

	s.turn.Lock()
	defer s.turn.Unlock()
	if mine.done {
		return mine.err
	}
	// Nobody has begun this round, so it is still the next one. Closing it
	// before the sync sends those who come from now on to another.
	s.mu.Lock()
	s.next = nil
	s.mu.Unlock()
	mine.err = s.do()
	mine.done = true
	return mine.err
}
