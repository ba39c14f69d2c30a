package orch_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"dalang/orchestrator/rbac"
)

func TestLogin(t *testing.T) {
	s := newSite(t, rbac.ByToken)
	id, _ := s.user("brian", "orchestrator:view:*")
	password := "correct horse"
	require.NoError(t, s.access.ChangeUser(t.Context(), id, rbac.UserChange{Password: &password}))
	const login = "/rbac-api/v1/auth/token"
	w := s.ask("", http.MethodPost, login, `{"login":"brian","password":"correct horse","lifetime":"4h","description":null,"client":"test","label":"laptop"}`)
	require.Equal(t, 200, w.Code, "%s", w.Body)
	require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
	token := strict[clientToken](t, w.Body.Bytes()).Token
	s.get(token, "/orchestrator/v1/jobs")

	msg := s.refused("", http.MethodPost, login, `{"login":"brian","password":"wrong horse"}`, 401, "puppetlabs.rbac/user-unauthenticated")
	require.Equal(t, msg, s.refused("", http.MethodPost, login, `{"login":"nobody","password":"wrong horse"}`, 401, "puppetlabs.rbac/user-unauthenticated"))
	for _, body := range []string{`{}`, `{"login":"brian"}`, `{"login":"brian","password":1}`, `{"login":"brian","password":"x","lifetime":"4 h"}`,
		`{"login":"brian","password":"x","lifetime":[]}`, `{"login":"brian","password":"x","lifetime":""}`, `{"login":"brian","password":"x","lifetime":1.5}`} {
		s.refused("", http.MethodPost, login, body, 400, "schema-violation")
	}
	for range 5 {
		s.ask("", http.MethodPost, login, `{"login":"brian","password":"wrong horse"}`)
	}
	s.refused("", http.MethodPost, login, `{"login":"brian","password":"correct horse"}`, 429, "puppetlabs.rbac/too-many-attempts")

	const inspect = "/rbac-api/v2/auth/token/authenticate"
	got := strict[clientIdentity](t, s.done("", http.MethodPost, inspect, `{"token":"`+token+`","update_last_activity?":false}`, 200))
	require.Equal(t, clientIdentity{ID: id.String(), UserID: id.String(), Login: "brian", RoleIDs: []int{4}, Label: "laptop", Client: "test",
		Expiration: "2026-05-20T16:00:00Z"}, got)
	s.refused("", http.MethodPost, inspect, `{"token":"x"}`, 401, "puppetlabs.rbac/invalid-token")
	s.refused("", http.MethodPost, inspect, `{"token":""}`, 401, "puppetlabs.rbac/invalid-token")
	s.refused("", http.MethodPost, inspect, `{}`, 400, "schema-violation")

	require.Empty(t, s.done("", http.MethodDelete, "/rbac-api/v2/tokens/"+token, "", 204))
	s.refused(token, http.MethodGet, "/orchestrator/v1/jobs", "", 401, "puppetlabs.rbac/token-revoked")
	s.refused("", http.MethodDelete, "/rbac-api/v2/tokens/stranger", "", 404, "not-found")
}

func TestTokens(t *testing.T) {
	s := newSite(t, rbac.ByToken)
	brian, first := s.user("brian")
	carla, hers := s.user("carla")
	const tokens = "/rbac-api/v2/tokens"
	second := strict[clientToken](t, s.done(first, http.MethodPost, "/rbac-api/v1/tokens", `{"lifetime":60,"description":"d","client":"c","label":"l"}`, 200)).Token
	third := strict[clientToken](t, s.done(first, http.MethodPost, "/rbac-api/v1/tokens", `{"login":"BRIAN"}`, 200)).Token
	s.refused(first, http.MethodPost, "/rbac-api/v1/tokens", `{"login":"carla"}`, 403, "permission-denied")
	forCarla := strict[clientToken](t, s.done(s.admin, http.MethodPost, "/rbac-api/v1/tokens", `{"login":"carla"}`, 200)).Token
	s.refused(s.admin, http.MethodPost, "/rbac-api/v1/tokens", `{"login":"nobody"}`, 404, "not-found")
	require.Equal(t, carla.String(), strict[clientUser](t, s.get(forCarla, "/rbac-api/v1/users/current")).ID)

	list := strict[clientTokens](t, s.get(first, tokens))
	require.Len(t, list.Items, 3)
	require.Equal(t, "l", list.Items[1].Label)
	require.Equal(t, "2026-05-20T12:01:00Z", list.Items[1].Expiration)
	require.Nil(t, list.Items[1].Revocation)
	for _, secret := range []string{first, second, third} {
		require.NotContains(t, string(s.get(s.admin, tokens+"?all=true")), strings.TrimPrefix(secret, "dalang_"))
	}
	require.Len(t, strict[clientTokens](t, s.get(s.admin, tokens+"?all=true")).Items, 6)
	require.Len(t, strict[clientTokens](t, s.get(s.admin, tokens+"?user_id="+brian.String())).Items, 3)
	s.refused(first, http.MethodGet, tokens+"?all=true", "", 403, "permission-denied")
	s.refused(first, http.MethodGet, tokens+"?user_id="+carla.String(), "", 403, "permission-denied")
	s.refused(first, http.MethodGet, tokens+"?user_id=brian", "", 400, "invalid-uuid")
	s.refused(first, http.MethodGet, tokens+"?all=perhaps", "", 400, "schema-violation")

	in := func(token string) bool { return s.ask(token, http.MethodGet, tokens, "").Code == 200 }
	s.done(first, http.MethodDelete, tokens+"?revoke_tokens_by_labels=l,none", "", 204)
	require.False(t, in(second))
	require.True(t, in(third))
	listed := strict[clientTokens](t, s.get(s.admin, tokens+"?all=true")).Items
	s.refused(first, http.MethodDelete, tokens+"?revoke_tokens_by_ids="+listed[0].ID, "", 403, "permission-denied")
	s.refused(first, http.MethodDelete, tokens+"?revoke_tokens_by_usernames=carla", "", 403, "permission-denied")
	require.True(t, in(forCarla) && in(hers))
	s.done(s.admin, http.MethodDelete, tokens, `{"revoke_tokens_by_ids":["`+listed[0].ID+`"]}`, 204)
	require.False(t, in(forCarla))
	s.done(s.admin, http.MethodDelete, tokens, `{"revoke_tokens_by_usernames":["carla"],"revoke_tokens":["`+third+`"]}`, 204)
	require.False(t, in(hers) || in(third))
	s.refused(first, http.MethodDelete, tokens, "", 400, "malformed-request")
	s.refused(first, http.MethodDelete, tokens+"?revoke_tokens_by_ids=x", "", 400, "malformed-request")
	s.refused(s.admin, http.MethodDelete, tokens+"?revoke_tokens_by_ids=999", "", 404, "not-found")
	s.refused(first, http.MethodDelete, tokens+"?revoke_tokens=stranger", "", 404, "not-found")
	own := strict[clientTokens](t, s.get(first, tokens)).Items
	s.done(first, http.MethodDelete, tokens+"?revoke_tokens_by_ids="+own[2].ID, "", 204)
	require.False(t, in(first), "one's own")
}

func TestUsers(t *testing.T) {
	s := newSite(t, rbac.ByToken)
	const users = "/rbac-api/v1/users"
	path := s.made(users, `{"login":"brian","email":"brian@example.com","display_name":"Brian","role_ids":[2],"password":"correct horse"}`)
	brian := strict[clientUser](t, s.get(s.admin, path))
	require.Equal(t, clientUser{ID: brian.ID, Login: "brian", Email: "brian@example.com", DisplayName: "Brian", RoleIDs: []int{2}, IsUser: true,
		InheritedRoleIDs: []int{}, GroupIDs: []string{}}, brian)
	require.Equal(t, users+"/"+brian.ID, path)
	require.NotContains(t, string(s.get(s.admin, path)), "argon2")

	s.refused(s.admin, http.MethodPost, users, `{"login":"BRIAN"}`, 409, "conflict")
	s.refused(s.admin, http.MethodPost, users, `{"login":"carla","role_ids":[99]}`, 422, "invalid-associated-id")
	s.refused(s.admin, http.MethodPost, users, `{"login":"carla","role_ids":["2"]}`, 400, "schema-violation")
	s.refused(s.admin, http.MethodPost, users, `{"email":"x"}`, 400, "schema-violation")
	s.refused(s.admin, http.MethodPost, users, `{"login":"car la"}`, 400, "schema-violation")
	s.refused(s.admin, http.MethodGet, users+"/brian", "", 400, "invalid-uuid")
	s.refused(s.admin, http.MethodGet, users+"/"+uuid.NewString(), "", 404, "not-found")

	token := s.token(uuid.MustParse(brian.ID))
	me := strict[clientUser](t, s.get(token, users+"/current"))
	require.Equal(t, brian.ID, me.ID)
	require.Equal(t, brian.ID, strict[clientUser](t, s.get(token, path)).ID, "oneself may be seen")
	s.refused(token, http.MethodGet, users+"/"+rbac.Admin.String(), "", 403, "permission-denied")
	for method, at := range map[string]string{"POST": users, "PUT": path, "DELETE": path} {
		s.refused(token, method, at, `{"login":"x"}`, 403, "permission-denied")
	}
	require.Len(t, strict[[]clientUser](t, s.get(s.admin, users)), 3)
	some := strict[[]clientUser](t, s.get(s.admin, users+"?id="+brian.ID+","+rbac.Admin.String()))
	require.Len(t, some, 2)
	require.True(t, some[0].IsSuperuser)

	// What a client got can be sent back, changed.
	changed := strict[clientUser](t, s.done(s.admin, http.MethodPut, path, strings.Replace(string(s.get(s.admin, path)), `"role_ids":[2]`, `"role_ids":[1,3]`, 1), 200))
	require.Equal(t, []int{1, 3}, changed.RoleIDs)
	require.True(t, changed.IsSuperuser, "by a role")
	s.done(s.admin, http.MethodPut, path, `{"role_ids":[2]}`, 200)

	const password = users + "/current/password"
	s.refused(token, http.MethodPut, password, `{"current_password":"wrong","password":"another horse"}`, 403, "permission-denied")
	s.refused(token, http.MethodPut, password, `{"current_password":"correct horse","password":"short"}`, 400, "schema-violation")
	s.refused(token, http.MethodPut, password, `{"password":"another horse"}`, 400, "schema-violation")
	s.done(token, http.MethodPut, password, `{"current_password":"correct horse","password":"another horse"}`, 204)
	s.done("", http.MethodPost, "/rbac-api/v1/auth/token", `{"login":"brian","password":"another horse"}`, 200)
	require.NotNil(t, strict[clientUser](t, s.get(token, path)).LastLogin)

	require.True(t, strict[clientUser](t, s.done(s.admin, http.MethodPut, path, `{"is_revoked":true}`, 200)).IsRevoked)
	s.refused(token, http.MethodGet, path, "", 401, "puppetlabs.rbac/user-revoked")
	s.refused("", http.MethodPost, "/rbac-api/v1/auth/token", `{"login":"brian","password":"another horse"}`, 401, "puppetlabs.rbac/user-revoked")
	s.done(s.admin, http.MethodDelete, path, "", 204)
	s.refused(token, http.MethodGet, path, "", 401, "puppetlabs.rbac/invalid-token")
	s.refused(s.admin, http.MethodDelete, path, "", 404, "not-found")
	s.refused(s.admin, http.MethodDelete, users+"/"+rbac.Admin.String(), "", 403, "permission-denied")
}

func TestRoles(t *testing.T) {
	s := newSite(t, rbac.ByToken)
	const roles = "/rbac-api/v1/roles"
	// As go-pe-client sends it.
	path := s.made(roles, `{"permissions":[{"object_type":"node_groups","action":"view","instance":"*"}],"user_ids":null,"group_ids":null,
		"display_name":"Testing","description":"Role added by a test"}`)
	role := strict[clientRole](t, s.get(s.admin, path))
	require.Equal(t, clientRole{ID: role.ID, DisplayName: "Testing", Description: "Role added by a test", GroupIDs: []string{}, UserIDs: []string{},
		Permissions: []clientPermission{{"node_groups", "view", "*"}}}, role)
	require.Len(t, strict[[]clientRole](t, s.get(s.admin, roles)), 4)

	for body, kind := range map[string]string{
		`{}`:                                        "schema-violation",
		`{"display_name":" "}`:                      "schema-violation",
		`{"display_name":"x","permissions":{}}`:     "schema-violation",
		`{"display_name":"x","permissions":[1]}`:    "schema-violation",
		`{"display_name":"x","permissions":[null]}`: "schema-violation",
		`{"display_name":"x","permissions":[{"object_type":"a","action":"b"}]}`:                      "schema-violation",
		`{"display_name":"x","permissions":[{"object_type":"a","action":"b","instance":1}]}`:         "schema-violation",
		`{"display_name":"x","permissions":[{"object_type":"a","action":"b","instance":"c","d":1}]}`: "schema-violation",
		`{"display_name":"x","user_ids":["brian"]}`:                                                  "invalid-uuid",
	} {
		s.refused(s.admin, http.MethodPost, roles, body, 400, kind)
	}
	s.refused(s.admin, http.MethodPost, roles, `{"display_name":"Testing"}`, 409, "conflict")
	s.refused(s.admin, http.MethodPost, roles, `{"display_name":"x","user_ids":["`+uuid.NewString()+`"]}`, 422, "invalid-associated-id")
	s.refused(s.admin, http.MethodPost, roles, `{"display_name":"x","group_ids":["`+uuid.NewString()+`"]}`, 422, "invalid-associated-id")
	s.refused(s.admin, http.MethodGet, roles+"/99", "", 404, "not-found")
	s.refused(s.admin, http.MethodGet, roles+"/x", "", 400, "malformed-request")

	brian, token := s.user("brian")
	s.refused(token, http.MethodPost, roles, `{"display_name":"mine"}`, 403, "permission-denied")
	changed := strict[clientRole](t, s.done(s.admin, http.MethodPut, path, `{"display_name":"Viewers too","permissions":[{"object_type":"users","action":"view",
		"instance":"*"}],"user_ids":["`+brian.String()+`"]}`, 200))
	require.Equal(t, []string{brian.String()}, changed.UserIDs)
	require.Empty(t, changed.Description)
	require.Len(t, strict[[]clientRole](t, s.get(token, roles)), 5, "it counts at once")
	s.refused(token, http.MethodDelete, path, "", 403, "permission-denied")
	s.done(s.admin, http.MethodDelete, path, "", 204)
	s.refused(token, http.MethodGet, roles, "", 403, "permission-denied")
	s.refused(s.admin, http.MethodDelete, path, "", 404, "not-found")
	s.refused(s.admin, http.MethodDelete, roles+"/1", "", 403, "permission-denied")
	s.refused(s.admin, http.MethodPut, roles+"/1", `{"display_name":"Administrators"}`, 403, "permission-denied")
}

func TestPermitted(t *testing.T) {
	s := newSite(t, rbac.ByToken)
	brian, token := s.user("brian", "puppet_agent:run:*", "tasks:run:facter")
	body := func(user string) string {
		return `{"token":"` + user + `","permissions":[{"object_type":"puppet_agent","action":"run","instance":"*"},
			{"object_type":"tasks","action":"run","instance":"facter"},{"object_type":"tasks","action":"run","instance":"*"}]}`
	}
	const path = "/rbac-api/v1/permitted"
	require.Equal(t, []bool{true, true, false}, strict[[]bool](t, s.done(token, http.MethodPost, path, body(brian.String()), 200)))
	require.Equal(t, []bool{true, true, true}, strict[[]bool](t, s.done(s.admin, http.MethodPost, path, body(rbac.Admin.String()), 200)))
	require.Equal(t, []bool{true, true, false}, strict[[]bool](t, s.done(s.admin, http.MethodPost, path, body(brian.String()), 200)))
	s.refused(token, http.MethodPost, path, body(rbac.Admin.String()), 403, "permission-denied")
	s.refused(token, http.MethodPost, path, body("x"), 400, "invalid-uuid")
	s.refused(s.admin, http.MethodPost, path, body(uuid.NewString()), 404, "not-found")
	s.refused(token, http.MethodPost, path, `{"token":"`+brian.String()+`"}`, 400, "schema-violation")
	require.Empty(t, strict[[]bool](t, s.done(token, http.MethodPost, path, `{"token":"`+brian.String()+`","permissions":[]}`, 200)))
}
