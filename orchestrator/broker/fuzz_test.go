package broker

import (
	"testing"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"dalang/orchestrator/pcp"
)

// sieve is a local peer that checks what reaches it.
type sieve struct {
	t      *testing.T
	sender string
	got    int
}

func (s *sieve) Presence(pcp.URI, bool) {}
func (s *sieve) Receive(m *pcp.Message) {
	s.got++
	require.Equal(s.t, s.sender, m.Sender)
	require.Contains(s.t, []string{pcp.BlockingResponse, pcp.NonBlockingResponse, pcp.ProvisionalResponse, pcp.RPCError, pcp.ErrorMessage}, m.Type)
	require.False(s.t, m.Multicast)
}

// FuzzFrames: whatever an agent sends, only its own answers get through, under
// its own name.
func FuzzFrames(f *testing.F) {
	const id = "0d0a1b2c-3d4e-4f50-8192-a3b4c5d6e7f8"
	for _, messageType := range []string{pcp.AssociateRequest, pcp.InventoryRequest, pcp.BlockingRequest, pcp.BlockingResponse, pcp.ErrorMessage} {
		for _, target := range []string{pcp.Server, "pcp://s/orchestrator", "pcp://*/agent", ""} {
			m := &pcp.Message{ID: id, Type: messageType, Target: target, Sender: "pcp://a/agent", InReplyTo: id, Data: []byte(`{"query":["pcp://*/*"],"subscribe":true}`)}
			for _, v := range []pcp.Version{pcp.V1, pcp.V2} {
				frame, err := v.Encode(m)
				require.NoError(f, err)
				f.Add(frame, v == pcp.V1)
			}
		}
	}
	f.Fuzz(func(t *testing.T, frame []byte, binary bool) {
		b, err := New(Config{Name: "s", Controllers: []string{"c"}})
		require.NoError(t, err)
		version, kind := pcp.V2, websocket.MessageText
		if binary {
			version, kind = pcp.V1, websocket.MessageBinary
		}
		s := newSession(b, version, pcp.URI{Certname: "a", Type: "agent"}, nil, "")
		s.closed = true // answers go nowhere
		b.sessions[s.uri] = s
		local := &sieve{t: t, sender: s.uri}
		b.Attach("orchestrator", local)
		b.handle(s, kind, frame)
		require.Empty(t, b.subs, "agents may not subscribe")
		m, err := version.Decode(frame)
		if local.got > 0 {
			require.NoError(t, err)
			claimed, err := pcp.ParseURI(m.Sender)
			require.True(t, m.Sender == "" || err == nil && claimed.Certname == "a")
		}
	})
}
