package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"

	"dalang/cmd/internal/client"
)

// step is what a fake orchestrator shows of its job at one look.
type step struct {
	state  string
	states string // node_states
	events string // those that are new, with commas
	down   bool   // it answers nothing but 503
	stop   string // the body that is wanted before the next step
}

// fakeJob is a server with one job that moves a step at each look.
type fakeJob struct {
	t       *testing.T
	steps   []step
	at      int
	nodes   string
	deploys []string
	stops   []string
	token   string
	// nodesAway is how often the nodes are asked for in vain.
	nodesAway int
	// waits are the nodes in state new, connected those with an agent.
	waits, connected string
	refuse           func(w http.ResponseWriter) bool
}

const jobBegin = "2026-05-20T12:00:00Z"

func (f *fakeJob) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.token = r.Header.Get("X-Authentication")
	body, err := io.ReadAll(r.Body)
	require.NoError(f.t, err)
	if f.refuse != nil && f.refuse(w) {
		return
	}
	now := f.steps[min(f.at, len(f.steps)-1)]
	if now.down {
		f.at++
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	switch path := r.URL.Path; path {
	case "/orchestrator/v1/command/deploy":
		f.deploys = append(f.deploys, string(body))
		w.WriteHeader(http.StatusAccepted)
		fmt.Fprint(w, `{"job":{"id":"http://x/jobs/7","name":"7"}}`)
	case "/orchestrator/v1/command/stop":
		f.stops = append(f.stops, string(body))
		w.WriteHeader(http.StatusAccepted)
		fmt.Fprint(w, `{"job":{"id":"http://x/jobs/7","name":"7","nodes":{"new":0,"running":1,"finished":2,"failed":0,"errored":0,"skipped":0,"stopped":3}}}`)
	case "/orchestrator/v1/jobs/7":
		fmt.Fprintf(w, `{"name":"7","state":%q,"type":"deploy","environment":{"name":"production"},"owner":{"login":"ann"},"node_count":2,"node_states":{%s},
			"description":"why","options":{"noop":false},"userdata":{},"created_timestamp":%q,"started_timestamp":null,"finished_timestamp":"2026-05-20T12:01:05Z","duration":65.0,"status":[]}`, now.state, now.states, jobBegin)
	case "/orchestrator/v1/jobs/7/events":
		f.at++
		var seen []string
		for _, s := range f.steps[:f.at] {
			if s.events != "" {
				seen = append(seen, s.events)
			}
		}
		if r.URL.Query().Get("start") != "" {
			seen = []string{now.events}
		}
		fmt.Fprintf(w, `{"next-events":{"id":"x","event":"%d"},"items":[%s]}`, f.at, strings.Join(seen, ","))
	case "/orchestrator/v1/inventory":
		f.inventory(w, body)
	case "/orchestrator/v1/jobs/7/nodes":
		if r.URL.Query().Get("state") == "new" {
			require.Equal(f.t, "500", r.URL.Query().Get("limit"))
			fmt.Fprintf(w, `{"items":[%s]}`, f.waits)
			return
		}
		if f.nodesAway > 0 {
			f.nodesAway--
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		fmt.Fprint(w, f.nodes)
	case "/orchestrator/v1/jobs":
		require.Equal(f.t, "20", r.URL.Query().Get("limit"))
		fmt.Fprintf(w, `{"items":[{"name":"7","state":"failed","type":"deploy","environment":{"name":""},"owner":{"login":"ann"},"node_count":2,
			"node_states":{"finished":1,"failed":1},"created_timestamp":%q,"duration":65.25,"description":"a\u001b[2Jb"}],"pagination":{"total":41}}`, jobBegin)
	case "/classifier-api/v1/groups":
		fmt.Fprint(w, `[{"id":"00000000-0000-4000-8000-000000000000","name":"All Nodes"}]`)
	default:
		http.NotFound(w, r)
	}
}

// inventory answers whose agents are connected, if it knows.
func (f *fakeJob) inventory(w http.ResponseWriter, body []byte) {
	if f.connected == "" {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	var asked struct{ Nodes []string }
	require.NoError(f.t, json.Unmarshal(body, &asked))
	var items []string
	for _, name := range asked.Nodes {
		items = append(items, fmt.Sprintf(`{"name":%q,"connected":%t}`, name, strings.Contains(f.connected, name)))
	}
	fmt.Fprintf(w, `{"items":[%s]}`, strings.Join(items, ","))
}

func nodeEvent(id int, kind, node, detail string) string {
	return fmt.Sprintf(`{"id":"%d","type":%q,"timestamp":"2026-05-20T12:00:0%dZ","details":{"node":%q,"detail":%s},"message":"m"}`, id, kind, id, node, detail)
}

// ending is the life of a job of two nodes.
func ending() []step {
	return []step{
		{state: "ready", states: `"new":2`},
		{state: "running", states: `"new":1,"running":1`, events: nodeEvent(1, "node_running", "web1", "{}")},
		{state: "running", states: `"new":1,"running":1`},
		{state: "failed", states: `"finished":1,"failed":1`, events: nodeEvent(2, "node_finished", "web1", `{"noop":true,"metrics":{"total":80,"changed":0,"out_of_sync":3,"failed":0,"skipped":2}}`) + "," +
			nodeEvent(3, "node_errored", "database.example.com", `{"msg":"not connected","kind":"k"}`) + `,{"id":"4","type":"job_finished","timestamp":"2026-05-20T12:00:09Z","details":{},"message":"Job 7 failed"}`},
	}
}

const endingNodes = `{"items":[
	{"name":"web1","state":"finished","transport":"pcp","duration":12.34,"message":"Finished puppet run on web1 - Success!","details":{"report-url":"https://x/r/1","metrics":{"total":80,"changed":0,"failed":0,"skipped":2}},"result":{"noop":{"noop":true,"no_noop":false}}},
	{"name":"database.example.com","state":"errored","transport":"pcp","duration":null,"message":"Error running","details":{"detail":{"msg":"not connected"}}}]}`

// runJob runs `dalang job` against a fake, without a terminal.
func runJob(t *testing.T, f *fakeJob, args ...string) (string, error) {
	t.Helper()
	f.t = t
	if f.steps == nil {
		f.steps = ending()
	}
	if f.nodes == "" {
		f.nodes = endingNodes
	}
	server := httptest.NewServer(f)
	defer server.Close()
	home := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(home, ".puppetlabs"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(home, ".puppetlabs", "token"), []byte("secret\n"), 0o600))
	c := &jobCLI{
		load: func(o client.Options) (client.Settings, error) {
			o.Getenv, o.Root, o.Flags.Server = func(string) string { return "" }, home, []string{server.URL}
			return client.Load(o)
		},
		getenv: func(name string) string { return map[string]string{"HOME": home}[name] },
		now:    func() time.Time { return time.Date(2026, 5, 20, 12, 2, 0, 0, time.UTC) },
		pause:  func(context.Context, time.Duration) {},
	}
	cmd := c.command()
	var out bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetErr(io.Discard)
	cmd.SetArgs(args)
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error { return checkFlags(cmd) } // as the root has it
	err := cmd.ExecuteContext(t.Context())
	return out.String(), err
}

func TestJobRun(t *testing.T) {
	f := &fakeJob{}
	out, err := runJob(t, f, "run", "--nodes", "web1,database.example.com", "-e", "production")
	require.Equal(t, statusNodesFailed, exitStatus(err))
	at := time.Date(2026, 5, 20, 12, 0, 0, 0, time.UTC).Local().Format("15:04:")
	require.Equal(t, `Job 7: Puppet on 2 nodes in production.
`+at+`01  web1  running
`+at+`02  web1  finished  3 of 80 would change, 2 skipped
`+at+`03  database.example.com  errored   not connected

NODE                  STATE             TIME  CHANGED  FAILED  SKIPPED  TOTAL  MESSAGE
web1                  finished (noop)  12.3s        0       0        2     80
database.example.com  errored                                                  not connected

Job 7 failed in 1m5s: 1 finished, 1 failed.
`, out)
	require.JSONEq(t, `{"environment":"production","scope":{"nodes":["web1","database.example.com"]}}`, f.deploys[0])
	require.Equal(t, "secret", f.token)
}

// TestJobRunJSON: the keys are those of the API.
func TestJobRunJSON(t *testing.T) {
	out, err := runJob(t, &fakeJob{}, "watch", "7", "-o", "json")
	require.Equal(t, statusNodesFailed, exitStatus(err))
	for _, want := range []string{`"login": "ann"`, `"name": "production"`, `"report-url": "https://x/r/1"`} {
		require.Contains(t, out, want)
	}
}

func TestJobRunEndings(t *testing.T) {
	for state, want := range map[string]int{"finished": 0, "failed": statusNodesFailed, "stopped": statusStopped} {
		f := &fakeJob{steps: []step{{state: state, states: `"finished":2`}}}
		_, err := runJob(t, f, "run", "--nodes", "a")
		if want == 0 {
			require.NoError(t, err)
		} else {
			require.Equal(t, want, exitStatus(err))
		}
	}
	out, err := runJob(t, &fakeJob{}, "run", "--nodes", "a", "--detach")
	require.NoError(t, err)
	require.Equal(t, "7\n", out)
	out, err = runJob(t, &fakeJob{}, "watch", "7", "-o", "json")
	require.Equal(t, statusNodesFailed, exitStatus(err))
	var doc struct {
		State string
		Nodes []nodeInfo
	}
	require.NoError(t, json.Unmarshal([]byte(out), &doc), out)
	require.Equal(t, "failed", doc.State)
	require.Equal(t, "not connected", doc.Nodes[1].Details.Detail.Msg)
}

// TestJobServerAway: a server that does not answer for a while does not end
// the following; it is said once.
func TestJobServerAway(t *testing.T) {
	steps := ending()
	f := &fakeJob{steps: []step{steps[0], {down: true}, {down: true}, steps[1], steps[3]}}
	out, err := runJob(t, f, "watch", "7")
	require.Equal(t, statusNodesFailed, exitStatus(err))
	require.Equal(t, 1, strings.Count(out, "still trying"), out)
	require.Contains(t, out, "errored   not connected")
	// Who never answered is not waited for.
	_, err = runJob(t, &fakeJob{steps: []step{{down: true}, steps[3]}}, "watch", "7")
	require.Equal(t, 1, exitStatus(err))
	require.ErrorContains(t, err, "503")
}

// TestJobServerAwayAtTheEnd: a job that was followed to its end is told of.
func TestJobServerAwayAtTheEnd(t *testing.T) {
	out, err := runJob(t, &fakeJob{nodesAway: 3}, "run", "--nodes", "a")
	require.Equal(t, statusNodesFailed, exitStatus(err))
	require.Contains(t, out, "Job 7 failed in 1m5s")
	_, err = runJob(t, &fakeJob{nodesAway: 100}, "run", "--nodes", "a")
	require.Equal(t, 1, exitStatus(err), "but not for ever")
}

// TestJobAbsentAgents: who waits is told for what, and how long it took.
func TestJobAbsentAgents(t *testing.T) {
	waiting := func(name, transport string) string {
		return fmt.Sprintf(`{"name":%q,"state":"new","transport":%q,"details":{}}`, name, transport)
	}
	steps := make([]step, 12)
	for i := range steps {
		steps[i] = step{state: "ready", states: `"new":4`}
	}
	steps = append(steps, ending()[3])
	waits := waiting("web1", "pcp") + "," + waiting("web2", "pcp") + "," + waiting("switch", "ssh") + "," + waiting("web3", "pcp")
	out, err := runJob(t, &fakeJob{steps: steps, waits: waits, connected: "web1"}, "watch", "7")
	require.Equal(t, statusNodesFailed, exitStatus(err))
	require.Equal(t, 1, strings.Count(out, "\nWaiting for the agents of 2 nodes to connect: web2, web3\n"), out)
	require.Contains(t, out, "Job 7 failed in 1m5s: ", "from when it was created")
	// A server that cannot tell, and one that need not.
	for _, f := range []*fakeJob{{steps: steps, waits: waits}, {steps: steps, waits: waiting("web1", "pcp"), connected: "web1"}} {
		out, _ := runJob(t, f, "watch", "7")
		require.NotContains(t, out, "Waiting")
		require.Contains(t, out, "Job 7 failed")
	}
	out, _ = runJob(t, &fakeJob{steps: steps, waits: waits, connected: "web1"}, "watch", "7", "-o", "json")
	require.True(t, json.Valid([]byte(out)))
}

func TestJobRunBodies(t *testing.T) {
	for flags, want := range map[string]string{
		"--nodes a":                                    `{"environment":"","enforce_environment":false,"scope":{"nodes":["a"]}}`,
		"--nodes a --nodes b,c -e test":                `{"environment":"test","scope":{"nodes":["a","b","c"]}}`,
		"-e test":                                      `{"environment":"test"}`,
		"-q nodes{} -e test":                           `{"environment":"test","scope":{"query":"nodes{}"}}`,
		`-q ["from","nodes"]`:                          `{"environment":"","enforce_environment":false,"scope":{"query":["from","nodes"]}}`,
		"--group All_Nodes":                            ``,
		"--application Shop[x] -e test":                `{"environment":"test","scope":{"application":"Shop[x]"}}`,
		"-e test --enforce-environment=false":          `{"environment":"test","enforce_environment":false}`,
		"--group 00000000-0000-4000-8000-00000000000A": `{"environment":"","enforce_environment":false,"scope":{"node_group":"00000000-0000-4000-8000-00000000000a"}}`,
		"-e test --noop --concurrency 4":               `{"environment":"test","noop":true,"concurrency":4}`,
		"-e test --no-noop --concurrency 1-4":          `{"environment":"test","no_noop":true,"concurrency":"1-4"}`,
		"-e test --debug --trace --evaltrace --timeout 90s --description why --userdata {\"a\":1}": `{"environment":"test","debug":true,"trace":true,"evaltrace":true,"timeout":90,"description":"why","userdata":{"a":1}}`,
		"-e test --tags a,b --skip-tags c --ordering random":                                       `{"environment":"test","tags":"a,b","skip_tags":"c","ordering":"random"}`,
		"-e test --use-cached-catalog --usecacheonfailure=false --filetimeout 0":                   `{"environment":"test","use_cached_catalog":true,"usecacheonfailure":false,"filetimeout":0}`,
		"-e test --http-connect-timeout 1 --http-keepalive-timeout 2 --http-read-timeout 3":        `{"environment":"test","http_connect_timeout":1,"http_keepalive_timeout":2,"http_read_timeout":3}`,
	} {
		f := &fakeJob{}
		_, err := runJob(t, f, append([]string{"run", "--detach"}, strings.Fields(flags)...)...)
		if want == "" {
			require.Equal(t, 2, exitStatus(err), flags)
			require.Empty(t, f.deploys)
			continue
		}
		require.NoError(t, err, flags)
		require.JSONEq(t, want, f.deploys[0], flags)
	}
	for _, flags := range []string{"--nodes a --query nodes{}", "-e test --noop --no-noop"} {
		root := newRootCommand()
		root.SetArgs(append([]string{"job", "run"}, strings.Fields(flags)...))
		require.Equal(t, 2, exitStatus(root.Execute()), flags)
	}
	f := &fakeJob{}
	_, err := runJob(t, f, "run", "--detach", "--group", "All Nodes")
	require.NoError(t, err)
	require.Contains(t, f.deploys[0], "00000000-0000-4000-8000-000000000000")
}

func TestJobMistakes(t *testing.T) {
	for flags, want := range map[string]string{
		"run":                       "which nodes?",
		"run --nodes a --query b":   "only one of these can be given: --nodes, --query",
		"run -e a --noop --no-noop": "only one of these can be given",
		"run -e a x":                "x",
		"run --application Shop":    "--application needs --environment: name the environment too",
		"run -e a --timeout 10ms":   "at least 1s",
		"run -e a --timeout 1500ms": "--timeout must be in whole seconds, not 1.5s",
		"run -e a --userdata []":    "JSON object",
		"run -e a -o xml":           "must be text or json",
		"show":                      "wants the number of a job",
		"show x":                    `"x" is not the number of a job`,
		"show 1 2":                  "wants the number of a job",
		"stop -1":                   "unknown shorthand",
		"watch 7 -o xml":            "must be text or json",
	} {
		f := &fakeJob{}
		_, err := runJob(t, f, strings.Fields(flags)...)
		require.ErrorContains(t, err, want, flags)
		require.Empty(t, f.deploys, flags)
	}
}

// TestJobRefusals: what a server refuses is told with what helps.
func TestJobRefusals(t *testing.T) {
	for _, c := range []struct {
		status     int
		body, want string
		exit       int
	}{
		{400, `{"kind":"puppetlabs.orchestrator/empty-target","msg":"no nodes","details":{}}`, "no nodes", 2},
		{404, `{"kind":"puppetlabs.orchestrator/unknown-environment","msg":"Unknown environment x","details":{}}`, "Unknown environment x", 2},
		{404, `Not Found`, "there is no orchestrator at", 1},
		{401, `{"kind":"puppetlabs.rbac/user-unauthenticated","msg":"Route requires authentication"}`, "name a token with --token FILE or DALANG_TOKEN", 1},
		{403, `{"kind":"puppetlabs.orchestrator/not-permitted","msg":"You are not permitted","details":{}}`, "not permitted", 1},
	} {
		f := &fakeJob{refuse: func(w http.ResponseWriter) bool {
			w.WriteHeader(c.status)
			fmt.Fprint(w, c.body)
			return true
		}}
		_, err := runJob(t, f, "run", "-e", "x")
		require.ErrorContains(t, err, c.want)
		require.Equal(t, c.exit, exitStatus(err), c.want)
	}
}

func TestJobViews(t *testing.T) {
	out, err := runJob(t, &fakeJob{}, "list")
	require.NoError(t, err)
	require.Equal(t, `JOB  STATE   TYPE    AGE    TIME  ENVIRONMENT  OWNER  NODES                 DESCRIPTION
  7  failed  deploy   2m  1m5.3s  -            ann    1 finished, 1 failed  a [2Jb

1 job, 41 in all.
`, out)
	out, err = runJob(t, &fakeJob{steps: ending()[3:]}, "show", "7")
	require.NoError(t, err)
	require.Contains(t, out, "state        failed\n")
	require.Contains(t, out, "description  why\n")
	require.Contains(t, out, `options      {"noop":false}`)
	require.NotContains(t, out, "userdata")
	require.Contains(t, out, "database.example.com  errored")
	out, err = runJob(t, &fakeJob{}, "nodes", "7")
	require.NoError(t, err)
	require.Contains(t, out, "80  https://x/r/1\n")
	out, err = runJob(t, &fakeJob{steps: ending()[3:]}, "events", "7")
	require.NoError(t, err)
	require.Contains(t, out, "node_errored   m\n")
	f := &fakeJob{}
	out, err = runJob(t, f, "stop", "7", "--force")
	require.NoError(t, err)
	require.Equal(t, "Job 7: 1 running, 2 finished, 3 stopped.\n", out)
	require.JSONEq(t, `{"job":"7","force":true}`, f.stops[0])
	for _, view := range []string{"list", "show 7", "nodes 7", "events 7"} {
		out, err := runJob(t, &fakeJob{}, append(strings.Fields(view), "-o", "json")...)
		require.NoError(t, err)
		require.True(t, json.Valid([]byte(out)), view)
	}
}

// TestJobInterrupted: what ctrl-C offers.
func TestJobInterrupted(t *testing.T) {
	for _, c := range []struct {
		name, typed string
		signal      os.Signal
		terminal    bool
		again       bool
		stops       []string
		says        string
	}{
		{"no terminal", "", os.Interrupt, false, false, nil, ""},
		{"terminated", "", syscall.SIGTERM, true, false, nil, ""},
		{"stop", "s\n", os.Interrupt, true, true, []string{`{"job":"7"}`}, "Stopping job 7."},
		{"force", "Force\n", os.Interrupt, true, true, []string{`{"force":true,"job":"7"}`}, "Stopping job 7."},
		{"leave", "l\n", os.Interrupt, true, false, nil, "[l]eave"},
		{"end of input", "", os.Interrupt, true, false, nil, "[l]eave"},
		{"continue", "c\n", os.Interrupt, true, true, nil, "[c]ontinue"},
		{"anything", "what?\n", os.Interrupt, true, true, nil, "[c]ontinue"},
	} {
		t.Run(c.name, func(t *testing.T) {
			fake := &fakeJob{t: t, steps: ending()}
			server := httptest.NewServer(fake)
			defer server.Close()
			api, err := client.New(client.Config{URLs: []string{server.URL}})
			require.NoError(t, err)
			defer api.Close()
			var out bytes.Buffer
			f := &follower{
				jobCLI: &jobCLI{now: time.Now, pause: func(ctx context.Context, _ time.Duration) { <-ctx.Done() }},
				api:    &jobAPI{api}, name: "7", interrupt: make(chan os.Signal, 1),
				screen: &screen{out: &out, in: strings.NewReader(c.typed), live: c.terminal, interactive: c.terminal, now: time.Now},
			}
			f.interrupt <- c.signal
			again, err := f.wait(t.Context(), time.Hour)
			require.Equal(t, c.again, again)
			require.Equal(t, c.stops, fake.stops)
			require.Contains(t, out.String(), c.says)
			if again {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, "job 7 goes on: 'dalang job watch 7' follows it")
			}
		})
	}
	// Interrupted while it asks: that is leaving.
	var out bytes.Buffer
	reader, writer := io.Pipe()
	defer writer.Close()
	f := &follower{name: "7", interrupt: make(chan os.Signal, 1), screen: &screen{out: &out, in: reader, interactive: true}}
	f.interrupt <- os.Interrupt
	again, err := f.interrupted(t.Context(), os.Interrupt)
	require.False(t, again)
	require.ErrorContains(t, err, "goes on")
}

// TestJobTerminal: on a terminal the totals follow the lines.
func TestJobTerminal(t *testing.T) {
	var out bytes.Buffer
	begin := time.Date(2026, 5, 20, 12, 0, 0, 0, time.UTC)
	s := &screen{out: &out, live: true, now: func() time.Time { return begin.Add(61 * time.Second) }}
	j := &jobInfo{Name: "7", State: "running", NodeCount: 4, Created: &begin, NodeStates: map[string]int{"running": 1, "finished": 3}}
	s.begin(j)
	s.totals(j)
	s.note("a note")
	s.totals(j)
	const totals = "[===============     ] 3/4  1 running, 3 finished  1m1s"
	require.Equal(t, "Job 7: Puppet on 4 nodes.\n"+totals+"\r\x1b[Ka note\n"+totals, out.String())
	j.State = "finished"
	out.Reset()
	s.totals(j)
	require.NoError(t, s.end(j, nil))
	require.True(t, strings.HasPrefix(out.String(), "\r\x1b[K\n"), "%q", out.String())
	require.Equal(t, "[                    ]", bar(0, 0))
}

func TestPassing(t *testing.T) {
	require.True(t, passing(errors.New("connection reset")))
	require.True(t, passing(&client.Error{Status: 503}))
	require.False(t, passing(&client.Error{Status: 404}))
	require.False(t, passing(context.Canceled))
}
