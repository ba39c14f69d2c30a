package orchestrator

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestMerge: nodes come and go between the reading of names and of facts; a
// fact is never told of another node.
func TestMerge(t *testing.T) {
	for _, c := range []struct{ nodes, facts, want string }{
		{"", "", ""},
		{"a b", "", "a: b:"},
		{"a b", "a=1 a=2 b=3", "a:12 b:3"},
		{"b d", "a=1 b=2 c=3 d=4 e=5", "b:2 d:4"},
		{"b", "a=1", "b:"},
		{"b", "c=1", "b:"},
		{"a b c", "b=1", "a: b:1 c:"},
		{"", "a=1", ""},
	} {
		var got []string
		m := merge{certnames: strings.Fields(c.nodes), fn: func(name string, facts map[string]json.RawMessage) error {
			text := name + ":"
			for _, v := range []string{"1", "2", "3", "4", "5"} {
				text += string(facts[v])
			}
			got = append(got, text)
			return nil
		}}
		for _, f := range strings.Fields(c.facts) {
			name, value, _ := strings.Cut(f, "=")
			require.NoError(t, m.fact(name, value, json.RawMessage(value)))
		}
		require.NoError(t, m.upTo(""))
		require.Equal(t, strings.Fields(c.want), append([]string{}, got...), "%v", c)
	}
}
