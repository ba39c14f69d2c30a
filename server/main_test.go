package server

import (
	"bytes"
	"context"
	"crypto/sha1"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"dalang/commands"
	"dalang/server/pdb"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeProcessor keeps what it is given.
type fakeProcessor struct {
	mu     sync.Mutex
	got    []submitted
	err    error           // answered instead of taking in
	waited commands.Waited // answered to those who wait
	block  chan struct{}   // Enqueue waits for it or for its context
	status map[uuid.UUID]commands.Status
}

type submitted struct {
	commands.Submission
	body string
	wait time.Duration
}

func (f *fakeProcessor) Enqueue(ctx context.Context, s commands.Submission) (uuid.UUID, error) {
	id, _, err := f.EnqueueAndWait(ctx, s, 0)
	return id, err
}

func (f *fakeProcessor) EnqueueAndWait(ctx context.Context, s commands.Submission, wait time.Duration) (uuid.UUID, commands.Waited, error) {
	body, err := io.ReadAll(s.Body)
	if err != nil {
		return uuid.Nil, commands.Waited{}, err
	}
	if f.block != nil {
		select {
		case <-f.block:
		case <-ctx.Done():
			return uuid.Nil, commands.Waited{}, ctx.Err()
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil {
		return uuid.Nil, commands.Waited{}, f.err
	}
	if sum := sha1.Sum(body); s.Checksum != "" && s.Checksum != hex.EncodeToString(sum[:]) {
		return uuid.Nil, commands.Waited{}, &commands.ChecksumError{Expected: s.Checksum, Computed: hex.EncodeToString(sum[:])}
	}
	f.got = append(f.got, submitted{s, string(body), wait})
	return uuid.New(), f.waited, nil
}

func (f *fakeProcessor) Status(id uuid.UUID) (commands.Status, bool) {
	s, ok := f.status[id]
	return s, ok
}

func (f *fakeProcessor) last(t *testing.T) submitted {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	require.NotEmpty(t, f.got)
	return f.got[len(f.got)-1]
}

// fakeJanitor is a store without anything in it.
type fakeJanitor struct {
	err     error
	ops     []pdb.CleanOp
	deleted []string
}

func (f *fakeJanitor) Clean(_ context.Context, ops []pdb.CleanOp) error {
	f.ops = ops
	return f.err
}

func (f *fakeJanitor) DeleteNode(_ context.Context, certname string) error {
	f.deleted = append(f.deleted, certname)
	return f.err
}

func (f *fakeJanitor) SummaryStats(context.Context) (map[string]any, error) {
	return map[string]any{"node_activity": []any{map[string]any{"active": true, "count": 1}}}, f.err
}

// bundle is a front end over fakes.
type bundle struct {
	*Server
	processor   *fakeProcessor
	janitor     *fakeJanitor
	registry    *prometheus.Registry
	maintenance *pdb.Maintenance
}

// setup makes a front end; change may change its configuration first.
func setup(t *testing.T, change func(*Config, *pdb.CommandsConfig)) *bundle {
	t.Helper()
	b := &bundle{
		processor: &fakeProcessor{waited: commands.Waited{Processed: true}}, janitor: &fakeJanitor{},
		registry: prometheus.NewRegistry(), maintenance: &pdb.Maintenance{},
	}
	cmd := pdb.CommandsConfig{Processor: b.processor, Registerer: b.registry}
	cfg := Config{Listen: "127.0.0.1:0", Maintenance: b.maintenance, Registerer: b.registry, Version: "test"}
	if change != nil {
		change(&cfg, &cmd)
	}
	cfg.Handlers = Handlers{
		Commands: pdb.NewCommands(cmd),
		Admin:    pdb.NewAdmin(b.janitor, "", nil),
		Meta:     pdb.NewMeta("", nil),
		Status: pdb.NewStatus(pdb.StatusConfig{Maintenance: b.maintenance, QueueDepth: func() int { return 0 },
			ReadDB: func(context.Context) error { return b.janitor.err }}),
		Metrics: pdb.NewMetrics(pdb.MetricsConfig{Gatherer: b.registry}),
		More:    cfg.Handlers.More,
	}
	s, err := New(cfg)
	require.NoError(t, err)
	b.Server = s
	return b
}

// do asks the front end without a network. Headers are pairs.
func (b *bundle) do(method, target, body string, headers ...string) *http.Response {
	r := httptest.NewRequest(method, target, bytes.NewBufferString(body))
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	b.Handler().ServeHTTP(w, r)
	return w.Result()
}

// text reads a response's body.
func text(t *testing.T, res *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	return string(b)
}
