package store

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dalang/commands/outcome"
	"dalang/wireformat"
)

// nest puts a value into so many objects, each with a scalar beside it.
func nest(depth int, inner string) string {
	return strings.Repeat(`{"a":1,"b":`, depth) + inner + strings.Repeat("}", depth)
}

// TestHostileFacts: no shape of a fact makes its leaves take more room than in
// proportion to the fact, and the fact itself is stored whole.
func TestHostileFacts(t *testing.T) {
	list := strings.TrimSuffix(strings.Repeat("1,", 3000), ",")
	var wide []string
	for i := range 3000 {
		wide = append(wide, fmt.Sprintf(`"k%d":1`, i))
	}
	for _, tt := range []struct {
		name, value string
		leaves      func(all int) bool
	}{
		{"honest", `{"interfaces":{"eth0":{"mtu":1500,"bindings":[{"address":"10.0.0.1"}]}},"n":1}`, func(n int) bool { return n == 3 }},
		{"wide", "{" + strings.Join(wide, ",") + "}", func(n int) bool { return n == 3000 }},
		{"a hundred deep", nest(100, "2"), func(n int) bool { return n == 101 }},
		{"as deep as it may be", nest(1990, "2"), func(n int) bool { return n > 100 && n < 1000 }},
		{"many at the bottom", nest(1990, "["+list+"]"), func(n int) bool { return n > 100 && n < 1000 }},
		{"many below a long key", `{"` + strings.Repeat("k", 2400) + `":[` + list + `]}`, func(n int) bool { return n > 50 && n < 300 }},
		{"a key too long", `{"` + strings.Repeat("k", 2600) + `":1,"z":2}`, func(n int) bool { return n == 1 }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := openPath(t, filepath.Join(t.TempDir(), "dalang.db"), nil)
			defer func() { require.NoError(t, s.Close()) }()
			apply := func(at int, value string) {
				payload, err := wireformat.Decode(wireformat.ReplaceFacts, 5, time.Now(), fmt.Appendf(nil,
					`{"certname":"a","environment":"e","producer":null,"producer_timestamp":%d,"values":{"f":%s}}`, at, value))
				require.NoError(t, err)
				results, err := s.Apply(t.Context(), []outcome.Change{{Payload: payload, Received: time.Now()}})
				require.NoError(t, err)
				require.NoError(t, results[0].Err)
			}
			number := func(query string) int {
				n, err := s.read(t.Context(), query)
				require.NoError(t, err)
				return int(n[0])
			}
			apply(1, tt.value)
			kept := number("SELECT count(*) FROM fact_leaf")
			require.True(t, tt.leaves(kept), "%d leaves", kept)
			canonical, err := wireformat.Canonical([]byte(tt.value))
			require.NoError(t, err)
			require.Equal(t, len(canonical), number("SELECT length(value) FROM fact"), "the value is whole")
			require.LessOrEqual(t, number("SELECT coalesce(sum(length(encoded)), 0) FROM fact_path"), maxLeafPaths+maxLeafFactor*len(tt.value))
			apply(2, strings.ReplaceAll(tt.value, ":1", ":3"))
			require.Equal(t, kept, number("SELECT count(*) FROM fact_leaf"))
			apply(3, "1")
			require.Equal(t, 1, number("SELECT count(*) FROM fact_leaf"), "none is left behind")
		})
	}
	t.Run("deeper than it may be", func(t *testing.T) {
		_, err := wireformat.Decode(wireformat.ReplaceFacts, 5, time.Now(), fmt.Appendf(nil,
			`{"certname":"a","environment":"e","producer":null,"producer_timestamp":1,"values":{"f":%s}}`, nest(10_000, "2")))
		require.ErrorContains(t, err, "nested deeper")
	})
}
