package pdb

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPrettyIsJacksons(t *testing.T) {
	tests := []struct{ compact, want string }{
		{`{"a":1}`, "{\n  \"a\" : 1\n}"},
		{`{}`, "{ }"},
		{`[]`, "[ ]"},
		{`[1,"a,b",null]`, `[ 1, "a,b", null ]`},
		{`["a","b"]`, `[ "a", "b" ]`},
		{`[{"a":"x","b":[]},{"c":{}}]`, "[ {\n  \"a\" : \"x\",\n  \"b\" : [ ]\n}, {\n  \"c\" : { }\n} ]"},
		{`{"a":{"b":[{"c":1},2]},"d\"}":"{[:,"}`, "{\n  \"a\" : {\n    \"b\" : [ {\n      \"c\" : 1\n    }, 2 ]\n  },\n  \"d\\\"}\" : \"{[:,\"\n}"},
		{`"x"`, `"x"`},
	}
	for _, tt := range tests {
		require.Equal(t, tt.want, string(AppendPretty(nil, []byte(tt.compact))))
	}
	b, err := Pretty(map[string]string{"a": "<&>"})
	require.NoError(t, err)
	require.Equal(t, "{\n  \"a\" : \"<&>\"\n}", string(b))
	_, err = Pretty(func() {})
	require.Error(t, err)
}

func FuzzPretty(f *testing.F) {
	f.Add([]byte(`{"a":[1,{"b":"\\\""}],"c":null}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var compact, back bytes.Buffer
		if json.Compact(&compact, text) != nil {
			return
		}
		require.NoError(t, json.Compact(&back, AppendPretty(nil, compact.Bytes())))
		require.Equal(t, compact.String(), back.String())
	})
}
