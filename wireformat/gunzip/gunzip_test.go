package gunzip

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	lib "github.com/klauspost/compress/gzip"
	"github.com/stretchr/testify/require"
)

func packed(t testing.TB, plain []byte, level int) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, level)
	require.NoError(t, err)
	_, err = w.Write(plain)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return b.Bytes()
}

func samples(t testing.TB) map[string][]byte {
	t.Helper()
	r := rand.New(rand.NewPCG(1, 2))
	noise := make([]byte, 200_000)
	for i := range noise {
		noise[i] = byte(r.Uint32())
	}
	skewed := make([]byte, 300_000) // codes of up to 15 bits
	for i := range skewed {
		for r.Uint32()%2 == 0 {
			skewed[i]++
		}
	}
	far := append(bytes.Clone(noise[:32768]), noise[:32768]...)
	all := map[string][]byte{
		"nothing": {}, "one": {'x'}, "short": []byte("hello, world"), "noise": noise, "skewed": skewed, "far": far,
		"ones": bytes.Repeat([]byte{'a'}, 100_000),
	}
	for period := 2; period < 20; period++ {
		all[fmt.Sprint("period ", period)] = bytes.Repeat(noise[:period], 5000)
	}
	files, err := filepath.Glob("../../testdata/corpus/realistic/*/*1.json")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, f := range files[:min(3, len(files))] {
		body, err := os.ReadFile(f)
		require.NoError(t, err)
		all[filepath.Base(filepath.Dir(f))+"/"+filepath.Base(f)] = body
	}
	return all
}

func TestMember(t *testing.T) {
	for name, plain := range samples(t) {
		for _, level := range []int{gzip.HuffmanOnly, gzip.NoCompression, gzip.BestSpeed, 6, gzip.BestCompression} {
			in := packed(t, plain, level)
			size, ok := Size(in)
			require.True(t, ok, name)
			require.Equal(t, len(plain), size)
			got, taken, err := Member(make([]byte, 0, size+Slack), in)
			require.NoError(t, err, "%s, level %d", name, level)
			require.True(t, bytes.Equal(plain, got), "%s, level %d", name, level)
			require.Equal(t, len(in), taken)

			got, taken, err = Member(make([]byte, 0, size+Slack), append(bytes.Clone(in), "what follows"...))
			require.NoError(t, err)
			require.True(t, bytes.Equal(plain, got))
			require.Equal(t, len(in), taken)
		}
	}
}

// TestMemberCut: nothing that is cut short or has a wrong bit passes.
func TestMemberCut(t *testing.T) {
	plain := []byte(strings.Repeat(`{"certname":"web01","environment":"production"},`, 20))
	for _, level := range []int{gzip.NoCompression, gzip.HuffmanOnly, gzip.BestCompression} {
		in := packed(t, plain, level)
		dst := make([]byte, 0, len(plain)+Slack)
		for cut := range in {
			_, _, err := Member(dst, in[:cut])
			require.ErrorIs(t, err, ErrUnable, "cut at %d", cut)
		}
		mute := 0
		for i := headerSize; i < len(in); i++ {
			for bit := range 8 {
				bad := bytes.Clone(in)
				bad[i] ^= 1 << bit
				// Only bits that mean nothing, up to the next whole byte, may differ.
				if got, _, err := Member(dst, bad); err == nil {
					require.Equal(t, plain, got, "bit %d of byte %d", bit, i)
					mute++
				}
			}
		}
		require.LessOrEqual(t, mute, 2*7, "a stored block and the end have less than a byte of them each")
	}
}

func TestMemberNeedsRoom(t *testing.T) {
	plain := bytes.Repeat([]byte("abcdefgh"), 1000)
	in := packed(t, plain, gzip.DefaultCompression)
	for _, room := range []int{0, 1, Slack, len(plain) - 1} {
		_, _, err := Member(make([]byte, 0, room), in)
		require.ErrorIs(t, err, ErrUnable)
	}
}

// TestSizeOfLies: a claim that no stream of that length can keep is none.
func TestSizeOfLies(t *testing.T) {
	in := packed(t, []byte("x"), gzip.DefaultCompression)
	copy(in[len(in)-4:], "\xff\xff\xff\x7f")
	_, ok := Size(in)
	require.False(t, ok)
	_, ok = Size(in[:12])
	require.False(t, ok)
}

// FuzzMember: what it accepts is what the library accepts, byte for byte.
func FuzzMember(f *testing.F) {
	for _, level := range []int{gzip.NoCompression, gzip.HuffmanOnly, gzip.BestSpeed, gzip.BestCompression} {
		f.Add(packed(f, []byte(strings.Repeat(`{"certname":"web01"}`, 9)), level))
		f.Add(packed(f, []byte("a"), level))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		got, taken, err := Member(make([]byte, 0, 1<<16), in)
		if err != nil {
			return
		}
		r, err := lib.NewReader(bytes.NewReader(in[:taken]))
		require.NoError(t, err)
		r.Multistream(false)
		want, err := io.ReadAll(r)
		require.NoError(t, err)
		require.True(t, bytes.Equal(want, got))
	})
}

// BenchmarkMember compares with the library. On a busy machine the shortest
// run of all says more than the mean.
func BenchmarkMember(b *testing.B) {
	for _, kind := range []string{"catalogs", "facts", "reports"} {
		files, err := filepath.Glob("../../testdata/corpus/realistic/" + kind + "/*.json")
		require.NoError(b, err)
		body, err := os.ReadFile(files[0])
		require.NoError(b, err)
		in := packed(b, body, gzip.DefaultCompression)
		dst := make([]byte, 0, len(body)+Slack)
		var r lib.Reader
		run := func(name string, decode func() error) {
			b.Run(kind+"/"+name, func(b *testing.B) {
				b.SetBytes(int64(len(body)))
				shortest := time.Hour
				for b.Loop() {
					start := time.Now()
					require.NoError(b, decode())
					shortest = min(shortest, time.Since(start))
				}
				b.ReportMetric(float64(len(body))/shortest.Seconds()/1e6, "best-MB/s")
			})
		}
		run("ours", func() error {
			_, _, err := Member(dst, in)
			return err
		})
		run("library", func() error {
			err := r.Reset(bytes.NewReader(in))
			if err == nil {
				_, err = io.ReadFull(&r, dst[:len(body)])
			}
			return err
		})
	}
}
