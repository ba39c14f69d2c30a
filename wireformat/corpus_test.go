package wireformat

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// recorded is one line of the corpus.
type recorded struct {
	Command  string
	Version  int
	Certname string
	Checksum string
	Body     string
}

func corpus(tb testing.TB, name string) []recorded {
	tb.Helper()
	file, err := os.Open(filepath.Join("../testdata/corpus", name))
	require.NoError(tb, err)
	defer file.Close()
	var all []recorded
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 4<<20)
	for lines.Scan() {
		var r recorded
		require.NoError(tb, json.Unmarshal(lines.Bytes(), &r))
		all = append(all, r)
	}
	require.NoError(tb, lines.Err())
	return all
}

func (r recorded) name() Command {
	b := []byte(r.Command)
	for i := range b {
		if b[i] == '_' {
			b[i] = ' '
		}
	}
	return Command(b)
}

func TestCorpusDecodes(t *testing.T) {
	for _, file := range []string{"agents.jsonl", "edge.jsonl"} {
		for i, r := range corpus(t, file) {
			payload, err := Decode(r.name(), r.Version, time.Now(), []byte(r.Body))
			require.NoError(t, err, "%s line %d: %s %d", file, i+1, r.Command, r.Version)
			require.Equal(t, r.Certname, payload.Node())
			require.Equal(t, r.name(), payload.Kind())
		}
	}
}

// TestChecksumsOfTermini: what real termini send is the envelope's digest.
func TestChecksumsOfTermini(t *testing.T) {
	for i, r := range corpus(t, "agents.jsonl") {
		if r.Checksum == "" {
			continue
		}
		d := NewDigest(Enveloped, r.name(), r.Version, r.Certname)
		_, err := d.Write([]byte(r.Body))
		require.NoError(t, err)
		require.True(t, SameDigest(r.Checksum, d.End()), "line %d", i+1)
	}
}
