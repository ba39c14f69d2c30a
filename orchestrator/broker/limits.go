package broker

import (
	"bufio"
	"bytes"
	"context"
	"net"
	"net/http"
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

// Prices, in messages.
const (
	connectPrice  = 20       // of a connection
	readPrice     = 1.0 / 32 // of one read from the network, however little it brings
	bytesPerToken = 64 << 10
)

// pace takes the price of something that the peer sent, and holds the reader
// back when the peer sends too much. The connection's own buffers then hold
// the peer back.
func (s *session) pace(price float64) error {
	if s.limits == nil || s.b.gives(s.peer.Certname) {
		return nil
	}
	wait := s.limits.charge(price, s.b.cfg.Rate, s.b.cfg.Burst, s.b.cfg.Now())
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

// pingReceived tells whether a ping is answered. The websocket has five seconds
// for a control frame; waits are nowhere near, as everything is paid at once.
func (s *session) pingReceived(context.Context, []byte) bool {
	s.live()
	return s.pace(1) == nil
}

// hijacker has a session's connection paid for by the byte, below websockets
// and above TLS: frames of any kind and size count.
type hijacker struct {
	http.ResponseWriter
	s *session
}

// buffer is the size of a session's two buffers. Most sessions are idle, and
// what is larger goes past them.
const buffer = 1 << 10

// Hijack is http.Hijacker's. The server's own buffers, four times as large, are
// let go.
func (h *hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffers, err := http.NewResponseController(h.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	h.s.raw = conn
	if err := buffers.Flush(); err != nil {
		return conn, buffers, err
	}
	early, err := buffers.Peek(buffers.Reader.Buffered())
	if err != nil {
		return conn, buffers, err
	}
	p := &paid{Conn: conn, s: h.s, early: bytes.Clone(early)}
	return p, bufio.NewReadWriter(bufio.NewReaderSize(p, buffer), bufio.NewWriterSize(p, buffer)), nil
}

// paid is a connection whose peer pays for what it sends.
type paid struct {
	net.Conn
	s     *session
	early []byte // what the peer sent behind its request
}

func (p *paid) Read(into []byte) (int, error) {
	if len(p.early) > 0 {
		n := copy(into, p.early)
		p.early = p.early[n:]
		return n, nil
	}
	n, err := p.Conn.Read(into)
	_ = p.s.pace(readPrice + float64(n)/bytesPerToken) // an error: the session is over, and the reader finds out
	return n, err
}

// take takes from the budget for a message that grows. It waits for others to
// give back, though not for ever: many that wait for each other's shares would
// go on waiting.
func (s *session) take(bytes int64) error {
	s.limits.mu.Lock()
	if s.limits.held+bytes > s.b.cfg.share() {
		s.limits.mu.Unlock()
		return errHoarding
	}
	s.limits.held += bytes
	s.limits.mu.Unlock()
	ctx, cancel := context.WithTimeout(s.ctx, s.b.cfg.Grace)
	defer cancel()
	if s.b.budget.Acquire(ctx, bytes) == nil {
		return nil
	}
	s.unhold(bytes)
	if s.ctx.Err() != nil {
		return errOver
	}
	return errCrowded
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
