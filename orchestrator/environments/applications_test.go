package environments

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dalang/orchestrator/job"
)

const shop = `{"environment":"production","applications":{"Shop[x]":{
	"Shop::Web[x]":{"produces":[],"consumes":["Sql[x]"],"node":"web1.example.com"},
	"Shop::Db[x]":{"produces":["Sql[x]"],"consumes":[],"node":"db1.example.com"}},"Empty[y]":{}}}`

// ofShop is what shop says.
func ofShop() []job.Component {
	return []job.Component{
		{Type: "Shop", Title: "x", Ref: "Shop::Db[x]", Certname: "db1.example.com", Produces: []string{"Sql[x]"}, Consumes: []string{}},
		{Type: "Shop", Title: "x", Ref: "Shop::Web[x]", Certname: "web1.example.com", Produces: []string{}, Consumes: []string{"Sql[x]"}},
	}
}

// oracle is a Puppet Server of a version, with a catalog for production.
type oracle struct {
	version string
	status  int
	body    string
	asked   []string // paths, but for /puppet/v3/environments
	now     time.Time
	url     string
}

func newOracle(t *testing.T, version string, status int, body string) *oracle {
	o := &oracle{version: version, status: status, body: body, now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if o.version != "" {
			w.Header().Set("X-Puppet-Version", o.version)
		}
		if r.URL.Path == "/puppet/v3/environments" {
			_, _ = io.WriteString(w, twoEnvironments)
			return
		}
		o.asked = append(o.asked, r.URL.Path)
		w.WriteHeader(o.status)
		_, _ = io.WriteString(w, o.body)
	}))
	t.Cleanup(server.Close)
	o.url = server.URL
	return o
}

// stored is the component that the stored catalogs have.
func stored(context.Context, string) ([]job.Component, error) {
	return []job.Component{{Type: "Stored", Title: "s", Ref: "C[s]", Certname: "c"}}, nil
}

func (o *oracle) environments(t *testing.T, files string) *Environments {
	cfg := Config{Files: files, Stored: stored, Seen: func(context.Context) ([]string, error) { return nil, nil }}
	if o != nil {
		cfg.Server, cfg.Now = o.url, func() time.Time { return o.now }
	}
	e, err := New(cfg)
	require.NoError(t, err)
	return e
}

func components(t *testing.T, e *Environments, environment string) []job.Component {
	t.Helper()
	list, err := e.Components(t.Context(), environment)
	require.NoError(t, err)
	return list
}

func directory(t *testing.T, text string) string {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "production.json"), []byte(text), 0o600))
	return dir
}

func TestSourcesOfApplications(t *testing.T) {
	fromStore, err := stored(t.Context(), "")
	require.NoError(t, err)
	const other = `{"applications":{"Other[o]":{"Part[o]":{"node":"o"}}}}`
	fromFile := []job.Component{{Type: "Other", Title: "o", Ref: "Part[o]", Certname: "o"}}
	for name, c := range map[string]struct {
		version string // of the server; none: there is no server
		status  int
		file    string
		want    []job.Component
		asked   bool
	}{
		"catalogs":                                  {want: fromStore},
		"file ahead of catalogs":                    {file: other, want: fromFile},
		"an empty file":                             {file: `{"applications":{}}`, want: []job.Component{}},
		"server ahead of file":                      {version: "6.24.0", status: 200, file: other, want: ofShop(), asked: true},
		"Puppet 7 has no applications":              {version: "7.32.1", status: 200, file: other, want: fromFile},
		"Puppet 8, without a file":                  {version: "8.0.0", status: 200, want: fromStore},
		"a server that does not tell its version":   {version: "none", status: 200, want: ofShop(), asked: true},
		"the path is not known":                     {version: "6.24.0", status: 404, file: other, want: fromFile, asked: true},
		"auth.conf lets nobody ask":                 {version: "6.24.0", status: 403, want: fromStore, asked: true},
		"what an older server says of a wrong path": {version: "4.10.0", status: 400, want: fromStore, asked: true},
	} {
		t.Run(name, func(t *testing.T) {
			var o *oracle
			if c.version != "" {
				o = newOracle(t, c.version, c.status, shop)
			}
			files := ""
			if c.file != "" {
				files = directory(t, c.file)
			}
			e := o.environments(t, files)
			require.Equal(t, c.want, components(t, e, "production"))
			if c.asked {
				require.Equal(t, []string{"/puppet/v3/environment/production"}, o.asked)
			} else if o != nil {
				require.Empty(t, o.asked)
			}
			require.Empty(t, components(t, e, "../production"), "no name of an environment")
		})
	}
	require.Equal(t, fromStore, components(t, (*oracle)(nil).environments(t, directory(t, other)), "test"), "the file is another environment's")
}

func TestGraphsAreKept(t *testing.T) {
	o := newOracle(t, "6.24.0", 200, shop)
	e := o.environments(t, "")
	require.Len(t, components(t, e, "production"), 2)
	o.body = `{"applications":{}}`
	o.now = o.now.Add(9 * time.Second)
	require.Len(t, components(t, e, "production"), 2)
	o.now = o.now.Add(time.Second)
	require.Empty(t, components(t, e, "production"))
	require.Len(t, o.asked, 2)

	o.body, o.now = shop, o.now.Add(time.Minute)
	require.Len(t, components(t, e, "production"), 2)
	o.status, o.now = 503, o.now.Add(time.Hour)
	require.Len(t, components(t, e, "production"), 2, "the last answer counts")
	o.status, o.body, o.now = 200, "[]", o.now.Add(time.Hour)
	require.Len(t, components(t, e, "production"), 2, "nonsense is no answer")

	_, err := e.Components(t.Context(), "test")
	require.ErrorContains(t, err, "read the applications that the Puppet Server tells", "there is no last answer: the order is not known")
	var refused *job.Error
	require.ErrorAs(t, err, &refused)
	require.Equal(t, http.StatusServiceUnavailable, refused.Status)
}

func TestBrokenFiles(t *testing.T) {
	for text, want := range map[string]string{
		`{"applications":`:                       "unexpected end of JSON input",
		`{"environment":"production"}`:           "applications is missing",
		`{"environment":"x","applications":{}}`:  `environment is "x" and not "production"`,
		`{"applications":{"Shop":{}}}`:           `applications has the name "Shop", which is not of the form Type[title]`,
		`{"applications":{"Shop[]":{}}}`:         `the name "Shop[]"`,
		`{"applications":{"S[x]":{"[x]":{}}}}`:   `applications.S[x] has the component "[x]"`,
		`{"applications":{"S[x]":{"C[x]":{}}}}`:  `applications.S[x].C[x].node is missing`,
		`{"applications":{"S[x]":{"C[x]":[1]}}}`: "cannot unmarshal array",
	} {
		dir := directory(t, text)
		_, err := (*oracle)(nil).environments(t, dir).Components(t.Context(), "production")
		require.ErrorContains(t, err, want, text)
		require.ErrorContains(t, err, filepath.Join(dir, "production.json"))
		var refused *job.Error
		require.ErrorAs(t, err, &refused)
		require.Equal(t, http.StatusServiceUnavailable, refused.Status)
	}
}

func TestWithoutStoredCatalogs(t *testing.T) {
	e, err := New(Config{Seen: func(context.Context) ([]string, error) { return nil, nil }})
	require.NoError(t, err)
	require.Empty(t, components(t, e, "production"))
	e, err = New(Config{
		Seen:   func(context.Context) ([]string, error) { return nil, nil },
		Stored: func(context.Context, string) ([]job.Component, error) { return nil, errors.New("the database is away") },
	})
	require.NoError(t, err)
	_, err = e.Components(t.Context(), "production")
	require.ErrorContains(t, err, "away")
}

func FuzzParseGraph(f *testing.F) {
	f.Add([]byte(shop))
	f.Add([]byte(`{"applications":{"A[b[c]]":{"D[]]":{"node":"n"}}}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		list, err := parseGraph(text, "production")
		for _, c := range list {
			require.NoError(t, err)
			require.NotEmpty(t, c.Certname)
			kind, title, ok := reference(c.Application())
			require.True(t, ok)
			require.Equal(t, c.Type, kind)
			require.Equal(t, c.Title, title)
		}
	})
}
