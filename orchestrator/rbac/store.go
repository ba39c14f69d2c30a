package rbac

import (
	"context"
	"time"

	"github.com/google/uuid"
)

// Tokens keeps tokens. Methods may be called at the same time.
type Tokens interface {
	// AddToken stores a new token and answers its id; ErrNotFound when its user
	// is not there.
	AddToken(ctx context.Context, t *Token) (int64, error)
	// TokenIdentity finds a token and whose it is, or ErrNotFound.
	TokenIdentity(ctx context.Context, h Hash) (*Token, *Identity, error)
	// Tokens lists the tokens of a user, uuid.Nil: of all, newest first.
	Tokens(ctx context.Context, user uuid.UUID) ([]Token, error)
	// TouchToken notes that a token was used.
	TouchToken(ctx context.Context, id int64, at time.Time) error
	// RevokeToken revokes a token by its id; ErrNotFound. One that is revoked
	// stays as it is.
	RevokeToken(ctx context.Context, id int64, at time.Time) error
	// PruneTokens forgets tokens that ended before a time, and answers how many.
	PruneTokens(ctx context.Context, before time.Time) (int, error)
}

// Users keeps users.
type Users interface {
	// Identity finds a user by id, IdentityByLogin by login, whose case does
	// not matter; or ErrNotFound.
	Identity(ctx context.Context, id uuid.UUID) (*Identity, error)
	IdentityByLogin(ctx context.Context, login string) (*Identity, error)
	// Users lists all, by login.
	Users(ctx context.Context) ([]User, error)
	// AddUser stores a new user; ErrDuplicate when the login is taken, an
	// *UnknownIDError when a role is not there.
	AddUser(ctx context.Context, u *User) error
	// ChangeUser has change change a user in one transaction; ErrNotFound, and
	// the errors of AddUser and of change, which undo everything. A user who
	// becomes revoked loses all tokens in the same transaction, at time at.
	ChangeUser(ctx context.Context, id uuid.UUID, at time.Time, change func(*User) error) error
	// DeleteUser deletes a user with all tokens, or answers ErrNotFound.
	DeleteUser(ctx context.Context, id uuid.UUID) error
}

// Roles keeps roles.
type Roles interface {
	// Role finds a role, or ErrNotFound.
	Role(ctx context.Context, id int64) (*Role, error)
	// Roles lists all, by id.
	Roles(ctx context.Context) ([]Role, error)
	// AddRole stores a new role and answers its id; ErrDuplicate when the name
	// is taken, an *UnknownIDError when a user is not there.
	AddRole(ctx context.Context, r *Role) (int64, error)
	// ChangeRole is for roles what ChangeUser is for users.
	ChangeRole(ctx context.Context, id int64, change func(*Role) error) error
	// DeleteRole deletes a role, or answers ErrNotFound.
	DeleteRole(ctx context.Context, id int64) error
}

// Store keeps all of it.
type Store interface {
	Tokens
	Users
	Roles
}

// UnknownIDError: a user refers to a role, or a role to a user, that is not there.
type UnknownIDError struct{ What, ID string }

func (e *UnknownIDError) Error() string { return "there is no " + e.What + " " + e.ID }
