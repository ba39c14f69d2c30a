package orch_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"dalang/commands/outcome"
	"dalang/orchestrator/rbac"
	"dalang/wireformat"
)

const groupsPath = "/classifier-api/v1/groups"

// group makes a node group and answers its path and id.
func (s *site) group(name, parent, more string) (path, id string) {
	s.t.Helper()
	path = s.made(groupsPath, `{"name":"`+name+`","parent":"`+parent+`","classes":{}`+more+`}`)
	return path, strings.TrimPrefix(path, groupsPath+"/")
}

func TestGroups(t *testing.T) {
	s := newSite(t, rbac.ByToken)
	all := strict[[]clientGroup](t, s.get(s.admin, groupsPath))
	require.Len(t, all, 1)
	root := all[0]
	require.Equal(t, clientGroup{Name: "All Nodes", ID: rbac.RootGroup, Environment: "production", Parent: rbac.RootGroup,
		Rule: []any{"and", []any{"~", "name", ".*"}}, Classes: map[string]map[string]any{}, ConfigData: map[string]map[string]any{},
		Variables: map[string]any{}, LastEdited: root.LastEdited, SerialNumber: 1}, root)

	path := s.made(groupsPath, `{"name":"Webservers","parent":"`+rbac.RootGroup+`","environment":"staging","description":"All of the web.",
		"rule":["and",["~",["trusted","certname"],"www"],[">=",["fact","total_ram"],"512"]],"classes":{"apache":{"serveradmin":"a@b.c","keepalive_timeout":5},"ssl":{}},
		"config_data":{"x":{"y":"z"}},"variables":{"ntp_servers":["0.pool"]}}`)
	got := strict[clientGroup](t, s.get(s.admin, path))
	require.Equal(t, clientGroup{Name: "Webservers", ID: strings.TrimPrefix(path, groupsPath+"/"), Description: "All of the web.", Environment: "staging",
		Parent: rbac.RootGroup, Rule: []any{"and", []any{"~", []any{"trusted", "certname"}, "www"}, []any{">=", []any{"fact", "total_ram"}, "512"}},
		Classes:    map[string]map[string]any{"apache": {"serveradmin": "a@b.c", "keepalive_timeout": 5.0}, "ssl": {}},
		ConfigData: map[string]map[string]any{"x": {"y": "z"}}, Variables: map[string]any{"ntp_servers": []any{"0.pool"}},
		LastEdited: "2026-05-20T12:00:00.000Z", SerialNumber: 1}, got)

	delta := `{"name":"Production Webservers","id":"` + got.ID + `","environment":"production","serial_number":1,"classes":{"apache":{"serveradmin":"roy@b.c",
		"keepalive_timeout":null},"ssl":null},"variables":{"dns_servers":["dns"]}}`
	got = strict[clientGroup](t, s.done(s.admin, http.MethodPost, path, delta, 200))
	require.Equal(t, map[string]map[string]any{"apache": {"serveradmin": "roy@b.c"}}, got.Classes)
	require.Len(t, got.Variables, 2)
	require.NotNil(t, got.Rule)
	require.Equal(t, 2, got.SerialNumber)
	s.refused(s.admin, http.MethodPost, path, delta, 409, "conflict")
	require.Nil(t, strict[clientGroup](t, s.done(s.admin, http.MethodPost, path, `{"rule":null}`, 200)).Rule)

	// What a client got can be put back: then nothing has changed.
	text := string(s.get(s.admin, path))
	require.Equal(t, 3, strict[clientGroup](t, s.done(s.admin, http.MethodPut, path, text, 200)).SerialNumber)
	replaced := strict[clientGroup](t, s.done(s.admin, http.MethodPut, path, `{"name":"W","parent":"`+rbac.RootGroup+`","classes":{}}`, 201))
	require.Empty(t, replaced.Classes)
	require.Equal(t, "production", replaced.Environment)
	other := uuid.NewString()
	made := strict[clientGroup](t, s.done(s.admin, http.MethodPut, groupsPath+"/"+other, `{"name":"New","parent":"`+got.ID+`","classes":{},"id":"`+other+`"}`, 201))
	require.Equal(t, other, made.ID)

	require.Contains(t, s.refused(s.admin, http.MethodDelete, path, "", 422, "children-present"), "New")
	require.Empty(t, s.done(s.admin, http.MethodDelete, groupsPath+"/"+other, "", 204))
	s.refused(s.admin, http.MethodGet, groupsPath+"/"+other, "", 404, "not-found")
	s.refused(s.admin, http.MethodDelete, groupsPath+"/"+other, "", 404, "not-found")
	s.done(s.admin, http.MethodDelete, path+"/", "", 204)
}

func TestBadGroups(t *testing.T) {
	s := newSite(t, rbac.ByToken)
	path, id := s.group("A", rbac.RootGroup, "")
	good := `"name":"B","parent":"` + rbac.RootGroup + `","classes":{}`
	for _, c := range []struct {
		body   string
		status int
		kind   string
	}{
		{`{}`, 400, "schema-violation"},
		{`{"name":"B","parent":"` + rbac.RootGroup + `"}`, 400, "schema-violation"},
		{`{"name":"B","classes":{}}`, 400, "schema-violation"},
		{`{` + good + `,"rule":"x"}`, 400, "schema-violation"},
		{`{` + good + `,"rule":["=",["fact","a"],5]}`, 400, "schema-violation"},
		{`{` + good + `,"rule":["~","name","(?!a)"]}`, 422, "untranslatable-rule"},
		{`{` + good + `,"environment":"a b"}`, 400, "schema-violation"},
		{`{` + good + `,"environment_trumps":"yes"}`, 400, "schema-violation"},
		{`{` + good + `,"classes":{"a":1}}`, 400, "schema-violation"},
		{`{` + good + `,"variables":[]}`, 400, "schema-violation"},
		{`{` + good + `,"surprise":1}`, 400, "schema-violation"},
		{`{"name":"A","parent":"` + rbac.RootGroup + `","classes":{}}`, 422, "uniqueness-violation"},
		{`{"name":"B","parent":"` + uuid.NewString() + `","classes":{}}`, 422, "missing-parent"},
		{`{"name":"B","parent":"x","classes":{}}`, 400, "schema-violation"},
	} {
		s.refused(s.admin, http.MethodPost, groupsPath, c.body, c.status, c.kind)
		kind, status := c.kind, c.status
		if kind != "uniqueness-violation" { // it would be the same group
			s.refused(s.admin, http.MethodPut, path, c.body, status, kind)
		}
	}
	_, child := s.group("Child", id, "")
	s.refused(s.admin, http.MethodPost, path, `{"parent":"`+child+`"}`, 422, "inheritance-cycle")
	s.refused(s.admin, http.MethodPost, path, `{"id":"`+child+`"}`, 400, "conflicting-ids")
	s.refused(s.admin, http.MethodPut, path, `{"id":"`+child+`",`+good+`}`, 400, "conflicting-ids")
	s.refused(s.admin, http.MethodPost, groupsPath+"/"+rbac.RootGroup, `{"rule":null}`, 422, "root-group-edit")
	s.refused(s.admin, http.MethodDelete, groupsPath+"/"+rbac.RootGroup, "", 422, "root-group-edit")
	for _, method := range []string{"GET", "PUT", "POST", "DELETE"} {
		s.refused(s.admin, method, groupsPath+"/nonsense", `{`+good+`}`, 400, "malformed-uuid")
	}
	require.Len(t, s.groups.Groups(), 3)
}

func TestGroupNodes(t *testing.T) {
	s := newSite(t, rbac.ByToken)
	s.facts("web1", `{"os":{"name":"Debian"},"is_virtual":true,"trusted":{"extensions":{"pp_role":"web"}}}`)
	s.facts("web2", `{"os":{"name":"Rocky"},"is_virtual":false}`)
	s.facts("db1", `{"os":{"name":"Debian"},"is_virtual":true}`)
	nodes := func(path string) []string { return strict[clientGroupNodes](t, s.get(s.admin, path+"/nodes")).Nodes }
	require.Equal(t, []string{"db1", "web1", "web2"}, nodes(groupsPath+"/"+rbac.RootGroup))
	virtual, id := s.group("Virtual", rbac.RootGroup, `,"rule":["=",["fact","is_virtual"],"true"]`)
	debian, _ := s.group("Debian", id, `,"rule":["=",["fact","os","name"],"Debian"]`)
	role, _ := s.group("Web", id, `,"rule":["=",["trusted","extensions","pp_role"],"web"]`)
	none, _ := s.group("None", id, "")
	require.Equal(t, []string{"db1", "web1"}, nodes(virtual))
	require.Equal(t, []string{"db1", "web1"}, nodes(debian))
	require.Equal(t, []string{"web1"}, nodes(role))
	require.Empty(t, nodes(none))

	rules := strict[clientRules](t, s.get(s.admin, virtual+"/rules"))
	require.Equal(t, []any{"=", []any{"fact", "is_virtual"}, "true"}, rules.Rule)
	require.Equal(t, []any{"and", rules.Rule, []any{"and", []any{"~", "name", ".*"}}}, rules.Inherited)
	require.Equal(t, []any{"and", []any{"or", []any{"=", []any{"fact", "is_virtual"}, "true"}, []any{"=", []any{"fact", "is_virtual"}, true}},
		[]any{"and", []any{"~", "certname", ".*"}}}, rules.Translated.Nodes)
	rules = strict[clientRules](t, s.get(s.admin, role+"/rules"))
	require.Nil(t, rules.Translated.Nodes, "a query for nodes cannot say it")
	require.Contains(t, rules.Translated.Inventory, any([]any{"=", "trusted.extensions.pp_role", "web"}))
	require.Equal(t, clientRules{}, strict[clientRules](t, s.get(s.admin, none+"/rules")))

	pin := func(verb, query, body string) { s.done(s.admin, http.MethodPost, none+"/"+verb+query, body, 204) }
	pin("pin", "?nodes=web2%2Cdb1", "")
	require.Equal(t, []string{"db1"}, nodes(none), "the groups above still filter")
	pin("pin", "", `{"nodes":"web1"}`)
	pin("unpin", "", `{"nodes":["db1","stranger"]}`)
	require.Equal(t, []string{"web1"}, nodes(none))
	pin("unpin", "?nodes=web1,web2", "")
	require.Nil(t, strict[clientGroup](t, s.get(s.admin, none)).Rule)
	s.refused(s.admin, http.MethodPost, none+"/pin", "", 400, "missing-parameters")
	for _, body := range []string{`{"nodes":[1]}`, `{"nodes":[""]}`, `{"nodes":""}`, `{"nodes":{}}`, `{}`, `{"nodes":["a"],"more":1}`} {
		s.refused(s.admin, http.MethodPost, none+"/pin", body, 400, "schema-violation")
	}
	s.refused(s.admin, http.MethodPost, none+"/pin?nodes=", "", 400, "schema-violation")
}

func TestTranslateRules(t *testing.T) {
	s := newSite(t, rbac.ByToken)
	_, token := s.user("brian")
	const path = "/classifier-api/v1/rules/translate"
	require.Equal(t, []any{"=", "certname", "a"}, strict[clientQuery](t, s.done(token, http.MethodPost, path, `["=","name","a"]`, 200)).Query)
	require.Equal(t, []any{"=", "facts.os.name", "a"}, strict[clientQuery](t, s.done(token, http.MethodPost, path+"?format=inventory", `["=",["fact","os","name"],"a"]`, 200)).Query)
	s.refused(token, http.MethodPost, path, `["=",["fact","os","name"],"a"]`, 422, "untranslatable-rule")
	s.refused(token, http.MethodPost, path+"?format=pql", `["=","name","a"]`, 400, "schema-violation")
	s.refused(token, http.MethodPost, path, `["="`, 400, "malformed-request")
	s.refused(token, http.MethodPost, path, ``, 400, "malformed-request")
	for _, rule := range []string{`{}`, `null`, `["=","nam","a"]`, `[]`} {
		s.refused(token, http.MethodPost, path, rule, 400, "schema-violation")
	}
}

func TestClassified(t *testing.T) {
	s := newSite(t, rbac.ByToken)
	s.facts("web1", `{"kernel":"Linux"}`)
	_, id := s.group("Linux", rbac.RootGroup, `,"rule":["=",["fact","kernel"],"Linux"],"environment":"staging","variables":{"v":1}`)
	s.group("Role", rbac.RootGroup, `,"rule":["=",["trusted","role"],"web"]`)
	v2 := strict[clientClassifiedV2](t, s.done(s.admin, http.MethodPost, "/classifier-api/v2/classified/nodes/web1", "", 200))
	require.Equal(t, clientClassifiedV2{Name: "web1", Environment: "staging", Groups: []clientRef{{rbac.RootGroup, "All Nodes"}, {id, "Linux"}},
		Classes: map[string]map[string]any{}, Parameters: map[string]any{"v": 1.0}, ConfigData: map[string]map[string]any{}}, v2)
	v1 := strict[clientClassifiedV1](t, s.done(s.admin, http.MethodPost, "/classifier-api/v1/classified/nodes/other", `{"fact":{"kernel":"BSD"}}`, 200))
	require.Equal(t, []string{rbac.RootGroup}, v1.Groups)
	s.refused(s.admin, http.MethodPost, "/classifier-api/v1/classified/nodes/other", `{"fact":{"kernel":"Linux"},"trusted":{"role":"web"}}`, 500, "classification-conflict")
	s.refused(s.admin, http.MethodPost, "/classifier-api/v1/classified/nodes/other", `{"fact":[]}`, 400, "schema-violation")
}

// TestGroupPermissions: they count for the groups below as well.
func TestGroupPermissions(t *testing.T) {
	s := newSite(t, rbac.ByToken)
	web, webID := s.group("Web", rbac.RootGroup, `,"rule":["and"]`)
	inner, innerID := s.group("Inner", webID, `,"rule":["and"]`)
	db, dbID := s.group("DB", rbac.RootGroup, `,"rule":["and"]`)
	view := "node_groups:view:" + webID
	_, viewer := s.user("viewer", view)
	_, ruler := s.user("ruler", view, "node_groups:edit_child_rules:"+webID)
	_, editor := s.user("editor", view, "node_groups:edit_classification:"+webID)
	_, owner := s.user("owner", view, "node_groups:modify_children:"+webID)

	require.Len(t, strict[[]clientGroup](t, s.get(viewer, groupsPath)), 2)
	for _, path := range []string{inner, inner + "/rules", inner + "/nodes", web} {
		s.get(viewer, path)
	}
	for _, path := range []string{db, db + "/rules", db + "/nodes", groupsPath + "/" + uuid.NewString()} {
		s.refused(viewer, http.MethodGet, path, "", 403, "permission-denied")
	}
	s.refused(viewer, http.MethodPost, "/classifier-api/v1/classified/nodes/a", "", 403, "permission-denied")
	rule, classes, name := `{"rule":["or"]}`, `{"classes":{"a":{}}}`, `{"name":"Inner 2"}`
	for _, c := range []struct {
		token, path, body string
		ok                bool
	}{
		{viewer, inner, rule, false}, {viewer, inner, classes, false}, {viewer, inner, name, false}, {viewer, inner + "/pin", `{"nodes":["a"]}`, false},
		{ruler, inner, rule, true}, {ruler, inner, classes, false}, {ruler, inner, name, false}, {ruler, inner + "/pin", `{"nodes":["a"]}`, true},
		{ruler, web, rule, false}, {ruler, inner, `{"rule":null,"name":"x"}`, false}, {ruler, web + "/unpin", `{"nodes":["a"]}`, false},
		{editor, inner, classes, true}, {editor, web, classes, true}, {editor, inner, rule, false}, {editor, inner, name, false}, {editor, db, classes, false},
		{owner, inner, rule, true}, {owner, inner, name, true}, {owner, inner, `{"classes":{"b":{}}}`, true}, {owner, inner, `{"parent":"` + dbID + `"}`, false},
		{owner, inner, `{"parent":"` + rbac.RootGroup + `"}`, false}, {owner, web, rule, false}, {owner, db, name, false},
	} {
		w := s.ask(c.token, http.MethodPost, c.path, c.body)
		require.Equal(t, c.ok, w.Code < 300, "%s %s: %s", c.path, c.body, w.Body)
		require.True(t, c.ok || w.Code == http.StatusForbidden, "%s", w.Body)
	}
	below := `{"name":"X","parent":"` + innerID + `","classes":{}}`
	s.refused(viewer, http.MethodPost, groupsPath, below, 403, "permission-denied")
	s.refused(owner, http.MethodPost, groupsPath, strings.Replace(below, innerID, dbID, 1), 403, "permission-denied")
	w := s.ask(owner, http.MethodPost, groupsPath, below)
	require.Equal(t, http.StatusSeeOther, w.Code, "%s", w.Body)
	s.refused(owner, http.MethodPut, db, below, 403, "permission-denied")
	s.refused(viewer, http.MethodDelete, w.Header().Get("Location"), "", 403, "permission-denied")
	s.done(owner, http.MethodDelete, w.Header().Get("Location"), "", 204)
	s.refused(owner, http.MethodDelete, web, "", 403, "permission-denied")

	// Who may see a group may run Puppet on it, if on any.
	_, runner := s.user("runner", "orchestrator:view:*", "puppet_agent:run:*", view)
	s.done(runner, http.MethodPost, deployPath, `{"environment":"production","scope":{"node_group":"`+innerID+`"}}`, 202)
	require.Equal(t, innerID, s.engine.deploys[0].Scope.NodeGroup)
}

// TestClasses: what catalogs have, for who may see all groups.
func TestClasses(t *testing.T) {
	s := newSite(t, rbac.ByToken)
	const path = "/classifier-api/v1/classes"
	require.JSONEq(t, `[]`, s.ask(s.admin, http.MethodGet, path, "").Body.String())
	payload, err := wireformat.Decode(wireformat.ReplaceCatalog, 9, time.Now(), fmt.Appendf(nil, `{"certname":"web1","version":"1","environment":"production",
		"transaction_uuid":null,"catalog_uuid":null,"code_id":null,"producer":"p","producer_timestamp":%q,"edges":[],"resources":[{"type":"Class","title":"Ntp::Server",
		"aliases":[],"exported":false,"file":null,"line":null,"tags":[],"parameters":{"x":1}}]}`, time.Now().UTC().Format(time.RFC3339)))
	require.NoError(t, err)
	results, err := s.store.Apply(t.Context(), []outcome.Change{{Payload: payload, Received: time.Now()}})
	require.NoError(t, err)
	require.NoError(t, results[0].Err)
	require.JSONEq(t, `[{"name":"ntp::server","environment":"production","parameters":{}}]`, s.ask(s.admin, http.MethodGet, path, "").Body.String())
	_, token := s.user("ann", "orchestrator:view:*")
	require.Equal(t, http.StatusForbidden, s.ask(token, http.MethodGet, path, "").Code)
}
