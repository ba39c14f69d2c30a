package pdb_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dalang/store/query/conformance"
)

// report is one of a node, by a run that applied a catalog.
func report(certname, at, uuid, fields string) command {
	return command{Command: "store report", Version: 8, Certname: certname, Body: json.RawMessage(fmt.Sprintf(
		`{"certname":%q,"puppet_version":"8","report_format":12,"configuration_version":"1","environment":"production","producer":null,
		"start_time":%[2]q,"end_time":%[2]q,"producer_timestamp":%[2]q,"noop_pending":false,"corrective_change":false,"transaction_uuid":%[3]q,
		"catalog_uuid":null,"code_id":"c1","cached_catalog_status":"not_used","logs":[],"metrics":[],%[4]s}`, certname, at, uuid, fields))}
}

const (
	changed = `"status":"changed","noop":false,"resources":[{"skipped":false,"timestamp":"2026-01-01T00:00:00Z","resource_type":"File","resource_title":"/a",
		"file":"a.pp","line":1,"containment_path":["Class[Main]","File[/a]"],"corrective_change":false,"events":[{"status":"success",
		"timestamp":"2026-01-01T01:00:00+01:00","property":"ensure","new_value":"file","old_value":{"was":null},"corrective_change":false,"message":"made"}]}]`
	first  = "11111111-1111-4111-8111-111111111111"
	second = "22222222-2222-4222-8222-222222222222"
)

func TestResourceGraphs(t *testing.T) {
	s := newServer(t, 0)
	s.apply(t, []command{
		report("web1", "2026-01-01T00:00:00.000Z", first, changed),
		report("web1", "2026-01-02T00:00:00.000Z", second, changed),
		report("gone", "2026-01-02T00:00:00.000Z", second, changed),
		{Command: "store report", Version: 8, Certname: "web1", Body: json.RawMessage(
			string(report("web1", "2026-01-03T00:00:00.000Z", first, `"type":"plan",`+changed).Body))},
		{Command: "deactivate node", Version: 3, Certname: "gone", Body: json.RawMessage(`{"certname":"gone","producer_timestamp":"2026-01-05"}`)},
		{Command: "replace catalog", Version: 9, Certname: "web1", Body: json.RawMessage(`{"certname":"web1","version":"1","environment":"production","producer":null,
			"code_id":null,"transaction_uuid":"` + second + `","catalog_uuid":"33333333-3333-4333-8333-333333333333","producer_timestamp":"2026-01-02T00:00:00.000Z",
			"resources":[{"type":"Class","title":"Main","exported":false,"tags":["class"],"parameters":{}},
				{"type":"File","title":"/a","exported":false,"tags":["file"],"file":"a.pp","line":1,"parameters":{"mode":"0644"}}],
			"edges":[{"source":{"type":"Class","title":"Main"},"target":{"type":"File","title":"/a"},"relationship":"contains"}]}`)},
	})
	ask := func(query string, want string) {
		t.Helper()
		a, err := conformance.Request{Path: "/pdb/ext/v1/resource-graphs" + query}.Send(s.handler, nil)
		require.NoError(t, err)
		require.Equal(t, 200, a.Status, "%s", a.Body)
		require.JSONEq(t, want, string(a.Body))
	}
	event := `[{"timestamp":"2026-01-01T00:00:00.000Z","property":"ensure","new_value":"file","old_value":{"was":null},"status":"success","message":"made"}]`
	head := func(day, uuid string) string {
		return `"certname":"web1","environment":"production","transaction_uuid":"` + uuid + `","catalog_uuid":null,"code_id":"c1",
			"producer_timestamp":"2026-01-0` + day + `T00:00:00.000Z","status":"changed","noop":false,`
	}
	// The latest run's catalog is known, that of the one before no more.
	ask(`?order_by=[{"field":"producer_timestamp"}]`, `[{`+head("1", first)+`"edges":[],"resources":[
			{"resource":null,"type":"File","title":"/a","exported":null,"tags":null,"file":"a.pp","line":1,"parameters":null,"skipped":false,"events":`+event+`}]},
		{`+head("2", second)+`"edges":[{"relationship":"contains","source_type":"Class","source_title":"Main","target_type":"File","target_title":"/a"}],"resources":[
			{"resource":"`+hashOf(t, s, "File")+`","type":"File","title":"/a","exported":false,"tags":["file"],"file":"a.pp","line":1,"parameters":{"mode":"0644"},"skipped":false,"events":`+event+`},
			{"resource":"`+hashOf(t, s, "Class")+`","type":"Class","title":"Main","exported":false,"tags":["class"],"file":null,"line":null,"parameters":{},"skipped":false,"events":[]}]}]`)
	ask(`?query=["extract",["certname","noop"],["and",["=","transaction_uuid","`+second+`"],["subquery","nodes",["=","certname","web1"]]]]`, `[{"certname":"web1","noop":false}]`)
	ask(`?query=["extract",[["function","count"]],["=","node_state","any"]]`, `[{"count":3}]`)
	ask(`?limit=1&query=["extract","status",["subquery","environments",["=","name","production"]]]`, `[{"status":"changed"}]`)

	for path, want := range map[string]string{
		`/pdb/ext/v1/resource-graphs?query=["=","edges","x"]`: "'edges' is not a queryable object for resource_graphs",
		`/pdb/ext/v1/resource-graphs?query=["=","type","x"]`:  "'type' is not a queryable object for resource_graphs",
		`/pdb/ext/v1/resource-graphs?nix=1`:                   "Unsupported query parameter 'nix'",
		`/pdb/query/v4?query=["from","resource_graphs"]`:      "Invalid entity 'resource_graphs' in query",
	} {
		a, err := conformance.Request{Path: path}.Send(s.handler, nil)
		require.NoError(t, err)
		require.Equal(t, 400, a.Status, path)
		require.Contains(t, string(a.Body), want)
	}
}

// hashOf is the hash of the only resource of a type.
func hashOf(t *testing.T, s *server, kind string) string {
	t.Helper()
	a, err := conformance.Request{Path: "/pdb/query/v4/resources/" + kind}.Send(s.handler, nil)
	require.NoError(t, err)
	hash, err := conformance.Pick(a.Body, "0.resource")
	require.NoError(t, err)
	return hash
}

func TestStateOverview(t *testing.T) {
	s := newServer(t, 0)
	now := s.clock
	state := func(status string, noop bool) string {
		return fmt.Sprintf(`"status":%q,"noop":%v,"resources":[]`, status, noop)
	}
	const at = "2026-01-01T00:00:00.000Z"
	s.clock = now.Add(-2 * time.Hour)
	s.apply(t, []command{report("late", at, first, state("failed", false)), report("changed", at, first, state("failed", false))})
	s.clock = now
	s.apply(t, []command{
		{Command: "replace facts", Version: 5, Certname: "silent", Body: json.RawMessage(`{"certname":"silent","environment":"e","producer":null,"producer_timestamp":"2026-01-01","values":{}}`)},
		report("changed", "2026-01-02T00:00:00.000Z", second, state("changed", false)),
		report("unchanged1", at, first, state("unchanged", false)), report("unchanged2", at, first, state("unchanged", false)),
		report("noop", at, first, state("failed", true)), report("failed", at, first, state("failed", false)),
		report("gone", at, first, state("failed", false)),
		{Command: "deactivate node", Version: 3, Certname: "gone", Body: json.RawMessage(`{"certname":"gone","producer_timestamp":"2026-01-05"}`)},
	})
	for _, c := range []struct {
		req    conformance.Request
		status int
		body   string
	}{
		{conformance.Request{Path: "/pdb/ext/v1/state-overview?unresponsive_threshold=3600"}, 200,
			"{\n  \"unresponsive\" : 1,\n  \"unreported\" : 1,\n  \"noop\" : 1,\n  \"failed\" : 1,\n  \"unchanged\" : 2,\n  \"changed\" : 1\n}"},
		{conformance.Request{Path: "/pdb/ext/v1/state-overview?unresponsive_threshold=1000000000000000"}, 200,
			"{\n  \"unresponsive\" : 0,\n  \"unreported\" : 1,\n  \"noop\" : 1,\n  \"failed\" : 2,\n  \"unchanged\" : 2,\n  \"changed\" : 1\n}"},
		{conformance.Request{Method: "POST", Path: "/pdb/ext/v1/state-overview", Body: ptr(`{"unresponsive_threshold":0}`)}, 200,
			"{\n  \"unresponsive\" : 6,\n  \"unreported\" : 1,\n  \"noop\" : 0,\n  \"failed\" : 0,\n  \"unchanged\" : 0,\n  \"changed\" : 0\n}"},
		{conformance.Request{Path: "/pdb/ext/v1/state-overview"}, 400, "Missing required query parameter 'unresponsive_threshold'"},
		{conformance.Request{Path: "/pdb/ext/v1/state-overview?unresponsive_threshold=-1"}, 400, "Illegal value '-1' for :unresponsive_threshold; expected a number of seconds."},
		{conformance.Request{Path: "/pdb/ext/v1/state-overview?unresponsive_threshold=1&query=[]"}, 400, "Unsupported query parameter 'query'"},
		{conformance.Request{Method: "PUT", Path: "/pdb/ext/v1/state-overview"}, 400, "PuppetDB queries must be made via GET/POST"},
	} {
		a, err := c.req.Send(s.handler, nil)
		require.NoError(t, err)
		require.Equal(t, c.status, a.Status, "%s", a.Body)
		require.Equal(t, c.body, string(a.Body))
	}
}
