package client_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"dalang/cmd/internal/client"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// echo answers with what it was asked, or as the path wants.
func echo(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	switch r.URL.Path {
	case "/text":
		http.Error(w, "bad query", http.StatusBadRequest)
	case "/error":
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, `{"error" : "No information is known about node x"}`)
	case "/kind":
		w.WriteHeader(http.StatusConflict)
		_, _ = io.WriteString(w, `{"kind":"a/b","msg":"no","details":{"x":1}}`)
	case "/html":
		w.Header().Set("Content-Type", "text/html;charset=utf-8")
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, "Not Found")
	case "/garbage":
		_, _ = io.WriteString(w, "{")
	default:
		_, _ = io.WriteString(w, `{"asked": "`+r.Method+" "+r.URL.String()+" "+r.Header.Get("X-Authentication")+" "+string(body)+`"}`)
	}
}

func start(t *testing.T) *httptest.Server {
	s := httptest.NewServer(http.HandlerFunc(echo))
	t.Cleanup(s.Close)
	return s
}

func connect(t *testing.T, cfg client.Config) *client.Client {
	c, err := client.New(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	return c
}

func TestRequests(t *testing.T) {
	s := start(t)
	c := connect(t, client.Config{URLs: []string{s.URL + "/"}, Token: "secret"})
	var got struct{ Asked string }
	require.NoError(t, c.JSON(t.Context(), client.Request{Path: "/x", Query: map[string][]string{"a": {"b c"}}}, &got))
	require.Equal(t, "GET /x?a=b+c secret ", got.Asked)
	require.NoError(t, c.JSON(t.Context(), client.Request{Path: "/x", Body: []byte("5")}, &got))
	require.Equal(t, "POST /x secret 5", got.Asked)
	require.NoError(t, c.JSON(t.Context(), client.Request{Method: "DELETE", Path: "/x"}, nil))
	require.ErrorContains(t, c.JSON(t.Context(), client.Request{Path: "/garbage"}, &got), "read the answer to /garbage")
}

func TestRefusals(t *testing.T) {
	c := connect(t, client.Config{URLs: []string{start(t).URL}})
	for path, want := range map[string]client.Error{
		"/text":  {Status: 400, Message: "bad query"},
		"/error": {Status: 404, Message: "No information is known about node x"},
		"/kind":  {Status: 409, Kind: "a/b", Message: "no", Details: []byte(`{"x":1}`)},
	} {
		_, err := c.Do(t.Context(), client.Request{Path: path})
		var got *client.Error
		require.ErrorAs(t, err, &got, path)
		got.URL = ""
		require.Equal(t, want, *got, path)
	}
	_, err := c.Do(t.Context(), client.Request{Path: "/html"})
	require.ErrorContains(t, err, "the server answered 404 Not Found to http://")
}

// TestSeveralServers: the first that can be reached is asked, and no other when
// it refuses.
func TestSeveralServers(t *testing.T) {
	dead := httptest.NewServer(http.HandlerFunc(echo))
	dead.Close()
	c := connect(t, client.Config{URLs: []string{dead.URL, start(t).URL}})
	require.NoError(t, c.JSON(t.Context(), client.Request{Path: "/x"}, nil))
	_, err := c.Do(t.Context(), client.Request{Path: "/text"})
	require.EqualError(t, err, "bad query")

	c = connect(t, client.Config{URLs: []string{dead.URL, dead.URL + "/2"}})
	_, err = c.Do(t.Context(), client.Request{Path: "/x"})
	var none *client.UnreachableError
	require.ErrorAs(t, err, &none)
	require.Len(t, none.Errs, 2)
	require.ErrorContains(t, err, "no server answers at "+dead.URL+" or ")

	why := errors.New("interrupted")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(why)
	_, err = c.Do(ctx, client.Request{Path: "/x"})
	require.ErrorIs(t, err, why)
}

func TestTLS(t *testing.T) {
	s := httptest.NewTLSServer(http.HandlerFunc(echo))
	t.Cleanup(s.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600))
	require.NoError(t, connect(t, client.Config{URLs: []string{s.URL}, CA: ca}).JSON(t.Context(), client.Request{Path: "/x"}, nil))
	require.ErrorContains(t, connect(t, client.Config{URLs: []string{s.URL}}).JSON(t.Context(), client.Request{Path: "/x"}, nil),
		s.URL+": tls: failed to verify certificate: x509: certificate signed by unknown authority: name the CA that vouches for it with --ca")
}

// TestClientCertificate: the server learns who asks.
func TestClientCertificate(t *testing.T) {
	dir := t.TempDir()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "alice"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	text, err := x509.MarshalECPrivateKey(key)
	require.NoError(t, err)
	cfg := client.Config{Cert: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem"), CA: filepath.Join(dir, "ca.pem")}
	require.NoError(t, os.WriteFile(cfg.Cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	require.NoError(t, os.WriteFile(cfg.Key, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: text}), 0o600))

	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, `{"asked": "`+r.TLS.PeerCertificates[0].Subject.CommonName+`"}`)
	}))
	s.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
	s.StartTLS()
	t.Cleanup(s.Close)
	require.NoError(t, os.WriteFile(cfg.CA, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600))
	cfg.URLs = []string{s.URL}
	var got struct{ Asked string }
	require.NoError(t, connect(t, cfg).JSON(t.Context(), client.Request{Path: "/x"}, &got))
	require.Equal(t, "alice", got.Asked)
	cfg.Cert, cfg.Key = "", ""
	require.ErrorContains(t, connect(t, cfg).JSON(t.Context(), client.Request{Path: "/x"}, nil), s.URL+": remote error: tls: certificate required: name a client certificate with --cert and --key")
}

func TestBadConfig(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty")
	require.NoError(t, os.WriteFile(empty, nil, 0o600))
	for want, cfg := range map[string]client.Config{
		"no server to speak to":         {},
		`"x" is not the URL`:            {URLs: []string{"x"}},
		`"ftp://x" is not the URL`:      {URLs: []string{"ftp://x"}},
		"needs its key":                 {URLs: []string{"https://x"}, Cert: "c"},
		"load client certificate":       {URLs: []string{"https://x"}, Cert: empty, Key: empty},
		"load CA: open":                 {URLs: []string{"https://x"}, CA: empty + "2"},
		"holds no certificate":          {URLs: []string{"https://x"}, CA: empty},
		"not sent in clear to another":  {URLs: []string{"http://example.com"}, Token: "t"},
		"use https instead of http://u": {URLs: []string{"http://u"}, Token: "t"},
	} {
		_, err := client.New(cfg)
		require.ErrorContains(t, err, want)
	}
	require.False(t, strings.Contains(client.DefaultURL, "https"))
}

// TestNotFollowed: where something is that was made is for the caller, and a
// token stays with the server that it was meant for.
func TestNotFollowed(t *testing.T) {
	asked := 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(http.StatusSeeOther)
	}))
	defer s.Close()
	c, err := client.New(client.Config{URLs: []string{s.URL}})
	require.NoError(t, err)
	defer c.Close()
	res, err := c.Do(t.Context(), client.Request{Path: "/x", Body: []byte("{}")})
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, "/elsewhere", res.Header.Get("Location"))
	require.Equal(t, 1, asked)
}

// TestTransport: requests may go another way than the network.
func TestTransport(t *testing.T) {
	c, err := client.New(client.Config{URLs: []string{"http://localhost"}, Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		require.Equal(t, "http://localhost/x", r.URL.String())
		return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(`{"a":1}`))}, nil
	})})
	require.NoError(t, err)
	var got struct{ A int }
	require.NoError(t, c.JSON(t.Context(), client.Request{Path: "/x"}, &got))
	require.Equal(t, 1, got.A)
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
