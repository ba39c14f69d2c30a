package wireformat

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const at = `"timestamp":"2026-11-10T01:00:00.000Z"`

// wireResource is a report's resource of version 8 with the given events.
func wireResource(title, skipped, path, events string) string {
	return `{"skipped":` + skipped + `,` + at + `,"resource_type":"File","resource_title":"` + title + `","file":null,"line":null,
		"containment_path":` + path + `,"corrective_change":null,"events":` + events + `}`
}

func wireEvent(property, newValue string) string {
	return `{"status":"success",` + at + `,"property":` + property + `,"new_value":` + newValue + `,"old_value":null,"message":null,"corrective_change":true}`
}

func TestEventsOfResources(t *testing.T) {
	event := wireEvent(`"p"`, `{"b":1,"a":2.50}`)
	r := mustDecode[*Report](t, StoreReport, 8, "resources", json.RawMessage("["+
		wireResource("/none", "false", "null", "[]")+","+
		wireResource("/null", "false", "[]", "null")+","+
		wireResource("/skipped", "true", `["Stage[main]","Foo","Bar","","File[/skipped]"]`, "["+event+"]")+","+
		wireResource("/changed", "false", `["Stage[main]"]`, "["+event+","+wireEvent("null", `"x"`)+","+event+"]")+"]"))
	require.Len(t, r.Events, 3, "none of the unchanged, one of the skipped, two of the changed: its third repeats the first")
	skipped, first, second := r.Events[0], r.Events[1], r.Events[2]
	require.Equal(t, "skipped", skipped.Status)
	require.Equal(t, "Bar", *skipped.ContainingClass)
	require.Nil(t, skipped.OldValue)
	require.Nil(t, skipped.NewValue)
	require.Nil(t, skipped.Property)
	require.False(t, *skipped.CorrectiveChange)
	require.Equal(t, "2026-11-10T01:00:00.000Z", FormatTime(skipped.Timestamp))
	require.Equal(t, JSON(`{"a":2.5,"b":1}`), first.NewValue)
	require.Equal(t, JSON("null"), first.OldValue)
	require.Equal(t, "/changed", first.ResourceTitle)
	require.Nil(t, first.ContainingClass)
	require.True(t, *first.CorrectiveChange)
	require.Nil(t, second.Property)
	require.NotNil(t, r.Resources)
}

func TestContainmentPathsNullAndEmpty(t *testing.T) {
	event := "[" + wireEvent("null", "1") + "]"
	r := mustDecode[*Report](t, StoreReport, 8, "resources", json.RawMessage("["+wireResource("/a", "false", "null", event)+","+wireResource("/b", "false", "[]", event)+"]"))
	require.Nil(t, r.Events[0].ContainmentPath)
	require.NotNil(t, r.Events[1].ContainmentPath)
	require.Empty(t, r.Events[1].ContainmentPath)
}

func TestReportUpgrades(t *testing.T) {
	r := mustDecode[*Report](t, StoreReport, 7, "producer", "early", "type", "plan", "corrective_change", true)
	require.Equal(t, "early", *r.Producer, "top-level fields that came early are kept")
	require.True(t, *r.CorrectiveChange)
	require.Equal(t, "plan", r.Type)
	require.Nil(t, r.Events[0].CorrectiveChange, "those of events are not")
	r = mustDecode[*Report](t, StoreReport, 6)
	require.Equal(t, r.TransactionUUID, r.CatalogUUID)
	require.Equal(t, "agent", r.Type)
	r = mustDecode[*Report](t, StoreReport, 5)
	require.Len(t, r.Events, 2)
	require.Equal(t, "skipped", r.Events[1].Status)
	require.Equal(t, "/g", r.Events[1].ResourceTitle)
	r = mustDecode[*Report](t, StoreReport, 4)
	require.Nil(t, r.Metrics)
	require.Nil(t, r.Logs)
	require.Nil(t, r.Noop)
	require.Equal(t, "2026-11-20T00:02:03.456Z", FormatTime(r.ProducerTimestamp))
	require.Equal(t, "changed", *r.Status)
	r = mustDecode[*Report](t, StoreReport, 3)
	require.Nil(t, r.Status)
}

// TestResourcesAreUpgraded: the list that is kept has the shape of version 8,
// whatever was sent.
func TestResourcesAreUpgraded(t *testing.T) {
	sent := "[" + wireResource("/changed", "false", `["Stage[main]"]`, "["+wireEvent(`"p"`, `{"b":"<&>","a":2.50}`)+"]") + "," +
		wireResource("/null", "true", "null", "null") + "," +
		strings.Replace(wireResource("/none", "false", "[]", "[]"), `,"events":[]`, "", 1) + "]"
	const time = at
	kept := func(corrective, events, path, title, skipped string) string {
		return `{"containment_path":` + path + `,"corrective_change":` + corrective + `,"events":` + events +
			`,"file":null,"line":null,"resource_title":"` + title + `","resource_type":"File","skipped":` + skipped + `,` + time + `}`
	}
	event := `[{"corrective_change":null,"message":null,"new_value":{"a":2.5,"b":"<&>"},"old_value":null,"property":"p","status":"success",` + time + `}]`
	want := "[" + kept("null", event, `["Stage[main]"]`, "/changed", "false") + "," + kept("null", "[]", "null", "/null", "true") + "," +
		kept("null", "[]", "[]", "/none", "false") + "]"
	for _, version := range []int{6, 7} {
		r := mustDecode[*Report](t, StoreReport, version, "resources", json.RawMessage(sent))
		require.Equal(t, want, string(r.Resources), version)
		r = mustDecode[*Report](t, StoreReport, version, "resources", json.RawMessage("null"))
		require.Equal(t, "[]", string(r.Resources))
	}
	r := mustDecode[*Report](t, StoreReport, 8, "resources", json.RawMessage("["+wireResource("/a", "false", "null", "["+wireEvent("null", "1")+"]")+"]"))
	require.Contains(t, string(r.Resources), `"corrective_change":true`, "version 8 keeps it")

	for _, version := range []int{3, 4, 5} {
		old := mustDecode[*Report](t, StoreReport, version)
		// What is kept must itself be a list of version 8, and give rise to the same rows.
		again := mustDecode[*Report](t, StoreReport, 8, "resources", json.RawMessage(old.Resources))
		require.Equal(t, string(old.Resources), string(again.Resources), "canonical")
		require.Equal(t, old.Events, again.Events)
		require.NotEmpty(t, again.Events)
	}
}

func TestReportListsMayBeNull(t *testing.T) {
	null := json.RawMessage("null")
	r := mustDecode[*Report](t, StoreReport, 8, "metrics", null, "logs", null, "resources", null)
	require.Nil(t, r.Metrics)
	require.Nil(t, r.Logs)
	require.Nil(t, r.Resources)
	require.Empty(t, r.Events)
	empty := json.RawMessage("[ ]")
	r = mustDecode[*Report](t, StoreReport, 8, "metrics", empty, "logs", empty, "resources", empty)
	require.Equal(t, JSON("[]"), r.Metrics)
	require.Equal(t, JSON("[]"), r.Logs)
	require.Equal(t, JSON("[]"), r.Resources)
}

func TestLeaves(t *testing.T) {
	var got []Leaf
	Leaves("f#~1", JSON(`{"12":[true,null,{"a":-1.5}],"e":{},"l":[],"s":"x\n","z":12345678901234567890}`), func(l Leaf) bool {
		got = append(got, l)
		return true
	})
	require.Equal(t, []Leaf{
		{Encoded: `f\#\~1#~"12"#~0`, Type: LeafBoolean, Path: JSON(`["f#~1","12",0]`), Depth: 2, Value: JSON("true")},
		{Encoded: `f\#\~1#~"12"#~1`, Type: LeafNull, Path: JSON(`["f#~1","12",1]`), Depth: 2, Value: JSON("null")},
		{Encoded: `f\#\~1#~"12"#~2#~a`, Type: LeafFloat, Path: JSON(`["f#~1","12",2,"a"]`), Depth: 3, Value: JSON("-1.5"), Num: -1.5, IsNum: true},
		{Encoded: `f\#\~1#~s`, Type: LeafString, Path: JSON(`["f#~1","s"]`), Depth: 1, Value: JSON(`"x\n"`)},
		{Encoded: `f\#\~1#~z`, Type: LeafInteger, Path: JSON(`["f#~1","z"]`), Depth: 1, Value: JSON("12345678901234567890"), Num: 12345678901234567890, IsNum: true},
	}, got)
	Leaves("top", JSON("1"), func(l Leaf) bool {
		require.Equal(t, Leaf{Encoded: "top", Type: LeafInteger, Path: JSON(`["top"]`), Value: JSON("1"), Num: 1, IsNum: true}, l)
		return true
	})
	count := 0
	Leaves("many", JSON(`[1,2,3]`), func(Leaf) bool { count++; return count < 2 })
	require.Equal(t, 2, count, "yield ends the walk")
}
