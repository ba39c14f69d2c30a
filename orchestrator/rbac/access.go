package rbac

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"dalang/orchestrator/job"
)

// Config is how access is decided. Only Store is required.
type Config struct {
	Store Store
	Mode  Mode // default ByToken; who sets Off has called Check
	// Allowlist is a file of common names: see ReadAllowlist. "": nobody.
	Allowlist string
	// Ancestors are the ids of the groups above a node group, nearest first; a
	// group is not its own. Nil: groups are not nested.
	Ancestors func(group string) []string

	Lifetime    time.Duration // of tokens that say nothing; default 1 h
	MaxLifetime time.Duration // of any; default ten years
	IdleTimeout time.Duration // tokens that were not used for so long end; 0: never
	KeepEnded   time.Duration // how long an ended token is told from an unknown one; default 30 days
	Hashers     int           // passwords that are checked at a time, 19 MiB each; default 2

	Logger     *slog.Logger
	Registerer prometheus.Registerer
	Now        func() time.Time
}

func (c Config) withDefaults() (Config, error) {
	if c.Store == nil {
		return c, errors.New("rbac: Store is required")
	}
	if c.Mode == "" {
		c.Mode = ByToken
	}
	if err := c.Mode.Check(); err != nil {
		return c, fmt.Errorf("rbac: %w", err)
	}
	for _, d := range []struct {
		value   *time.Duration
		usually time.Duration
	}{{&c.Lifetime, time.Hour}, {&c.MaxLifetime, tenYears}, {&c.KeepEnded, 30 * day}} {
		if *d.value <= 0 {
			*d.value = d.usually
		}
	}
	if c.Hashers <= 0 {
		c.Hashers = 2
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c, nil
}

// Access decides who may do what. Its methods may be called at the same time.
// Errors that are meant for who asks are *job.Error.
type Access struct {
	cfg       Config
	log       *slog.Logger
	metrics   *metrics
	passwords *passwords
	throttle  *throttle
	allowed   atomic.Pointer[map[string]bool] // common names; swapped by Reload
}

// New makes an Access and reads the allowlist.
func New(cfg Config) (*Access, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	a := &Access{cfg: cfg, log: cfg.Logger, metrics: newMetrics(cfg.Registerer), passwords: newPasswords(defaultCost(), cfg.Hashers, nil),
		throttle: newThrottle()}
	return a, a.Reload()
}

// Reload reads the allowlist again. On an error the old one stays in force.
func (a *Access) Reload() error {
	names, err := ReadAllowlist(a.cfg.Allowlist)
	if err != nil {
		return err
	}
	a.allowed.Store(&names)
	return nil
}

// Mode is how requests show whose they are.
func (a *Access) Mode() Mode { return a.cfg.Mode }

// Authenticate tells who asks. token is what the request gave, "" for none;
// clientCN is the common name of its verified certificate, "" for none. What
// is not the client's fault is no *job.Error.
func (a *Access) Authenticate(ctx context.Context, token, clientCN string) (*Subject, error) {
	s, way, err := a.authenticate(ctx, token, clientCN)
	a.metrics.count(way, err)
	return s, err
}

func (a *Access) authenticate(ctx context.Context, token, clientCN string) (s *Subject, way string, err error) {
	if a.cfg.Mode == Off {
		return builtin(a.cfg.Ancestors), "off", nil
	}
	if token != "" && a.cfg.Mode == ByToken {
		s, _, err := a.byToken(ctx, token, true)
		return s, "token", err
	}
	if clientCN != "" && (*a.allowed.Load())[clientCN] {
		return builtin(a.cfg.Ancestors), "certificate", nil
	}
	return nil, "none", Unauthenticated()
}

// activityStep is how exactly activity is noted: not every request writes.
const activityStep = time.Minute

// byToken finds whose a token is. Its use counts as activity, unless touch is
// false or the token says otherwise.
func (a *Access) byToken(ctx context.Context, given string, touch bool) (*Subject, *Token, error) {
	secret, keepalive := splitToken(given)
	if len(secret) > maxToken {
		return nil, nil, InvalidToken()
	}
	hash := hashToken(secret)
	t, id, err := a.cfg.Store.TokenIdentity(ctx, hash)
	switch {
	case errors.Is(err, ErrNotFound):
		return nil, nil, InvalidToken()
	case err != nil:
		return nil, nil, fmt.Errorf("look for a token: %w", err)
	case subtle.ConstantTimeCompare(t.Hash[:], hash[:]) != 1:
		// The index found it by its hash, whose bits tell nothing of the token.
		return nil, nil, InvalidToken()
	}
	now := a.cfg.Now()
	if err := a.ended(t, id, now); err != nil {
		return nil, nil, err
	}
	if touch && keepalive && now.Sub(t.LastActive) >= activityStep {
		if err := a.cfg.Store.TouchToken(ctx, t.ID, now); err != nil {
			a.log.Warn("the use of a token was not noted", "token", t.ID, "error", err)
		}
	}
	return newSubject(id, a.cfg.Ancestors), t, nil
}

// ended is why a token is not good any more, or nil.
func (a *Access) ended(t *Token, id *Identity, now time.Time) error {
	switch {
	case id.Revoked:
		return UserRevoked(id.Login)
	case !t.Revoked.IsZero():
		return TokenRevoked()
	case !now.Before(t.Expires), a.cfg.IdleTimeout > 0 && now.Sub(t.LastActive) >= a.cfg.IdleTimeout:
		return TokenExpired()
	}
	return nil
}

// Subject is a user as of now: whose schedule fires, whose permissions are
// asked for.
func (a *Access) Subject(ctx context.Context, user uuid.UUID) (*Subject, error) {
	id, err := a.cfg.Store.Identity(ctx, user)
	switch {
	case errors.Is(err, ErrNotFound):
		return nil, NotFound("There is no user %s", user)
	case err != nil:
		return nil, fmt.Errorf("look for user %s: %w", user, err)
	case id.Revoked:
		return nil, UserRevoked(id.Login)
	}
	return newSubject(id, a.cfg.Ancestors), nil
}

// metrics are the component's.
type metrics struct {
	// authentications counts requests by the way they showed whose they are
	// and by what came of it.
	authentications *prometheus.CounterVec
}

func newMetrics(r prometheus.Registerer) *metrics {
	m := &metrics{prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "dalang_rbac_authentications_total", Help: "Requests by how they showed whose they are (token, password, certificate, off, none) and whether they were let in.",
	}, []string{"by", "result"})}
	if r != nil {
		r.MustRegister(m.authentications)
	}
	return m
}

func (m *metrics) count(by string, err error) {
	result := "ok"
	var refusal *job.Error
	switch {
	case errors.As(err, &refusal):
		result = "refused"
	case err != nil:
		result = "error"
	}
	m.authentications.WithLabelValues(by, result).Inc()
}
