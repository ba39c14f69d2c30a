package brokertest

import (
	"context"
	"crypto/tls"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dalang/orchestrator/broker"
)

// Name is the certname of the servers of this package.
const Name = "server.example.com"

// patience is how long anything may take that is expected to happen.
const patience = 20 * time.Second

// Server is a broker that runs.
type Server struct {
	*broker.Broker
	CA   *CA
	Addr string // host:port
	// Stop ends Run, and waits for it. The listener goes on.
	Stop func()
	// End is Stop and the end of the listener. The end of the test does it, too.
	End func()
}

// Start starts a broker. Name and Identify of cfg are set here. Locals are
// attached by their client types.
func Start(t testing.TB, ca *CA, cfg broker.Config, locals map[string]broker.Local) *Server {
	t.Helper()
	cfg.Name = Name
	b, err := broker.New(cfg)
	require.NoError(t, err)
	for clientType, l := range locals {
		b.Attach(clientType, l)
	}
	server := httptest.NewUnstartedServer(b)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{ca.Issue(t, Name)}, ClientCAs: ca.Pool(), ClientAuth: tls.VerifyClientCertIfGiven, MinVersion: tls.VersionTLS12}
	server.StartTLS()
	s := &Server{Broker: b, CA: ca, Addr: strings.TrimPrefix(server.URL, "https://")}
	ctx, cancel := context.WithCancel(context.Background())
	over := make(chan struct{})
	go func() {
		defer close(over)
		_ = b.Run(ctx) // it never fails
	}()
	require.Eventually(t, b.Running, patience, time.Millisecond)
	s.Stop = func() {
		cancel()
		select {
		case <-over:
		case <-time.After(patience):
			t.Error("the broker does not end")
		}
	}
	s.End = func() {
		s.Stop()
		server.Close()
	}
	t.Cleanup(s.End)
	return s
}
