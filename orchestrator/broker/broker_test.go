package broker_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"dalang/orchestrator/broker"
	"dalang/orchestrator/broker/brokertest"
	"dalang/orchestrator/pcp"
)

func TestConfig(t *testing.T) {
	for name, c := range map[string]struct {
		cfg   broker.Config
		wrong string
	}{
		"no name":        {broker.Config{}, `the name must be a certname, and is ""`},
		"a URI":          {broker.Config{Name: "pcp://a/b"}, "must be a certname"},
		"small budget":   {broker.Config{Name: "a", MaxMessage: 100, Budget: 150}, "at least two messages"},
		"no CRL":         {broker.Config{Name: "a", CRL: "testdata/none.pem", CA: "testdata/none.pem"}, "no such file"},
		"burst too much": {broker.Config{Name: "a", Burst: 100, QueueLen: 100}, "must be less than the length of the queue"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := broker.New(c.cfg)
			require.ErrorContains(t, err, c.wrong)
		})
	}
}

func TestPaths(t *testing.T) {
	s, l := start(t, broker.Config{})
	for i, c := range []struct{ path, clientType string }{
		{"/pcp", "agent"}, {"/pcp/", "agent"}, {"/pcp/agent", "agent"}, {"/pcp/tool", "tool"},
		{"/pcp2", "agent"}, {"/pcp2/", "agent"}, {"/pcp2/agent", "agent"}, {"/pcp2/my.tool-1_x", "my.tool-1_x"},
	} {
		certname := string(rune('a'+i)) + ".example.com"
		client := s.Dial(t, c.path, certname)
		uri := "pcp://" + certname + "/" + c.clientType
		require.Equal(t, "+"+uri, next(t, l.presence))
		entry, there := s.Find(pcp.URI{Certname: certname, Type: c.clientType})
		require.True(t, there)
		version := pcp.V1
		if strings.HasPrefix(c.path, "/pcp2") {
			version = pcp.V2
		}
		require.Equal(t, version, entry.Version)
		require.Contains(t, entry.Remote, "127.0.0.1:")
		roundTrip(t, s, l, client)
	}
	require.Len(t, s.Inventory(), 8)
	cert := s.CA.Issue(t, "own")
	own := s.DialWith(t, "/pcp2/agent", &cert, &websocket.DialOptions{HTTPHeader: http.Header{"User-Agent": {pcp.OwnAgent}}})
	roundTrip(t, s, l, own)
	for _, entry := range s.Inventory() {
		require.Equal(t, entry.Peer.Certname == "own", entry.Own, "%s", entry.Peer)
	}
	require.Equal(t, "pcp://"+brokertest.Name+"/server", s.URI())
	for _, path := range []string{"/", "/pcp3", "/pcpx", "/pcp2/a/b", "/pcp/..", "/pcp2/a%2fb", "/pcp2/agent%0a"} {
		w := httptest.NewRecorder()
		s.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		require.NotEqual(t, http.StatusSwitchingProtocols, w.Code, path)
		require.GreaterOrEqual(t, w.Code, 400, path)
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/pcp2/agent", nil))
	require.Equal(t, http.StatusUpgradeRequired, w.Code, "a plain GET")
}

// TestRefused: connections that are closed at once, with the code that tells why.
func TestRefused(t *testing.T) {
	s, _ := start(t, broker.Config{PerName: 2, Farewell: 100 * time.Millisecond})
	code := func(path, certname string) websocket.StatusCode { return s.Dial(t, path, certname).Closed() }
	require.EqualValues(t, 4003, s.DialWith(t, "/pcp2/agent", nil, nil).Closed(), "no certificate")
	require.EqualValues(t, 4002, code("/pcp2/server", "a.example.com"))
	require.EqualValues(t, 4002, code("/pcp/server", "a.example.com"))
	require.EqualValues(t, 4002, code("/pcp2/orchestrator", brokertest.Name), "the place of a local peer")
	require.EqualValues(t, 4003, code("/pcp2/agent", ""))
	require.EqualValues(t, 4003, code("/pcp2/agent", "*"), "a wildcard for a name")
	require.EqualValues(t, 4003, code("/pcp2/agent", "a/b"))
	foreign := brokertest.NewCA(t).Issue(t, "a.example.com")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	transport := &http.Transport{TLSClientConfig: s.CA.Client(&foreign)}
	defer transport.CloseIdleConnections()
	_, _, err := websocket.Dial(ctx, "wss://"+s.Addr+"/pcp2/agent", &websocket.DialOptions{HTTPClient: &http.Client{Transport: transport}})
	require.ErrorContains(t, err, "tls:", "a certificate of somebody else's CA")
	s.Dial(t, "/pcp2/one", "b.example.com")
	s.Dial(t, "/pcp2/two", "b.example.com")
	eventually(t, "two", func() bool { return len(s.Inventory()) == 2 })
	require.EqualValues(t, 1013, code("/pcp2/three", "b.example.com"), "too many of one name")
	s.Stop()
	require.EqualValues(t, 1011, code("/pcp2/agent", "a.example.com"), "the broker is not running")
	require.Empty(t, s.Inventory())
}

// TestAssociation: what agents of version 1 say first.
func TestAssociation(t *testing.T) {
	s, l := start(t, broker.Config{})
	for _, path := range []string{"/pcp", "/pcp2/agent"} {
		c := s.Dial(t, path, "a.example.com")
		next(t, l.presence)
		for range 2 { // associating again does no harm
			m := says(t, pcp.AssociateRequest, pcp.Server, nil)
			m.Sender = c.URI
			c.Send(m)
			answer := c.Receive()
			require.Equal(t, pcp.AssociateResponse, answer.Type)
			require.Equal(t, c.URI, answer.Target)
			require.Equal(t, pcp.Server, answer.Sender)
			require.JSONEq(t, `{"id":"`+m.ID+`","success":true}`, string(answer.Data))
			if path != "/pcp" {
				require.Equal(t, m.ID, answer.InReplyTo)
			}
		}
		roundTrip(t, s, l, c)
		for sender, why := range map[string]string{"pcp://a.example.com/tool": "is that of", "pcp://b.example.com/agent": "not authenticated"} {
			c := s.Dial(t, path, "a.example.com") // takes the other's place
			m := says(t, pcp.AssociateRequest, pcp.Server, nil)
			m.Sender = sender
			c.Send(m)
			answer := c.Receive()
			var data struct {
				ID      string
				Success *bool
				Reason  string
			}
			require.NoError(t, json.Unmarshal(answer.Data, &data))
			require.Equal(t, m.ID, data.ID)
			require.False(t, *data.Success)
			require.Contains(t, data.Reason, why)
			require.EqualValues(t, 4002, c.Closed())
		}
	}
}

// TestAuthorization is the table of doc.go, asked of each kind of sender.
func TestAuthorization(t *testing.T) {
	s, l := start(t, broker.Config{Controllers: []string{"boss.example.com"}})
	clients := map[string]*brokertest.Client{
		"agent": s.Dial(t, "/pcp2/agent", "a.example.com"), "old agent": s.Dial(t, "/pcp", "o.example.com"),
		"boss": s.Dial(t, "/pcp2/tool", "boss.example.com"), "old boss": s.Dial(t, "/pcp/old", "boss.example.com"),
	}
	eventually(t, "all are there", func() bool { return len(s.Inventory()) == len(clients) })
	const a, o, boss, oldBoss = "pcp://a.example.com/agent", "pcp://o.example.com/agent", "pcp://boss.example.com/tool", "pcp://boss.example.com/old"
	responses := []string{pcp.BlockingResponse, pcp.NonBlockingResponse, pcp.ProvisionalResponse, pcp.RPCError, pcp.ErrorMessage}
	requests := []string{pcp.BlockingRequest, pcp.NonBlockingRequest}
	for _, c := range []struct {
		who     string
		types   []string
		targets []string
		error   string // "": it arrives; "nothing": neither does an error
	}{
		{"agent", responses, []string{here, boss, oldBoss}, ""},
		{"old agent", responses, []string{here, boss, oldBoss}, ""},
		{"boss", requests, []string{a, o, here}, ""},
		{"old boss", requests, []string{a, o}, ""},
		{"agent", requests, []string{a, o, here, boss, pcp.Server}, "Message not authorized."},
		{"old agent", requests, []string{a, here}, "Message not authorized."},
		{"agent", responses[:4], []string{o, pcp.Server, "pcp://x.example.com/orchestrator", s.URI()}, "Message not authorized."},
		{"agent", []string{pcp.ErrorMessage}, []string{o, pcp.Server}, "nothing"},
		{"agent", []string{pcp.InventoryRequest}, []string{pcp.Server, s.URI()}, "Message not authorized."},
		{"agent", []string{pcp.AssociateResponse, pcp.InventoryUpdate, "anything"}, []string{here, pcp.Server}, "Message not authorized."},
		{"boss", requests, []string{pcp.Server, s.URI()}, "Message not authorized."},
		{"boss", []string{"http://puppetlabs.com/whatever", "what ever"}, []string{a}, "Message not authorized."},
		{"boss", requests, []string{"pcp://a.example.com/ag ent"}, "Message not authorized."},
		{"boss", requests, []string{"pcp://*/agent", "pcp://a.example.com/*"}, "Multiple recipients no longer supported."},
		{"old boss", requests, []string{"pcp://*/agent"}, "Multiple recipients no longer supported."},
		{"boss", requests, []string{"pcp://z.example.com/agent", "pcp://a.example.com/tool"}, "Not connected."},
		{"agent", responses[:4], []string{"pcp://boss.example.com/gone"}, "Not connected."},
		{"agent", []string{pcp.ErrorMessage}, []string{"pcp://boss.example.com/gone"}, "nothing"},
	} {
		for _, messageType := range c.types {
			for _, target := range c.targets {
				from := clients[c.who]
				var data any = map[string]int{"n": 1}
				if messageType == pcp.ErrorMessage {
					data = "woe"
				}
				m := says(t, messageType, target, data)
				from.Send(m)
				switch c.error {
				case "":
					requireArrives(t, l, clients, m, from.URI)
				case "nothing":
					roundTrip(t, s, l, from)
				default:
					answer := from.Receive()
					require.Equal(t, pcp.ErrorMessage, answer.Type)
					require.Equal(t, m.ID, answer.InReplyTo)
					require.Equal(t, c.error, answer.ErrorText(), "%s from %s to %s", messageType, c.who, target)
				}
			}
		}
	}
	require.Empty(t, l.messages)
}

// requireArrives wants the message at its target, with the true sender.
func requireArrives(t *testing.T, l *local, clients map[string]*brokertest.Client, sent *pcp.Message, sender string) {
	t.Helper()
	var got *pcp.Message
	if sent.Target == here {
		got = next(t, l.messages)
	}
	for _, c := range clients {
		if c.URI == sent.Target {
			got = c.Receive()
		}
	}
	require.NotNil(t, got)
	require.Equal(t, sender, got.Sender)
	require.Equal(t, sent.Target, got.Target)
	require.Equal(t, sent.Type, got.Type)
	require.JSONEq(t, string(sent.Data), string(got.Data))
	require.Equal(t, sent.ID, got.ID)
}

// TestSenders: a message carries the URI of its connection, or is refused.
func TestSenders(t *testing.T) {
	s, l := start(t, broker.Config{Controllers: []string{"boss.example.com"}})
	for _, path := range []string{"/pcp", "/pcp2/agent"} {
		c := s.Dial(t, path, "a.example.com")
		for sender, arrives := range map[string]bool{
			"": path != "/pcp", c.URI: true, "pcp://a.example.com/tool": true, // it is the name that was proved
			"pcp://b.example.com/agent": false, here: false, pcp.Server: false, "pcp://A.example.com/agent": false,
			"pcp://boss.example.com/agent": false, "pcp://*/agent": false,
		} {
			m := says(t, pcp.BlockingResponse, here, 1)
			m.Sender = sender
			if sender == "" && path == "/pcp" {
				m.Sender = "pcp:///agent" // version 1 always has one
			}
			c.Send(m)
			if arrives {
				require.Equal(t, c.URI, next(t, l.messages).Sender)
				continue
			}
			answer := c.Receive()
			require.Equal(t, "Message not authenticated.", answer.ErrorText(), sender)
			require.Equal(t, m.ID, answer.InReplyTo)
		}
		roundTrip(t, s, l, c)
	}
	require.Empty(t, l.messages)
}

// TestSuperseded: the last connection of a URI wins, and the end of the one
// before does not take it out.
func TestSuperseded(t *testing.T) {
	s, l := start(t, broker.Config{})
	first := s.Dial(t, "/pcp2/agent", "a.example.com")
	require.Equal(t, "+"+first.URI, next(t, l.presence))
	old := first
	for range 5 {
		c := s.Dial(t, "/pcp/agent", "a.example.com")
		require.Equal(t, "+"+c.URI, next(t, l.presence), "again")
		require.EqualValues(t, 4000, old.Closed())
		require.Len(t, s.Inventory(), 1)
		old = c
	}
	roundTrip(t, s, l, old)
	tool := s.Dial(t, "/pcp2/tool", "a.example.com")
	require.Equal(t, "+"+tool.URI, next(t, l.presence))
	roundTrip(t, s, l, old)
	roundTrip(t, s, l, tool)
	require.NoError(t, old.Conn.Close(websocket.StatusNormalClosure, ""))
	require.Equal(t, "-"+old.URI, next(t, l.presence))
	require.ErrorIs(t, s.Send(message(t, pcp.BlockingRequest, old.URI, 1)), broker.ErrNotConnected)
	_, there := s.Find(pcp.AgentURI("a.example.com"))
	require.False(t, there)
	roundTrip(t, s, l, tool)
}

// TestLocalToLocal: peers in the process reach each other, and nobody else's place.
func TestLocalToLocal(t *testing.T) {
	one, two := newLocal(), newLocal()
	s := brokertest.Start(t, brokertest.NewCA(t), broker.Config{}, map[string]broker.Local{"orchestrator": one, "other": two})
	require.NoError(t, s.Send(message(t, "x", "pcp://"+brokertest.Name+"/other", nil)))
	require.Equal(t, here, next(t, two.messages).Sender)
	require.ErrorIs(t, s.Send(message(t, "x", "pcp://"+brokertest.Name+"/third", nil)), broker.ErrNotConnected)
	require.Empty(t, one.messages)
}

// TestShutdown sends everybody away, whatever they are at.
func TestShutdown(t *testing.T) {
	s, l := start(t, broker.Config{})
	var clients []*brokertest.Client
	for _, path := range []string{"/pcp", "/pcp2/agent", "/pcp2/tool"} {
		clients = append(clients, s.Dial(t, path, "a"+strings.ReplaceAll(path, "/", "")))
		next(t, l.presence)
	}
	codes := make(chan websocket.StatusCode, len(clients))
	for _, c := range clients {
		go func() {
			_, err := c.Next()
			codes <- websocket.CloseStatus(err)
		}()
	}
	s.Stop()
	for range clients {
		require.EqualValues(t, 1001, next(t, codes))
	}
	require.Empty(t, s.Inventory())
	require.False(t, s.Running())
}
