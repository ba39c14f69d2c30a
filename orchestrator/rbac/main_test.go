package rbac

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// noon is when these tests begin.
func noon() time.Time { return time.Date(2026, 5, 20, 12, 0, 0, 0, time.UTC) }

// office is an Access over a store in memory, with a clock of its own and
// passwords that are cheap.
type office struct {
	*Access
	t        *testing.T
	store    *memory
	now      time.Time
	computed int // passwords
	registry *prometheus.Registry
}

func newOffice(t *testing.T, change func(*Config)) *office {
	t.Helper()
	o := &office{t: t, store: newMemory(), now: noon(), registry: prometheus.NewRegistry()}
	cfg := Config{Store: o.store, Now: func() time.Time { return o.now }, Registerer: o.registry}
	if change != nil {
		change(&cfg)
	}
	a, err := New(cfg)
	require.NoError(t, err)
	a.passwords = newPasswords(cost{memory: 8, time: 1, lanes: 1}, 2, func() { o.computed++ })
	o.Access = a
	return o
}

// user makes a user with roles and a password.
func (o *office) user(login, password string, roles ...int64) uuid.UUID {
	o.t.Helper()
	c := UserChange{Login: &login, RoleIDs: &roles}
	if password != "" {
		c.Password = &password
	}
	u, err := o.CreateUser(o.t.Context(), c)
	require.NoError(o.t, err)
	return u.ID
}

// token makes a token of a user.
func (o *office) token(user uuid.UUID, lifetime string) string {
	o.t.Helper()
	text, _, err := o.CreateToken(o.t.Context(), user, TokenRequest{Lifetime: lifetime})
	require.NoError(o.t, err)
	return text
}

func (o *office) count(by, result string) (n float64) {
	o.t.Helper()
	families, err := o.registry.Gather()
	require.NoError(o.t, err)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if l := m.GetLabel(); l[0].GetValue() == by && l[1].GetValue() == result {
				n = m.GetCounter().GetValue()
			}
		}
	}
	return n
}

// file is a file with a text.
func file(t *testing.T) string { return filepath.Join(t.TempDir(), "allowlist") }

// contextEnded is a context that has ended.
func contextEnded(t *testing.T) (context.Context, func()) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx, cancel
}
