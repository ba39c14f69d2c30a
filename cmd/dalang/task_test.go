package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"dalang/orchestrator/task"
)

func TestParamValues(t *testing.T) {
	m, err := task.Parse([]byte(`{"parameters":{"s":{"type":"String"},"i":{"type":"Integer"},"o":{"type":"Optional[Integer]"},"v":{"type":"Variant[String,Integer]"},
		"a":{"type":"Array[String]"},"b":{"type":"Boolean"},"e":{"type":"Enum[on,off]"},"any":{},"anything":{"type":"Any"}}}`))
	require.NoError(t, err)
	for word, want := range map[string]string{
		"s=7": `"7"`, "s=": `""`, "s=a=b": `"a=b"`, "s={}": `"{}"`, "i=7": `7`, "i=seven": `"seven"`, "o=7": `7`, "o=null": `null`, "v=7": `"7"`,
		"a=[\"x\"]": `["x"]`, "a=x": `"x"`, "b=true": `true`, "e=on": `"on"`, "any=7": `7`, "any=x": `"x"`, "anything={\"a\":1.0}": `{"a":1.0}`, "unknown=1": `1`,
	} {
		params := map[string]any{}
		require.NoError(t, addParams(params, m, []string{word}))
		name, _, _ := strings.Cut(word, "=")
		text, err := json.Marshal(params[name])
		require.NoError(t, err)
		require.Equal(t, want, string(text), word)
	}
	for _, word := range []string{"s", "=x", ""} {
		require.ErrorContains(t, addParams(map[string]any{}, m, []string{word}), "is not name=value")
	}
}

func TestResults(t *testing.T) {
	for result, want := range map[string][3]string{
		`{"_output":"one\ntwo\n"}`: {"one\ntwo\n", "", "one …"},
		`{"_output":""}`:           {"", "", ""},
		`{"a":1.0,"b":[]}`:         {"{\n  \"a\": 1.0,\n  \"b\": []\n}", "", `{"a":1.0,"b":[]}`},
		`{"_output":"x","_error":{"kind":"k","msg":"no"}}`: {"x", "no", "no"},
		`{"_error":{"msg":"no"},"left":true}`:              {"{\n  \"left\": true\n}", "no", "no"},
		`{"_error":7}`:                                     {"", "it failed", "it failed"},
		`{"kind":"puppetlabs.orchestrator/execution-failure","msg":"not there","details":{}}`: {"", "not there", "not there"},
		`{"stdout":"out","stderr":"err\n","exit_code":0}`:                                     {"out\nerr\n", "", "out …"},
		`{"path":"/d/x","_output":"Downloaded 'a:/x' to '/d'"}`:                               {"Downloaded 'a:/x' to '/d'", "", "Downloaded 'a:/x' to '/d'"},
		`{"path":"/x","_output":"y"}`:                                                         {"{\n  \"_output\": \"y\",\n  \"path\": \"/x\"\n}", "", `{"_output":"y","path":"/x"}`},
		`null`:                                                                                {"", "", ""}, `[]`: {"", "", ""}, ``: {"", "", ""}, `{}`: {"", "", ""},
	} {
		text, wrong := answer(json.RawMessage(result))
		require.Equal(t, want, [3]string{text, wrong, brief(json.RawMessage(result))}, result)
	}
}

// TestEventDetails: a task's result may have the keys of a deploy's, with other types.
func TestEventDetails(t *testing.T) {
	var e eventInfo
	require.NoError(t, json.Unmarshal([]byte(`{"id":"1","type":"node_finished","details":{"node":"a","detail":{"msg":{"x":1},"noop":true,"metrics":[1]}}}`), &e))
	require.True(t, e.Details.Detail.Noop)
	require.Empty(t, e.Details.Detail.Msg)
	require.Nil(t, e.Details.Detail.Metrics)
	require.JSONEq(t, `{"msg":{"x":1},"noop":true,"metrics":[1]}`, string(e.Details.Detail.raw))
}
