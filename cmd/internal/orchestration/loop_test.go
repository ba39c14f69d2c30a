package orchestration

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// jobNode is a node of a job as a client sees it.
type jobNode struct {
	Name            string
	State           string
	TransactionUUID *string `json:"transaction_uuid"`
	Message         string
	Details         struct {
		Message   string
		ReportURL string `json:"report-url"`
		Metrics   map[string]int
		Detail    struct{ Kind, Msg string }
	}
	Result *struct {
		Hash    *string
		Status  string
		Metrics map[string]int
	}
}

// connected waits until so many agents are.
func (w *world) connected(t *testing.T, want int) {
	t.Helper()
	require.Eventually(t, func() bool {
		var list struct{ Items []struct{ Name string } }
		w.read(t, "/inventory", &list)
		return len(list.Items) == want
	}, 20*time.Second, 20*time.Millisecond, "the agents do not connect")
}

// cli runs `dalang job` as the operator and answers what it prints and its status.
func (w *world) cli(t *testing.T, args ...string) (string, int) {
	t.Helper()
	return w.program(t, append([]string{"job"}, args...)...)
}

// program runs a client of the program as the operator.
func (w *world) program(t *testing.T, args ...string) (string, int) {
	t.Helper()
	cert, key := w.ca.Path(operator+".pem"), w.ca.Path(operator+".key")
	cmd := exec.CommandContext(t.Context(), binary(t), append(args,
		"--server", "https://"+w.api, "--cert", cert, "--key", key, "--ca", w.ca.Path("ca.pem"))...)
	cmd.Env = []string{"HOME=" + t.TempDir(), "TZ=UTC", "PATH=" + os.Getenv("PATH")}
	out, err := cmd.CombinedOutput()
	require.NotNil(t, cmd.ProcessState, "%v", err)
	t.Logf("dalang %s: status %d\n%s", strings.Join(args, " "), cmd.ProcessState.ExitCode(), out)
	return string(out), cmd.ProcessState.ExitCode()
}

// TestTheWholeLoop: an operator runs Puppet on the nodes that a query finds;
// agents run it; reports come through PuppetDB's API and join the job.
func TestTheWholeLoop(t *testing.T) {
	w := newWorld(t, "--set", "orchestrator.pcp-timeout=300ms")
	nodes := map[string]*node{
		"web1.example.com": w.newNode(t, "web1.example.com", nil),
		"web2.example.com": w.newNode(t, "web2.example.com", func(n *node) { n.Status = "failed" }),
		"web3.example.com": w.newNode(t, "web3.example.com", func(n *node) { n.Noop = true }),
		"web4.example.com": w.newNode(t, "web4.example.com", func(n *node) { n.Breaks = true }),
		"web5.example.com": w.newNode(t, "web5.example.com", func(n *node) { n.Silent = true }),
	}
	for name, n := range nodes {
		w.facts(t, name, "production")
		n.start(t)
	}
	w.facts(t, "gone.example.com", "production")
	w.connected(t, len(nodes))

	out, status := w.cli(t, "run", "--query", `nodes[certname]{ certname ~ "example.com$" }`, "-e", "production", "--description", "the whole loop")
	require.Equal(t, 3, status, "some nodes failed")
	for _, line := range []string{
		`(?m)^Job 1: Puppet on 6 nodes in production\.$`,
		`(?m)^\d\d:\d\d:\d\d  web1\.example\.com +running$`,
		`(?m)^\d\d:\d\d:\d\d  web1\.example\.com +finished  3 of 80 changed$`,
		`(?m)^\d\d:\d\d:\d\d  web2\.example\.com +failed    0 of 80 changed, 1 failed, 2 skipped$`,
		`(?m)^\d\d:\d\d:\d\d  gone\.example\.com +errored   .*not connected`,
		`(?m)^web1\.example\.com  finished +[\d.]+m?s +3 +0 +0 +80$`,
		`(?m)^Job 1 failed in [\d.]+m?s: 3 finished, 1 failed, 2 errored\.$`,
	} {
		require.Regexp(t, regexp.MustCompile(line), out)
	}
	w.reportsJoin(t, nodes)
	w.rightFlags(t, nodes)
	w.moreJobs(t, nodes)
}

// reportsJoin looks at job 1 through the API.
func (w *world) reportsJoin(t *testing.T, nodes map[string]*node) {
	t.Helper()
	var list struct{ Items []jobNode }
	w.read(t, "/jobs/1/nodes?order_by=name", &list)
	require.Len(t, list.Items, 6)
	states := map[string]string{}
	for _, n := range list.Items {
		states[n.Name] = n.State
		if n.State != "finished" && n.State != "failed" {
			require.NotEmpty(t, n.Details.Detail.Msg, n.Name)
			continue
		}
		require.Equal(t, nodes[n.Name].counters(nodes[n.Name].Noop), n.Details.Metrics, n.Name)
		require.Equal(t, n.Details.Metrics, n.Result.Metrics)
		require.NotNil(t, n.TransactionUUID)
		if nodes[n.Name].Silent {
			require.Empty(t, n.Details.ReportURL, "its report never came")
			continue
		}
		require.Equal(t, *n.Result.Hash, w.reportAt(t, n.Details.ReportURL, n.Name), "the link leads to the report")
	}
	require.Equal(t, map[string]string{"web1.example.com": "finished", "web2.example.com": "failed", "web3.example.com": "finished",
		"web4.example.com": "errored", "web5.example.com": "finished", "gone.example.com": "errored"}, states)

	var events struct {
		Items []struct {
			ID, Type string
			Details  struct {
				Node   string
				Detail struct{ Noop bool }
			}
		}
	}
	w.read(t, "/jobs/1/events", &events)
	count := map[string]int{}
	for _, e := range events.Items {
		count[e.Type]++
		if e.Type == "node_finished" && e.Details.Node == "web3.example.com" {
			// The agent's answer does not tell; the report, if it comes first, does.
			t.Logf("noop of web3 in its event: %v", e.Details.Detail.Noop)
		}
	}
	require.Equal(t, map[string]int{"node_running": 5, "node_finished": 3, "node_failed": 1, "node_errored": 2, "job_finished": 1}, count)
	require.Equal(t, "job_finished", events.Items[len(events.Items)-1].Type)
}

// reportAt follows a report-url and answers the hash of what is there.
func (w *world) reportAt(t *testing.T, link, certname string) string {
	t.Helper()
	res, err := w.client.Get(link)
	require.NoError(t, err)
	defer res.Body.Close()
	require.Equal(t, http.StatusOK, res.StatusCode, link)
	var reports []struct {
		Hash, Certname string
		JobID          string `json:"job_id"`
	}
	require.NoError(t, json.NewDecoder(res.Body).Decode(&reports))
	require.Len(t, reports, 1)
	require.Equal(t, []string{certname, "1"}, []string{reports[0].Certname, reports[0].JobID})
	return reports[0].Hash
}

// rightFlags: each node ran once, as the command said.
func (w *world) rightFlags(t *testing.T, nodes map[string]*node) {
	t.Helper()
	for name, n := range nodes {
		runs := n.runs(t)
		require.Len(t, runs, 1, name)
		for _, flag := range []string{"agent ", "--onetime", "--no-daemonize", "--job-id 1", "--environment production"} {
			require.Contains(t, runs[0]+" ", flag, name)
		}
		require.NotContains(t, runs[0], "--noop")
	}
}

// moreJobs: noop for all, a job that is stopped, and the views.
func (w *world) moreJobs(t *testing.T, nodes map[string]*node) {
	t.Helper()
	out, status := w.cli(t, "run", "--nodes", "web1.example.com,web3.example.com", "--noop", "--tags", "motd,ntp")
	require.Zero(t, status)
	require.Regexp(t, `(?m)^web1\.example\.com  finished \(noop\) +[\d.]+m?s +0 +0 +0 +80$`, out)
	run := nodes["web1.example.com"].runs(t)[1]
	require.Contains(t, run, "--noop")
	require.Contains(t, run, "--tags motd,ntp")
	require.NotContains(t, run, "--environment")

	out, status = w.cli(t, "run", "--nodes", "gone.example.com", "--detach", "-e", "production")
	require.Zero(t, status)
	require.Equal(t, "3\n", out)
	_, status = w.cli(t, "stop", "3", "--force")
	require.Zero(t, status)
	_, status = w.cli(t, "watch", "3")
	require.Contains(t, []int{3, 4}, status, "stopped, or too late for that")
	out, _ = w.cli(t, "list")
	require.Regexp(t, `(?m)^ +1  failed +deploy .*3 finished, 1 failed, 2 errored  the whole loop$`, out)
	out, _ = w.cli(t, "nodes", "1", "--state", "failed")
	require.Regexp(t, `(?m)^web2\.example\.com  failed .*https?://.*/pdb/query/v4/reports\?query=`, out)
	out, status = w.cli(t, "show", "99")
	require.Equal(t, 2, status)
	require.Contains(t, out, "Unknown job 99")
}
