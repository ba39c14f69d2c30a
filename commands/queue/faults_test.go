package queue_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"dalang/commands/queue"
	"dalang/commands/queue/faultfs"
)

// scene is a queue with three commands in it, the middle one tried before.
type scene struct {
	disk    *faultfs.FS
	q       *queue.Queue
	entries []queue.Entry
	known   *promised
}

func newScene(t *testing.T) *scene {
	s := &scene{disk: faultfs.New(), known: newPromised()}
	s.q, _ = open(t, s.disk)
	for i := range 3 {
		e := mustPut(t, s.q, i)
		_, text := command(i)
		s.entries = append(s.entries, e)
		s.known.accepted(e, text)
	}
	require.NoError(t, s.q.SaveAttempts(s.entries[1], attempts("first")))
	s.disk.Reset()
	return s
}

// actions are what a queue is asked to do, to the same scene.
var actions = []struct {
	name string
	do   func(*scene) error
}{
	{"put", func(s *scene) error {
		e, err := put(s.q, 9)
		if err == nil {
			_, text := command(9)
			s.known.accepted(e, text)
		}
		return err
	}},
	{"ack", func(s *scene) error {
		s.known.leaving(s.entries[1])
		return s.q.Ack(s.entries[1])
	}},
	{"attempts", func(s *scene) error { return s.q.SaveAttempts(s.entries[1], attempts("first", "second")) }},
	{"probe", func(s *scene) error { return s.q.Probe(context.Background()) }},
}

// TestOrderOfOperations freezes the promises of doc.go.
func TestOrderOfOperations(t *testing.T) {
	check := func(name string, disk *faultfs.FS) {
		got := strings.ReplaceAll(strings.Join(disk.Log(), "\n")+"\n", dir, "cmd")
		file := filepath.Join("testdata", name+".golden")
		if *update {
			require.NoError(t, os.MkdirAll("testdata", 0o755))
			require.NoError(t, os.WriteFile(file, []byte(got), 0o644))
		}
		want, err := os.ReadFile(file)
		require.NoError(t, err)
		require.Equal(t, string(want), got, name)
	}
	for _, a := range actions {
		s := newScene(t)
		require.NoError(t, a.do(s))
		check(a.name, s.disk)
	}

	disk := faultfs.New()
	q, _ := open(t, disk)
	check("open_new", disk)
	require.NoError(t, q.Close())

	disk = usedDisk(t)
	q, entries := open(t, disk)
	require.Len(t, entries, 3)
	check("open_used", disk)
	require.NoError(t, q.Close())
}

// usedDisk has all that Open may find.
func usedDisk(t *testing.T) *faultfs.FS {
	s := newScene(t)
	require.NoError(t, s.q.Close())
	disk := s.disk.Crash(1)
	for _, name := range []string{"q/tmp-1", "q/foreign", "q/7-not-a-command", "attempts/99-1.json", "attempts/1-1772366401000.json.tmp", "dalang-salt.tmp"} {
		disk.Put(dir+"/"+name, "left")
	}
	return disk
}

// faults are the ways in which one operation may fail.
var faults = map[string]error{
	"EIO":          syscall.EIO,
	"ENOSPC":       syscall.ENOSPC,
	"done":         &faultfs.Fault{Err: syscall.EIO, Done: true},
	"part written": &faultfs.Fault{Err: syscall.ENOSPC, Keep: 5},
}

// TestEveryOperationFailsOnce: nothing that was promised suffers, an error
// means that nothing was, and after a disk error nothing is accepted until a
// probe.
func TestEveryOperationFailsOnce(t *testing.T) {
	for _, a := range actions {
		for kind, fault := range faults {
			n := 1
			for ; ; n++ {
				where := fmt.Sprintf("%s: operation %d: %s", a.name, n, kind)
				s := newScene(t)
				s.disk.FailAt(n, fault)
				err := a.do(s)
				if s.disk.Count("") < n {
					require.NoError(t, err, where)
					break
				}
				failed := s.disk.Log()[n-1]
				quiet := strings.HasPrefix(failed, "remove "+dir+"/attempts") && a.name == "ack"
				if a.name == "put" || a.name == "probe" {
					require.Error(t, err, where)
				}
				s.requireState(t, err, quiet, where)
				s.requireRecovers(t, where)
				require.NoError(t, s.q.Close())
			}
			require.Greater(t, n, 2, a.name)
		}
	}
}

// requireState checks what the queue says after an operation failed.
func (s *scene) requireState(t *testing.T, err error, quiet bool, where string) {
	t.Helper()
	if err == nil {
		require.True(t, quiet, "%s: went unnoticed", where)
		require.NoError(t, s.q.Available(), where)
		return
	}
	var disk *queue.DiskError
	require.ErrorAs(t, err, &disk, where)
	require.Equal(t, errors.Is(err, syscall.ENOSPC), disk.Full, where)
	require.ErrorAs(t, s.q.Available(), &disk, where)
	ops := s.disk.Count("")
	_, err = put(s.q, 11)
	require.ErrorAs(t, err, &disk, where)
	require.Equal(t, ops, s.disk.Count(""), "%s: the disk was touched", where)
}

// requireRecovers checks all that may be next: a restart, a kill, a power cut
// or a probe and more commands.
func (s *scene) requireRecovers(t *testing.T, where string) {
	t.Helper()
	all := func(where string) {
		s.known.check(t, s.disk.Kill(), whole, where+": kill")
		for seed := range uint64(8) {
			s.known.check(t, s.disk.Crash(seed), whole, fmt.Sprintf("%s: crash %d", where, seed))
		}
	}
	all(where)
	require.NoError(t, s.q.Probe(context.Background()), where)
	require.NoError(t, s.q.Available(), where)
	e := mustPut(t, s.q, 12)
	_, text := command(12)
	s.known.accepted(e, text)
	all(where + ": probed")
}

// TestPutFailsCleanly: after an error that was told, nothing is left to be
// applied, unless the disk lied.
func TestPutFailsCleanly(t *testing.T) {
	for n := 1; ; n++ {
		s := newScene(t)
		s.disk.FailAt(n, syscall.EIO)
		_, err := put(s.q, 9)
		if s.disk.Count("") < n {
			break
		}
		require.Error(t, err)
		require.NoError(t, s.q.Close())
		s.known.check(t, s.disk, nil, fmt.Sprint("operation ", n))
	}
}

// TestOpenFails: an Open that failed can be tried again, on a new directory
// and on a used one, and what is accepted then is durable.
func TestOpenFails(t *testing.T) {
	for name, disk := range map[string]func() *faultfs.FS{
		"new":  faultfs.New,
		"used": func() *faultfs.FS { return usedDisk(t) },
	} {
		for kind, fault := range faults {
			for n := 1; ; n++ {
				where := fmt.Sprintf("%s: operation %d: %s", name, n, kind)
				d := disk()
				known := newPromised()
				for path, text := range d.Files() {
					if _, _, err := queue.ParseName(filepath.Base(path)); err == nil {
						known.must[filepath.Base(path)] = text
					}
				}
				d.FailAt(n, fault)
				q, entries, err := queue.Open(queue.Config{Dir: dir, FS: d})
				over := d.Count("") < n
				d.Reset()
				if err == nil {
					require.Len(t, entries, len(known.must), where)
				} else {
					for seed := range uint64(6) {
						known.check(t, d.Crash(seed), nil, where)
					}
					q, _ = open(t, d)
				}
				e := mustPut(t, q, 20)
				_, text := command(20)
				known.accepted(e, text)
				for seed := range uint64(6) {
					known.check(t, d.Crash(seed), nil, fmt.Sprintf("%s: crash %d", where, seed))
				}
				require.NoError(t, q.Close())
				if over {
					break
				}
			}
		}
	}
}

// TestOpenKilled: the same for an Open that was killed.
func TestOpenKilled(t *testing.T) {
	for name, disk := range map[string]*faultfs.FS{"new": faultfs.New(), "used": usedDisk(t)} {
		var after []*faultfs.FS
		disk.Before(func(faultfs.Op) error {
			after = append(after, disk.Kill())
			return nil
		})
		q, _ := open(t, disk)
		require.NoError(t, q.Close())
		for n, d := range after {
			q, entries := open(t, d)
			e := mustPut(t, q, 20)
			for seed := range uint64(6) {
				where := fmt.Sprintf("%s: operation %d, seed %d", name, n+1, seed)
				again, list := open(t, d.Crash(seed))
				require.Len(t, list, len(entries)+1, where)
				require.Equal(t, e.Name(), list[len(entries)].Name(), where)
				require.Equal(t, e.UUID, list[len(entries)].UUID, where)
				require.NoError(t, again.Close())
			}
			require.NoError(t, q.Close())
		}
	}
}

// TestBodyFails: the disk is not to blame, and nothing is left.
func TestBodyFails(t *testing.T) {
	s := newScene(t)
	m, _ := command(9)
	gone := errors.New("the client is gone")
	for _, r := range []io.Reader{iotest.ErrReader(gone), io.MultiReader(strings.NewReader("part"), iotest.ErrReader(gone)), writerTo{gone}} {
		_, err := s.q.Put(context.Background(), m, r)
		require.ErrorIs(t, err, gone)
		require.NoError(t, s.q.Available())
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := s.q.Put(ctx, m, strings.NewReader("body"))
	require.ErrorIs(t, err, context.Canceled)
	require.NoError(t, s.q.Available())
	require.NoError(t, s.q.Close())
	s.known.check(t, s.disk, nil, "")
}

type writerTo struct{ err error }

func (w writerTo) Read([]byte) (int, error)            { return 0, errors.New("WriteTo is asked first") }
func (w writerTo) WriteTo(to io.Writer) (int64, error) { return 0, w.err }

// TestPutRefusesWhatItCouldNotFind: a command whose name Open would not
// understand is never accepted.
func TestPutRefusesWhatItCouldNotFind(t *testing.T) {
	s := newScene(t)
	for name, m := range map[string]queue.Meta{
		"no certname":     queue.NewMeta("replace facts", 5, "", epoch, epoch, false),
		"unknown command": queue.NewMeta("make tea", 5, "web1", epoch, epoch, false),
		"bad version":     queue.NewMeta("replace facts", -5, "web1", epoch, epoch, false),
		"bad certid":      {Command: "replace facts", Version: 5, Certid: "web_1", Received: epoch},
		"path":            {Command: "replace facts", Version: 5, Certid: "../../web", Received: epoch},
	} {
		_, err := s.q.Put(context.Background(), m, strings.NewReader("x"))
		require.Error(t, err, name)
		require.NoError(t, s.q.Available(), name)
	}
	require.NoError(t, s.q.Close())
	s.known.check(t, s.disk, nil, "")
}

// TestIdsEnd: an id that the layout cannot hold is not given.
func TestIdsEnd(t *testing.T) {
	disk := faultfs.New()
	m, text := command(0)
	last := queue.Entry{ID: 1<<63 - 1, Meta: m}
	disk.Put(dir+"/q/"+last.Name(), text)
	q, entries := open(t, disk)
	require.Len(t, entries, 1)
	_, err := put(q, 1)
	require.ErrorContains(t, err, "id")
	require.NoError(t, q.Close())
}

// TestTwins: two spools were merged; every command is dealt with.
func TestTwins(t *testing.T) {
	disk := faultfs.New()
	known := newPromised()
	for i := range 3 {
		m, text := command(i)
		e := queue.Entry{ID: 5, Meta: m}
		disk.Put(q(e), text)
		known.accepted(e, text)
	}
	known.check(t, disk, nil, "twins")
	q, entries := open(t, disk)
	require.NoError(t, q.SaveAttempts(entries[0], attempts("no")))
	list, err := q.Attempts(entries[1])
	require.NoError(t, err)
	require.Empty(t, list)
	require.Equal(t, uint64(6), mustPut(t, q, 4).ID)
	require.NoError(t, q.Close())
	q, entries = open(t, disk)
	for i, e := range entries {
		list, err := q.Attempts(e)
		require.NoError(t, err)
		require.Equal(t, i == 0, len(list) == 1)
	}
	require.NoError(t, q.Close())
}

func q(e queue.Entry) string { return dir + "/q/" + e.Name() }

// TestProbeClearsOnlyWhatItTried: an error that came up while a probe ran
// outlives it.
func TestProbeClearsOnlyWhatItTried(t *testing.T) {
	s := newScene(t)
	s.disk.Before(func(o faultfs.Op) error {
		switch {
		case o.Kind == "syncdir":
			require.Error(t, s.q.Ack(s.entries[0]))
		case o.Kind == "remove" && o.Path == s.q.Path(s.entries[0]):
			return syscall.EROFS
		}
		return nil
	})
	require.ErrorIs(t, s.q.Probe(context.Background()), syscall.EROFS)
	require.ErrorIs(t, s.q.Available(), syscall.EROFS)
	s.disk.Reset()
	require.NoError(t, s.q.Probe(context.Background()))
	require.NoError(t, s.q.Available())
	require.NoError(t, s.q.Close())
	s.known.check(t, s.disk, nil, "")
}
