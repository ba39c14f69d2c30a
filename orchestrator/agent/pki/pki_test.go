package pki_test

import (
	"crypto/tls"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"dalang/orchestrator/agent/pki"
	"dalang/orchestrator/agent/pki/pkitest"
)

func TestClient(t *testing.T) {
	ca := pkitest.New(t)
	server, node := ca.Issue("server.example.com"), ca.Issue("node.example.com")
	stranger := pkitest.New(t).Issue("server.example.com")
	name, err := node.Certname()
	require.NoError(t, err)
	require.Equal(t, "node.example.com", name)

	get := func(shown pki.Files) error {
		s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			require.Equal(t, "node.example.com", r.TLS.PeerCertificates[0].Subject.CommonName)
		}))
		s.TLS = ca.Server(shown)
		s.Config.ErrorLog = log.New(io.Discard, "", 0)
		s.StartTLS()
		defer s.Close()
		conf, err := node.Client()
		require.NoError(t, err)
		require.Equal(t, uint16(tls.VersionTLS12), conf.MinVersion)
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: conf}}
		defer client.CloseIdleConnections()
		res, err := client.Get(s.URL)
		if err == nil {
			require.NoError(t, res.Body.Close())
		}
		return err
	}
	require.NoError(t, get(server))
	require.ErrorContains(t, get(stranger), "unknown authority")
	ca.Revoke(node)
	require.NoError(t, get(server), "another certificate is revoked")
	ca.Revoke(node, server)
	require.ErrorIs(t, get(server), pki.ErrRevoked)
	require.NoError(t, os.Remove(node.CRL))
	require.NoError(t, get(server), "without a list nothing is revoked")
}

// TestForeignList: a list that the issuer has not signed says nothing.
func TestForeignList(t *testing.T) {
	ca, other := pkitest.New(t), pkitest.New(t)
	server, node := ca.Issue("server"), ca.Issue("node")
	other.Revoke(server)
	node.CRL = other.Issue("x").CRL
	s := httptest.NewUnstartedServer(http.NotFoundHandler())
	s.TLS = ca.Server(server)
	s.StartTLS()
	defer s.Close()
	conf, err := node.Client()
	require.NoError(t, err)
	conn, err := tls.Dial("tcp", s.Listener.Addr().String(), conf)
	require.NoError(t, err)
	require.NoError(t, conn.Close())
}

func TestBadFiles(t *testing.T) {
	good := pkitest.New(t).Issue("node")
	junk := filepath.Join(t.TempDir(), "junk")
	require.NoError(t, os.WriteFile(junk, []byte("junk"), 0o600))
	for name, c := range map[string]struct {
		change func(*pki.Files)
		want   string
	}{
		"no certificate":  {func(f *pki.Files) { f.Cert = junk + "x" }, "certificate of this node: open"},
		"bad certificate": {func(f *pki.Files) { f.Cert = junk }, "certificate of this node"},
		"no CA":           {func(f *pki.Files) { f.CA = junk + "x" }, "certificate of the CA: open"},
		"bad CA":          {func(f *pki.Files) { f.CA = junk }, "has no certificate"},
		"bad list":        {func(f *pki.Files) { f.CRL = junk }, "has none"},
		"list not a list": {func(f *pki.Files) { f.CRL = f.CA }, "has none"},
	} {
		t.Run(name, func(t *testing.T) {
			files := good
			c.change(&files)
			_, err := files.Client()
			require.ErrorContains(t, err, c.want)
		})
	}
	_, err := pki.Files{Cert: junk}.Certname()
	require.ErrorContains(t, err, "has no certificate")
}
