package rbac

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"github.com/google/uuid"
)

// UserChange is what is to be different about a user; nil leaves it as it is.
type UserChange struct {
	Login, Email, DisplayName *string
	Password                  *string // the new one; "": no password lets in
	Revoked                   *bool
	RoleIDs                   *[]int64
}

// Users lists all users by login.
func (a *Access) Users(ctx context.Context) ([]User, error) { return a.cfg.Store.Users(ctx) }

// User finds a user and what the user may do.
func (a *Access) User(ctx context.Context, id uuid.UUID) (*Identity, error) {
	u, err := a.cfg.Store.Identity(ctx, id)
	return u, a.explain(err, "user "+id.String(), "")
}

// UserByLogin finds a user by login.
func (a *Access) UserByLogin(ctx context.Context, login string) (*Identity, error) {
	u, err := a.cfg.Store.IdentityByLogin(ctx, login)
	return u, a.explain(err, fmt.Sprintf("user %.80q", login), "")
}

// CreateUser makes a user; Login is required.
func (a *Access) CreateUser(ctx context.Context, c UserChange) (*User, error) {
	u := &User{ID: uuid.New(), Created: a.cfg.Now()}
	if err := a.applyTo(ctx, u, &c); err != nil {
		return nil, err
	}
	if err := a.cfg.Store.AddUser(ctx, u); err != nil {
		return nil, a.explain(err, "user", u.Login)
	}
	a.log.LogAttrs(ctx, slog.LevelInfo, "a user was made", slog.String("login", u.Login))
	return u, nil
}

// ChangeUser changes a user. Who becomes revoked loses all tokens at once.
func (a *Access) ChangeUser(ctx context.Context, id uuid.UUID, c UserChange) error {
	if id == APIUser {
		return Denied("The user %s cannot be changed", APILogin)
	}
	password := c.Password
	if password != nil && *password != "" { // not in the transaction: it takes its time
		hashed, err := a.passwords.hash(ctx, *password)
		if err != nil {
			return err
		}
		password = &hashed
	}
	c.Password = nil
	login := ""
	err := a.cfg.Store.ChangeUser(ctx, id, a.cfg.Now(), func(u *User) error {
		if err := a.applyTo(ctx, u, &c); err != nil {
			return err
		}
		if password != nil {
			u.Password = *password
		}
		login = u.Login
		return nil
	})
	if err != nil {
		return a.explain(err, "user "+id.String(), login)
	}
	a.log.LogAttrs(ctx, slog.LevelInfo, "a user was changed", slog.String("login", login), slog.Bool("password", password != nil),
		slog.Bool("revoked", c.Revoked != nil && *c.Revoked))
	return nil
}

// applyTo changes u and checks the result.
func (a *Access) applyTo(ctx context.Context, u *User, c *UserChange) error {
	for _, text := range []struct{ from, to *string }{{c.Login, &u.Login}, {c.Email, &u.Email}, {c.DisplayName, &u.DisplayName}} {
		if text.from != nil {
			*text.to = *text.from
		}
	}
	if c.Revoked != nil {
		u.Revoked = *c.Revoked
	}
	if c.RoleIDs != nil {
		u.RoleIDs = slices.Compact(slices.Sorted(slices.Values(*c.RoleIDs)))
	}
	if err := u.check(); err != nil {
		return err
	}
	if c.Password == nil || *c.Password == "" {
		return nil
	}
	var err error
	u.Password, err = a.passwords.hash(ctx, *c.Password)
	return err
}

// ChangePassword changes a user's own password; the present one has to be known.
func (a *Access) ChangePassword(ctx context.Context, user uuid.UUID, present, wanted string) error {
	id, err := a.User(ctx, user)
	if err != nil {
		return err
	}
	if !a.throttle.begin(LoginKey(id.Login), a.cfg.Now()) {
		return TooManyAttempts()
	}
	ok, _, err := a.passwords.verify(ctx, id.Password, present)
	if err != nil {
		return fmt.Errorf("check the password of %s: %w", user, err)
	}
	if !ok {
		return Denied("The present password is wrong")
	}
	a.throttle.succeed(LoginKey(id.Login))
	if wanted == "" {
		return Invalid("password must not be empty")
	}
	return a.ChangeUser(ctx, user, UserChange{Password: &wanted})
}

// DeleteUser deletes a user with all tokens. Jobs keep who owned them.
func (a *Access) DeleteUser(ctx context.Context, id uuid.UUID) error {
	if id == APIUser || id == Admin {
		return Denied("The users admin and %s cannot be deleted", APILogin)
	}
	if err := a.cfg.Store.DeleteUser(ctx, id); err != nil {
		return a.explain(err, "user "+id.String(), "")
	}
	a.log.LogAttrs(ctx, slog.LevelInfo, "a user was deleted", slog.String("user", id.String()))
	return nil
}

// Roles lists all roles by id.
func (a *Access) Roles(ctx context.Context) ([]Role, error) { return a.cfg.Store.Roles(ctx) }

// Role finds a role.
func (a *Access) Role(ctx context.Context, id int64) (*Role, error) {
	r, err := a.cfg.Store.Role(ctx, id)
	return r, a.explain(err, fmt.Sprintf("role %d", id), "")
}

// CreateRole makes a role and answers its id.
func (a *Access) CreateRole(ctx context.Context, r Role) (int64, error) {
	if err := r.check(); err != nil {
		return 0, err
	}
	id, err := a.cfg.Store.AddRole(ctx, &r)
	if err != nil {
		return 0, a.explain(err, "role", r.Name)
	}
	a.log.LogAttrs(ctx, slog.LevelInfo, "a role was made", slog.Int64("role", id), slog.String("name", r.Name))
	return id, nil
}

// ChangeRole puts a role in the place of another, which keeps its id. Of the
// role Administrators only the members can change.
func (a *Access) ChangeRole(ctx context.Context, id int64, wanted Role) error {
	wanted.ID = id
	if err := wanted.check(); err != nil {
		return err
	}
	err := a.cfg.Store.ChangeRole(ctx, id, func(r *Role) error {
		if id == Administrators && (r.Name != wanted.Name || !slices.Equal(r.Permissions, wanted.Permissions)) {
			return Denied("Of the role %s only the members can be changed", r.Name)
		}
		*r = wanted
		return nil
	})
	if err != nil {
		return a.explain(err, fmt.Sprintf("role %d", id), wanted.Name)
	}
	a.log.LogAttrs(ctx, slog.LevelInfo, "a role was changed", slog.Int64("role", id), slog.String("name", wanted.Name))
	return nil
}

// DeleteRole deletes a role; its members lose what it gave them.
func (a *Access) DeleteRole(ctx context.Context, id int64) error {
	if id == Administrators {
		return Denied("The role with all permissions cannot be deleted")
	}
	if err := a.cfg.Store.DeleteRole(ctx, id); err != nil {
		return a.explain(err, fmt.Sprintf("role %d", id), "")
	}
	a.log.LogAttrs(ctx, slog.LevelInfo, "a role was deleted", slog.Int64("role", id))
	return nil
}

// Permitted tells for each permission whether a user has it. A revoked user
// has none.
func (a *Access) Permitted(ctx context.Context, user uuid.UUID, asked []Permission) ([]bool, error) {
	id, err := a.User(ctx, user)
	if err != nil {
		return nil, err
	}
	s := newSubject(id, a.cfg.Ancestors)
	answer := make([]bool, len(asked))
	for i, p := range asked {
		answer[i] = !id.Revoked && s.May(p.ObjectType, p.Action, p.Instance)
	}
	return answer, nil
}

// explain makes what the store says fit for who asked.
func (a *Access) explain(err error, what, name string) error {
	var unknown *UnknownIDError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrNotFound):
		return NotFound("There is no %s", what)
	case errors.Is(err, ErrDuplicate):
		return Conflict("The name %q is taken", name)
	case errors.As(err, &unknown):
		return InvalidAssociation("There is no %s %s", unknown.What, unknown.ID)
	}
	return fmt.Errorf("%s: %w", what, err)
}
