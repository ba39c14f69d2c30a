package wireformat

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// samples are the realistic payloads of a kind and their mean size.
func samples(b *testing.B, kind string) (bodies [][]byte, size int64) {
	b.Helper()
	files, err := filepath.Glob(filepath.Join("../testdata/corpus/realistic", kind, "*.json"))
	require.NoError(b, err)
	require.NotEmpty(b, files)
	for _, f := range files {
		body, err := os.ReadFile(f)
		require.NoError(b, err)
		bodies = append(bodies, body)
		size += int64(len(body))
	}
	return bodies, size / int64(len(files))
}

// benchmarkDecode decodes the samples in turn. On a busy machine the shortest
// run of all says more than the mean; it is of the first sample.
func benchmarkDecode(b *testing.B, kind string, cmd Command, version int) {
	bodies, size := samples(b, kind)
	b.SetBytes(size)
	b.ReportAllocs()
	shortest := time.Hour
	for i := 0; b.Loop(); i++ {
		start := time.Now()
		if _, err := Decode(cmd, version, time.Time{}, bodies[i%len(bodies)]); err != nil {
			b.Fatal(err)
		}
		if i%len(bodies) == 0 {
			shortest = min(shortest, time.Since(start))
		}
	}
	b.ReportMetric(float64(shortest)/1e6, "min-ms")
}

func BenchmarkDecodeCatalog(b *testing.B) { benchmarkDecode(b, "catalogs", ReplaceCatalog, 9) }
func BenchmarkDecodeFacts(b *testing.B)   { benchmarkDecode(b, "facts", ReplaceFacts, 5) }
func BenchmarkDecodeReport(b *testing.B)  { benchmarkDecode(b, "reports", StoreReport, 8) }

func BenchmarkInflate(b *testing.B) {
	bodies, _ := samples(b, "catalogs")
	packed := gzipped(b, string(bodies[0]))
	b.SetBytes(int64(len(bodies[0])))
	b.ReportAllocs()
	var buf []byte
	var err error
	for b.Loop() {
		if buf, err = Inflate(bytes.NewReader(packed), true, 1<<30, buf); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDigest(b *testing.B) {
	bodies, _ := samples(b, "catalogs")
	b.SetBytes(int64(len(bodies[0])))
	for b.Loop() {
		d := NewDigest(Enveloped, ReplaceCatalog, 9, "web01")
		if _, err := d.Write(bodies[0]); err != nil || len(d.End()) != 40 {
			b.Fatal(err)
		}
	}
}

func BenchmarkPythonDigest(b *testing.B) {
	bodies, size := samples(b, "facts")
	b.SetBytes(size)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, err := PythonDigest(bodies[i%len(bodies)]); err != nil {
			b.Fatal(err)
		}
	}
}
