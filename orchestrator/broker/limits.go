package broker

import (
	"sync"
	"time"
)

// peer is what the sessions of one certname share: it is the one that is
// limited, however often it connects.
type peer struct {
	sessions int // guarded by Broker.mu

	mu     sync.Mutex // guards all below
	held   int64      // bytes of the budget
	tokens float64    // messages that it may send at once; negative: a debt
	at     time.Time  // of tokens
}

// charge takes the price of a message and tells how long to wait before the
// next one is read.
func (p *peer) charge(price float64, rate, burst int, now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tokens = min(float64(burst), p.tokens+max(0, now.Sub(p.at).Seconds())*float64(rate)) - price
	p.at = now
	if p.tokens >= 0 {
		return 0
	}
	return time.Duration(-p.tokens / float64(rate) * float64(time.Second))
}

// full tells whether nothing would be lost by forgetting the peer. A minute
// without sessions and messages is enough for that.
func (p *peer) full(now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.held == 0 && now.Sub(p.at) > time.Minute
}

// pace holds the reader back when its peer sends too much. The connection's
// own buffers then hold the peer back.
func (s *session) pace(bytes int) error {
	if s.b.gives(s.peer.Certname) {
		return nil
	}
	wait := s.limits.charge(1+float64(bytes)/(16<<10), s.b.cfg.Rate, s.b.cfg.Burst, s.b.cfg.Now())
	if wait == 0 {
		return nil
	}
	s.b.metrics.held.Inc()
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-s.ctx.Done():
		return errOver
	case <-timer.C:
		s.live() // it was us who did not listen
		return nil
	}
}

// take takes from the budget for a message that grows. It waits for others to
// give back, but no peer gets more than two messages' worth: one that is moved
// to a bigger buffer.
func (s *session) take(bytes int64) error {
	s.limits.mu.Lock()
	if s.limits.held+bytes > 2*s.b.cfg.MaxMessage {
		s.limits.mu.Unlock()
		return errHoarding
	}
	s.limits.held += bytes
	s.limits.mu.Unlock()
	if s.b.budget.Acquire(s.ctx, bytes) != nil {
		s.unhold(bytes)
		return errOver
	}
	return nil
}

// giveBack returns what take took.
func (s *session) giveBack(bytes int64) {
	if bytes == 0 {
		return
	}
	s.b.budget.Release(bytes)
	s.unhold(bytes)
}

func (s *session) unhold(bytes int64) {
	s.limits.mu.Lock()
	s.limits.held -= bytes
	s.limits.mu.Unlock()
}
