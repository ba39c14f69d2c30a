package content

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dalang/orchestrator/job"
	"dalang/orchestrator/task"
)

// lay writes files below a directory: path to content; "-> target" is a link.
func lay(t *testing.T, root string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		file := filepath.Join(root, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
		if target, ok := strings.CutPrefix(text, "-> "); ok {
			require.NoError(t, os.Symlink(target, file))
			continue
		}
		require.NoError(t, os.WriteFile(file, []byte(text), 0o644))
	}
}

func world(t *testing.T) (*Directory, string) {
	t.Helper()
	root := t.TempDir()
	lay(t, root, map[string]string{
		"secret": "hush",
		"environments/production/modules/facts/tasks/init.sh":     "#!/bin/sh\n",
		"environments/production/modules/facts/tasks/init.json":   `{"description":"Facts","parameters":{}}`,
		"environments/production/modules/facts/tasks/README.md":   "x",
		"environments/production/modules/facts/tasks/x.conf":      "x",
		"environments/production/modules/facts/tasks/Upper.sh":    "x",
		"environments/production/modules/facts/tasks/sub/deep.sh": "x",
		"environments/production/modules/pkg/tasks/linux.rb":      "ruby",
		"environments/production/modules/pkg/tasks/win.ps1":       "ps",
		"environments/production/modules/pkg/tasks/any.json":      `{"private":true,"implementations":[{"name":"win.ps1","requirements":["powershell"]},{"name":"linux.rb"}],"files":["pkg/files/","helper/lib/h.rb"]}`,
		"environments/production/modules/pkg/tasks/two.sh":        "x",
		"environments/production/modules/pkg/tasks/two.py":        "x",
		"environments/production/modules/pkg/tasks/none.json":     `{}`,
		"environments/production/modules/pkg/tasks/bad.json":      `{`,
		"environments/production/modules/pkg/tasks/bad.sh":        `x`,
		"environments/production/modules/pkg/tasks/lost.json":     `{"files":["nowhere/files/x"]}`,
		"environments/production/modules/pkg/tasks/lost.sh":       `x`,
		"environments/production/modules/pkg/tasks/leak.sh":       "-> ../../../../../secret",
		"environments/production/modules/pkg/files/a/b.txt":       "b",
		"environments/production/modules/pkg/files/c.txt":         "c",
		"environments/production/modules/pkg/files/out":           "-> ../../../../../secret",
		"environments/production/modules/pkg/scripts/s.sh":        "s",
		"environments/production/modules/pkg/manifests/init.pp":   "class pkg {}",
		"environments/production/modules/pkg/plans/init.yaml":     "description: Install\nsteps: []\n",
		"environments/production/modules/pkg/plans/deep/er.pp":    "plan pkg::deep::er() {}",
		"environments/production/modules/pkg/plans/Bad.pp":        "x",
		"environments/production/modules/pkg/plans/notes.md":      "x",
		"base/helper/lib/h.rb":                                    "h",
		"base/facts/tasks/other.sh":                               "shadowed",
		"environments/custom/environment.conf":                    "modulepath = site:$basemodulepath:$nosuch/x\n",
		"environments/custom/site/only/tasks/init.rb":             "x",
		"environments/custom/modules/hidden/tasks/init.rb":        "x",
	})
	return NewDirectory(DirectoryConfig{Path: []string{filepath.Join(root, "nosuch"), filepath.Join(root, "environments")},
		BaseModulePath: []string{filepath.Join(root, "base")}}), root
}

func names(entries []Entry) (all []string) {
	for _, e := range entries {
		all = append(all, e.Name)
	}
	return all
}

func sha(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

func TestDirectoryLists(t *testing.T) {
	d, _ := world(t)
	tasks, code, err := d.Tasks(t.Context(), "production")
	require.NoError(t, err)
	require.Empty(t, code)
	require.Equal(t, []string{"facts", "pkg::any", "pkg::bad", "pkg::linux", "pkg::lost", "pkg::none", "pkg::two", "pkg::win"}, names(tasks))
	require.Equal(t, Entry{"facts", false, "Facts"}, tasks[0])
	require.True(t, tasks[1].Private)
	plans, err := d.Plans(t.Context(), "production")
	require.NoError(t, err)
	require.Equal(t, []Entry{{Name: "pkg", Description: "Install"}, {Name: "pkg::deep::er"}}, plans)
	tasks, _, err = d.Tasks(t.Context(), "custom")
	require.NoError(t, err)
	require.Equal(t, []string{"facts::other", "only"}, names(tasks), "environment.conf decides")
	for _, environment := range []string{"nosuch", "../environments/production", "", "."} {
		_, _, err = d.Tasks(t.Context(), environment)
		require.ErrorIs(t, err, job.UnknownEnvironment(""), environment)
		_, err = d.Plans(t.Context(), environment)
		require.ErrorIs(t, err, job.UnknownEnvironment(""), environment)
	}
}

func TestDirectoryTask(t *testing.T) {
	d, _ := world(t)
	got, err := d.Task(t.Context(), "production", "facts")
	require.NoError(t, err)
	require.Equal(t, []task.File{{Filename: "init.sh", SHA256: sha("#!/bin/sh\n"), Size: 10,
		URI: task.URI{Path: "/puppet/v3/file_content/tasks/facts/init.sh", Params: map[string]string{"environment": "production"}}}}, got.Files)
	got, err = d.Task(t.Context(), "production", "pkg::any")
	require.NoError(t, err)
	var files []string
	for _, f := range got.Files {
		files = append(files, f.Filename+" "+f.URI.Path)
	}
	require.Equal(t, []string{"win.ps1 /puppet/v3/file_content/tasks/pkg/win.ps1", "linux.rb /puppet/v3/file_content/tasks/pkg/linux.rb",
		"helper/lib/h.rb /puppet/v3/file_content/plugins/h.rb", "pkg/files/a/b.txt /puppet/v3/file_content/modules/pkg/a/b.txt",
		"pkg/files/c.txt /puppet/v3/file_content/modules/pkg/c.txt"}, files, "executables first; a link is no file")

	for name, kind := range map[string]string{"pkg::two": task.KindMultipleImplementations, "pkg::none": task.KindMissingImplementation,
		"pkg::bad": task.KindUnparseableMetadata, "pkg::lost": task.KindInvalidFile} {
		_, err := d.Task(t.Context(), "production", name)
		var e *task.Error
		require.ErrorAs(t, err, &e, name)
		require.Equal(t, kind, e.Kind, name)
		require.Contains(t, e.Msg, name)
	}
	for _, name := range []string{"nosuch", "facts::nosuch", "pkg::leak", "../pkg", "facts::../init", "", "a::b::c"} {
		_, err := d.Task(t.Context(), "production", name)
		require.ErrorIs(t, err, job.UnknownTask("", ""), name)
	}
}

func TestDirectoryNoticesChanges(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	d, root := world(t)
	d.cfg.Now = func() time.Time { return now }
	before, err := d.Task(t.Context(), "production", "facts")
	require.NoError(t, err)
	lay(t, root, map[string]string{"environments/production/modules/facts/tasks/init.sh": "longer than it was\n",
		"environments/production/modules/fresh/tasks/init.sh": "x"})
	after, err := d.Task(t.Context(), "production", "facts")
	require.NoError(t, err)
	require.Equal(t, sha("longer than it was\n"), after.Files[0].SHA256)
	_, err = d.Task(t.Context(), "production", "fresh")
	require.ErrorIs(t, err, job.UnknownTask("", ""), "modules are listed again after a while")
	now = now.Add(30 * time.Second)
	_, err = d.Task(t.Context(), "production", "fresh")
	require.NoError(t, err)

	r, err := d.Open(t.Context(), before.Files[0])
	require.NoError(t, err)
	_, err = io.ReadAll(r)
	require.ErrorIs(t, err, ErrChanged)
	require.NoError(t, r.Close())
	r, err = d.Open(t.Context(), after.Files[0])
	require.NoError(t, err)
	text, err := io.ReadAll(r)
	require.NoError(t, err)
	require.Equal(t, "longer than it was\n", string(text))
	require.NoError(t, r.Close())
}

func TestDirectoryPlan(t *testing.T) {
	d, _ := world(t)
	p, err := d.Plan(t.Context(), "production", "pkg")
	require.NoError(t, err)
	require.Equal(t, "pkg .yaml description: Install\nsteps: []\n", p.Name+" "+p.Ext+" "+string(p.Text))
	p, err = d.Plan(t.Context(), "production", "pkg::deep::er")
	require.NoError(t, err)
	require.Equal(t, ".pp", p.Ext)
	for _, name := range []string{"nosuch", "pkg::nosuch", "pkg::../../secret", "pkg::Bad", ""} {
		_, err := d.Plan(t.Context(), "production", name)
		require.ErrorIs(t, err, job.UnknownPlan("", ""), name)
	}
}

// TestAliases: what the types of modules stand for, as far as secrets go.
func TestAliases(t *testing.T) {
	d, root := world(t)
	const types = "environments/production/modules/pkg/types/"
	lay(t, root, map[string]string{
		types + "password.pp":    "# A type: Sensitive\n# @summary x\ntype Pkg::Password = Sensitive[String[1]] # and nothing else\n",
		types + "login.pp":       "type Pkg::Login = Struct[{\n  user => String, # who\n  pw   => Optional[Pkg::Password],\n}]\n",
		types + "deep/secret.pp": "type Pkg::Deep::Secret = Array[Pkg::Login]\n",
		types + "loop.pp":        "type Pkg::Loop = Variant[String, Array[Pkg::Loop]]\n",
		types + "port.pp":        "# Sensitive\ntype Pkg::Port = Integer[1, 65535]\n",
		types + "strange.pp":     "type Pkg::Strange = Sensitive[String] + 1\n",
		types + "other.pp":       "type Pkg::Another = Sensitive\n",
		types + "out.pp":         "-> ../../../../../secret",
		"environments/production/modules/pkg/tasks/typed.json": `{"parameters":{"a":{"type":"Pkg::Login"},"b":{"type":"Pkg::Port"},"c":{"type":"Optional[Pkg::Deep::Secret]","default":["x"]}}}`,
		"environments/production/modules/pkg/tasks/typed.sh":   "x",
	})
	p, err := d.Plan(t.Context(), "production", "pkg")
	require.NoError(t, err)
	for name, want := range map[string]bool{"Pkg::Password": true, "Pkg::Login": true, "Pkg::Deep::Secret": true, "Pkg::Strange": true, "Pkg::Loop": false,
		"Pkg::Port": false, "Pkg::Other": false, "Pkg::Out": false, "Pkg::Nosuch": false, "Nosuch::Password": false, "Password": false} {
		of := p.Alias(name)
		require.Equal(t, want, of != nil && of.Sensitive(), name)
	}
	found, err := d.Task(t.Context(), "production", "pkg::typed")
	require.NoError(t, err)
	for _, q := range found.Metadata.Parameters {
		require.Equal(t, q.Name != "b", q.Sensitive, q.Name)
	}
	shown, err := found.Metadata.Shown()
	require.NoError(t, err)
	require.Contains(t, string(shown), `"default":null`)
}

func TestServeHTTP(t *testing.T) {
	d, _ := world(t)
	for _, c := range []struct {
		path   string
		status int
		text   string
	}{
		{"/puppet/v3/file_content/tasks/facts/init.sh?environment=production", 200, "#!/bin/sh\n"},
		{"/puppet/v3/file_content/modules/pkg/a/b.txt?environment=production", 200, "b"},
		{"/puppet/v3/file_content/scripts/pkg/s.sh?environment=production", 200, "s"},
		{"/puppet/v3/file_content/plugins/h.rb?environment=production", 200, "h"},
		{"/puppet/v3/file_content/tasks/facts/init.sh", 400, "environment is missing"},
		{"/puppet/v3/file_content/tasks/facts/init.sh?environment=nosuch", 404, "Unknown environment"},
		{"/puppet/v3/file_content/tasks/facts/nosuch?environment=production", 404, "Not Found"},
		{"/puppet/v3/file_content/tasks/nosuch/init.sh?environment=production", 404, "Not Found"},
		{"/puppet/v3/file_content/manifests/pkg/init.pp?environment=production", 404, "Not Found"},
		{"/puppet/v3/file_content/modules/pkg/a?environment=production", 404, "Not Found"},
		{"/puppet/v3/file_content/modules/pkg/out?environment=production", 404, "Not Found"},
		{"/puppet/v3/file_content/tasks/pkg/leak.sh?environment=production", 404, "Not Found"},
		{"/puppet/v3/file_content/modules/pkg/..%2f..%2f..%2f..%2f..%2fsecret?environment=production", 404, "Not Found"},
		{"/puppet/v3/file_content/modules/pkg/%2e%2e/manifests/init.pp?environment=production", 404, "Not Found"},
		{"/puppet/v3/file_content/plugins/..%2f..%2f..%2fsecret?environment=production", 404, "Not Found"},
		{"/puppet/v3/file_content/plugins?environment=production", 404, "Not Found"},
	} {
		r := httptest.NewRequest(http.MethodGet, c.path, nil)
		w := httptest.NewRecorder()
		d.ServeHTTP(w, r)
		require.Equal(t, c.status, w.Code, c.path)
		require.Contains(t, w.Body.String(), c.text, c.path)
		require.NotContains(t, w.Body.String(), "hush", c.path)
	}
}

// TestServer: a Puppet Server's answers, in the forms that 7.9 gives.
func TestServer(t *testing.T) {
	const sumOfX = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"
	answers := map[string]struct {
		status int
		body   string
	}{
		"/puppet/v3/tasks":                     {200, `[{"name":"b","private":true,"environment":[{"name":"production","code_id":null}]},{"name":"a::x","private":false,"description":"A","environment":[{"name":"production","code_id":"c1"}]}]`},
		"/puppet/v3/tasks/a/x":                 {200, `{"metadata":{"description":"A"},"name":"a::x","files":[{"filename":"x.sh","sha256":"` + strings.ToUpper(sumOfX) + `","size_bytes":1,"uri":{"path":"/puppet/v3/file_content/tasks/a/x.sh","params":{"environment":"production","code_id":null}}}]}`},
		"/puppet/v3/tasks/b/init":              {500, `{"kind":"puppet.tasks/invalid-metadata","msg":"bad","details":{}}`},
		"/puppet/v3/tasks/c/init":              {404, `Could not find module 'c'`},
		"/puppet/v3/tasks/d/init":              {403, `Forbidden request`},
		"/puppet/v3/tasks/e/init":              {200, `<html>`},
		"/puppet/v3/plans":                     {403, `Forbidden request`},
		"/puppet/v3/file_content/tasks/a/x.sh": {200, `x`},
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("environment") == "gone" {
			http.Error(w, "Could not find environment 'gone'", http.StatusNotFound)
			return
		}
		a, ok := answers[r.URL.Path]
		require.True(t, ok, r.URL.Path)
		require.Equal(t, url.Values{"environment": {"production"}}, r.URL.Query())
		w.WriteHeader(a.status)
		_, _ = io.WriteString(w, a.body)
	}))
	defer server.Close()
	s := NewServer(ServerConfig{URL: server.URL + "/", Client: server.Client()})
	tasks, code, err := s.Tasks(t.Context(), "production")
	require.NoError(t, err)
	require.Equal(t, []Entry{{"a::x", false, "A"}, {"b", true, ""}}, tasks)
	require.Equal(t, "c1", code)
	got, err := s.Task(t.Context(), "production", "a::x")
	require.NoError(t, err)
	require.Equal(t, []task.File{{Filename: "x.sh", SHA256: sumOfX, Size: 1, URI: task.URI{Path: "/puppet/v3/file_content/tasks/a/x.sh",
		Params: map[string]string{"environment": "production"}}}}, got.Files, "no parameter is null, digits are lower-case")
	r, err := s.Open(t.Context(), got.Files[0])
	require.NoError(t, err)
	text, err := io.ReadAll(r)
	require.NoError(t, err)
	require.Equal(t, "x", string(text))
	require.NoError(t, r.Close())

	var bad *task.Error
	_, err = s.Task(t.Context(), "production", "b")
	require.ErrorAs(t, err, &bad)
	require.Equal(t, "puppet.tasks/invalid-metadata", bad.Kind)
	for name, want := range map[string]error{"c": job.UnknownTask("", ""), "A/../x": job.UnknownTask("", ""), "d": job.Unavailable(context.Canceled), "e": job.Unavailable(context.Canceled)} {
		_, err = s.Task(t.Context(), "production", name)
		require.ErrorIs(t, err, want, name)
	}
	_, _, err = s.Tasks(t.Context(), "gone")
	require.ErrorIs(t, err, job.UnknownEnvironment(""))
	_, err = s.Plans(t.Context(), "production")
	require.ErrorIs(t, err, job.Unavailable(context.Canceled))
	server.Close()
	_, _, err = s.Tasks(t.Context(), "production")
	require.NoError(t, err, "it is known")
	_, _, err = s.Tasks(t.Context(), "other")
	require.ErrorIs(t, err, job.Unavailable(context.Canceled))
}
