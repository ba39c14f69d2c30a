package wireformat

import (
	"bufio"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDigest(t *testing.T) {
	const body = `{"certname":"web01"}`
	plain := hexSHA1([]byte(body))
	enveloped := hexSHA1([]byte(`{"command":"replace facts","version":5,"certname":"we\"b","payload":` + body + `}`))
	for form, want := range map[DigestForm]string{Bare: plain, Enveloped: enveloped} {
		d := NewDigest(form, ReplaceFacts, 5, `we"b`)
		for i := range len(body) { // however it is cut
			n, err := d.Write([]byte{body[i]})
			require.NoError(t, err)
			require.Equal(t, 1, n)
		}
		require.Equal(t, want, d.End())
	}
	for sent, same := range map[string]bool{
		plain: true, strings.ToUpper(plain): true, enveloped: false, "": false, plain[:39]: false, plain + "0": false, "zz": false,
	} {
		require.Equal(t, same, SameDigest(sent, plain), sent)
	}
	require.Equal(t, Bare, Enveloped.Other())
	require.Equal(t, Enveloped, Bare.Other())
}

// TestChecksumOfEdgeCorpus: hand-made submissions carry the plain SHA-1.
func TestChecksumOfEdgeCorpus(t *testing.T) {
	for i, r := range corpus(t, "edge.jsonl") {
		d := NewDigest(Bare, r.name(), r.Version, r.Certname)
		_, err := d.Write([]byte(r.Body))
		require.NoError(t, err)
		require.True(t, SameDigest(r.Checksum, d.End()), "line %d", i+1)
	}
}

// TestEveryAgentLineHasAChecksum keeps TestChecksumsOfTermini from passing on nothing.
func TestEveryAgentLineHasAChecksum(t *testing.T) {
	lines := corpus(t, "agents.jsonl")
	require.Len(t, lines, 55)
	for i, r := range lines {
		require.Len(t, r.Checksum, 40, "line %d", i+1)
	}
}

// TestPythonDigest compares with Python itself; testdata/python.py made the vectors.
func TestPythonDigest(t *testing.T) {
	file, err := os.Open("testdata/python.jsonl")
	require.NoError(t, err)
	defer file.Close()
	count := 0
	for lines := bufio.NewScanner(file); lines.Scan(); count++ {
		var v struct{ Body, SHA1 string }
		require.NoError(t, json.Unmarshal(lines.Bytes(), &v))
		sum, err := PythonDigest([]byte(v.Body))
		require.NoError(t, err)
		if sum != v.SHA1 {
			t.Errorf("%s: got %s, Python's is %s", v.Body, sum, v.SHA1)
		}
	}
	require.Greater(t, count, 100)
}

func TestPythonDigestRefusesWhatIsNotJSON(t *testing.T) {
	for _, body := range []string{"", "{", "nul", `"\x"`, "[1,]", strings.Repeat("[", 5000)} {
		_, err := PythonDigest([]byte(body))
		var e *Error
		require.ErrorAs(t, err, &e, "%.20s", body)
		require.Equal(t, CauseParse, e.Cause)
	}
}
