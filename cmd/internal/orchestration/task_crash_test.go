package orchestration

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dalang/orchestrator/ssh/sshtest"
)

// onceScript leaves a line when it begins and another when it ends, in a file of
// the node on which it runs: an agent keeps it below the node's directory, and a
// target of SSH has an address.
const onceScript = `#!/bin/sh
tag=${PT_tag:-$1}; base=${PT_base:-$2}
case $0 in */agent/*) dir=${0%/agent/*} ;; *) set -- $SSH_CONNECTION; dir=$base/$3 ;; esac
echo "$tag" >> "$dir/began"
sleep 0.$(($$ % 4))
echo "$tag" >> "$dir/ended"
`

// crashes is a server with nodes of both kinds, and what was started on them.
type crashes struct {
	*world
	ssh    *sshtest.Server
	dirs   map[string]string // of the nodes
	hosts  []*host
	rounds int
	told   []string // names of directories that errors of nodes name
}

// TestTaskKills runs tasks and plans over agents and SSH while the server,
// agents and connections are killed at random. Nothing runs twice, what is told
// is true, and nothing is left on targets. `make crash-orchestrator` does it for
// longer.
func TestTaskKills(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a while")
	}
	kills := number(t, "DALANG_CRASH_JOB_KILLS", 6)
	seed := uint64(number(t, "DALANG_CRASH_SEED", int(time.Now().UnixNano()%1_000_000)))
	t.Logf("DALANG_CRASH_SEED=%d", seed)
	chance := rand.New(rand.NewPCG(seed, seed))
	c := newCrashes(t, number(t, "DALANG_CRASH_TASK_NODES", 3))
	done := map[string]int{}
	for range kills {
		c.round(t)
		time.Sleep(time.Duration(chance.IntN(700)) * time.Millisecond) // something shall have happened
		switch chance.IntN(4) {
		case 0, 1:
			c.Kill(t)
			c.Start(t)
			done["server"]++
		case 2:
			h := c.hosts[chance.IntN(len(c.hosts))]
			h.kill()
			h.start(t)
			done["agents"]++
		case 3:
			c.ssh.HangUp()
			done["connections"]++
		}
	}
	c.round(t)
	t.Logf("killed: %v", done)
	c.settled(t)
	states := map[string]int{}
	for _, j := range c.jobs(t) {
		c.true(t, j, states)
	}
	t.Logf("nodes of jobs: %v", states)
	c.plans(t)
	left, err := filepath.Glob(filepath.Join(c.ssh.Home, "dalang-*"))
	require.NoError(t, err)
	for _, dir := range left {
		files, _ := filepath.Glob(filepath.Join(dir, "*"))
		t.Logf("left: %s %q", dir, files)
		require.Contains(t, c.told, filepath.Base(dir), "on a target, and nobody is told")
	}
	c.Kill(t)
	require.Equal(t, []int{0}, c.counts(t, "SELECT count(*) FROM job_secret", 1), "secrets of jobs that have ended")
	c.Start(t)
}

func newCrashes(t *testing.T, nodes int) *crashes {
	t.Helper()
	path := environment(t)
	for name, text := range map[string]string{
		"tasks/once.sh":   onceScript,
		"tasks/once.json": `{"input_method":"environment","parameters":{"tag":{"type":"String"},"base":{"type":"String"},"secret":{"type":"String","sensitive":true}}}`,
		"files/once.sh":   onceScript,
		"plans/steps.yaml": `
parameters: {nodes: {type: TargetSpec}, tag: {type: String}, base: {type: String}, secret: {type: 'Sensitive[String]'}}
steps:
- {task: 'crash::once', targets: $nodes, parameters: {tag: "${tag}-1", base: $base, secret: $secret}}
- {command: "echo ${tag}-2 >> ${base}/commands", targets: $nodes}
- {script: crash/once.sh, targets: $nodes, arguments: ["${tag}-3", $base]}
`,
	} {
		writeFile(t, filepath.Join(path, "production/modules/crash", name), text)
	}
	c := &crashes{dirs: map[string]string{}}
	c.world = newWorld(t, "--log-level", "warn", "--set", "orchestrator.environmentpath="+path)
	var all []*node
	var targets []string
	base := t.TempDir()
	for i := range nodes {
		n := c.newNode(t, fmt.Sprintf("node%03d.example.com", i), nil)
		all, c.dirs[n.Certname] = append(all, n), n.Dir
		address := fmt.Sprintf("127.0.7.%d", i+1)
		targets, c.dirs[address] = append(targets, address), filepath.Join(base, address)
		require.NoError(t, os.Mkdir(c.dirs[address], 0o700))
	}
	c.dirs[""] = base
	c.ssh = sshtest.New(t, sshtest.Config{Addresses: targets, Env: []string{"SUDO_FAKE=password"}})
	c.hosts = c.world.hosts(t, all)
	c.connected(t, nodes)
	status, text, _ := c.ask(t, http.MethodPost, "/inventory/v1/command/create-connection", fmt.Sprintf(`{"certnames":["%s"],"type":"ssh","duplicates":"error",
		"parameters":{"port":%d,"tmpdir":%q,"run-as":"root"},"sensitive_parameters":{"user":"admin","password":"login","sudo-password":"s3cret pass"}}`,
		strings.Join(targets, `","`), c.ssh.Port, c.ssh.Home))
	require.Equal(t, http.StatusCreated, status, "%s", text)
	return c
}

// names are those of all nodes.
func (c *crashes) names() (list []string) {
	for name := range c.dirs {
		if name != "" {
			list = append(list, name)
		}
	}
	slices.Sort(list)
	return list
}

// round starts a task and a plan on all nodes.
func (c *crashes) round(t *testing.T) {
	t.Helper()
	c.rounds++
	tag, nodes := fmt.Sprintf("round%d", c.rounds), strings.Join(c.names(), `","`)
	for path, body := range map[string]string{
		"task": fmt.Sprintf(`{"task":"crash::once","description":%q,"params":{"tag":%[1]q,"base":%[2]q,"secret":"x"},"scope":{"nodes":["%[3]s"]}}`, tag, c.dirs[""], nodes),
		"plan_run": fmt.Sprintf(`{"plan_name":"crash::steps","description":%q,"params":{"tag":"plan-%[1]s","base":%[2]q,"secret":"x","nodes":["%[3]s"]}}`,
			tag, c.dirs[""], nodes),
	} {
		var status int
		var text []byte
		require.Eventually(t, func() bool { // plans are up a moment after the server
			status, text, _ = c.ask(t, http.MethodPost, "/orchestrator/v1/command/"+path, body)
			return status != http.StatusServiceUnavailable
		}, 20*time.Second, 10*time.Millisecond)
		require.Equal(t, http.StatusAccepted, status, "%s", text)
	}
}

// crashJob is a job as the API tells of it.
type crashJob struct {
	Name, State, Type string
	Options           struct {
		Description string
		PlanJob     *string `json:"plan_job"`
		Params      struct{ Tag string }
		Arguments   []string
	}
}

// tag is what the job's runs leave; "" for commands.
func (j *crashJob) tag() string {
	if j.Type == "plan_script" {
		return j.Options.Arguments[0]
	}
	return j.Options.Params.Tag
}

func (c *crashes) jobs(t *testing.T) []crashJob {
	t.Helper()
	var list struct{ Items []crashJob }
	c.read(t, "/jobs", &list)
	return list.Items
}

// settled waits for the end of all that was started.
func (c *crashes) settled(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool {
		var plans struct{ Items []planJob }
		c.read(t, "/plan_jobs", &plans)
		return !slices.ContainsFunc(plans.Items, func(p planJob) bool { return p.State != "success" && p.State != "failure" }) &&
			!slices.ContainsFunc(c.jobs(t), func(j crashJob) bool { return j.State != "finished" && j.State != "failed" })
	}, 3*time.Minute, 100*time.Millisecond, "something does not end")
}

// lines counts a tag in a file of a node.
func (c *crashes) lines(t *testing.T, node, file, tag string) int {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(c.dirs[node], file))
	if !os.IsNotExist(err) {
		require.NoError(t, err)
	}
	n := 0
	for line := range strings.Lines(string(text)) {
		if line == tag+"\n" {
			n++
		}
	}
	return n
}

// true: what is told of a job's nodes is what happened, and happened once.
func (c *crashes) true(t *testing.T, j crashJob, states map[string]int) {
	t.Helper()
	all := "finished"
	for name, n := range c.ended(t, j.Name) {
		states[n.Transport+" "+n.State]++
		what := fmt.Sprintf("job %s (%s), %s, %s: %s", j.Name, j.Type, name, n.State, n.Message)
		if n.State != "finished" {
			all = "failed"
			require.Equal(t, []string{"ssh", "errored"}, []string{n.Transport, n.State}, what)
			c.told = append(c.told, regexp.MustCompile(`dalang-[0-9a-f-]{36}`).FindAllString(n.Message, -1)...)
			require.Contains(t, []any{"puppetlabs.orchestrator/orchestrator-restarted", "puppetlabs.tasks/connect-error"}, n.Result["kind"], what)
		}
		tag := j.tag()
		if tag == "" {
			continue
		}
		if n.State == "finished" {
			require.Equal(t, 1, c.lines(t, name, "began", tag), what)
			require.Equal(t, 1, c.lines(t, name, "ended", tag), what)
		} else {
			require.LessOrEqual(t, c.lines(t, name, "began", tag), 1, what)
		}
	}
	require.Equal(t, all, j.State, "job %s", j.Name)
	var events struct {
		Items []struct {
			Type    string
			Details struct{ Node string }
		}
	}
	c.read(t, "/jobs/"+j.Name+"/events", &events)
	told, ends := map[string]int{}, 0
	for _, e := range events.Items {
		told[e.Details.Node+" "+e.Type]++
		if e.Type != "node_running" {
			ends++
		}
	}
	for what, n := range told {
		require.Equal(t, 1, n, "job %s: %s", j.Name, what)
	}
	require.Equal(t, len(c.names())+1, ends, "job %s: each node ended once, and so did the job", j.Name)
}

// plans: each is told of truly, its steps came one after the other, and none twice.
func (c *crashes) plans(t *testing.T) {
	t.Helper()
	var list struct {
		Items []struct {
			Name, State string
			Options     struct{ Description string }
			Result      struct{ Kind string }
		}
	}
	c.read(t, "/plan_jobs", &list)
	require.Len(t, list.Items, c.rounds)
	steps, states := map[string][]crashJob{}, map[string]int{}
	jobs := c.jobs(t)
	slices.SortFunc(jobs, func(a, b crashJob) int { return len(a.Name)*10 - len(b.Name)*10 + strings.Compare(a.Name, b.Name) })
	for _, j := range jobs {
		if j.Options.PlanJob != nil {
			steps[*j.Options.PlanJob] = append(steps[*j.Options.PlanJob], j)
		}
	}
	for _, p := range list.Items {
		states[p.State+" "+p.Result.Kind]++
		var kinds []string
		for i, j := range steps[p.Name] {
			kinds = append(kinds, j.Type)
			if i+1 < len(steps[p.Name]) {
				require.Equal(t, "finished", j.State, "plan %s went on after a step that failed", p.Name)
			}
		}
		order := []string{"plan_task", "plan_command", "plan_script"}
		require.LessOrEqual(t, len(kinds), len(order), "plan %s: %v", p.Name, kinds)
		require.Equal(t, order[:len(kinds)], append([]string{}, kinds...), "plan %s", p.Name)
		commands := c.lines(t, "", "commands", "plan-"+p.Options.Description+"-2")
		require.LessOrEqual(t, commands, len(c.names()), "plan %s", p.Name)
		if p.State == "success" {
			require.Len(t, kinds, len(order))
			require.Equal(t, "finished", steps[p.Name][2].State)
			require.Equal(t, len(c.names()), commands)
			continue
		}
		require.Contains(t, []string{"puppetlabs.orchestrator/plan-interrupted", "bolt/run-failure"}, p.Result.Kind, "plan %s", p.Name)
	}
	t.Logf("plans: %v", states)
	require.NotZero(t, states["success "], "the last one was not disturbed")
}
