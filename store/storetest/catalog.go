package storetest

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"dalang/commands/outcome"
	"dalang/wireformat"
)

func testCatalog(t *testing.T, open Open) {
	const resources = `SELECT f.type || '[' || f.title || ']' || coalesce(b.parameters, 'NULL') || g.tags || r.exported || coalesce(s.name, '') || coalesce(r.line, '')
		FROM resource r JOIN resource_ref f ON f.id = r.ref_id JOIN resource_body b ON b.id = r.body_id JOIN resource_tags g ON g.id = r.tags_id
		LEFT JOIN source_file s ON s.id = r.file_id ORDER BY 1`
	const edges = `SELECT s.title || e.relationship || t.title FROM edge e JOIN resource_ref s ON s.id = e.source_id JOIN resource_ref t ON t.id = e.target_id ORDER BY 1`

	t.Run("differences are written", func(t *testing.T) {
		b := start(t, open, nil)
		first := b.catalog(outcome.Processed, "a", Day(90),
			resource("T", "same", "")+","+resource("T", "changed", `,"line":1,"file":"/a"`)+","+resource("T", "gone", "")+","+
				`{"type":"T","title":"null","tags":["b","a","b"],"exported":true}`,
			edge("same", "changed")+","+edge("same", "gone")+","+edge("same", "gone"))
		require.Equal(t, []string{`T[changed]{}["a"]0/a1`, `T[gone]{}["a"]0`, `T[null]NULL["a","b"]1`, `T[same]{}["a"]0`}, b.rows(resources))
		require.Equal(t, []string{"same1changed", "same1gone"}, b.rows(edges))
		second := b.catalog(outcome.Processed, "a", Day(91),
			resource("T", "same", "")+","+resource("T", "changed", `,"line":2,"file":"/b","parameters":{"x":[1.0,null]}`)+","+resource("T", "new", ""),
			edge("new", "changed")+","+edge("same", "changed"))
		require.NotEqual(t, first.Hash, second.Hash)
		require.Equal(t, []string{`T[changed]{"x":[1.0,null]}["a"]0/b2`, `T[new]{}["a"]0`, `T[same]{}["a"]0`}, b.rows(resources))
		require.Equal(t, []string{"new1changed", "same1changed"}, b.rows(edges))
	})
	t.Run("an equal catalog changes its metadata only", func(t *testing.T) {
		b := start(t, open, nil)
		first := b.catalog(outcome.Processed, "a", Day(90), resource("T", "x", "")+","+resource("T", "y", ""), edge("x", "y"))
		second := b.catalog(outcome.Processed, "a", Day(91), resource("T", "y", "")+","+resource("T", "x", ""), edge("x", "y"))
		require.Equal(t, first.Hash, second.Hash)
		require.Equal(t, []string{"v" + stamp(Day(91))}, b.rows("SELECT version FROM catalog"))
	})
	t.Run("bodies are stored once", func(t *testing.T) {
		b := start(t, open, nil)
		for _, certname := range []string{"a", "b", "c"} {
			b.catalog(outcome.Processed, certname, Day(90), resource("T", "x", `,"parameters":{"big":"text"}`), "")
		}
		require.Equal(t, 1, b.count("resource_body"))
		require.Equal(t, 3, b.count("resource"))
	})
	for _, tt := range []struct {
		name   string
		second int
		want   outcome.Status
		title  string
	}{
		{"later is applied", 91, outcome.Processed, "second"},
		{"equal is applied", 90, outcome.Processed, "second"},
		{"earlier is stale", 89, outcome.Stale, "first"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := start(t, open, nil)
			b.catalog(outcome.Processed, "a", Day(90), resource("T", "first", ""), "")
			b.catalog(tt.want, "a", Day(tt.second), resource("T", "second", ""), "")
			require.Equal(t, []string{tt.title}, b.rows("SELECT f.title FROM resource r JOIN resource_ref f ON f.id = r.ref_id"))
		})
	}
}

func testInputs(t *testing.T, open Open) {
	body := func(at, inputs string) string {
		return `{"certname":"a","producer_timestamp":"` + at + `","catalog_uuid":"DE305D54-75B4-431B-ADB2-EB6B9E546013","inputs":` + inputs + `}`
	}
	const stored = "SELECT type || ':' || name FROM catalog_input ORDER BY 1"
	b := start(t, open, nil)
	b.apply(outcome.Processed, wireformat.ReplaceCatalogInputs, body("2026-04-01", "[]"))
	require.Zero(t, b.count("node"), "without inputs nothing happens at all")
	b.apply(outcome.Processed, wireformat.ReplaceCatalogInputs, body("2026-04-01", `[["hiera","b"],["hiera","a"],["hiera","b"]]`))
	require.Equal(t, []string{"hiera:a", "hiera:b"}, b.rows(stored))
	require.Equal(t, []string{"de305d54-75b4-431b-adb2-eb6b9e546013"}, b.rows("SELECT inputs_uuid FROM node"))
	b.apply(outcome.Stale, wireformat.ReplaceCatalogInputs, body("2026-04-01", `[["x","y"]]`))
	b.apply(outcome.Stale, wireformat.ReplaceCatalogInputs, body("2026-03-01", `[["x","y"]]`))
	require.Equal(t, []string{"hiera:a", "hiera:b"}, b.rows(stored))
	b.apply(outcome.Processed, wireformat.ReplaceCatalogInputs, body("2026-04-02", "null"))
	require.Equal(t, []string{"hiera:a", "hiera:b"}, b.rows(stored), "an empty list clears nothing")
	b.apply(outcome.Processed, wireformat.ReplaceCatalogInputs, body("2026-04-02", `[["x","y"]]`))
	require.Equal(t, []string{"x:y"}, b.rows(stored))
}

// testCatalogUnread: a catalog whose text is known from the last time is stored
// whole where the store does not have it any more.
func testCatalogUnread(t *testing.T, open Open) {
	b := start(t, open, nil)
	texts := wireformat.NewCatalogTexts(1)
	submit := func(day int) outcome.Result {
		body := fmt.Sprintf(`{"certname":"n","version":"1","environment":"e","transaction_uuid":null,"catalog_uuid":null,"code_id":null,
			"producer":null,"producer_timestamp":%q,"edges":[%s],"resources":[%s,%s]}`,
			stamp(Day(day)), edge("a", "b"), resource("T", "a", ""), resource("T", "b", ""))
		payload, err := texts.Decode("n", 9, b.now, []byte(body))
		require.NoError(t, err)
		require.Equal(t, day > today-5, payload.(*wireformat.Catalog).Unread())
		results, err := b.Apply(t.Context(), []outcome.Change{{Payload: payload, Received: b.now}})
		require.NoError(t, err)
		require.NoError(t, results[0].Err)
		return results[0]
	}
	first := submit(today - 5)
	require.Equal(t, first.Hash, submit(today-4).Hash)
	b.catalog(outcome.Processed, "n", Day(today-3), resource("T", "c", ""), "") // another way in
	require.Equal(t, first.Hash, submit(today-2).Hash)
	require.Equal(t, []string{"a", "b"}, b.rows("SELECT title FROM resource JOIN resource_ref ON id = ref_id ORDER BY title"))
	require.Equal(t, []string{"1"}, b.rows("SELECT count(*) FROM edge"))
}
