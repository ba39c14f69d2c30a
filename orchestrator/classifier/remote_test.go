package classifier

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dalang/orchestrator/job"
	"dalang/orchestrator/rbac"
)

const (
	webGroup    = "0b94c8f2-5d3e-4c1b-9a5d-000000000001"
	debianGroup = "0b94c8f2-5d3e-4c1b-9a5d-000000000002"
	otherGroup  = "0b94c8f2-5d3e-4c1b-9a5d-000000000003"
)

// classifierAt is another classifier, which gives these answers by path.
type classifierAt struct {
	answers map[string]string
	status  int // of all answers; 0: 200, or 404 where there is none
	asked   []string
	server  *httptest.Server
}

func newClassifierAt(t *testing.T) *classifierAt {
	c := &classifierAt{answers: map[string]string{}}
	c.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.asked = append(c.asked, r.URL.Path)
		body, ok := c.answers[r.URL.Path]
		switch {
		case c.status != 0:
			w.WriteHeader(c.status)
		case !ok:
			w.WriteHeader(http.StatusNotFound)
			body = `{"kind":"not-found","msg":"The resource could not be found.","details":"` + r.URL.Path + `"}`
		}
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(c.server.Close)
	return c
}

func (c *classifierAt) rules(id, own, inherited string) {
	c.answers["/classifier-api/v1/groups/"+id+"/rules"] = `{"rule":` + own + `,"rule_with_inherited":` + inherited + `,"translated":{}}`
}

func (c *classifierAt) below(id, parent string) {
	c.answers["/classifier-api/v1/groups/"+id] = `{"id":"` + id + `","name":"x","parent":"` + parent + `","classes":{}}`
}

func (c *classifierAt) remote(t *testing.T, change func(*RemoteConfig)) *Remote {
	_, nodes := newClassifier(t)
	cfg := RemoteConfig{URL: c.server.URL, Nodes: nodes}
	if change != nil {
		change(&cfg)
	}
	r, err := NewRemote(cfg)
	require.NoError(t, err)
	return r
}

func TestRemoteResolve(t *testing.T) {
	c := newClassifierAt(t)
	c.rules(webGroup, `["~","name","^web"]`, `["and",["~","name","^web"],["=",["fact","os","name"],"Debian"],["and",["~","name",".*"]]]`)
	c.rules(debianGroup, `null`, `["=",["fact","os","name"],"Debian"]`)
	c.rules(otherGroup, `["~","name","x"]`, `null`)
	r := c.remote(t, nil)
	for id, want := range map[string][]string{
		webGroup:       {"web1"},
		debianGroup:    nil, // a rule above it is none of its own
		otherGroup:     nil,
		rbac.RootGroup: nil, // not known there
		"nonsense":     nil,
		"../../v1":     nil,
	} {
		c.asked = nil
		nodes, err := r.Resolve(t.Context(), id)
		require.NoError(t, err, id)
		require.Equal(t, want, nodes, id)
		if IsID(id) {
			require.Equal(t, []string{"/classifier-api/v1/groups/" + id + "/rules"}, c.asked)
		} else {
			require.Empty(t, c.asked, "that is no path")
		}
	}
}

// TestRemoteFails: each way in which the other classifier cannot be relied on
// is an error that says so, and no group without nodes.
func TestRemoteFails(t *testing.T) {
	const lookahead = `["~","name","^(?!db)"]`
	for name, x := range map[string]struct {
		prepare func(*classifierAt)
		status  int
		msg     string
	}{
		"away":             {func(c *classifierAt) { c.server.Close() }, 503, "cannot be resolved now: ask the classifier: "},
		"it refuses us":    {func(c *classifierAt) { c.status = 403 }, 503, "the classifier answers /v1/groups/" + webGroup + "/rules with 403"},
		"it is broken":     {func(c *classifierAt) { c.status = 500 }, 503, "with 500"},
		"a wrong URL":      {func(c *classifierAt) { c.status = 404 }, 503, "with 404"},
		"no JSON":          {func(c *classifierAt) { c.answers["/classifier-api/v1/groups/"+webGroup+"/rules"] = "<html>" }, 503, "read what the classifier answers"},
		"a rule of Java's": {func(c *classifierAt) { c.rules(webGroup, lookahead, lookahead) }, 400, "has a rule that cannot be matched here: the regular expression"},
		"no rule at all":   {func(c *classifierAt) { c.rules(webGroup, `["="]`, `["="]`) }, 400, "cannot be matched here: rule: = takes a path"},
	} {
		t.Run(name, func(t *testing.T) {
			c := newClassifierAt(t)
			x.prepare(c)
			_, err := c.remote(t, nil).Resolve(t.Context(), webGroup)
			var refused *job.Error
			require.ErrorAs(t, err, &refused)
			require.Equal(t, job.Prefix+"node-group-error", refused.Kind)
			require.Equal(t, x.status, refused.Status)
			require.Contains(t, refused.Msg, x.msg)
			require.Equal(t, map[string]any{"node_group": webGroup}, refused.Details)
		})
	}
	t.Run("the nodes", func(t *testing.T) {
		c := newClassifierAt(t)
		c.rules(webGroup, `["and"]`, `["and"]`)
		broken := errors.New("disk on fire")
		_, err := c.remote(t, func(cfg *RemoteConfig) { cfg.Nodes.(*world).broken = broken }).Resolve(t.Context(), webGroup)
		require.ErrorIs(t, err, broken)
	})
	t.Run("too slow", func(t *testing.T) {
		stuck := make(chan struct{})
		server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			select {
			case <-stuck:
			case <-r.Context().Done():
			}
		}))
		defer server.Close()
		defer close(stuck)
		_, err := newClassifierAt(t).remote(t, func(cfg *RemoteConfig) { cfg.URL, cfg.Timeout = server.URL, time.Millisecond }).Resolve(t.Context(), webGroup)
		require.ErrorContains(t, err, "context deadline exceeded")
	})
}

// TestRemoteInEnvironment: the other classifier's groups assign the nodes that
// are known here.
func TestRemoteInEnvironment(t *testing.T) {
	const path, root = "/classifier-api/v1/groups", `{"id":"` + rbac.RootGroup + `","name":"All Nodes","parent":"` + rbac.RootGroup +
		`","environment":"production","rule":["and",["~","name",".*"]]}`
	of := func(id, parent, environment, rule, more string) string {
		return `,{"id":"` + id + `","name":"g` + id[len(id)-1:] + `","parent":"` + parent + `","environment":"` + environment + `","rule":` + rule + more + `,"classes":{}}`
	}
	web := of(webGroup, otherGroup, "staging", `["~","name","^web"]`, `,"environment_trumps":true`) + of(otherGroup, rbac.RootGroup, "agent-specified", `null`, "")
	c := newClassifierAt(t)
	r := c.remote(t, nil)
	ask := func(answer, environment string) ([]string, error) {
		c.answers[path] = answer
		c.asked = nil
		nodes, err := r.InEnvironment(t.Context(), environment)
		require.Equal(t, []string{path}, c.asked)
		return nodes, err
	}
	for environment, want := range map[string][]string{"staging": {"web1", "web2"}, "production": nil, "agent-specified": nil} {
		nodes, err := ask("["+root+web+of(debianGroup, rbac.RootGroup, "production", `["=",["fact","os","name"],"Debian"]`, "")+"]", environment)
		require.NoError(t, err)
		if environment == "production" {
			want = []string{"db1"}
		}
		require.ElementsMatch(t, want, nodes, environment)
	}
	refused := func(err error, status int, msg string) {
		t.Helper()
		var known *job.Error
		require.ErrorAs(t, err, &known)
		require.Equal(t, job.Prefix+"node-group-error", known.Kind)
		require.Equal(t, status, known.Status)
		require.Contains(t, known.Msg, msg)
	}
	_, err := ask("["+root+of(webGroup, rbac.RootGroup, "staging", `["~","name","^(?!db)"]`, "")+"]", "staging")
	refused(err, 400, "The node group "+webGroup+" has a rule that cannot be matched here")
	_, err = ask("["+strings.TrimPrefix(web, ",")+"]", "staging")
	refused(err, 503, "it does not show the root group")
	_, err = ask("{}", "staging")
	refused(err, 503, "cannot be told now: read what the classifier answers")
	c.status = 500
	_, err = ask("[]", "staging")
	refused(err, 503, "the classifier answers /v1/groups with 500")
}

func TestRemoteAncestors(t *testing.T) {
	c := newClassifierAt(t)
	now := at(0)
	r := c.remote(t, func(cfg *RemoteConfig) { cfg.Now = func() time.Time { return now } })
	c.below(webGroup, debianGroup)
	c.below(debianGroup, rbac.RootGroup)
	require.Equal(t, []string{debianGroup, rbac.RootGroup}, r.Ancestors(webGroup))
	require.Empty(t, r.Ancestors(rbac.RootGroup))
	require.Empty(t, r.Ancestors("nonsense"))
	require.Empty(t, r.Ancestors(otherGroup), "it is not known")

	c.asked = nil
	c.below(webGroup, rbac.RootGroup)
	require.Equal(t, []string{debianGroup, rbac.RootGroup}, r.Ancestors(webGroup))
	require.Empty(t, c.asked, "it was asked a moment ago")
	now = now.Add(10 * time.Second)
	require.Equal(t, []string{rbac.RootGroup}, r.Ancestors(webGroup))
	require.Len(t, r.parents, 1, "what is old is forgotten")

	now = now.Add(time.Minute)
	c.below(webGroup, debianGroup)
	c.below(debianGroup, webGroup)
	require.Equal(t, []string{debianGroup, webGroup}, r.Ancestors(webGroup), "a circle ends")
	now = now.Add(time.Minute)
	c.status = 500
	require.Empty(t, r.Ancestors(webGroup), "what is not told permits nothing")
}

func TestRemoteURL(t *testing.T) {
	for _, bad := range []string{"", "pe:4433", "ftp://pe", "https://", "https://pe/?x", "https://brian:x@pe", "://"} {
		require.ErrorContains(t, CheckURL(bad), "such as https://", bad)
		_, err := NewRemote(RemoteConfig{URL: bad, Nodes: &world{}})
		require.Error(t, err)
	}
	for given, want := range map[string]string{
		"https://pe.example.com:4433":          "https://pe.example.com:4433/classifier-api",
		"https://pe.example.com:4433/":         "https://pe.example.com:4433/classifier-api",
		"http://localhost/through/a/proxy":     "http://localhost/through/a/proxy",
		"https://[::1]:4433/classifier-api/v1": "https://[::1]:4433/classifier-api/v1",
	} {
		require.NoError(t, CheckURL(given))
		got, err := remoteURL(given)
		require.NoError(t, err)
		require.Equal(t, want, got)
		_, err = url.Parse(got)
		require.NoError(t, err)
	}
	_, err := NewRemote(RemoteConfig{URL: "https://pe"})
	require.ErrorContains(t, err, "Nodes is required")
}
