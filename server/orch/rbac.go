package orch

import (
	"errors"
	"net/http"
	"strconv"

	"github.com/google/uuid"

	"dalang/orchestrator/job"
	"dalang/orchestrator/rbac"
)

const rbacRoot = "/rbac-api"

// RBAC answers /rbac-api: tokens, users and roles (orchestrator.md §4.1).
type RBAC struct {
	access *rbac.Access
	auth   *Auth
}

// NewRBAC makes the handlers.
func NewRBAC(access *rbac.Access, auth *Auth) *RBAC { return &RBAC{access, auth} }

// Routes is the route table of /rbac-api.
func (a *RBAC) Routes() []Route {
	get, post := []string{http.MethodGet, http.MethodHead}, []string{http.MethodPost}
	put, remove := []string{http.MethodPut}, []string{http.MethodDelete}
	var t []Route
	open := func(methods []string, path string, handle Handler, doc string) {
		t = append(t, Route{methods, rbacRoot + path, companion(handle), doc})
	}
	add := func(methods []string, path string, handle known, doc string) {
		t = append(t, Route{methods, rbacRoot + path, a.auth.guard(handle), doc})
	}
	// Who has a password or a token shows it in the request itself.
	open(post, "/v1/auth/token", a.login, "a token for a login and a password")
	open(post, "/v2/auth/token/authenticate", a.inspect, "whose a token is")
	open(remove, "/v2/tokens/{token}", a.revoke, "take a token back")
	add(post, "/v1/tokens", a.createToken, "another token")
	add(get, "/v2/tokens", a.listTokens, "tokens, without the tokens themselves")
	add(remove, "/v2/tokens", a.revokeTokens, "take tokens back by their ids, or those of users")
	add(get, "/v1/users", a.listUsers, "all users")
	add(post, "/v1/users", a.createUser, "make a user")
	add(get, "/v1/users/current", a.currentUser, "who asks")
	add(put, "/v1/users/current/password", a.changePassword, "change one's own password")
	add(get, "/v1/users/{user}", a.getUser, "one user")
	add(put, "/v1/users/{user}", a.changeUser, "change a user")
	add(remove, "/v1/users/{user}", a.deleteUser, "delete a user")
	add(get, "/v1/roles", a.listRoles, "all roles")
	add(post, "/v1/roles", a.createRole, "make a role")
	add(get, "/v1/roles/{role}", a.getRole, "one role")
	add(put, "/v1/roles/{role}", a.changeRole, "change a role")
	add(remove, "/v1/roles/{role}", a.deleteRole, "delete a role")
	add(post, "/v1/permitted", a.permitted, "whether a user may do some things")
	return t
}

// administer refuses who may not change users and roles. Who could, could give
// himself everything: so only superusers can.
func administer(s *rbac.Subject) error {
	if s.Superuser {
		return nil
	}
	return rbac.Denied("Only who has all permissions may do this")
}

// view refuses who may not see users and roles.
func view(s *rbac.Subject) error {
	if s.May("users", "view", "*") {
		return nil
	}
	return rbac.Denied("You are not permitted to do this: it needs users:view:*")
}

// userIn is the id of the user in the path.
func userIn(r *http.Request) (uuid.UUID, error) { return parseUser(pathVar(r, "user")) }

func parseUser(text string) (uuid.UUID, error) {
	id, err := uuid.Parse(text)
	if err != nil || len(text) != 36 {
		return uuid.Nil, rbac.InvalidUUID(text)
	}
	return id, nil
}

// roleIn is the id of the role in the path.
func roleIn(r *http.Request) (int64, error) {
	text := pathVar(r, "role")
	id, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, rbac.Malformed("The id of a role is an integer, and not %.80q", text)
	}
	return id, nil
}

// isUnauthenticated tells whether an error is about who asks.
func isUnauthenticated(err error) bool {
	var e *job.Error
	return errors.As(err, &e) && e.Status == http.StatusUnauthorized
}
