package dlo

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzReadDiagnosis: whatever lies in a diagnosis file, reading it does not
// panic, and what was read can be written and read again, the same.
func FuzzReadDiagnosis(f *testing.F) {
	f.Add([]byte(`{"uuid":"6ba7b810-9dad-11d1-80b4-00c04fd430c8","cause":"parse"}`))
	f.Add([]byte(`{"uuid":"6ba7b810-9dad-11d1-80b4-00c04fd430c8","cause":"validation","version":5,"received":"2026-01-02T03:04:05.006Z",
		"problems":[{"path":"$.a","message":"b"}],"attempts":[{"at":"2026-01-02T03:04:05Z","error":"x"}],"producer_timestamp":null}`))
	f.Add([]byte(`[]`))
	f.Add([]byte(``))
	f.Fuzz(func(t *testing.T, text []byte) {
		d, err := ReadDiagnosis(text)
		if err != nil {
			return
		}
		_ = d.text()
		written, err := d.encode()
		if err != nil {
			return // a year that RFC 3339 cannot write
		}
		again, err := ReadDiagnosis(written)
		require.NoError(t, err)
		second, err := again.encode()
		require.NoError(t, err)
		require.Equal(t, string(written), string(second))
	})
}

// FuzzReadImported: PuppetDB's texts may hold anything, too.
func FuzzReadImported(f *testing.F) {
	for _, name := range []string{"180-1795228251167_facts_5_dlo-probe-1_err.txt",
		"181-1795228251194-28002651194_report_8_dlo-probe-2.json.gz_err.txt"} {
		text, err := os.ReadFile("testdata/upstream/" + name)
		require.NoError(f, err)
		f.Add(string(text))
	}
	f.Fuzz(func(t *testing.T, text string) {
		var d Diagnosis
		d.readImported(text)
		require.NotEmpty(t, d.Message)
		_ = d.text()
	})
}
