package dlo

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"dalang/commands"
	"dalang/commands/outcome"
	"dalang/commands/queue"
	"dalang/wireformat"
)

func TestDiscardKeepsBodyAndReason(t *testing.T) {
	b := newBench(t)
	e := b.put(wireformat.ReplaceFacts, 5, "web1", "gz:"+badFacts)
	l := b.letter(e, "web1", wireformat.CauseValidation, "facts are not valid")
	l.Problems = []wireformat.Problem{{Path: "$.environment", Message: "must be a string or null"}}
	l.Attempts = []queue.Attempt{
		{At: b.now.Add(-time.Minute), Error: "the store was away"},
		{At: b.now, Error: "facts are not valid"},
	}
	raw, err := os.ReadFile(b.queue.Path(e))
	require.NoError(t, err)
	require.NoError(t, b.office.Discard(context.Background(), l))

	name := "0-1772366400000_facts_5_web1.json.gz"
	require.Equal(t, []string{
		"replace-facts/" + name, "replace-facts/" + name + "_err.json", "replace-facts/" + name + "_err.txt",
	}, b.files())
	kept, err := os.ReadFile(filepath.Join(b.cfg.Dir, "replace-facts", name))
	require.NoError(t, err)
	require.Equal(t, raw, kept, "the body is not touched")
	require.NoFileExists(t, b.queue.Path(e))

	text, err := os.ReadFile(filepath.Join(b.cfg.Dir, "replace-facts", name+"_err.txt"))
	require.NoError(t, err)
	require.Equal(t, `Attempt 2 @ 2026-03-01T12:00:00.000Z
facts are not valid
  $.environment: must be a string or null

Attempt 1 @ 2026-03-01T11:59:00.000Z
the store was away
`, string(text))

	for _, id := range []string{e.UUID.String(), name, e.UUID.String()[:8], strings.ToUpper(e.UUID.String()[:8])} {
		d, err := b.office.Get(context.Background(), id)
		require.NoError(t, err, id)
		require.Equal(t, Diagnosis{
			UUID: e.UUID, File: name, Command: wireformat.ReplaceFacts, Version: 5, Certname: "web1",
			Received: stamp(b.now), Client: "compiler1", Cause: "validation", Message: "facts are not valid",
			Problems: l.Problems, Attempts: l.Attempts, Size: int64(len(raw)), Encoding: "gzip",
			DiscardedAt: stamp(b.now), DalangVersion: "1.2.3",
		}, d)
	}
	body, err := b.office.Body(context.Background(), name)
	require.Equal(t, badFacts, readAll(t, body, err))
	body, err = b.office.RawBody(context.Background(), name)
	require.Equal(t, string(raw), readAll(t, body, err))
}

func TestDiscardedIsRememberedAcrossRestarts(t *testing.T) {
	b := newBench(t)
	e := b.put(wireformat.StoreReport, 99, "web1", "{}")
	l := b.letter(e, "web1", outcome.CausePanic, "index out of range")
	l.Stack = "goroutine 7 [running]:\nmain.main()"
	require.NoError(t, b.office.Discard(context.Background(), l))
	for range 2 {
		status, ok := b.office.FindDiscarded(e.UUID)
		require.True(t, ok)
		require.Equal(t, commands.StateDiscarded, status.State)
		require.Equal(t, "store report", status.Command)
		require.Equal(t, "index out of range", *status.Error)
		require.Equal(t, 1, status.Attempts)
		require.Equal(t, b.now, status.Finished.Time)
		d, err := b.office.Get(context.Background(), e.UUID.String())
		require.NoError(t, err)
		require.Equal(t, l.Stack, d.Stack)
		require.Equal(t, 1., b.metric("dalang_dlo_messages", "command=store report", "cause=panic"))
		require.Equal(t, 2., b.metric("dalang_dlo_bytes", "command=store report", "cause=panic"))
		b.reopen()
	}
	_, ok := b.office.FindDiscarded(uuid.New())
	require.False(t, ok)
}

func TestDiscardAgain(t *testing.T) {
	ctx := context.Background()
	path := func(b *bench, e queue.Entry) string {
		return filepath.Join(b.cfg.Dir, "replace-facts", e.Name())
	}
	t.Run("a whole letter is left alone", func(t *testing.T) {
		b := newBench(t)
		e := b.put(wireformat.ReplaceFacts, 5, "web1", badFacts)
		l := b.letter(e, "web1", "validation", "no")
		require.NoError(t, b.office.Discard(ctx, l))
		require.NoError(t, b.office.Discard(ctx, l))
		require.Len(t, b.list(Filter{}), 1)
		require.Equal(t, 1., b.metric("dalang_dlo_discarded_total"))
	})
	t.Run("the body had been moved", func(t *testing.T) {
		b := newBench(t)
		e := b.put(wireformat.ReplaceFacts, 5, "web1", badFacts)
		require.NoError(t, os.MkdirAll(filepath.Dir(path(b, e)), 0o755))
		require.NoError(t, os.Rename(b.queue.Path(e), path(b, e)))
		require.NoError(t, b.office.Discard(ctx, b.letter(e, "web1", "validation", "no")))
		require.Len(t, b.files(), 3)
	})
	t.Run("a crash left the body in both places", func(t *testing.T) {
		b := newBench(t)
		e := b.put(wireformat.ReplaceFacts, 5, "web1", badFacts)
		require.NoError(t, os.MkdirAll(filepath.Dir(path(b, e)), 0o755))
		require.NoError(t, os.Link(b.queue.Path(e), path(b, e)))
		b.reopen() // writes a diagnosis of its own
		require.NoError(t, b.office.Discard(ctx, b.letter(e, "web1", "validation", "the real reason")))
		require.NoFileExists(t, b.queue.Path(e))
		require.Len(t, b.files(), 3)
		require.Equal(t, "the real reason", b.list(Filter{})[0].Message)
		require.Equal(t, 1., b.metric("dalang_dlo_messages"))
	})
	t.Run("another letter has the name", func(t *testing.T) {
		b := newBench(t)
		e := b.put(wireformat.ReplaceFacts, 5, "web1", badFacts)
		require.NoError(t, os.MkdirAll(filepath.Dir(path(b, e)), 0o755))
		require.NoError(t, os.WriteFile(path(b, e), []byte("{}"), 0o600))
		b.reopen()
		require.NoError(t, b.office.Discard(ctx, b.letter(e, "web1", "validation", "no")))
		require.Len(t, b.files(), 6)
		body, err := b.office.Body(ctx, e.UUID.String())
		require.Equal(t, badFacts, readAll(t, body, err))
	})
	t.Run("the body is nowhere", func(t *testing.T) {
		b := newBench(t)
		e := b.put(wireformat.ReplaceFacts, 5, "web1", badFacts)
		require.NoError(t, os.Remove(b.queue.Path(e)))
		err := b.office.Discard(ctx, b.letter(e, "web1", "validation", "no"))
		require.ErrorIs(t, err, fs.ErrNotExist)
		require.Empty(t, b.list(Filter{}))
	})
}

func TestOpenWritesLostDiagnoses(t *testing.T) {
	b := newBench(t)
	bodies := map[string]string{
		"replace-facts/3-1772366400000_facts_5_a.json":                badFacts,
		"replace-facts/4-1772366400001_facts_5_b.json":                goodFacts,
		"replace-facts/5-1772366400002_facts_9_c.json":                goodFacts,
		"store-report/6-1772366400003_report_8_d.json.gz":             "not gzip",
		"replace-facts/tmp-17":                                        "half",
		"replace-facts/7-1772366400004_facts_5_gone.json_err.json":    "{}",
		"replace-facts/7-1772366400004_facts_5_gone.json_err.txt":     "",
		"replace-facts/README":                                        "an operator's",
		"replace-facts/8-1772366400004_report_8_wrong-directory.json": "{}",
		"deactivate-node/9-1772366400009_rm-node_3_" + long + ".json": deadNode,
	}
	for name, body := range bodies {
		require.NoError(t, os.MkdirAll(filepath.Join(b.cfg.Dir, filepath.Dir(name)), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(b.cfg.Dir, name), []byte(body), 0o600))
	}
	for range 2 {
		b.reopen()
		got := map[string]string{}
		for _, s := range b.list(Filter{}) {
			got[s.Certname] = s.Cause
		}
		require.Equal(t, map[string]string{
			"a": "validation", "b": "unknown", "c": "version", "d": "encoding", long: "unknown"}, got)
	}
	require.NoFileExists(t, filepath.Join(b.cfg.Dir, "replace-facts/tmp-17"))
	require.NoFileExists(t, filepath.Join(b.cfg.Dir, "replace-facts/7-1772366400004_facts_5_gone.json_err.json"))
	require.FileExists(t, filepath.Join(b.cfg.Dir, "replace-facts/README"))
	require.FileExists(t, filepath.Join(b.cfg.Dir, "replace-facts/8-1772366400004_report_8_wrong-directory.json"))
	require.Equal(t, 4, strings.Count(b.log.String(), "left alone a file"), "two files, twice")
}

// long makes a file name of 255 bytes.
var long = strings.Repeat("x", 255-len("9-1772366400009_rm-node_3_.json"))

func TestDamagedDiagnosis(t *testing.T) {
	b := newBench(t)
	id := b.discard(wireformat.ReplaceFacts, 5, "web1", badFacts, "validation", "no")
	damaged := filepath.Join(b.cfg.Dir, b.files()[1])
	require.NoError(t, os.WriteFile(damaged, []byte(`{"uuid": "`), 0o600))
	b.cfg.UUID = func(name string) uuid.UUID { return id }
	b.reopen()
	s := b.list(Filter{})
	require.Len(t, s, 1)
	require.Equal(t, id, s[0].UUID)
	require.Equal(t, CauseUnknown, s[0].Cause)
	require.Contains(t, s[0].Message, "cannot be read")
	text, err := os.ReadFile(damaged)
	require.NoError(t, err)
	require.Equal(t, `{"uuid": "`, string(text), "evidence is not overwritten")
}

func TestConfigIsChecked(t *testing.T) {
	_, err := Open(Config{})
	require.ErrorContains(t, err, "Config.Dir is required")
	_, err = Open(Config{Dir: t.TempDir(), MaxAge: -1})
	require.ErrorContains(t, err, "negative")
}
