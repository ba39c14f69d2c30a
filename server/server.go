// Package server is Dalang's HTTP front end: listeners, TLS, the route table,
// the middleware around every request, and the one place where errors become
// responses. What the routes do is in package server/pdb.
package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"dalang/commands"
	"dalang/server/pdb"
)

// Config says where and how to serve. At least one of Listen and TLS.Listen is
// required.
type Config struct {
	// Listen is the cleartext address, "127.0.0.1:8080"; empty: none. Unless
	// AllowCleartext is set it must be a loopback address.
	Listen         string
	AllowCleartext bool
	TLS            TLSConfig
	Auth           AuthConfig
	// More are TLS listeners beside these, with the files of TLS. Clients need
	// no certificate there: they serve only what asks for more by itself.
	More []Listener

	// Handlers are the routes from the start. They can be replaced by Mount.
	Handlers Handlers
	// Maintenance answers 503 to /pdb/* while it is on. Nil: never.
	Maintenance *pdb.Maintenance

	// HandshakeRate is how many TLS handshakes a second that no request follows an
	// address may make, ten times as many at once; later ones wait. 0: any number.
	HandshakeRate int
	// MaxHeaderBytes bounds a request's line and headers: 431 (414 for the
	// line alone) beyond it. Default 8192, as request-header-max-size.
	MaxHeaderBytes int
	// StallTimeout ends a connection on which no byte moved for so long while a
	// body was read or an answer written. Default one minute: a large body on a
	// slow line is fine as long as it moves.
	StallTimeout time.Duration
	// ShutdownTimeout is how long requests in flight may take after the end of
	// Run's context. Default 30 s.
	ShutdownTimeout time.Duration

	Version    string // Dalang's own version, for the header X-Dalang-Version
	Logger     *slog.Logger
	Registerer prometheus.Registerer
	Now        func() time.Time
}

// applyDefaults fills in what was left out.
func (c *Config) applyDefaults() error {
	if c.Listen == "" && c.TLS.Listen == "" {
		return errors.New("server: neither a cleartext nor a TLS address to listen on")
	}
	if c.MaxHeaderBytes <= 0 {
		c.MaxHeaderBytes = 8192
	}
	if c.StallTimeout <= 0 {
		c.StallTimeout = time.Minute
	}
	if c.ShutdownTimeout <= 0 {
		c.ShutdownTimeout = 30 * time.Second
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return nil
}

// Server serves HTTP and HTTPS.
type Server struct {
	cfg       Config
	auth      atomic.Pointer[authorizer] // swapped by Reload
	metrics   *metrics
	mounted   atomic.Pointer[mounted] // swapped by Mount
	listeners []*listener
	strangers *strangers
}

// New checks the configuration and reads certificates and allowlists; the
// error is all that is wrong with them, a line each. It does not listen yet.
func New(cfg Config) (*Server, error) {
	if err := cfg.applyDefaults(); err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg, metrics: newMetrics(cfg.Registerer)}
	s.strangers = newStrangers(cfg.HandshakeRate, cfg.Now, cfg.Logger, s.metrics)
	if err := errors.Join(s.Reload(), s.prepare()); err != nil {
		return nil, err
	}
	s.Mount(cfg.Handlers)
	return s, nil
}

// Reload reads the allowlists again. On an error the old ones stay in force.
// Certificates need no reload: their files are watched.
func (s *Server) Reload() error {
	auth, err := newAuthorizer(s.cfg.Auth, s.cfg.Logger)
	if err != nil {
		return err
	}
	s.auth.Store(auth)
	return nil
}

// Mount replaces the routes, at any time: the program can answer /status in
// maintenance mode before there is a store to query.
func (s *Server) Mount(h Handlers) { s.mounted.Store(&mounted{s.routes(h), h.Broker}) }

// mounted is who answers.
type mounted struct{ router, broker http.Handler }

// Handler is the whole front end as it stands behind all listeners. The
// broker's connections are no requests: nothing stands around them.
func (s *Server) Handler() http.Handler {
	requests := s.middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mounted.Load().router.ServeHTTP(w, r)
	}))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if broker := s.mounted.Load().broker; broker != nil && isPCP(r.URL.Path) && listenerOf(r).serves(r.URL.Path) {
			broker.ServeHTTP(w, r)
			return
		}
		requests.ServeHTTP(w, r)
	})
}

// LoopbackOnly refuses an address that other machines can reach: without
// AllowCleartext, Listen must pass it.
func LoopbackOnly(addr string) error {
	tcp, err := net.ResolveTCPAddr("tcp", addr)
	if err != nil {
		return fmt.Errorf("%q is no address: %w", addr, err)
	}
	if !tcp.IP.IsLoopback() {
		return fmt.Errorf("refusing to serve cleartext on %s, which other machines can reach: "+
			"listen on a loopback address, use TLS, or set dalang.allow-cleartext = true", addr)
	}
	return nil
}

// Run serves until ctx ends or a listener fails. Then it stops accepting, lets
// requests in flight finish for ShutdownTimeout, cancels the rest, and returns
// when all handlers have: nil after an orderly end.
func (s *Server) Run(ctx context.Context) error {
	if err := s.Listen(); err != nil {
		return err
	}
	// Requests live on when ctx ends, until the shutdown gives up on them.
	requests, cancelRequests := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancelRequests(nil)
	srv := &http.Server{
		Handler:           s.Handler(),
		ReadHeaderTimeout: 20 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    s.cfg.MaxHeaderBytes, // plus 4 KiB of slack; middleware is exact
		BaseContext: func(l net.Listener) context.Context {
			return context.WithValue(requests, listenerKey{}, l.(served).listener)
		},
		ConnState: s.strangers.follow,
		ErrorLog:  slog.NewLogLogger(s.cfg.Logger.Handler(), slog.LevelDebug),
	}
	srv.Protocols = new(http.Protocols)
	srv.Protocols.SetHTTP1(true) // as upstream; some clients insist on it
	g, ctx := errgroup.WithContext(ctx)
	for _, l := range s.listeners {
		s.cfg.Logger.Info("serving", "scheme", l.scheme(), "address", l.addr().String(), "of", l.name)
		g.Go(func() error { return serve(srv, l.serving()) })
	}
	g.Go(func() error {
		<-ctx.Done()
		return s.shutdown(srv, cancelRequests)
	})
	return g.Wait()
}

func serve(srv *http.Server, l net.Listener) error {
	if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("server: %w", err)
	}
	return nil
}

// shutdown ends the server in three steps: ask, cancel, cut.
func (s *Server) shutdown(srv *http.Server, cancelRequests context.CancelCauseFunc) error {
	patience, cancel := context.WithTimeout(context.Background(), s.cfg.ShutdownTimeout)
	defer cancel()
	if srv.Shutdown(patience) == nil {
		return nil
	}
	s.cfg.Logger.Warn("requests still run after the shutdown timeout; cancelling them",
		"timeout", s.cfg.ShutdownTimeout)
	cancelRequests(commands.ErrShutdown)
	patience, cancel = context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	if srv.Shutdown(patience) != nil {
		_ = srv.Close()
	}
	return nil
}
