package docexample

import (
	"bufio"
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"dalang/cmd/internal/dalangtest"
)

// Runner runs the examples of pages.
type Runner struct {
	Binary string // the program; see dalangtest.Build
	Root   string // of the repository: corpora are loaded from below it
	Update bool   // write what is printed into the pages
}

// Page runs the examples of the page in file. A page without any is an error.
func (r *Runner) Page(t *testing.T, file string) {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	steps, err := parse(string(text))
	require.NoError(t, err, file)
	require.NotEmpty(t, steps, "%s has no examples", file)
	p := &pageRun{Runner: r, file: file, bindings: newBindings(), dir: r.directory(t)}
	defer func() { p.stop(t) }()
	printed := map[int]string{}
	for i, s := range steps {
		if out, ok := p.step(t, s); !ok {
			printed[i] = out
		}
	}
	if r.Update && len(printed) > 0 {
		require.NoError(t, os.WriteFile(file, []byte(rewrite(string(text), steps, printed)), 0o644))
	}
}

// directory makes the one that commands run in.
func (r *Runner) directory(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, ".curlrc"), []byte("silent\nshow-error\n"), 0o600))
	work := filepath.Join(dir, "work")
	require.NoError(t, os.MkdirAll(filepath.Join(work, "bin"), 0o700))
	require.NoError(t, os.Symlink(r.Binary, filepath.Join(work, "bin", "dalang")))
	return work
}

// pageRun is one page on its server.
type pageRun struct {
	*Runner
	file     string
	bindings *bindings
	dir      string
	server   *dalangtest.Server // nil: none yet
}

// step does one step. An example that prints something else than the page says
// answers that and false.
func (p *pageRun) step(t *testing.T, s step) (printed string, ok bool) {
	t.Helper()
	switch s.verb {
	case "serve":
		p.stop(t)
		p.start(t, strings.Fields(s.text)...)
		return "", true
	case "load":
		p.running(t)
		p.load(t, filepath.Join(p.Root, s.text))
		return "", true
	}
	p.running(t)
	p.server.Drain(t)
	out, err := p.bash(t, p.bindings.command(s.text))
	if s.verb == "run" {
		require.NoError(t, err, "%s:%d: %s\n%s", p.file, s.line, s.text, out)
		return "", true
	}
	if p.bindings.match(s.want, out) {
		return "", true
	}
	if p.Update {
		t.Logf("%s:%d: written anew", p.file, s.line)
		p.bindings.match(out, out) // later commands have these uuids
		return out, false
	}
	t.Errorf("%s:%d: $ %s\n--- the page says\n%s\n--- it prints\n%s\n", p.file, s.line, s.text, trim(s.want), trim(out))
	return out, false
}

func (p *pageRun) running(t *testing.T) {
	t.Helper()
	if p.server == nil {
		p.start(t)
	}
}

func (p *pageRun) start(t *testing.T, args ...string) {
	t.Helper()
	p.server = dalangtest.New(t, p.Binary, args...)
	for i, arg := range p.server.Args {
		p.server.Args[i] = strings.ReplaceAll(arg, dataPath, p.server.Data)
	}
	p.server.Start(t)
}

func (p *pageRun) stop(t *testing.T) {
	t.Helper()
	if p.server != nil {
		p.server.Stop(t)
	}
	p.server = nil
}

// dataPath is how pages call the server's data directory.
const dataPath = "/var/lib/dalang"

// bash runs a command and answers what it prints, with the address that pages
// have.
func (p *pageRun) bash(t *testing.T, command string) (string, error) {
	t.Helper()
	address := strings.NewReplacer("localhost:8080", p.server.Address, "127.0.0.1:8080", p.server.Address, dataPath, p.server.Data)
	cmd := exec.CommandContext(t.Context(), "bash", "-c", address.Replace(command))
	cmd.Dir = p.dir
	cmd.Env = []string{
		"HOME=" + filepath.Dir(p.dir), "PATH=" + filepath.Join(p.dir, "bin") + ":" + os.Getenv("PATH"),
		"LC_ALL=C.UTF-8", "TZ=UTC", "DALANG_SERVER=" + p.server.URL(""),
	}
	out, err := cmd.CombinedOutput()
	page := strings.NewReplacer(p.server.Address, "localhost:8080", p.server.Data, dataPath, filepath.Dir(p.dir), "~")
	return page.Replace(string(out)), err
}

// recorded is a line of a corpus.
type recorded struct {
	Command, Certname string
	Version           int
	Producer          string `json:"producer_timestamp"`
	Body              string
}

// load submits the commands of a corpus and waits until they are done.
func (p *pageRun) load(t *testing.T, corpus string) {
	t.Helper()
	data, err := os.ReadFile(corpus)
	require.NoError(t, err)
	lines := bufio.NewScanner(bytes.NewReader(data))
	lines.Buffer(nil, len(data)+1)
	for lines.Scan() {
		var c recorded
		require.NoError(t, json.Unmarshal(lines.Bytes(), &c), corpus)
		q := url.Values{"command": {c.Command}, "certname": {c.Certname}, "version": {strconv.Itoa(c.Version)}}
		if c.Producer != "" {
			q.Set("producer-timestamp", c.Producer)
		}
		res, err := http.Post(p.server.URL("/pdb/cmd/v1?"+q.Encode()), "application/json", strings.NewReader(c.Body))
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		require.Equal(t, http.StatusOK, res.StatusCode, "%s: %s of %s", corpus, c.Command, c.Certname)
	}
	require.NoError(t, lines.Err())
	p.server.Drain(t)
}
