package broker_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"dalang/orchestrator/broker"
	"dalang/orchestrator/broker/brokertest"
	"dalang/orchestrator/pcp"
)

// TestBadFrames: what is no message is answered, what is no frame ends the
// session; nobody else notices.
func TestBadFrames(t *testing.T) {
	reg := prometheus.NewRegistry()
	s, l := start(t, broker.Config{Registerer: reg})
	good := s.Dial(t, "/pcp2/agent", "good.example.com")
	v2, v1 := s.Dial(t, "/pcp2/agent", "a.example.com"), s.Dial(t, "/pcp/agent", "a.example.com.old")
	for _, c := range []struct {
		from  *brokertest.Client
		kind  websocket.MessageType
		frame string
	}{
		{v2, websocket.MessageText, ""}, {v2, websocket.MessageText, "{}"}, {v2, websocket.MessageText, "nonsense \xff\xfe"},
		{v2, websocket.MessageText, strings.Repeat("[", 100_000)},
		{v2, websocket.MessageBinary, `{"id":"0d0a1b2c-3d4e-4f50-8192-a3b4c5d6e7f8","message_type":"x"}`},
		{v1, websocket.MessageBinary, ""}, {v1, websocket.MessageBinary, "\x01"}, {v1, websocket.MessageBinary, "\x01\x01\xff\xff\xff\xff{}"},
		{v1, websocket.MessageText, "\x01\x01\x00\x00\x00\x02{}"},
	} {
		require.NoError(t, c.from.Write(c.kind, []byte(c.frame)))
		answer := c.from.Receive()
		require.Equal(t, pcp.ErrorMessage, answer.Type)
		require.Equal(t, "Could not decode message", answer.ErrorText(), "%.40q", c.frame)
		require.Empty(t, answer.InReplyTo)
	}
	require.EqualValues(t, 9, metric(t, reg, "dalang_pcp_rejected_total", "frame"))
	roundTrip(t, s, l, v2)
	roundTrip(t, s, l, v1)

	unmasked := []byte{brokertest.Final | brokertest.Text, 1, 'x'}
	for name, c := range map[string]struct {
		frames []byte
		code   int
	}{
		"unmasked":             {unmasked, 1002},
		"reserved bit":         {brokertest.Frame(0xc0|brokertest.Text, 1, []byte("x")), 1002},
		"unknown opcode":       {brokertest.Frame(brokertest.Final|0x3, 1, []byte("x")), 1002},
		"continues nothing":    {brokertest.Frame(brokertest.Final|brokertest.Continuation, 1, []byte("x")), 1002},
		"message in a message": {append(brokertest.Frame(brokertest.Text, 1, []byte("x")), brokertest.Frame(brokertest.Final|brokertest.Text, 1, []byte("x"))...), 1002},
		"large ping":           {brokertest.Frame(brokertest.Final|brokertest.Ping, 126, bytes.Repeat([]byte("x"), 126)), 1002},
		"ping in parts":        {brokertest.Frame(brokertest.Ping, 1, []byte("x")), 1002},
		"bad close":            {brokertest.Frame(brokertest.Final|brokertest.CloseFrame, 1, []byte("x")), 1002},
		"close code 1":         {brokertest.Frame(brokertest.Final|brokertest.CloseFrame, 2, []byte{0, 1}), 1002},
		"too large a claim":    {brokertest.Frame(brokertest.Final|brokertest.Text, 1<<63, nil), 1002},
	} {
		t.Run(name, func(t *testing.T) {
			raw := s.DialRaw(t, "/pcp2/agent", strings.ReplaceAll(name, " ", "-"))
			_, err := raw.Write(c.frames)
			require.NoError(t, err)
			require.Equal(t, c.code, raw.Code(t))
			roundTrip(t, s, l, good)
		})
	}
	require.NotContains(t, fmt.Sprint(s.Inventory()), "unmasked")
}

// TestSizes: messages at the limits, and over them.
func TestSizes(t *testing.T) {
	const limit = 1 << 20
	reg := prometheus.NewRegistry()
	s, l := start(t, broker.Config{MaxMessage: limit, MaxToPeer: limit / 2, Rate: 1000, Burst: 900, Registerer: reg})
	c := s.Dial(t, "/pcp2/agent", "a.example.com")
	sized := func(bytes int) []byte {
		m := says(t, pcp.BlockingResponse, here, "")
		frame, err := pcp.V2.Encode(m)
		require.NoError(t, err)
		m.Data, err = json.Marshal(strings.Repeat("x", bytes-len(frame)))
		require.NoError(t, err)
		frame, err = pcp.V2.Encode(m)
		require.NoError(t, err)
		require.Len(t, frame, bytes)
		return frame
	}
	for _, size := range []int{1000, 70_000, limit / 2, limit - 1, limit} {
		c.SendFrame(sized(size))
		require.Greater(t, len(next(t, l.messages).Data), size-500)
	}
	roundTrip(t, s, l, c)
	_ = c.Write(websocket.MessageText, sized(limit+1)) // it may be closed before all is written
	require.EqualValues(t, 1009, c.Closed())
	eventually(t, "it is told", func() bool { return metric(t, reg, "dalang_pcp_closed_total", "") == 1 })
	require.EqualValues(t, 1, metric(t, reg, "dalang_pcp_closed_total", "size"))

	c = s.Dial(t, "/pcp2/agent", "b.example.com")
	eventually(t, "b", func() bool { return len(s.Inventory()) == 1 })
	roundTrip(t, s, l, c)
	err := s.Send(message(t, pcp.BlockingRequest, c.URI, strings.Repeat("x", limit/2)))
	require.ErrorIs(t, err, broker.ErrTooLarge)
	roundTrip(t, s, l, c)
}

// TestEarly: frames that come together with the request are not lost.
func TestEarly(t *testing.T) {
	s, l := start(t, broker.Config{})
	for _, size := range []int{10, 1000, 3000, 100_000} {
		m := says(t, pcp.BlockingResponse, here, strings.Repeat("x", size))
		text, err := pcp.V2.Encode(m)
		require.NoError(t, err)
		s.DialRaw(t, "/pcp2/agent", fmt.Sprint("early", size), brokertest.Frame(brokertest.Final|brokertest.Text, uint64(len(text)), text)...)
		require.JSONEq(t, string(m.Data), string(next(t, l.messages).Data))
	}
}

// TestTrickle: a message that does not go on arriving ends the session, and so
// does a peer that does not answer the end.
func TestTrickle(t *testing.T) {
	reg := prometheus.NewRegistry()
	s, l := start(t, broker.Config{Grace: 100 * time.Millisecond, Farewell: 100 * time.Millisecond, Registerer: reg})
	good := s.Dial(t, "/pcp2/agent", "good.example.com")
	for name, frames := range map[string][]byte{
		"half-a-frame":   brokertest.Frame(brokertest.Final|brokertest.Text, 100_000, []byte(`{"id":`)),
		"half-a-message": brokertest.Frame(brokertest.Text, 6, []byte(`{"id":`)),
		"empty-frames":   bytes.Repeat(brokertest.Frame(brokertest.Continuation, 0, nil), 1000),
	} {
		raw := s.DialRaw(t, "/pcp2/agent", name)
		if name == "empty-frames" {
			frames = append(brokertest.Frame(brokertest.Text, 0, nil), frames...)
		}
		_, err := raw.Write(frames)
		require.NoError(t, err)
		require.Equal(t, -1, raw.Code(t), name)
		roundTrip(t, s, l, good)
	}
	require.EqualValues(t, 3, metric(t, reg, "dalang_pcp_closed_total", "stalled"))

	// These answer neither the close frame nor in time. The second has promised
	// more bytes than there are.
	deaf, liar := s.DialRaw(t, "/pcp2/agent", "deaf.example.com"), s.DialRaw(t, "/pcp2/agent", "liar.example.com")
	_, err := liar.Write(brokertest.Frame(brokertest.Final|brokertest.Ping, 5, nil))
	require.NoError(t, err)
	eventually(t, "all are there", func() bool { return len(s.Inventory()) == 3 })
	require.NoError(t, good.Conn.CloseNow())
	began := time.Now()
	s.Stop()
	require.Less(t, time.Since(began), 4*time.Second)
	require.Equal(t, 1001, deaf.Code(t))
	_ = liar.Close() // it has been closed at the other end
}

// TestSlowReaders: who does not read is disconnected, by the bound of the queue
// or by the time that a message takes.
func TestSlowReaders(t *testing.T) {
	reg := prometheus.NewRegistry()
	s, l := start(t, broker.Config{QueueBytes: 1 << 20, Grace: 500 * time.Millisecond, Farewell: 100 * time.Millisecond, Registerer: reg})
	good := s.Dial(t, "/pcp2/agent", "good.example.com")
	next(t, l.presence)
	for _, name := range []string{"many", "one"} {
		s.DialRaw(t, "/pcp2/agent", name)
		require.Equal(t, "+pcp://"+name+"/agent", next(t, l.presence))
		began := time.Now()
		if name == "many" {
			m := message(t, pcp.BlockingRequest, "pcp://many/agent", strings.Repeat("x", 100_000))
			for s.Send(m) == nil {
				require.Less(t, time.Since(began), patience)
			}
		} else { // more than the network's buffers take
			require.NoError(t, s.Send(message(t, pcp.BlockingRequest, "pcp://one/agent", strings.Repeat("x", 30_000_000))))
			roundTrip(t, s, l, good)
		}
		if name == "many" {
			require.Equal(t, "-pcp://many/agent", next(t, l.presence))
		}
		roundTrip(t, s, l, good)
	}
	require.EqualValues(t, 1, metric(t, reg, "dalang_pcp_closed_total", "slow"))
}

// TestFlood: a peer that sends as fast as it can is slowed down, whatever it
// sends; others are served meanwhile.
func TestFlood(t *testing.T) {
	text := []byte(`{"id":"0d0a1b2c-3d4e-4f50-8192-a3b4c5d6e7f8","message_type":"x"}`)
	for name, frame := range map[string][]byte{
		"messages":      brokertest.Frame(brokertest.Final|brokertest.Text, uint64(len(text)), text),
		"empty frames":  brokertest.Frame(brokertest.Final|brokertest.Text, 0, nil),
		"pings":         brokertest.Frame(brokertest.Final|brokertest.Ping, 0, nil),
		"pongs":         brokertest.Frame(brokertest.Final|brokertest.Pong, 0, nil),
		"tiny records":  nil,
		"large message": brokertest.Frame(brokertest.Final|brokertest.Text, 60_000_000, make([]byte, 1<<14)), // which goes on with its likes
	} {
		t.Run(name, func(t *testing.T) {
			reg := prometheus.NewRegistry()
			// Twenty of the burst are for the connection; what is left is soon used up, and comes back at one a second.
			s, l := start(t, broker.Config{Rate: 1, Burst: 30, Registerer: reg, Farewell: 100 * time.Millisecond})
			good := s.Dial(t, "/pcp2/agent", "good.example.com")
			raw := s.DialRaw(t, "/pcp2/agent", "flood.example.com")
			done := make(chan error)
			go func() {
				var err error
				for err == nil {
					if frame == nil {
						_, err = raw.Write([]byte{brokertest.Final | brokertest.Pong})
						continue
					}
					_, err = raw.Write(frame)
				}
				done <- err
			}()
			eventually(t, "it is held back", func() bool { return metric(t, reg, "dalang_pcp_held_back_total", "") > 0 })
			roundTrip(t, s, l, good)
			require.Less(t, metric(t, reg, "dalang_pcp_received_total", ""), 40.0)
			require.Less(t, metric(t, reg, "dalang_pcp_rejected_total", ""), 40.0)
			require.NoError(t, raw.Close())
			require.Error(t, <-done)
		})
	}
}

// TestConnectionFlood: a peer that connects again and again has to wait.
func TestConnectionFlood(t *testing.T) {
	clock, reg := newClock(), prometheus.NewRegistry()
	s, l := start(t, broker.Config{Now: clock.now, Rate: 20, Burst: 100, Registerer: reg})
	good := s.Dial(t, "/pcp2/agent", "good.example.com")
	next(t, l.presence)
	cert := s.CA.Issue(t, "flood.example.com")
	refused := func() int { return int(metric(t, reg, "dalang_pcp_refused_total", "limit")) }
	for i := range 8 {
		before := refused()
		c := s.DialWith(t, "/pcp2/agent", &cert, nil)
		eventually(t, "it is in or not", func() bool { return len(l.presence)+refused() == i+1 })
		if refused() > before {
			require.EqualValues(t, 1013, c.Closed())
		}
	}
	require.GreaterOrEqual(t, refused(), 3) // five are worth the burst
	require.GreaterOrEqual(t, len(l.presence), 3)
	roundTrip(t, s, l, good)
	clock.pass(time.Minute)
	for len(l.presence) > 0 {
		<-l.presence
	}
	again := s.DialWith(t, "/pcp2/agent", &cert, nil)
	require.Equal(t, "+"+again.URI, next(t, l.presence))
	roundTrip(t, s, l, again)
}

// TestFullTarget: agents cannot have a controller disconnected by filling its queue.
func TestFullTarget(t *testing.T) {
	reg := prometheus.NewRegistry()
	s, l := start(t, broker.Config{Controllers: []string{"boss"}, QueueLen: 600, QueueBytes: 1 << 20, Farewell: 100 * time.Millisecond, Registerer: reg})
	boss := s.DialRaw(t, "/pcp2/tool", "boss") // does not read
	agent := s.Dial(t, "/pcp2/agent", "a.example.com")
	eventually(t, "both are there", func() bool { return len(s.Inventory()) == 2 })
	answers := make(chan *pcp.Message, 1)
	go func() {
		m, err := agent.Next()
		if err == nil {
			answers <- m
		}
	}()
	large := strings.Repeat("x", 200_000)
	eventually(t, "the queue is full", func() bool {
		agent.Send(says(t, pcp.BlockingResponse, "pcp://boss/tool", large))
		return metric(t, reg, "dalang_pcp_rejected_total", "full") > 0
	})
	require.Equal(t, "The target does not keep up.", next(t, answers).ErrorText())
	_, there := s.Find(pcp.URI{Certname: "boss", Type: "tool"})
	require.True(t, there)
	require.Zero(t, metric(t, reg, "dalang_pcp_closed_total", ""))
	require.NoError(t, boss.Close())
	_ = l
}

// TestPanic: what makes a local peer panic ends the session that sent it only.
func TestPanic(t *testing.T) {
	s, l := start(t, broker.Config{})
	l.onEach = func(m *pcp.Message) {
		if strings.Contains(m.Sender, "evil") {
			panic("a bug")
		}
	}
	good, evil := s.Dial(t, "/pcp2/agent", "good.example.com"), s.Dial(t, "/pcp2/agent", "evil.example.com")
	evil.Send(says(t, pcp.BlockingResponse, here, 1))
	require.EqualValues(t, 1011, evil.Closed())
	roundTrip(t, s, l, good)
}

// TestHoarding: many large messages at a time do not take more memory than the
// budget; a peer alone cannot use it up.
func TestHoarding(t *testing.T) {
	const size = 1 << 20
	s, l := start(t, broker.Config{MaxMessage: size, Budget: 4 * size, PerName: 8, Rate: 10_000, Burst: 900, Farewell: 100 * time.Millisecond})
	good := s.Dial(t, "/pcp2/agent", "good.example.com")
	begin := brokertest.Frame(brokertest.Final|brokertest.Text, size, bytes.Repeat([]byte("x"), size-1))
	var all []*brokertest.Raw
	for i := range 4 {
		raw := s.DialRaw(t, fmt.Sprintf("/pcp2/hoard%d", i), "evil.example.com")
		_, err := raw.Write(begin)
		require.NoError(t, err)
		all = append(all, raw)
	}
	eventually(t, "one at least had too many", func() bool { return len(s.Inventory()) < 5 })
	good.Send(says(t, pcp.BlockingResponse, here, strings.Repeat("y", size-1000)))
	require.Greater(t, len(next(t, l.messages).Data), size-1100)
	for _, raw := range all {
		_ = raw.Close() // some have been closed at the other end
	}
}
