package dlo

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dalang/wireformat"
)

func TestPrune(t *testing.T) {
	keep := func(n int64) *int64 { return &n }
	size := int64(len(badFacts)) // of letters 0, 1 and 4; 2 has 1 byte, 3 has 2
	cases := map[string]struct {
		req  PruneRequest
		kept []string
	}{
		"by age":                   {PruneRequest{Selection: Selection{Filter: Filter{OlderThan: Age(3500 * time.Millisecond)}}}, []string{"2", "3", "4"}},
		"by bytes, oldest first":   {PruneRequest{KeepBytes: keep(size + 2)}, []string{"3", "4"}},
		"all bytes":                {PruneRequest{KeepBytes: keep(0)}, nil},
		"enough room":              {PruneRequest{KeepBytes: keep(1 << 30)}, []string{"0", "1", "2", "3", "4"}},
		"either":                   {PruneRequest{Selection: Selection{Filter: Filter{OlderThan: Age(3500 * time.Millisecond)}}, KeepBytes: keep(size + 2)}, []string{"3", "4"}},
		"a cause":                  {PruneRequest{Selection: Selection{Filter: Filter{Cause: "version"}}}, []string{"0", "1", "2"}},
		"a cause, by age":          {PruneRequest{Selection: Selection{Filter: Filter{Cause: "version", OlderThan: Age(1500 * time.Millisecond)}}}, []string{"0", "1", "2", "4"}},
		"a cause, by bytes":        {PruneRequest{Selection: Selection{Filter: Filter{Cause: "validation"}}, KeepBytes: keep(size)}, []string{"1", "2", "3", "4"}},
		"everything, when said so": {PruneRequest{Selection: Selection{All: true}}, nil},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			b := fiveLetters(t)
			dry := c.req
			dry.DryRun = true
			would, err := b.office.Prune(context.Background(), dry)
			require.NoError(t, err)
			require.Len(t, b.list(Filter{}), 5)
			did, err := b.office.Prune(context.Background(), c.req)
			require.NoError(t, err)
			would.DryRun = false
			require.Equal(t, would, did)
			var kept []string
			for range 2 {
				kept = nil
				for _, s := range b.list(Filter{}) {
					id, _, _ := strings.Cut(s.File, "-")
					kept = append(kept, id)
				}
				require.Equal(t, c.kept, kept)
				b.reopen()
			}
			require.Equal(t, len(kept), did.Kept)
			require.Equal(t, 5-len(kept), did.Pruned)
			require.Len(t, b.files(), 3*len(kept))
			require.Equal(t, did.Pruned, strings.Count(b.log.String(), `msg="letter pruned"`))
		})
	}
	b := fiveLetters(t)
	_, err := b.office.Prune(context.Background(), PruneRequest{})
	require.ErrorContains(t, err, "nothing is selected")
	_, err = b.office.Prune(context.Background(), PruneRequest{KeepBytes: keep(-1)})
	require.ErrorContains(t, err, "negative")
}

func TestQuota(t *testing.T) {
	b := newBench(t, func(c *Config) { c.MaxBytes = int64(2 * len(badFacts)) })
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- b.office.Run(ctx) }()
	for range 5 {
		b.discard(wireformat.ReplaceFacts, 5, "web1", badFacts, "validation", "no")
	}
	require.Eventually(t, func() bool { return len(b.list(Filter{})) == 2 }, 5*time.Second, time.Millisecond)
	stop()
	require.NoError(t, <-ended)
	require.True(t, strings.HasPrefix(b.list(Filter{})[0].File, "3-"), "the newest stay")
	require.Equal(t, 3., b.metric("dalang_dlo_pruned_total"))
}

func TestRetention(t *testing.T) {
	b := fiveLetters(t)
	b.cfg.MaxAge = 24 * time.Hour
	b.pass(24*time.Hour - 3*time.Second)
	b.reopen()
	b.office.enforce(context.Background())
	require.Len(t, b.list(Filter{}), 3)
	require.Contains(t, b.log.String(), "reason=max-age")
	require.Contains(t, b.log.String(), "the dead letter office was pruned")
}

func TestExport(t *testing.T) {
	b := fiveLetters(t)
	b.cfg.Imported = upstream(t, b.dir)
	b.reopen()
	var out bytes.Buffer
	n, err := b.office.Export(context.Background(), all(), &out)
	require.NoError(t, err)
	require.Equal(t, 7, n)
	z, err := gzip.NewReader(&out)
	require.NoError(t, err)
	r := tar.NewReader(z)
	files := map[string]string{}
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		content, err := io.ReadAll(r)
		require.NoError(t, err)
		files[h.Name] = string(content)
	}
	require.Len(t, files, 5*3+2*2)
	require.Equal(t, "{", files["store-report/2-1772366402000_report_8_web1.example.com.json"])
	d, err := ReadDiagnosis([]byte(files["store-report/2-1772366402000_report_8_web1.example.com.json_err.json"]))
	require.NoError(t, err)
	require.Equal(t, "parse", d.Cause)
	require.Contains(t, files, "imported/180-1795228251167_facts_5_dlo-probe-1_err.txt")
}
