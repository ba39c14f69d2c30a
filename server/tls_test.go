package server

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dalang/server/pdb"
)

// authority is a CA in a directory of the test.
type authority struct {
	t    *testing.T
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	next int64
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t, dir: t.TempDir(), next: 2}
	var err error
	a.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Puppet CA"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		SubjectKeyId: []byte{1},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &a.key.PublicKey, a.key)
	require.NoError(t, err)
	a.cert, err = x509.ParseCertificate(der)
	require.NoError(t, err)
	a.write("ca.pem", "CERTIFICATE", der)
	return a
}

func (a *authority) path(name string) string { return filepath.Join(a.dir, name) }

func (a *authority) write(name, kind string, der []byte) {
	a.t.Helper()
	text := pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
	require.NoError(a.t, os.WriteFile(a.path(name), text, 0o600))
}

// issue writes <cn>.pem and <cn>.key and returns the certificate.
func (a *authority) issue(cn string) tls.Certificate {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(a.t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(a.next), Subject: pkix.Name{CommonName: cn}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	a.next++
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	require.NoError(a.t, err)
	a.write(cn+".pem", "CERTIFICATE", der)
	keyDER, err := x509.MarshalECPrivateKey(key)
	require.NoError(a.t, err)
	a.write(cn+".key", "EC PRIVATE KEY", keyDER)
	cert, err := tls.LoadX509KeyPair(a.path(cn+".pem"), a.path(cn+".key"))
	require.NoError(a.t, err)
	return cert
}

// revoke writes crl.pem.
func (a *authority) revoke(certs ...tls.Certificate) {
	a.t.Helper()
	list := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: time.Now(), NextUpdate: time.Now().Add(time.Hour)}
	for _, c := range certs {
		leaf, err := x509.ParseCertificate(c.Certificate[0])
		require.NoError(a.t, err)
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries,
			x509.RevocationListEntry{SerialNumber: leaf.SerialNumber, RevocationTime: time.Now()})
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, a.cert, a.key)
	require.NoError(a.t, err)
	a.write("crl.pem", "X509 CRL", der)
}

func (a *authority) config(clientAuth string) TLSConfig {
	return TLSConfig{Listen: "127.0.0.1:0", Cert: a.path("server.pem"), Key: a.path("server.key"), CA: a.path("ca.pem"), ClientAuth: clientAuth}
}

// client trusts the authority and shows the certificates given.
func (a *authority) client(certs ...tls.Certificate) *http.Client {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, ServerName: "localhost", Certificates: certs}, ForceAttemptHTTP2: true}
	a.t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: 5 * time.Second}
}

// start runs the front end until the test ends, and returns its TLS address.
func (b *bundle) start(t *testing.T) {
	t.Helper()
	require.NoError(t, b.Listen())
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-done)
	})
}

func fetch(t *testing.T, c *http.Client, url string) (int, string) {
	t.Helper()
	res, err := c.Get(url)
	require.NoError(t, err)
	return res.StatusCode, text(t, res)
}

func TestClientAuth(t *testing.T) {
	ca, stranger := newAuthority(t), newAuthority(t)
	ca.issue("server")
	agent, revoked, foreign := ca.issue("agent"), ca.issue("revoked"), stranger.issue("agent")
	ca.revoke(revoked)
	tests := []struct {
		mode                              string
		none, good, bad, gone, noneMetric int // status; 0: the handshake fails
	}{
		{"need", 0, 200, 0, 0, 0},
		{"want", 200, 200, 0, 0, 403},
		{"none", 200, 200, 200, 200, 403},
		{"", 0, 200, 0, 0, 0},
	}
	for _, tt := range tests {
		t.Run("client-auth "+tt.mode, func(t *testing.T) {
			b := setup(t, func(c *Config, _ *pdb.CommandsConfig) {
				c.Listen, c.TLS = "", ca.config(tt.mode)
				c.TLS.CRL = ca.path("crl.pem")
			})
			b.start(t)
			base := "https://" + b.TLSAddr().String()
			ask := func(want int, path string, certs ...tls.Certificate) {
				t.Helper()
				res, err := ca.client(certs...).Get(base + path)
				if want == 0 {
					require.Error(t, err)
					return
				}
				require.NoError(t, err)
				require.Equal(t, want, res.StatusCode)
				require.Equal(t, "HTTP/1.1", res.Proto, "upstream speaks nothing newer")
				text(t, res)
			}
			const version = "/pdb/meta/v1/version"
			ask(tt.none, version)
			ask(tt.good, version, agent)
			// Go's client shows no certificate of an authority that was not asked for.
			if tt.mode == "none" || tt.mode == "need" {
				ask(tt.bad, version, foreign)
			}
			ask(tt.gone, version, revoked)
			ask(tt.noneMetric, "/metrics")
			if tt.good == 200 && tt.mode != "none" {
				ask(200, "/metrics", agent)
			}
			ask(tt.none, "/status/v1/simple")
		})
	}
}

func TestAllowlists(t *testing.T) {
	ca := newAuthority(t)
	ca.issue("server")
	clients := map[string]*http.Client{"": ca.client()}
	for _, cn := range []string{"puppet", "board", "root", "other"} {
		clients[cn] = ca.client(ca.issue(cn))
	}
	write := func(name, content string) string {
		require.NoError(t, os.WriteFile(ca.path(name), []byte(content), 0o600))
		return ca.path(name)
	}
	b := setup(t, func(c *Config, _ *pdb.CommandsConfig) {
		c.TLS = ca.config("want")
		c.Auth = AuthConfig{
			Allowlist:  write("all", "puppet\r\nboard\n\nroot"),
			Submitters: write("submit", "puppet\n"), Admins: write("admin", "root\n"),
		}
	})
	b.start(t)
	base := "https://" + b.TLSAddr().String()
	denied := func(cn string) string {
		return "Permission denied: The client certificate name " + cn + " doesn't appear in the certificate allowlist. " +
			"Is your master's (or other PuppetDB client's) certname listed in PuppetDB's certificate-allowlist file?"
	}
	tests := []struct {
		cn, path string
		status   int
		want     string
	}{
		{"puppet", "/pdb/meta/v1/version", 200, ""},
		{"other", "/pdb/meta/v1/version", 403, denied("other")},
		{"", "/pdb/meta/v1/version", 403, denied("null")},
		{"", "/pdb/nowhere", 403, denied("null")},
		{"", "/status/v1/simple", 200, "running"},
		{"other", "/metrics/v2/version", 200, ""},
		{"puppet", "/pdb/cmd/v1?command=replace_facts&version=5&certname=x", 200, ""},
		{"board", "/pdb/cmd/v1?command=replace_facts&version=5&certname=x", 403, denied("board")},
		{"root", "/pdb/admin/v1/summary-stats", 200, ""},
		{"board", "/pdb/admin/v1/summary-stats", 403, denied("board")},
		{"board", "/pdb//admin/v1/summary-stats", 404, "Not Found"},
	}
	for _, tt := range tests {
		status, got := fetch(t, clients[tt.cn], base+tt.path)
		require.Equal(t, tt.status, status, "%s %s: %s", tt.cn, tt.path, got)
		if tt.want != "" {
			require.Equal(t, tt.want, got)
		}
	}
	require.Equal(t, "puppet", b.processor.last(t).Client)
	// On loopback without TLS nobody is asked for a name.
	res, err := http.Get("http://" + b.Addr().String() + "/pdb/admin/v1/summary-stats")
	require.NoError(t, err)
	require.Equal(t, 200, res.StatusCode)
	text(t, res)
	http.DefaultClient.CloseIdleConnections()
}

func TestCertificatesAreReloaded(t *testing.T) {
	ca := newAuthority(t)
	ca.issue("server")
	now := time.Now()
	state, err := newTLSState(ca.config("need"), nil, func() time.Time { return now }, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	first := state.config()
	require.Same(t, first, state.config())

	ca.next = 1 << 40 // another size, whatever the clock of the file system
	ca.issue("server")
	require.Same(t, first, state.config(), "not looked at again so soon")
	now = now.Add(recheck)
	second := state.config()
	require.NotSame(t, first, second)

	require.NoError(t, os.WriteFile(ca.path("server.pem"), []byte("broken"), 0o600))
	now = now.Add(recheck)
	require.Same(t, second, state.config(), "a broken file does not stop the service")
}

func TestTLSConfigErrors(t *testing.T) {
	ca, other := newAuthority(t), newAuthority(t)
	ca.issue("server")
	other.revoke()
	tests := []struct {
		name   string
		change func(*TLSConfig)
		want   string
	}{
		{"no key", func(c *TLSConfig) { c.Key = "" }, "needs ssl-cert and ssl-key"},
		{"no file", func(c *TLSConfig) { c.Cert += "x" }, "no such file"},
		{"no CA", func(c *TLSConfig) { c.CA = "" }, "needs ssl-ca-cert"},
		{"not a CA", func(c *TLSConfig) { c.CA = ca.path("server.key") }, "holds no certificate"},
		{"client-auth", func(c *TLSConfig) { c.ClientAuth = "maybe" }, `not "maybe"`},
		{"foreign CRL", func(c *TLSConfig) { c.CRL = other.path("crl.pem") }, "is not signed by"},
		{"empty CRL", func(c *TLSConfig) { c.CRL = ca.path("server.key") }, "holds no revocation list"},
		{"old protocol", func(c *TLSConfig) { c.Protocols = []string{"TLSv1.1"} }, `"TLSv1.1" is not served`},
		{"unsafe cipher", func(c *TLSConfig) { c.Ciphers = []string{"TLS_RSA_WITH_RC4_128_SHA"} }, "not safe"},
		{"unknown ciphers", func(c *TLSConfig) { c.Ciphers = []string{"TLS_DHE_RSA_WITH_AES_128_GCM_SHA256"} }, "none of"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg := Config{TLS: ca.config("need")}
			tt.change(&cfg.TLS)
			_, err := New(cfg)
			require.ErrorContains(t, err, tt.want)
			require.True(t, strings.HasPrefix(err.Error(), "server: "))
		})
	}
	low, high, err := versions([]string{"TLSv1.3"})
	require.NoError(t, err)
	require.Equal(t, []uint16{tls.VersionTLS13, tls.VersionTLS13}, []uint16{low, high})
}
