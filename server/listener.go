package server

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
)

// Listener is a TLS listener that serves some paths only.
type Listener struct {
	Name   string   // for the log and AddrOf
	Listen string   // host:port
	Paths  []string // first parts of paths: "/orchestrator"
}

// Names of the listeners that serve everything.
const (
	plain     = "http"
	encrypted = "https"
)

// listener is one of the server's listeners.
type listener struct {
	name, address string
	tls           *tlsState // nil: cleartext
	paths         []string  // nil: all

	mu     sync.Mutex // guards socket
	socket net.Listener
}

// prepare makes the listeners of the configuration and reads their files.
func (s *Server) prepare() error {
	if s.cfg.Listen != "" {
		s.listeners = append(s.listeners, &listener{name: plain, address: s.cfg.Listen})
	}
	var errs []error
	add := func(name string, cfg TLSConfig, paths []string) {
		state, err := newTLSState(cfg, s.strangers, s.cfg.Now, s.cfg.Logger)
		if err != nil {
			errs = append(errs, err)
			return
		}
		s.listeners = append(s.listeners, &listener{name: name, address: cfg.Listen, tls: state, paths: paths})
	}
	if s.cfg.TLS.Listen != "" {
		add(encrypted, s.cfg.TLS, nil)
	}
	for _, more := range s.cfg.More {
		cfg := s.cfg.TLS
		cfg.Listen, cfg.ClientAuth = more.Listen, "want"
		add(more.Name, cfg, more.Paths)
	}
	return errors.Join(errs...)
}

// Listen opens the listeners. Run does it when nobody did.
func (s *Server) Listen() error {
	for _, l := range s.listeners {
		if err := s.open(l); err != nil {
			return fmt.Errorf("server: %w", err)
		}
	}
	return nil
}

func (s *Server) open(l *listener) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.socket != nil {
		return nil
	}
	if l.tls == nil && !s.cfg.AllowCleartext {
		if err := LoopbackOnly(l.address); err != nil {
			return err
		}
	}
	var err error
	l.socket, err = net.Listen("tcp", l.address)
	return err
}

// Addr is the cleartext address, nil before Listen or without one.
func (s *Server) Addr() net.Addr { return s.AddrOf(plain) }

// TLSAddr is the TLS address, nil before Listen or without one.
func (s *Server) TLSAddr() net.Addr { return s.AddrOf(encrypted) }

// AddrOf is the address of one of Config.More, nil before Listen or without it.
func (s *Server) AddrOf(name string) net.Addr {
	for _, l := range s.listeners {
		if l.name == name {
			return l.addr()
		}
	}
	return nil
}

func (l *listener) addr() net.Addr {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.socket == nil {
		return nil
	}
	return l.socket.Addr()
}

func (l *listener) scheme() string {
	if l.tls == nil {
		return plain
	}
	return encrypted
}

// serving is what accepts connections.
func (l *listener) serving() served {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.tls == nil {
		return served{l.socket, l}
	}
	return served{l.tls.listener(l.socket), l}
}

// served lets the requests of a listener know it.
type served struct {
	net.Listener
	listener *listener
}

type listenerKey struct{}

// listenerOf is where a request came in; nil: no network.
func listenerOf(r *http.Request) *listener {
	l, _ := r.Context().Value(listenerKey{}).(*listener)
	return l
}

// serves tells whether a path is answered here.
func (l *listener) serves(path string) bool {
	if l == nil || l.paths == nil {
		return true
	}
	for _, first := range l.paths {
		if path == first || strings.HasPrefix(path, first+"/") {
			return true
		}
	}
	return false
}
