package pcp

import (
	"bytes"
	"encoding/binary"
	stdjson "encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Version is a form of messages on the wire.
type Version int

// The versions. See doc.go.
const (
	V1 Version = 1 // binary frames
	V2 Version = 2 // text frames
)

// Encode gives a message as one websocket frame.
func (v Version) Encode(m *Message) ([]byte, error) {
	if v == V1 {
		return encodeV1(m)
	}
	return encodeV2(m)
}

// Decode reads one websocket frame. It keeps parts of frame. The error says
// what is wrong with it.
func (v Version) Decode(frame []byte) (*Message, error) {
	if v == V1 {
		return decodeV1(frame)
	}
	return decodeV2(frame)
}

// envelopeV2 is the whole message of version 2.
type envelopeV2 struct {
	ID        string         `json:"id"`
	Type      string         `json:"message_type"`
	Target    string         `json:"target,omitzero"`
	Sender    string         `json:"sender,omitzero"`
	InReplyTo string         `json:"in_reply_to,omitzero"`
	Data      jsontext.Value `json:"data,omitzero"`
}

func decodeV2(frame []byte) (*Message, error) {
	var e envelopeV2
	if err := json.Unmarshal(frame, &e, json.RejectUnknownMembers(true)); err != nil {
		return nil, fmt.Errorf("pcp: %w", err)
	}
	m := &Message{ID: e.ID, Type: e.Type, Target: e.Target, Sender: e.Sender, InReplyTo: e.InReplyTo, Data: stdjson.RawMessage(e.Data)}
	if err := m.check(); err != nil {
		return nil, fmt.Errorf("pcp: %w", err)
	}
	return m, nil
}

func encodeV2(m *Message) ([]byte, error) {
	text, err := json.Marshal(envelopeV2{m.ID, m.Type, m.Target, m.Sender, m.InReplyTo, jsontext.Value(m.Data)})
	if err != nil {
		return nil, fmt.Errorf("pcp: %w", err)
	}
	return text, nil
}

// Chunks of version 1.
const (
	versionV1     = 1
	chunkMask     = 0x0f
	chunkEnvelope = 1
	chunkData     = 2
	chunkDebug    = 3
	chunkHeader   = 5
)

// epoch is the expiry of what we send: agents want one and do not look at it.
const epoch = "1970-01-01T00:00:00.000Z"

// envelopeV1 is the envelope chunk of version 1. Unknown members are refused.
type envelopeV1 struct {
	ID                string   `json:"id"`
	Type              string   `json:"message_type"`
	Expires           string   `json:"expires"`
	Targets           []string `json:"targets"`
	Sender            string   `json:"sender"`
	DestinationReport bool     `json:"destination_report,omitzero"`
	InReplyTo         string   `json:"in-reply-to,omitzero"`
}

// errorV1 is the data of an error_message in version 1.
type errorV1 struct {
	ID          string `json:"id,omitzero"`
	Description string `json:"description"`
}

func decodeV1(frame []byte) (*Message, error) {
	envelope, data, err := splitV1(frame)
	if err != nil {
		return nil, fmt.Errorf("pcp: %w", err)
	}
	var e envelopeV1
	if err := json.Unmarshal(envelope, &e, json.RejectUnknownMembers(true)); err != nil {
		return nil, fmt.Errorf("pcp: envelope: %w", err)
	}
	m := &Message{ID: e.ID, Type: e.Type, Sender: e.Sender, InReplyTo: e.InReplyTo}
	if len(e.Targets) > 0 {
		m.Target = e.Targets[0]
		m.Multicast = len(e.Targets) > 1 || strings.Contains(m.Target, "*")
	}
	if err := m.setDataV1(data); err != nil {
		return nil, err
	}
	if err := m.check(); err != nil {
		return nil, fmt.Errorf("pcp: envelope: %w", err)
	}
	return m, nil
}

// setDataV1 takes the data chunk, nil if there is none.
func (m *Message) setDataV1(data []byte) error {
	if len(data) == 0 {
		return nil
	}
	if !jsontext.Value(data).IsValid() {
		return errors.New("pcp: data is no JSON")
	}
	m.Data = stdjson.RawMessage(data)
	if m.Type != ErrorMessage {
		return nil
	}
	var e errorV1
	if err := json.Unmarshal(data, &e); err != nil {
		return fmt.Errorf("pcp: data of the error_message: %w", err)
	}
	if e.ID != "" {
		m.InReplyTo = e.ID
	}
	m.Data = NewError("", "", e.Description).Data
	return nil
}

// splitV1 finds the chunks. The last data chunk counts, as in upstream's peers.
func splitV1(frame []byte) (envelope, data []byte, err error) {
	if len(frame) == 0 || frame[0] != versionV1 {
		return nil, nil, errors.New("the frame is not of version 1")
	}
	for at := 1; at < len(frame); {
		if len(frame)-at < chunkHeader {
			return nil, nil, fmt.Errorf("a chunk at byte %d ends within its header", at)
		}
		kind, size := frame[at]&chunkMask, uint64(binary.BigEndian.Uint32(frame[at+1:]))
		at += chunkHeader
		if size > uint64(len(frame)-at) {
			return nil, nil, fmt.Errorf("a chunk at byte %d claims %d bytes, and %d are left", at-chunkHeader, size, len(frame)-at)
		}
		content := frame[at : at+int(size)]
		at += int(size)
		first := at-int(size)-chunkHeader == 1
		switch {
		case first != (kind == chunkEnvelope):
			return nil, nil, errors.New("the envelope must be the first chunk, and only that")
		case kind == chunkEnvelope:
			envelope = content
		case kind == chunkData:
			data = content
		case kind != chunkDebug:
			return nil, nil, fmt.Errorf("unknown chunk descriptor %d", kind)
		}
	}
	if envelope == nil {
		return nil, nil, errors.New("the envelope is missing")
	}
	return envelope, data, nil
}

func encodeV1(m *Message) ([]byte, error) {
	e := envelopeV1{ID: m.ID, Type: m.Type, Expires: epoch, Targets: []string{}, Sender: m.Sender}
	if m.Target != "" {
		e.Targets = append(e.Targets, m.Target)
	}
	if e.Sender == "" {
		e.Sender = Server
	}
	if m.Type == InventoryResponse {
		e.InReplyTo = m.InReplyTo
	}
	envelope, err := json.Marshal(e)
	if err != nil {
		return nil, fmt.Errorf("pcp: envelope: %w", err)
	}
	data := []byte(m.Data)
	if m.Type == ErrorMessage {
		if data, err = json.Marshal(errorV1{m.InReplyTo, strings.ToValidUTF8(m.ErrorText(), string(utf8.RuneError))}); err != nil {
			return nil, fmt.Errorf("pcp: data: %w", err)
		}
	}
	frame := bytes.NewBuffer(make([]byte, 0, 1+2*chunkHeader+len(envelope)+len(data)))
	frame.WriteByte(versionV1)
	writeChunk(frame, chunkEnvelope, envelope)
	if len(data) > 0 {
		writeChunk(frame, chunkData, data)
	}
	return frame.Bytes(), nil
}

func writeChunk(frame *bytes.Buffer, kind byte, content []byte) {
	frame.WriteByte(kind)
	_ = binary.Write(frame, binary.BigEndian, uint32(len(content))) // to memory: never fails
	frame.Write(content)
}
