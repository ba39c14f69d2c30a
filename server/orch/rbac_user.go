package orch

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"slices"
	"strings"

	"github.com/google/uuid"

	"dalang/orchestrator/rbac"
)

// userDoc is a user as the API shows it.
type userDoc struct {
	ID               uuid.UUID `json:"id"`
	Login            string    `json:"login"`
	Email            string    `json:"email"`
	DisplayName      string    `json:"display_name"`
	RoleIDs          []int64   `json:"role_ids"`
	IsGroup          bool      `json:"is_group"`
	IsRemote         bool      `json:"is_remote"`
	IsUser           bool      `json:"is_user"`
	IsSuperuser      bool      `json:"is_superuser"`
	IsRevoked        bool      `json:"is_revoked"`
	LastLogin        moment    `json:"last_login"` // null: never
	InheritedRoleIDs []int64   `json:"inherited_role_ids"`
	GroupIDs         []string  `json:"group_ids"`
}

func newUserDoc(u *rbac.User, superuser bool) userDoc {
	return userDoc{
		ID: u.ID, Login: u.Login, Email: u.Email, DisplayName: u.DisplayName, RoleIDs: append([]int64{}, u.RoleIDs...), IsUser: true,
		IsSuperuser: superuser, IsRevoked: u.Revoked, LastLogin: moment(u.LastLogin), InheritedRoleIDs: []int64{}, GroupIDs: []string{},
	}
}

// listUsers answers GET /v1/users; id=a,b chooses some.
func (a *RBAC) listUsers(w http.ResponseWriter, r *http.Request, s *rbac.Subject) error {
	if err := view(s); err != nil {
		return err
	}
	users, err := a.access.Users(r.Context())
	if err != nil {
		return err
	}
	roles, err := a.access.Roles(r.Context())
	if err != nil {
		return err
	}
	var chosen []string
	if ids := r.URL.Query().Get("id"); ids != "" {
		chosen = strings.Split(ids, ",")
	}
	docs := []userDoc{}
	for i := range users {
		if u := &users[i]; chosen == nil || slices.Contains(chosen, u.ID.String()) {
			docs = append(docs, newUserDoc(u, u.Superuser || rbac.AnySuper(roles, u.RoleIDs)))
		}
	}
	return WriteJSON(w, http.StatusOK, docs)
}

// currentUser answers GET /v1/users/current.
func (a *RBAC) currentUser(w http.ResponseWriter, r *http.Request, s *rbac.Subject) error {
	return a.showUser(w, r, s.ID)
}

// getUser answers GET /v1/users/{user}.
func (a *RBAC) getUser(w http.ResponseWriter, r *http.Request, s *rbac.Subject) error {
	id, err := userIn(r)
	if err != nil {
		return err
	}
	if id != s.ID {
		if err := view(s); err != nil {
			return err
		}
	}
	return a.showUser(w, r, id)
}

func (a *RBAC) showUser(w http.ResponseWriter, r *http.Request, id uuid.UUID) error {
	u, err := a.access.User(r.Context(), id)
	if err != nil {
		return err
	}
	return WriteJSON(w, http.StatusOK, newUserDoc(&u.User, u.IsSuperuser()))
}

// userChange takes what is to be different about a user. Members of a user as
// the API shows it that cannot be changed pass, so that a client can send back
// what it got.
func (o *object) userChange() rbac.UserChange {
	c := rbac.UserChange{Login: o.text("login"), Email: o.text("email"), DisplayName: o.text("display_name"), Password: o.text("password"),
		Revoked: o.flag("is_revoked"), RoleIDs: o.numbers("role_ids")}
	for _, key := range []string{"id", "is_group", "is_remote", "is_user", "is_superuser", "last_login", "inherited_role_ids", "group_ids"} {
		o.take(key)
	}
	return c
}

// numbers is a member that is an array of integers, nil if it is absent.
func (o *object) numbers(key string) *[]int64 {
	raw := o.take(key)
	if raw == nil {
		return nil
	}
	list := []int64{}
	if json.Unmarshal(raw, &list) != nil {
		o.wrong(key, "an array of integers", what(raw))
	}
	return &list
}

// createUser answers POST /v1/users.
func (a *RBAC) createUser(w http.ResponseWriter, r *http.Request, s *rbac.Subject) error {
	if err := administer(s); err != nil {
		return err
	}
	o, err := readMembers(w, r)
	if err != nil {
		return err
	}
	c := o.userChange()
	switch err := o.done(); {
	case err != nil:
		return err
	case c.Login == nil:
		return rbac.Invalid("login is required")
	}
	note(r, slog.String("user_login", shortened(*c.Login)))
	u, err := a.access.CreateUser(r.Context(), c)
	if err != nil {
		return err
	}
	note(r, slog.String("user", u.ID.String()))
	return seeOther(w, rbacRoot+"/v1/users/"+u.ID.String())
}

// changeUser answers PUT /v1/users/{user} with the user as it is then.
func (a *RBAC) changeUser(w http.ResponseWriter, r *http.Request, s *rbac.Subject) error {
	if err := administer(s); err != nil {
		return err
	}
	id, err := userIn(r)
	if err != nil {
		return err
	}
	o, err := readMembers(w, r)
	if err != nil {
		return err
	}
	c := o.userChange()
	if err := o.done(); err != nil {
		return err
	}
	note(r, slog.Bool("password", c.Password != nil), slog.Bool("revoked", c.Revoked != nil && *c.Revoked), slog.Bool("roles", c.RoleIDs != nil))
	if err := a.access.ChangeUser(r.Context(), id, c); err != nil {
		return err
	}
	return a.showUser(w, r, id)
}

// deleteUser answers DELETE /v1/users/{user}.
func (a *RBAC) deleteUser(w http.ResponseWriter, r *http.Request, s *rbac.Subject) error {
	if err := administer(s); err != nil {
		return err
	}
	id, err := userIn(r)
	if err != nil {
		return err
	}
	if err := a.access.DeleteUser(r.Context(), id); err != nil {
		return err
	}
	return noContent(w)
}

// changePassword answers PUT /v1/users/current/password.
func (a *RBAC) changePassword(w http.ResponseWriter, r *http.Request, s *rbac.Subject) error {
	o, err := readMembers(w, r)
	if err != nil {
		return err
	}
	present, wanted := o.text("current_password"), o.text("password")
	switch err := o.done(); {
	case err != nil:
		return err
	case present == nil || wanted == nil:
		return rbac.Invalid("current_password and password are required")
	}
	if err := a.access.ChangePassword(r.Context(), s.ID, *present, *wanted); err != nil {
		return err
	}
	return noContent(w)
}

// permitted answers POST /v1/permitted.
func (a *RBAC) permitted(w http.ResponseWriter, r *http.Request, s *rbac.Subject) error {
	o, err := readMembers(w, r)
	if err != nil {
		return err
	}
	user, asked := o.text("token"), o.permissions()
	switch err := o.done(); {
	case err != nil:
		return err
	case user == nil || asked == nil:
		return rbac.Invalid("token, which is the id of a user, and permissions are required")
	}
	id, err := parseUser(*user)
	if err != nil {
		return err
	}
	if id != s.ID {
		if err := view(s); err != nil {
			return err
		}
	}
	answer, err := a.access.Permitted(r.Context(), id, asked)
	if err != nil {
		return err
	}
	return WriteJSON(w, http.StatusOK, answer)
}
