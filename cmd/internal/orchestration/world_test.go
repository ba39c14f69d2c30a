package orchestration

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dalang/cmd/internal/dalangtest"
)

// operator is whose certificate may do everything.
const operator = "operator.example.com"

// binary is the program, built once for all tests.
func binary(t *testing.T) string {
	t.Helper()
	path, err := built()
	require.NoError(t, err)
	return path
}

var built = sync.OnceValues(func() (string, error) {
	path := filepath.Join(os.Getenv(programDir), "dalang")
	out, err := exec.Command("go", "build", "-o", path, "dalang/cmd/dalang").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build: %w\n%s", err, out)
	}
	return path, nil
})

// world is a server with listeners of its own for the orchestrator and for agents.
type world struct {
	*dalangtest.Server
	ca     *dalangtest.Authority
	api    string // address of the orchestrator's listener
	pcp    string // address of the agents' listener
	client *http.Client
}

// newWorld starts a server; args are added to its command line.
func newWorld(t *testing.T, args ...string) *world {
	t.Helper()
	return newWorldOf(t, dalangtest.NewAuthority(t), args...)
}

// newWorldOf does, with a CA that others know already.
func newWorldOf(t *testing.T, ca *dalangtest.Authority, args ...string) *world {
	t.Helper()
	w := &world{ca: ca, api: dalangtest.FreeAddress(t), pcp: dalangtest.FreeAddress(t)}
	cert, key := w.ca.Issue(t, "orchestrator.example.com")
	allowed := w.ca.Path("operators")
	require.NoError(t, os.WriteFile(allowed, []byte(operator+"\n"), 0o600))
	w.client = w.ca.Client(t, operator)
	w.Server = dalangtest.New(t, binary(t), append([]string{
		"--orchestrator-listen", w.api, "--pcp-listen", w.pcp, "--tls-cert", cert, "--tls-key", key, "--tls-ca", w.ca.Path("ca.pem"),
		"--set", "rbac.certificate-allowlist=" + allowed,
	}, args...)...)
	w.Start(t)
	t.Cleanup(func() {
		w.Stop(t)
		if t.Failed() {
			t.Logf("server log:\n%s", w.Log())
		}
	})
	return w
}

// ask asks the orchestrator's listener as the operator.
func (w *world) ask(t *testing.T, method, path, body string, headers ...string) (int, []byte, http.Header) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, "https://"+w.api+path, strings.NewReader(body))
	require.NoError(t, err)
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	client := *w.client
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	res, err := client.Do(r)
	require.NoError(t, err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return res.StatusCode, text, res.Header
}

// read gets a document of the API.
func (w *world) read(t *testing.T, path string, into any) {
	t.Helper()
	status, text, _ := w.ask(t, http.MethodGet, "/orchestrator/v1"+path, "")
	require.Equal(t, http.StatusOK, status, "%s: %s", path, text)
	require.NoError(t, json.Unmarshal(text, into), "%s: %s", path, text)
}

// refusal is an error of the API.
type refusal struct {
	Kind    string         `json:"kind"`
	Msg     string         `json:"msg"`
	Details map[string]any `json:"details"`
}

// refused asks and wants an error.
func (w *world) refused(t *testing.T, status int, kind, method, path, body string, headers ...string) refusal {
	t.Helper()
	got, text, _ := w.ask(t, method, path, body, headers...)
	require.Equal(t, status, got, "%s %s: %s", path, body, text)
	var e refusal
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	require.NoError(t, decoder.Decode(&e), "%s", text)
	require.Equal(t, "puppetlabs.orchestrator/"+kind, e.Kind, "%s %s: %s", path, body, e.Msg)
	require.NotEmpty(t, e.Msg)
	require.NotNil(t, e.Details)
	return e
}

// token makes a user with a role of these permissions and logs in.
func (w *world) token(t *testing.T, login string, permissions ...string) string {
	t.Helper()
	const password = "correct horse battery staple"
	roles := []string{}
	if len(permissions) > 0 {
		var list []map[string]string
		for _, p := range permissions {
			part := strings.SplitN(p, ":", 3)
			list = append(list, map[string]string{"object_type": part[0], "action": part[1], "instance": part[2]})
		}
		text, err := json.Marshal(map[string]any{"display_name": login, "description": "", "permissions": list, "user_ids": []string{}, "group_ids": []string{}})
		require.NoError(t, err)
		status, body, header := w.ask(t, http.MethodPost, "/rbac-api/v1/roles", string(text))
		require.Equal(t, http.StatusSeeOther, status, "%s", body)
		roles = append(roles, header.Get("Location")[strings.LastIndex(header.Get("Location"), "/")+1:])
	}
	status, body, _ := w.ask(t, http.MethodPost, "/rbac-api/v1/users",
		fmt.Sprintf(`{"login":%q,"email":"","display_name":%q,"role_ids":[%s],"password":%q}`, login, login, strings.Join(roles, ","), password))
	require.Equal(t, http.StatusSeeOther, status, "%s", body)
	status, body, _ = w.ask(t, http.MethodPost, "/rbac-api/v1/auth/token", fmt.Sprintf(`{"login":%q,"password":%q}`, login, password))
	require.Equal(t, http.StatusOK, status, "%s", body)
	var answer struct{ Token string }
	require.NoError(t, json.Unmarshal(body, &answer))
	require.NotEmpty(t, answer.Token)
	return answer.Token
}

// submit submits a command and waits until it has been applied.
func (w *world) submit(t *testing.T, command, version, certname, payload string) {
	t.Helper()
	q := url.Values{"command": {command}, "version": {version}, "certname": {certname}, "secondsToWaitForCompletion": {"10"}}
	res, err := http.Post(w.URL("/pdb/cmd/v1?"+q.Encode()), "application/json", strings.NewReader(payload))
	require.NoError(t, err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.Contains(t, string(text), `"processed" : true`, "%s of %s", command, certname)
	require.NotContains(t, string(text), `"error" : "`, "%s of %s", command, certname)
}

// facts makes a node known in an environment.
func (w *world) facts(t *testing.T, certname, environment string) {
	t.Helper()
	w.submit(t, "replace_facts", "5", certname, fmt.Sprintf(`{"certname":%q,"environment":%q,"producer":"puppet","producer_timestamp":%q,"values":{"kernel":"Linux"}}`,
		certname, environment, time.Now().UTC().Format(time.RFC3339)))
}

// resource is one of a catalog, with the application that contains it.
type resource struct {
	app, kind, title string
	parameters       string // JSON object
}

// catalog stores a catalog of a node with components of applications.
func (w *world) catalog(t *testing.T, certname, environment string, components ...resource) {
	t.Helper()
	list := []string{resourceJSON("Stage", "main", "{}"), resourceJSON("Class", "main", "{}")}
	edges := []string{edgeJSON("Stage", "main", "Class", "main")}
	known := map[string]bool{}
	for _, c := range components {
		app, title, _ := strings.Cut(strings.TrimSuffix(c.app, "]"), "[")
		if !known[c.app] {
			known[c.app] = true
			list = append(list, resourceJSON(app, title, "{}"))
			edges = append(edges, edgeJSON("Class", "main", app, title))
		}
		list = append(list, resourceJSON(c.kind, c.title, c.parameters))
		edges = append(edges, edgeJSON(app, title, c.kind, c.title))
	}
	w.submit(t, "replace_catalog", "9", certname, fmt.Sprintf(`{"certname":%q,"version":"1","environment":%q,"transaction_uuid":null,"catalog_uuid":null,
		"code_id":null,"job_id":null,"producer":"puppet","producer_timestamp":%q,"resources":[%s],"edges":[%s]}`,
		certname, environment, time.Now().UTC().Format(time.RFC3339), strings.Join(list, ","), strings.Join(edges, ",")))
}

func resourceJSON(kind, title, parameters string) string {
	return fmt.Sprintf(`{"type":%q,"title":%q,"aliases":[],"exported":false,"file":null,"line":null,"tags":[],"parameters":%s}`, kind, title, parameters)
}

func edgeJSON(from, fromTitle, to, toTitle string) string {
	return fmt.Sprintf(`{"source":{"type":%q,"title":%q},"target":{"type":%q,"title":%q},"relationship":"contains"}`, from, fromTitle, to, toTitle)
}
