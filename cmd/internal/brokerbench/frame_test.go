package brokerbench

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
)

// Kinds of websocket frames.
const (
	textFrame  = 1
	closeFrame = 8
	pingFrame  = 9
	pongFrame  = 10
)

// frame makes a client's frame. Its mask is zero, which changes nothing and
// costs nothing.
func frame(kind byte, payload []byte) []byte {
	f := []byte{0x80 | kind}
	switch n := len(payload); {
	case n < 126:
		f = append(f, 0x80|byte(n))
	case n < 1<<16:
		f = binary.BigEndian.AppendUint16(append(f, 0x80|126), uint16(n))
	default:
		f = binary.BigEndian.AppendUint64(append(f, 0x80|127), uint64(n))
	}
	return append(append(f, 0, 0, 0, 0), payload...)
}

// readFrame reads a server's frame. The server never fragments.
func readFrame(r *bufio.Reader) (kind byte, payload []byte, err error) {
	var head [8]byte
	if _, err := io.ReadFull(r, head[:2]); err != nil {
		return 0, nil, err
	}
	kind, size := head[0]&0x0f, uint64(head[1]&0x7f)
	if head[0]&0x80 == 0 {
		return 0, nil, fmt.Errorf("a fragment of kind %d", kind)
	}
	switch size {
	case 126:
		_, err = io.ReadFull(r, head[:2])
		size = uint64(binary.BigEndian.Uint16(head[:2]))
	case 127:
		_, err = io.ReadFull(r, head[:8])
		size = binary.BigEndian.Uint64(head[:8])
	}
	if err != nil {
		return 0, nil, err
	}
	payload = make([]byte, size)
	_, err = io.ReadFull(r, payload)
	return kind, payload, err
}
