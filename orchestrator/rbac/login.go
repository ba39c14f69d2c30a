package rbac

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"
)

// Login makes a token for who knows a password.
func (a *Access) Login(ctx context.Context, login, password string, r TokenRequest) (string, error) {
	token, err := a.login(ctx, login, password, r)
	a.metrics.count("password", err)
	return token, err
}

func (a *Access) login(ctx context.Context, login, password string, r TokenRequest) (string, error) {
	if _, err := a.lifetime(r); err != nil {
		return "", err
	}
	key := LoginKey(login)
	if len(key) > 255 {
		return "", WrongPassword()
	}
	if !a.throttle.begin(key, a.cfg.Now()) {
		return "", TooManyAttempts()
	}
	id, err := a.cfg.Store.IdentityByLogin(ctx, login)
	if errors.Is(err, ErrNotFound) {
		id, err = &Identity{}, nil // and no password: the check below takes as long
	}
	if err != nil {
		return "", fmt.Errorf("look for a login: %w", err)
	}
	ok, stale, err := a.passwords.verify(ctx, id.Password, password)
	if err != nil {
		return "", fmt.Errorf("check the password of %s: %w", id.ID, err)
	}
	if !ok {
		a.log.LogAttrs(ctx, slog.LevelWarn, "a login failed", slog.String("login", login))
		return "", WrongPassword()
	}
	a.throttle.succeed(key)
	if id.Revoked {
		return "", UserRevoked(id.Login)
	}
	if err := a.welcome(ctx, id, password, stale); err != nil {
		return "", err
	}
	token, _, err := a.CreateToken(ctx, id.ID, r)
	return token, err
}

// welcome notes the login, and hashes the password anew when its hash is of
// another cost than today's.
func (a *Access) welcome(ctx context.Context, id *Identity, password string, stale bool) error {
	was, anew := id.Password, id.Password
	if stale {
		var err error
		if anew, err = a.passwords.hash(ctx, password); err != nil {
			anew = was // one that is too short for today's rules stays as it is
		}
	}
	now := a.cfg.Now()
	err := a.cfg.Store.ChangeUser(ctx, id.ID, now, func(u *User) error {
		u.LastLogin = now
		if u.Password == was { // not changed meanwhile
			u.Password = anew
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("note the login of %s: %w", id.Login, err)
	}
	return nil
}

// lifetime is how long the token that is asked for lives.
func (a *Access) lifetime(r TokenRequest) (time.Duration, error) {
	if err := r.check(); err != nil {
		return 0, err
	}
	if r.Lifetime == "" {
		return min(a.cfg.Lifetime, a.cfg.MaxLifetime), nil
	}
	d, err := ParseLifetime(r.Lifetime)
	switch {
	case err != nil:
		return 0, err
	case d > a.cfg.MaxLifetime && r.Lifetime != "0":
		return 0, Invalid("lifetime must be at most %s here, and is %s", a.cfg.MaxLifetime, r.Lifetime)
	}
	return min(d, a.cfg.MaxLifetime), nil
}

// CreateToken makes a token for a user. The string is told only now.
func (a *Access) CreateToken(ctx context.Context, user uuid.UUID, r TokenRequest) (string, *Token, error) {
	lifetime, err := a.lifetime(r)
	if err != nil {
		return "", nil, err
	}
	s, err := a.Subject(ctx, user)
	if err != nil {
		return "", nil, err
	}
	now := a.cfg.Now()
	if n, err := a.cfg.Store.PruneTokens(ctx, now.Add(-a.cfg.KeepEnded)); err != nil {
		return "", nil, fmt.Errorf("forget old tokens: %w", err)
	} else if n > 0 {
		a.log.Info("ended tokens forgotten", "tokens", n)
	}
	secret := newSecret()
	t := &Token{Hash: hashToken(secret), UserID: user, Login: s.Login, Description: r.Description, Client: r.Client, Label: r.Label,
		Created: now, Expires: now.Add(lifetime), LastActive: now}
	if t.ID, err = a.cfg.Store.AddToken(ctx, t); err != nil {
		return "", nil, fmt.Errorf("store a token: %w", err)
	}
	a.log.LogAttrs(ctx, slog.LevelInfo, "a token was made", slog.Int64("token", t.ID), slog.String("login", t.Login),
		slog.Time("expires", t.Expires), slog.String("label", t.Label))
	return secret, t, nil
}

// Inspect tells whose a token is and what it is like. touch: the use counts.
func (a *Access) Inspect(ctx context.Context, token string, touch bool) (*Subject, *Token, error) {
	if token == "" {
		return nil, nil, InvalidToken()
	}
	return a.byToken(ctx, token, touch)
}

// Tokens lists the tokens of a user, uuid.Nil: of all, newest first.
func (a *Access) Tokens(ctx context.Context, user uuid.UUID) ([]Token, error) {
	return a.cfg.Store.Tokens(ctx, user)
}

// RevokeToken takes a token back; who knows it may.
func (a *Access) RevokeToken(ctx context.Context, token string) error {
	secret, _ := splitToken(token)
	if secret == "" || len(secret) > maxToken {
		return InvalidToken()
	}
	t, _, err := a.cfg.Store.TokenIdentity(ctx, hashToken(secret))
	if errors.Is(err, ErrNotFound) {
		return InvalidToken()
	}
	if err != nil {
		return fmt.Errorf("look for a token: %w", err)
	}
	return a.RevokeTokenID(ctx, t.ID)
}

// RevokeTokenID takes a token back by its id.
func (a *Access) RevokeTokenID(ctx context.Context, id int64) error {
	err := a.cfg.Store.RevokeToken(ctx, id, a.cfg.Now())
	if errors.Is(err, ErrNotFound) {
		return NotFound("There is no token %d", id)
	}
	if err != nil {
		return fmt.Errorf("revoke token %d: %w", id, err)
	}
	a.log.LogAttrs(ctx, slog.LevelInfo, "a token was revoked", slog.Int64("token", id))
	return nil
}
