package wireformat

import (
	"encoding/binary"
	"math/bits"
	"sync"
	"unsafe"
)

// A payload has thousands of small strings and values that live and die
// together. memory hands them out from chunks and knows recent strings again.
// Chunks are only ever appended to, so a decoder that goes back to the pool
// may keep the unused end of one for the next payload.
type memory struct {
	text    []byte    // chunk of string contents and canonical values
	headers []string  // chunk of strings that are pointed at or are elements
	lines   []int64   // chunk of integers that are pointed at
	recent  []*string // direct-mapped by recentSlot
}

const (
	textChunk   = 32 << 10
	headerChunk = 512
	recentSlots = 1024
)

// decoders keeps decoders with their scratch space for the next body.
var decoders = sync.Pool{New: func() any { return &decoder{memory: memory{recent: make([]*string, recentSlots)}} }}

// bytes copies b into a chunk.
func (m *memory) bytes(b []byte) []byte {
	if len(b) > cap(m.text)-len(m.text) {
		if len(b) > textChunk/4 {
			return append([]byte(nil), b...)
		}
		m.text = make([]byte, 0, textChunk)
	}
	start := len(m.text)
	m.text = append(m.text, b...)
	return m.text[start:len(m.text):len(m.text)]
}

// string copies b into a chunk. Nobody writes to a chunk's used part, so the
// string may share it.
func (m *memory) string(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	c := m.bytes(b)
	return unsafe.String(&c[0], len(c))
}

// pointer gives s a place to point at.
func (m *memory) pointer(s string) *string {
	if len(m.headers) == cap(m.headers) {
		m.headers = make([]string, 0, headerChunk)
	}
	m.headers = append(m.headers, s)
	return &m.headers[len(m.headers)-1]
}

// strings copies list into a chunk.
func (m *memory) strings(list []string) []string {
	if len(list) == 0 {
		return []string{}
	}
	if len(list) > cap(m.headers)-len(m.headers) {
		m.headers = make([]string, 0, max(headerChunk, len(list)))
	}
	start := len(m.headers)
	m.headers = append(m.headers, list...)
	return m.headers[start:len(m.headers):len(m.headers)]
}

// line gives n a place to point at.
func (m *memory) line(n int64) *int64 {
	if len(m.lines) == cap(m.lines) {
		m.lines = make([]int64, 0, headerChunk)
	}
	m.lines = append(m.lines, n)
	return &m.lines[len(m.lines)-1]
}

// intern gives a pointer to a string of content b, the same as last time if
// b was seen lately. The strings must not be written to.
func (m *memory) intern(b []byte) *string {
	slot := &m.recent[recentSlot(b)]
	if *slot == nil || **slot != string(b) {
		*slot = m.pointer(m.string(b))
	}
	return *slot
}

// recentSlot mixes the length and the outer bytes of b.
func recentSlot(b []byte) uint64 {
	const mix = 0x9E3779B97F4A7C15
	var head, tail uint64
	switch n := len(b); {
	case n >= 8:
		head, tail = binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[n-8:])
	case n >= 4:
		head, tail = uint64(binary.LittleEndian.Uint32(b)), uint64(binary.LittleEndian.Uint32(b[n-4:]))
	case n > 0:
		head, tail = uint64(b[0])<<8|uint64(b[n/2]), uint64(b[n-1])
	}
	h := (head ^ bits.RotateLeft64(tail, 29) ^ uint64(len(b))) * mix
	return h >> 54 // the upper ten bits: recentSlots
}

// release forgets the payload.
func (m *memory) release() {
	clear(m.recent)
}
