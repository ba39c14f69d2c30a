package broker

import (
	"errors"
	"strings"

	"github.com/coder/websocket"

	"dalang/orchestrator/pcp"
)

// What the broker answers to messages that it does not hand on. The texts are
// upstream's.
const (
	badFrame         = "Could not decode message"
	notAuthenticated = "Message not authenticated."
	notAuthorized    = "Message not authorized."
	multicast        = "Multiple recipients no longer supported."
	notConnected     = "Not connected."
	notKeepingUp     = "The target does not keep up."
)

// handle does what a frame asks for.
func (b *Broker) handle(s *session, kind websocket.MessageType, frame []byte) {
	m, err := s.version.Decode(frame)
	if err == nil && (kind == websocket.MessageBinary) != (s.version == pcp.V1) {
		err = errors.New("a frame of the other version")
	}
	if err != nil {
		b.metrics.rejected.WithLabelValues("frame").Inc()
		b.cfg.Logger.Debug("a frame cannot be read", "uri", s.uri, "error", err)
		_ = s.send(pcp.NewError(s.uri, "", badFrame)) // it is gone, and will know
		return
	}
	b.metrics.received.WithLabelValues(typeLabel(m.Type)).Inc()
	if m.Sender == "" {
		m.Sender = s.uri
	}
	if m.Target == "" || m.Target == b.URI() {
		m.Target = pcp.Server
	}
	if why, label := b.refusal(s, m); why != "" {
		b.metrics.rejected.WithLabelValues(label).Inc()
		b.cfg.Logger.Debug("a message was refused", "uri", s.uri, "message_type", m.Type, "target", m.Target, "reason", why)
		if m.Type == pcp.AssociateRequest {
			b.associated(s, m, why)
			return
		}
		b.reject(s, m, why)
		return
	}
	claimed := m.Sender
	m.Sender = s.uri
	switch {
	case m.Target != pcp.Server:
		b.forward(s, m)
	case m.Type == pcp.AssociateRequest && claimed != s.uri:
		b.associated(s, m, "The connection is that of "+s.uri+".")
	case m.Type == pcp.AssociateRequest:
		b.associated(s, m, "")
	case m.Type == pcp.InventoryRequest:
		b.inventory(s, m)
	}
}

// forward hands a message on. A target whose queue is full is not evicted for
// it: others must not be able to have a peer disconnected. Its own writer does
// that when it no longer reads.
func (b *Broker) forward(s *session, m *pcp.Message) {
	local, target := b.find(m.Target)
	if local != nil {
		local.Receive(m)
		return
	}
	err := ErrNotConnected
	if target != nil {
		err = target.enqueue(m)
	}
	switch {
	case err == nil:
	case errors.Is(err, ErrNotConnected):
		b.metrics.rejected.WithLabelValues("absent").Inc()
		b.reject(s, m, notConnected)
	case errors.Is(err, errFull):
		b.metrics.rejected.WithLabelValues("full").Inc()
		b.reject(s, m, notKeepingUp)
	default:
		b.metrics.rejected.WithLabelValues("size").Inc()
		b.reject(s, m, err.Error())
	}
}

// reject answers a message with an error, unless it is one itself: two peers
// would go on for ever.
func (b *Broker) reject(s *session, m *pcp.Message, why string) {
	if m.Type != pcp.ErrorMessage {
		_ = s.send(pcp.NewError(s.uri, m.ID, why)) // it is gone, and will know
	}
}

// refusal says why a message is not handed on, and the metric's label; "" if it is.
func (b *Broker) refusal(s *session, m *pcp.Message) (why, label string) {
	sender, err := pcp.ParseURI(m.Sender)
	switch {
	case err != nil || sender.Certname != s.peer.Certname:
		return notAuthenticated, "sender"
	case !m.WellFormed() || !b.may(s.peer.Certname, m):
		return notAuthorized, "rules"
	case m.Multicast || strings.Contains(m.Target, "*"):
		return multicast, "multicast"
	}
	return "", ""
}

// may is the table of doc.go.
func (b *Broker) may(certname string, m *pcp.Message) bool {
	switch m.Type {
	case pcp.AssociateRequest:
		return m.Target == pcp.Server
	case pcp.InventoryRequest:
		return m.Target == pcp.Server && b.gives(certname)
	case pcp.BlockingRequest, pcp.NonBlockingRequest:
		return m.Target != pcp.Server && b.gives(certname)
	case pcp.BlockingResponse, pcp.NonBlockingResponse, pcp.ProvisionalResponse, pcp.RPCError, pcp.ErrorMessage:
		return b.takes(m.Target)
	}
	return false
}

// gives tells whether a certname may give orders.
func (b *Broker) gives(certname string) bool { return b.controllers[certname] }

// takes tells whether a URI is a controller's.
func (b *Broker) takes(target string) bool {
	b.mu.RLock()
	local := b.locals[target]
	b.mu.RUnlock()
	if local != nil {
		return true
	}
	uri, err := pcp.ParseURI(target)
	return err == nil && b.controllers[uri.Certname]
}

// associated answers an associate_request. A reason is a refusal, and the end.
func (b *Broker) associated(s *session, m *pcp.Message, reason string) {
	data := struct {
		ID      string `json:"id"`
		Success bool   `json:"success"`
		Reason  string `json:"reason,omitempty"`
	}{m.ID, reason == "", reason}
	b.tell(s, pcp.AssociateResponse, m.ID, data)
	if reason != "" {
		s.shutAfterQueue(codeUnassociated, "Association unsuccessful.", "type")
	}
}

// tell sends a message of the broker's own.
func (b *Broker) tell(s *session, messageType, inReplyTo string, data any) {
	m, err := pcp.New(messageType, s.uri, data)
	if err != nil {
		b.cfg.Logger.Error("a message cannot be written", "error", err)
		return
	}
	m.Sender, m.InReplyTo = pcp.Server, inReplyTo
	_ = s.send(m) // it is gone, and will know
}
