package orch_test

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"dalang/commands/outcome"
	"dalang/orchestrator"
	"dalang/orchestrator/classifier"
	"dalang/orchestrator/rbac"
	"dalang/server"
	"dalang/server/orch"
	"dalang/server/pdb"
	"dalang/store"
	"dalang/store/query"
	"dalang/wireformat"
)

// site is the front end with everything that says who may, over a real store.
type site struct {
	t       *testing.T
	store   *store.Store
	access  *rbac.Access
	groups  *classifier.Classifier
	handler http.Handler
	now     time.Time
	engine  *fake
	admin   string // a token

	log        *ledger
	companions []server.Companion
}

func newSite(t *testing.T, mode rbac.Mode) *site {
	t.Helper()
	ctx := t.Context()
	s := &site{t: t, now: noon, engine: &fake{}, log: &ledger{}}
	var err error
	s.store, err = store.Open(ctx, store.Config{Path: filepath.Join(t.TempDir(), "dalang.db")})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.store.Close()) })
	engine, err := query.New(query.Config{DB: s.store})
	require.NoError(t, err)
	clock := func() time.Time { return s.now }
	s.groups, err = classifier.New(ctx, classifier.Config{Store: s.store, Nodes: orchestrator.NewQuerier(engine), Now: clock})
	require.NoError(t, err)
	list := filepath.Join(t.TempDir(), "allowlist")
	require.NoError(t, os.WriteFile(list, []byte("console.example.com\n"), 0o600))
	s.access, err = rbac.New(rbac.Config{Store: s.store, Mode: mode, Allowlist: list, Ancestors: s.groups.Ancestors, Now: clock})
	require.NoError(t, err)
	auth := orch.NewAuth(s.access)
	jobs, err := orch.New(orch.Config{Engine: s.engine, Jobs: s.engine, Authenticate: auth.Authenticate, Now: clock})
	require.NoError(t, err)
	s.companions = []server.Companion{jobs, orch.NewRBAC(s.access, auth), orch.NewClassifier(s.groups, orchestrator.NewQuerier(engine), auth)}
	front, err := server.New(server.Config{Listen: "127.0.0.1:0", Maintenance: &pdb.Maintenance{}, Handlers: server.Handlers{Orchestrator: s.companions},
		Logger: slog.New(slog.NewJSONHandler(s.log, nil))})
	require.NoError(t, err)
	s.handler = front.Handler()
	s.admin = s.token(rbac.Admin)
	return s
}

// facts stores facts of a node.
func (s *site) facts(certname, values string) {
	s.t.Helper()
	payload, err := wireformat.Decode(wireformat.ReplaceFacts, 5, time.Now(), fmt.Appendf(nil,
		`{"certname":%q,"environment":"production","producer":"p","producer_timestamp":%q,"values":%s}`, certname, time.Now().UTC().Format(time.RFC3339), values))
	require.NoError(s.t, err)
	results, err := s.store.Apply(s.t.Context(), []outcome.Change{{Payload: payload, Received: time.Now()}})
	require.NoError(s.t, err)
	require.NoError(s.t, results[0].Err)
}

func (s *site) token(user uuid.UUID) string {
	s.t.Helper()
	token, _, err := s.access.CreateToken(s.t.Context(), user, rbac.TokenRequest{Lifetime: "1d"})
	require.NoError(s.t, err)
	return token
}

// user makes a user with permissions such as "users:view:*", and a token.
func (s *site) user(login string, permissions ...string) (id uuid.UUID, token string) {
	s.t.Helper()
	role := rbac.Role{Name: "of " + login}
	for _, text := range permissions {
		p, err := rbac.ParsePermission(text)
		require.NoError(s.t, err)
		role.Permissions = append(role.Permissions, p)
	}
	roleID, err := s.access.CreateRole(s.t.Context(), role)
	require.NoError(s.t, err)
	u, err := s.access.CreateUser(s.t.Context(), rbac.UserChange{Login: &login, RoleIDs: &[]int64{roleID}})
	require.NoError(s.t, err)
	return u.ID, s.token(u.ID)
}

// ask sends a request with a token; "": without.
func (s *site) ask(token, method, path, body string, change ...func(*http.Request)) *httptest.ResponseRecorder {
	s.t.Helper()
	r := httptest.NewRequest(method, "https://orchestrator.example.com:8143"+path, strings.NewReader(body))
	if token != "" {
		r.Header.Set("X-Authentication", token)
	}
	for _, c := range change {
		c(r)
	}
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, r)
	if w.Code != http.StatusNoContent && w.Code != http.StatusSeeOther {
		require.Equal(s.t, "application/json; charset=utf-8", w.Header().Get("Content-Type"), "%s", w.Body)
	}
	return w
}

// get is the body of a GET that must succeed.
func (s *site) get(token, path string) []byte {
	s.t.Helper()
	return s.done(token, http.MethodGet, path, "", http.StatusOK)
}

// done is the body of an answer with a status.
func (s *site) done(token, method, path, body string, status int) []byte {
	s.t.Helper()
	w := s.ask(token, method, path, body)
	require.Equal(s.t, status, w.Code, "%s %s %s: %s", method, path, body, w.Body)
	text, err := io.ReadAll(w.Body)
	require.NoError(s.t, err)
	return text
}

// made is where a POST says that something was made.
func (s *site) made(path, body string) string {
	s.t.Helper()
	w := s.ask(s.admin, http.MethodPost, path, body)
	require.Equal(s.t, http.StatusSeeOther, w.Code, "%s", w.Body)
	require.Empty(s.t, w.Body.String())
	require.True(s.t, strings.HasPrefix(w.Header().Get("Location"), path+"/"))
	return w.Header().Get("Location")
}

// refused asks for something that must fail; details are there unless the
// service is RBAC's, or nobody knows who asks.
func (s *site) refused(token, method, path, body string, status int, kind string) string {
	s.t.Helper()
	text := s.done(token, method, path, body, status)
	if status == http.StatusUnauthorized || strings.HasPrefix(path, "/rbac-api/") {
		e := strict[clientRefusal](s.t, text)
		require.Equal(s.t, kind, e.Kind, "%s", text)
		return e.Msg
	}
	e := strict[clientError](s.t, text)
	require.Equal(s.t, kind, e.Kind, "%s", text)
	return e.Msg
}

// withCertificate shows a certificate, verified or not.
func withCertificate(cn string, verified bool) func(*http.Request) {
	return func(r *http.Request) {
		c := &x509.Certificate{Subject: pkix.Name{CommonName: cn}}
		r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{c}}
		if verified {
			r.TLS.VerifiedChains = [][]*x509.Certificate{{c}}
		}
	}
}

// gated are routes of all three services.
func gated() []string {
	return []string{"/orchestrator/v1/jobs", "/rbac-api/v1/users", "/classifier-api/v1/groups"}
}

func TestUnauthenticated(t *testing.T) {
	s := newSite(t, rbac.ByToken)
	u, token := s.user("brian", "orchestrator:view:*", "users:view:*", "node_groups:view:*")
	for _, path := range gated() {
		text := s.done("", http.MethodGet, path, "", http.StatusUnauthorized)
		require.JSONEq(t, `{"kind":"puppetlabs.rbac/user-unauthenticated","msg":"Route requires authentication"}`, string(text), "exactly so (§1.2)")
		s.refused("nonsense", http.MethodGet, path, "", 401, "puppetlabs.rbac/invalid-token")
		s.get(token, path)
		s.get("  "+token+"|no_keepalive ", path)
		s.get("", path+"?token="+token)
		s.get(token, path+"?token=nonsense")
		s.refused("nonsense", http.MethodGet, path+"?token="+token, "", 401, "puppetlabs.rbac/invalid-token")

		require.Equal(t, 200, s.ask("", http.MethodGet, path, "", withCertificate("console.example.com", true)).Code)
		require.Equal(t, 401, s.ask("", http.MethodGet, path, "", withCertificate("console.example.com", false)).Code, "not verified")
		require.Equal(t, 401, s.ask("", http.MethodGet, path, "", withCertificate("web1.example.com", true)).Code, "not in the list")
		require.Equal(t, 401, s.ask("nonsense", http.MethodGet, path, "", withCertificate("console.example.com", true)).Code, "the token counts")
	}
	s.now = noon.Add(25 * time.Hour)
	for _, path := range gated() {
		s.refused(token, http.MethodGet, path, "", 401, "puppetlabs.rbac/token-expired")
	}
	s.now = noon
	yes := true
	require.NoError(t, s.access.ChangeUser(t.Context(), u, rbac.UserChange{Revoked: &yes}))
	for _, path := range gated() {
		s.refused(token, http.MethodGet, path, "", 401, "puppetlabs.rbac/user-revoked")
	}
}

func TestNotPermitted(t *testing.T) {
	s := newSite(t, rbac.ByToken)
	_, token := s.user("brian")
	s.refused(token, http.MethodGet, "/orchestrator/v1/jobs", "", 403, "puppetlabs.orchestrator/not-permitted")
	s.refused(token, http.MethodGet, "/rbac-api/v1/users", "", 403, "permission-denied")
	s.refused(token, http.MethodGet, "/rbac-api/v1/roles", "", 403, "permission-denied")
	s.refused(token, http.MethodGet, "/classifier-api/v1/groups/"+rbac.RootGroup, "", 403, "permission-denied")
	require.Empty(t, strict[[]clientGroup](t, s.get(token, "/classifier-api/v1/groups")))
	_, viewer := s.user("viewer", "orchestrator:view:*")
	s.refused(viewer, http.MethodPost, deployPath, `{"environment":"production"}`, 403, "puppetlabs.orchestrator/not-permitted")
	require.Empty(t, s.engine.deploys)
	_, runner := s.user("runner", "orchestrator:view:*", "puppet_agent:run:*")
	s.done(runner, http.MethodPost, deployPath, `{"environment":"production"}`, 202)
	jobs := strict[clientJobs](t, s.get(viewer, "/orchestrator/v1/jobs"))
	require.Equal(t, "runner", jobs.Items[0].Owner.Login)
}

func TestModesOfAuthentication(t *testing.T) {
	off := newSite(t, rbac.Off)
	for _, path := range gated() {
		off.get("", path)
		off.get("nonsense", path)
	}
	require.Equal(t, "api_user", strict[clientUser](t, off.get("", "/rbac-api/v1/users/current")).Login)
	certs := newSite(t, rbac.ByCertificate)
	for _, path := range gated() {
		require.Equal(t, 401, certs.ask(certs.admin, http.MethodGet, path, "").Code)
		require.Equal(t, 200, certs.ask("", http.MethodGet, path, "", withCertificate("console.example.com", true)).Code)
	}
}

// TestOtherOrigins: a page of somebody else cannot use what a browser sends
// along by itself.
func TestOtherOrigins(t *testing.T) {
	s := newSite(t, rbac.Off)
	from := func(header, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(header, value) }
	}
	body := `{"environment":"production"}`
	for _, c := range []struct {
		change func(*http.Request)
		status int
	}{
		{from("Origin", "https://evil.example.com"), 403},
		{from("Sec-Fetch-Site", "cross-site"), 403},
		{from("Sec-Fetch-Site", "same-site"), 403},
		{from("Sec-Fetch-Site", "same-origin"), 202},
		{from("Origin", "https://orchestrator.example.com:8143"), 202},
		{from("Accept", "*/*"), 202},
	} {
		require.Equal(t, c.status, s.ask("", http.MethodPost, deployPath, body, c.change).Code)
	}
	require.Len(t, s.engine.deploys, 3)
	require.Equal(t, 403, s.ask("", http.MethodPost, "/rbac-api/v1/roles", `{"display_name":"x"}`, from("Origin", "null")).Code)
	byToken := newSite(t, rbac.ByToken)
	require.Equal(t, 202, byToken.ask(byToken.admin, http.MethodPost, deployPath, body, from("Origin", "https://console.example.com")).Code, "a token does not come by itself")
}

// bodies that are no objects, and keys that nobody knows.
func TestBadBodies(t *testing.T) {
	s := newSite(t, rbac.ByToken)
	group := "/classifier-api/v1/groups/" + rbac.RootGroup
	for _, c := range []struct{ method, path string }{
		{"POST", "/rbac-api/v1/auth/token"}, {"POST", "/rbac-api/v1/tokens"}, {"POST", "/rbac-api/v2/auth/token/authenticate"},
		{"POST", "/rbac-api/v1/users"}, {"PUT", "/rbac-api/v1/users/" + rbac.Admin.String()}, {"PUT", "/rbac-api/v1/users/current/password"},
		{"POST", "/rbac-api/v1/roles"}, {"PUT", "/rbac-api/v1/roles/2"}, {"POST", "/rbac-api/v1/permitted"}, {"DELETE", "/rbac-api/v2/tokens"},
		{"POST", "/classifier-api/v1/groups"}, {"PUT", group}, {"POST", group}, {"POST", group + "/pin"}, {"POST", group + "/unpin"},
		{"POST", "/classifier-api/v1/classified/nodes/a"}, {"POST", "/classifier-api/v2/classified/nodes/a"},
	} {
		for body, kind := range map[string]string{"{": "malformed-request", `{} x`: "malformed-request", `[]`: "schema-violation", `"x"`: "schema-violation",
			`{"surprise":1}`: "schema-violation", "null": "schema-violation", "\"\xff\"": "schema-violation"} {
			msg := s.refused(s.admin, c.method, c.path, body, 400, kind)
			require.NotContains(t, msg, "puppetlabs")
		}
	}
	big := s.ask(s.admin, http.MethodPost, "/rbac-api/v1/roles", `{"display_name":"`+strings.Repeat("x", 16<<20)+`"}`)
	require.Equal(t, http.StatusRequestEntityTooLarge, big.Code)
	var e clientRefusal
	require.NoError(t, json.Unmarshal(big.Body.Bytes(), &e))
	require.Equal(t, "schema-violation", e.Kind)
}
