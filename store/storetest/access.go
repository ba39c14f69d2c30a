package storetest

import (
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"dalang/orchestrator/rbac"
)

func testAccess(t *testing.T, open Open) {
	t.Run("beginning", func(t *testing.T) { testAccessBeginning(t, start(t, open, nil)) })
	t.Run("users", func(t *testing.T) { testUsers(t, start(t, open, nil)) })
	t.Run("roles", func(t *testing.T) { testRoles(t, start(t, open, nil)) })
	t.Run("tokens", func(t *testing.T) { testTokens(t, start(t, open, nil)) })
	t.Run("revoked users", func(t *testing.T) { testRevokedUsers(t, start(t, open, nil)) })
}

// newUser stores a user with roles.
func (b *bench) newUser(login string, roles ...int64) *rbac.User {
	b.t.Helper()
	u := &rbac.User{ID: uuid.New(), Login: login, Email: login + "@example.com", DisplayName: "The " + login, Password: "hash",
		RoleIDs: roles, Created: b.now}
	require.NoError(b.t, b.AddUser(b.t.Context(), u))
	return u
}

// newToken stores a token of a user.
func (b *bench) newToken(user uuid.UUID, first byte, expires time.Time) int64 {
	b.t.Helper()
	id, err := b.AddToken(b.t.Context(), &rbac.Token{Hash: rbac.Hash{first}, UserID: user, Description: "d", Client: "c", Label: "l",
		Created: b.now, Expires: expires, LastActive: b.now})
	require.NoError(b.t, err)
	return id
}

// testAccessBeginning: whom and what there is in a new database.
func testAccessBeginning(t *testing.T, b *bench) {
	users, err := b.Users(t.Context())
	require.NoError(t, err)
	require.Len(t, users, 2)
	require.Equal(t, rbac.Admin, users[0].ID)
	require.Equal(t, rbac.APIUser, users[1].ID)
	for _, u := range users {
		require.Empty(t, u.Password, "nobody can log in yet")
		require.True(t, u.Superuser)
		require.Equal(t, []int64{rbac.Administrators}, u.RoleIDs)
	}
	tokens, err := b.Tokens(t.Context(), uuid.Nil)
	require.NoError(t, err)
	require.Empty(t, tokens)
	role, err := b.Role(t.Context(), rbac.Administrators)
	require.NoError(t, err)
	require.Equal(t, []rbac.Permission{{ObjectType: "*", Action: "*", Instance: "*"}}, role.Permissions)
}

func testUsers(t *testing.T, b *bench) {
	ctx := t.Context()
	u := b.newUser("Brian", 3, 2)
	id, err := b.IdentityByLogin(ctx, "bRIAN")
	require.NoError(t, err)
	want := *u
	want.RoleIDs = []int64{2, 3}
	require.Equal(t, want, id.User)
	require.Contains(t, id.Permissions, rbac.Permission{ObjectType: "puppet_agent", Action: "run", Instance: "*"})
	require.Len(t, id.Permissions, 6, "what two roles give counts once")
	require.Empty(t, u.LastLogin)

	err = b.AddUser(ctx, &rbac.User{ID: uuid.New(), Login: "BRIAN", Created: b.now})
	require.ErrorIs(t, err, rbac.ErrDuplicate)
	var unknown *rbac.UnknownIDError
	err = b.AddUser(ctx, &rbac.User{ID: uuid.New(), Login: "carla", Created: b.now, RoleIDs: []int64{2, 99}})
	require.ErrorAs(t, err, &unknown)
	require.Equal(t, rbac.UnknownIDError{What: "role", ID: "99"}, *unknown)
	_, err = b.IdentityByLogin(ctx, "carla")
	require.ErrorIs(t, err, rbac.ErrNotFound, "nothing stays of a user with a mistake")

	login := b.now.Add(time.Hour)
	require.NoError(t, b.ChangeUser(ctx, u.ID, b.now, func(u *rbac.User) error {
		require.Equal(t, []int64{2, 3}, u.RoleIDs)
		u.Login, u.Email, u.Password, u.LastLogin, u.RoleIDs = "bri", "", "other", login, []int64{1}
		return nil
	}))
	id, err = b.Identity(ctx, u.ID)
	require.NoError(t, err)
	require.Equal(t, rbac.User{ID: u.ID, Login: "bri", DisplayName: "The Brian", Password: "other", RoleIDs: []int64{1}, Created: b.now, LastLogin: login}, id.User)

	stop := errors.New("stop")
	for _, c := range []struct {
		id     uuid.UUID
		change func(*rbac.User) error
		want   error
	}{
		{u.ID, func(u *rbac.User) error { u.Login = "gone"; return stop }, stop},
		{u.ID, func(u *rbac.User) error { u.Login = "Admin"; return nil }, rbac.ErrDuplicate},
		{uuid.New(), func(*rbac.User) error { return nil }, rbac.ErrNotFound},
	} {
		require.ErrorIs(t, b.ChangeUser(ctx, c.id, b.now, c.change), c.want)
	}
	id, err = b.Identity(ctx, u.ID)
	require.NoError(t, err)
	require.Equal(t, "bri", id.Login)

	b.newToken(u.ID, 1, b.now.Add(time.Hour))
	require.NoError(t, b.DeleteUser(ctx, u.ID))
	require.ErrorIs(t, b.DeleteUser(ctx, u.ID), rbac.ErrNotFound)
	require.Zero(t, b.count("rbac_token"))
	require.Equal(t, 2, b.count("rbac_member"))
	_, _, err = b.TokenIdentity(ctx, rbac.Hash{1})
	require.ErrorIs(t, err, rbac.ErrNotFound)
}

func testRoles(t *testing.T, b *bench) {
	ctx := t.Context()
	u := b.newUser("brian")
	role := rbac.Role{Name: "Night shift", Description: "At night.", UserIDs: []uuid.UUID{u.ID},
		Permissions: []rbac.Permission{{ObjectType: "tasks", Action: "run", Instance: "a::b"}, {ObjectType: "orchestrator", Action: "view", Instance: "*"}}}
	id, err := b.AddRole(ctx, &role)
	require.NoError(t, err)
	role.ID = id
	got, err := b.Role(ctx, id)
	require.NoError(t, err)
	require.Equal(t, role, *got, "permissions keep their order")
	identity, err := b.Identity(ctx, u.ID)
	require.NoError(t, err)
	require.Equal(t, []int64{id}, identity.RoleIDs)

	_, err = b.AddRole(ctx, &rbac.Role{Name: "Night shift"})
	require.ErrorIs(t, err, rbac.ErrDuplicate)
	stranger := uuid.New()
	_, err = b.AddRole(ctx, &rbac.Role{Name: "x", UserIDs: []uuid.UUID{stranger}})
	var unknown *rbac.UnknownIDError
	require.ErrorAs(t, err, &unknown)
	require.Equal(t, "user", unknown.What)
	require.Equal(t, 4, b.count("rbac_role"))

	require.NoError(t, b.ChangeRole(ctx, id, func(r *rbac.Role) error {
		require.Equal(t, role, *r)
		r.Permissions, r.UserIDs = r.Permissions[:1], nil
		return nil
	}))
	identity, err = b.Identity(ctx, u.ID)
	require.NoError(t, err)
	require.Empty(t, identity.RoleIDs)
	require.Empty(t, identity.Permissions)
	require.ErrorIs(t, b.ChangeRole(ctx, id, func(r *rbac.Role) error { r.Name = "Viewers"; return nil }), rbac.ErrDuplicate)
	require.ErrorIs(t, b.ChangeRole(ctx, 99, func(*rbac.Role) error { return nil }), rbac.ErrNotFound)

	require.NoError(t, b.DeleteRole(ctx, id))
	require.ErrorIs(t, b.DeleteRole(ctx, id), rbac.ErrNotFound)
	_, err = b.Role(ctx, id)
	require.ErrorIs(t, err, rbac.ErrNotFound)
	again, err := b.AddRole(ctx, &rbac.Role{Name: "Night shift"})
	require.NoError(t, err)
	require.Greater(t, again, id, "an id is not used again")
}

func testTokens(t *testing.T, b *bench) {
	ctx := t.Context()
	brian, carla := b.newUser("brian", 2), b.newUser("carla")
	soon, late := b.now.Add(time.Hour), b.now.Add(48*time.Hour)
	first, second := b.newToken(brian.ID, 1, soon), b.newToken(brian.ID, 2, late)
	b.newToken(carla.ID, 3, late)

	token, identity, err := b.TokenIdentity(ctx, rbac.Hash{1})
	require.NoError(t, err)
	require.Equal(t, rbac.Token{ID: first, Hash: rbac.Hash{1}, UserID: brian.ID, Login: "brian", Description: "d", Client: "c", Label: "l",
		Created: b.now, Expires: soon, LastActive: b.now}, *token)
	require.Equal(t, "brian", identity.Login)
	require.NotEmpty(t, identity.Permissions)
	_, _, err = b.TokenIdentity(ctx, rbac.Hash{9})
	require.ErrorIs(t, err, rbac.ErrNotFound)
	_, err = b.AddToken(ctx, &rbac.Token{Hash: rbac.Hash{7}, UserID: uuid.New()})
	require.ErrorIs(t, err, rbac.ErrNotFound)
	_, err = b.AddToken(ctx, &rbac.Token{Hash: rbac.Hash{1}, UserID: brian.ID})
	require.Error(t, err, "a token is there once")

	tokens, err := b.Tokens(ctx, brian.ID)
	require.NoError(t, err)
	require.Len(t, tokens, 2)
	require.Equal(t, second, tokens[0].ID, "newest first")
	tokens, err = b.Tokens(ctx, uuid.Nil)
	require.NoError(t, err)
	require.Len(t, tokens, 3)

	used := b.now.Add(10 * time.Minute)
	require.NoError(t, b.TouchToken(ctx, first, used))
	require.NoError(t, b.TouchToken(ctx, first, b.now), "earlier, and later noted")
	require.NoError(t, b.RevokeToken(ctx, first, used))
	require.NoError(t, b.RevokeToken(ctx, first, used.Add(time.Hour)))
	require.ErrorIs(t, b.RevokeToken(ctx, 99, used), rbac.ErrNotFound)
	token, _, err = b.TokenIdentity(ctx, rbac.Hash{1})
	require.NoError(t, err)
	require.Equal(t, used, token.LastActive)
	require.Equal(t, used, token.Revoked, "when it was revoked first")

	n, err := b.PruneTokens(ctx, used)
	require.NoError(t, err)
	require.Zero(t, n)
	n, err = b.PruneTokens(ctx, used.Add(time.Millisecond))
	require.NoError(t, err)
	require.Equal(t, 1, n, "the one that was revoked")
	n, err = b.PruneTokens(ctx, late.Add(time.Millisecond))
	require.NoError(t, err)
	require.Equal(t, 2, n)
}

// testRevokedUsers: who is revoked loses all tokens, which do not come back.
func testRevokedUsers(t *testing.T, b *bench) {
	ctx := t.Context()
	u, other := b.newUser("brian"), b.newUser("carla")
	b.newToken(u.ID, 1, b.now.Add(time.Hour))
	b.newToken(other.ID, 2, b.now.Add(time.Hour))
	at := b.now.Add(time.Minute)
	revoke := func(yes bool) {
		require.NoError(t, b.ChangeUser(ctx, u.ID, at, func(u *rbac.User) error { u.Revoked = yes; return nil }))
	}
	revoke(true)
	token, identity, err := b.TokenIdentity(ctx, rbac.Hash{1})
	require.NoError(t, err)
	require.True(t, identity.Revoked)
	require.Equal(t, at, token.Revoked)
	revoke(false)
	token, identity, err = b.TokenIdentity(ctx, rbac.Hash{1})
	require.NoError(t, err)
	require.False(t, identity.Revoked)
	require.Equal(t, at, token.Revoked)
	token, _, err = b.TokenIdentity(ctx, rbac.Hash{2})
	require.NoError(t, err)
	require.Zero(t, token.Revoked)
}
