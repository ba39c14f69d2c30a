package queue_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"dalang/commands/queue"
	"dalang/commands/queue/faultfs"
	"dalang/wireformat"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// dir is the queue's directory on disks in memory.
const dir = "/data/stockpile/cmd"

var epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// command is the i-th of a test: its name and its body tell it from others.
func command(i int) (queue.Meta, string) {
	kinds := wireformat.Commands()
	received := epoch.Add(time.Duration(i) * time.Second)
	m := queue.NewMeta(kinds[i%len(kinds)].Command, 5, fmt.Sprintf("web%d", i%3), received, received.Add(-time.Minute), i%2 == 0)
	return m, strings.Repeat(fmt.Sprintf("<%d>", i), 1+i*i*40%3000)
}

type fataler interface {
	require.TestingT
	Helper()
}

func open(t fataler, disk queue.FS) (*queue.Queue, []queue.Entry) {
	t.Helper()
	q, entries, err := queue.Open(queue.Config{Dir: dir, FS: disk})
	require.NoError(t, err)
	return q, entries
}

func put(q *queue.Queue, i int) (queue.Entry, error) {
	m, body := command(i)
	return q.Put(context.Background(), m, strings.NewReader(body))
}

func mustPut(t fataler, q *queue.Queue, i int) queue.Entry {
	t.Helper()
	e, err := put(q, i)
	require.NoError(t, err)
	return e
}

func body(t fataler, q *queue.Queue, e queue.Entry) string {
	t.Helper()
	r, err := q.Body(e)
	require.NoError(t, err)
	text, err := io.ReadAll(r)
	require.NoError(t, err)
	require.NoError(t, r.Close())
	return string(text)
}

// promised is what must be in a queue, by file name, and what may be besides.
// It may be shared by goroutines.
type promised struct {
	mu        sync.Mutex
	must, may map[string]string
}

func newPromised() *promised {
	return &promised{must: map[string]string{}, may: map[string]string{}}
}

func (p *promised) clone() *promised {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := newPromised()
	for name, text := range p.must {
		c.must[name] = text
	}
	for name, text := range p.may {
		c.may[name] = text
	}
	return c
}

// accepted notes a Put that returned nil.
func (p *promised) accepted(e queue.Entry, text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.must[e.Name()] = text
}

// leaving notes an Ack that is about to begin.
func (p *promised) leaving(e queue.Entry) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if text, ok := p.must[e.Name()]; ok {
		p.may[e.Name()] = text
		delete(p.must, e.Name())
	}
}

// excuse takes over from later what leaves by then.
func (p *promised) excuse(later *promised) {
	for name, text := range later.may {
		p.may[name] = text
		delete(p.must, name)
	}
}

// check opens the queue on a disk and compares. A command that is in neither
// list is one whose Put did not return: whole is what strange says it is.
func (p *promised) check(t fataler, disk *faultfs.FS, strange func(e queue.Entry) (body string, ok bool), where string) {
	t.Helper()
	q, entries := open(t, disk)
	found := map[string]bool{}
	last := uint64(0)
	for _, e := range entries {
		require.GreaterOrEqual(t, e.ID, last, where)
		last = e.ID
		name := e.Name()
		require.False(t, found[name], "%s: %s twice", where, name)
		found[name] = true
		want, ok := p.must[name]
		if !ok {
			want, ok = p.may[name]
		}
		if !ok && strange != nil {
			want, ok = strange(e)
		}
		require.True(t, ok, "%s: %s should not be there", where, name)
		require.Equal(t, want, body(t, q, e), "%s: %s", where, name)
	}
	for name := range p.must {
		require.True(t, found[name], "%s: %s is lost", where, name)
	}
	for path := range disk.Files() {
		require.NotContains(t, path, "/q/tmp-", where)
	}
	require.NoError(t, q.Close())
}

// whole accepts every command of command(), if its body is whole.
func whole(e queue.Entry) (string, bool) {
	i := int(e.Meta.Received.Sub(epoch) / time.Second)
	m, text := command(i)
	return text, m == e.Meta
}

// logged is a logger that writes to a buffer.
func logged() (*slog.Logger, *bytes.Buffer) {
	var b bytes.Buffer
	return slog.New(slog.NewTextHandler(&b, nil)), &b
}

func attempts(reasons ...string) (list []queue.Attempt) {
	for i, reason := range reasons {
		list = append(list, queue.Attempt{At: epoch.Add(time.Duration(i) * time.Minute), Error: reason})
	}
	return list
}
