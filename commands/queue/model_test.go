package queue_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"dalang/commands/queue"
	"dalang/commands/queue/faultfs"
	"dalang/wireformat"
)

var errDisk = errors.New("the disk says no")

// model is what is known of a queue, kept in maps by file name.
type model struct {
	disk    *faultfs.FS
	q       *queue.Queue
	entries map[string]queue.Entry // that somebody may act on

	bodies map[string]string            // of every name there ever was
	must   map[string]bool              // promised, not acked
	gone   map[string]bool              // acked, and no power cut since
	saved  map[string][][]queue.Attempt // all that were ever saved, newest last
	sure   map[string]bool              // no fault and no power cut since the newest
	clock  time.Time
	puts   int
	broken bool // a fault is armed or the queue knows of one
}

func newModel(t *rapid.T) *model {
	m := &model{
		disk: faultfs.New(), entries: map[string]queue.Entry{}, bodies: map[string]string{}, must: map[string]bool{},
		gone: map[string]bool{}, saved: map[string][][]queue.Attempt{}, sure: map[string]bool{}, clock: epoch,
	}
	m.reopen(t)
	return m
}

// reopen opens the queue on m.disk and compares what it finds.
func (m *model) reopen(t *rapid.T) {
	var list []queue.Entry
	m.disk.Reset()
	m.q, list = open(t, m.disk)
	m.broken = false
	m.entries = map[string]queue.Entry{}
	for _, e := range list {
		m.entries[e.Name()] = e
	}
	require.Len(t, m.entries, len(list))
	require.True(t, slices.IsSortedFunc(list, func(a, b queue.Entry) int { return int(a.ID) - int(b.ID) }))
	m.compare(t)
}

// compare checks the open queue against the maps.
func (m *model) compare(t *rapid.T) {
	for name := range m.must {
		require.Contains(t, m.entries, name, "lost")
	}
	for name, e := range m.entries {
		require.False(t, m.gone[name], "%s is back without a power cut", name)
		want, ok := m.bodies[name]
		require.True(t, ok, "%s was never put", name)
		require.Equal(t, want, body(t, m.q, e), name)
		require.Equal(t, m.q.UUID(name), e.UUID)
		m.compareAttempts(t, e)
	}
}

func (m *model) compareAttempts(t *rapid.T, e queue.Entry) {
	got, err := m.q.Attempts(e)
	require.NoError(t, err)
	all := m.saved[e.Name()]
	if m.sure[e.Name()] {
		require.Equal(t, all[len(all)-1], got, e.Name())
		return
	}
	if len(got) == 0 {
		return
	}
	require.True(t, slices.ContainsFunc(all, func(a []queue.Attempt) bool { return slices.Equal(a, got) }),
		"%s has attempts that were never saved for it: %v", e.Name(), got)
}

func (m *model) pick(t *rapid.T) queue.Entry {
	names := make([]string, 0, len(m.entries))
	for name := range m.entries {
		names = append(names, name)
	}
	if len(names) == 0 {
		t.Skip("empty")
	}
	slices.Sort(names)
	return m.entries[rapid.SampledFrom(names).Draw(t, "entry")]
}

func (m *model) put(t *rapid.T) {
	m.puts++
	m.clock = m.clock.Add(time.Duration(rapid.IntRange(1, 3).Draw(t, "ms")) * time.Millisecond)
	kind := rapid.SampledFrom(wireformat.Commands()).Draw(t, "command")
	certname := rapid.OneOf(rapid.StringMatching(`web[0-3]`), rapid.StringN(1, 300, -1)).Draw(t, "certname")
	producer := time.Time{}
	if rapid.Bool().Draw(t, "produced") {
		producer = m.clock.Add(time.Duration(rapid.Int64Range(-1e6, 1e6).Draw(t, "offset")) * time.Millisecond)
	}
	meta := queue.NewMeta(kind.Command, kind.Latest, certname, m.clock, producer, rapid.Bool().Draw(t, "gzip"))
	text := strings.Repeat(fmt.Sprintf("<%d>", m.puts), rapid.SampledFrom([]int{0, 1, 50, 20000}).Draw(t, "size"))

	was := m.q.Available()
	e, err := m.q.Put(context.Background(), meta, strings.NewReader(text))
	if err == nil {
		require.NoError(t, was)
		require.NotContains(t, m.bodies, e.Name())
		require.Equal(t, int64(len(text)), e.Size)
		m.bodies[e.Name()], m.must[e.Name()], m.entries[e.Name()] = text, true, e
		return
	}
	m.failed(t, err)
	if was != nil {
		return
	}
	// It may be there all the same, under the next id: whole.
	for id := range uint64(m.puts + 2) {
		name := queue.Entry{ID: id, Meta: meta}.Name()
		if _, taken := m.bodies[name]; !taken {
			m.bodies[name] = text
		}
	}
}

// failed checks an error: there must be a cause.
func (m *model) failed(t *rapid.T, err error) {
	var disk *queue.DiskError
	require.ErrorAs(t, err, &disk)
	require.True(t, m.broken, "an error out of nowhere: %v", err)
	require.Error(t, m.q.Available())
}

func (m *model) ack(t *rapid.T) {
	e := m.pick(t)
	delete(m.must, e.Name())
	delete(m.entries, e.Name())
	if err := m.q.Ack(e); err != nil {
		m.failed(t, err)
		return
	}
	if !m.broken { // a fault may be one that lies
		m.gone[e.Name()] = true
	}
}

func (m *model) saveAttempts(t *rapid.T) {
	e := m.pick(t)
	old := m.saved[e.Name()]
	list := attempts(rapid.SliceOfN(rapid.StringN(0, 20, -1), 1, 3).Draw(t, "reasons")...)
	m.saved[e.Name()] = append(old, list)
	err := m.q.SaveAttempts(e, list)
	m.sure[e.Name()] = err == nil
	if err != nil {
		m.failed(t, err)
		return
	}
	if !m.broken {
		m.compareAttempts(t, e)
	}
}

func (m *model) fault(t *rapid.T) {
	m.broken = true
	m.disk.FailAt(rapid.IntRange(1, 8).Draw(t, "operation"), rapid.SampledFrom([]error{
		errDisk, syscall.ENOSPC, &faultfs.Fault{Err: errDisk, Done: true}, &faultfs.Fault{Err: errDisk, Keep: 3},
	}).Draw(t, "fault"))
}

func (m *model) probe(t *rapid.T) {
	if err := m.q.Probe(context.Background()); err != nil {
		m.failed(t, err)
		return
	}
	require.NoError(t, m.q.Available())
}

// restart closes the queue, or the program is killed.
func (m *model) restart(t *rapid.T) {
	if rapid.Bool().Draw(t, "kill") {
		disk := m.disk.Kill()
		require.NoError(t, m.q.Close())
		m.disk = disk
	} else {
		require.NoError(t, m.q.Close())
	}
	m.reopen(t)
}

func (m *model) crash(t *rapid.T) {
	disk := m.disk.Crash(rapid.Uint64Range(0, 1000).Draw(t, "seed"))
	require.NoError(t, m.q.Close())
	m.disk = disk
	clear(m.gone)
	clear(m.sure)
	m.reopen(t)
}

// openFails opens once with a fault: the second Open finds everything.
func (m *model) openFails(t *rapid.T) {
	require.NoError(t, m.q.Close())
	m.fault(t)
	q, _, err := queue.Open(queue.Config{Dir: dir, FS: m.disk})
	if err == nil {
		require.NoError(t, q.Close())
	}
	m.reopen(t)
}

// TestModel compares the queue with maps, whatever happens to it.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newModel(t)
		t.Repeat(map[string]func(*rapid.T){
			"put": m.put, "put more": m.put, "put even more": m.put, "ack": m.ack, "save attempts": m.saveAttempts,
			"fault": m.fault, "probe": m.probe, "restart": m.restart, "crash": m.crash, "open fails": m.openFails,
			"": func(*rapid.T) {},
		})
		m.restart(t)
		require.NoError(t, m.q.Close())
	})
}
