package rbac

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/google/uuid"
)

// RootGroup is the node group above all others: a permission on it is one on
// every group.
const RootGroup = "00000000-0000-4000-8000-000000000000"

// Subject is who asks, with what was permitted when the request came in.
type Subject struct {
	ID          uuid.UUID
	Login       string
	Email       string
	DisplayName string
	Superuser   bool
	Roles       []int64
	Permissions []Permission
	LastLogin   time.Time

	revoked   bool
	ancestors func(group string) []string // nil: groups are not nested
}

// Identity is a user with the permissions of all the user's roles.
type Identity struct {
	User
	Permissions []Permission
}

func newSubject(id *Identity, ancestors func(string) []string) *Subject {
	s := &Subject{
		ID: id.ID, Login: id.Login, Email: id.Email, DisplayName: id.DisplayName, Superuser: id.Superuser, Roles: id.RoleIDs,
		Permissions: id.Permissions, LastLogin: id.LastLogin, revoked: id.Revoked, ancestors: ancestors,
	}
	s.Superuser = s.Superuser || slices.Contains(id.Permissions, Permission{"*", "*", "*"})
	return s
}

// builtin is whom certificates act as.
func builtin(ancestors func(string) []string) *Subject {
	return &Subject{ID: APIUser, Login: APILogin, DisplayName: "API user", Superuser: true, ancestors: ancestors}
}

// May tells whether the subject may do action to one instance of a type, or,
// with "*", to every one.
func (s *Subject) May(objectType, action, instance string) bool {
	if s.Superuser || s.allowed(objectType, action, instance) {
		return true
	}
	if objectType != "node_groups" {
		return false
	}
	if instance == "*" || s.ancestors == nil {
		return s.allowed(objectType, action, RootGroup)
	}
	for _, above := range s.ancestors(instance) {
		if s.allowed(objectType, action, above) {
			return true
		}
	}
	return false
}

func (s *Subject) allowed(objectType, action, instance string) bool {
	for _, p := range s.Permissions {
		if p.covers(objectType, action, instance) {
			return true
		}
	}
	return false
}

// Owner is the subject as jobs remember it (orchestrator.md §3.1).
func (s *Subject) Owner() json.RawMessage {
	text, err := json.Marshal(struct {
		ID             uuid.UUID `json:"id"`
		Login          string    `json:"login"`
		Email          string    `json:"email"`
		DisplayName    string    `json:"display_name"`
		IsSuperuser    bool      `json:"is_superuser"`
		IsRemote       bool      `json:"is_remote"`
		IsRevoked      bool      `json:"is_revoked"`
		IsGroup        bool      `json:"is_group"`
		LastLogin      *string   `json:"last_login"`
		RoleIDs        []int64   `json:"role_ids"`
		InheritedRoles []int64   `json:"inherited_role_ids"`
		GroupIDs       []string  `json:"group_ids"`
	}{
		ID: s.ID, Login: s.Login, Email: s.Email, DisplayName: s.DisplayName, IsSuperuser: s.Superuser, IsRevoked: s.revoked,
		LastLogin: Stamp(s.LastLogin), RoleIDs: append([]int64{}, s.Roles...), InheritedRoles: []int64{}, GroupIDs: []string{},
	})
	if err != nil {
		panic(err) // strings and numbers
	}
	return text
}

// Stamp is a time as the API shows it; nil, null, for none.
func Stamp(t time.Time) *string {
	if t.IsZero() {
		return nil
	}
	text := t.UTC().Format("2006-01-02T15:04:05Z")
	return &text
}

// IsSuperuser tells whether the user has all permissions.
func (id *Identity) IsSuperuser() bool { return newSubject(id, nil).Superuser }

// AnySuper tells whether one of some roles has all permissions.
func AnySuper(roles []Role, ids []int64) bool {
	return slices.ContainsFunc(roles, func(r Role) bool {
		return slices.Contains(ids, r.ID) && slices.Contains(r.Permissions, Permission{"*", "*", "*"})
	})
}
