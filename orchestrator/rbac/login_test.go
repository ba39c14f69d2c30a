package rbac

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

func TestLogin(t *testing.T) {
	o := newOffice(t, nil)
	ctx, brian := t.Context(), o.user("Brian", "correct horse", 2)
	o.user("nologin", "")
	token, err := o.Login(ctx, "bRIAN", "correct horse", TokenRequest{Lifetime: "2h", Label: "laptop"})
	require.NoError(t, err)
	s, stored, err := o.Inspect(ctx, token, false)
	require.NoError(t, err)
	require.Equal(t, brian, s.ID)
	require.Equal(t, noon(), s.LastLogin)
	require.Equal(t, "laptop", stored.Label)
	require.Equal(t, noon().Add(2*time.Hour), stored.Expires)

	for _, c := range [][2]string{{"Brian", "wrong horse"}, {"Brian", ""}, {"nologin", ""}, {"nologin", "password"}, {"stranger", "password"},
		{"", ""}, {"admin", "admin"}, {"Brian", strings.Repeat("x", 1<<20)}} {
		before := o.computed
		_, err := o.Login(ctx, c[0], c[1], TokenRequest{})
		refusedAs(t, err, http.StatusUnauthorized, Prefix+"user-unauthenticated")
		require.Equal(t, "The login or the password is wrong", err.Error())
		require.Equal(t, before+1, o.computed, "each guess costs the same: %q", c)
	}
	_, err = o.Login(ctx, strings.Repeat("x", 1000), "x", TokenRequest{})
	refusedAs(t, err, http.StatusUnauthorized, Prefix+"user-unauthenticated")
	_, err = o.Login(ctx, "Brian", "correct horse", TokenRequest{Lifetime: "soon"})
	refusedAs(t, err, http.StatusBadRequest, "schema-violation")

	yes := true
	require.NoError(t, o.ChangeUser(ctx, brian, UserChange{Revoked: &yes}))
	_, err = o.Login(ctx, "Brian", "correct horse", TokenRequest{})
	refusedAs(t, err, http.StatusUnauthorized, Prefix+"user-revoked")
	_, err = o.Login(ctx, "Brian", "wrong horse", TokenRequest{})
	refusedAs(t, err, http.StatusUnauthorized, Prefix+"user-unauthenticated")
}

// TestThrottle: guessing gets slow, and costs nothing while it has to wait.
func TestThrottle(t *testing.T) {
	o := newOffice(t, nil)
	o.user("brian", "correct horse")
	try := func(login, password string) error {
		_, err := o.Login(t.Context(), login, password, TokenRequest{})
		return err
	}
	for _, login := range []string{"brian", "stranger"} {
		o.now = o.now.Add(time.Hour)
		for range freeFailures {
			refusedAs(t, try(login, "wrong"), http.StatusUnauthorized, Prefix+"user-unauthenticated")
		}
		before := o.computed
		refusedAs(t, try(strings.ToUpper(login), "correct horse"), http.StatusTooManyRequests, Prefix+"too-many-attempts")
		require.Equal(t, before, o.computed)
		for _, wait := range []time.Duration{1, 2, 4, 8} {
			o.now = o.now.Add(wait*time.Second - 1)
			refusedAs(t, try(login, "wrong"), http.StatusTooManyRequests, Prefix+"too-many-attempts")
			o.now = o.now.Add(1)
			refusedAs(t, try(login, "wrong"), http.StatusUnauthorized, Prefix+"user-unauthenticated")
		}
	}
	o.now = o.now.Add(longestWait)
	require.NoError(t, try("brian", "correct horse"))
	for range freeFailures {
		refusedAs(t, try("brian", "wrong"), http.StatusUnauthorized, Prefix+"user-unauthenticated")
	}

	th := newThrottle()
	for i := range maxThrottled + 100 {
		require.True(t, th.begin(fmt.Sprint(i), noon().Add(time.Duration(i))))
	}
	require.LessOrEqual(t, len(th.failures), maxThrottled)
	require.NotContains(t, th.failures, "0")
	require.Contains(t, th.failures, fmt.Sprint(maxThrottled+99))
}

func TestPasswords(t *testing.T) {
	p, ctx := newPasswords(cost{memory: 8, time: 1, lanes: 1}, 1, nil), t.Context()
	hash, err := p.hash(ctx, "correct horse")
	require.NoError(t, err)
	require.Regexp(t, `\A\$argon2id\$v=19\$m=8,t=1,p=1\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}\z`, hash)
	other, err := p.hash(ctx, "correct horse")
	require.NoError(t, err)
	require.NotEqual(t, hash, other, "each has its salt")
	for password, want := range map[string]bool{"correct horse": true, "Correct horse": false, "": false} {
		ok, stale, err := p.verify(ctx, hash, password)
		require.NoError(t, err)
		require.Equal(t, want, ok)
		require.False(t, stale)
	}
	for _, password := range []string{"", "1234567", "ééééééé", strings.Repeat("x", maxLength+1)} {
		_, err := p.hash(ctx, password)
		refusedAs(t, err, http.StatusBadRequest, "schema-violation")
	}
	for _, text := range []string{"x", "$argon2i$v=19$m=8,t=1,p=1$AAAAAAAAAAAAAAAAAAAAAA$" + strings.Repeat("A", 43), "$argon2id$v=16$m=8,t=1,p=1$AAAAAAAAAAA$A",
		"$argon2id$v=19$m=99999999,t=1,p=1$AAAAAAAAAAAAAAAAAAAAAA$" + strings.Repeat("A", 43), "$argon2id$v=19$m=8,t=1,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAA"} {
		_, _, err := p.verify(ctx, text, "x")
		require.Error(t, err, text)
	}
	p.slots <- struct{}{} // somebody else computes
	ended, cancel := contextEnded(t)
	defer cancel()
	_, err = p.hash(ended, "correct horse")
	require.ErrorContains(t, err, "wait to check a password")
}

// TestDearer: a password of an older cost is hashed anew when it is known.
func TestDearer(t *testing.T) {
	o := newOffice(t, nil)
	brian := o.user("brian", "correct horse")
	was := o.store.users[brian].Password
	o.passwords = newPasswords(cost{memory: 16, time: 1, lanes: 1}, 1, nil)
	_, err := o.Login(t.Context(), "brian", "correct horse", TokenRequest{})
	require.NoError(t, err)
	require.NotEqual(t, was, o.store.users[brian].Password)
	require.Contains(t, o.store.users[brian].Password, "m=16")
	_, err = o.Login(t.Context(), "brian", "correct horse", TokenRequest{})
	require.NoError(t, err)
}

func TestUserChanges(t *testing.T) {
	o := newOffice(t, nil)
	ctx, brian := t.Context(), o.user("brian", "correct horse")
	str := func(s string) *string { return &s }
	for _, c := range []struct {
		change UserChange
		status int
		kind   string
	}{
		{UserChange{Login: str("")}, 400, "schema-violation"},
		{UserChange{Login: str("a b")}, 400, "schema-violation"},
		{UserChange{Login: str("-a")}, 400, "schema-violation"},
		{UserChange{Login: str(strings.Repeat("a", 256))}, 400, "schema-violation"},
		{UserChange{Login: str("ADMIN")}, 409, "conflict"},
		{UserChange{Password: str("short")}, 400, "schema-violation"},
		{UserChange{DisplayName: str("\xff")}, 400, "schema-violation"},
		{UserChange{Email: str(strings.Repeat("a", 2000))}, 400, "schema-violation"},
		{UserChange{RoleIDs: &[]int64{99}}, 422, "invalid-associated-id"},
	} {
		refusedAs(t, o.ChangeUser(ctx, brian, c.change), c.status, c.kind)
		if c.change.Login == nil {
			c.change.Login = str("somebody")
		}
		_, err := o.CreateUser(ctx, c.change)
		refusedAs(t, err, c.status, c.kind)
	}
	refusedAs(t, o.ChangeUser(ctx, APIUser, UserChange{Password: str("correct horse")}), 403, "permission-denied")
	refusedAs(t, o.ChangeUser(ctx, uuid.New(), UserChange{}), 404, "not-found")
	refusedAs(t, o.DeleteUser(ctx, Admin), 403, "permission-denied")
	refusedAs(t, o.DeleteUser(ctx, APIUser), 403, "permission-denied")
	refusedAs(t, o.DeleteRole(ctx, Administrators), 403, "permission-denied")
	refusedAs(t, o.ChangeRole(ctx, Administrators, Role{Name: "Administrators"}), 403, "permission-denied")
	require.NoError(t, o.ChangeRole(ctx, Administrators, Role{Name: "Administrators", Permissions: []Permission{{"*", "*", "*"}}, UserIDs: []uuid.UUID{brian}}))
	_, err := o.CreateRole(ctx, Role{Name: " "})
	refusedAs(t, err, 400, "schema-violation")

	refusedAs(t, o.ChangePassword(ctx, brian, "wrong", "another horse"), 403, "permission-denied")
	refusedAs(t, o.ChangePassword(ctx, brian, "correct horse", ""), 400, "schema-violation")
	require.NoError(t, o.ChangePassword(ctx, brian, "correct horse", "another horse"))
	_, err = o.Login(ctx, "brian", "another horse", TokenRequest{})
	require.NoError(t, err)
	require.NoError(t, o.ChangeUser(ctx, brian, UserChange{Password: str("")}))
	_, err = o.Login(ctx, "brian", "another horse", TokenRequest{})
	refusedAs(t, err, 401, Prefix+"user-unauthenticated")
}
