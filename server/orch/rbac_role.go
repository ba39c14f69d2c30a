package orch

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"

	"github.com/google/uuid"

	"dalang/orchestrator/rbac"
)

// roleDoc is a role as the API shows it.
type roleDoc struct {
	ID          int64             `json:"id"`
	DisplayName string            `json:"display_name"`
	Description string            `json:"description"`
	Permissions []rbac.Permission `json:"permissions"`
	UserIDs     []uuid.UUID       `json:"user_ids"`
	GroupIDs    []string          `json:"group_ids"`
}

func newRoleDoc(r *rbac.Role) roleDoc {
	return roleDoc{r.ID, r.Name, r.Description, append([]rbac.Permission{}, r.Permissions...), append([]uuid.UUID{}, r.UserIDs...), []string{}}
}

// listRoles answers GET /v1/roles.
func (a *RBAC) listRoles(w http.ResponseWriter, r *http.Request, s *rbac.Subject) error {
	if err := view(s); err != nil {
		return err
	}
	roles, err := a.access.Roles(r.Context())
	if err != nil {
		return err
	}
	docs := make([]roleDoc, len(roles))
	for i := range roles {
		docs[i] = newRoleDoc(&roles[i])
	}
	return WriteJSON(w, http.StatusOK, docs)
}

// getRole answers GET /v1/roles/{role}.
func (a *RBAC) getRole(w http.ResponseWriter, r *http.Request, s *rbac.Subject) error {
	if err := view(s); err != nil {
		return err
	}
	id, err := roleIn(r)
	if err != nil {
		return err
	}
	return a.showRole(w, r, id)
}

func (a *RBAC) showRole(w http.ResponseWriter, r *http.Request, id int64) error {
	role, err := a.access.Role(r.Context(), id)
	if err != nil {
		return err
	}
	return WriteJSON(w, http.StatusOK, newRoleDoc(role))
}

// permissions is the member permissions, nil if it is absent.
func (o *object) permissions() []rbac.Permission {
	raw := o.take("permissions")
	if raw == nil {
		return nil
	}
	var items []json.RawMessage
	if json.Unmarshal(raw, &items) != nil {
		o.wrong("permissions", "an array of objects", what(raw))
		return nil
	}
	list := make([]rbac.Permission, len(items))
	for i, item := range items {
		at := fmt.Sprintf("permissions[%d]", i)
		p := &object{path: at + "."}
		if json.Unmarshal(item, &p.members) != nil || p.members == nil {
			o.wrong(at, "an object", what(item))
			return nil
		}
		list[i] = rbac.Permission{ObjectType: p.str("object_type", ""), Action: p.str("action", ""), Instance: p.str("instance", "")}
		if err := p.done(); err != nil {
			o.fail(err)
			return nil
		}
	}
	return list
}

// readRole reads a body that is a role.
func readRole(w http.ResponseWriter, r *http.Request) (role rbac.Role, err error) {
	o, err := readMembers(w, r)
	if err != nil {
		return role, err
	}
	name := o.text("display_name")
	role.Description, role.Permissions = o.str("description", ""), o.permissions()
	users, _ := o.names("user_ids", 100_000)
	groups, _ := o.names("group_ids", 100_000)
	o.take("id")
	switch err := o.done(); {
	case err != nil:
		return role, err
	case name == nil:
		return role, rbac.Invalid("display_name is required")
	case len(groups) > 0:
		return role, rbac.InvalidAssociation("There is no user group %s: there are no user groups", groups[0])
	}
	role.Name = *name
	for _, text := range users {
		id, err := parseUser(text)
		if err != nil {
			return role, err
		}
		role.UserIDs = append(role.UserIDs, id)
	}
	return role, nil
}

// noteRole notes what a role is to be: who can do what is what auditors ask.
func noteRole(r *http.Request, role *rbac.Role) {
	var may []string
	for _, p := range role.Permissions {
		may = append(may, p.ObjectType+":"+p.Action+":"+p.Instance)
	}
	note(r, slog.String("name", shortened(role.Name)), slog.Int("users", len(role.UserIDs)), slog.String("permissions", joined(may)))
}

// createRole answers POST /v1/roles.
func (a *RBAC) createRole(w http.ResponseWriter, r *http.Request, s *rbac.Subject) error {
	if err := administer(s); err != nil {
		return err
	}
	role, err := readRole(w, r)
	if err != nil {
		return err
	}
	noteRole(r, &role)
	id, err := a.access.CreateRole(r.Context(), role)
	if err != nil {
		return err
	}
	note(r, slog.Int64("role", id))
	return seeOther(w, rbacRoot+"/v1/roles/"+strconv.FormatInt(id, 10))
}

// changeRole answers PUT /v1/roles/{role} with the role as it is then.
func (a *RBAC) changeRole(w http.ResponseWriter, r *http.Request, s *rbac.Subject) error {
	if err := administer(s); err != nil {
		return err
	}
	id, err := roleIn(r)
	if err != nil {
		return err
	}
	role, err := readRole(w, r)
	if err != nil {
		return err
	}
	noteRole(r, &role)
	if err := a.access.ChangeRole(r.Context(), id, role); err != nil {
		return err
	}
	return a.showRole(w, r, id)
}

// deleteRole answers DELETE /v1/roles/{role}.
func (a *RBAC) deleteRole(w http.ResponseWriter, r *http.Request, s *rbac.Subject) error {
	if err := administer(s); err != nil {
		return err
	}
	id, err := roleIn(r)
	if err != nil {
		return err
	}
	if err := a.access.DeleteRole(r.Context(), id); err != nil {
		return err
	}
	return noContent(w)
}
