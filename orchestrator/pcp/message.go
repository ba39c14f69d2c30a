package pcp

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/google/uuid"
)

// Types of messages of the protocol itself, and of PXP, which runs on top of
// it (package pxp).
const (
	prefix             = "http://puppetlabs.com/"
	AssociateRequest   = prefix + "associate_request"
	AssociateResponse  = prefix + "associate_response"
	InventoryRequest   = prefix + "inventory_request"
	InventoryResponse  = prefix + "inventory_response"
	InventoryUpdate    = prefix + "inventory_update"
	ErrorMessage       = prefix + "error_message"
	BlockingRequest    = prefix + "rpc_blocking_request"
	BlockingResponse   = prefix + "rpc_blocking_response"
	NonBlockingRequest = prefix + "rpc_non_blocking_request"
	// NonBlockingResponse tells how a run ended.
	NonBlockingResponse = prefix + "rpc_non_blocking_response"
	// ProvisionalResponse tells that a run has been taken on.
	ProvisionalResponse = prefix + "rpc_provisional_response"
	RPCError            = prefix + "rpc_error_message"
)

// Server is the URI of the broker that one is connected to.
const Server = "pcp:///server"

// AgentType is the client type of agents.
const AgentType = "agent"

// OwnAgent is what our own agent calls itself as it connects, in User-Agent. It
// takes params that upstream's agent, strict with some, does not know.
const OwnAgent = "dalang-agent"

// Sizes of messages on the wire, in bytes.
const (
	// MaxMessage is the largest that agents send: their max-message-size.
	MaxMessage = 64 << 20
	// MaxToAgent is the largest that the websocket library in upstream's agent
	// takes.
	MaxToAgent = 32_000_000
)

// Message is one message, whatever form it had.
type Message struct {
	ID        string // a UUID
	Type      string
	Target    string          // a URI, or ""
	Sender    string          // a URI, or ""
	InReplyTo string          // a UUID, or ""
	Data      json.RawMessage // any JSON; nil: none
	// Multicast: version 1 named several targets, or one with a wildcard.
	// Nobody delivers such messages any more. Target is the first.
	Multicast bool
}

// New makes a message with a fresh id. Data may be nil, or is made JSON.
func New(messageType, target string, data any) (*Message, error) {
	m := &Message{ID: uuid.NewString(), Type: messageType, Target: target}
	if data == nil {
		return m, nil
	}
	text, err := json.Marshal(data)
	if err != nil {
		return nil, fmt.Errorf("pcp: data of %s: %w", messageType, err)
	}
	m.Data = text
	return m, nil
}

// NewError makes the answer to a message that cannot be carried out. An empty
// inReplyTo is left out: the offender could not be read.
func NewError(target, inReplyTo, description string) *Message {
	text, err := json.Marshal(description)
	if err != nil { // of a string: never
		text = []byte(`""`)
	}
	return &Message{ID: uuid.NewString(), Type: ErrorMessage, Target: target, Sender: Server, InReplyTo: inReplyTo, Data: text}
}

// ErrorText is what an error_message says.
func (m *Message) ErrorText() string {
	var text string
	if json.Unmarshal(m.Data, &text) != nil {
		return string(m.Data)
	}
	return text
}

// URI is the address of a peer.
type URI struct{ Certname, Type string }

// String gives pcp://<certname>/<type>.
func (u URI) String() string { return "pcp://" + u.Certname + "/" + u.Type }

// Wildcard tells whether a part of it stands for anything.
func (u URI) Wildcard() bool { return u.Certname == "*" || u.Type == "*" }

// Matches tells whether the pattern u, in which * stands for a whole part,
// covers other.
func (u URI) Matches(other URI) bool {
	return (u.Certname == "*" || u.Certname == other.Certname) && (u.Type == "*" || u.Type == other.Type)
}

// ParseURI reads a URI or a pattern.
func ParseURI(text string) (URI, error) {
	rest, ok := strings.CutPrefix(text, "pcp://")
	certname, kind, slash := strings.Cut(rest, "/")
	if !ok || !slash || kind == "" {
		return URI{}, fmt.Errorf("pcp: %.200q is no URI: want pcp://<certname>/<type>", text)
	}
	return URI{certname, kind}, nil
}

// AgentURI is where the agent of a node is.
func AgentURI(certname string) URI { return URI{certname, AgentType} }

var (
	typeShape   = regexp.MustCompile(`^[\w\-.:/]*$`)
	targetShape = regexp.MustCompile(`^[\w\-.:/*]*$`)
)

// WellFormed tells whether type and target have only characters that the
// protocol allows them.
func (m *Message) WellFormed() bool {
	return typeShape.MatchString(m.Type) && targetShape.MatchString(m.Target)
}

// check is what both forms have in common.
func (m *Message) check() error {
	var errs []error
	if !isUUID(m.ID) {
		errs = append(errs, fmt.Errorf("id %.80q is no UUID", m.ID))
	}
	if m.Type == "" {
		errs = append(errs, errors.New("message_type is missing"))
	}
	if m.InReplyTo != "" && !isUUID(m.InReplyTo) {
		errs = append(errs, fmt.Errorf("in_reply_to %.80q is no UUID", m.InReplyTo))
	}
	for _, uri := range [...]string{m.Target, m.Sender} {
		if uri == "" {
			continue
		}
		if _, err := ParseURI(uri); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// isUUID allows the usual form only.
func isUUID(text string) bool {
	return len(text) == 36 && uuid.Validate(text) == nil
}
