package dlo

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dalang/wireformat"
)

func TestReplaceChecksTheNewBody(t *testing.T) {
	ctx := context.Background()
	for _, packing := range []string{"", "gz:"} {
		b := newBench(t)
		id := b.discard(wireformat.ReplaceFacts, 5, "web9", packing+badFacts, "validation", "no")
		var bad *wireformat.Error
		_, err := b.office.Replace(ctx, id.String(), []byte(`{"certname":1}`), false)
		require.ErrorAs(t, err, &bad)
		require.NotEmpty(t, bad.Problems)
		body, err := b.office.Body(ctx, id.String())
		require.Equal(t, badFacts, readAll(t, body, err), "unchanged")

		s, err := b.office.Replace(ctx, id.String(), []byte(goodFacts), false)
		require.NoError(t, err)
		require.Equal(t, "web1", s.Certname, "as the new body says")
		for range 2 {
			body, err = b.office.Body(ctx, id.String())
			require.Equal(t, goodFacts, readAll(t, body, err))
			d, err := b.office.Get(ctx, id.String())
			require.NoError(t, err)
			require.Equal(t, b.now, d.EditedAt.Time)
			require.Equal(t, "no", d.Message, "why it came here stays")
			require.Equal(t, float64(d.Size), b.metric("dalang_dlo_bytes"))
			b.reopen()
		}
		require.Len(t, b.files(), 3)
	}
}

func TestReplaceForced(t *testing.T) {
	b := newBench(t)
	id := b.discard(wireformat.ReplaceFacts, 5, "web9", goodFacts, "store", "no")
	_, err := b.office.Replace(context.Background(), id.String(), []byte(`{"certname":1}`), true)
	require.NoError(t, err)
	d, err := b.office.Get(context.Background(), id.String())
	require.NoError(t, err)
	require.Equal(t, "validation", d.Cause)
	require.NotEmpty(t, d.Problems)
	require.Equal(t, 1., b.metric("dalang_dlo_messages", "cause=validation"))
	require.Equal(t, 0., b.metric("dalang_dlo_messages", "cause=store"))
}

func TestReplaceRefuses(t *testing.T) {
	b := newBench(t, func(c *Config) { c.MaxBody = 1000 })
	id := b.discard(wireformat.ReplaceFacts, 5, "web9", badFacts, "validation", "no")
	_, err := b.office.Replace(context.Background(), "0000000000", nil, false)
	require.ErrorIs(t, err, ErrNotFound)
	var bad *wireformat.Error
	_, err = b.office.Replace(context.Background(), id.String(), []byte(strings.Repeat(" ", 1001)), true)
	require.ErrorAs(t, err, &bad)
	require.Equal(t, wireformat.CauseTooLarge, bad.Cause)
	l, err := b.office.claim(id.String())
	require.NoError(t, err)
	_, err = b.office.Replace(context.Background(), id.String(), []byte(goodFacts), false)
	require.ErrorIs(t, err, ErrBusy)
	b.office.release(l)
}

// upstream makes a directory as PuppetDB leaves it.
func upstream(t *testing.T, dir string) string {
	to := filepath.Join(dir, "stockpile", "discard")
	require.NoError(t, os.CopyFS(to, os.DirFS("testdata/upstream")))
	return to
}

func TestImportedLetters(t *testing.T) {
	ctx := context.Background()
	b := newBench(t)
	b.cfg.Imported = upstream(t, b.dir)
	require.NoError(t, os.WriteFile(filepath.Join(b.cfg.Imported, "9-1795228251000_facts_5_bare.json"), []byte(goodFacts), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(b.cfg.Imported, "tmperr-1"), nil, 0o600))
	b.reopen()
	list := b.list(Filter{Cause: CauseImported})
	require.Len(t, list, 3)
	require.Equal(t, "no reason was left beside the letter", list[0].Message)
	require.Equal(t, "Output of normalize-facts does not match schema: {:producer_timestamp (not (matches-some-precondition? nil))}", list[1].Message)
	require.Equal(t, "dlo-probe-1", list[1].Certname)
	require.Equal(t, "2026-11-21T02:30:51.189Z", wireformat.FormatTime(list[1].DiscardedAt.Time))
	require.Equal(t, "Error parsing command {:kind :puppetlabs.puppetdb.queue/parse-error}; caused by "+
		"com.fasterxml.jackson.core.io.JsonEOFException: Unexpected end-of-input in field name", list[2].Message)
	require.Equal(t, 1, list[2].Attempts)
	d, err := b.office.Get(ctx, list[2].UUID.String())
	require.NoError(t, err)
	require.Contains(t, d.Stack, "\tat puppetlabs.puppetdb.command$process_message")

	// What is wrong with it is found out anew, and it can be mended and replayed.
	var bad *wireformat.Error
	_, err = b.office.Replace(ctx, list[1].UUID.String(), []byte(badFacts), false)
	require.ErrorAs(t, err, &bad)
	_, err = b.office.Replace(ctx, list[1].UUID.String(), []byte(goodFacts), false)
	require.NoError(t, err)
	b.reopen()
	to := &spool{}
	res, err := b.office.Replay(ctx, ReplayRequest{Selection: all()}, to, nil)
	require.NoError(t, err)
	require.Equal(t, ReplayResult{Selected: 3, Replayed: 2, Failing: 1}, res)
	left, err := filepath.Glob(filepath.Join(b.cfg.Imported, "*"))
	require.NoError(t, err)
	require.Len(t, left, 3, "the failing letter, its text, and the foreign file: %v", left)

	// Quota and age do not touch them.
	b.cfg.MaxAge, b.cfg.MaxBytes = time.Hour, 1
	b.pass(100_000 * time.Hour)
	b.reopen()
	b.office.enforce(ctx)
	require.Len(t, b.list(Filter{}), 1)
}

func TestReadImportedShapes(t *testing.T) {
	for text, want := range map[string]string{
		"":                                       "no reason was left beside the letter",
		"something else":                         "something else",
		"Attempt 1 @ 2026-01-01T00:00:00.000Z\n": "no reason was left beside the letter",
		"Attempt 1 @ yesterday\nx":               "Attempt 1 @ yesterday",
		"Attempt 1 @ 2026-01-01T00:00:00.000Z\nUnknown catalog version":                            "Unknown catalog version",
		"Attempt 2 @ 2026-01-02T00:00:00.000Z\nnew\n\nAttempt 1 @ 2026-01-01T00:00:00.000Z\nold\n": "new",
	} {
		var d Diagnosis
		d.readImported(text)
		require.Equal(t, want, d.Message, text)
	}
}
