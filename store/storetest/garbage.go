package storetest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dalang/commands/outcome"
	"dalang/store"
	"dalang/wireformat"
)

func testGarbage(t *testing.T, open Open) {
	t.Run("expire", func(t *testing.T) { testExpire(t, open) })
	t.Run("purge nodes", func(t *testing.T) { testPurge(t, open) })
	t.Run("reports by day", func(t *testing.T) { testReportTTL(t, open) })
	t.Run("events by day", func(t *testing.T) { testEventTTL(t, open) })
	t.Run("unused names", func(t *testing.T) { testCollect(t, open) })
}

func testExpire(t *testing.T, open Open) {
	old, recent := Day(today-8), Day(today-6)
	for _, tt := range []struct {
		name    string
		fill    func(b *bench)
		expires bool
	}{
		{"all old", func(b *bench) {
			b.facts(outcome.Processed, "a", old, "")
			b.catalog(outcome.Processed, "a", old, "", "")
			b.report(outcome.Processed, "a", old, nil)
		}, true},
		{"recent facts", func(b *bench) {
			b.facts(outcome.Processed, "a", recent, "")
			b.catalog(outcome.Processed, "a", old, "", "")
		}, false},
		{"recent catalog", func(b *bench) { b.catalog(outcome.Processed, "a", recent, "", "") }, false},
		{"recent report", func(b *bench) { b.report(outcome.Processed, "a", recent, nil) }, false},
		{"a plan's report does not count", func(b *bench) {
			b.report(outcome.Processed, "a", recent, map[string]string{"type": `"plan"`})
		}, true},
		{"recent inputs", func(b *bench) {
			b.apply(outcome.Processed, wireformat.ReplaceCatalogInputs, fmt.Sprintf(
				`{"certname":"a","producer_timestamp":%q,"catalog_uuid":"de305d54-75b4-431b-adb2-eb6b9e546013","inputs":[["a","b"]]}`, stamp(recent)))
		}, false},
		{"told never to", func(b *bench) {
			b.facts(outcome.Processed, "a", old, "")
			b.apply(outcome.Processed, wireformat.ConfigureExpiration, fmt.Sprintf(`{"certname":"a","producer_timestamp":%q,"expire":{"facts":false}}`, stamp(old)))
		}, false},
		{"told recently that it may", func(b *bench) {
			b.apply(outcome.Processed, wireformat.ConfigureExpiration, fmt.Sprintf(`{"certname":"a","producer_timestamp":%q,"expire":{"facts":true}}`, stamp(recent)))
		}, false},
		{"told long ago that it may", func(b *bench) {
			b.apply(outcome.Processed, wireformat.ConfigureExpiration, fmt.Sprintf(`{"certname":"a","producer_timestamp":%q,"expire":{"facts":true}}`, stamp(old)))
		}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := start(t, open, nil)
			tt.fill(b)
			b.clean(store.ExpireNodes)
			if !tt.expires {
				require.Equal(t, []string{"NULL"}, b.rows(expired))
				return
			}
			require.Equal(t, []string{millis(b.now)}, b.rows(expired))
			b.facts(outcome.Processed, "a", b.now.Add(-time.Hour), "")
			require.Equal(t, []string{millis(b.now)}, b.rows(expired), "what was produced before the node expired does not revive it")
			b.facts(outcome.Processed, "a", b.now.Add(time.Hour), "")
			require.Equal(t, []string{"NULL"}, b.rows(expired))
		})
	}
	t.Run("off", func(t *testing.T) {
		b := start(t, open, func(c *store.Config) { c.NodeTTL = 0 })
		b.facts(outcome.Processed, "a", Day(0), "")
		b.clean(store.ExpireNodes)
		require.Equal(t, []string{"NULL"}, b.rows(expired))
	})
}

func testPurge(t *testing.T, open Open) {
	b := start(t, open, nil)
	for i := range 30 {
		b.deactivate(outcome.Processed, fmt.Sprintf("dead%d", i), Day(today-15))
	}
	b.facts(outcome.Processed, "dead0", Day(today-16), `"n":1`)
	b.report(outcome.Processed, "dead0", Day(today-16), nil)
	b.catalog(outcome.Processed, "dead0", Day(today-16), resource("T", "x", "")+","+resource("T", "y", ""), edge("x", "y"))
	b.deactivate(outcome.Processed, "lately", Day(today-13))
	b.facts(outcome.Processed, "alive", Day(today), `"n":1`)
	require.NoError(t, b.Clean(context.Background(), []store.CleanOp{{Name: store.PurgeNodes, BatchLimit: 25}}))
	require.Equal(t, 7, b.count("node"), "a periodic run deletes 25")
	b.clean(store.PurgeNodes)
	require.Equal(t, []string{"alive", "lately"}, b.rows("SELECT certname FROM node ORDER BY 1"))
	for _, table := range []string{"resource", "edge", "report", "report_body", "event", "catalog", "purged_node"} {
		require.Zero(t, b.count(table), table)
	}
	require.Equal(t, 1, b.count("fact"))
	b.facts(outcome.Processed, "dead0", Day(today), `"n":2`)
	require.Equal(t, []string{"2"}, b.rows("SELECT f.value FROM fact f JOIN node n ON n.id = f.node_id WHERE n.certname = 'dead0'"), "a node may come back")
}

func testReportTTL(t *testing.T, open Open) {
	b := start(t, open, func(c *store.Config) { c.ReportTTL = 24 * time.Hour })
	b.now = Day(today).Add(12 * time.Hour)
	b.report(outcome.Processed, "a", b.now.Add(-24*time.Hour), nil)
	b.report(outcome.Processed, "a", b.now.Add(-48*time.Hour), nil)
	b.report(outcome.Processed, "a", b.now, nil)
	b.report(outcome.Processed, "b", b.now.Add(-500*time.Hour), nil)
	b.clean(store.PurgeReports)
	require.Equal(t, []string{millis(b.now.Add(-500 * time.Hour)), millis(b.now.Add(-24 * time.Hour)), millis(b.now)},
		b.rows("SELECT producer_timestamp FROM report ORDER BY 1"), "a day old stays, two days old goes, the latest stays however old")
	require.Equal(t, 3, b.count("report_body"))
}

func testEventTTL(t *testing.T, open Open) {
	b := start(t, open, func(c *store.Config) { c.EventsTTLSet, c.ResourceEventsTTL = true, 5*24*time.Hour })
	with := func(at time.Time) map[string]string {
		return map[string]string{"resources": "[" + reported("x", at, false) + "]"}
	}
	b.report(outcome.Processed, "a", Day(today-4), with(Day(today-4)))
	b.report(outcome.Processed, "a", Day(today), with(Day(today-4)))
	b.report(outcome.Processed, "b", Day(today-6), with(Day(today-6)))
	require.Equal(t, 2, b.count("event"), "older than the ttl they are not stored at all")
	b.now = Day(today + 4)
	b.clean(store.PurgeResourceEvents)
	require.Equal(t, 1, b.count("event"), "those of the latest report stay")
	require.Equal(t, 3, b.count("report"))
}

func testCollect(t *testing.T, open Open) {
	b := start(t, open, nil)
	b.facts(outcome.Processed, "a", Day(90), `"gone":{"x":1},"stays":2`, `,"package_inventory":[["p","1","apt"]]`)
	b.catalog(outcome.Processed, "a", Day(90), resource("T", "gone", `,"file":"/gone","parameters":{"v":"gone"}`)+","+resource("T", "stays", ""), "")
	b.facts(outcome.Processed, "a", Day(91), `"stays":2`)
	b.catalog(outcome.Processed, "a", Day(91), resource("T", "stays", ""), "")
	require.Equal(t, 2, b.count("fact_path"), "paths stay until they are collected")
	b.clean(store.GCPackages, store.Other, store.GCCatalogs, store.GCFactPaths)
	for table, want := range map[string]int{"fact_path": 1, "fact_name": 1, "resource_ref": 1, "resource_body": 1, "resource_tags": 1, "source_file": 0, "environment": 1} {
		require.Equal(t, want, b.count(table), table)
	}
	b.catalog(outcome.Processed, "a", Day(92), resource("T", "gone", `,"file":"/gone","parameters":{"v":"gone"}`), "")
	b.facts(outcome.Processed, "a", Day(92), `"gone":{"x":1}`)
	require.Equal(t, []string{`gone/gone{"v":"gone"}`}, b.rows(`SELECT f.title || s.name || b.parameters FROM resource r JOIN resource_ref f ON f.id = r.ref_id
		JOIN source_file s ON s.id = r.file_id JOIN resource_body b ON b.id = r.body_id`), "a collected name is made anew")
	require.Equal(t, []string{"gone#~x=1"}, b.rows(leaves))
}
