package agent

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"dalang/orchestrator/agent/pki"
	"dalang/orchestrator/agent/pki/pkitest"
	"dalang/orchestrator/pcp"
)

const controller = "pcp://server.example.com/orchestrator"

// fakeBroker is the other end: one websocket at a time, and what comes over it.
type fakeBroker struct {
	t      *testing.T
	server *httptest.Server
	url    string
	came   chan *pcp.Message

	mu      sync.Mutex
	conn    *websocket.Conn
	joined  chan struct{} // receives for each connection
	paths   []string
	names   []string
	refuses bool
}

// setting is a CA, a broker and the files of a node.
type setting struct {
	ca     *pkitest.Authority
	broker *fakeBroker
	node   pki.Files
}

func set(t *testing.T) *setting {
	s := &setting{ca: pkitest.New(t)}
	s.node = s.ca.Issue("node.example.com")
	s.broker = s.newBroker(t, s.ca.Issue("server.example.com"))
	return s
}

func (s *setting) newBroker(t *testing.T, files pki.Files) *fakeBroker {
	b := &fakeBroker{t: t, came: make(chan *pcp.Message, 1000), joined: make(chan struct{}, 1000)}
	b.server = httptest.NewUnstartedServer(b)
	b.server.TLS = s.ca.Server(files)
	b.server.Config.ErrorLog = log.New(io.Discard, "", 0)
	b.server.StartTLS()
	b.url = "wss" + strings.TrimPrefix(b.server.URL, "https")
	t.Cleanup(func() { b.drop(); b.server.Close() })
	return b
}

func (b *fakeBroker) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	refuses := b.refuses
	b.mu.Unlock()
	if refuses {
		http.Error(w, "not now", http.StatusServiceUnavailable)
		return
	}
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	conn.SetReadLimit(pcp.MaxMessage)
	b.mu.Lock()
	b.conn = conn
	b.paths = append(b.paths, r.URL.Path)
	b.names = append(b.names, r.TLS.PeerCertificates[0].Subject.CommonName)
	b.mu.Unlock()
	b.joined <- struct{}{}
	for {
		kind, frame, err := conn.Read(context.Background())
		if err != nil {
			_ = conn.CloseNow()
			return
		}
		m, err := pcp.V2.Decode(frame)
		if err != nil || kind != websocket.MessageText {
			b.t.Errorf("the agent sent %q: %v", frame, err)
			return
		}
		b.came <- m
	}
}

func (b *fakeBroker) current() *websocket.Conn {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.conn
}

// drop cuts the connection.
func (b *fakeBroker) drop() {
	if conn := b.current(); conn != nil {
		_ = conn.CloseNow()
	}
}

func (b *fakeBroker) refuse(yes bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.refuses = yes
}

// join waits for a connection.
func (b *fakeBroker) join() {
	b.t.Helper()
	select {
	case <-b.joined:
	case <-time.After(20 * time.Second):
		b.t.Fatal("the agent does not connect")
	}
}

func (b *fakeBroker) send(kind string, data any) (id string) {
	b.t.Helper()
	m, err := pcp.New(kind, "pcp://node.example.com/agent", data)
	require.NoError(b.t, err)
	m.Sender = controller
	b.sendMessage(m)
	return m.ID
}

func (b *fakeBroker) sendMessage(m *pcp.Message) {
	b.t.Helper()
	frame, err := pcp.V2.Encode(m)
	require.NoError(b.t, err)
	require.NoError(b.t, b.current().Write(context.Background(), websocket.MessageText, frame))
}

// next waits for a message of a type.
func (b *fakeBroker) next(kind string) *pcp.Message {
	b.t.Helper()
	select {
	case m := <-b.came:
		require.Equal(b.t, kind, m.Type, string(m.Data))
		return m
	case <-time.After(20 * time.Second):
		b.t.Fatal("the agent does not send " + kind)
		return nil
	}
}

// blocking asks and answers the response's results, or the error.
func (b *fakeBroker) blocking(module, action string, params any) (results, refusal string) {
	b.t.Helper()
	tx := uuid.NewString()
	id := b.send(pcp.BlockingRequest, map[string]any{"transaction_id": tx, "module": module, "action": action, "params": params})
	select {
	case m := <-b.came:
		var answer struct {
			Transaction string          `json:"transaction_id"`
			ID          string          `json:"id"`
			Description string          `json:"description"`
			Results     json.RawMessage `json:"results"`
		}
		require.NoError(b.t, json.Unmarshal(m.Data, &answer))
		require.Equal(b.t, tx, answer.Transaction)
		require.Equal(b.t, controller, m.Target)
		if m.Type == pcp.RPCError {
			require.Equal(b.t, id, answer.ID)
			return "", answer.Description
		}
		require.Equal(b.t, pcp.BlockingResponse, m.Type)
		return string(answer.Results), ""
	case <-time.After(20 * time.Second):
		b.t.Fatal("no answer")
		return "", ""
	}
}

// status asks for one.
func (b *fakeBroker) status(tx string) map[string]any {
	b.t.Helper()
	results, refusal := b.blocking("status", "query", map[string]any{"transaction_id": tx})
	require.Empty(b.t, refusal)
	var status map[string]any
	require.NoError(b.t, json.Unmarshal([]byte(results), &status))
	require.Equal(b.t, tx, status["transaction_id"])
	return status
}

// command asks for a shell command.
func (b *fakeBroker) command(tx, command string) (id string) {
	b.t.Helper()
	return b.send(pcp.NonBlockingRequest, map[string]any{
		"transaction_id": tx, "notify_outcome": true, "module": "command", "action": "run", "params": map[string]any{"command": command},
	})
}

// quiet makes sure that nothing more comes: what was sent before an answer to
// this ping would be there.
func (b *fakeBroker) quiet() {
	b.t.Helper()
	results, _ := b.blocking("ping", "ping", nil)
	require.JSONEq(b.t, `{"request_hops":[]}`, results)
	select {
	case m := <-b.came:
		b.t.Fatal(fmt.Sprintf("unexpected: %s %s", m.Type, m.Data))
	default:
	}
}

// muteHandler takes connections, and neither reads nor writes.
type muteHandler struct{ b *fakeBroker }

func (h muteHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	h.b.mu.Lock()
	defer h.b.mu.Unlock()
	if h.b.conn != nil {
		_ = h.b.conn.CloseNow()
	}
	h.b.conn = conn
}
