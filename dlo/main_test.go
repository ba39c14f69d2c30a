package dlo

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"dalang/commands"
	"dalang/commands/queue"
	"dalang/wireformat"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	goodFacts = `{"certname":"web1","environment":"production","values":{"a":1},"producer_timestamp":"2026-01-02T03:04:05.000Z","producer":"ca"}`
	badFacts  = `{"certname":"web1","environment":7,"values":[],"producer_timestamp":"2026-01-02T03:04:05.000Z"}`
	deadNode  = `{"certname":"web2","producer_timestamp":"2026-01-02T03:04:05.000Z"}`
)

// bench is a queue and an office on one temporary directory, with a clock that
// only the test moves.
type bench struct {
	t      *testing.T
	dir    string
	queue  *queue.Queue
	office *Office
	cfg    Config
	reg    *prometheus.Registry
	log    *bytes.Buffer
	mu     sync.Mutex
	now    time.Time
}

func newBench(t *testing.T, change ...func(*Config)) *bench {
	b := &bench{t: t, dir: t.TempDir(), now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), log: &bytes.Buffer{}}
	var err error
	b.queue, _, err = queue.Open(queue.Config{Dir: filepath.Join(b.dir, "cmd"), FS: hasty{queue.OS()}})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, b.queue.Close()) })
	b.cfg = Config{Dir: filepath.Join(b.dir, "discarded"), Version: "1.2.3", Now: b.clock, FS: hasty{queue.OS()}}
	for _, f := range change {
		f(&b.cfg)
	}
	b.reopen()
	return b
}

// hasty is the real disk without waiting for it: what must be synced, and
// when, is the matter of faults_test.go.
type hasty struct{ queue.FS }

type hastyFile struct{ queue.File }

func (hasty) SyncDir(string) error { return nil }
func (hastyFile) Sync() error      { return nil }

func (h hasty) Create(path string) (queue.File, error) {
	f, err := h.FS.Create(path)
	return hastyFile{f}, err
}

// reopen opens the office again, as after a restart.
func (b *bench) reopen() {
	b.t.Helper()
	b.reg = prometheus.NewRegistry()
	b.cfg.Registerer = b.reg
	b.cfg.Logger = slog.New(slog.NewTextHandler(b.log, nil))
	var err error
	b.office, err = Open(b.cfg)
	require.NoError(b.t, err)
}

func (b *bench) clock() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.now
}

func (b *bench) pass(d time.Duration) {
	b.mu.Lock()
	b.now = b.now.Add(d)
	b.mu.Unlock()
}

// put queues a command. A body named gz:… is gzipped.
func (b *bench) put(c wireformat.Command, version int, certname, body string) queue.Entry {
	b.t.Helper()
	body, zipped := strings.CutPrefix(body, "gz:")
	if zipped {
		body = gzipped(b.t, body)
	}
	m := queue.NewMeta(c, version, certname, b.clock(), time.Time{}, zipped)
	e, err := b.queue.Put(context.Background(), m, strings.NewReader(body))
	require.NoError(b.t, err)
	return e
}

// letter is a letter of a queued command.
func (b *bench) letter(e queue.Entry, certname, cause, message string) commands.Letter {
	return commands.Letter{
		Entry: e, BodyPath: b.queue.Path(e), Certname: certname, Client: "compiler1", Cause: cause, Message: message,
		Attempts: []queue.Attempt{{At: b.clock(), Error: message}},
	}
}

// discard queues a command and throws it away; a second passes.
func (b *bench) discard(c wireformat.Command, version int, certname, body, cause, message string) uuid.UUID {
	b.t.Helper()
	e := b.put(c, version, certname, body)
	require.NoError(b.t, b.office.Discard(context.Background(), b.letter(e, certname, cause, message)))
	b.queue.Moved(e)
	b.pass(time.Second)
	return e.UUID
}

// files lists what is below the office's directory.
func (b *bench) files() []string {
	b.t.Helper()
	list := []string{}
	require.NoError(b.t, filepath.WalkDir(b.cfg.Dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			rel, _ := filepath.Rel(b.cfg.Dir, path)
			list = append(list, rel)
		}
		return err
	}))
	return list
}

func (b *bench) list(f Filter) []Summary {
	b.t.Helper()
	l, err := b.office.List(context.Background(), f, Page{OldestFirst: true})
	require.NoError(b.t, err)
	require.Equal(b.t, l.Total, len(l.Letters))
	return l.Letters
}

// metric is the sum of a metric over the labels that are given as "k=v".
func (b *bench) metric(name string, labels ...string) float64 {
	b.t.Helper()
	families, err := b.reg.Gather()
	require.NoError(b.t, err)
	var sum float64
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
	series:
		for _, m := range f.GetMetric() {
			has := map[string]bool{}
			for _, l := range m.GetLabel() {
				has[l.GetName()+"="+l.GetValue()] = true
			}
			for _, want := range labels {
				if !has[want] {
					continue series
				}
			}
			sum += m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	return sum
}

// spool is a Submitter that keeps what it is given.
type spool struct {
	got  []commands.Submission
	body []string
	fail func(n int) error // of the nth call, from 0
	n    int
}

func (s *spool) Enqueue(_ context.Context, in commands.Submission) (uuid.UUID, error) {
	defer func() { s.n++ }()
	if s.fail != nil {
		if err := s.fail(s.n); err != nil {
			return uuid.Nil, err
		}
	}
	body, err := io.ReadAll(in.Body)
	if err != nil {
		return uuid.Nil, err
	}
	s.got, s.body = append(s.got, in), append(s.body, string(body))
	return uuid.NewSHA1(uuid.NameSpaceOID, []byte{byte(s.n)}), nil
}

func gzipped(t *testing.T, s string) string {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, err := z.Write([]byte(s))
	require.NoError(t, err)
	require.NoError(t, z.Close())
	return b.String()
}

func readAll(t *testing.T, r io.ReadCloser, err error) string {
	t.Helper()
	require.NoError(t, err)
	defer r.Close()
	b, err := io.ReadAll(r)
	require.NoError(t, err)
	return string(b)
}
