package orchestration

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// everyAnswer gets everything that can be got, as the list of routes has it,
// and calls fn with each answer. It answers how many were 200.
func (w *world) everyAnswer(t *testing.T, fn func(path string, body []byte)) int {
	t.Helper()
	list, err := os.ReadFile("../../../docs/api/routes.md")
	require.NoError(t, err)
	var names struct{ Items []struct{ Name, ID string } }
	numbers := func(path string) (all []string) {
		names.Items = nil
		w.read(t, path, &names)
		for _, i := range names.Items {
			if i.Name == "" {
				i.Name = i.ID
			}
			all = append(all, i.Name)
		}
		return all
	}
	jobs, plans, scheduled := numbers("/jobs"), numbers("/plan_jobs"), numbers("/scheduled_jobs/environment_jobs")
	require.NotEmpty(t, jobs)
	require.NotEmpty(t, plans)
	require.NotEmpty(t, scheduled)
	values := map[string][]string{"environment": {"production"}, "module": {"demo", "vault"}, "task": {"init", "greet", "stdin", "nested"},
		"plan": {"deploy", "tasks", "commands", "nested", "default", "puppet"}, "node": {"one.example.com", "switch.example.com"}, "target": {"1"}, "user": {"current"}, "role": {"1"},
		"group": {"00000000-0000-4000-8000-000000000000"}, "service": {"puppetdb-status", "orchestrator"}, "path": {"", "/list", "tasks/vault/stdin.sh?environment=production"}}
	good, paths := 0, map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| ([A-Zany, ]+) \\| `([^`]+)` \\|").FindAllStringSubmatch(string(list), -1) {
		if m[1] != "any" && !strings.Contains(m[1], "GET") {
			continue
		}
		here := values
		switch {
		case strings.Contains(m[2], "scheduled_jobs"):
			here = map[string][]string{"job": scheduled}
		case strings.Contains(m[2], "/jobs"):
			here = map[string][]string{"job": jobs}
		case strings.Contains(m[2], "/plan_jobs"):
			here = map[string][]string{"plan_job": plans, "event": {"1", "2", "3", "5", "8", "13"}}
		}
		for _, path := range fill(m[2], here) {
			if strings.HasPrefix(path, "/pcp") || paths[path] {
				continue // a websocket
			}
			if strings.Contains(path, "{") {
				require.True(t, strings.HasPrefix(path, "/pdb/"), "nobody says what to put into %s", path)
				continue
			}
			paths[path] = true
			status, body, header := w.get(t, path)
			fn(path, append(body, fmt.Sprint(header)...))
			if status == http.StatusOK {
				good++
			}
		}
	}
	return good
}

// get asks the listener that has a path.
func (w *world) get(t *testing.T, path string) (int, []byte, http.Header) {
	t.Helper()
	for _, prefix := range []string{"/orchestrator", "/inventory/", "/rbac-api/", "/classifier-api/"} {
		if strings.HasPrefix(path, prefix) {
			return w.ask(t, http.MethodGet, path, "")
		}
	}
	res, err := http.Get(w.URL(path))
	require.NoError(t, err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return res.StatusCode, text, res.Header
}

// fill makes paths of a template.
func fill(path string, values map[string][]string) []string {
	before, rest, found := strings.Cut(path, "{")
	if !found {
		return []string{path}
	}
	name, after, _ := strings.Cut(rest, "}")
	if values[name] == nil {
		return []string{path}
	}
	var all []string
	for _, v := range values[name] {
		all = append(all, fill(before+v+after, values)...)
	}
	return all
}
