package orch_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"dalang/orchestrator/job"
	"dalang/orchestrator/secret"
	"dalang/orchestrator/ssh/sshtest"
	"dalang/server"
	"dalang/server/orch"
	"dalang/server/pdb"
)

// shelf keeps connections.
type shelf struct{ list []job.StoredConnection }

func (s *shelf) AddConnections(_ context.Context, list []job.StoredConnection, replace bool) (duplicates []string, err error) {
	for _, c := range list {
		at := slices.IndexFunc(s.list, func(o job.StoredConnection) bool { return o.Certname == c.Certname })
		if at >= 0 && !replace {
			return []string{c.Certname}, nil
		}
		if at >= 0 {
			s.list = slices.Delete(s.list, at, at+1)
		}
	}
	s.list = append(s.list, list...)
	return nil, nil
}

func (s *shelf) Connections(_ context.Context, certnames []string) (found []job.StoredConnection, err error) {
	for _, c := range s.list {
		if certnames == nil || slices.Contains(certnames, c.Certname) {
			found = append(found, c)
		}
	}
	return found, nil
}

func (s *shelf) DeleteConnections(_ context.Context, certnames []string) error {
	s.list = slices.DeleteFunc(s.list, func(c job.StoredConnection) bool { return slices.Contains(certnames, c.Certname) })
	return nil
}

// bare asks for something whose answer has no body.
func (a *api) bare(t *testing.T, method, path, body string) int {
	t.Helper()
	r := httptest.NewRequest(method, "https://orchestrator.example.com:8143"+path, strings.NewReader(body))
	r.Header.Set("X-Authentication", a.token)
	w := httptest.NewRecorder()
	a.handler.ServeHTTP(w, r)
	require.Empty(t, w.Body.String())
	return w.Code
}

func newConnections(t *testing.T) (*api, *shelf) {
	t.Helper()
	base, err := orch.New(orch.Config{Engine: &fake{}, Jobs: &fake{}, Authenticate: authenticate})
	require.NoError(t, err)
	keeper, err := secret.New(make([]byte, 32))
	require.NoError(t, err)
	kept := &shelf{}
	c, err := orch.NewConnections(base, kept, keeper)
	require.NoError(t, err)
	s, err := server.New(server.Config{Listen: "127.0.0.1:0", Handlers: server.Handlers{Orchestrator: []server.Companion{base, c}}, Maintenance: &pdb.Maintenance{}})
	require.NoError(t, err)
	return &api{handler: s.Handler(), token: "all"}, kept
}

// privateKey is one, as JSON.
func privateKey(t *testing.T) string {
	t.Helper()
	_, key := sshtest.NewSigner(t)
	text, err := json.Marshal(key)
	require.NoError(t, err)
	return string(text)
}

// lockedKey is a private key with a passphrase, as JSON.
func lockedKey(t *testing.T) string {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	block, err := ssh.MarshalPrivateKeyWithPassphrase(private, "", []byte("hunter2"))
	require.NoError(t, err)
	text, err := json.Marshal(string(pem.EncodeToMemory(block)))
	require.NoError(t, err)
	return string(text)
}

// login is a connection of the user u with more secrets.
func login(secrets string) string {
	user := `"user":"u",`
	if strings.Contains(secrets, "username") {
		user = ""
	}
	return `{"certnames":["a"],"type":"ssh","parameters":{"run-as":"root"},"sensitive_parameters":{` + user + secrets + `},"duplicates":"error"}`
}

func TestConnections(t *testing.T) {
	const create, remove, query = "/inventory/v1/command/create-connection", "/inventory/v1/command/delete-connection", "/inventory/v1/query/connections"
	a, kept := newConnections(t)
	status, text, _ := a.ask(t, http.MethodPost, create, `{"certnames":["b","a"],"type":"ssh","parameters":{"tmpdir":"/tmp","tty":true,"port":22,"run-as":"root"},
		"sensitive_parameters":{"username":"u","password":"hunter2"},"duplicates":"error"}`)
	require.Equal(t, http.StatusCreated, status, "%s", text)
	id := strict[struct {
		ID string `json:"connection_id"`
	}](t, text).ID
	require.Len(t, kept.list, 2)
	for _, c := range kept.list {
		require.NotContains(t, string(c.Sealed)+string(c.Parameters), "hunter2")
	}
	public := `{"items":[{"connection_id":"` + id + `","certnames":["a","b"],"type":"ssh","parameters":{"tmpdir":"/tmp","tty":true,"port":22,"run-as":"root"}`
	for _, how := range []string{`{}`, `{"certnames":null,"sensitive":false}`} {
		_, text, _ = a.ask(t, http.MethodPost, query, how)
		require.JSONEq(t, public+`}]}`, string(text))
	}
	require.JSONEq(t, public+`}]}`, string(a.get(t, query)))
	require.JSONEq(t, public+`,"sensitive_parameters":{"user":"u","password":"hunter2"}}]}`, string(a.get(t, query+"?sensitive=true&certname=a&certname=b")))
	require.JSONEq(t, `{"items":[{"type":"ssh","certnames":["b"]}]}`, string(a.get(t, query+"?certname=b&extract=type&extract=certnames")))
	_, text, _ = a.ask(t, http.MethodPost, query, `{"certnames":[]}`)
	require.JSONEq(t, `{"items":[]}`, string(text))

	again := `{"certnames":["c","b"],"type":"ssh","parameters":{},"sensitive_parameters":{"user":"w","private-key-content":` + privateKey(t) + `},"duplicates":`
	status, text, _ = a.ask(t, http.MethodPost, create, again+`"error"}`)
	require.Equal(t, http.StatusConflict, status)
	require.Equal(t, "puppetlabs.inventory/duplicate-certnames", strict[clientError](t, text).Kind)
	require.Len(t, kept.list, 2)
	status, _, _ = a.ask(t, http.MethodPost, create, again+`"replace"}`)
	require.Equal(t, http.StatusCreated, status)
	require.Len(t, kept.list, 3)
	require.Equal(t, http.StatusNoContent, a.bare(t, http.MethodPost, remove, `{"certnames":["a","nobody"]}`))
	require.Len(t, kept.list, 2)

	const good = `"type":"ssh","parameters":{},"sensitive_parameters":{"user":"u","password":"hunter2"},"duplicates":"error"`
	for _, c := range []struct{ path, body, key string }{
		{create, `{` + good + `}`, "certnames"},
		{create, `{"certnames":[],` + good + `}`, "certnames"},
		{create, `{"certnames":["a"],"parameters":{},"sensitive_parameters":{},"duplicates":"error"}`, "type"},
		{create, `{"certnames":["a"],"type":"pcp","parameters":{},"sensitive_parameters":{"user":"u","password":"hunter2"},"duplicates":"error"}`, "type"},
		{create, `{"certnames":["a"],"type":"winrm","parameters":{"run-as":"x"},"sensitive_parameters":{"user":"u","password":"hunter2"},"duplicates":"error"}`, "parameters.run-as"},
		{create, `{"certnames":["a"],"type":"ssh","parameters":{},"sensitive_parameters":{"user":"u","password":"hunter2"}}`, "duplicates"},
		{create, `{"certnames":["a"],"type":"ssh","sensitive_parameters":{"user":"u","password":"hunter2"},"duplicates":"error"}`, "parameters"},
		{create, `{"certnames":["a"],"type":"ssh","parameters":{},"duplicates":"error"}`, "sensitive_parameters"},
		{create, `{"certnames":["a"],"type":"ssh","parameters":{},"sensitive_parameters":{"password":"hunter2"},"duplicates":"error"}`, "parameters.user"},
		{create, `{"certnames":["a"],"type":"ssh","parameters":{"prot":1},"sensitive_parameters":{"user":"u","password":"hunter2"},"duplicates":"error"}`, "parameters.prot"},
		{create, `{"certnames":["a","b"],"type":"ssh","parameters":{"hostname":"x"},"sensitive_parameters":{"user":"u","password":"hunter2"},"duplicates":"error"}`, "parameters.hostname"},
		{create, login(`"password":"p","tmpdir":"hunter2"`), "sensitive_parameters.tmpdir"},
		{create, login(`"password":"p","run-as":"-hunter2"`), "sensitive_parameters.run-as"},
		{create, login(`"password":"p","username":"-hunter2"`), "sensitive_parameters.user"},
		{create, login(`"password":"p","port":77777,"password":"hunter2"`), "sensitive_parameters.port"},
		{create, login(`"password":"p","run-as-command":["hunter2",7]`), "sensitive_parameters.run-as-command"},
		{create, login(`"password":"p","interpreters":{"hunter2":7}`), "sensitive_parameters.interpreters"},
		{create, login(`"passwrd":"hunter2"`), "sensitive_parameters.passwrd"},
		{create, login(`"private-key-content":"-----BEGIN hunter2"`), "sensitive_parameters.private-key-content"},
		{create, login(`"private-key-content":` + lockedKey(t)), "sensitive_parameters.private-key-content"},
		{create, `{"certnames":["a","b"],"type":"ssh","parameters":{},"sensitive_parameters":{"hostname":"hunter2","user":"u","password":"p"},"duplicates":"error"}`, "sensitive_parameters.hostname"},
		{remove, `{}`, "certnames"},
		{query, `{"extract":["password"]}`, "extract[0]"},
	} {
		e := a.refused(t, http.MethodPost, c.path, c.body, http.StatusBadRequest, "validation-error")
		require.Equal(t, c.key, e.Details["key"], c.body)
		require.NotContains(t, fmt.Sprint(e), "hunter2", c.body)
		require.NotContains(t, fmt.Sprint(e), "77777", c.body)
	}
	a.token = "viewer"
	a.refused(t, http.MethodPost, create, `{"certnames":["z"],`+good+`}`, http.StatusForbidden, "not-permitted")
	a.refused(t, http.MethodPost, remove, `{"certnames":["b"]}`, http.StatusForbidden, "not-permitted")
	a.refused(t, http.MethodGet, query+"?sensitive=true", "", http.StatusForbidden, "not-permitted")
	require.Len(t, kept.list, 2)
	a.get(t, query)
}
