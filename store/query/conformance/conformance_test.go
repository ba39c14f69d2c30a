package conformance

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCompare(t *testing.T) {
	yes := true
	for _, c := range []struct {
		name, want, got string
		set             func(*Case)
		same            bool
	}{
		{"order of rows", `[{"a":1},{"a":2}]`, `[{"a":2},{"a":1}]`, nil, true},
		{"ordered", `[{"a":1},{"a":2}]`, `[{"a":2},{"a":1}]`, func(c *Case) { c.Ordered = true }, false},
		{"order keys with ties", `[{"a":1,"b":1},{"a":1,"b":2},{"a":2}]`, `[{"a":1,"b":2},{"a":1,"b":1},{"a":2}]`, func(c *Case) { c.OrderKeys = []string{"a"} }, true},
		{"order keys", `[{"a":1},{"a":2}]`, `[{"a":2},{"a":1}]`, func(c *Case) { c.OrderKeys = []string{"a"} }, false},
		{"numbers by value", `[10.0, 12345678901234567890]`, `[10,12345678901234567890]`, nil, true},
		{"digits", `[12345678901234567890]`, `[12345678901234567891]`, nil, false},
		{"text is no number", `["1"]`, `[1]`, nil, false},
		{"null is not absent", `[{"a":null}]`, `[{}]`, nil, false},
		{"mask", `[{"a":"2026-01-01T00:00:00.000Z"}]`, `[{"a":"2025-01-01T00:00:00.001Z"}]`, func(c *Case) { c.Mask = []string{"$[*].a"} }, true},
		{"mask keeps the shape", `[{"a":"2026-01-01T00:00:00.000Z"}]`, `[{"a":null}]`, func(c *Case) { c.Mask = []string{"$[*].a"} }, false},
		{"inner order", `[{"t":["a","b"]}]`, `[{"t":["b","a"]}]`, nil, false},
		{"unordered", `[{"x":{"tags":["a","b"]}}]`, `[{"x":{"tags":["b","a"]}}]`, func(c *Case) { c.Unordered = []string{"$..tags"} }, true},
		{"multiset", `[1,1,2]`, `[1,2,2]`, nil, false},
		{"layout", `[1]`, `[1]`, func(c *Case) { c.Pretty = &yes }, false},
		{"count only", `[1,2]`, `[3,4]`, func(c *Case) { c.Only = "count" }, true},
	} {
		k := Case{Expect: Expect{Status: http.StatusOK, Body: json.RawMessage(c.want)}}
		if c.set != nil {
			c.set(&k)
		}
		hard, _ := k.Compare(Answer{Status: http.StatusOK, Body: []byte(c.got)})
		require.Equal(t, c.same, hard == nil, "%s: %v", c.name, hard)
	}
}

func TestPick(t *testing.T) {
	for path, want := range map[string]string{"$[0].hash": "h", "0.hash": "h", "$[0].n": "1"} {
		got, err := Pick([]byte(`[{"hash":"h","n":1}]`), path)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
}
