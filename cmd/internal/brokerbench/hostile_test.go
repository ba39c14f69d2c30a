package brokerbench

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"dalang/orchestrator/pcp"
)

// enemy is a peer with a certificate and no manners.
type enemy struct {
	name  string
	to    string // address of the agents' listener
	api   string // address of the API
	job   string
	roots *x509.CertPool
	cert  tls.Certificate

	sent    atomic.Int64 // what it could get rid of
	outcast atomic.Int64 // how often its connection ended
}

// attack is what an enemy does on a connection until it ends.
type attack struct {
	name string
	do   func(ctx context.Context, e *enemy, c *tls.Conn) error
}

func attacks() []attack {
	controller := pcp.URI{Certname: server, Type: "orchestrator"}.String()
	flood := func(kind byte, read bool, text func(e *enemy) []byte) func(context.Context, *enemy, *tls.Conn) error {
		return func(ctx context.Context, e *enemy, c *tls.Conn) error {
			if read {
				go func() { _, _ = io.Copy(io.Discard, c) }()
			}
			for ctx.Err() == nil {
				if _, err := c.Write(frame(kind, text(e))); err != nil {
					return err
				}
				e.sent.Add(1)
			}
			return nil
		}
	}
	result := func(sender string) []byte {
		return fmt.Appendf(nil, `{"id":%q,"message_type":%q,"target":%q,"sender":%q,"data":{"transaction_id":%q,"results":{"status":"changed"}}}`,
			uuid.NewString(), pcp.NonBlockingResponse, controller, sender, uuid.NewString())
	}
	huge := bytes.Repeat([]byte{' '}, 60_000_000)
	return []attack{
		{"garbage, and reads no answer", flood(textFrame, false, func(*enemy) []byte { return []byte(`{"id":`) })},
		{"results of runs that are not", flood(textFrame, true, func(e *enemy) []byte { return result(pcp.AgentURI(e.name).String()) })},
		{"results of others", flood(textFrame, true, func(*enemy) []byte { return result(pcp.AgentURI(certname(1)).String()) })},
		{"pings", flood(pingFrame, true, func(*enemy) []byte { return []byte("?") })},
		{"messages of 60 MB", flood(textFrame, true, func(*enemy) []byte { return huge })},
		{"a message, byte by byte", func(ctx context.Context, e *enemy, c *tls.Conn) error {
			f := frame(textFrame, bytes.Repeat([]byte{' '}, 1<<20))
			for _, b := range f {
				if _, err := c.Write([]byte{b}); err != nil || !pause(ctx, 5*time.Millisecond) {
					return err
				}
				e.sent.Add(1)
			}
			return nil
		}},
		{"new connections", func(_ context.Context, e *enemy, c *tls.Conn) error {
			e.sent.Add(1)
			return c.Close()
		}},
	}
}

// pause waits; false: ctx has ended.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// unleash has enemies at work until the returned function is called, which
// tells what they have done.
func unleash(t *testing.T, p *pki, pcpAddress, api, job string, operator identity) func() string {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	var all []*enemy
	var what []string
	for _, a := range attacks() {
		e := &enemy{name: fmt.Sprintf("enemy%d.example.com", len(all)), to: pcpAddress, api: api, job: job, roots: p.roots()}
		e.cert = p.shared(t, e.name)
		all, what = append(all, e), append(what, a.name)
		wg.Go(func() { e.attack(ctx, a.do) })
	}
	slow := &enemy{name: "a client that asks and does not read", api: api, job: job, roots: p.roots()}
	pair, err := tls.LoadX509KeyPair(operator.Cert, operator.Key)
	if err != nil {
		t.Fatal(err)
	}
	slow.cert = pair
	all, what = append(all, slow), append(what, "requests whose answers it does not read")
	wg.Go(func() { slow.neverRead(ctx) })
	return func() string {
		cancel()
		wg.Wait()
		var b strings.Builder
		for i, e := range all {
			fmt.Fprintf(&b, "\n  %s: %d; %d connections ended", what[i], e.sent.Load(), e.outcast.Load())
		}
		return b.String()
	}
}

// attack connects again and again.
func (e *enemy) attack(ctx context.Context, do func(context.Context, *enemy, *tls.Conn) error) {
	for ctx.Err() == nil {
		c, err := connect(e.to, e.roots, e.cert, tls.VersionTLS13)
		if err != nil {
			e.outcast.Add(1)
			pause(ctx, 100*time.Millisecond)
			continue
		}
		stop := context.AfterFunc(ctx, func() { _ = c.Close() }) // a write may be under way
		_ = do(ctx, e, c)                                        // the connection has ended
		stop()
		_ = c.Close()
		e.outcast.Add(1)
	}
}

// neverRead asks for all events, as often as there is room for requests.
func (e *enemy) neverRead(ctx context.Context) {
	for ctx.Err() == nil {
		c, err := tls.Dial("tcp", e.api, &tls.Config{RootCAs: e.roots, ServerName: server, Certificates: []tls.Certificate{e.cert}, NextProtos: []string{"http/1.1"}})
		if err != nil {
			pause(ctx, 100*time.Millisecond)
			continue
		}
		stop := context.AfterFunc(ctx, func() { _ = c.Close() })
		w := bufio.NewWriterSize(c, 64)
		for err == nil {
			_, err = fmt.Fprintf(w, "GET /orchestrator/v1/jobs/%s/events HTTP/1.1\r\nHost: %s\r\n\r\n", e.job, server)
			e.sent.Add(1)
		}
		stop()
		_ = c.Close()
		e.outcast.Add(1)
	}
}
