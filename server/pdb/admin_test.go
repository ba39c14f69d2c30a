package pdb

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func stringsReader(s string) io.Reader { return strings.NewReader(s) }

type janitor struct {
	ops     []CleanOp
	deleted string
	err     error
}

func (j *janitor) Clean(_ context.Context, ops []CleanOp) error {
	j.ops = ops
	return j.err
}

func (j *janitor) DeleteNode(_ context.Context, certname string) error {
	j.deleted = certname
	return j.err
}

func (j *janitor) SummaryStats(context.Context) (map[string]any, error) {
	return map[string]any{"node_activity": []string{}}, j.err
}

func TestAdminClean(t *testing.T) {
	var everything []CleanOp
	for _, name := range CleanOps() {
		everything = append(everything, CleanOp{Name: name})
	}
	tests := []struct {
		payload string
		want    []CleanOp
	}{
		{`[]`, everything},
		{`null`, everything},
		{`["gc_packages","expire_nodes","gc_packages"]`, []CleanOp{{Name: "expire_nodes"}, {Name: "gc_packages"}}},
		{`["purge_nodes",["purge_nodes",{"batch_limit":3}]]`, []CleanOp{{"purge_nodes", 3}}},
		{`[["purge_nodes",{"batch_limit":3}],"purge_nodes"]`, []CleanOp{{"purge_nodes", 0}}},
	}
	for _, tt := range tests {
		j := &janitor{}
		w, p := ask(t, "/x", "POST", "/x", `{"command":"clean","version":1,"payload":`+tt.payload+`} trailing`, NewAdmin(j, "", nil).Command)
		require.Nil(t, p, tt.payload)
		require.Equal(t, "{\n  \"ok\" : true\n}", w.Body.String())
		require.Equal(t, tt.want, j.ops)
	}
}

func TestAdminRefuses(t *testing.T) {
	const unknown = "Valid commands types are: 'clean' and 'delete'"
	for body, why := range map[string]string{
		`{"command":"clean","version":1,"payload":["bogus"]}`:                                 "nil",
		`{"command":"clean","version":2,"payload":[]}`:                                        "nil",
		`{"command":"clean","version":1.0,"payload":[]}`:                                      "nil",
		`{"command":"clean","version":1,"payload":{}}`:                                        "nil",
		`{"command":"clean","version":1,"payload":[5]}`:                                       "nil",
		`{"command":"clean","version":1,"payload":[["purge_nodes"]]}`:                         "nil",
		`{"command":"clean","version":1,"payload":[["purge_nodes",{"batch_limit":"3"}]]}`:     "nil",
		`{"command":"clean","version":1,"payload":[["purge_nodes",{"x":3}]]}`:                 "nil",
		`{"command":"clean","version":1,"payload":[["purge_nodes",{"batch_limit":1,"x":3}]]}`: "nil",
		`{"command":"clean","version":1,"payload":[],"x":1}`:                                  "nil",
		`{"command":"clean"}`: "nil",
		`{"command":"delete","version":1,"payload":{"certname":5}}`:         "nil",
		`{"command":"delete","version":1,"payload":{}}`:                     "nil",
		`{"command":"delete","version":1,"payload":{"certname":"x","y":1}}`: "nil",
		`{"command":"delete","payload":{"certname":"x"}}`:                   "nil",
		`{"command":"bogus","version":1,"payload":{}}`:                      unknown,
		`[]`: unknown, `5`: unknown, ``: unknown, `null`: unknown, `{"command":5}`: unknown,
	} {
		j := &janitor{}
		_, p := ask(t, "/x", "POST", "/x", body, NewAdmin(j, "", nil).Command)
		require.NotNil(t, p, body)
		require.Equal(t, 400, p.Status)
		require.Equal(t, JSON, p.Shape)
		require.Equal(t, "Invalid command "+quote(body)+": "+why, p.Message)
		require.Empty(t, j.deleted)
		require.Nil(t, j.ops)
	}
	_, p := ask(t, "/x", "POST", "/x", "junk", NewAdmin(&janitor{}, "", nil).Command)
	require.Equal(t, 400, p.Status, "kinder than upstream's 500")
	require.Contains(t, p.Message, `Invalid command "junk": the body is not JSON`)
}

func TestAdminBusyAndFailing(t *testing.T) {
	const clean = `{"command":"clean","version":1,"payload":[]}`
	w, p := ask(t, "/x", "POST", "/x", clean, NewAdmin(&janitor{err: fmt.Errorf("x: %w", ErrCleaning)}, "", nil).Command)
	require.Nil(t, p)
	require.Equal(t, 409, w.Code)
	require.JSONEq(t, `{"kind":"conflict","msg":"Another cleanup is already in progress","details":null}`, w.Body.String())
	failing := NewAdmin(&janitor{err: errors.New("disk")}, "", nil)
	w, _ = ask(t, "/x", "POST", "/x", clean, failing.Command)
	require.Equal(t, 200, w.Code, "as upstream: logged only")
	_, p = ask(t, "/x", "POST", "/x", `{"command":"delete","version":1,"payload":{"certname":"x"}}`, failing.Command)
	require.Equal(t, 500, p.Status)
}

func TestAdminDeleteAndStats(t *testing.T) {
	j := &janitor{}
	a := NewAdmin(j, "", nil)
	w, p := ask(t, "/x", "POST", "/x", `{"payload":{"certname":"a b"},"version":1,"command":"delete"}`, a.Command)
	require.Nil(t, p)
	require.Equal(t, "{\n  \"deleted\" : \"a b\"\n}", w.Body.String())
	require.Equal(t, "a b", j.deleted)
	w, _ = ask(t, "/x", "DELETE", "/x", "", a.SummaryStats)
	require.JSONEq(t, `{"node_activity":[],"version":"8.8.2"}`, w.Body.String())
}
