package orch_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"dalang/orchestrator/job"
	"dalang/server/orch"
)

// TestNodeNames: names that no node can have are refused, where the node has
// to have an agent; names under which a node may be reached otherwise are not.
func TestNodeNames(t *testing.T) {
	for name, ok := range map[string]struct{ agent, host bool }{
		"web1.example.com":    {true, true},
		"Web1":                {true, true}, // CAs other than Puppet's
		"a b":                 {true, true},
		"a_b,c:d@e+~":         {true, true},
		"10.0.0.7":            {true, true},
		"*":                   {false, true},
		"web*.example.com":    {false, true},
		"ssh://u@10.0.0.7:22": {false, true},
		"bücher.example":      {false, true},
		" a":                  {false, false},
		"a ":                  {false, false},
		"a\n":                 {false, false},
		"a\tb":                {false, false},
		"a\x00b":              {false, false},
		"a\x7fb":              {false, false},
		"a\u0085b":            {false, false},
	} {
		list, err := json.Marshal([]string{"x", name})
		require.NoError(t, err)
		ask := func(may bool, key, path, body string) {
			t.Helper()
			a := newAPI(t, nil)
			body = fmt.Sprintf(body, list)
			if may {
				status, text, _ := a.ask(t, http.MethodPost, path, body)
				require.Less(t, status, 300, "%s: %s", body, text)
				return
			}
			e := a.refused(t, http.MethodPost, path, body, http.StatusBadRequest, "validation-error")
			require.Equal(t, key+"[1]", e.Details["key"], body)
			require.Equal(t, fmt.Sprintf("%q", name), e.Details["got"])
			require.Empty(t, a.deploys)
			require.Empty(t, a.tasks)
		}
		ask(ok.agent, "scope.nodes", deployPath, `{"environment":"production","scope":{"nodes":%s}}`)
		ask(ok.host, "scope.nodes", "/orchestrator/v1/command/task", `{"task":"facts","params":{},"scope":{"nodes":%s}}`)
		ask(ok.host, "targets[0].hostnames", "/orchestrator/v1/command/task",
			`{"task":"facts","params":{},"scope":{"nodes":["x"]},"targets":[{"transport":"ssh","user":"u","password":"p","hostnames":%s}]}`)
		ask(ok.host, "nodes", targetPath, `{"display_name":"x","tasks":["a"],"node_groups":[],"nodes":%s}`)
	}
}

// TestNodeOrder: the answer tells how nodes are really sorted, and takes the
// same words.
func TestNodeOrder(t *testing.T) {
	for query, want := range map[string]struct {
		filter job.NodeFilter
		page   clientPagination
	}{
		"":                              {job.NodeFilter{}, clientPagination{Order: "asc", OrderBy: "position"}},
		"?order_by=position":            {job.NodeFilter{}, clientPagination{Order: "asc", OrderBy: "position"}},
		"?order_by=position&order=desc": {job.NodeFilter{Desc: true}, clientPagination{Order: "desc", OrderBy: "position"}},
		"?order=desc":                   {job.NodeFilter{OrderBy: "name", Desc: true}, clientPagination{Order: "desc", OrderBy: "name"}},
		"?order_by=duration":            {job.NodeFilter{OrderBy: "duration"}, clientPagination{Order: "asc", OrderBy: "duration"}},
	} {
		a := newAPI(t, nil)
		a.jobs = []job.Job{sample(t)}
		list := strict[clientNodes](t, a.get(t, "/orchestrator/v1/jobs/1234/nodes"+query))
		want.filter.Now = noon
		require.Equal(t, want.filter, a.nodesBy, query)
		require.Equal(t, want.page, list.Pagination, query)
	}
}

// TestEnvironmentUndecided: what deploy cannot decide, the environment's own
// routes do not decide either.
func TestEnvironmentUndecided(t *testing.T) {
	a := newAPI(t, nil)
	a.environments = append(a.environments, orch.Environment{Name: "production"}, orch.Environment{Name: "gone"})
	for _, below := range []string{"", "/applications", "/instances"} {
		a.unknown = nil
		a.get(t, "/orchestrator/v1/environments/production"+below)
		e := a.refused(t, http.MethodGet, "/orchestrator/v1/environments/gone"+below, "", http.StatusNotFound, "unknown-environment")
		require.Equal(t, "gone", e.Details["environment"], "it is in the list, but nothing can run there")
		a.unknown = job.Unavailable(fmt.Errorf("the Puppet Server is away"))
		e = a.refused(t, http.MethodGet, "/orchestrator/v1/environments/production"+below, "", http.StatusServiceUnavailable, "unknown-error")
		require.Contains(t, e.Msg, "This cannot be decided now")
	}
	a.get(t, "/orchestrator/v1/environments")
}
