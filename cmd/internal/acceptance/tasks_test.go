//go:build acceptance

package acceptance

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestOrchestratorFiles is what needs no Puppet Server: tasks and plans come
// from disk, and agents get their files from the server itself.
func TestOrchestratorFiles(t *testing.T) {
	w := newWorldOfFiles(t)
	t.Run("tasks", w.testTasks)
	t.Run("plan", w.testPlan)
	t.Run("resources", w.testResources)
	t.Run("SSH", w.testSSH)
}

// testTasks: tasks of Debian's modules, as they are packaged, on the agents.
func (w *world) testTasks(t *testing.T) {
	out, status := w.cli(t, "task", "list")
	require.Equal(t, 0, status)
	for _, name := range []string{"acceptance::look", "apache", "postgresql::sql"} {
		require.Regexp(t, `(?m)^`+name+` +yes$`, out)
	}
	out, _ = w.cli(t, "task", "show", "apache")
	require.Regexp(t, `(?m)^action +Enum\[reload\] +\(required\) +Action to perform$`, out)
	w.cli(t, "task", "show", "postgresql::sql")

	before := len(w.service.reloads(t))
	out, status = w.cli(t, "task", "run", "apache", "action=reload", "service_name="+w.service.name, "--nodes", "changes.example.com,looks.example.com")
	require.Equal(t, 0, status)
	require.Contains(t, out, `{"status":"reload successful"}`)
	require.Equal(t, []string{"0", "0"}, w.service.reloads(t)[before:], "both ran it as root")
	out, status = w.cli(t, "task", "run", "apache", "action=reload", "service_name=no-such-service", "--nodes", "changes.example.com")
	require.Equal(t, 3, status)
	require.Contains(t, out, "no-such-service: unrecognized service")
	out, status = w.cli(t, "task", "run", "apache", "action=restart", "--nodes", "changes.example.com")
	require.Equal(t, 2, status)
	require.Contains(t, out, "Enum[reload]")

	params := w.sqlParams(t, "SELECT 6 * 7 AS answer, current_user")
	out, status = w.cli(t, "task", "run", "postgresql::sql", "--params", "@"+params, "--nodes", "fails.example.com")
	require.Equal(t, 0, status)
	require.Regexp(t, `42 \| postgres`, out)
	require.Regexp(t, `42 \| postgres`, w.results(t, out)["fails.example.com"].Result["status"])
	out, status = w.cli(t, "task", "run", "postgresql::sql", "--params", "@"+w.sqlParams(t, "SELECT nothing"), "--nodes", "fails.example.com")
	require.Equal(t, 3, status)
	require.Contains(t, out, `column`)

	params, processes := lookParams(t)
	out, status = w.cli(t, "task", "run", "acceptance::look", "--params", "@"+params, "--nodes", "changes.example.com")
	require.Equal(t, 0, status)
	require.Contains(t, out, "  user root\n  token 18\n")
	require.NotContains(t, processes(), token)
	out, status = w.cli(t, "task", "run", "acceptance::shared", "--noop", "--nodes", "changes.example.com")
	require.Equal(t, 0, status)
	require.Contains(t, out, "  from a module\n  noop true\n")
}

// sqlParams is a file with params for postgresql::sql.
func (w *world) sqlParams(t *testing.T, sql string) string {
	t.Helper()
	// Without a password that task dies of nil.
	text, err := json.Marshal(map[string]any{"sql": sql, "host": w.database.socket, "user": "postgres", "database": "postgres", "password": "none"})
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "params.json")
	require.NoError(t, os.WriteFile(path, text, 0o600))
	return path
}

// token is a secret.
const token = "t0ps3cret-and-long"

// lookParams is a file with params for acceptance::look, and the command lines
// of all processes that it saw.
func lookParams(t *testing.T) (path string, processes func() string) {
	t.Helper()
	dir := openDir(t)
	require.NoError(t, os.Chmod(dir, 0o777)) // who runs it writes there
	seen := filepath.Join(dir, "processes")
	path = filepath.Join(t.TempDir(), "params.json")
	require.NoError(t, os.WriteFile(path, []byte(fmt.Sprintf(`{"token": %q, "into": %q}`, token, seen)), 0o600))
	return path, func() string {
		text, err := os.ReadFile(seen)
		require.NoError(t, err)
		require.Contains(t, string(text), "look.sh")
		return string(text)
	}
}

// nodeResult is what a job says of a node.
type nodeResult struct {
	Name, State, Transport string
	Result                 map[string]any
}

// results are those of the job that a command line has followed.
func (w *world) results(t *testing.T, out string) map[string]nodeResult {
	t.Helper()
	return w.jobResults(t, regexp.MustCompile(`(?m)^Job (\d+): `).FindStringSubmatch(out)[1])
}

func (w *world) jobResults(t *testing.T, name string) map[string]nodeResult {
	t.Helper()
	found := map[string]nodeResult{}
	for _, n := range get[struct{ Items []nodeResult }](t, w.ca, w.server, "/orchestrator/v1/jobs/"+name+"/nodes").Items {
		found[n.Name] = n
	}
	return found
}
