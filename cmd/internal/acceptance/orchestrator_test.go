//go:build acceptance

package acceptance

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"dalang/cmd/internal/dalangtest"
)

// operator is whose certificate may do everything.
const operator = "operator.example.com"

// manifest says what becomes of the three nodes.
const manifest = `
node 'changes.example.com' { notify { 'hello': } }
node 'fails.example.com'   { exec { '/bin/false': } notify { 'after': require => Exec['/bin/false'] } notify { 'beside': } }
node 'looks.example.com'   { notify { 'would say hello': } }
`

// TestOrchestrator is everything that needs a Puppet Server, on one.
func TestOrchestrator(t *testing.T) {
	w := newWorld(t, "--set", "orchestrator.schedule-warmup=1s")
	t.Run("Puppet", w.testPuppet)
	t.Run("tasks", w.testTasks)
	t.Run("plan", w.testPlan)
	t.Run("resources", w.testResources)
	t.Run("schedule", w.testSchedule)
	t.Run("SSH", w.testSSH)
}

// testPuppet is the whole loop with real Puppet: `dalang job run` has the
// agents of three nodes run Puppet, Puppet Server compiles their catalogs and
// sends their reports to the same program, and the job shows what they say.
func (w *world) testPuppet(t *testing.T) {
	// The first time nothing is known of the nodes: they are named.
	_, status := w.cli(t, "job", "run", "--nodes", strings.Join(nodes(), ","), "--environment", "production")
	require.Equal(t, 3, status, "one of them fails")
	w.server.Drain(t)
	// Now they can be found.
	out, status := w.cli(t, "job", "run", "--query", `nodes[certname]{ certname ~ "example.com" order by certname }`, "--environment", "production")
	require.Equal(t, 3, status)
	for _, line := range []string{
		`(?m)^changes\.example\.com  finished +[\dm.]+s +1 +0 +0 +\d+`,
		`(?m)^fails\.example\.com +failed +[\dm.]+s +1 +1 +1 +\d+`,
		`(?m)^looks\.example\.com +finished \(noop\) +[\dm.]+s +0 +0 +0 +\d+`,
	} {
		require.Regexp(t, line, out)
	}
	joined(t, w.ca, w.server)
	e := get[struct{ Items []struct{ Name string } }](t, w.ca, w.server, "/orchestrator/v1/environments")
	require.Equal(t, "production", e.Items[0].Name)
	_, status = w.cli(t, "job", "run", "--nodes", "changes.example.com", "--environment", "unheard_of")
	require.Equal(t, 2, status, "Puppet Server does not know the environment")
}

// joined looks at job 2 and follows its links.
func joined(t *testing.T, ca *dalangtest.Authority, server *dalang) {
	t.Helper()
	type nodeDoc struct {
		Name, State string
		Transaction string `json:"transaction_uuid"`
		Details     struct {
			ReportURL string `json:"report-url"`
			Metrics   map[string]int
		}
	}
	list := get[struct{ Items []nodeDoc }](t, ca, server, "/orchestrator/v1/jobs/2/nodes")
	require.Len(t, list.Items, 3)
	for _, n := range list.Items {
		require.NotEmpty(t, n.Details.ReportURL, n.Name)
		reports := get[[]struct {
			Certname, Status string
			JobID            string `json:"job_id"`
			Transaction      string `json:"transaction_uuid"`
			Noop             bool
			Metrics          struct {
				Data []struct {
					Category, Name string
					Value          float64
				}
			}
		}](t, ca, server, strings.TrimPrefix(n.Details.ReportURL, server.tls))
		require.Len(t, reports, 1)
		r := reports[0]
		require.Equal(t, []string{n.Name, "2", n.Transaction}, []string{r.Certname, r.JobID, r.Transaction})
		require.Equal(t, map[string]string{"changes.example.com": "changed", "fails.example.com": "failed", "looks.example.com": "unchanged"}[n.Name], r.Status)
		require.Equal(t, n.Name == "looks.example.com", r.Noop)
		for _, m := range r.Metrics.Data {
			if m.Category == "resources" {
				require.Equal(t, int(m.Value), n.Details.Metrics[m.Name], "%s: %s", n.Name, m.Name)
			}
		}
	}
}

// get reads a document over TLS.
func get[T any](t *testing.T, ca *dalangtest.Authority, server *dalang, path string) (v T) {
	t.Helper()
	res, err := ca.Client(t, operator).Get(server.tls + path)
	require.NoError(t, err)
	defer res.Body.Close()
	require.Equal(t, http.StatusOK, res.StatusCode, path)
	require.NoError(t, json.NewDecoder(res.Body).Decode(&v))
	return v
}
