package store

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/google/uuid"

	"dalang/orchestrator/rbac"
)

// Role finds a role; see rbac.Roles.
func (s *Store) Role(ctx context.Context, id int64) (*rbac.Role, error) {
	roles, err := s.roles(ctx, "WHERE id = ?1", id)
	switch {
	case err != nil:
		return nil, fmt.Errorf("read role %d: %w", id, err)
	case len(roles) == 0:
		return nil, rbac.ErrNotFound
	}
	return &roles[0], nil
}

// Roles lists all roles by id.
func (s *Store) Roles(ctx context.Context) ([]rbac.Role, error) {
	roles, err := s.roles(ctx, "ORDER BY id")
	if err != nil {
		return nil, fmt.Errorf("read roles: %w", err)
	}
	return roles, nil
}

func (s *Store) roles(ctx context.Context, which string, args ...any) (roles []rbac.Role, err error) {
	err = s.ReadTx(ctx, func(ctx context.Context, conn *sql.Conn) (err error) {
		roles, err = collect(ctx, conn, func(rows *sql.Rows) (r rbac.Role, err error) {
			return r, rows.Scan(&r.ID, &r.Name, &r.Description)
		}, "SELECT id, name, description FROM rbac_role "+which, args...)
		if err != nil {
			return err
		}
		for i := range roles {
			r := &roles[i]
			if r.Permissions, err = collect(ctx, conn, scanPermission,
				"SELECT object_type, action, instance FROM rbac_permission WHERE role_id = ?1 ORDER BY seq", r.ID); err != nil {
				return err
			}
			if r.UserIDs, err = collect(ctx, conn, scanUUID,
				"SELECT user_id FROM rbac_member WHERE role_id = ?1 ORDER BY user_id", r.ID); err != nil {
				return err
			}
		}
		return nil
	})
	return roles, err
}

func scanUUID(rows *sql.Rows) (id uuid.UUID, err error) {
	var text string
	if err := rows.Scan(&text); err != nil {
		return id, err
	}
	return uuid.Parse(text)
}

// AddRole stores a new role; see rbac.Roles.
func (s *Store) AddRole(ctx context.Context, r *rbac.Role) (id int64, err error) {
	err = s.changeAccess(ctx, "add a role", func(w *writer) error {
		if err := w.roleNameIsFree(r.Name, 0); err != nil {
			return err
		}
		result, err := w.execResult("INSERT INTO rbac_role (name, description) VALUES (?1, ?2)", r.Name, r.Description)
		if err != nil {
			return err
		}
		if id, err = result.LastInsertId(); err != nil {
			return err
		}
		return w.fillRole(id, r)
	})
	return id, err
}

func (w *writer) roleNameIsFree(name string, id int64) error {
	var other int64
	found, err := w.row("SELECT id FROM rbac_role WHERE name = ?1", []any{name}, &other)
	if err == nil && found && other != id {
		err = rbac.ErrDuplicate
	}
	return err
}

// fillRole makes a role's permissions and members equal to what r says.
func (w *writer) fillRole(id int64, r *rbac.Role) error {
	for _, text := range []string{"DELETE FROM rbac_permission WHERE role_id = ?1", "DELETE FROM rbac_member WHERE role_id = ?1"} {
		if err := w.exec(text, id); err != nil {
			return err
		}
	}
	for i, p := range r.Permissions {
		if err := w.exec("INSERT INTO rbac_permission (role_id, seq, object_type, action, instance) VALUES (?1, ?2, ?3, ?4, ?5)",
			id, i, p.ObjectType, p.Action, p.Instance); err != nil {
			return err
		}
	}
	for _, user := range r.UserIDs {
		if err := w.member(user, id); err != nil {
			return err
		}
	}
	return nil
}

// ChangeRole changes a role in one transaction; see rbac.Roles.
func (s *Store) ChangeRole(ctx context.Context, id int64, change func(*rbac.Role) error) error {
	return s.changeAccess(ctx, "change a role", func(w *writer) error {
		r, err := w.role(id)
		if err != nil {
			return err
		}
		if err := change(r); err != nil {
			return err
		}
		if err := w.roleNameIsFree(r.Name, id); err != nil {
			return err
		}
		if err := w.exec("UPDATE rbac_role SET name = ?2, description = ?3 WHERE id = ?1", id, r.Name, r.Description); err != nil {
			return err
		}
		return w.fillRole(id, r)
	})
}

// role reads a role in the writer's transaction.
func (w *writer) role(id int64) (*rbac.Role, error) {
	r := &rbac.Role{ID: id}
	found, err := w.row("SELECT name, description FROM rbac_role WHERE id = ?1", []any{id}, &r.Name, &r.Description)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, rbac.ErrNotFound
	}
	err = w.rows("SELECT object_type, action, instance FROM rbac_permission WHERE role_id = ?1 ORDER BY seq", []any{id}, func(scan func(...any) error) error {
		var p rbac.Permission
		err := scan(&p.ObjectType, &p.Action, &p.Instance)
		r.Permissions = append(r.Permissions, p)
		return err
	})
	if err != nil {
		return nil, err
	}
	return r, w.rows("SELECT user_id FROM rbac_member WHERE role_id = ?1 ORDER BY user_id", []any{id}, func(scan func(...any) error) error {
		var text string
		if err := scan(&text); err != nil {
			return err
		}
		user, err := uuid.Parse(text)
		r.UserIDs = append(r.UserIDs, user)
		return err
	})
}

// DeleteRole deletes a role; see rbac.Roles.
func (s *Store) DeleteRole(ctx context.Context, id int64) error {
	return s.changeAccess(ctx, "delete a role", func(w *writer) error {
		if err := w.fillRole(id, &rbac.Role{}); err != nil {
			return err
		}
		return w.affect(rbac.ErrNotFound, "DELETE FROM rbac_role WHERE id = ?1", id)
	})
}
