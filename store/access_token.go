package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/google/uuid"

	"dalang/orchestrator/rbac"
)

const tokenColumns = "t.id, t.hash, t.user_id, u.login, t.description, t.client, t.label, t.created, t.expires, t.last_active, t.revoked"

func scanToken(rows *sql.Rows) (t rbac.Token, err error) {
	var user string
	var hash []byte
	var created, expires, active int64
	var revoked sql.NullInt64
	if err = rows.Scan(&t.ID, &hash, &user, &t.Login, &t.Description, &t.Client, &t.Label, &created, &expires, &active, &revoked); err != nil {
		return t, err
	}
	if copy(t.Hash[:], hash) != len(t.Hash) {
		return t, fmt.Errorf("token %d has no hash", t.ID)
	}
	t.Created, t.Expires, t.LastActive, t.Revoked = time.UnixMilli(created).UTC(), time.UnixMilli(expires).UTC(), time.UnixMilli(active).UTC(), timeOf(revoked)
	t.UserID, err = uuid.Parse(user)
	return t, err
}

// AddToken stores a new token; see rbac.Tokens.
func (s *Store) AddToken(ctx context.Context, t *rbac.Token) (id int64, err error) {
	err = s.changeAccess(ctx, "add a token", func(w *writer) error {
		if _, err := w.user(t.UserID); err != nil {
			return err
		}
		result, err := w.execResult(`INSERT INTO rbac_token (hash, user_id, description, client, label, created, expires, last_active, revoked)
			VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)`, t.Hash[:], t.UserID.String(), t.Description, t.Client, t.Label, ms(t.Created),
			ms(t.Expires), ms(t.LastActive), timeOrNull(t.Revoked))
		if err != nil {
			return err
		}
		id, err = result.LastInsertId()
		return err
	})
	return id, err
}

// TokenIdentity finds a token and whose it is, in one snapshot; see rbac.Tokens.
func (s *Store) TokenIdentity(ctx context.Context, h rbac.Hash) (t *rbac.Token, id *rbac.Identity, err error) {
	err = s.ReadTx(ctx, func(ctx context.Context, conn *sql.Conn) error {
		found, err := collect(ctx, conn, scanToken, "SELECT "+tokenColumns+" FROM rbac_token t JOIN rbac_user u ON u.id = t.user_id WHERE t.hash = ?1", h[:])
		if err != nil {
			return err
		}
		if len(found) == 0 {
			return rbac.ErrNotFound
		}
		t = &found[0]
		id, err = readIdentity(ctx, conn, "id = ?1", t.UserID.String())
		return err
	})
	if err != nil {
		return nil, nil, fmt.Errorf("read a token: %w", err)
	}
	return t, id, nil
}

// Tokens lists tokens, newest first; see rbac.Tokens.
func (s *Store) Tokens(ctx context.Context, user uuid.UUID) (tokens []rbac.Token, err error) {
	where, args := "1", []any{}
	if user != uuid.Nil {
		where, args = "t.user_id = ?1", append(args, user.String())
	}
	err = s.ReadTx(ctx, func(ctx context.Context, conn *sql.Conn) (err error) {
		tokens, err = collect(ctx, conn, scanToken, "SELECT "+tokenColumns+" FROM rbac_token t JOIN rbac_user u ON u.id = t.user_id WHERE "+
			where+" ORDER BY t.id DESC", args...)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read tokens: %w", err)
	}
	return tokens, nil
}

// TouchToken notes that a token was used; never an earlier use after a later one.
func (s *Store) TouchToken(ctx context.Context, id int64, at time.Time) error {
	return s.changeAccess(ctx, "touch a token", func(w *writer) error {
		return w.exec("UPDATE rbac_token SET last_active = ?2 WHERE id = ?1 AND last_active < ?2", id, ms(at))
	})
}

// RevokeToken revokes a token; see rbac.Tokens.
func (s *Store) RevokeToken(ctx context.Context, id int64, at time.Time) error {
	return s.changeAccess(ctx, "revoke a token", func(w *writer) error {
		return w.affect(rbac.ErrNotFound, "UPDATE rbac_token SET revoked = coalesce(revoked, ?2) WHERE id = ?1", id, ms(at))
	})
}

// PruneTokens forgets tokens that ended before a time; see rbac.Tokens.
func (s *Store) PruneTokens(ctx context.Context, before time.Time) (n int, err error) {
	err = s.changeAccess(ctx, "prune tokens", func(w *writer) error {
		result, err := w.execResult("DELETE FROM rbac_token WHERE expires < ?1 OR revoked < ?1", ms(before))
		if err != nil {
			return err
		}
		deleted, err := result.RowsAffected()
		n = int(deleted)
		return err
	})
	return n, err
}
