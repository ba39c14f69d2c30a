package rbac

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"
)

// memory is a Store as storetest wants one, for one goroutine at a time.
type memory struct {
	users  map[uuid.UUID]User
	roles  map[int64]Role
	tokens []Token
	broken error // of every method that reads
}

func newMemory() *memory {
	return &memory{
		users: map[uuid.UUID]User{
			Admin:   {ID: Admin, Login: "admin", Superuser: true, RoleIDs: []int64{1}},
			APIUser: {ID: APIUser, Login: APILogin, Superuser: true, RoleIDs: []int64{1}},
		},
		roles: map[int64]Role{
			1: {ID: 1, Name: "Administrators", Permissions: []Permission{{"*", "*", "*"}}},
			2: {ID: 2, Name: "Operators", Permissions: []Permission{{"orchestrator", "view", "*"}, {"tasks", "run", "facter"}}},
			3: {ID: 3, Name: "Web", Permissions: []Permission{{"node_groups", "view", "web"}}},
		},
	}
}

func (m *memory) Identity(_ context.Context, id uuid.UUID) (*Identity, error) {
	u, ok := m.users[id]
	if m.broken != nil {
		return nil, m.broken
	}
	if !ok {
		return nil, ErrNotFound
	}
	found := &Identity{User: u}
	for _, role := range u.RoleIDs {
		found.Permissions = append(found.Permissions, m.roles[role].Permissions...)
	}
	return found, nil
}

func (m *memory) IdentityByLogin(ctx context.Context, login string) (*Identity, error) {
	for id, u := range m.users {
		if LoginKey(u.Login) == LoginKey(login) {
			return m.Identity(ctx, id)
		}
	}
	return nil, ErrNotFound
}

func (m *memory) Users(context.Context) (list []User, err error) {
	for _, u := range m.users {
		list = append(list, u)
	}
	return list, m.broken
}

func (m *memory) check(u *User) error {
	for id, other := range m.users {
		if id != u.ID && LoginKey(other.Login) == LoginKey(u.Login) {
			return ErrDuplicate
		}
	}
	for _, role := range u.RoleIDs {
		if _, ok := m.roles[role]; !ok {
			return &UnknownIDError{"role", "99"}
		}
	}
	return nil
}

func (m *memory) AddUser(_ context.Context, u *User) error {
	if err := m.check(u); err != nil {
		return err
	}
	m.users[u.ID] = *u
	return nil
}

func (m *memory) ChangeUser(_ context.Context, id uuid.UUID, at time.Time, change func(*User) error) error {
	u, ok := m.users[id]
	if !ok {
		return ErrNotFound
	}
	if err := change(&u); err != nil {
		return err
	}
	if err := m.check(&u); err != nil {
		return err
	}
	m.users[id] = u
	for i := range m.tokens {
		if t := &m.tokens[i]; u.Revoked && t.UserID == id && t.Revoked.IsZero() {
			t.Revoked = at
		}
	}
	return nil
}

func (m *memory) DeleteUser(_ context.Context, id uuid.UUID) error {
	if _, ok := m.users[id]; !ok {
		return ErrNotFound
	}
	delete(m.users, id)
	m.tokens = slices.DeleteFunc(m.tokens, func(t Token) bool { return t.UserID == id })
	return nil
}

func (m *memory) Role(_ context.Context, id int64) (*Role, error) {
	r, ok := m.roles[id]
	if !ok {
		return nil, ErrNotFound
	}
	return &r, nil
}

func (m *memory) Roles(context.Context) (list []Role, err error) {
	for _, r := range m.roles {
		list = append(list, r)
	}
	return list, nil
}

func (m *memory) AddRole(_ context.Context, r *Role) (int64, error) {
	id := int64(len(m.roles) + 1)
	made := *r
	made.ID = id
	m.roles[id] = made
	return id, nil
}

func (m *memory) ChangeRole(_ context.Context, id int64, change func(*Role) error) error {
	r, ok := m.roles[id]
	if !ok {
		return ErrNotFound
	}
	if err := change(&r); err != nil {
		return err
	}
	m.roles[id] = r
	return nil
}

func (m *memory) DeleteRole(_ context.Context, id int64) error {
	if _, ok := m.roles[id]; !ok {
		return ErrNotFound
	}
	delete(m.roles, id)
	return nil
}

func (m *memory) AddToken(_ context.Context, t *Token) (int64, error) {
	t.ID = int64(len(m.tokens) + 1)
	m.tokens = append(m.tokens, *t)
	return t.ID, nil
}

func (m *memory) TokenIdentity(ctx context.Context, h Hash) (*Token, *Identity, error) {
	if m.broken != nil {
		return nil, nil, m.broken
	}
	for i := range m.tokens {
		if t := m.tokens[i]; t.Hash == h {
			id, err := m.Identity(ctx, t.UserID)
			return &t, id, err
		}
	}
	return nil, nil, ErrNotFound
}

func (m *memory) Tokens(context.Context, uuid.UUID) ([]Token, error) { return m.tokens, nil }

func (m *memory) TouchToken(_ context.Context, id int64, at time.Time) error {
	m.tokens[id-1].LastActive = at
	return nil
}

func (m *memory) RevokeToken(_ context.Context, id int64, at time.Time) error {
	if id < 1 || id > int64(len(m.tokens)) {
		return ErrNotFound
	}
	m.tokens[id-1].Revoked = at
	return nil
}

func (m *memory) PruneTokens(_ context.Context, before time.Time) (int, error) {
	n := len(m.tokens)
	m.tokens = slices.DeleteFunc(m.tokens, func(t Token) bool { return t.Expires.Before(before) })
	return n - len(m.tokens), nil
}
