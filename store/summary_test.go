package store_test

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"dalang/store"
)

func summary(t *testing.T, s *store.Store) map[string]json.RawMessage {
	t.Helper()
	stats, err := s.SummaryStats(t.Context())
	require.NoError(t, err)
	text, err := json.Marshal(stats)
	require.NoError(t, err)
	var out map[string]json.RawMessage
	require.NoError(t, json.Unmarshal(text, &out))
	return out
}

func keysOf[V any](m map[string]V) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// TestSummaryStats compares with what a PuppetDB with the same commands in it
// answered: the same keys everywhere, and the same numbers but for those of
// the database itself. Of its *_usage lists the keys of a row are recorded.
func TestSummaryStats(t *testing.T) {
	text, err := os.ReadFile("testdata/summary-stats.json")
	require.NoError(t, err)
	var recorded map[string]json.RawMessage
	require.NoError(t, json.Unmarshal(text, &recorded))
	s := open(t, nil)
	loadCorpus(t, s)
	stats := summary(t, s)
	require.Equal(t, keysOf(recorded), keysOf(stats))
	for key, want := range recorded {
		switch {
		case strings.HasSuffix(key, "_usage"):
			var columns []string
			var rows []map[string]any
			require.NoError(t, json.Unmarshal(want, &columns))
			require.NoError(t, json.Unmarshal(stats[key], &rows))
			require.NotEmpty(t, rows, key)
			for _, row := range rows {
				require.Subset(t, keysOf(row), columns, key)
			}
		case strings.HasPrefix(key, "report_"): // bytes on disk
			var dist []struct{ Quantiles []float64 }
			require.NoError(t, json.Unmarshal(stats[key], &dist))
			require.Len(t, dist, 1)
			require.Len(t, dist[0].Quantiles, 21)
			require.True(t, slices.IsSorted(dist[0].Quantiles))
			require.Positive(t, dist[0].Quantiles[0])
		default:
			var exact any
			decoder := json.NewDecoder(strings.NewReader(string(want)))
			decoder.UseNumber()
			require.NoError(t, decoder.Decode(&exact))
			text, err := json.Marshal(exact)
			require.NoError(t, err)
			require.Equal(t, string(text), string(stats[key]), key)
		}
	}
}

// TestSummaryStatsOfNothing: there are no quantiles of nothing.
func TestSummaryStatsOfNothing(t *testing.T) {
	stats := summary(t, open(t, nil))
	for key, value := range stats {
		switch {
		case strings.HasSuffix(key, "_usage"):
		case key == "node_activity", key == "fact_path_counts_by_depth":
			require.Equal(t, "[]", string(value), key)
		case key == "num_distinct_edges_source_target":
			require.Equal(t, `[{"count":0}]`, string(value), key)
		default:
			require.Equal(t, `[{"quantiles":null}]`, string(value), key)
		}
	}
}
