package broker_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"dalang/orchestrator/broker"
	"dalang/orchestrator/broker/brokertest"
	"dalang/orchestrator/pcp"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	here     = "pcp://" + brokertest.Name + "/orchestrator"
	patience = 10 * time.Second
)

// local is a peer in the broker's process that remembers what it is told.
type local struct {
	messages chan *pcp.Message
	presence chan string // "+pcp://a/agent" or "-…"
	onEach   func(m *pcp.Message)
}

func newLocal() *local {
	return &local{messages: make(chan *pcp.Message, 100_000), presence: make(chan string, 10_000)}
}

func (l *local) Receive(m *pcp.Message) {
	if l.onEach != nil {
		l.onEach(m)
	}
	l.messages <- m
}

func (l *local) Presence(peer pcp.URI, connected bool) {
	sign := "-"
	if connected {
		sign = "+"
	}
	l.presence <- sign + peer.String()
}

// next waits for what comes out of a channel.
func next[T any](t *testing.T, from chan T) (v T) {
	t.Helper()
	select {
	case v = <-from:
	case <-time.After(patience):
		require.Fail(t, "nothing came")
	}
	return v
}

// clock is a clock that stands still unless it is moved.
type clock struct{ at atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.at.Store(time.Now().UnixNano())
	return c
}
func (c *clock) now() time.Time       { return time.Unix(0, c.at.Load()) }
func (c *clock) pass(d time.Duration) { c.at.Add(int64(d)) }

// start starts a broker with one local peer, here.
func start(t *testing.T, cfg broker.Config) (*brokertest.Server, *local) {
	t.Helper()
	l := newLocal()
	return brokertest.Start(t, brokertest.NewCA(t), cfg, map[string]broker.Local{"orchestrator": l}), l
}

// message makes one from here.
func message(t testing.TB, messageType, target string, data any) *pcp.Message {
	t.Helper()
	m, err := pcp.New(messageType, target, data)
	require.NoError(t, err)
	m.Sender = here
	return m
}

// says makes a message of a client, without a sender.
func says(t testing.TB, messageType, target string, data any) *pcp.Message {
	t.Helper()
	m := message(t, messageType, target, data)
	m.Sender = ""
	return m
}

// roundTrip proves that a peer is served: a request to it and its answer arrive.
func roundTrip(t *testing.T, s *brokertest.Server, l *local, c *brokertest.Client) {
	t.Helper()
	uri, err := pcp.ParseURI(c.URI)
	require.NoError(t, err)
	eventually(t, "it is let in", func() bool { _, there := s.Find(uri); return there }) // a moment after the handshake
	require.NoError(t, s.Send(message(t, pcp.BlockingRequest, c.URI, "how are you?")))
	request := c.Receive()
	require.JSONEq(t, `"how are you?"`, string(request.Data))
	c.Send(says(t, pcp.BlockingResponse, request.Sender, "well"))
	for {
		m := next(t, l.messages)
		if m.Sender == c.URI {
			require.JSONEq(t, `"well"`, string(m.Data))
			return
		}
	}
}

// metric is the value of a counter or gauge, summed over its labels other than
// the one that must be label.
func metric(t *testing.T, reg *prometheus.Registry, name, label string) (sum float64) {
	t.Helper()
	families, err := reg.Gather()
	require.NoError(t, err)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name && (label == "" || m.GetLabel()[0].GetValue() == label) {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return sum
}

// eventually waits for something that no channel tells.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	require.Eventually(t, is, patience, 2*time.Millisecond, what)
}
