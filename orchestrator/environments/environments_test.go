package environments

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// world is a Puppet Server, a path, a database and a clock.
type world struct {
	status int
	body   string
	asked  atomic.Int64
	seen   []string
	now    time.Time
	server *httptest.Server
}

func newWorld(t *testing.T) *world {
	w := &world{status: 200, now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	w.server = httptest.NewServer(http.HandlerFunc(func(res http.ResponseWriter, r *http.Request) {
		w.asked.Add(1)
		require.Equal(t, "/puppet/v3/environments", r.URL.Path)
		res.WriteHeader(w.status)
		_, _ = res.Write([]byte(w.body))
	}))
	t.Cleanup(w.server.Close)
	return w
}

func (w *world) environments(t *testing.T, server bool, path ...string) *Environments {
	cfg := Config{Path: path, Seen: func(context.Context) ([]string, error) { return w.seen, nil }, Now: func() time.Time { return w.now }}
	if server {
		cfg.Server = w.server.URL + "/"
	}
	e, err := New(cfg)
	require.NoError(t, err)
	return e
}

func known(t *testing.T, e *Environments, name string) bool {
	t.Helper()
	ok, err := e.Known(t.Context(), name)
	require.NoError(t, err)
	return ok
}

func names(t *testing.T, e *Environments) (names []string) {
	t.Helper()
	list, err := e.List(t.Context())
	require.NoError(t, err)
	for _, env := range list {
		names = append(names, env.Name)
	}
	return names
}

const twoEnvironments = `{"search_paths":["/etc"],"environments":{"production":{"settings":{"modulepath":["/m"],"manifest":"/s"}},"test":{"settings":null}}}`

func TestSources(t *testing.T) {
	w := newWorld(t)
	w.body, w.seen = twoEnvironments, []string{"old", "production"}
	dir := t.TempDir()
	for _, name := range []string{"staging", "no.name"} {
		require.NoError(t, os.Mkdir(filepath.Join(dir, name), 0o700))
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "a_file"), nil, 0o600))
	require.NoError(t, os.Symlink(filepath.Join(dir, "staging"), filepath.Join(dir, "linked")))
	require.NoError(t, os.Symlink("nowhere", filepath.Join(dir, "dangling")))

	for name, c := range map[string]struct {
		server  bool
		path    []string
		list    []string
		known   []string
		unknown []string
	}{
		"what is stored": {list: []string{"old", "production"}, known: []string{"old", "production"}, unknown: []string{"test", "staging"}},
		"path":           {path: []string{"nowhere", dir}, list: []string{"linked", "old", "production", "staging"}, known: []string{"staging", "linked"}, unknown: []string{"old", "production", "no.name", "a_file", "..", ""}},
		"server":         {server: true, list: []string{"old", "production", "test"}, known: []string{"production", "test"}, unknown: []string{"old"}},
		"all": {server: true, path: []string{dir}, list: []string{"linked", "old", "production", "staging", "test"}, known: []string{"test"},
			unknown: []string{"staging", "old"}},
	} {
		t.Run(name, func(t *testing.T) {
			e := w.environments(t, c.server, c.path...)
			require.Equal(t, c.list, names(t, e))
			for _, name := range c.known {
				require.True(t, known(t, e, name), name)
			}
			for _, name := range c.unknown {
				require.False(t, known(t, e, name), name)
			}
		})
	}
	list, err := w.environments(t, true).List(t.Context())
	require.NoError(t, err)
	require.JSONEq(t, `{"modulepath":["/m"],"manifest":"/s"}`, string(list[1].Settings))
	require.Nil(t, list[2].Settings)
}

func TestAnswersAreKept(t *testing.T) {
	w := newWorld(t)
	w.body = twoEnvironments
	e := w.environments(t, true)
	require.Zero(t, w.asked.Load(), "nobody is asked before there is a question")
	require.True(t, known(t, e, "test"))
	w.body = `{"environments":{}}`
	w.now = w.now.Add(9 * time.Second)
	require.True(t, known(t, e, "test"))
	require.EqualValues(t, 1, w.asked.Load())
	w.now = w.now.Add(time.Second)
	require.False(t, known(t, e, "test"))
	require.EqualValues(t, 2, w.asked.Load())
}

func TestServerIsDown(t *testing.T) {
	w := newWorld(t)
	w.status, w.body, w.seen = 503, "restarting", []string{"production"}
	e := w.environments(t, true)
	_, err := e.Known(t.Context(), "production")
	require.ErrorContains(t, err, "answers /puppet/v3/environments with 503: restarting")
	require.Equal(t, []string{"production"}, names(t, e), "a list shows what is known without it")
	require.EqualValues(t, 1, w.asked.Load(), "it is not asked again at once")

	dir := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dir, "staging"), 0o700))
	require.True(t, known(t, w.environments(t, true, dir), "staging"), "the path counts where the server never answered")

	w.status, w.body, w.now = 200, twoEnvironments, w.now.Add(time.Minute)
	require.True(t, known(t, e, "test"))
	w.status, w.now = 500, w.now.Add(time.Hour)
	require.True(t, known(t, e, "test"), "the last answer counts")
	w.status, w.body, w.now = 200, "[]", w.now.Add(time.Hour)
	require.True(t, known(t, e, "test"), "nonsense is no answer")
}

func TestNew(t *testing.T) {
	_, err := New(Config{})
	require.ErrorContains(t, err, "Seen is required")
	for _, bad := range []string{"puppet:8140", "https://", "https://puppet/puppet/v3", "ftp://puppet", "https://puppet?x", "://"} {
		require.ErrorContains(t, CheckServer(bad), "such as https://", bad)
	}
	for _, good := range []string{"https://puppet.example.com:8140", "https://[::1]:8140/", "http://localhost"} {
		require.NoError(t, CheckServer(good), good)
	}
	e, err := New(Config{Seen: func(context.Context) ([]string, error) { return nil, errors.New("the database is away") }})
	require.NoError(t, err)
	_, err = e.Known(t.Context(), "a")
	require.ErrorContains(t, err, "away")
	_, err = e.List(t.Context())
	require.ErrorContains(t, err, "away")
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(twoEnvironments))
	f.Add([]byte(`{"environments":{"a":{"settings":[]}}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		told, err := parse(body)
		for name, env := range told {
			require.NoError(t, err)
			require.Equal(t, name, env.Name)
			require.True(t, env.Settings == nil || json.Valid(env.Settings))
		}
	})
}
