package server

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"dalang/server/pdb"
)

// knock makes a TLS connection from an address of ours, and ends it.
func (a *authority) knock(t *testing.T, from, to string) error {
	t.Helper()
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	d := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: 5 * time.Second}
	c, err := tls.DialWithDialer(d, "tcp", to, &tls.Config{RootCAs: pool, ServerName: "localhost"})
	if err != nil {
		return err
	}
	return c.Close()
}

func TestHandshakesWithoutRequests(t *testing.T) {
	ca := newAuthority(t)
	ca.issue("server")
	b := setup(t, func(c *Config, _ *pdb.CommandsConfig) {
		c.TLS, c.HandshakeRate = ca.config("none"), 1 // ten at once
	})
	b.strangers.limit = 0.001 // nobody gets another one in this test
	b.start(t)
	to := b.TLSAddr().String()
	counts := func(outcome string, n float64) func() bool {
		return func() bool { return testutil.ToFloat64(b.metrics.handshakes.WithLabelValues(outcome)) >= n }
	}

	for range 30 { // requests are no reason to wait
		client := ca.client()
		status, _ := fetch(t, client, "https://"+to+"/pdb/meta/v1/version")
		require.Equal(t, http.StatusOK, status)
		client.CloseIdleConnections()
	}
	require.Eventually(t, func() bool { return ca.knock(t, "127.0.0.1", to) != nil }, 10*time.Second, time.Millisecond)
	require.Eventually(t, counts("refused", 1), 5*time.Second, time.Millisecond)
	require.NoError(t, ca.knock(t, "127.0.0.2", to), "another address")
	require.False(t, counts("late", 1)())
}

func TestHandshakesTakeTurns(t *testing.T) {
	ca := newAuthority(t)
	ca.issue("server")
	b := setup(t, func(c *Config, _ *pdb.CommandsConfig) {
		c.TLS, c.HandshakeRate = ca.config("none"), 1
	})
	b.strangers.limit = 50
	b.start(t)
	for range 15 {
		require.NoError(t, ca.knock(t, "127.0.0.1", b.TLSAddr().String()))
	}
	require.Eventually(t, func() bool {
		require.NoError(t, ca.knock(t, "127.0.0.1", b.TLSAddr().String()))
		return testutil.ToFloat64(b.metrics.handshakes.WithLabelValues("late")) > 0
	}, 10*time.Second, time.Millisecond)
	require.Zero(t, testutil.ToFloat64(b.metrics.handshakes.WithLabelValues("refused")))
}

// TestRefusedConnections: who is turned away by the broker again and again waits, too.
func TestRefusedConnections(t *testing.T) {
	ca := newAuthority(t)
	ca.issue("server")
	b := setup(t, func(c *Config, _ *pdb.CommandsConfig) {
		c.TLS, c.HandshakeRate = ca.config("none"), 1
		c.Handlers.More = nil
	})
	b.strangers.limit = 0.001
	h := b.mounted.Load()
	b.mounted.Store(&mounted{h.router, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		Refused(r)
		w.WriteHeader(http.StatusTeapot)
	})})
	b.start(t)
	to := "https://" + b.TLSAddr().String() + "/pcp2/agent"
	for range 10 {
		client := ca.client()
		status, _ := fetch(t, client, to)
		require.Equal(t, http.StatusTeapot, status)
		client.CloseIdleConnections()
	}
	_, err := ca.client().Get(to)
	require.Error(t, err)
}

func TestStrangersAreForgotten(t *testing.T) {
	now := time.Unix(1e9, 0)
	s := newStrangers(1, func() time.Time { return now }, nil, newMetrics(nil))
	for _, address := range []string{"192.0.2.1:1", "192.0.2.2:1", "[2001:db8::1]:1", "[2001:db8::2%eth0]:1", "[::ffff:192.0.2.1]:1"} {
		tcp, err := net.ResolveTCPAddr("tcp", strings.Replace(address, "%eth0", "", 1))
		require.NoError(t, err)
		from, ok := network(tcp)
		require.True(t, ok)
		s.meet(from, now).AllowN(now, 1)
	}
	require.Len(t, s.known, 3, "one host has 64 bits of IPv6")
	now = now.Add(2 * time.Minute)
	tcp, _ := net.ResolveTCPAddr("tcp", "192.0.2.9:1")
	from, _ := network(tcp)
	s.meet(from, now)
	require.Len(t, s.known, 1)
	_, ok := network(&net.UnixAddr{})
	require.False(t, ok)
}
