package wireformat

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestHostileShapes: work stays in proportion to the size of the body, however
// it is built. Each of these took seconds or minutes in a quadratic decoder.
func TestHostileShapes(t *testing.T) {
	const size = 1 << 18
	head := `{"certname":"a","environment":null,"producer":null,"producer_timestamp":0,"values":{"v":`
	unsorted := strings.Repeat(`{"b":`, 1900) + `"` + strings.Repeat("x", size) + `"` + strings.Repeat(`,"a":1}`, 1900)
	repeated := strings.Repeat(`{"b":1,"b":`, 1900) + `"` + strings.Repeat("x", size) + `"` + strings.Repeat(`}`, 1900)
	edge := `{"source":{"type":"a","title":"b"},"target":{"type":"a","title":"c"},"relationship":"x"},`
	for _, c := range []struct {
		name string
		cmd  Command
		body string
	}{
		{"unsorted nest", ReplaceFacts, head + unsorted + "}}"},
		{"repeated keys, nested", ReplaceFacts, head + repeated + "}}"},
		{"one name over and over", ReplaceFacts, head + "1" + strings.Repeat(`,"v":1`, size/6) + "}}"},
		{"deep", ReplaceFacts, head + strings.Repeat("[", size)},
		{"deep objects", ReplaceFacts, head + strings.Repeat(`{"a":`, size/5)},
		{"problems without end", ReplaceCatalog, `{"resources":[` + strings.Repeat(`{"type":1},`, size/11) + `{}]}`},
		{"edges to nowhere", ReplaceCatalog, `{"edges":[` + strings.Repeat(edge, size/len(edge)) + `{}]}`},
		{"escapes", StoreReport, `{"logs":["` + strings.Repeat(`\u0000`, size/6) + `"]}`},
		{"long number", ReplaceFacts, head + "1" + strings.Repeat("0", size) + "}}"},
		{"long fraction", ReplaceFacts, head + "0." + strings.Repeat("9", size) + "}}"},
		{"long exponent", ReplaceFacts, head + "1e" + strings.Repeat("9", size) + "}}"},
	} {
		t.Run(c.name, func(t *testing.T) {
			versions, _ := Lookup(string(c.cmd))
			within(t, func() { _, _ = Decode(c.cmd, versions.Latest, time.Time{}, []byte(c.body)) })
			within(t, func() { _, _ = PythonDigest([]byte(c.body)) })
			within(t, func() { _, _ = Canonical([]byte(c.body)) })
		})
	}
}

// within fails the test if f takes absurdly long.
func within(t *testing.T, f func()) {
	t.Helper()
	start := time.Now()
	f()
	require.Less(t, time.Since(start), 5*time.Second)
}
