package pdb_test

import (
	"encoding/json"
	"maps"
	"net/url"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"dalang/store/query/conformance"
)

// TestCountsForClientsThatReadTotals: what puppetboard and pypuppetdb read of
// event counts is there, right, and may be filtered and ordered by; nobody
// else sees it, who may compare rows with those of Puppet Enterprise.
func TestCountsForClientsThatReadTotals(t *testing.T) {
	s := newServer(t, 0)
	list, err := conformance.Lines[command](filepath.Join(testdata, "corpus", "agents.jsonl"))
	require.NoError(t, err)
	s.apply(t, list)
	ask := func(route, extra string, headers map[string]string) (status int, rows []map[string]any) {
		given := map[string]*string{}
		for k, v := range headers {
			given[k] = &v
		}
		a, err := conformance.Request{Path: "/pdb/query/v4/" + route + "?summarize_by=certname" + extra, Headers: given}.Send(s.handler, nil)
		require.NoError(t, err)
		if a.Status == 200 {
			require.NoError(t, json.Unmarshal(a.Body, &rows))
			require.NotEmpty(t, rows)
		}
		return a.Status, rows
	}
	filter, order := "&counts_filter="+url.QueryEscape(`[">","successes",0]`), "&limit=1&order_by="+url.QueryEscape(`[{"field":"successes","order":"desc"}]`)
	for name, headers := range map[string]map[string]string{
		"puppetboard": {"User-Agent": "puppetboard/7.0.2 (r/2.28.1)"},
		"pypuppetdb":  {"User-Agent": "python-urllib3/1.26.12", "Accept-Charset": "utf-8"},
	} {
		_, rows := ask("event-counts", "", headers)
		sum := func(row map[string]any, what string) float64 {
			return row["intentional_"+what].(float64) + row["corrective_"+what].(float64)
		}
		most := 0.0
		for _, row := range rows {
			require.Equal(t, sum(row, "successes"), row["successes"], name)
			require.Equal(t, sum(row, "noops"), row["noops"], name)
			most = max(most, row["successes"].(float64))
		}
		require.Positive(t, most)
		_, filtered := ask("event-counts", filter, headers)
		require.Less(t, len(filtered), len(rows), name)
		_, ordered := ask("event-counts", order, headers)
		require.Equal(t, most, ordered[0]["successes"], name)
		_, total := ask("aggregate-event-counts", "", headers)
		require.Equal(t, float64(len(filtered)), total[0]["successes"], name)
	}
	both := map[string]any{}
	_, rows := ask("event-counts", "&count_by=certname", map[string]string{"Accept-Charset": "UTF-8"})
	for _, row := range rows {
		require.LessOrEqual(t, row["successes"], 1.0, "a node is counted once")
		both[row["subject"].(map[string]any)["title"].(string)] = row["intentional_successes"].(float64) + row["corrective_successes"].(float64)
	}
	require.Contains(t, slices.Collect(maps.Values(both)), 2.0, "of which kind it was counts for each")
	_, rows = ask("event-counts", "", map[string]string{"User-Agent": "curl/8"})
	require.NotContains(t, rows[0], "successes")
	require.Contains(t, rows[0], "intentional_successes")
	for _, extra := range []string{filter, order} {
		status, _ := ask("event-counts", extra, nil)
		require.Equal(t, 400, status)
	}
}
