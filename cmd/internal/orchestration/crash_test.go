package orchestration

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"dalang/orchestrator/agent"
	"dalang/orchestrator/agent/action"
	"dalang/orchestrator/agent/pki"
)

// agentsOrder is what the agents of one process are.
type agentsOrder struct {
	Binary string // whose `agent worker` runs things
	Nodes  []string
}

// runAgents runs the agents of several nodes in this process, until it is killed.
func runAgents(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var order agentsOrder
	if err := json.Unmarshal(text, &order); err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(context.Background())
	for _, dir := range order.Nodes {
		text, err := os.ReadFile(filepath.Join(dir, "node.json"))
		if err != nil {
			return err
		}
		var n node
		if err := json.Unmarshal(text, &n); err != nil {
			return err
		}
		a, err := agent.New(agent.Config{
			Brokers: []string{n.Broker}, Data: n.Data, Worker: []string{order.Binary, "agent", "worker"},
			Settings: action.Settings{Puppet: n.file("puppet"), PrimaryURIs: []string{n.Files},
				Files: pki.Files{CA: n.CA, Cert: n.Cert, Key: n.Key}},
			Pause: 50 * time.Millisecond, MaxPause: 500 * time.Millisecond,
			Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
		})
		if err != nil {
			return err
		}
		group.Go(func() error { return a.Run(ctx) })
	}
	return group.Wait()
}

// host is a process with the agents of some nodes.
type host struct {
	order string // file
	cmd   *exec.Cmd
	log   string // file
}

func newHost(t *testing.T, dir string, binary string, nodes []*node) *host {
	t.Helper()
	order := agentsOrder{Binary: binary}
	for _, n := range nodes {
		order.Nodes = append(order.Nodes, n.Dir)
	}
	text, err := json.Marshal(order)
	require.NoError(t, err)
	h := &host{order: filepath.Join(dir, nodes[0].Certname+".json"), log: filepath.Join(dir, nodes[0].Certname+".log")}
	require.NoError(t, os.WriteFile(h.order, text, 0o600))
	return h
}

func (h *host) start(t *testing.T) {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	log, err := os.OpenFile(h.log, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	require.NoError(t, err)
	defer log.Close()
	h.cmd = exec.Command(self)
	h.cmd.Env = append(os.Environ(), agentsOf+"="+h.order)
	h.cmd.Stdout, h.cmd.Stderr = log, log
	require.NoError(t, h.cmd.Start())
}

// kill is kill -9 of the agents; what they run goes on.
func (h *host) kill() {
	_ = h.cmd.Process.Kill()
	_ = h.cmd.Wait() // killed
}

// number is a setting of the test.
func number(t *testing.T, name string, usual int) int {
	t.Helper()
	if text := os.Getenv(name); text != "" {
		n, err := strconv.Atoi(text)
		require.NoError(t, err, name)
		return n
	}
	return usual
}

// TestKills kills the server and agents at random during a job: every node runs
// exactly once and ends in the right state, and nothing happens twice. `make
// crash-orchestrator` does it with 200 nodes.
func TestKills(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a while")
	}
	nodes, kills := number(t, "DALANG_CRASH_NODES", 10), number(t, "DALANG_CRASH_JOB_KILLS", 4)
	seed := uint64(number(t, "DALANG_CRASH_SEED", int(time.Now().UnixNano()%1_000_000)))
	t.Logf("DALANG_CRASH_SEED=%d", seed)
	chance := rand.New(rand.NewPCG(seed, seed))
	w := newWorld(t, "--log-level", "warn", "--set", "orchestrator.global-concurrent-compiles="+strconv.Itoa(max(3, nodes/6)))
	all := make([]*node, nodes)
	for i := range all {
		all[i] = w.newNode(t, fmt.Sprintf("node%03d.example.com", i), func(n *node) {
			n.Takes = time.Duration(50+chance.IntN(150*kills)) * time.Millisecond
			n.Status = []string{"changed", "unchanged", "failed"}[chance.IntN(3)]
			n.Silent = chance.IntN(4) == 0
		})
		w.facts(t, all[i].Certname, "production")
	}
	hosts := w.hosts(t, all)
	w.connected(t, nodes)
	out, status := w.cli(t, "run", "--detach", "--query", `nodes[certname]{ certname ~ "^node" }`)
	require.Zero(t, status)
	require.Equal(t, "1\n", out)
	ended := func() bool {
		var j struct{ State string }
		w.read(t, "/jobs/1", &j)
		return j.State == "finished" || j.State == "failed"
	}
	killed := 0
	for ; killed < kills && !ended(); killed++ {
		time.Sleep(time.Duration(100+chance.IntN(500)) * time.Millisecond) // something shall have happened
		if chance.IntN(3) == 0 {
			w.Kill(t)
			w.Start(t)
			continue
		}
		h := hosts[chance.IntN(len(hosts))]
		h.kill()
		h.start(t)
	}
	t.Logf("killed %d times during the job", killed)
	require.Greater(t, killed, kills/3, "the job ended too soon to be disturbed")
	require.Eventually(t, ended, 4*time.Minute, 200*time.Millisecond, "the job does not end")
	w.Drain(t)
	w.onceEach(t, all)
}

// hosts runs the agents of the nodes, some in a process.
func (w *world) hosts(t *testing.T, all []*node) []*host {
	t.Helper()
	dir := t.TempDir()
	var hosts []*host
	const together = 8
	for first := 0; first < len(all); first += together {
		h := newHost(t, dir, binary(t), all[first:min(first+together, len(all))])
		h.start(t)
		hosts = append(hosts, h)
	}
	t.Cleanup(func() {
		for _, h := range hosts {
			h.kill()
			if log, err := os.ReadFile(h.log); err == nil && t.Failed() {
				t.Logf("%s:\n%s", h.order, log)
			}
		}
	})
	return hosts
}

// onceEach: each node ran once, ended as its puppet did, and everything that
// happened is told once.
func (w *world) onceEach(t *testing.T, all []*node) {
	t.Helper()
	var list struct{ Items []jobNode }
	w.read(t, "/jobs/1/nodes?order_by=name", &list)
	require.Len(t, list.Items, len(all))
	for i, n := range list.Items {
		want := "finished"
		if all[i].Status == "failed" {
			want = "failed"
		}
		require.Equal(t, want, n.State, "%s: %s %s", n.Name, n.Message, n.Details.Detail.Msg)
		require.Len(t, all[i].runs(t), 1, "%s ran more than once, or never", n.Name)
		require.Equal(t, all[i].counters(false), n.Details.Metrics, n.Name)
		if !all[i].Silent {
			require.NotEmpty(t, n.Details.ReportURL, n.Name)
		}
	}
	var events struct {
		Items []struct {
			ID, Type string
			Details  struct{ Node string }
		}
	}
	w.read(t, "/jobs/1/events", &events)
	told, ids := map[string]int{}, map[string]bool{}
	for _, e := range events.Items {
		told[e.Details.Node+" "+e.Type]++
		require.False(t, ids[e.ID], "event %s is there twice", e.ID)
		ids[e.ID] = true
	}
	for _, n := range list.Items {
		require.Equal(t, 1, told[n.Name+" node_running"], n.Name)
		require.Equal(t, 1, told[n.Name+" node_"+n.State], n.Name)
	}
	require.Len(t, events.Items, 2*len(all)+1, "and nothing else happened")
	require.Equal(t, "job_finished", events.Items[len(events.Items)-1].Type)
}
