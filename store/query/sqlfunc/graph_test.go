package sqlfunc

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestResourceGraph(t *testing.T) {
	catalog := `[{"resource":"h1","type":"File","title":"/a\u000b","tags":["file"],"exported":false,"file":"x.pp","line":3,"parameters":{"ensure":"file"}},` +
		`{"resource":"h2","type":"Class","title":"Main","tags":[],"exported":true,"file":null,"line":null,"parameters":{}}]`
	report := `[{"containment_path":[],"corrective_change":null,"events":[{"corrective_change":null,"message":"m","new_value":{"a":[1]},"old_value":null,` +
		`"property":"ensure","status":"success","timestamp":"2026-01-02T03:04:05.6789+02:00"}],"file":"y.pp","line":9,"resource_title":"/a\u000B","resource_type":"File","skipped":true,"timestamp":"t"},` +
		`{"events":[],"file":null,"line":null,"resource_title":"/a/b","resource_type":"File","skipped":false}]`
	file := `{"resource":"h1","type":"File","title":"/a\u000b","tags":["file"],"exported":false,"file":"x.pp","line":3,"parameters":{"ensure":"file"},` +
		`"skipped":true,"events":[{"timestamp":"2026-01-02T01:04:05.678Z","property":"ensure","new_value":{"a":[1]},"old_value":null,"status":"success","message":"m"}]}`
	class := `{"resource":"h2","type":"Class","title":"Main","tags":[],"exported":true,"file":null,"line":null,"parameters":{},"skipped":false,"events":[]}`
	made := `{"resource":null,"type":"File","title":"/a/b","tags":null,"exported":null,"file":null,"line":null,"parameters":null,"skipped":false,"events":[]}`
	require.Equal(t, "["+file+","+class+","+made+"]", ResourceGraph(catalog, report))
	require.Equal(t, "[]", ResourceGraph("", ""))
	require.Equal(t, "[]", ResourceGraph("[]", "[]"))
	require.Equal(t, "["+made+"]", ResourceGraph("", `[{"resource_title":"/a/b","resource_type":"File"}]`))
}

// FuzzResourceGraph: what comes out is JSON when what goes in is.
func FuzzResourceGraph(f *testing.F) {
	f.Add(`[{"type":"File","title":"a"}]`, `[{"resource_type":"File","resource_title":"a","events":[{"timestamp":"x"}]}]`)
	f.Add(`[{"title":"a","type":5}]`, `[{"events":{"a":1}},[],5]`)
	f.Fuzz(func(t *testing.T, catalog, report string) {
		if !objects(catalog) || !objects(report) {
			t.Skip("the store holds lists of objects")
		}
		require.True(t, json.Valid([]byte(ResourceGraph(catalog, report))), "%s", ResourceGraph(catalog, report))
	})
}

// objects tells whether a text is a canonical list of objects that are not empty.
func objects(text string) bool {
	var list []map[string]json.RawMessage
	if json.Unmarshal([]byte(text), &list) != nil {
		return false
	}
	for _, o := range list {
		if len(o) == 0 {
			return false
		}
	}
	again, err := json.Marshal(list)
	return err == nil && string(again) == text
}
