package brokerbench

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dalang/orchestrator/pcp"
	"dalang/orchestrator/ssh/sshtest"
)

// manner is how an agent answers to an order to run a task.
type manner int

const (
	good    manner = iota
	silent         // never answers
	endless        // confirms, and never ends
	leaves         // confirms, and closes the connection for good
	garbage        // confirms, and sends what is no message
	huge           // ends with an output of 40 MB
	slow           // ends late
)

// bad are the agents that do not behave, among many that do.
func bad(index int) manner {
	if index%10 == 7 && index/10 < int(slow) {
		return manner(index/10 + 1)
	}
	return good
}

// misbehave does what the agent's manner says; false: the order is to be
// followed as usual.
func (a *agent) misbehave(to, transaction string) bool {
	if a.fleet.manner == nil {
		return false
	}
	how := a.fleet.manner(a.index)
	if how == good || how == slow {
		return false
	}
	f := a.fleet
	f.mu.Lock()
	f.orders, f.last = f.orders+1, time.Now()
	f.mu.Unlock()
	if how == silent {
		return true
	}
	a.mu.Lock()
	a.runs[transaction] = &puppetRun{ordered: 1}
	a.mu.Unlock()
	_ = a.send(pcp.ProvisionalResponse, to, map[string]any{"transaction_id": transaction}) // whatever comes of it
	switch how {
	case leaves:
		_ = a.conn.Close()
	case garbage:
		go func() {
			for a.write(textFrame, []byte(`{"id": "nothing`)) == nil {
			}
		}()
	case huge:
		go func() {
			text := strings.Repeat("0123456789abcdef", 40<<20/16)
			_ = a.send(pcp.NonBlockingResponse, to, map[string]any{"transaction_id": transaction, "results": map[string]any{"exitcode": 0, "stdout": text}})
		}()
	}
	return true
}

// endTask tells how a task ended.
func (a *agent) endTask(to, transaction string) {
	results, err := json.Marshal(map[string]any{"exitcode": 0, "stdout": a.output(), "stderr": ""})
	if err == nil {
		a.mu.Lock()
		a.runs[transaction].results = json.RawMessage(a.output())
		a.mu.Unlock()
		err = a.send(pcp.NonBlockingResponse, to, map[string]any{"transaction_id": transaction, "results": json.RawMessage(results)})
	}
	if err != nil {
		a.fault(err)
	}
}

// output is what the agent's tasks print.
func (a *agent) output() string { return fmt.Sprintf(`{"answer":%d}`, a.index) }

// taskBench is a server with nodes of one kind.
type taskBench struct {
	*bench
	timeout int // seconds of a node's run
}

func newTaskBench(t *testing.T) *taskBench {
	t.Helper()
	path := t.TempDir()
	tasks := filepath.Join(path, "production/modules/bench/tasks")
	require.NoError(t, os.MkdirAll(tasks, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(tasks, "init.sh"), []byte("#!/bin/sh\nset -- $SSH_CONNECTION\necho '{\"answer\":\"'$3'\"}'\n"), 0o644))
	b := &taskBench{newBench(t, 1, "--set", "orchestrator.environmentpath="+path), 30}
	if os.Getenv("DALANG_BENCH_NODES") == "" {
		b.timeout = 5
	}
	t.Cleanup(func() { t.Log(strings.Join(b.notes, "\n")) })
	return b
}

// taskEnd is a node that has ended.
type taskEnd struct {
	Name, State, Message string
	Finished             time.Time `json:"finish_timestamp"`
	Result               map[string]any
}

// run runs the task on nodes and notes what it took. It answers the nodes and
// how long it was until the last of those that behave had ended.
func (b *taskBench) run(t *testing.T, what string, names []string, behaves func(int) bool) ([]taskEnd, time.Duration) {
	t.Helper()
	body, err := json.Marshal(map[string]any{"task": "bench", "params": map[string]any{"secret": "x"}, "timeout": b.timeout, "scope": map[string]any{"nodes": names}})
	require.NoError(t, err)
	before, start := b.look(t), time.Now()
	res, err := b.client.client.Post(b.client.base+"/command/task", "application/json", strings.NewReader(string(body)))
	require.NoError(t, err)
	var made struct{ Job struct{ Name string } }
	require.NoError(t, json.NewDecoder(res.Body).Decode(&made))
	require.NoError(t, res.Body.Close())
	require.Equal(t, http.StatusAccepted, res.StatusCode)
	accepted := time.Now()
	var j struct{ State string }
	require.Eventually(t, func() bool {
		require.NoError(t, b.client.get("/jobs/"+made.Job.Name, &j))
		return j.State == "finished" || j.State == "failed"
	}, 5*time.Minute, 100*time.Millisecond, "the job does not end")
	took, after := time.Since(accepted), b.look(t)
	var list struct{ Items []taskEnd }
	require.NoError(t, b.client.get("/jobs/"+made.Job.Name+"/nodes?order_by=name", &list))
	require.Len(t, list.Items, len(names))
	var last time.Time
	for i, n := range list.Items {
		require.Equal(t, names[i], n.Name)
		if behaves(i) {
			require.Equal(t, "finished", n.State, "%s: %s", n.Name, n.Message)
			if n.Finished.After(last) {
				last = n.Finished
			}
		}
	}
	b.note("%s: 202 after %.0f ms; the last good node ended %.1f s later, the job %.1f s; CPU %.2f s, %.2f ms a node; RSS %d MiB, peak %d MiB, %d transactions",
		what, accepted.Sub(start).Seconds()*1000, last.Sub(accepted).Seconds(), took.Seconds(), (after.cpu - before.cpu).Seconds(),
		per(after.cpu-before.cpu, len(names)), after.rss>>20, after.peak>>20, after.commits-before.commits)
	return list.Items, last.Sub(accepted)
}

// TestTasksOverAgents runs a task on many agents, some of which do what they
// can against it. With DALANG_BENCH_NODES it prints what that costs.
func TestTasksOverAgents(t *testing.T) {
	nodes := taskNodes(t, 80)
	b := newTaskBench(t)
	names := make([]string, nodes)
	for i := range names {
		names[i] = certname(i)
	}
	agents := newFleet(t, b.pki, b.pcp, nodes, 800*time.Millisecond, nil)
	defer agents.close()
	b.note("%d agents connected; RSS %d MiB", nodes, b.look(t).rss>>20)
	_, alone := b.run(t, "all are good", names, func(int) bool { return true })
	agents.manner = bad
	list, among := b.run(t, "among hostile ones", names, func(i int) bool { return bad(i) == good || bad(i) == slow })
	for i, n := range list {
		switch bad(i) {
		case good, slow:
			require.EqualValues(t, i, n.Result["answer"], n.Name)
		case huge:
			require.Equal(t, "errored", n.State)
			b.note("40 MB of output: %s", n.Message)
		default:
			require.Equal(t, "errored", n.State, "%s (%d): %v", n.Name, bad(i), n.Result)
		}
	}
	b.undisturbed(t, alone, among)
}

// TestTasksOverSSH does the same with targets that are reached over SSH.
func TestTasksOverSSH(t *testing.T) {
	nodes := taskNodes(t, 50)
	b := newTaskBench(t)
	names := make([]string, nodes)
	manners := map[string]sshtest.Manner{}
	for i := range names {
		names[i] = fmt.Sprintf("127.9.%d.%d", 100+i/100, 100+i%100)
		if i%7 == 3 && i/7 < int(sshtest.Slow) {
			manners[names[i]] = sshtest.Manner(i/7 + 1)
		}
	}
	calm := sshtest.New(t, sshtest.Config{Addresses: names})
	hostile := sshtest.New(t, sshtest.Config{Addresses: names, Manner: func(address string) sshtest.Manner { return manners[address] }})
	b.connections(t, names, calm)
	_, alone := b.run(t, "all are good", names, func(int) bool { return true })
	b.connections(t, names, hostile)
	list, among := b.run(t, "among hostile ones", names, func(i int) bool { return manners[names[i]] == sshtest.Friendly || manners[names[i]] == sshtest.Slow })
	for i, n := range list {
		if n.State == "finished" {
			require.Equal(t, n.Name, n.Result["answer"])
		} else {
			require.Equal(t, "errored", n.State, n.Name)
		}
		require.Equal(t, manners[names[i]] == sshtest.Friendly || manners[names[i]] == sshtest.Slow, n.State == "finished", "%s: %s", n.Name, n.Message)
	}
	for _, s := range []*sshtest.Server{calm, hostile} {
		left, err := filepath.Glob(filepath.Join(s.Home, "dalang-*"))
		require.NoError(t, err)
		require.Empty(t, left)
	}
	b.undisturbed(t, alone, among)
}

// connections has nodes reached at a server.
func (b *taskBench) connections(t *testing.T, names []string, s *sshtest.Server) {
	t.Helper()
	body, err := json.Marshal(map[string]any{"certnames": names, "type": "ssh", "duplicates": "replace",
		"parameters":           map[string]any{"port": s.Port, "tmpdir": s.Home, "connect-timeout": b.timeout},
		"sensitive_parameters": map[string]any{"user": "admin", "password": "login"}})
	require.NoError(t, err)
	res, err := b.client.client.Post(strings.Replace(b.client.base, "/orchestrator/v1", "/inventory/v1/command/create-connection", 1), "application/json",
		strings.NewReader(string(body)))
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, http.StatusCreated, res.StatusCode)
}

// undisturbed: those that behave did not wait for those that do not.
func (b *taskBench) undisturbed(t *testing.T, alone, among time.Duration) {
	t.Helper()
	require.NotContains(t, b.Log(), "level=ERROR", "the server complains")
	if os.Getenv("DALANG_BENCH_NODES") != "" {
		require.Less(t, among, alone+time.Duration(b.timeout)*time.Second/2)
	}
}

func taskNodes(t *testing.T, usual int) int {
	t.Helper()
	if testing.Short() && os.Getenv("DALANG_BENCH_NODES") == "" {
		t.Skip("takes a while")
	}
	return setting(t, "DALANG_BENCH_NODES", usual)
}
