package pdb_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dalang/server/pdb"
	"dalang/store/query"
	"dalang/store/query/conformance"
)

func ptr(s string) *string { return &s }

// TestQueryParameters checks what no recorded case does.
func TestQueryParameters(t *testing.T) {
	s := newServer(t, 0)
	s.apply(t, []command{{Command: "replace facts", Version: 5, Certname: "a/b", Body: []byte(
		`{"certname":"a/b","environment":"e","producer":"p","producer_timestamp":"2026-01-01T00:00:00Z","values":{"x y":"1/2","n":10.0}}`)}})
	for _, c := range []struct {
		name   string
		req    conformance.Request
		status int
		body   string // a part of it
	}{
		{"slash in a node", conformance.Request{Path: "/pdb/query/v4/nodes/a%2Fb/facts/n"}, 200, `"value":10.0`},
		{"escaped value", conformance.Request{Path: "/pdb/query/v4/facts/x%20y/1%2F2"}, 200, `"value":"1/2"`},
		{"repeated", conformance.Request{Path: "/pdb/query/v4/nodes?limit=1&limit=2"}, 400, "more than once"},
		{"broken escape", conformance.Request{Path: `/pdb/query/v4/nodes?query=["~","certname","100%"]`}, 400, `Malformed escape '%"]' in query parameter 'query'`},
		{"broken limit", conformance.Request{Path: "/pdb/query/v4/nodes?limit=%zz"}, 400, "in query parameter 'limit'"},
		{"array body", conformance.Request{Method: "POST", Path: "/pdb/query/v4/nodes", Body: ptr(`["=","certname","a"]`)}, 400, "JSON object"},
		{"broken body", conformance.Request{Method: "POST", Path: "/pdb/query/v4/nodes", Body: ptr(`{`)}, 400, "Json parse error"},
		{"string query in body", conformance.Request{Method: "POST", Path: "/pdb/query/v4/nodes", Body: ptr(`{"query":"[\"=\",\"certname\",\"a/b\"]"}`)}, 200, `"certname":"a/b"`},
		{"bad timeout", conformance.Request{Path: "/pdb/query/v4/nodes?timeout=x"}, 400, "Query timeout must be non-negative number, not x"},
		{"timeout", conformance.Request{Path: "/pdb/query/v4/nodes?timeout=.5"}, 200, "a/b"},
		{"explain", conformance.Request{Path: "/pdb/query/v4/nodes?explain=analyze"}, 200, `[{"query plan":[`},
		{"missing query", conformance.Request{Path: "/pdb/query/v4"}, 400, "Missing required query parameter 'query'"},
		{"v3", conformance.Request{Path: "/pdb/query/v3/nodes"}, 404, "The v3 API has been retired; please use v4"},
		{"expiration", conformance.Request{Path: "/pdb/query/v4/nodes/a%2Fb?include_facts_expiration=true"}, 200, `"expires_facts" : true`},
		{"packages", conformance.Request{Path: "/pdb/query/v4/factsets?include_package_inventory=true"}, 200, `"package_inventory":[]`},
		{"null", conformance.Request{Path: "/pdb/query/v4/nodes?query=null"}, 200, "a/b"},
		{"hint for people", conformance.Request{Path: "/pdb/query/v4?query=nodes[certnam]{}"}, 400, "\n\ndid you mean 'certname'?"},
		{"hint at a field", conformance.Request{Path: "/pdb/query/v4?query=nodes{certnam='x'}"}, 400, "\n\ndid you mean 'certname'?"},
		{"hint at an entity in AST", conformance.Request{Path: `/pdb/query/v4?query=["from","node"]`}, 400, "Invalid entity 'node' in query\n\ndid you mean 'nodes'?"},
		{"no hint for programs", conformance.Request{Path: `/pdb/query/v4/nodes?query=["=","certnam","x"]`}, 400, "and 'report_timestamp'"},
		{"not an array", conformance.Request{Path: "/pdb/query/v4/nodes?query=5"}, 400, "well-formed"},
	} {
		a, err := c.req.Send(s.handler, nil)
		require.NoError(t, err, c.name)
		require.Equal(t, c.status, a.Status, "%s: %s", c.name, a.Body)
		require.Contains(t, string(a.Body), c.body, c.name)
	}
}

// TestSyncVersion: another server that copies from this one has to speak the same protocol.
func TestSyncVersion(t *testing.T) {
	s := newServer(t, 0)
	for value, want := range map[string]struct {
		status int
		body   string
	}{
		"1": {200, "[]"}, "+1": {200, "[]"},
		"3":   {409, "Conflicting PDB sync versions, each PDB syncing must be on the same version"},
		"abc": {400, "The x-pdb-sync-ver header: abc cannot be converted to an int."},
		"":    {400, "The x-pdb-sync-ver header:  cannot be converted to an int."},
	} {
		a, err := conformance.Request{Path: "/pdb/query/v4/nodes", Headers: map[string]*string{"x-pdb-sync-ver": &value}}.Send(s.handler, nil)
		require.NoError(t, err)
		require.Equal(t, want.status, a.Status, value)
		require.Equal(t, want.body, string(a.Body))
	}
}

// TestRefusedQueriesAreLogged: also those that are no queries.
func TestRefusedQueriesAreLogged(t *testing.T) {
	var log bytes.Buffer
	e, err := query.New(query.Config{DB: brokenDB{}, LogQueries: true, Logger: slog.New(slog.NewJSONHandler(&log, nil))})
	require.NoError(t, err)
	h := handler(pdb.NewQueries(pdb.QueryConfig{Engine: e}))
	for _, target := range []string{"/pdb/query/v4?origin=me&query=nodes{", "/pdb/query/v4/nodes?origin=me&query=nodes%7B", "/pdb/query/v4/nodes?limit=0&origin=me&query=nodes%7B"} {
		log.Reset()
		r := httptest.NewRequest(http.MethodGet, target, nil)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		require.Equal(t, 400, w.Code)
		var line struct{ Level, Msg, Origin, Query, Error string }
		require.NoError(t, json.Unmarshal(log.Bytes(), &line), log.String())
		require.Equal(t, []string{"INFO", "query", "me", "nodes{"}, []string{line.Level, line.Msg, line.Origin, line.Query})
		require.Equal(t, strings.TrimSpace(w.Body.String()), strings.TrimSpace(line.Error))
	}
}

// brokenDB fails every query, or lets it wait for its end.
type brokenDB struct{}

func (brokenDB) ReadTx(ctx context.Context, _ func(context.Context, *sql.Conn) error) error {
	<-ctx.Done()
	return ctx.Err()
}

func TestQueryTimeout(t *testing.T) {
	e, err := query.New(query.Config{DB: brokenDB{}, TimeoutDefault: time.Millisecond})
	require.NoError(t, err)
	w := httptest.NewRecorder()
	handler(pdb.NewQueries(pdb.QueryConfig{Engine: e})).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/pdb/query/v4/nodes", nil))
	require.Equal(t, http.StatusInternalServerError, w.Code)
	require.Regexp(t, `^PDBQuery:[0-9a-f-]{36}: exceeded timeout$`, strings.TrimSpace(w.Body.String()))
}
