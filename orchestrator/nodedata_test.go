package orchestrator_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dalang/commands/outcome"
	"dalang/orchestrator"
	"dalang/orchestrator/classifier"
	"dalang/store"
	"dalang/store/query"
	"dalang/wireformat"
)

// TestNodeData: every active node comes once, in order, with the facts that
// were asked for and no others.
func TestNodeData(t *testing.T) {
	ctx := t.Context()
	s, err := store.Open(ctx, store.Config{Path: filepath.Join(t.TempDir(), "dalang.db")})
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	apply := func(cmd wireformat.Command, version int, body string) {
		t.Helper()
		payload, err := wireformat.Decode(cmd, version, time.Now(), []byte(body))
		require.NoError(t, err)
		results, err := s.Apply(ctx, []outcome.Change{{Payload: payload, Received: time.Now()}})
		require.NoError(t, err)
		require.NoError(t, results[0].Err)
	}
	now := time.Now().UTC().Format(time.RFC3339)
	facts := func(certname, values string) {
		apply(wireformat.ReplaceFacts, 5, fmt.Sprintf(`{"certname":%q,"environment":"production","producer":"p","producer_timestamp":%q,"values":%s}`, certname, now, values))
	}
	resources := "[]"
	catalog := func(certname string) {
		apply(wireformat.ReplaceCatalog, 9, fmt.Sprintf(`{"certname":%q,"version":"1","environment":"production","transaction_uuid":null,"catalog_uuid":null,
			"code_id":null,"producer":"p","producer_timestamp":%q,"resources":%s,"edges":[]}`, certname, now, resources))
	}
	class := func(title string) string {
		return fmt.Sprintf(`{"type":"Class","title":%q,"aliases":[],"exported":false,"file":null,"line":null,"tags":[],"parameters":{"x":1}}`, title)
	}
	resources = "[" + class("main") + "," + class("Settings") + "," + class("Apache::Params") + "," + class("Apache") + `,
		{"type":"File","title":"/x","aliases":[],"exported":false,"file":null,"line":null,"tags":[],"parameters":{}}]`
	catalog("a-no-facts")
	facts("b", `{"os":{"name":"Debian"},"x":1.0,"trusted":{"certname":"b"}}`)
	facts("c-other-facts", `{"y":true}`)
	facts("D", `{"x":"upper"}`)
	facts("dead", `{"x":0}`)
	facts("é", `{"x":null}`)
	resources = "[" + class("Apache") + "," + class("Gone") + "]"
	catalog("dead")
	resources = "[" + class("Apache") + "," + class("ntp") + "]"
	catalog("z-no-facts")
	apply(wireformat.DeactivateNode, 3, fmt.Sprintf(`{"certname":"dead","producer_timestamp":%q}`, time.Now().Add(time.Hour).UTC().Format(time.RFC3339)))

	engine, err := query.New(query.Config{DB: s})
	require.NoError(t, err)
	q := orchestrator.NewQuerier(engine)
	classes, err := q.Classes(ctx)
	require.NoError(t, err)
	require.Equal(t, []classifier.Class{{Name: "apache", Environment: "production"}, {Name: "apache::params", Environment: "production"}, {Name: "ntp", Environment: "production"}}, classes)
	each := func(names ...string) (got []string) {
		t.Helper()
		require.NoError(t, q.EachNode(ctx, names, func(certname string, facts map[string]json.RawMessage) error {
			text, err := json.Marshal(facts)
			require.NoError(t, err)
			got = append(got, certname+" "+string(text))
			return nil
		}))
		return got
	}
	require.Equal(t, []string{"D null", "a-no-facts null", "b null", "c-other-facts null", "z-no-facts null", "é null"}, each())
	require.Equal(t, []string{`D {"x":"upper"}`, "a-no-facts null", `b {"trusted":{"certname":"b"},"x":1.0}`, "c-other-facts null", "z-no-facts null",
		`é {"x":null}`}, each("x", "trusted", "missing"))
	require.Len(t, each("missing"), 6)

	stop := errors.New("stop")
	calls := 0
	err = q.EachNode(ctx, []string{"x"}, func(string, map[string]json.RawMessage) error { calls++; return stop })
	require.Error(t, err)
	require.Equal(t, 1, calls)

	one, err := q.NodeFacts(ctx, "b")
	require.NoError(t, err)
	require.Len(t, one, 3)
	require.JSONEq(t, `{"name":"Debian"}`, string(one["os"]))
	for _, none := range []string{"dead", "unknown", "a-no-facts"} {
		one, err = q.NodeFacts(ctx, none)
		require.NoError(t, err)
		require.Empty(t, one)
	}

	in := func(environment string) []string {
		t.Helper()
		names, err := q.InEnvironment(ctx, environment)
		require.NoError(t, err)
		return names
	}
	require.Equal(t, []string{"D", "a-no-facts", "b", "c-other-facts", "z-no-facts", "é"}, in("production"), "facts count where there is nothing else")
	apply(wireformat.ReplaceCatalog, 9, fmt.Sprintf(`{"certname":"b","version":"1","environment":"staging","transaction_uuid":null,"catalog_uuid":null,
		"code_id":null,"producer":"p","producer_timestamp":%q,"resources":[],"edges":[]}`, now))
	require.Equal(t, []string{"b"}, in("staging"))
	require.NotContains(t, in("production"), "b", "catalogs count more than facts")

	ended, cancel := context.WithCancel(ctx)
	cancel()
	_, err = q.NodeFacts(ended, "b")
	require.Error(t, err)
}
