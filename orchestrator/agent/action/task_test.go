package action

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dalang/orchestrator/agent/pki"
	"dalang/orchestrator/agent/pki/pkitest"
)

// fileServer serves files by path, to holders of certificates.
type fileServer struct {
	url   string
	files map[string]string
	node  pki.Files
	hits  atomic.Int64
	fail  atomic.Int64 // so many requests are answered 503
}

func serveFiles(t *testing.T) *fileServer {
	ca := pkitest.New(t)
	f := &fileServer{files: map[string]string{}, node: ca.Issue("node")}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.hits.Add(1)
		content, ok := f.files[r.URL.Path]
		switch {
		case f.fail.Add(-1) >= 0:
			http.Error(w, "not now", http.StatusServiceUnavailable)
		case r.URL.Query().Get("environment") != "production" || !ok:
			http.NotFound(w, r)
		case content == "redirect":
			http.Redirect(w, r, "/elsewhere", http.StatusFound)
		default:
			_, _ = w.Write([]byte(content))
		}
	}))
	s.TLS = ca.Server(ca.Issue("server"))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	f.url = s.URL
	return f
}

// add serves a file and describes it for a request.
func (f *fileServer) add(name, content string) map[string]any {
	path := "/puppet/v3/file_content/tasks/" + name
	f.files[path] = content
	sum := sha256.Sum256([]byte(content))
	return map[string]any{
		"filename": name, "sha256": hex.EncodeToString(sum[:]), "size_bytes": len(content),
		"uri": map[string]any{"path": path, "params": map[string]string{"environment": "production"}},
	}
}

func (f *fileServer) order(t *testing.T, module, action string, params any) *Order {
	o := order(t, module, action, params)
	o.Settings.PrimaryURIs, o.Settings.Files = []string{f.url}, f.node
	return o
}

// show prints all that a task gets.
const show = `#!/bin/sh
echo "stdin $(cat)"
env | grep ^PT_ | sort
echo "args $*"
`

func TestTask(t *testing.T) {
	f := serveFiles(t)
	plain, other := f.add("init.sh", show), f.add("other.sh", "#!/bin/sh\necho other\n")
	f.add("lib/a.txt", "A")
	type m = map[string]any
	input := m{"name": "x", "n": 1.0, "list": []int{1}, "quote": `a"b`, "large": json.RawMessage("12345678901234567890")}
	const stdin = `stdin {"_task":"m","large":12345678901234567890,"list":[1],"n":1,"name":"x","quote":"a\"b"}`
	const variables = "PT__task=m\nPT_large=12345678901234567890\nPT_list=[1]\nPT_n=1\nPT_name=x\nPT_quote=a\"b\n"
	for name, c := range map[string]struct {
		params m
		want   string
		wrong  string
	}{
		"both":            {m{"files": []any{plain}}, stdin + "\n" + variables + "args \n", ""},
		"stdin":           {m{"files": []any{plain}, "metadata": m{"input_method": "stdin"}}, stdin + "\nargs \n", ""},
		"environment":     {m{"files": []any{plain}, "input_method": "environment"}, "stdin \n" + variables + "args \n", ""},
		"metadata beats":  {m{"files": []any{plain}, "metadata": m{}, "input_method": "stdin"}, stdin + "\n" + variables + "args \n", ""},
		"first file":      {m{"files": []any{other, plain}}, "other\n", ""},
		"implementation":  {m{"files": []any{plain, other}, "metadata": m{"implementations": []m{{"name": "x.ps1", "requirements": []string{"powershell"}}, {"name": "other.sh", "requirements": []string{"shell"}}}}}, "other\n", ""},
		"its method":      {m{"files": []any{plain}, "metadata": m{"input_method": "both", "implementations": []m{{"name": "init.sh", "input_method": "stdin"}}}}, stdin + "\nargs \n", ""},
		"feature":         {m{"files": []any{plain, other}, "metadata": m{"features": []string{"magic"}, "implementations": []m{{"name": "other.sh", "requirements": []string{"magic", "puppet-agent"}}}}}, "other\n", ""},
		"none matches":    {m{"files": []any{plain}, "metadata": m{"implementations": []m{{"name": "x", "requirements": []string{"powershell"}}}}}, "", "no implementation matches the features of this node: puppet-agent, shell"},
		"file is missing": {m{"files": []any{plain}, "metadata": m{"implementations": []m{{"name": "gone.sh"}}}}, "", "the request has no file gone.sh"},
		"bad method":      {m{"files": []any{plain}, "metadata": m{"input_method": "telepathy"}}, "", "unsupported task input method: telepathy"},
		"lib is missing":  {m{"files": []any{plain}, "metadata": m{"files": []string{"lib/b.txt"}}}, "", "the request has no file lib/b.txt"},
	} {
		t.Run(name, func(t *testing.T) {
			c.params["task"], c.params["input"] = "m", input
			r := do(t, f.order(t, "task", "run", c.params))
			if c.wrong != "" {
				require.Contains(t, r.Error, c.wrong)
				return
			}
			require.Equal(t, Result{Stdout: c.want}, r)
		})
	}
}

// TestInstallDir: files of the task lie beside it, and are gone afterwards.
func TestInstallDir(t *testing.T) {
	f := serveFiles(t)
	task := f.add("run.sh", "#!/bin/sh\ncd $PT__installdir && find . -type f | sort && cat mod/files/a.txt mod/lib/b.txt && echo $0\n")
	files := []any{task, f.add("mod/files/a.txt", "A"), f.add("mod/lib/b.txt", "B"), f.add("mod/lib/c/d.txt", "D"), f.add("unwanted.txt", "U")}
	o := f.order(t, "task", "run", map[string]any{
		"task": "mod::run", "input": map[string]any{}, "files": files,
		"metadata": map[string]any{"files": []string{"mod/files/a.txt", "mod/lib/"}, "implementations": []any{map[string]any{"name": "run.sh", "files": []string{"mod/files/a.txt"}}}},
	})
	dir := t.TempDir()
	r := Run(t.Context(), dir, o)
	require.Empty(t, r.Error)
	require.Equal(t, "./mod/files/a.txt\n./mod/lib/b.txt\n./mod/lib/c/d.txt\n./mod/tasks/run.sh\nAB"+dir+"/install/mod/tasks/run.sh\n", r.Stdout)
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, left)
}

// TestPowershell: the shim gets the task's path in the environment and its
// input on stdin. A stand-in for pwsh shows what it is called with.
func TestPowershell(t *testing.T) {
	f, bin := serveFiles(t), t.TempDir()
	write(t, filepath.Join(bin, "pwsh"), "#!/bin/sh\necho $DALANG_TASK_FILE; cat; echo; echo $6; env | grep -c ^PT_\n")
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	o := f.order(t, "task", "run", map[string]any{"task": "m", "input": map[string]any{"a": 1}, "files": []any{f.add("x.ps1", "Write-Output 1")}})
	r := do(t, o)
	require.Empty(t, r.Error)
	lines := strings.Split(r.Stdout, "\n")
	require.Equal(t, "x.ps1", filepath.Base(lines[0]))
	require.Equal(t, []string{`{"_task":"m","a":1}`, "-Command", "0", ""}, lines[1:])
}

func TestCheckTask(t *testing.T) {
	const file = `{"filename":"a","sha256":"0000000000000000000000000000000000000000000000000000000000000000","uri":{"path":"/p","params":{}}}`
	for params, wrong := range map[string]string{
		`{"task":"m","input":{},"files":[` + file + `]}`:                                                        "",
		`{"task":"m","input":{},"files":[` + file + `],"new":1}`:                                                "",
		`{"input":{},"files":[` + file + `]}`:                                                                   "task must be the name",
		`{"task":"../m","input":{},"files":[` + file + `]}`:                                                     "task must be the name",
		`{"task":"m","files":[` + file + `]}`:                                                                   "input must be an object",
		`{"task":"m","input":{},"files":[]}`:                                                                    "files must not be empty",
		`{"task":"m","input":[],"files":[` + file + `]}`:                                                        "cannot unmarshal",
		`{"task":"m","input":{},"files":[` + strings.Replace(file, `"a"`, `"../a"`, 1) + `]}`:                   `filename "../a" must be a relative path`,
		`{"task":"m","input":{},"files":[` + strings.Replace(file, `"a"`, `"/a"`, 1) + `]}`:                     `filename "/a" must be a relative path`,
		`{"task":"m","input":{},"files":[` + strings.Replace(file, `"a"`, `""`, 1) + `]}`:                       `filename "" must be a relative path`,
		`{"task":"m","input":{},"files":[` + strings.Replace(file, `"0000`, `"z000`, 1) + `]}`:                  "sha256 of a must be 64 hexadecimal digits",
		`{"task":"m","input":{},"files":[` + strings.Replace(file, `"/p"`, `""`, 1) + `]}`:                      "a has no uri.path",
		`{"task":"m","input":{},"files":[` + strings.Replace(file, `"params":{}`, `"params":{"a":1}`, 1) + `]}`: "cannot unmarshal",
	} {
		err := checkTask([]byte(params))
		if wrong == "" {
			require.NoError(t, err, params)
		} else {
			require.ErrorContains(t, err, wrong, params)
		}
	}
}

func TestFetch(t *testing.T) {
	f := serveFiles(t)
	plain := f.add("a.sh", "#!/bin/sh\necho ran\n")
	run := func(change func(o *Order)) Result {
		o := f.order(t, "task", "run", map[string]any{"task": "m", "input": map[string]any{}, "files": []any{plain}})
		if change != nil {
			change(o)
		}
		return do(t, o)
	}
	edit := func(from, to string) func(o *Order) {
		return func(o *Order) {
			require.Contains(t, string(o.Params), from)
			o.Params = json.RawMessage(strings.Replace(string(o.Params), from, to, 1))
		}
	}
	require.Equal(t, "ran\n", run(nil).Stdout)

	f.fail.Store(4)
	require.Equal(t, "ran\n", run(nil).Stdout, "the fifth attempt")
	f.fail.Store(5)
	require.Contains(t, run(nil).Error, "503 Service Unavailable: not now")
	f.fail.Store(1)
	require.Equal(t, "ran\n", run(func(o *Order) { o.Settings.PrimaryURIs = []string{f.url, f.url + "/"} }).Stdout, "the second server")

	hits := f.hits.Load()
	const path = "/puppet/v3/file_content/tasks/a.sh"
	for bad, want := range map[string]string{
		"/etc/passwd": "not below one of download-paths", "/puppet/v3/file_content/../../x": "not a plain absolute path",
		"//evil/puppet/v3/file_content/x": "not a plain absolute path", "https://evil/puppet/v3/file_content/x": "not a plain absolute path",
		"puppet/v3/file_content/x": "not below one", "/puppet/v3/file_content/%2e%2e/x": "not a plain absolute path", path + "?a": "not a plain absolute path",
	} {
		require.Contains(t, run(edit(path, bad)).Error, want, bad)
	}
	require.Contains(t, run(func(o *Order) { o.Settings.PrimaryURIs = nil }).Error, "no primary-uris")
	require.Equal(t, hits, f.hits.Load(), "none of them was asked for")

	require.Contains(t, run(func(o *Order) { o.Settings.PrimaryURIs = []string{strings.Replace(f.url, "https", "http", 1)} }).Error, "https only")
	require.Contains(t, run(func(o *Order) { o.Settings.Files = pkitest.New(t).Issue("node") }).Error, "certificate")
	f.files[path] = "redirect"
	require.Contains(t, run(nil).Error, "302 Found")
	f.files[path] = "something else"
	require.Contains(t, run(nil).Error, "its SHA-256 is")
}

// TestCache: a file is fetched once, and again when somebody has changed it.
func TestCache(t *testing.T) {
	f := serveFiles(t)
	o := f.order(t, "task", "run", map[string]any{"task": "m", "input": map[string]any{}, "files": []any{f.add("a.sh", "#!/bin/sh\necho ran\n")}})
	for range 3 {
		require.Equal(t, "ran\n", do(t, o).Stdout)
	}
	require.Equal(t, int64(1), f.hits.Load())
	cached, err := filepath.Glob(filepath.Join(o.Settings.Cache, "*", "a.sh"))
	require.NoError(t, err)
	require.Len(t, cached, 1)
	require.NoError(t, os.WriteFile(cached[0], []byte("#!/bin/sh\necho evil\n"), 0o755))
	require.Equal(t, "ran\n", do(t, o).Stdout)
	require.Equal(t, int64(2), f.hits.Load())

	require.NoError(t, Purge(o.Settings.Cache, time.Now().Add(-time.Hour)))
	require.FileExists(t, cached[0])
	require.NoError(t, Purge(o.Settings.Cache, time.Now().Add(time.Hour)))
	require.NoFileExists(t, cached[0])
	require.NoError(t, Purge(o.Settings.Cache+"x", time.Now()))
}

func TestScript(t *testing.T) {
	f := serveFiles(t)
	script := f.add("s.sh", "#!/bin/sh\nprintf '%s|' \"$@\"; exit 3\n")
	r := do(t, f.order(t, "script", "run", map[string]any{"script": script, "arguments": []string{"a b", "$c", ""}}))
	require.Equal(t, Result{ExitCode: 3, Stdout: "a b|$c||"}, r)
	for params, wrong := range map[string]string{
		`{"arguments":[]}`: "script is missing",
		`{"script":{"filename":"a","sha256":"","uri":{"path":"/"}},"arguments":[]}`: "sha256",
	} {
		require.ErrorContains(t, checkScript([]byte(params)), wrong)
	}
	o := f.order(t, "script", "run", map[string]any{"script": script})
	require.Equal(t, "invalid input: arguments is missing", do(t, o).Error)
	o = f.order(t, "script", "run", map[string]any{"script": script, "arguments": []string{"a\x00"}})
	require.Contains(t, do(t, o).Error, "NUL")
}

func TestDownload(t *testing.T) {
	f, dir := serveFiles(t), t.TempDir()
	entry := func(kind, destination string, more map[string]any) map[string]any {
		e := map[string]any{"kind": kind, "destination": filepath.Join(dir, destination), "sha256": "", "link_source": "", "uri": map[string]any{"path": "", "params": map[string]string{}}}
		for k, v := range more {
			e[k] = v
		}
		return e
	}
	params := map[string]any{"files": []any{
		entry("directory", "d", nil), entry("file", "d/deep/a.txt", f.add("a.txt", "A")), entry("symlink", "d/l", map[string]any{"link_source": "deep/a.txt"}),
	}}
	for range 2 { // it can be repeated
		require.Equal(t, Result{Stdout: "downloaded"}, do(t, f.order(t, "file", "download", params)))
	}
	content, err := os.ReadFile(filepath.Join(dir, "d/l"))
	require.NoError(t, err)
	require.Equal(t, "A", string(content))
	for wrong, e := range map[string]map[string]any{
		"is no directory":     entry("directory", "d/deep/a.txt", nil),
		"is no symbolic link": entry("symlink", "d/deep", map[string]any{"link_source": "x"}),
		"kind must be":        entry("fifo", "x", nil),
		"link_source":         entry("symlink", "x", nil),
		"absolute path":       {"kind": "directory", "destination": "x"},
		"SHA-256":             entry("file", "b.txt", func() map[string]any { x := f.add("b.txt", "B"); f.add("b.txt", "C"); return x }()),
	} {
		require.Contains(t, do(t, f.order(t, "file", "download", map[string]any{"files": []any{e}})).Error, wrong)
	}
}
