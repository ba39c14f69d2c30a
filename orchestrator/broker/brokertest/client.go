package brokertest

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"dalang/orchestrator/pcp"
)

// Client is a peer that keeps to the protocol.
type Client struct {
	Conn    *websocket.Conn
	URI     string
	version pcp.Version
	t       testing.TB
}

// Dial connects a certname with a certificate made for it. path is /pcp2/agent
// and the like.
func (s *Server) Dial(t testing.TB, path, certname string) *Client {
	t.Helper()
	cert := s.CA.Issue(t, certname)
	return s.DialWith(t, path, &cert, nil)
}

// DialWith connects with a certificate, or without. options may be nil.
func (s *Server) DialWith(t testing.TB, path string, cert *tls.Certificate, options *websocket.DialOptions) *Client {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if options == nil {
		options = &websocket.DialOptions{}
	}
	transport := &http.Transport{TLSClientConfig: s.CA.Client(cert)}
	options.HTTPClient = &http.Client{Transport: transport}
	conn, _, err := websocket.Dial(ctx, "wss://"+s.Addr+path, options)
	require.NoError(t, err)
	conn.SetReadLimit(-1)
	c := &Client{Conn: conn, version: pcp.V1, t: t}
	if strings.HasPrefix(path, "/pcp2") {
		c.version = pcp.V2
	}
	if cert != nil {
		clientType := path[strings.LastIndexByte(path, '/')+1:]
		if clientType == "" || strings.HasPrefix(clientType, "pcp") {
			clientType = pcp.AgentType
		}
		c.URI = pcp.URI{Certname: cert.Leaf.Subject.CommonName, Type: clientType}.String()
	}
	t.Cleanup(func() {
		_ = conn.CloseNow() // it may be closed already
		transport.CloseIdleConnections()
	})
	return c
}

// Send sends a message as it is; in version 1, which always has a sender, with
// the client's own unless it has one.
func (c *Client) Send(m *pcp.Message) {
	c.t.Helper()
	if c.version == pcp.V1 && m.Sender == "" {
		with := *m
		with.Sender = c.URI
		m = &with
	}
	frame, err := c.version.Encode(m)
	require.NoError(c.t, err)
	c.SendFrame(frame)
}

// SendFrame sends a frame of the kind that the version has.
func (c *Client) SendFrame(frame []byte) {
	c.t.Helper()
	kind := websocket.MessageText
	if c.version == pcp.V1 {
		kind = websocket.MessageBinary
	}
	require.NoError(c.t, c.Write(kind, frame))
}

// Write writes a frame of a kind.
func (c *Client) Write(kind websocket.MessageType, frame []byte) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return c.Conn.Write(ctx, kind, frame)
}

// Receive waits for a message.
func (c *Client) Receive() *pcp.Message {
	c.t.Helper()
	m, err := c.Next()
	require.NoError(c.t, err)
	return m
}

// Next waits for a message, or for the end of the connection. It may be called
// by any goroutine, one at a time.
func (c *Client) Next() (*pcp.Message, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_, frame, err := c.Conn.Read(ctx)
	if err != nil {
		return nil, err
	}
	return c.version.Decode(frame)
}

// Closed reads until the connection ends and answers its close code, -1 if
// there was none.
func (c *Client) Closed() websocket.StatusCode {
	c.t.Helper()
	for {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		_, _, err := c.Conn.Read(ctx)
		late := ctx.Err() != nil
		cancel()
		require.False(c.t, late, "the connection does not end")
		if err != nil {
			return websocket.CloseStatus(err)
		}
	}
}

// Raw is a connection after the websocket handshake whose client does as it
// likes.
type Raw struct {
	*tls.Conn
	r *bufio.Reader
}

// DialRaw connects a certname. early is sent together with the request.
func (s *Server) DialRaw(t testing.TB, path, certname string, early ...byte) *Raw {
	t.Helper()
	cert := s.CA.Issue(t, certname)
	conn, err := tls.Dial("tcp", s.Addr, s.CA.Client(&cert))
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() }) // it may be closed already
	require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
	_, err = fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n%s", path, early)
	require.NoError(t, err)
	r := bufio.NewReader(conn)
	response, err := http.ReadResponse(r, nil)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, http.StatusSwitchingProtocols, response.StatusCode)
	return &Raw{Conn: conn, r: r}
}

// Opcodes of frames.
const (
	Continuation = 0x0
	Text         = 0x1
	Binary       = 0x2
	CloseFrame   = 0x8
	Ping         = 0x9
	Pong         = 0xa
	Final        = 0x80 // to be added: the last frame of a message
)

// Frame is the text of a frame with a mask of zeros that claims to have size
// bytes of payload.
func Frame(first byte, size uint64, payload []byte) []byte {
	const masked = 0x80
	frame := []byte{first, masked | 127}
	switch {
	case size < 126:
		frame[1] = masked | byte(size)
	default:
		frame = binary.BigEndian.AppendUint64(frame, size)
	}
	return append(append(frame, 0, 0, 0, 0), payload...)
}

// Code reads until the connection ends and answers the code of the close
// frame; -1 if there was none.
func (c *Raw) Code(t testing.TB) int {
	t.Helper()
	for {
		head := make([]byte, 2)
		if _, err := io.ReadFull(c.r, head); err != nil {
			return -1
		}
		size := uint64(head[1])
		switch size {
		case 126:
			size = c.number(t, 2)
		case 127:
			size = c.number(t, 8)
		}
		if head[0] != Final|CloseFrame {
			_, err := io.CopyN(io.Discard, c.r, int64(size))
			require.NoError(t, err)
			continue
		}
		return int(c.number(t, 2))
	}
}

func (c *Raw) number(t testing.TB, bytes int) (n uint64) {
	t.Helper()
	text := make([]byte, bytes)
	_, err := io.ReadFull(c.r, text)
	require.NoError(t, err)
	for _, b := range text {
		n = n<<8 | uint64(b)
	}
	return n
}
