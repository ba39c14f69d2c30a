package queue_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"dalang/commands/queue"
	"dalang/wireformat"
)

// spoolDir is what a real PuppetDB left when it was stopped.
const spoolDir = "../../testdata/spool/stockpile/cmd"

func openReal(t testing.TB, dir string) (*queue.Queue, []queue.Entry) {
	t.Helper()
	q, entries, err := queue.Open(queue.Config{Dir: dir})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, q.Close()) })
	return q, entries
}

// TestRealDisk: the way of a command over restarts.
func TestRealDisk(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "not", "there", "yet")
	q, entries := openReal(t, dir)
	require.Empty(t, entries)
	var put []queue.Entry
	for i := range 5 {
		e := mustPut(t, q, i)
		_, text := command(i)
		require.Equal(t, uint64(i), e.ID)
		require.Equal(t, int64(len(text)), e.Size)
		require.Equal(t, text, body(t, q, e))
		put = append(put, e)
	}
	require.NoError(t, q.Ack(put[4]))
	require.NoError(t, q.Ack(put[1]))
	require.NoError(t, q.Ack(put[1]), "twice is once")
	require.NoError(t, q.SaveAttempts(put[2], attempts("one")))
	require.NoError(t, q.SaveAttempts(put[2], attempts("one", "two")))
	require.NoError(t, q.SaveAttempts(put[3], attempts("gone")))
	require.NoError(t, os.Rename(q.Path(put[3]), filepath.Join(dir, "taken")))
	q.Moved(put[3])
	_, err := q.Body(put[3])
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.NoError(t, q.Probe(context.Background()))
	marker, err := os.ReadFile(filepath.Join(dir, "stockpile"))
	require.NoError(t, err)
	require.Equal(t, "0 stockpile", string(marker))
	require.NoError(t, q.Close())
	require.NoError(t, q.Close(), "twice is once")

	_, err = put2(q)
	require.ErrorIs(t, err, queue.ErrClosed)
	require.ErrorIs(t, q.Ack(put[0]), queue.ErrClosed)
	require.ErrorIs(t, q.SaveAttempts(put[0], nil), queue.ErrClosed)
	require.ErrorIs(t, q.Probe(context.Background()), queue.ErrClosed)
	require.ErrorIs(t, q.Available(), queue.ErrClosed)

	q, entries = openReal(t, dir)
	require.Len(t, entries, 2)
	for i, e := range []queue.Entry{put[0], put[2]} {
		_, text := command(int(e.ID))
		require.Equal(t, text, body(t, q, entries[i]))
		require.Equal(t, e.UUID, entries[i].UUID)
		require.Equal(t, e.UUID, q.UUID(e.Name()))
		e.Size = 0
		require.Equal(t, e, entries[i])
	}
	list, err := q.Attempts(entries[0])
	require.NoError(t, err)
	require.Empty(t, list)
	list, err = q.Attempts(entries[1])
	require.NoError(t, err)
	require.Equal(t, attempts("one", "two"), list)
	require.Equal(t, uint64(3), mustPut(t, q, 9).ID)
	left, err := os.ReadDir(filepath.Join(dir, "attempts"))
	require.NoError(t, err)
	require.Len(t, left, 1)
}

func put2(q *queue.Queue) (queue.Entry, error) { return put(q, 2) }

// TestTakeover: a real PuppetDB's spool, 42 commands.
func TestTakeover(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cmd")
	require.NoError(t, os.CopyFS(dir, os.DirFS(spoolDir)))
	require.NoError(t, os.RemoveAll(filepath.Join(dir, "attempts")))
	q, entries := openReal(t, dir)
	require.Len(t, entries, 42)
	commands := map[wireformat.Command]int{}
	for i, e := range entries {
		require.Equal(t, uint64(i), e.ID)
		commands[e.Meta.Command]++
		require.False(t, e.Meta.Producer.IsZero())
		text := body(t, q, e)
		original, err := os.ReadFile(filepath.Join(spoolDir, "q", e.Name()))
		require.NoError(t, err)
		require.Equal(t, string(original), text)
		_, err = gzip.NewReader(strings.NewReader(text))
		require.Equal(t, e.Meta.Gzip, err == nil, e.Name())
	}
	require.Greater(t, commands[wireformat.ReplaceFacts], 10)
	require.Greater(t, commands[wireformat.ReplaceCatalog], 10)
	require.Greater(t, commands[wireformat.StoreReport], 10)

	mangled := entries[40].Meta
	require.Equal(t, mangled, queue.NewMeta(mangled.Command, mangled.Version, "under_score/slash.example.com", mangled.Received, mangled.Producer, mangled.Gzip))
	require.Equal(t, uint64(42), mustPut(t, q, 0).ID)
}

// TestForeignFiles are reported, counted and left alone; what a crash left of
// unfinished bodies goes.
func TestForeignFiles(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "q", "5-directory"), 0o755))
	foreign := 1
	for _, name := range notNames {
		if name == "" || strings.ContainsAny(name, "/\x00") || strings.HasPrefix(name, "tmp-") {
			continue
		}
		require.NoError(t, os.WriteFile(filepath.Join(dir, "q", name), []byte(name), 0o644))
		foreign++
	}
	for _, name := range []string{"tmp-1", "tmp-2", "tmp-probe-3", "tmp-8341234"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, "q", name), []byte("half"), 0o644))
	}
	log, text := logged()
	reg := prometheus.NewRegistry()
	q, entries, err := queue.Open(queue.Config{Dir: dir, Logger: log, Registerer: reg})
	require.NoError(t, err)
	require.Empty(t, entries)
	require.Equal(t, uint64(0), mustPut(t, q, 0).ID)
	require.NoError(t, q.Close())
	left, err := os.ReadDir(filepath.Join(dir, "q"))
	require.NoError(t, err)
	require.Len(t, left, foreign+1)
	for _, name := range []string{"lost+found", "1-2_tea_5_foo.json", "5-directory"} {
		require.Contains(t, text.String(), name)
	}
	require.Equal(t, foreign, strings.Count(text.String(), "left alone"))
	require.NoError(t, testutil.GatherAndCompare(reg, strings.NewReader(fmt.Sprintf(
		"# HELP dalang_queue_foreign_files_total Files found in the queue directory at start that are not commands.\n"+
			"# TYPE dalang_queue_foreign_files_total counter\ndalang_queue_foreign_files_total %d\n", foreign)), "dalang_queue_foreign_files_total"))
}

// TestTakenNames: a name that is taken is never written over.
func TestTakenNames(t *testing.T) {
	dir := t.TempDir()
	q, _ := openReal(t, dir)
	m, text := command(1)
	taken := filepath.Join(dir, "q", queue.Entry{ID: 0, Meta: m}.Name())
	require.NoError(t, os.WriteFile(taken, []byte("somebody else's"), 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "q", "tmp-1"), nil, 0o644))
	e := mustPut(t, q, 1)
	require.Equal(t, uint64(1), e.ID)
	require.Equal(t, text, body(t, q, e))
	kept, err := os.ReadFile(taken)
	require.NoError(t, err)
	require.Equal(t, "somebody else's", string(kept))
}

// TestLock: a directory has one queue.
func TestLock(t *testing.T) {
	dir := t.TempDir()
	q, _ := openReal(t, dir)
	mustPut(t, q, 0)
	_, _, err := queue.Open(queue.Config{Dir: dir})
	require.ErrorIs(t, err, queue.ErrLocked)
	mustPut(t, q, 1)
	require.NoError(t, q.Close())
	_, entries := openReal(t, dir)
	require.Len(t, entries, 2)
}

// TestOtherLayouts are not touched.
func TestOtherLayouts(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "stockpile"), []byte("1 stockpile"), 0o644))
	for range 2 { // the lock is free again
		_, _, err := queue.Open(queue.Config{Dir: dir})
		require.ErrorContains(t, err, `says "1 stockpile"`)
	}
	_, err := os.Stat(filepath.Join(dir, "q"))
	require.ErrorIs(t, err, fs.ErrNotExist)

	file := filepath.Join(dir, "file")
	require.NoError(t, os.WriteFile(file, nil, 0o644))
	_, _, err = queue.Open(queue.Config{Dir: filepath.Join(file, "cmd")})
	require.Error(t, err)
	_, _, err = queue.Open(queue.Config{})
	require.ErrorContains(t, err, "Config.Dir")
}

// TestDamagedSalt costs the uuids, nothing else.
func TestDamagedSalt(t *testing.T) {
	dir := t.TempDir()
	q, _ := openReal(t, dir)
	e := mustPut(t, q, 0)
	require.NoError(t, q.Close())
	require.NoError(t, os.WriteFile(filepath.Join(dir, "dalang-salt"), []byte("?"), 0o644))
	q, entries := openReal(t, dir)
	require.Len(t, entries, 1)
	require.NotEqual(t, e.UUID, entries[0].UUID)
	again := entries[0].UUID
	require.NoError(t, q.Close())
	_, entries = openReal(t, dir)
	require.Equal(t, again, entries[0].UUID)
}

// TestSpool: a body that writes itself may read what it wrote.
func TestSpool(t *testing.T) {
	q, _ := openReal(t, t.TempDir())
	m, _ := command(0)
	text := strings.Repeat("0123456789", 20_000)
	var seen string
	e, err := q.Put(context.Background(), m, selfWriter(func(w io.Writer) error {
		if _, err := io.WriteString(w, text); err != nil {
			return err
		}
		r, err := w.(queue.Spool).Reread()
		if err != nil {
			return err
		}
		b, err := io.ReadAll(r)
		seen = string(b)
		return errors.Join(err, r.Close())
	}))
	require.NoError(t, err)
	require.Equal(t, text, seen)
	require.Equal(t, text, body(t, q, e))
}

type selfWriter func(io.Writer) error

func (selfWriter) Read([]byte) (int, error)             { return 0, io.EOF }
func (f selfWriter) WriteTo(w io.Writer) (int64, error) { return 0, f(w) }

// TestConcurrentPuts on the real disk: all are there, each whole.
func TestConcurrentPuts(t *testing.T) {
	dir := t.TempDir()
	q, _ := openReal(t, dir)
	const puts = 64
	var done sync.WaitGroup
	for i := range puts {
		done.Go(func() {
			if _, err := put(q, i); err != nil {
				t.Error(err)
			}
		})
	}
	done.Wait()
	require.NoError(t, q.Close())
	q, entries := openReal(t, dir)
	require.Len(t, entries, puts)
	for _, e := range entries {
		want, ok := whole(e)
		require.True(t, ok)
		require.Equal(t, want, body(t, q, e))
	}
}

// TestCloseWaits for calls that use the disk.
func TestCloseWaits(t *testing.T) {
	dir := t.TempDir()
	q, _ := openReal(t, dir)
	m, _ := command(0)
	began, proceed := make(chan struct{}), make(chan struct{})
	result := make(chan error, 1)
	go func() {
		_, err := q.Put(context.Background(), m, selfWriter(func(w io.Writer) error {
			close(began)
			<-proceed
			_, err := io.WriteString(w, "late")
			return err
		}))
		result <- err
	}()
	<-began
	closed := make(chan error, 1)
	go func() { closed <- q.Close() }()
	for q.Available() == nil { // until Close has begun
	}
	select {
	case <-closed:
		t.Fatal("did not wait")
	default:
	}
	close(proceed)
	require.NoError(t, <-result)
	require.NoError(t, <-closed)
	_, entries := openReal(t, dir)
	require.Len(t, entries, 1)
}

// TestOpenManyFiles: a restart with 100,000 commands accepts in under a second.
func TestOpenManyFiles(t *testing.T) {
	if testing.Short() || raceEnabled {
		t.Skip("100,000 files")
	}
	dir := t.TempDir()
	q, _ := openReal(t, dir)
	require.NoError(t, q.Close())
	const files = 100_000
	for i := range files {
		received := epoch.Add(time.Duration(i) * time.Millisecond)
		certname := fmt.Sprintf("node%d.example.com", i%2000)
		e := queue.Entry{ID: uint64(i), Meta: queue.NewMeta(wireformat.StoreReport, 8, certname, received, received, true)}
		f, err := os.Create(filepath.Join(dir, "q", e.Name()))
		require.NoError(t, err)
		require.NoError(t, f.Close())
	}
	began, before := time.Now(), processorTime(t)
	q, entries := openReal(t, dir)
	e := mustPut(t, q, 0)
	took, cost := time.Since(began), processorTime(t)-before
	t.Logf("%d commands: ready after %s, %s of processor time", files, took, cost)
	require.Len(t, entries, files)
	require.Equal(t, uint64(files), e.ID)
	require.Less(t, min(took, cost), time.Second, "on a busy machine the processor's time counts")
}

// processorTime is what this process has used so far.
func processorTime(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	require.NoError(t, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func BenchmarkPut(b *testing.B) {
	q, _ := openReal(b, b.TempDir())
	m, _ := command(0)
	text := bytes.Repeat([]byte("x"), 20_000)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			e, err := q.Put(context.Background(), m, bytes.NewReader(text))
			if err == nil {
				err = q.Ack(e)
			}
			if err != nil {
				b.Error(err)
				return
			}
		}
	})
}
