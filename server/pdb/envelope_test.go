package pdb

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestParseEnvelope(t *testing.T) {
	tests := []struct {
		name, body string
		want       map[string]string
		fails      bool
	}{
		{"members as they stand", ` {"a": {"x" : 1.50} , "b":"\u0041","c":null}`, map[string]string{"a": `{"x" : 1.50}`, "b": `"\u0041"`, "c": "null"}, false},
		{"escaped key", `{"\u0061":1}`, map[string]string{"a": "1"}, false},
		{"the last of equal keys", `{"a":1,"b":2,"a":3}`, map[string]string{"a": "3", "b": "2"}, false},
		{"trailing bytes", `{"a":1} junk`, map[string]string{"a": "1"}, false},
		{"control characters", "{\"a\":\"x\ny\"}", map[string]string{"a": "\"x\ny\""}, false},
		{"bad UTF-8", "{\"a\":\"\xff\"}", map[string]string{"a": "\"\xff\""}, false},
		{"empty", `{}`, map[string]string{}, false},
		{"null", `null`, map[string]string{}, false},
		{"cut", `{"a":1`, nil, true},
		{"not JSON", `junk`, nil, true},
		{"nothing", ``, nil, true},
		{"an array", `[1]`, nil, true},
		{"a scalar", `5`, nil, true},
		{"escape of a control character", "{\"a\":\"\\\n\"}", nil, true},
		{"deep", strings.Repeat(`{"a":`, 20000), nil, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			env, err := parseEnvelope([]byte(tt.body))
			require.Equal(t, tt.fails, err != nil, "%v", err)
			if tt.fails {
				return
			}
			got := map[string]string{}
			for _, m := range env {
				got[m.key] = string(m.raw)
			}
			require.Equal(t, tt.want, got)
		})
	}
}

func TestClojure(t *testing.T) {
	for raw, want := range map[string]string{
		`"a\"b\\c\n"`: `"a\"b\\c\n"`, `5`: "5", `1.50`: "1.50", `true`: "true", `null`: "nil", `[1,"a",null]`: `[1 "a" nil]`,
		`{"b":1,"a":[null,true,1.5]}`: `{"b" 1, "a" [nil true 1.5]}`, `{}`: "{}", `[]`: "[]", `[[],{}]`: "[[] {}]", "": "nil",
	} {
		require.Equal(t, want, clojure([]byte(raw)), raw)
	}
	require.Equal(t, "nil", clojure(nil))
	require.Equal(t, "nil", quoteAll(nil))
	require.Equal(t, `["a" "b\t"]`, quoteAll([]string{"a", "b\t"}))
}

func FuzzParseEnvelope(f *testing.F) {
	for _, s := range []string{`{"command":"replace facts","version":5,"payload":{"certname":"a"}}`, `{"a":"\ud800"}`, "{\"a\":\"\n\"}x", `[`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		before := string(body)
		env, err := parseEnvelope(body)
		require.Equal(t, before, string(body), "the body is not touched")
		if err != nil {
			return
		}
		for _, m := range env {
			clojure(m.raw)
			require.True(t, json.Valid(blankControls(m.raw)), "%q", m.raw)
			require.Contains(t, before, string(m.raw))
		}
		if json.Valid(body) { // what the standard library reads, we read alike
			var std map[string]json.RawMessage
			require.NoError(t, json.Unmarshal(body, &std))
			require.Len(t, env, len(std))
		}
	})
}
