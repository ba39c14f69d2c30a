package broker

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"

	"dalang/orchestrator/pcp"
)

// session is one connection. run reads; write lives while queue holds something.
type session struct {
	b       *Broker
	version pcp.Version
	peer    pcp.URI
	uri     string // of peer
	chains  [][]*x509.Certificate
	remote  string
	own     bool // Entry.Own
	since   time.Time
	expires time.Time // the certificate; zero: never
	conn    *websocket.Conn
	raw     net.Conn        // below conn
	limits  *peer           // shared with other sessions of the certname; nil before enter
	ctx     context.Context // ends when the session does
	cancel  context.CancelFunc

	last   atomic.Int64 // when the peer was heard, Unix nanoseconds
	pinged time.Time    // of the broker's loop alone

	mu     sync.Mutex // guards all below
	closed bool       // nothing is queued any more
	busy   bool       // write runs
	queue  [][]byte
	queued int    // bytes in queue
	finale func() // called when the queue has been written
}

func newSession(b *Broker, v pcp.Version, peer pcp.URI, chains [][]*x509.Certificate, remote string) *session {
	now := b.cfg.Now()
	s := &session{b: b, version: v, peer: peer, uri: peer.String(), chains: chains, remote: remote, since: now}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.last.Store(now.UnixNano())
	if len(chains) > 0 {
		s.expires = chains[0][0].NotAfter
	}
	return s
}

func (s *session) entry() Entry { return Entry{s.peer, s.version, s.since, s.remote, s.own} }

func (s *session) live()            { s.last.Store(s.b.cfg.Now().UnixNano()) }
func (s *session) heard() time.Time { return time.Unix(0, s.last.Load()) }

// run reads messages until the connection ends. A panic is a fault of ours in
// what one peer sent: it ends the session, not the server.
func (s *session) run() {
	defer s.b.work.Done()
	defer s.b.leave(s)
	defer func() {
		if p := recover(); p != nil {
			s.b.cfg.Logger.Error("a session panicked", "uri", s.uri, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			s.shut(websocket.StatusInternalError, "An unexpected error occurred.", "panic")
		}
	}()
	s.conn.SetReadLimit(s.b.cfg.MaxMessage)
	for {
		err := s.readOne()
		if err == nil {
			continue
		}
		s.shut(closeCode(err), "", reasonLabel(err))
		s.b.cfg.Logger.Info("a peer is gone", "uri", s.uri, "reason", err.Error())
		return
	}
}

// closeCode matters only if the peer is still there: it sent what is no frame,
// or too much.
func closeCode(err error) websocket.StatusCode {
	switch {
	case errors.Is(err, errHoarding):
		return websocket.StatusMessageTooBig
	case errors.Is(err, errCrowded):
		return websocket.StatusTryAgainLater
	}
	return websocket.StatusProtocolError
}

func reasonLabel(err error) string {
	switch {
	case errors.Is(err, errHoarding), errors.Is(err, errCrowded), errors.Is(err, websocket.ErrMessageTooBig):
		return "size"
	case websocket.CloseStatus(err) != -1:
		return "peer"
	}
	return "lost"
}

// readOne reads and handles one message.
func (s *session) readOne() error {
	kind, r, err := s.conn.Reader(context.Background())
	if err != nil {
		return err
	}
	s.live()
	frame, held, err := s.collect(r)
	defer s.giveBack(held)
	if err != nil {
		return err
	}
	if s.ctx.Err() != nil {
		return errOver
	}
	s.b.metrics.receivedBytes.Add(float64(len(frame)))
	s.b.handle(s, kind, frame)
	return s.pace(1)
}

// shut ends the session with a close frame, where the peer still reads. It does
// not wait. Only the first call of shut and drop counts.
func (s *session) shut(code websocket.StatusCode, reason, label string) {
	s.end(label, func() { _ = s.conn.Close(code, reason) }) // it is gone either way
}

// shutAfterQueue is shut once everything that waits has been written. Nothing
// may be queued afterwards.
func (s *session) shutAfterQueue(code websocket.StatusCode, reason, label string) {
	s.mu.Lock()
	s.finale = func() { s.shut(code, reason, label) }
	busy := s.busy
	s.mu.Unlock()
	if !busy {
		s.shut(code, reason, label)
	}
}

// drop ends the session without a word: the peer does not read, or stalls.
func (s *session) drop(label string) {
	s.end(label, func() { _ = s.conn.CloseNow() }) // it is gone either way
	s.b.leave(s)
}

func (s *session) end(label string, closeConn func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	s.closed = true
	s.queue, s.queued = nil, 0
	s.cancel()
	s.hurry()
	s.b.metrics.closed.WithLabelValues(label).Inc()
	s.b.background(closeConn)
}

// hurry ends the connection soon, whatever the peer does: a close handshake
// would wait for the rest of a frame for ever.
func (s *session) hurry() {
	_ = s.raw.SetDeadline(time.Now().Add(s.b.cfg.Farewell)) // it fails when the connection is closed
}

// background runs f and has Run wait for it. Callers make sure that Run has not
// ended: they hold mu of a session that is not closed, whose reader Run waits for.
func (b *Broker) background(f func()) {
	b.work.Add(1)
	go func() {
		defer b.work.Done()
		f()
	}()
}

// errFull: too much waits for the peer.
var errFull = errors.New("the queue is full")

// send queues a message. It never waits; a peer that has let too much queue up
// is disconnected.
func (s *session) send(m *pcp.Message) error {
	err := s.enqueue(m)
	if errors.Is(err, errFull) {
		s.b.cfg.Logger.Warn("a peer does not take what it is sent; disconnecting it", "uri", s.uri)
		s.drop("slow")
		return ErrNotConnected
	}
	return err
}

// enqueue queues a message, or answers ErrNotConnected, ErrTooLarge, errFull.
func (s *session) enqueue(m *pcp.Message) error {
	frame, err := s.version.Encode(m)
	if err != nil {
		return err
	}
	if len(frame) > s.b.cfg.MaxToPeer {
		return fmt.Errorf("%w: %d bytes, of at most %d", ErrTooLarge, len(frame), s.b.cfg.MaxToPeer)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return ErrNotConnected
	}
	if n := len(s.queue); n >= s.b.cfg.QueueLen || n > 0 && s.queued+len(frame) > s.b.cfg.QueueBytes {
		return errFull
	}
	s.queue = append(s.queue, frame)
	s.queued += len(frame)
	if !s.busy {
		s.busy = true
		s.b.background(s.write)
	}
	return nil
}

// write writes what is queued, and ends when that is nothing.
func (s *session) write() {
	for {
		s.mu.Lock()
		if len(s.queue) == 0 {
			finale := s.finale
			s.queue, s.busy = nil, false
			s.mu.Unlock()
			if finale != nil {
				finale()
			}
			return
		}
		frame := s.queue[0]
		s.queue[0] = nil
		s.queue = s.queue[1:]
		s.queued -= len(frame)
		s.mu.Unlock()
		kind := websocket.MessageText
		if s.version == pcp.V1 {
			kind = websocket.MessageBinary
		}
		ctx, cancel := context.WithTimeout(context.Background(), s.b.allowance(len(frame)))
		err := s.conn.Write(ctx, kind, frame)
		late := ctx.Err() != nil
		cancel()
		switch {
		case late:
			s.b.cfg.Logger.Warn("a peer does not take what it is sent; disconnecting it", "uri", s.uri, "bytes", len(frame))
			s.drop("slow")
			return
		case err != nil:
			s.drop("lost")
			return
		}
	}
}

// allowance is how long so many bytes may take.
func (b *Broker) allowance(bytes int) time.Duration {
	return b.cfg.Grace + time.Duration(bytes)*time.Second/(256<<10)
}

// ping asks the peer for a sign of life; the pong comes to live.
func (s *session) ping() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	s.b.background(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = s.conn.Ping(ctx) // silence is for the idle limit
	})
}

// What ends a session from our side while it reads.
var (
	errHoarding = errors.New("too many large messages at a time")
	errCrowded  = errors.New("others send too many large messages at a time")
	errOver     = errors.New("the session is over")
)

const (
	spare = 512       // the least that a buffer grows, and what it begins with
	free  = 64 << 10  // how much of a message is in memory without being counted
	gulp  = 256 << 10 // how much is read at a time: a look at the clock for each
)

// collect reads a message as it arrives, and answers how many bytes of the
// budget it holds; the caller gives them back, also after an error.
func (s *session) collect(r io.Reader) (frame []byte, held int64, err error) {
	var took time.Duration // waiting for the peer; not for the budget
	stall := time.AfterFunc(s.b.allowance(0), func() { s.drop("stalled") })
	defer stall.Stop()
	frame = make([]byte, 0, spare)
	for {
		if len(frame) == cap(frame) {
			stall.Stop()
			if frame, held, err = s.grow(frame, held); err != nil {
				return nil, held, err
			}
		}
		start := time.Now()
		stall.Reset(s.b.allowance(len(frame)) - took)
		n, err := r.Read(frame[len(frame):min(cap(frame), len(frame)+gulp)])
		took += time.Since(start)
		frame = frame[:len(frame)+n]
		s.live()
		switch {
		case err == io.EOF:
			return frame, held, nil
		case err != nil && s.ctx.Err() != nil:
			return nil, held, errOver
		case err != nil:
			return nil, held, err
		}
	}
}

// grow doubles a buffer. Above what is free it takes from the budget, for the
// new buffer before it gives back the old one's share.
func (s *session) grow(frame []byte, held int64) ([]byte, int64, error) {
	bigger := min(2*int64(cap(frame)), s.b.cfg.MaxMessage+spare)
	bigger = max(bigger, int64(cap(frame))+spare)
	if bigger > free {
		if err := s.take(bigger); err != nil {
			return nil, held, err
		}
	}
	frame = append(make([]byte, 0, bigger), frame...)
	s.giveBack(held)
	if bigger <= free {
		bigger = 0
	}
	return frame, bigger, nil
}
