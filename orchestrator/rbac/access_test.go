package rbac

import (
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"dalang/orchestrator/job"
)

// refusedAs requires a *job.Error.
func refusedAs(t *testing.T, err error, status int, kind string) {
	t.Helper()
	var e *job.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, kind, e.Kind, e.Msg)
	require.Equal(t, status, e.Status)
	require.NotEmpty(t, e.Msg)
}

func TestAuthenticate(t *testing.T) {
	list := file(t)
	require.NoError(t, os.WriteFile(list, []byte("# the console\n\nconsole.example.com\n"), 0o600))
	for _, c := range []struct {
		mode       Mode
		token, cn  string
		login, way string // login "": refused
		kind       string
	}{
		{ByToken, "good", "", "brian", "token", ""},
		{ByToken, "good|no_keepalive", "", "brian", "token", ""},
		{ByToken, "good", "console.example.com", "brian", "token", ""},
		{ByToken, "bad", "console.example.com", "", "token", "invalid-token"},
		{ByToken, "|no_keepalive", "", "", "token", "invalid-token"},
		{ByToken, strings.Repeat("x", 1<<20), "", "", "token", "invalid-token"},
		{ByToken, "", "console.example.com", APILogin, "certificate", ""},
		{ByToken, "", "Console.example.com", "", "none", "user-unauthenticated"},
		{ByToken, "", "web1.example.com", "", "none", "user-unauthenticated"},
		{ByToken, "", "", "", "none", "user-unauthenticated"},
		{ByCertificate, "good", "", "", "none", "user-unauthenticated"},
		{ByCertificate, "bad", "console.example.com", APILogin, "certificate", ""},
		{Off, "bad", "", APILogin, "off", ""},
		{Off, "", "", APILogin, "off", ""},
	} {
		o := newOffice(t, func(cfg *Config) { cfg.Mode, cfg.Allowlist = c.mode, list })
		token := strings.Replace(c.token, "good", o.token(o.user("brian", ""), ""), 1)
		s, err := o.Authenticate(t.Context(), token, c.cn)
		if c.login == "" {
			refusedAs(t, err, http.StatusUnauthorized, Prefix+c.kind)
			require.Equal(t, 1.0, o.count(c.way, "refused"), "%v", c)
			continue
		}
		require.NoError(t, err)
		require.Equal(t, c.login, s.Login)
		require.Equal(t, c.login == APILogin, s.Superuser)
		require.Equal(t, 1.0, o.count(c.way, "ok"), "%v", c)
	}
}

// TestWorldsFault: a store that is broken lets nobody in, and is no 401.
func TestWorldsFault(t *testing.T) {
	o := newOffice(t, nil)
	token := o.token(Admin, "")
	o.store.broken = errors.New("disk on fire")
	_, err := o.Authenticate(t.Context(), token, "")
	require.ErrorIs(t, err, o.store.broken)
	var e *job.Error
	require.NotErrorAs(t, err, &e)
	require.Equal(t, 1.0, o.count("token", "error"))
}

func TestEndOfTokens(t *testing.T) {
	o := newOffice(t, func(cfg *Config) { cfg.IdleTimeout = 30 * time.Minute })
	ctx, brian := t.Context(), o.user("brian", "")
	in := func(token string) error { _, err := o.Authenticate(ctx, token, ""); return err }
	gone := func(token, kind string) {
		t.Helper()
		refusedAs(t, in(token), http.StatusUnauthorized, Prefix+kind)
	}

	short, quiet, used := o.token(brian, "10m"), o.token(brian, "1d"), o.token(brian, "1d")
	o.now = o.now.Add(10*time.Minute - 1)
	require.NoError(t, in(short))
	o.now = o.now.Add(1)
	gone(short, "token-expired")

	require.NoError(t, in(quiet+"|no_keepalive"), "no activity")
	require.NoError(t, in(used))
	o.now = noon().Add(30 * time.Minute)
	gone(quiet, "token-expired")
	require.NoError(t, in(used))

	_, token, err := o.Inspect(ctx, used, false)
	require.NoError(t, err)
	require.NoError(t, o.RevokeTokenID(ctx, token.ID))
	gone(used, "token-revoked")
	refusedAs(t, o.RevokeTokenID(ctx, 99), http.StatusNotFound, "not-found")

	last := o.token(brian, "")
	require.NoError(t, o.RevokeToken(ctx, last+"|no_keepalive"))
	gone(last, "token-revoked")
	refusedAs(t, o.RevokeToken(ctx, "stranger"), http.StatusUnauthorized, Prefix+"invalid-token")

	yes, no := true, false
	other := o.token(brian, "")
	require.NoError(t, o.ChangeUser(ctx, brian, UserChange{Revoked: &yes}))
	gone(other, "user-revoked")
	_, _, err = o.CreateToken(ctx, brian, TokenRequest{})
	refusedAs(t, err, http.StatusUnauthorized, Prefix+"user-revoked")
	require.NoError(t, o.ChangeUser(ctx, brian, UserChange{Revoked: &no}))
	gone(other, "token-revoked")
	fresh := o.token(brian, "")
	require.NoError(t, in(fresh))
	require.NoError(t, o.DeleteUser(ctx, brian))
	gone(fresh, "invalid-token")
}

// TestStored: what is stored of a token does not let anybody in.
func TestStored(t *testing.T) {
	o := newOffice(t, nil)
	token := o.token(Admin, "0")
	require.Regexp(t, `\Adalang_[A-Za-z0-9_-]{43}\z`, token)
	require.NotEqual(t, token, o.token(Admin, ""))
	text, err := json.Marshal(o.store.tokens)
	require.NoError(t, err)
	require.NotContains(t, string(text), token)
	require.Equal(t, noon().Add(tenYears), o.store.tokens[0].Expires)
	require.Equal(t, noon().Add(time.Hour), o.store.tokens[1].Expires)
	_, err = o.Authenticate(t.Context(), string(o.store.tokens[0].Hash[:]), "")
	refusedAs(t, err, http.StatusUnauthorized, Prefix+"invalid-token")

	o.now = noon().Add(tenYears + 30*day + 1)
	o.token(Admin, "")
	require.Len(t, o.store.tokens, 1, "long ended ones are forgotten")
}

func TestLifetimes(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"1": time.Second, "90s": 90 * time.Second, "15m": 15 * time.Minute, "4h": 4 * time.Hour, "30d": 30 * day, "1y": year, "10y": tenYears,
		"0": tenYears, "0d": tenYears, "315360000": tenYears,
	} {
		got, err := ParseLifetime(text)
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
	}
	for _, text := range []string{"", "s", "-1", "+1h", "1.5h", "1w", "1hh", "h1", "1 h", "11y", "9223372036854775807", "99999999999999999999y", "0x10"} {
		_, err := ParseLifetime(text)
		refusedAs(t, err, http.StatusBadRequest, "schema-violation")
	}
	o := newOffice(t, func(cfg *Config) { cfg.MaxLifetime = day })
	for text, want := range map[string]time.Duration{"0": day, "1d": day, "": time.Hour} {
		_, token, err := o.CreateToken(t.Context(), Admin, TokenRequest{Lifetime: text})
		require.NoError(t, err)
		require.Equal(t, want, token.Expires.Sub(token.Created), text)
	}
	_, _, err := o.CreateToken(t.Context(), Admin, TokenRequest{Lifetime: "2d"})
	require.ErrorContains(t, err, "at most 24h0m0s")
}

func FuzzParseLifetime(f *testing.F) {
	f.Add("30d")
	f.Fuzz(func(t *testing.T, text string) {
		if d, err := ParseLifetime(text); err == nil && (d <= 0 || d > tenYears) {
			t.Errorf("%q is %v", text, d)
		}
	})
}

func TestPermissions(t *testing.T) {
	above := map[string][]string{"web": {"all-web", RootGroup}, "web-test": {"web", "all-web", RootGroup}, "db": {RootGroup}}
	o := newOffice(t, func(cfg *Config) { cfg.Ancestors = func(g string) []string { return above[g] } })
	may := func(user uuid.UUID, permission string) bool {
		p, err := ParsePermission(permission)
		require.NoError(t, err)
		s, err := o.Subject(t.Context(), user)
		require.NoError(t, err)
		answer, err := o.Permitted(t.Context(), user, []Permission{p})
		require.NoError(t, err)
		require.Equal(t, []bool{s.May(p.ObjectType, p.Action, p.Instance)}, answer)
		return answer[0]
	}
	nobody, operator, web := o.user("nobody", ""), o.user("operator", "", 2), o.user("web", "", 3)
	super := o.user("super", "", 1)
	for _, c := range []struct {
		user uuid.UUID
		yes  string
		no   string
	}{
		{nobody, "", "orchestrator:view:* tasks:run:facter *:*:*"},
		{operator, "orchestrator:view:* orchestrator:view:x tasks:run:facter", "tasks:run:* tasks:run:facter::x tasks:view:facter *:*:* users:view:*"},
		{web, "node_groups:view:web node_groups:view:web-test", "node_groups:view:all-web node_groups:view:db node_groups:view:* node_groups:edit:web node_groups:view:unknown"},
		{super, "*:*:* anything:at:all node_groups:view:db", ""},
		{Admin, "*:*:* users:edit:*", ""},
	} {
		for _, p := range strings.Fields(c.yes) {
			require.True(t, may(c.user, p), p)
		}
		for _, p := range strings.Fields(c.no) {
			require.False(t, may(c.user, p), p)
		}
	}
	id, err := o.CreateRole(t.Context(), Role{Name: "all groups", Permissions: []Permission{{"node_groups", "view", RootGroup}}, UserIDs: []uuid.UUID{nobody}})
	require.NoError(t, err)
	u := o.store.users[nobody]
	u.RoleIDs = []int64{id}
	o.store.users[nobody] = u
	for _, p := range []string{"node_groups:view:db", "node_groups:view:*", "node_groups:view:" + RootGroup} {
		require.True(t, may(nobody, p), "the root stands for all: %s", p)
	}
	yes := true
	require.NoError(t, o.ChangeUser(t.Context(), operator, UserChange{Revoked: &yes}))
	answer, err := o.Permitted(t.Context(), operator, []Permission{{"orchestrator", "view", "*"}})
	require.NoError(t, err)
	require.Equal(t, []bool{false}, answer)

	for _, text := range []string{"", "a:b", "A:b:c", "a:b:", "a b:c:d", "a:b:c\x00", "*:*", "1a:b:c", "a:b:" + strings.Repeat("x", 600)} {
		_, err := ParsePermission(text)
		refusedAs(t, err, http.StatusBadRequest, "schema-violation")
	}
}

func TestOwner(t *testing.T) {
	o := newOffice(t, nil)
	s, err := o.Subject(t.Context(), o.user("brian", "", 2))
	require.NoError(t, err)
	var owner map[string]any
	require.NoError(t, json.Unmarshal(s.Owner(), &owner))
	require.Equal(t, map[string]any{"id": s.ID.String(), "login": "brian", "email": "", "display_name": "", "is_superuser": false, "is_remote": false,
		"is_revoked": false, "is_group": false, "last_login": nil, "role_ids": []any{2.0}, "inherited_role_ids": []any{}, "group_ids": []any{}}, owner)
}

func TestModes(t *testing.T) {
	for _, c := range []struct {
		mode      Mode
		addresses string
		ok        bool
	}{
		{ByToken, "0.0.0.0:8143", true},
		{ByCertificate, "0.0.0.0:8143", true},
		{Off, "127.0.0.1:8080 [::1]:8081 127.5.5.5:1", true},
		{Off, "localhost:8080", true},
		{Off, "", true},
		{Off, "127.0.0.1:8080 0.0.0.0:8143", false},
		{Off, ":8143", false},
		{Off, "[::]:8143", false},
		{Off, "192.0.2.1:8143", false},
		{Off, "nonsense", false},
		{"", "127.0.0.1:1", false},
		{"on", "127.0.0.1:1", false},
	} {
		err := c.mode.Check(append(strings.Fields(c.addresses), "")...)
		require.Equal(t, c.ok, err == nil, "%s %s: %v", c.mode, c.addresses, err)
	}
}

func TestAllowlist(t *testing.T) {
	list := file(t)
	_, err := New(Config{Store: newMemory(), Allowlist: list})
	require.ErrorContains(t, err, "certificate allowlist")
	require.NoError(t, os.WriteFile(list, []byte("a\n b \r\n#c\n"), 0o600))
	o := newOffice(t, func(cfg *Config) { cfg.Allowlist = list })
	in := func(cn string) bool { _, err := o.Authenticate(t.Context(), "", cn); return err == nil }
	require.True(t, in("a") && in("b"))
	require.False(t, in("c") || in("#c") || in("d"))
	require.NoError(t, os.WriteFile(list, []byte("d\n"), 0o600))
	require.NoError(t, o.Reload())
	require.True(t, in("d"))
	require.False(t, in("a"))
	require.NoError(t, os.Remove(list))
	require.Error(t, o.Reload())
	require.True(t, in("d"), "what was read last stays in force")
}
