package wireformat

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const (
	twoResources = `[{"type":"File","title":"/a","tags":["x"],"exported":false,"parameters":{"mode":"0644"}},{"type":"File","title":"/b","tags":[],"exported":false}]`
	oneEdge      = `[{"source":{"type":"File","title":"/a"},"target":{"type":"File","title":"/b"},"relationship":"before"}]`
)

// catalogOf writes a catalog whose fields come in the order of parts.
func catalogOf(certname, version string, parts ...string) []byte {
	return []byte(`{"certname":"` + certname + `","version":"` + version + `","environment":null,"transaction_uuid":null,"catalog_uuid":null,
		"code_id":null,"producer":null,"job_id":null,"producer_timestamp":"2024-01-01T00:00:00Z",` + strings.Join(parts, ",") + `}`)
}

// TestCatalogTextsKeepLittle: nothing of the payloads stays in memory.
func TestCatalogTextsKeepLittle(t *testing.T) {
	const nodes = 500
	texts := NewCatalogTexts(nodes)
	heap := func() int64 {
		runtime.GC()
		runtime.GC() // the first only takes decoders out of their pool
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before := heap()
	for i := range nodes {
		node := fmt.Sprintf("node%d", i)
		large := `"resources":[{"type":"File","title":"/a","tags":[],"exported":false,"parameters":{"content":"` + strings.Repeat(node+" ", 5000) + `"}},`
		small := make([]string, 400)
		for k := range small {
			small[k] = fmt.Sprintf(`{"type":"File","title":"/%s/%d","tags":[],"exported":false,"parameters":{"content":"%s %d"}}`, node, k, strings.Repeat("x", 80), k)
		}
		_, err := texts.Decode(node, 9, time.Now(), catalogOf(node, "1", `"edges":[]`, large+strings.Join(small, ",")+"]"))
		require.NoError(t, err)
	}
	require.Len(t, texts.known, nodes)
	require.Less(t, heap()-before, int64(nodes*2000))
	runtime.KeepAlive(texts)
}

// TestCatalogTexts: whatever came before, the answer is Decode's.
func TestCatalogTexts(t *testing.T) {
	edges, resources := `"edges":`+oneEdge, `"resources":`+twoResources
	changed := strings.Replace(resources, "0644", "0600", 1)
	turned := strings.Replace(edges, "before", "notifies", 1)
	lost := strings.Replace(edges, `"/b"`, `"/c"`, 1)
	first := catalogOf("n", "1", edges, resources)
	for name, c := range map[string]struct {
		body   []byte
		unread bool
	}{
		"same":                   {catalogOf("n", "2", edges, resources), true},
		"other order":            {catalogOf("n", "2", resources, edges), true},
		"a resource changed":     {catalogOf("n", "2", edges, changed), false},
		"resources before edges": {catalogOf("n", "2", changed, edges), false},
		"an edge changed":        {catalogOf("n", "2", turned, resources), false},
		"edges behind resources": {catalogOf("n", "2", resources, turned), false},
		"a missing end":          {catalogOf("n", "2", resources, lost), false},
		"both changed":           {catalogOf("n", "2", turned, changed), false},
		"another certname":       {catalogOf("m", "2", edges, resources), false},
		"edges twice":            {catalogOf("n", "2", edges, resources, turned), false},
		"resources twice":        {catalogOf("n", "2", edges, changed, resources), false},
		"no edges":               {catalogOf("n", "2", resources), false},
		"empty":                  {catalogOf("n", "2", `"edges":[]`, `"resources":[]`), false},
		"cut short":              {first[:len(first)-3], false},
		"a bad field":            {catalogOf("n", `2","job_id":7,"x":"`, edges, resources), false},
		"white space":            {catalogOf("n", "2", `"edges" : `+oneEdge, resources+"\n"), true},
		"in a string":            {QuoteString(string(catalogOf("n", "2", edges, resources))), false},
	} {
		t.Run(name, func(t *testing.T) {
			texts := NewCatalogTexts(10)
			now := time.Now()
			for range 2 { // the second time what body left behind is known
				_, err := texts.Decode("n", 9, now, first)
				require.NoError(t, err)
				got, err := texts.Decode("n", 9, now, c.body)
				want, wantErr := Decode(ReplaceCatalog, 9, now, c.body)
				require.Equal(t, wantErr, err)
				if wantErr != nil {
					require.Nil(t, got)
					continue
				}
				require.Equal(t, c.unread, got.(*Catalog).Unread())
				require.Equal(t, want.(*Catalog).Hash, got.(*Catalog).Hash)
				require.NoError(t, got.(*Catalog).Read())
				require.Equal(t, want, got)
			}
		})
	}
}

// TestCatalogTextsForget: the memory is bounded, and versions are told apart.
func TestCatalogTextsForget(t *testing.T) {
	texts := NewCatalogTexts(2)
	body := catalogOf("n", "1", `"edges":`+oneEdge, `"resources":`+twoResources)
	decode := func(line string, version int) bool {
		got, err := texts.Decode(line, version, time.Now(), body)
		require.NoError(t, err)
		return got.(*Catalog).Unread()
	}
	require.False(t, decode("a", 9))
	require.True(t, decode("a", 9))
	require.False(t, decode("a", 8))
	require.False(t, decode("b", 9))
	require.False(t, decode("c", 9))
	require.Len(t, texts.known, 2)
	require.True(t, decode("c", 9))
}
