package dlo

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"dalang/commands"
	"dalang/commands/queue"
	"dalang/wireformat"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// faults is an office on a disk that fails, and one command that it is to take.
type faults struct {
	disk   *memFS
	office *Office
	letter commands.Letter
}

const faultUUID = "0b4ef5cf-9c4b-5b0c-93f7-5d1bbf4a4a4e"

func newFaults(t *testing.T, disk *memFS) *faults {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	e := queue.Entry{ID: 7, UUID: uuid.MustParse(faultUUID),
		Meta: queue.NewMeta(wireformat.ReplaceFacts, 5, "web1", now, time.Time{}, false)}
	f := &faults{disk: disk, letter: commands.Letter{
		Entry: e, BodyPath: "/data/stockpile/cmd/q/" + e.Name(), Certname: "web1", Cause: "validation", Message: "no",
	}}
	if disk.dirs["/data"] == false {
		disk.put(f.letter.BodyPath, badFacts)
	}
	var err error
	f.office, err = Open(Config{Dir: "/data/mq/discarded", FS: disk, Now: func() time.Time { return now },
		UUID: func(string) uuid.UUID { return e.UUID }})
	require.NoError(t, err)
	return f
}

func (f *faults) discard() error { return f.office.Discard(context.Background(), f.letter) }

// requireWhole checks that the letter is here, once, with its body.
func (f *faults) requireWhole(t *testing.T, where string) {
	t.Helper()
	l, err := f.office.List(context.Background(), Filter{}, Page{})
	require.NoError(t, err)
	require.Equal(t, 1, l.Total, where)
	require.Equal(t, faultUUID, l.Letters[0].UUID.String(), where)
	require.Equal(t, "validation", l.Letters[0].Cause, where)
	body, err := f.office.Body(context.Background(), faultUUID)
	require.Equal(t, badFacts, readAll(t, body, err), where)
	_, err = f.disk.Stat(f.letter.BodyPath)
	require.Error(t, err, "%s: the queue has it too", where)
}

// TestOrderOfDiscarding freezes the promise of doc.go.
func TestOrderOfDiscarding(t *testing.T) {
	f := newFaults(t, newMemFS())
	f.disk.log = nil
	require.NoError(t, f.discard())
	got := strings.Join(f.disk.log, "\n") + "\n"
	if *update {
		require.NoError(t, os.WriteFile("testdata/discard.golden", []byte(got), 0o644))
	}
	want, err := os.ReadFile("testdata/discard.golden")
	require.NoError(t, err)
	require.Equal(t, string(want), got)
}

// operations is how many operations a run of do makes on a disk.
func operations(t *testing.T, do func(*faults) error) (before, after int) {
	f := newFaults(t, newMemFS())
	before = f.disk.ops
	require.NoError(t, do(f))
	return before, f.disk.ops
}

// TestEveryOperationFailsOnce: Discard says so, and works when called again.
func TestEveryOperationFailsOnce(t *testing.T) {
	from, to := operations(t, (*faults).discard)
	require.Greater(t, to-from, 10)
	for n := from + 1; n <= to; n++ {
		where := fmt.Sprintf("operation %d", n)
		f := newFaults(t, newMemFS())
		f.disk.failAt = n
		require.ErrorIs(t, f.discard(), errDisk, where)
		require.Equal(t, badFacts, f.disk.text(f.letter.BodyPath), "%s: back in the queue", where)
		require.NoError(t, f.discard(), where)
		f.requireWhole(t, where)
		f = newFaults(t, f.disk) // and after a restart
		f.requireWhole(t, where)
		for name := range f.disk.names {
			require.NotContains(t, name, tmpPrefix, where)
		}
	}
}

// TestCrashAtEveryOperation: whatever part of what was not synced a power cut
// leaves, the body is somewhere, whole; the office opens; and doing it again
// from the queue, where it is there, ends well.
func TestCrashAtEveryOperation(t *testing.T) {
	from, to := operations(t, (*faults).discard)
	for n := from + 1; n <= to+1; n++ {
		for seed := range uint64(30) {
			where := fmt.Sprintf("operation %d, seed %d", n, seed)
			f := newFaults(t, newMemFS())
			f.disk.failAt, f.disk.dead = n, true
			err := f.discard()
			require.Equal(t, n <= to, err != nil, where)

			f = newFaults(t, f.disk.crash(seed))
			if queued := f.disk.text(f.letter.BodyPath); queued != "" {
				require.Equal(t, badFacts, queued, where)
				require.Error(t, err, "%s: done, and still in the queue", where)
				require.NoError(t, f.discard(), where)
			}
			f.requireWhole(t, where)
			if err == nil {
				d, err := f.office.Get(context.Background(), faultUUID)
				require.NoError(t, err, where)
				require.Equal(t, "no", d.Message, "%s: the reason was promised", where)
			}
			f = newFaults(t, f.disk.crash(0))
			f.requireWhole(t, where)
		}
	}
}

// TestReplayCrashes: a letter is gone only when its command was submitted.
func TestReplayCrashes(t *testing.T) {
	replay := func(f *faults, to *spool) error {
		_, err := f.office.Replay(context.Background(), ReplayRequest{Selection: all(), Force: true}, to, nil)
		return err
	}
	discarded := func(f *faults) error {
		if err := f.discard(); err != nil {
			return err
		}
		return replay(f, &spool{})
	}
	_, to := operations(t, discarded)
	_, from := operations(t, (*faults).discard)
	require.Greater(t, to, from)
	for n := from + 1; n <= to+1; n++ {
		for seed := range uint64(20) {
			where := fmt.Sprintf("operation %d, seed %d", n, seed)
			f := newFaults(t, newMemFS())
			require.NoError(t, f.discard())
			f.disk.failAt, f.disk.dead = n, true
			first := &spool{}
			_ = replay(f, first)
			f = newFaults(t, f.disk.crash(seed))
			second := &spool{}
			require.NoError(t, replay(f, second), where)
			require.Contains(t, append(first.body, second.body...), badFacts, where)
			require.Empty(t, f.office.order, where)
			for name := range f.disk.names {
				require.NotContains(t, name, "/discarded/", where)
			}
		}
	}
}

// TestReplaceCrashes: the body is the old one or the new one.
func TestReplaceCrashes(t *testing.T) {
	replace := func(f *faults) error {
		if err := f.discard(); err != nil {
			return err
		}
		_, err := f.office.Replace(context.Background(), faultUUID, []byte(goodFacts), false)
		return err
	}
	_, to := operations(t, replace)
	_, from := operations(t, (*faults).discard)
	for n := from + 1; n <= to+1; n++ {
		for seed := range uint64(20) {
			where := fmt.Sprintf("operation %d, seed %d", n, seed)
			f := newFaults(t, newMemFS())
			f.disk.failAt, f.disk.dead = n, true
			err := replace(f)
			f = newFaults(t, f.disk.crash(seed))
			require.Len(t, f.office.order, 1, where)
			r, e := f.office.Body(context.Background(), faultUUID)
			body := readAll(t, r, e)
			require.Contains(t, []string{badFacts, goodFacts}, body, where)
			if err == nil {
				require.Equal(t, goodFacts, body, where)
			}
		}
	}
}
