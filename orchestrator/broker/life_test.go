package broker_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"dalang/orchestrator/broker"
	"dalang/orchestrator/broker/brokertest"
	"dalang/orchestrator/pcp"
)

// TestPings: pings are answered, silent peers are pinged, and those who stay
// silent are sent away.
func TestPings(t *testing.T) {
	clock, reg := newClock(), prometheus.NewRegistry()
	// The broker looks every millisecond at a clock that stands still.
	s, l := start(t, broker.Config{Now: clock.now, Ping: 8 * time.Millisecond, Idle: time.Minute, Registerer: reg, Farewell: 50 * time.Millisecond})
	pinged := make(chan struct{}, 100)
	cert := s.CA.Issue(t, "a.example.com")
	c := s.DialWith(t, "/pcp2/agent", &cert, &websocket.DialOptions{OnPingReceived: func(context.Context, []byte) bool { pinged <- struct{}{}; return true }})
	next(t, l.presence)
	heard := make(chan *pcp.Message)
	go func() {
		defer close(heard)
		for m, err := c.Next(); err == nil; m, err = c.Next() {
			heard <- m
		}
	}()
	require.NoError(t, c.Conn.Ping(t.Context()), "it answers")
	// untilPinged lets time pass. A pong that comes after the clock was moved
	// counts for the new time, so a little more has to pass.
	untilPinged := func(d time.Duration) {
		for began := time.Now(); ; d = 10 * time.Millisecond {
			clock.pass(d)
			select {
			case <-pinged:
				return
			case <-time.After(5 * time.Millisecond):
				require.Less(t, time.Since(began), patience)
			}
		}
	}
	for range 3 {
		untilPinged(10 * time.Millisecond)
	}
	silent := s.DialRaw(t, "/pcp2/agent", "b.example.com") // answers no pings
	require.Equal(t, "+pcp://b.example.com/agent", next(t, l.presence))
	for range 5 { // a pong is a sign of life
		untilPinged(20 * time.Second)
	}
	require.Equal(t, "-pcp://b.example.com/agent", next(t, l.presence))
	require.Equal(t, 1008, silent.Code(t))
	require.EqualValues(t, 1, metric(t, reg, "dalang_pcp_closed_total", "idle"))
	require.NoError(t, s.Send(message(t, pcp.BlockingRequest, c.URI, 1)))
	require.NotNil(t, next(t, heard))
	require.NoError(t, c.Conn.CloseNow())
	<-heard
}

// TestRevocation: certificates that are revoked, and expire, while their peers
// are connected.
func TestRevocation(t *testing.T) {
	ca, l, clock := brokertest.NewCA(t), newLocal(), newClock()
	crl := filepath.Join(t.TempDir(), "crl.pem")
	ca.Revoke(t, crl)
	s := brokertest.Start(t, ca, broker.Config{CRL: crl, CA: ca.Write(t), Now: clock.now, Ping: 8 * time.Millisecond, Idle: 100 * time.Hour},
		map[string]broker.Local{"orchestrator": l})
	bad, good := ca.Issue(t, "bad.example.com"), ca.Issue(t, "good.example.com")
	one := s.DialWith(t, "/pcp2/agent", &bad, nil)
	other := s.DialWith(t, "/pcp/agent", &good, nil)
	next(t, l.presence)
	next(t, l.presence)
	ca.Revoke(t, crl, bad) // the broker sees it by itself
	require.EqualValues(t, 1012, one.Closed())
	require.EqualValues(t, 1012, s.DialWith(t, "/pcp2/agent", &bad, nil).Closed())
	require.Equal(t, "-pcp://bad.example.com/agent", next(t, l.presence))
	roundTrip(t, s, l, other)

	list, err := os.ReadFile(crl)
	require.NoError(t, err)
	for _, wrong := range []string{"", "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n"} {
		require.NoError(t, os.WriteFile(crl, []byte(wrong), 0o600))
		require.ErrorContains(t, s.Reload(), "revocation list")
	}
	stranger := brokertest.NewCA(t)
	stranger.Revoke(t, crl, good)
	require.ErrorContains(t, s.Reload(), "is not signed by a certificate of")
	require.EqualValues(t, 1012, s.DialWith(t, "/pcp2/agent", &bad, nil).Closed(), "the last good list is in force")
	roundTrip(t, s, l, other)
	require.NoError(t, os.WriteFile(crl, list, 0o600))
	require.NoError(t, s.Reload())
	roundTrip(t, s, l, other)

	clock.pass(24 * time.Hour) // certificates live for 12
	require.EqualValues(t, 1012, other.Closed())
	require.Equal(t, "-pcp://good.example.com/agent", next(t, l.presence))
}
