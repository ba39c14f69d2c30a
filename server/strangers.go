package server

import (
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"
)

// strangers holds addresses back whose TLS handshakes come to nothing. A
// handshake is the most that anybody can have us do without a certificate: some
// milliseconds of a processor. One that no request followed counts against its
// address. Once that has used up what it may have, its handshakes wait for their
// turn. Who is connected does not notice, and who sends requests never waits.
type strangers struct {
	limit  rate.Limit // handshakes without a request, a second, of one address
	burst  int        // and at once
	wait   time.Duration
	now    func() time.Time
	logger *slog.Logger
	late   prometheus.Counter // handshakes that waited
	gone   prometheus.Counter // handshakes that were refused

	mu      sync.Mutex // guards all below
	known   map[netip.Prefix]*stranger
	pending map[net.Conn]*stranger // has begun a handshake, and sent no request yet
	swept   time.Time
}

type stranger struct {
	*rate.Limiter
	warned time.Time // guarded by strangers.mu
}

// longestTurn is how long a handshake waits for its turn at most.
const longestTurn = 5 * time.Second

var errStranger = errors.New("server: too many handshakes that no request followed")

// newStrangers limits an address to so many handshakes without a request a
// second, ten times as many at once. Nil: no limit.
func newStrangers(perSecond int, now func() time.Time, logger *slog.Logger, m *metrics) *strangers {
	if perSecond <= 0 {
		return nil
	}
	return &strangers{
		limit: rate.Limit(perSecond), burst: 10 * perSecond, wait: longestTurn, now: now, logger: logger,
		late: m.handshakes.WithLabelValues("late"), gone: m.handshakes.WithLabelValues("refused"),
		known: map[netip.Prefix]*stranger{}, pending: map[net.Conn]*stranger{}, swept: now(),
	}
}

// greet is called when a handshake begins, before anything expensive is done
// for it. It may wait. An error ends the handshake.
func (s *strangers) greet(hello *tls.ClientHelloInfo) error {
	if s == nil {
		return nil
	}
	from, ok := network(hello.Conn.RemoteAddr())
	if !ok {
		return nil
	}
	now := s.now()
	who := s.meet(from, now)
	if who.TokensAt(now) >= 1 {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.pending[hello.Conn] = who
		return nil
	}
	turn := who.ReserveN(now, 1) // paid for now: it does not count again when it ends
	delay := turn.DelayFrom(now)
	if delay > s.wait {
		turn.CancelAt(now)
		s.refuse(who, from, now)
		return errStranger
	}
	s.late.Inc()
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-hello.Context().Done():
		return hello.Context().Err()
	case <-timer.C:
		return nil
	}
}

// meet finds what is known of an address.
func (s *strangers) meet(from netip.Prefix, now time.Time) *stranger {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.Sub(s.swept) > time.Minute {
		s.swept = now
		for address, who := range s.known {
			if who.TokensAt(now) >= float64(s.burst) {
				delete(s.known, address)
			}
		}
	}
	who := s.known[from]
	if who == nil {
		who = &stranger{Limiter: rate.NewLimiter(s.limit, s.burst)}
		s.known[from] = who
	}
	return who
}

func (s *strangers) refuse(who *stranger, from netip.Prefix, now time.Time) {
	s.gone.Inc()
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.Sub(who.warned) < time.Minute {
		return
	}
	who.warned = now
	s.logger.Warn("an address begins TLS connections and sends no requests; refusing some", "remote", from.String())
}

// follow is http.Server.ConnState.
func (s *strangers) follow(c net.Conn, state http.ConnState) {
	encrypted, ok := c.(*tls.Conn)
	if s == nil || !ok || state == http.StateNew {
		return
	}
	c = encrypted.NetConn()
	s.mu.Lock()
	who := s.pending[c]
	delete(s.pending, c)
	s.mu.Unlock()
	if who != nil && state == http.StateClosed {
		who.AllowN(s.now(), 1)
	}
}

// Refused counts a connection against its address that another protocol has
// taken over and turned away (broker.Config.Refused).
func Refused(r *http.Request) {
	l := listenerOf(r)
	if l == nil || l.tls == nil || l.tls.strangers == nil {
		return
	}
	s := l.tls.strangers
	address, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return
	}
	if from, ok := network(net.TCPAddrFromAddrPort(address)); ok {
		now := s.now()
		s.meet(from, now).AllowN(now, 1)
	}
}

// network is what somebody has for himself: an IPv4 address, or 64 bits of an
// IPv6 address.
func network(a net.Addr) (netip.Prefix, bool) {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.Prefix{}, false
	}
	ip := tcp.AddrPort().Addr().Unmap()
	bits := 32
	if ip.Is6() {
		bits = 64
	}
	p, err := ip.WithZone("").Prefix(bits)
	return p, err == nil
}
