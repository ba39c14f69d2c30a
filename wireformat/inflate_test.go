package wireformat

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
)

func gzipped(t testing.TB, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := io.WriteString(w, text)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return b.Bytes()
}

func TestInflate(t *testing.T) {
	text := strings.Repeat(`{"certname":"web01"}`, 5000)
	packed := gzipped(t, text)
	flipped := bytes.Clone(packed)
	flipped[len(flipped)/2] ^= 0x55
	badSum := bytes.Clone(packed)
	badSum[len(badSum)-6] ^= 1
	for _, c := range []struct {
		name   string
		in     []byte
		packed bool
		limit  int64
		cause  string // "" when it succeeds
		want   string
	}{
		{"plain", []byte(text), false, 1 << 20, "", text},
		{"plain at the limit", []byte(text), false, int64(len(text)), "", text},
		{"plain over the limit", []byte(text), false, int64(len(text)) - 1, CauseTooLarge, ""},
		{"plain, nothing", nil, false, 10, "", ""},
		{"gzip", packed, true, 1 << 20, "", text},
		{"gzip at the limit", packed, true, int64(len(text)), "", text},
		{"gzip over the limit", packed, true, int64(len(text)) - 1, CauseTooLarge, ""},
		{"gzip of nothing", gzipped(t, ""), true, 10, "", ""},
		{"second member ignored", append(bytes.Clone(packed), gzipped(t, "more")...), true, 1 << 20, "", text},
		{"garbage behind ignored", append(bytes.Clone(packed), "garbage"...), true, 1 << 20, "", text},
		{"not gzip", []byte(text), true, 1 << 20, CauseEncoding, ""},
		{"nothing labelled gzip", nil, true, 1 << 20, CauseEncoding, ""},
		{"cut in the header", packed[:5], true, 1 << 20, CauseEncoding, ""},
		{"cut in the data", packed[:len(packed)/2], true, 1 << 20, CauseEncoding, ""},
		{"cut in the checksum", packed[:len(packed)-3], true, 1 << 20, CauseEncoding, ""},
		{"corrupt", flipped, true, 1 << 20, CauseEncoding, ""},
		{"wrong checksum", badSum, true, 1 << 20, CauseEncoding, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, r := range []io.Reader{bytes.NewReader(c.in), iotest.OneByteReader(bytes.NewReader(c.in)), iotest.DataErrReader(bytes.NewReader(c.in))} {
				got, err := Inflate(r, c.packed, c.limit, nil)
				if c.cause == "" {
					require.NoError(t, err)
					require.Equal(t, c.want, string(got))
					continue
				}
				var e *Error
				require.ErrorAs(t, err, &e)
				require.Equal(t, c.cause, e.Cause)
			}
		})
	}
}

// TestInflateBomb: a small body that would become large stops at the limit.
func TestInflateBomb(t *testing.T) {
	bomb := gzipped(t, strings.Repeat(" ", 64<<20))
	require.Less(t, len(bomb), 1<<17)
	buf := make([]byte, 0, 4096)
	_, err := Inflate(bytes.NewReader(bomb), true, 1<<20, buf)
	var e *Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, CauseTooLarge, e.Cause)
}

// TestInflatePassesTheWorldsFaults: a read error is not the command's fault.
func TestInflatePassesTheWorldsFaults(t *testing.T) {
	disk := errors.New("input/output error")
	packed := gzipped(t, strings.Repeat("x", 1000))
	for _, asGzip := range []bool{false, true} {
		for _, cut := range []int{0, 5, len(packed) - 4} {
			r := io.MultiReader(bytes.NewReader(packed[:cut]), iotest.ErrReader(disk))
			_, err := Inflate(r, asGzip, 1<<20, nil)
			require.ErrorIs(t, err, disk)
			var e *Error
			require.False(t, errors.As(err, &e))
		}
	}
}

func TestInflateReusesTheBuffer(t *testing.T) {
	buf := make([]byte, 0, 1<<16)
	got, err := Inflate(bytes.NewReader(gzipped(t, "hello")), true, 1<<20, buf)
	require.NoError(t, err)
	require.Equal(t, "hello", string(got))
	require.Same(t, &buf[:1][0], &got[0])
}

// TestGunzipFromManyGoroutines: pooled readers do not mix up their streams.
func TestGunzipFromManyGoroutines(t *testing.T) {
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			text := strings.Repeat(string(rune('a'+i)), 50_000)
			packed := gzipped(t, text)
			for n := range 30 {
				in := packed
				if n%3 == 0 {
					in = packed[:len(packed)/2] // a failed stream must not harm the next
				}
				g := Gunzip(bytes.NewReader(in))
				got, err := io.ReadAll(g)
				if n%3 != 0 && (err != nil || string(got) != text) {
					t.Errorf("stream %d: %v", i, err)
				}
				if err := g.Close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
}
