package brokerbench

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
)

// watch is what a poller is to do: read a job again and again in all the ways
// that clients do.
type watch struct {
	URL   string // https://host:port/orchestrator/v1
	As    identity
	Job   string
	Nodes int
	Every time.Duration
}

// watched is what it has seen.
type watched struct {
	Reads  []reading
	Events int
}

// reading is how long it took to read something, each time.
type reading struct {
	What       string
	First      []time.Duration // in the first seconds, while requests go out
	Afterwards []time.Duration
}

const firstSeconds = 5 * time.Second

// poller is a process that does it.
type poller struct {
	cmd *exec.Cmd
	in  io.Closer
	out *bufio.Reader
}

func newPoller(t *testing.T, w watch) *poller {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	text, err := json.Marshal(w)
	require.NoError(t, err)
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), pollerOf+"="+string(text))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	return &poller{cmd, in, bufio.NewReader(out)}
}

// end ends the process.
func (p *poller) end(t *testing.T) (w watched) {
	t.Helper()
	require.NoError(t, p.in.Close())
	err := json.NewDecoder(p.out).Decode(&w)
	require.NoError(t, p.cmd.Wait())
	require.NoError(t, err)
	return w
}

// runPoller polls until its standard input ends, and prints what it has seen.
func runPoller(text string) error {
	var w watch
	if err := json.Unmarshal([]byte(text), &w); err != nil {
		return err
	}
	client, err := w.As.client()
	if err != nil {
		return err
	}
	r := &reader{client: client, base: w.URL}
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // its end is all that matters
		cancel()
	}()
	offset, events := 0, &follower{reader: r, next: "/jobs/" + w.Job + "/events?start=0"}
	reads := []struct {
		name string
		read func() error
	}{
		{"jobs", func() error { return r.get("/jobs?limit=20", nil) }},
		{"jobs/:id", func() error { return r.get("/jobs/"+w.Job, nil) }},
		{"jobs/:id/nodes?limit=50", func() error {
			offset = (offset + 50) % w.Nodes
			return r.get(fmt.Sprintf("/jobs/%s/nodes?limit=50&offset=%d", w.Job, offset), nil)
		}},
		{"jobs/:id/nodes?limit=50&state=failed&order_by=finish_timestamp", func() error {
			return r.get("/jobs/"+w.Job+"/nodes?limit=50&state=failed&order_by=finish_timestamp&order=desc", nil)
		}},
		{"jobs/:id/events?start=", events.read},
	}
	seen := watched{Reads: make([]reading, len(reads))}
	var group errgroup.Group
	for i, one := range reads {
		seen.Reads[i].What = one.name
		group.Go(func() error { return seen.Reads[i].repeat(ctx, w.Every, one.read) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	if err := events.read(); err != nil {
		return err
	}
	seen.Events = events.seen
	return json.NewEncoder(os.Stdout).Encode(seen)
}

// repeat does it again and again.
func (r *reading) repeat(ctx context.Context, every time.Duration, do func() error) error {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for began := time.Now(); ; {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		start := time.Now()
		if err := do(); err != nil {
			return err
		}
		took := &r.Afterwards
		if start.Sub(began) < firstSeconds {
			took = &r.First
		}
		*took = append(*took, time.Since(start))
	}
}

// client shows the identity.
func (i identity) client() (*http.Client, error) {
	pair, err := tls.LoadX509KeyPair(i.Cert, i.Key)
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(i.CA)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(text)
	return &http.Client{Timeout: time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: 8,
		TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: server, Certificates: []tls.Certificate{pair}}}}, nil
}

// reader reads the API.
type reader struct {
	client *http.Client
	base   string
}

func (r *reader) get(path string, into any) error {
	res, err := r.client.Get(r.base + path)
	if err != nil {
		return err
	}
	text, err := io.ReadAll(res.Body)
	err = errors.Join(err, res.Body.Close())
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %s", path, res.Status, text)
	}
	if err != nil || into == nil {
		return err
	}
	return json.Unmarshal(text, into)
}

// follower reads events, each one once.
type follower struct {
	*reader
	next string
	last int
	seen int
}

func (f *follower) read() error {
	var page struct {
		Next struct {
			Event string `json:"event"`
		} `json:"next-events"`
		Items []struct{ ID string }
	}
	if err := f.get(f.next, &page); err != nil {
		return err
	}
	for _, e := range page.Items {
		id, err := strconv.Atoi(e.ID)
		if err != nil || id <= f.last {
			return fmt.Errorf("event %q after %d", e.ID, f.last)
		}
		f.last = id
		f.seen++
	}
	at := len(f.next)
	for f.next[at-1] != '=' {
		at--
	}
	f.next = f.next[:at] + page.Next.Event
	return nil
}
