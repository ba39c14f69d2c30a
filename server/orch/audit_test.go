package orch_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"dalang/orchestrator/rbac"
	"dalang/orchestrator/secret"
	"dalang/server"
	"dalang/server/orch"
	"dalang/server/pdb"
)

// Interfaces by other names than those of their methods.
type (
	planners interface{ orch.Plans }
	planJobs interface{ orch.PlanJobs }
)

// ledger is a log whose audit events are read.
type ledger struct{ bytes.Buffer }

// entries are the audit events since the last question.
func (l *ledger) entries(t *testing.T) (list []map[string]any) {
	t.Helper()
	for line := range strings.Lines(l.String()) {
		var e map[string]any
		require.NoError(t, json.Unmarshal([]byte(line), &e))
		if e["msg"] == "audit" {
			list = append(list, e)
		}
	}
	l.Reset()
	return list
}

// one is the only audit event since the last question, without what differs
// from run to run.
func (l *ledger) one(t *testing.T) map[string]any {
	t.Helper()
	list := l.entries(t)
	require.Len(t, list, 1)
	e := list[0]
	require.NotEmpty(t, e["request_id"])
	require.NotEmpty(t, e["remote"])
	for _, key := range []string{"time", "level", "msg", "request_id", "remote"} {
		delete(e, key)
	}
	return e
}

// audited is a server with all companions that need no database, and its log.
func audited(t *testing.T, f *fake) (*api, *ledger, []server.Companion) {
	t.Helper()
	l := &ledger{}
	base, err := orch.New(orch.Config{Engine: f, Jobs: f, Inventory: f, Environments: f, Tasks: library{}, TaskTargets: f, Usage: f, Authenticate: authenticate,
		Schedules: struct{ orch.Schedules }{}, Plans: struct{ planners }{}, PlanJobs: struct{ planJobs }{}}) // nobody gets as far as to them
	require.NoError(t, err)
	keeper, err := secret.New(make([]byte, 32))
	require.NoError(t, err)
	c, err := orch.NewConnections(base, &shelf{}, keeper)
	require.NoError(t, err)
	companions := []server.Companion{base, c}
	s, err := server.New(server.Config{Listen: "127.0.0.1:0", Handlers: server.Handlers{Orchestrator: companions}, Maintenance: &pdb.Maintenance{},
		Logger: slog.New(slog.NewJSONHandler(l, nil))})
	require.NoError(t, err)
	return &api{fake: f, handler: s.Handler(), token: "all"}, l, companions
}

// every calls each route that is no GET, and wants one audit event of it, but
// none of those that change nothing.
func every(t *testing.T, handler http.Handler, l *ledger, companions []server.Companion) {
	t.Helper()
	quiet := map[string]bool{
		"/orchestrator/v1/inventory": true, "/inventory/v1/query/connections": true, "/rbac-api/v1/permitted": true,
		"/rbac-api/v2/auth/token/authenticate": true, "/classifier-api/v1/rules/translate": true,
		"/classifier-api/v1/classified/nodes/{node}": true, "/classifier-api/v2/classified/nodes/{node}": true,
	}
	calls := 0
	for _, c := range companions {
		for _, route := range c.Routes() {
			for _, method := range route.Methods {
				path := strings.NewReplacer("{", "", "}", "").Replace(route.Path)
				r := httptest.NewRequest(method, "https://orchestrator.example.com:8143"+path, strings.NewReader(`{"secret":"hunter2"}`))
				handler.ServeHTTP(httptest.NewRecorder(), r)
				require.NotContains(t, l.String(), "hunter2")
				list := l.entries(t)
				if method == http.MethodGet || method == http.MethodHead || quiet[route.Path] {
					require.Empty(t, list, "%s %s", method, path)
					continue
				}
				calls++
				require.Len(t, list, 1, "%s %s", method, path)
				require.Equal(t, method+" "+route.Path, list[0]["call"])
				require.Equal(t, "refused", list[0]["outcome"], "%v", list[0])
			}
		}
	}
	require.Positive(t, calls)
}

// TestAuditEvery: whatever route there is, who changes something is told.
func TestAuditEvery(t *testing.T) {
	a, l, companions := audited(t, &fake{})
	every(t, a.handler, l, companions)
	s := newSite(t, rbac.ByToken)
	every(t, s.handler, s.log, s.companions)
}

// TestAuditAccess: users, roles, tokens and node groups.
func TestAuditAccess(t *testing.T) {
	s := newSite(t, rbac.ByToken)
	ann, _ := s.user("ann")
	s.log.Reset()
	const login = "/rbac-api/v1/auth/token"
	for _, c := range []struct {
		method, path, body string
		want               map[string]any
	}{
		{http.MethodPost, "/rbac-api/v1/roles", `{"display_name":"Restarters","permissions":[{"object_type":"tasks","action":"run","instance":"*"}],"user_ids":[],"group_ids":[]}`,
			map[string]any{"call": "POST /rbac-api/v1/roles", "name": "Restarters", "users": 0.0, "permissions": "tasks:run:*", "outcome": "done"}},
		{http.MethodPut, "/rbac-api/v1/users/" + ann.String(), `{"password":"correct horse battery staple"}`,
			map[string]any{"call": "PUT /rbac-api/v1/users/{user}", "user": ann.String(), "password": true, "revoked": false, "roles": false, "outcome": "done"}},
		{http.MethodPost, login, `{"login":"ann","password":"correct horse battery staple"}`,
			map[string]any{"call": "POST " + login, "user_login": "ann", "label": "", "outcome": "done"}},
		{http.MethodPost, login, `{"login":"ann","password":"wrong battery staple"}`,
			map[string]any{"call": "POST " + login, "user_login": "ann", "label": "", "outcome": "refused", "status": 401.0}},
		{http.MethodDelete, "/rbac-api/v2/tokens", `{"revoke_tokens":["battery staple"]}`,
			map[string]any{"call": "DELETE /rbac-api/v2/tokens", "revoke_tokens": 1.0, "outcome": "refused", "status": 404.0}},
		{http.MethodDelete, "/rbac-api/v2/tokens/battery-staple", ``,
			map[string]any{"call": "DELETE /rbac-api/v2/tokens/{token}", "outcome": "refused", "status": 404.0}},
		{http.MethodPost, "/classifier-api/v1/groups", `{"name":"Web","parent":"00000000-0000-4000-8000-000000000000","classes":{"x":{"password":"battery staple"}}}`,
			map[string]any{"call": "POST /classifier-api/v1/groups", "name": "Web", "parent": "00000000-0000-4000-8000-000000000000", "outcome": "done"}},
		{http.MethodPost, "/classifier-api/v1/groups/00000000-0000-4000-8000-000000000000/pin", `{"nodes":["a","b"]}`,
			map[string]any{"call": "POST /classifier-api/v1/groups/{group}/pin", "group": "00000000-0000-4000-8000-000000000000", "nodes": 2.0, "certnames": "a b",
				"outcome": "refused"}},
	} {
		s.ask(s.admin, c.method, c.path, c.body)
		for line := range strings.Lines(s.log.String()) {
			require.NotContains(t, line, "battery")
		}
		e := s.log.one(t)
		if c.path != login && !strings.HasPrefix(c.path, "/rbac-api/v2/tokens/") { // where the request itself says who asks
			require.Equal(t, "admin", e["login"], "%v", e)
			require.Equal(t, rbac.Admin.String(), e["user_id"])
		}
		for key, want := range c.want {
			require.Equal(t, want, e[key], "%s of %v", key, e)
		}
	}
}

func TestAudit(t *testing.T) {
	f := &fake{}
	a, l, _ := audited(t, f)
	for _, c := range []struct {
		token, method, path, body string
		want                      map[string]any
	}{
		{"all", http.MethodPost, "/orchestrator/v1/command/task", `{"task":"facts","params":{"password":"hunter2"},"scope":{"nodes":["a"]},
			"targets":[{"hostnames":["a"],"transport":"ssh","user":"u","password":"hunter2"}]}`,
			map[string]any{"call": "POST /orchestrator/v1/command/task", "task": "facts", "environment": "production", "noop": false, "scope": "nodes",
				"targets": 1.0, "job": 1.0, "nodes": 0.0, "outcome": "done"}},
		{"all", http.MethodPost, "/orchestrator/v1/command/deploy", `{"environment":"production","scope":{"query":"nodes{hunter2}"},"noop":true}`,
			map[string]any{"call": "POST /orchestrator/v1/command/deploy", "environment": "production", "noop": true, "scope": "query", "job": 2.0, "nodes": 1.0, "outcome": "done"}},
		{"viewer", http.MethodPost, "/orchestrator/v1/command/deploy", `{"environment":"production"}`,
			map[string]any{"call": "POST /orchestrator/v1/command/deploy", "outcome": "refused", "status": 403.0, "kind": "puppetlabs.orchestrator/not-permitted"}},
		{"all", http.MethodPost, "/orchestrator/v1/command/stop", `{"job":"1","force":true}`,
			map[string]any{"call": "POST /orchestrator/v1/command/stop", "job": 1.0, "force": true, "outcome": "done"}},
		{"all", http.MethodPost, "/orchestrator/v1/command/task_target", `{"display_name":"x","tasks":["a","b"],"nodes":[],"node_groups":[]}`,
			map[string]any{"call": "POST /orchestrator/v1/command/task_target", "task_target": 1.0, "all_tasks": false, "tasks": "a b", "outcome": "done"}},
		{"all", http.MethodDelete, "/orchestrator/v1/scopes/task_targets/7", ``,
			map[string]any{"call": "DELETE /orchestrator/v1/scopes/task_targets/{target}", "task_target": "7", "outcome": "refused", "status": 404.0,
				"kind": "puppetlabs.orchestrator/unknown-task-target"}},
		{"all", http.MethodDelete, "/orchestrator/v1/scheduled_jobs/x", ``,
			map[string]any{"call": "DELETE /orchestrator/v1/scheduled_jobs/{job}", "scheduled_job": "x", "outcome": "refused", "status": 400.0,
				"kind": "puppetlabs.orchestrator/validation-error"}},
		{"all", http.MethodPost, "/inventory/v1/command/delete-connection", `{"certnames":["a","b"]}`,
			map[string]any{"call": "POST /inventory/v1/command/delete-connection", "nodes": 2.0, "certnames": "a b", "outcome": "done"}},
		{"all", http.MethodGet, "/inventory/v1/query/connections?sensitive=true", ``,
			map[string]any{"call": "GET /inventory/v1/query/connections", "shown": "secrets of connections", "outcome": "done"}},
		{"", http.MethodPost, "/orchestrator/v1/command/stop", `{"job":"1"}`,
			map[string]any{"call": "POST /orchestrator/v1/command/stop", "outcome": "refused", "status": 401.0, "kind": "puppetlabs.rbac/user-unauthenticated"}},
	} {
		r := httptest.NewRequest(c.method, "https://orchestrator.example.com:8143"+c.path, strings.NewReader(c.body))
		r.Header.Set("X-Authentication", c.token)
		a.handler.ServeHTTP(httptest.NewRecorder(), r)
		require.NotContains(t, l.String(), "hunter2")
		e := l.one(t)
		if c.token != "" {
			require.Equal(t, "brian", e["login"], "%v", e)
			delete(e, "login")
			delete(e, "user_id")
		}
		require.Equal(t, c.want, e)
	}
	f.err = errors.New("the disk is full of hunter2")
	a.ask(t, http.MethodPost, "/orchestrator/v1/command/stop", `{"job":"1"}`)
	require.Equal(t, "failed", l.one(t)["outcome"])
}
