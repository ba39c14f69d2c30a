package pxp_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"dalang/orchestrator/broker"
	"dalang/orchestrator/broker/brokertest"
	"dalang/orchestrator/job"
	"dalang/orchestrator/pcp"
	"dalang/orchestrator/pxp"
)

// channel is a sink that hands on what it is told.
type channel chan string

func (c channel) Provisional(certname string, _ uuid.UUID) { c <- "provisional " + certname }
func (c channel) Result(certname string, _ uuid.UUID, o job.Outcome) {
	c <- fmt.Sprintf("result %s %s", certname, o.State)
}
func (c channel) Error(certname string, _ uuid.UUID, err error) {
	c <- fmt.Sprintf("error %s: %v", certname, err)
}
func (c channel) Presence(certname string, connected bool) {
	c <- fmt.Sprintf("presence %s %t", certname, connected)
}

func (c channel) next(t *testing.T) string {
	t.Helper()
	select {
	case told := <-c:
		return told
	case <-time.After(20 * time.Second):
		require.Fail(t, "the sink is told nothing")
		return ""
	}
}

// late is a broker that comes to be after its controller's configuration.
type late struct {
	mu sync.Mutex
	*broker.Broker
	local broker.Local
}

func (l *late) Attach(_ string, local broker.Local) string {
	l.local = local
	return "pcp://" + brokertest.Name + "/" + pxp.ClientType
}

func (l *late) Send(m *pcp.Message) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.Broker.Send(m)
}

func (l *late) Find(peer pcp.URI) (broker.Entry, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.Broker.Find(peer)
}

// spool is what an agent remembers over its connections.
type spool struct {
	mu   sync.Mutex
	runs map[string]string // status by transaction
	ran  int
	mute bool // its outcomes get lost
}

// serve is an agent on one connection, until that ends.
func (s *spool) serve(c *brokertest.Client, t *testing.T) {
	for {
		m, err := c.Next()
		if err != nil {
			return
		}
		var of struct {
			TransactionID string `json:"transaction_id"`
			Module        string
			Params        struct {
				TransactionID string `json:"transaction_id"`
			}
		}
		if err := json.Unmarshal(m.Data, &of); err != nil {
			t.Error(err)
			return
		}
		s.mu.Lock()
		reply := func(messageType, data string) {
			answer, err := pcp.New(messageType, m.Sender, json.RawMessage(data))
			if err != nil {
				t.Error(err)
			}
			c.Send(answer)
		}
		switch {
		case of.Module == "status":
			status := s.runs[of.Params.TransactionID]
			if status == "" {
				status = "unknown"
			}
			reply(pcp.BlockingResponse, fmt.Sprintf(`{"transaction_id":%q,"results":{"transaction_id":%q,"status":%q,"exitcode":0,"stdout":%s}}`,
				of.TransactionID, of.Params.TransactionID, status, quoted(changed)))
		default:
			known := s.runs[of.TransactionID] != ""
			reply(pcp.ProvisionalResponse, fmt.Sprintf(`{"transaction_id":%q}`, of.TransactionID))
			if !known {
				s.ran++
				s.runs[of.TransactionID] = "success"
				if !s.mute {
					reply(pcp.NonBlockingResponse, fmt.Sprintf(`{"transaction_id":%q,"results":%s}`, of.TransactionID, changed))
				}
			}
		}
		s.mu.Unlock()
	}
}

// TestOverTheBroker: the controller, the broker, and agents of both versions
// over TLS; runs whose outcome gets lost, in two lives of the server.
func TestOverTheBroker(t *testing.T) {
	ca, told := brokertest.NewCA(t), make(channel, 1000)
	start := func() (*brokertest.Server, *pxp.Controller) {
		l := &late{}
		l.mu.Lock()
		c, err := pxp.New(pxp.Config{Broker: l, Sink: told, PollFirst: 50 * time.Millisecond, PollMost: 100 * time.Millisecond})
		require.NoError(t, err)
		s := brokertest.Start(t, ca, broker.Config{Farewell: 100 * time.Millisecond, MaxToPeer: 1 << 20}, map[string]broker.Local{pxp.ClientType: l.local})
		l.Broker = s.Broker
		l.mu.Unlock()
		return s, c
	}
	s, c := start()
	for i, path := range []string{"/pcp2/agent", "/pcp/"} {
		certname := fmt.Sprintf("node%d.example.com", i)
		agent := &spool{runs: map[string]string{}}
		var serving sync.WaitGroup
		connect := func() {
			client := s.Dial(t, path, certname)
			serving.Go(func() { agent.serve(client, t) })
			require.Equal(t, "presence "+certname+" true", told.next(t))
		}
		connect()
		require.True(t, c.Connected(certname))
		r := run(certname)
		require.NoError(t, c.Start(t.Context(), r))
		require.Equal(t, "provisional "+certname, told.next(t))
		require.Equal(t, "result "+certname+" finished", told.next(t))

		agent.mu.Lock()
		agent.mute = true
		agent.mu.Unlock()
		lost := run(certname)
		require.NoError(t, c.Start(t.Context(), lost))
		require.Equal(t, "provisional "+certname, told.next(t))
		require.Equal(t, "result "+certname+" finished", told.next(t), "by asking")

		large := run(certname)
		large.Params = json.RawMessage(quoted(strings.Repeat("x", 1<<20)))
		require.ErrorContains(t, c.Start(t.Context(), large), "larger than the peer takes")

		s.End() // the next life
		serving.Wait()
		s, c = start()
		for len(told) > 0 {
			require.Equal(t, "presence "+certname+" false", told.next(t))
		}
		require.ErrorIs(t, c.Query(t.Context(), lost), job.ErrNotConnected)
		connect()
		require.NoError(t, c.Query(t.Context(), lost))
		require.Equal(t, "result "+certname+" finished", told.next(t))
		never := run(certname)
		require.NoError(t, c.Query(t.Context(), never))
		require.Equal(t, "error "+certname+": the agent does not know the transaction", told.next(t))
		require.NoError(t, c.Start(t.Context(), lost), "a request that was carried out")
		require.Equal(t, "provisional "+certname, told.next(t))
		require.Equal(t, "result "+certname+" finished", told.next(t))
		require.Equal(t, 2, agent.ran)
		s.Stop()
		serving.Wait()
		for len(told) > 0 {
			told.next(t)
		}
		s, c = start()
	}
}
