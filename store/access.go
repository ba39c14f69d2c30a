package store

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"

	"dalang/orchestrator/rbac"
)

const userColumns = "id, login, email, display_name, password, superuser, revoked, created, last_login"

func scanUser(scan func(...any) error) (u rbac.User, err error) {
	var id string
	var created int64
	var login sql.NullInt64
	if err = scan(&id, &u.Login, &u.Email, &u.DisplayName, &u.Password, &u.Superuser, &u.Revoked, &created, &login); err != nil {
		return u, err
	}
	u.Created, u.LastLogin, u.RoleIDs = time.UnixMilli(created).UTC(), timeOf(login), []int64{}
	u.ID, err = uuid.Parse(id)
	return u, err
}

// Identity finds a user by id; see rbac.Users.
func (s *Store) Identity(ctx context.Context, id uuid.UUID) (found *rbac.Identity, err error) {
	return s.identity(ctx, "id = ?1", id.String())
}

// IdentityByLogin finds a user by login; see rbac.Users.
func (s *Store) IdentityByLogin(ctx context.Context, login string) (*rbac.Identity, error) {
	return s.identity(ctx, "login_key = ?1", rbac.LoginKey(login))
}

func (s *Store) identity(ctx context.Context, where, arg string) (found *rbac.Identity, err error) {
	err = s.ReadTx(ctx, func(ctx context.Context, conn *sql.Conn) (err error) {
		found, err = readIdentity(ctx, conn, where, arg)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read a user: %w", err)
	}
	return found, nil
}

func readIdentity(ctx context.Context, conn *sql.Conn, where, arg string) (*rbac.Identity, error) {
	users, err := collect(ctx, conn, func(rows *sql.Rows) (rbac.User, error) { return scanUser(rows.Scan) },
		"SELECT "+userColumns+" FROM rbac_user WHERE "+where, arg)
	if err != nil {
		return nil, err
	}
	if len(users) == 0 {
		return nil, rbac.ErrNotFound
	}
	found := &rbac.Identity{User: users[0]}
	if found.RoleIDs, err = collect(ctx, conn, scanID, "SELECT role_id FROM rbac_member WHERE user_id = ?1 ORDER BY role_id", found.ID.String()); err != nil {
		return nil, err
	}
	found.Permissions, err = collect(ctx, conn, scanPermission, `SELECT DISTINCT p.object_type, p.action, p.instance FROM rbac_permission p
		JOIN rbac_member m ON m.role_id = p.role_id WHERE m.user_id = ?1 ORDER BY 1, 2, 3`, found.ID.String())
	return found, err
}

func scanID(rows *sql.Rows) (id int64, err error) { return id, rows.Scan(&id) }

func scanPermission(rows *sql.Rows) (p rbac.Permission, err error) {
	return p, rows.Scan(&p.ObjectType, &p.Action, &p.Instance)
}

// Users lists all users by login.
func (s *Store) Users(ctx context.Context) (users []rbac.User, err error) {
	err = s.ReadTx(ctx, func(ctx context.Context, conn *sql.Conn) (err error) {
		users, err = collect(ctx, conn, func(rows *sql.Rows) (rbac.User, error) { return scanUser(rows.Scan) },
			"SELECT "+userColumns+" FROM rbac_user ORDER BY login_key")
		if err != nil {
			return err
		}
		of, err := members(ctx, conn)
		for i := range users {
			users[i].RoleIDs = append(users[i].RoleIDs, of[users[i].ID]...)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read users: %w", err)
	}
	return users, nil
}

// members are the roles of every user that has any.
func members(ctx context.Context, conn *sql.Conn) (map[uuid.UUID][]int64, error) {
	of := map[uuid.UUID][]int64{}
	_, err := collect(ctx, conn, func(rows *sql.Rows) (none struct{}, err error) {
		var id string
		var role int64
		if err := rows.Scan(&id, &role); err != nil {
			return none, err
		}
		user, err := uuid.Parse(id)
		of[user] = append(of[user], role)
		return none, err
	}, "SELECT user_id, role_id FROM rbac_member ORDER BY role_id")
	return of, err
}

// AddUser stores a new user; see rbac.Users.
func (s *Store) AddUser(ctx context.Context, u *rbac.User) error {
	return s.changeAccess(ctx, "add a user", func(w *writer) error {
		if err := w.loginIsFree(u); err != nil {
			return err
		}
		if err := w.exec(`INSERT INTO rbac_user (id, login, login_key, email, display_name, password, superuser, revoked, created, last_login)
			VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)`, u.ID.String(), u.Login, rbac.LoginKey(u.Login), u.Email, u.DisplayName,
			u.Password, u.Superuser, u.Revoked, ms(u.Created), timeOrNull(u.LastLogin)); err != nil {
			return err
		}
		return w.joinRoles(u)
	})
}

// changeAccess runs fn in one write transaction.
func (s *Store) changeAccess(ctx context.Context, what string, fn func(*writer) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.writer.transaction(ctx, func() error { return fn(s.writer) }); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

func (w *writer) loginIsFree(u *rbac.User) error {
	var other string
	found, err := w.row("SELECT id FROM rbac_user WHERE login_key = ?1", []any{rbac.LoginKey(u.Login)}, &other)
	if err == nil && found && other != u.ID.String() {
		err = rbac.ErrDuplicate
	}
	return err
}

// joinRoles makes the user's roles equal to what u says.
func (w *writer) joinRoles(u *rbac.User) error {
	if err := w.exec("DELETE FROM rbac_member WHERE user_id = ?1", u.ID.String()); err != nil {
		return err
	}
	for _, role := range u.RoleIDs {
		if err := w.member(u.ID, role); err != nil {
			return err
		}
	}
	return nil
}

// member makes a user a member of a role; both have to be there.
func (w *writer) member(user uuid.UUID, role int64) error {
	var one int
	found, err := w.row("SELECT 1 FROM rbac_role WHERE id = ?1", []any{role}, &one)
	if err != nil {
		return err
	}
	if !found {
		return &rbac.UnknownIDError{What: "role", ID: strconv.FormatInt(role, 10)}
	}
	if found, err = w.row("SELECT 1 FROM rbac_user WHERE id = ?1", []any{user.String()}, &one); err != nil {
		return err
	}
	if !found {
		return &rbac.UnknownIDError{What: "user", ID: user.String()}
	}
	return w.exec("INSERT INTO rbac_member (user_id, role_id) VALUES (?1, ?2) ON CONFLICT DO NOTHING", user.String(), role)
}

// ChangeUser changes a user in one transaction; see rbac.Users.
func (s *Store) ChangeUser(ctx context.Context, id uuid.UUID, at time.Time, change func(*rbac.User) error) error {
	return s.changeAccess(ctx, "change a user", func(w *writer) error {
		u, err := w.user(id)
		if err != nil {
			return err
		}
		if err := change(u); err != nil {
			return err
		}
		u.ID = id
		if err := w.loginIsFree(u); err != nil {
			return err
		}
		if err := w.exec(`UPDATE rbac_user SET login = ?2, login_key = ?3, email = ?4, display_name = ?5, password = ?6, revoked = ?7,
			last_login = ?8 WHERE id = ?1`, id.String(), u.Login, rbac.LoginKey(u.Login), u.Email, u.DisplayName, u.Password, u.Revoked,
			timeOrNull(u.LastLogin)); err != nil {
			return err
		}
		if u.Revoked {
			if err := w.exec("UPDATE rbac_token SET revoked = ?2 WHERE user_id = ?1 AND revoked IS NULL", id.String(), ms(at)); err != nil {
				return err
			}
		}
		return w.joinRoles(u)
	})
}

// user reads a user in the writer's transaction.
func (w *writer) user(id uuid.UUID) (u *rbac.User, err error) {
	err = w.rows("SELECT "+userColumns+" FROM rbac_user WHERE id = ?1", []any{id.String()}, func(scan func(...any) error) error {
		found, err := scanUser(scan)
		u = &found
		return err
	})
	if err != nil {
		return nil, err
	}
	if u == nil {
		return nil, rbac.ErrNotFound
	}
	return u, w.rows("SELECT role_id FROM rbac_member WHERE user_id = ?1 ORDER BY role_id", []any{id.String()}, func(scan func(...any) error) error {
		var role int64
		err := scan(&role)
		u.RoleIDs = append(u.RoleIDs, role)
		return err
	})
}

// DeleteUser deletes a user with all tokens; see rbac.Users.
func (s *Store) DeleteUser(ctx context.Context, id uuid.UUID) error {
	return s.changeAccess(ctx, "delete a user", func(w *writer) error {
		for _, text := range []string{"DELETE FROM rbac_token WHERE user_id = ?1", "DELETE FROM rbac_member WHERE user_id = ?1"} {
			if err := w.exec(text, id.String()); err != nil {
				return err
			}
		}
		return w.affect(rbac.ErrNotFound, "DELETE FROM rbac_user WHERE id = ?1", id.String())
	})
}

// affect executes a statement and answers missing when it changed no row.
func (w *writer) affect(missing error, text string, args ...any) error {
	result, err := w.execResult(text, args...)
	if err != nil {
		return err
	}
	n, err := result.RowsAffected()
	if err == nil && n == 0 {
		err = missing
	}
	return err
}

var _ rbac.Store = (*Store)(nil)
