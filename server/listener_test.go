package server

import (
	"context"
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"dalang/server/pdb"
)

// TestListenersOfTheirOwn: a listener of some paths serves these, to clients
// without a certificate too, and nothing else.
func TestListenersOfTheirOwn(t *testing.T) {
	ca := newAuthority(t)
	ca.issue("server")
	tls := ca.config("need")
	tls.Listen = ""
	broker := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "broker at "+r.URL.Path) })
	s, err := New(Config{
		Listen: "127.0.0.1:0", TLS: tls,
		More: []Listener{
			{Name: "status", Listen: "127.0.0.1:0", Paths: []string{"/status"}},
			{Name: "pcp", Listen: "127.0.0.1:0", Paths: []string{"/pcp", "/pcp2"}},
		},
		Handlers: Handlers{Status: pdb.NewStatus(pdb.StatusConfig{}), Meta: pdb.NewMeta("", nil), Broker: broker},
	})
	require.NoError(t, err)
	require.Nil(t, s.AddrOf("status"))
	require.NoError(t, s.Listen())
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	defer func() {
		cancel()
		require.NoError(t, <-done)
	}()
	client := ca.client()
	defer client.CloseIdleConnections()
	for _, c := range []struct {
		listener, path string
		status         int
		body           string
	}{
		{"status", "/status/v1/simple", 200, "running"},
		{"status", "/pdb/meta/v1/version", 404, "Not Found"},
		{"status", "/statusquo", 404, "Not Found"},
		{"status", "/pcp2", 404, "Not Found"},
		{"pcp", "/pcp2/agent", 200, "broker at /pcp2/agent"},
		{"pcp", "/pcp", 200, "broker at /pcp"},
		{"pcp", "/pcp3", 404, "Not Found"},
		{"pcp", "/status/v1/simple", 404, "Not Found"},
	} {
		status, body := fetch(t, client, "https://"+s.AddrOf(c.listener).String()+c.path)
		require.Equal(t, c.status, status, "%s on %s", c.path, c.listener)
		require.Equal(t, c.body, body, "%s on %s", c.path, c.listener)
	}
}

func TestShownPath(t *testing.T) {
	require.Equal(t, "/rbac-api/v2/tokens/…", shownPath("/rbac-api/v2/tokens/secret"))
	for _, path := range []string{"/rbac-api/v1/tokens", "/orchestrator/v1/jobs/1", "/"} {
		require.Equal(t, path, shownPath(path))
	}
}
