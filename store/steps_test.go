package store

import (
	"context"
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/mattn/go-sqlite3"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"dalang/commands/outcome"
	"dalang/wireformat"
)

// slowStore is a store on whose clock only two things take time: each row that
// the writer changes, and each commit. So what a step costs is what it does,
// on every machine.
type slowStore struct {
	*Store
	row, commit time.Duration
	commits     int64
	measured    bool   // false: time stands still
	look        func() // called whenever somebody looks at the clock
	registry    *prometheus.Registry
}

func openSlow(t *testing.T, row, commit time.Duration) *slowStore {
	t.Helper()
	slow := &slowStore{row: row, commit: commit, registry: prometheus.NewRegistry()}
	s, err := Open(context.Background(), Config{Path: filepath.Join(t.TempDir(), "dalang.db"), ReportTTL: 7300 * 24 * time.Hour,
		Registerer: slow.registry, Now: slow.now})
	require.NoError(t, err)
	slow.Store = s
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	require.NoError(t, s.writer.conn.Raw(func(conn any) error {
		conn.(*sqlite3.SQLiteConn).RegisterCommitHook(func() int { slow.commits++; return 0 })
		return nil
	}))
	return slow
}

func (s *slowStore) now() time.Time {
	start := time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC)
	if !s.measured {
		return start
	}
	if s.look != nil {
		s.look()
	}
	var rows int64
	if err := s.writer.conn.QueryRowContext(context.Background(), "SELECT total_changes()").Scan(&rows); err != nil {
		panic(err)
	}
	return start.Add(time.Duration(rows)*s.row + time.Duration(s.commits)*s.commit)
}

func (s *slowStore) apply(t *testing.T, cmd wireformat.Command, version int, body string) {
	t.Helper()
	payload, err := wireformat.Decode(cmd, version, time.Now(), []byte(body))
	require.NoError(t, err)
	results, err := s.Apply(context.Background(), []outcome.Change{{Payload: payload, Received: time.Now()}})
	require.NoError(t, err)
	require.NoError(t, results[0].Err)
}

// fill makes one node with a big catalog, many facts and many reports of many events.
func (s *slowStore) fill(t *testing.T, size int) {
	t.Helper()
	list := func(n int, format string) string {
		var parts []string
		for i := range n {
			parts = append(parts, strings.ReplaceAll(format, "%", fmt.Sprint(i)))
		}
		return strings.Join(parts, ",")
	}
	const head = `"certname":"big","environment":"e","producer":null,"producer_timestamp":"2026-03-01T00:00:00Z"`
	s.apply(t, wireformat.ReplaceFacts, 5, `{`+head+`,"values":{`+list(size, `"f%":{"a":%,"b":"%"}`)+`}}`)
	s.apply(t, wireformat.ReplaceCatalog, 9, `{`+head+`,"version":"1","transaction_uuid":null,"catalog_uuid":null,"code_id":null,"resources":[`+
		list(size, `{"type":"T","title":"%","tags":["a"],"exported":false,"parameters":{"n":%},"file":"/%","line":1}`)+`],"edges":[`+
		list(size-1, `{"source":{"type":"T","title":"%"},"target":{"type":"T","title":"0"},"relationship":"notifies"}`)+`]}`)
	for n := range size / 10 {
		s.apply(t, wireformat.StoreReport, 8, `{`+head+`,"puppet_version":"8","report_format":12,"configuration_version":"1",
			"start_time":"2026-03-01T00:00:00Z","end_time":"2026-03-01T00:00:00Z","transaction_uuid":null,"catalog_uuid":null,"code_id":null,
			"cached_catalog_status":null,"status":"changed","noop":false,"noop_pending":false,"corrective_change":null,"metrics":[],
			"logs":[{"level":"info","message":"`+fmt.Sprint(n)+`","source":"a","tags":[],"time":"2026-03-01T00:00:00Z","file":null,"line":null}],
			"resources":[`+list(20, `{"skipped":false,"timestamp":"2026-03-01T00:00:00Z","resource_type":"T","resource_title":"%","file":null,"line":null,
			"containment_path":[],"corrective_change":false,"events":[{"status":"success","timestamp":"2026-03-01T00:00:00Z","name":null,"property":"ensure",
			"new_value":1,"old_value":2,"corrective_change":false,"message":null}]}`)+`]}`)
	}
}

// stepTimes is how many steps cleanups took, and how many took longer than limit seconds.
func (s *slowStore) stepTimes(t *testing.T, limit float64) (steps, longer uint64) {
	t.Helper()
	families, err := s.registry.Gather()
	require.NoError(t, err)
	for _, f := range families {
		if f.GetName() != "dalang_store_gc_step_seconds" {
			continue
		}
		h := f.GetMetric()[0].GetHistogram()
		for _, bucket := range h.GetBucket() {
			if bucket.GetUpperBound() >= limit {
				return h.GetSampleCount(), h.GetSampleCount() - bucket.GetCumulativeCount()
			}
		}
	}
	t.Fatal("no metric of the steps")
	return 0, 0
}

// TestGarbageCollectionYields: no step of a cleanup holds the writer for long,
// even when a big node with many reports goes.
func TestGarbageCollectionYields(t *testing.T) {
	s := openSlow(t, 100*time.Microsecond, time.Millisecond)
	s.fill(t, 600)
	s.measured = true
	require.NoError(t, s.DeleteNode(t.Context(), "big"))
	require.NoError(t, s.Clean(t.Context(), []CleanOp{{Name: GCFactPaths}, {Name: GCCatalogs}}))
	steps, longer := s.stepTimes(t, 0.05)
	require.Greater(t, steps, uint64(50))
	require.Zero(t, longer, "steps that held the writer for over 50 ms")
	left, err := s.read(t.Context(), "SELECT (SELECT count(*) FROM report) + (SELECT count(*) FROM fact_leaf) + (SELECT count(*) FROM resource_body)")
	require.NoError(t, err)
	require.Equal(t, []int64{0}, left)
}

// TestGarbageCollectionOnASlowDisk: a commit that takes longer than a whole
// step should, whatever it holds, does not make the steps small.
func TestGarbageCollectionOnASlowDisk(t *testing.T) {
	s := openSlow(t, 10*time.Microsecond, 80*time.Millisecond)
	s.fill(t, 600)
	s.measured = true
	require.NoError(t, s.DeleteNode(t.Context(), "big"))
	steps, _ := s.stepTimes(t, 0.05)
	require.Less(t, steps, uint64(100), "each step pays a sync")
}

// TestCommandsWhileCollecting: commands come between the steps of a
// collection, and may take into use again what was found to be unused.
func TestCommandsWhileCollecting(t *testing.T) {
	const size = 800
	catalog := func(at int, title string) outcome.Change {
		payload, err := wireformat.Decode(wireformat.ReplaceCatalog, 9, time.Now(), fmt.Appendf(nil, `{"certname":"again","environment":"e","producer":null,
			"producer_timestamp":%d,"version":"1","transaction_uuid":null,"catalog_uuid":null,"code_id":null,"edges":[],"resources":[{"type":"T","title":%q,
			"tags":["a"],"exported":false,"parameters":{"n":%[2]s},"file":"/%[2]s","line":1}]}`, at, title))
		require.NoError(t, err)
		return outcome.Change{Payload: payload, Received: time.Now()}
	}
	s := openSlow(t, time.Millisecond, time.Millisecond)
	s.fill(t, size)
	require.NoError(t, s.DeleteNode(t.Context(), "big"))
	s.measured = true

	applied := make(chan error, size)
	commands := 0
	s.look = func() { // whoever looks at the clock holds the lock
		if s.Cleaning() == GCCatalogs && commands < 20 && s.mu.waiting.Load() == 0 {
			n := commands
			commands++
			go func() {
				_, err := s.Apply(context.Background(), []outcome.Change{catalog(1000+n, fmt.Sprint(size-1-n))})
				applied <- err
			}()
			for s.mu.waiting.Load() == 0 {
				runtime.Gosched()
			}
		}
	}
	require.NoError(t, s.Clean(t.Context(), []CleanOp{{Name: GCCatalogs}}))
	require.Equal(t, 20, commands)
	require.Len(t, applied, 20, "they waited for one step each, not for the end")
	for range commands {
		require.NoError(t, <-applied)
	}
	left, err := s.read(t.Context(), `SELECT count(*) FROM resource r JOIN resource_body b ON b.id = r.body_id JOIN resource_ref f ON f.id = r.ref_id
		JOIN source_file s ON s.id = r.file_id JOIN resource_tags t ON t.id = r.tags_id WHERE f.title = '780' AND s.name = '/780' AND b.parameters = '{"n":780}'`)
	require.NoError(t, err)
	require.Equal(t, []int64{1}, left)
	unused, err := s.read(t.Context(), "SELECT count(*) FROM resource_body")
	require.NoError(t, err)
	require.Less(t, unused[0], int64(30), "the rest is gone")
}
