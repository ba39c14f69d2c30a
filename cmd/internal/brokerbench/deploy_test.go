package brokerbench

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dalang/cmd/internal/dalangtest"
)

const operator = "operator.example.com"

// TestDeploy runs Puppet on many nodes by query, while others' commands come
// in, clients read the job and hostile peers do what they can. Every node runs
// once and is told of truly. With DALANG_BENCH_NODES it prints what that costs.
func TestDeploy(t *testing.T) {
	nodes, longest, rate := setting(t, "DALANG_BENCH_NODES", 200), 800*time.Millisecond, 2
	large := os.Getenv("DALANG_BENCH_NODES") != ""
	if testing.Short() && !large {
		t.Skip("takes a while")
	}
	if large {
		longest = time.Duration(setting(t, "DALANG_BENCH_RUN_SECONDS", 60)) * time.Second
		rate = setting(t, "DALANG_BENCH_OTHERS", 3)
	}
	b := newBench(t, nodes)
	b.note("started")
	posts := newPoster(b.URL(""))
	require.NoError(t, posts.announce(nodes))
	b.Drain(t)
	b.note("nodes are known")
	sample := readSamples(t)
	before := b.look(t)
	agents := newFleet(t, b.pki, b.pcp, nodes, longest, &reporter{newPoster(b.URL("")), sample})
	defer agents.close()
	connected := b.look(t)
	b.note("%d agents connected, %.1f ms of CPU each; RSS %d MiB", nodes, per(connected.cpu-before.cpu, nodes), connected.rss>>20)

	ctx, cancel := context.WithCancel(t.Context())
	others := newPoster(b.URL(""))
	ingested := make(chan error, 1)
	go func() { ingested <- others.others(ctx, sample, rate) }()
	var alone float64 // CPU of ingestion alone, a second
	if large {
		time.Sleep(15 * time.Second)
		start, at := time.Now(), b.look(t)
		time.Sleep(30 * time.Second)
		alone = (b.look(t).cpu - at.cpu).Seconds() / time.Since(start).Seconds()
		b.note("others' commands before the job: submitted in %s; %.1f %% of a processor", others.times(), 100*alone)
	}
	others.times()
	b.deploy(t, agents, alone, others)
	cancel()
	require.NoError(t, <-ingested)
	b.Drain(t)
	b.check(t, agents)
	t.Log(strings.Join(b.notes, "\n"))
}

// bench is a server with listeners for agents and operators.
type bench struct {
	*dalangtest.Server
	pki      *pki
	pcp, api string // addresses
	operator identity
	client   *reader
	began    time.Time
	notes    []string
}

// newBench starts a server for deploys on so many nodes at a time; args are added
// to its command line.
func newBench(t *testing.T, nodes int, args ...string) *bench {
	t.Helper()
	b := &bench{began: time.Now(), pki: newPKI(t), pcp: dalangtest.FreeAddress(t), api: dalangtest.FreeAddress(t)}
	b.operator = b.pki.identity(t, operator)
	allowed := filepath.Join(t.TempDir(), "operators")
	require.NoError(t, os.WriteFile(allowed, []byte(operator+"\n"), 0o600))
	args = append(append(b.pki.files(t), args...), "--pcp-listen", b.pcp, "--orchestrator-listen", b.api,
		"--set", "rbac.certificate-allowlist="+allowed, "--set", "orchestrator.global-concurrent-compiles="+strconv.Itoa(nodes))
	b.Server = dalangtest.New(t, dalangtest.Build(t), args...)
	b.Start(t)
	t.Cleanup(func() {
		b.Stop(t)
		if file := os.Getenv("DALANG_BENCH_LOG"); file != "" {
			require.NoError(t, os.WriteFile(file, []byte(b.Log()), 0o600))
		}
	})
	client, err := b.operator.client()
	require.NoError(t, err)
	b.client = &reader{client, "https://" + b.api + "/orchestrator/v1"}
	return b
}

func (b *bench) note(format string, args ...any) {
	b.notes = append(b.notes, fmt.Sprintf("%5.1f s: ", time.Since(b.began).Seconds())+fmt.Sprintf(format, args...))
}

func (b *bench) look(t *testing.T) state { return look(t, b.Server) }

func per(d time.Duration, n int) float64 { return d.Seconds() * 1000 / float64(n) }

func setting(t *testing.T, name string, usual int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return usual
	}
	n, err := strconv.Atoi(text)
	require.NoError(t, err, name)
	return n
}

// deploy runs the job and notes what it took.
func (b *bench) deploy(t *testing.T, agents *fleet, alone float64, others *poster) {
	t.Helper()
	const body = `{"environment":"production","scope":{"query":"inventory[certname] { facts.fleet = \"bench\" }"}}`
	n, began, start := len(agents.agents), b.look(t), time.Now()
	res, err := b.client.client.Post(b.client.base+"/command/deploy", "application/json", strings.NewReader(body))
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, http.StatusAccepted, res.StatusCode)
	accepted := time.Now()
	b.note("202 after %.0f ms", accepted.Sub(start).Seconds()*1000)
	watching := newPoller(t, watch{URL: b.client.base, As: b.operator, Job: "1", Nodes: n, Every: 100 * time.Millisecond})
	halt := func() string { return " none" }
	if os.Getenv("DALANG_BENCH_HOSTILE") != "0" {
		halt = unleash(t, b.pki, b.pcp, b.api, "1", b.operator)
	}
	require.Eventually(t, func() bool {
		got, _, err := agents.ordered()
		require.NoError(t, err)
		return got >= n
	}, time.Minute+time.Duration(n)*20*time.Millisecond, 20*time.Millisecond, "not all nodes are asked")
	_, last, _ := agents.ordered()
	b.note("last request out %.2f s later; CPU of all of it %.2f s", last.Sub(accepted).Seconds(), (b.look(t).cpu - began.cpu).Seconds())
	var j struct{ State string }
	require.Eventually(t, func() bool {
		require.NoError(t, b.client.get("/jobs/1", &j))
		return j.State == "finished" || j.State == "failed"
	}, 5*time.Minute+2*agents.longest, 100*time.Millisecond, "the job does not end")
	ended := time.Now()
	end := b.look(t)
	took := ended.Sub(start)
	b.note("last node ended %.1f s after the 202; the longest run took %s", ended.Sub(accepted).Seconds(), agents.longest)
	own := (end.cpu - began.cpu).Seconds() - alone*took.Seconds()
	b.note("CPU %.1f s, without others' commands %.1f s: %.2f ms a node; RSS %d MiB, peak %d MiB, %d collections", (end.cpu - began.cpu).Seconds(), own,
		own*1000/float64(n), end.rss>>20, end.peak>>20, end.collections-began.collections)
	b.note("transactions of the engine: %d", end.commits-began.commits)
	b.note("hostile peers:%s", halt())
	seen := watching.end(t)
	for _, r := range seen.Reads {
		b.note("GET %s: %s; in the first %s %s", r.What, series{append(slices.Clone(r.First), r.Afterwards...)}, firstSeconds, series{r.First})
	}
	b.note("reports of the runs: submitted in %s", agents.reports.times())
	b.note("others' commands meanwhile: submitted in %s", others.times())
	got, _, err := agents.ordered()
	require.NoError(t, err, "a connection ended, or an agent was asked nonsense")
	require.Equal(t, n, got, "every node is asked once")
	require.Equal(t, 2*n+1, seen.Events, "whoever follows the events sees each of them once")
}

// check looks at what is told of each node.
func (b *bench) check(t *testing.T, agents *fleet) {
	t.Helper()
	type node struct {
		Name, State, Message string
		Details              struct {
			Metrics   map[string]int
			ReportURL string `json:"report-url"`
		}
	}
	var list struct{ Items []node }
	require.Eventually(t, func() bool {
		require.NoError(t, b.client.get("/jobs/1/nodes?order_by=name", &list))
		for _, n := range list.Items {
			if n.Details.ReportURL == "" {
				return false
			}
		}
		return true
	}, time.Minute, 100*time.Millisecond, "not all reports are joined")
	require.Len(t, list.Items, len(agents.agents))
	for i, n := range list.Items {
		a := agents.agents[i]
		want := "finished"
		if a.status() == "failed" {
			want = "failed"
		}
		require.Equal(t, a.certname, n.Name)
		require.Equal(t, want, n.State, "%s: %s", n.Name, n.Message)
		require.Equal(t, a.counters(), n.Details.Metrics, n.Name)
		a.mu.Lock()
		require.Len(t, a.runs, 1, n.Name)
		a.mu.Unlock()
	}
	var job struct {
		State string
		Nodes map[string]int `json:"node_states"`
	}
	require.NoError(t, b.client.get("/jobs/1", &job))
	failed := 0
	for _, a := range agents.agents {
		if a.status() == "failed" {
			failed++
		}
	}
	require.Equal(t, map[string]int{"finished": len(agents.agents) - failed, "failed": failed}, job.Nodes)
	require.False(t, bytes.Contains([]byte(b.Log()), []byte("level=ERROR")), "the server complains")
}
