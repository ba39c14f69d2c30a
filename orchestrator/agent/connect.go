package agent

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/coder/websocket"
	"golang.org/x/sync/errgroup"

	"dalang/orchestrator/pcp"
)

// superseded is the close code of brokers: another agent has our certificate.
const superseded websocket.StatusCode = 4000

// parting is how long the broker may take to answer that we go.
const parting = time.Second

// connect keeps a session with one of the brokers until ctx ends.
func (a *Agent) connect(ctx context.Context) {
	failures := 0
	for at := 0; ctx.Err() == nil; {
		broker := a.cfg.Brokers[at%len(a.cfg.Brokers)]
		connected, err := a.session(ctx, broker)
		if ctx.Err() != nil {
			return
		}
		wait := spread(a.cfg.Pause, a.cfg.MaxPause, failures/len(a.cfg.Brokers), rand.Float64())
		switch {
		case websocket.CloseStatus(err) == superseded:
			a.log.Error("another agent with our certificate has taken our place", "broker", broker)
			wait, failures = spread(a.cfg.MaxPause, a.cfg.MaxPause, 0, rand.Float64()), 0
		case connected:
			a.log.Warn("connection lost", "broker", broker, "error", err, "pause", wait)
			failures = 0
		default:
			a.log.Warn("no connection", "broker", broker, "error", err, "pause", wait)
			failures++
			at++
		}
		a.cfg.Status(fmt.Sprintf("not connected: %v", err))
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
}

// spread is how long to wait after so many rounds without success: the pause
// doubles up to the longest, and is taken from the range of half to one and a
// half times that by random, which is between 0 and 1.
func spread(first, longest time.Duration, rounds int, random float64) time.Duration {
	pause := longest
	if rounds < 16 {
		pause = min(first<<rounds, longest)
	}
	return time.Duration((0.5 + random) * float64(pause))
}

// session connects to a broker and serves it until the connection ends.
func (a *Agent) session(ctx context.Context, broker string) (connected bool, err error) {
	conn, err := a.dial(ctx, broker)
	if err != nil {
		return false, err
	}
	defer conn.CloseNow() // usually closed already
	conn.SetReadLimit(pcp.MaxToAgent)
	a.log.Info("connected", "broker", broker)
	a.cfg.Status("connected to " + broker)
	s := &session{a: a, conn: conn, told: map[string]string{}, declined: map[string]bool{}, runCtx: ctx}
	g, inner := errgroup.WithContext(ctx)
	reading, stopReading := context.WithCancel(context.Background())
	defer stopReading()
	g.Go(func() error { return s.read(reading) })
	g.Go(func() error { return s.tell(inner) })
	g.Go(func() error { return s.ping(inner) })
	g.Go(func() error { // the reader has no other end
		<-inner.Done()
		defer time.AfterFunc(parting, stopReading).Stop() // which cuts the connection
		_ = conn.Close(websocket.StatusGoingAway, "")     // it is gone either way
		return nil
	})
	err = g.Wait()
	if s.dead != nil {
		err = s.dead
	}
	return true, err
}

func (a *Agent) dial(ctx context.Context, broker string) (*websocket.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, a.cfg.Dial)
	defer cancel()
	conf, err := a.cfg.Settings.Files.Client()
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{TLSClientConfig: conf}
	conn, res, err := websocket.Dial(ctx, broker, &websocket.DialOptions{HTTPHeader: http.Header{"User-Agent": {pcp.OwnAgent}}, HTTPClient: &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}})
	if err != nil {
		transport.CloseIdleConnections()
		if res != nil && res.StatusCode != http.StatusSwitchingProtocols {
			return nil, fmt.Errorf("the server answers %s: %w", res.Status, err)
		}
		return nil, err
	}
	return conn, nil
}

// ping finds connections that are dead without having been closed.
func (s *session) ping(ctx context.Context) error {
	tick := time.NewTicker(s.a.cfg.Ping)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if err := s.pingOnce(ctx); err != nil && ctx.Err() == nil {
			s.mu.Lock()
			s.dead = err // before the reader finds out
			s.mu.Unlock()
			_ = s.conn.CloseNow() // nobody would answer a parting word
			return err
		}
	}
}

func (s *session) pingOnce(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.a.cfg.Pong)
	defer cancel()
	if err := s.conn.Ping(ctx); err != nil {
		return fmt.Errorf("the broker does not answer pings: %w", err)
	}
	return nil
}

// errClosed: the connection ended.
var errClosed = errors.New("the connection ended")

// read handles messages until the connection ends.
func (s *session) read(ctx context.Context) error {
	for {
		kind, frame, err := s.conn.Read(ctx)
		if err != nil {
			return fmt.Errorf("%w: %w", errClosed, err)
		}
		if kind != websocket.MessageText {
			s.a.log.Warn("a message is not of version 2")
			continue
		}
		m, err := pcp.V2.Decode(frame)
		if err != nil {
			s.a.log.Warn("a message cannot be read", "error", err)
			continue
		}
		if err := s.handle(m); err != nil {
			return err
		}
	}
}

// send writes a message; an error ends the session.
func (s *session) send(m *pcp.Message) error {
	frame, err := pcp.V2.Encode(m)
	if err != nil {
		return err
	}
	return s.write(frame)
}

func (s *session) write(frame []byte) error {
	// Half a minute, and a second for each 256 KiB.
	limit := 30*time.Second + time.Duration(len(frame))*time.Second/(256<<10)
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	if err := s.conn.Write(ctx, websocket.MessageText, frame); err != nil {
		return fmt.Errorf("%w: %w", errClosed, err)
	}
	return nil
}
