package orchestration

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"dalang/orchestrator/ssh/sshtest"
)

// What tasks, commands and scripts are given in a way that the kernel shows:
// parameters of the input methods environment and both, which others than root
// and the same user cannot read, and arguments of scripts, which they can.
func inEnvironments() []string { return []string{"environ", "both", "variable"} }
func inArguments() []string    { return []string{"argument"} }

// vault runs everything that takes secrets. What runs waits for a gate.
type vault struct {
	*world
	*canaries
	*processes
	ssh    *sshtest.Server
	gate   string // directory: what has begun, and open
	agents map[string]*exec.Cmd
	flags  map[string][]string
	code   string   // directory of environments
	logs   []string // of earlier lives of the server
	key    string   // of the user, with a passphrase
}

// holds is how many runs one round of everything has.
const holds = 22

// TestSecrets: after all that takes secrets has run, also across kills of the
// server and of agents, none of them is in a file, a log, an answer or a
// process list, in whatever form.
func TestSecrets(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a while")
	}
	binary(t)
	t.Setenv("TMPDIR", t.TempDir())  // of everybody
	tmp := filepath.Dir(t.TempDir()) // of all directories of this test
	v := newVault(t)

	v.everything(t, "1")
	v.began(t, holds)
	v.sample()
	v.nowhere(t, tmp, wrappers)
	v.processes.check(t)
	v.kill(t)
	v.nowhere(t, tmp, wrappers)
	v.Args = append(v.Args, "--log-format", "json")
	v.Start(t)
	require.NoError(t, os.WriteFile(filepath.Join(v.gate, "open"), nil, 0o600))
	v.allEnd(t)
	v.nowhere(t, tmp, none)

	v.everything(t, "2")
	v.allEnd(t)
	v.states(t)
	v.mistakes(t)
	v.allEnd(t)
	v.notFired(t)
	v.answers(t)
	v.kill(t) // with the write-ahead log as it is
	v.nowhere(t, tmp, none)
	v.rows(t, filepath.Join(v.Data, "dalang.db"))
	v.Start(t)
	for _, log := range append(v.logs, v.Log()) {
		v.none(t, "the server's log", []byte(log))
	}
	require.Contains(t, v.logs[0], "level=DEBUG")
	require.Contains(t, v.logs[1], `"level":"DEBUG"`)
	for _, pair := range []string{"environ environ", "both environ", "variable environ", "argument cmdline"} {
		require.True(t, v.saw(pair), "%s was not seen: who looks at processes does not see them", pair)
	}
	v.processes.check(t)
}

// none has no secrets, but for the plan that has one as a default.
func none(path string, _ fs.DirEntry) []string {
	if filepath.Base(path) == "default.yaml" {
		return []string{"default"}
	}
	return nil
}

// wrappers are what may have secrets while a run is under way: the script on a
// target that sets its variables, which nobody else can read.
func wrappers(path string, d fs.DirEntry) []string {
	info, err := d.Info()
	dir, dirErr := os.Stat(filepath.Dir(path))
	if err != nil || dirErr != nil || filepath.Base(path) != "wrapper.sh" || info.Mode().Perm()&0o077 != 0 || dir.Mode().Perm() != 0o700 {
		return none(path, d)
	}
	return slices.Concat(inEnvironments(), inArguments(), []string{"terminal"})
}

func newVault(t *testing.T) *vault {
	t.Helper()
	v := &vault{canaries: newCanaries(), gate: t.TempDir(), agents: map[string]*exec.Cmd{}, flags: map[string][]string{}}
	v.ssh = sshtest.New(t, sshtest.Config{Env: []string{"SUDO_FAKE=password"}, Password: v.value("password"), SudoPassword: v.value("sudo")})
	v.key = v.lockedKey(t)
	for i, line := range strings.Split(strings.TrimSpace(v.ssh.UserKey), "\n") {
		if !strings.HasPrefix(line, "-----") {
			v.look(fmt.Sprintf("key line %d ", i), line)
		}
	}
	v.world = newWorld(t, "--log-level", "debug", "--set", "orchestrator.environmentpath="+v.modules(t), "--set", "orchestrator.pcp-timeout=300ms",
		"--set", "orchestrator.schedule-warmup=0s",
		"--set", "orchestrator.plans-external-runner="+v.runner(t))
	v.processes = &processes{canaries: v.canaries, program: v.Binary(), environ: inEnvironments(), arguments: inArguments()}
	v.watch(t)
	for _, name := range []string{"one.example.com", "two.example.com"} {
		v.facts(t, name, "production")
		v.flags[name] = v.newNode(t, name, nil).agentFlags()
		v.startAgent(t, name)
	}
	v.connected(t, 2)
	status, text, _ := v.ask(t, http.MethodPost, "/inventory/v1/command/create-connection", fmt.Sprintf(`{"certnames":["switch.example.com"],"type":"ssh",
		"parameters":{"hostname":"127.0.0.1","port":%d,"tmpdir":%q},"sensitive_parameters":{"user":"admin","password":%s},"duplicates":"error"}`,
		v.ssh.Port, v.ssh.Home, v.quoted("password")))
	require.Equal(t, http.StatusCreated, status, "%s", text)
	v.look("token ", v.token(t, "somebody", "orchestrator:view:*"))
	v.look("password of a user ", "correct horse battery staple")
	return v
}

// lockedKey is a private key with a passphrase, which this server cannot use.
func (v *vault) lockedKey(t *testing.T) string {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	block, err := ssh.MarshalPrivateKeyWithPassphrase(private, "", []byte(v.value("passphrase")))
	require.NoError(t, err)
	text := string(pem.EncodeToMemory(block))
	v.look("locked key ", strings.Split(text, "\n")[3])
	return text
}

// quoted is a secret as JSON.
func (v *vault) quoted(name string) string {
	text, err := json.Marshal(v.value(name))
	if err != nil {
		panic(err) // it is a string
	}
	return string(text)
}

// runner is what runs plans in the Puppet language; it tells the length of what it gets.
func (v *vault) runner(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "runner.sh")
	require.NoError(t, os.WriteFile(path, []byte("#!/bin/sh\nn=$(wc -c)\necho \"$n\"\n"), 0o700))
	return path
}

// modules are tasks and plans that tell the length of what they get, and wait.
func (v *vault) modules(t *testing.T) string {
	t.Helper()
	path := planned(t)
	wait := func(name string) string {
		return fmt.Sprintf(`mktemp %[1]s/began-%[2]s-XXXXXX >/dev/null; while [ ! -e %[1]s/open ]; do sleep 0.1; done`, v.gate, name)
	}
	parameters := `"parameters":{"secret":{"type":"String","sensitive":true}}`
	plan := func(steps string) string {
		return "parameters: {targets: {type: TargetSpec}, secret: {type: 'Sensitive[String]'}}\nsteps:\n- message: \"a ${secret}, $secret\"\n" + steps +
			"- eval: {a: $secret}\n- message: \"the end\"\nreturn: {secret: $secret, more: [\"${secret}\"]}\n"
	}
	// Types with secrets somewhere in them.
	types := map[string]string{"secret": "Array[Sensitive[String]]", "pair": "Struct[{user => String, pw => Optional[Sensitive[String]]}]",
		"deep": "Hash[String, Tuple[Integer, Sensitive[String]]]", "keys": "Optional[Sensitive[Hash[String, Integer]]]"}
	nested, named, listed := map[string]any{}, "parameters: {targets: {type: TargetSpec}", "plan vault::puppet(TargetSpec $targets"
	for name, of := range types {
		nested[name] = map[string]string{"type": of}
		named += fmt.Sprintf(", %s: {type: '%s'}", name, of)
		listed += fmt.Sprintf(",\n  %s $%s = undef", of, name)
	}
	metadata, err := json.Marshal(map[string]any{"input_method": "stdin", "parameters": nested})
	require.NoError(t, err)
	for name, text := range map[string]string{
		"tasks/nested.json": string(metadata),
		"tasks/nested.sh":   "#!/bin/sh\nn=$(wc -c)\n" + wait("nested") + "\necho '{\"length\":'$n'}'\n",
		"plans/nested.yaml": named + "}\nsteps:\n- message: \"a ${secret} ${pair} ${deep} ${keys}, $secret ${secret[0]} ${pair['pw']}\"\n" +
			"- {name: t, task: 'vault::nested', targets: $targets, parameters: {secret: $secret, pair: $pair, deep: $deep, keys: $keys}}\n" +
			"- {name: c, command: \"echo ${secret} ${pair}\", targets: $targets}\n- {name: p, plan: vault::inner, parameters: {secret: $secret, deep: $deep}}\n" +
			"return: [$secret, $pair, $deep, $keys, $p]\n",
		"plans/inner.yaml":   "parameters: {secret: {type: 'Array[Sensitive[String]]'}, deep: {}}\nsteps:\n- message: \"${secret} $deep\"\nreturn: [$secret, $deep]\n",
		"plans/plain.yaml":   "parameters: {secret: {type: 'Sensitive[Hash]'}}\nsteps:\n- {plan: vault::strict, parameters: {h: $secret}}\n",
		"plans/strict.yaml":  "parameters: {h: {type: 'Hash[String, Integer]'}}\nsteps: []\n",
		"plans/given.yaml":   "parameters: {secret: {type: 'Sensitive[Hash]'}}\nsteps:\n- {task: 'vault::strict', targets: one.example.com, parameters: {h: $secret}}\n",
		"plans/default.yaml": "parameters: {secret: {type: 'Array[Sensitive[String]]', default: [" + v.quoted("default") + "]}}\nsteps:\n- message: \"$secret\"\nreturn: $secret\n",
		"plans/puppet.pp":    listed + ",\n) { }\n",
		"tasks/strict.json":  `{"parameters":{"h":{"type":"Hash[String,Integer]"},"k":{"type":"Hash[String,Integer]","sensitive":true}}}`,
		"tasks/later.json":   `{"parameters":{"k":{"type":"Hash[String,Integer]","sensitive":true}}}`,
		"tasks/later.sh":     "#!/bin/sh\n",
		"tasks/strict.sh":    "#!/bin/sh\n",
		"tasks/stdin.json":   `{"input_method":"stdin",` + parameters + `}`,
		"tasks/stdin.sh":     "#!/bin/sh\nn=$(wc -c)\n" + wait("stdin") + "\necho '{\"length\":'$n'}'\n",
		"tasks/environ.json": `{"input_method":"environment",` + parameters + `}`,
		"tasks/environ.sh":   "#!/bin/sh\n" + wait("environ") + "\necho '{\"length\":'${#PT_secret}'}'\n",
		"tasks/both.json":    `{` + parameters + `}`,
		"tasks/both.sh":      "#!/bin/sh\nn=$(wc -c)\n" + wait("both") + "\necho '{\"length\":'$n'}'\n",
		"files/check.sh":     "#!/bin/sh\n" + wait("script") + "\necho ${#1}\n",
		"plans/tasks.yaml":   plan("- {name: t, task: 'vault::stdin', targets: $targets, parameters: {secret: $secret}}\n"),
		"plans/commands.yaml": plan("- {name: c, targets: $targets, env_vars: {V: $secret}, command: \"" +
			wait("command") + `; printf %s \"$V\" | wc -c"}` + "\n"),
		"plans/scripts.yaml": plan("- {name: s, script: vault/check.sh, targets: $targets, arguments: [$secret]}\n"),
		"plans/fails.yaml":   plan("- {name: t, task: 'vault::stdin', targets: nobody.example.com, parameters: {secret: $secret}}\n"),
	} {
		writeFile(t, filepath.Join(path, "production/modules/vault", name), text)
	}
	v.code = path
	return path
}

// startAgent runs the agent of a node, its log in a file.
func (v *vault) startAgent(t *testing.T, name string) {
	t.Helper()
	log, err := os.OpenFile(filepath.Join(t.TempDir(), name+".log"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	require.NoError(t, err)
	defer log.Close()
	cmd := exec.Command(v.Binary(), append([]string{"agent", "--log-level", "debug", "--log-format", "json"}, v.flags[name]...)...)
	cmd.Stdout, cmd.Stderr = log, log
	require.NoError(t, cmd.Start())
	if v.agents[name] == nil {
		t.Cleanup(func() { v.killAgent(name) })
	}
	v.agents[name] = cmd
}

func (v *vault) killAgent(name string) {
	_ = v.agents[name].Process.Kill()
	_ = v.agents[name].Wait() // killed
}

// kill kills the server, and an agent, which is started again.
func (v *vault) kill(t *testing.T) {
	t.Helper()
	v.logs = append(v.logs, v.Log())
	v.Kill(t)
	v.killAgent("one.example.com")
	v.startAgent(t, "one.example.com")
}

// accepted commands something.
func (v *vault) accepted(t *testing.T, path, body string) {
	t.Helper()
	status, text, _ := v.ask(t, http.MethodPost, "/orchestrator/v1"+path, body)
	require.Equal(t, http.StatusAccepted, status, "%s: %s", path, text)
	v.none(t, "the answer of "+path, text)
}

// everything runs whatever takes secrets.
func (v *vault) everything(t *testing.T, round string) {
	t.Helper()
	key, err := json.Marshal(v.ssh.UserKey)
	require.NoError(t, err)
	task := func(name, secret, where string) string {
		return fmt.Sprintf(`{"task":"vault::%s","params":{"secret":%s},"description":"round %s",%s}`, name, v.quoted(secret), round, where)
	}
	const agents = `"scope":{"nodes":["one.example.com","two.example.com"]}`
	password := `,"password":` + v.quoted("password")
	sudo := password + `,"run-as":"root","sudo-password":` + v.quoted("sudo")
	target := func(more string) string { return oneTarget("127.0.0.1", v.ssh, more) }
	for _, body := range []string{task("stdin", "param", agents), task("environ", "environ", agents), task("both", "both", agents),
		task("stdin", "param", target(sudo)), task("both", "both", target(`,"private-key-content":`+string(key))),
		task("stdin", "terminal", target(sudo+`,"tty":true`)), task("environ", "environ", target(password)),
		task("both", "both", `"scope":{"nodes":["switch.example.com"]}`)} {
		v.accepted(t, "/command/task", body)
	}
	for name, secret := range map[string]string{"tasks": "param", "commands": "variable", "scripts": "argument"} {
		v.accepted(t, "/command/plan_run", fmt.Sprintf(`{"plan_name":"vault::%s","params":{"targets":"two.example.com,switch.example.com","secret":%s}}`,
			name, v.quoted(secret)))
	}
	nested := func(more string) string {
		return fmt.Sprintf(`{"secret":[%[1]s],"pair":{"user":"kim","pw":%[1]s},"deep":{"x":[1,%[1]s]},"keys":{%[1]s:1}%s}`, v.quoted("param"), more)
	}
	v.accepted(t, "/command/task", `{"task":"vault::nested","params":`+nested("")+`,"description":"round `+round+`",`+agents+`}`)
	v.accepted(t, "/command/plan_run", `{"plan_name":"vault::nested","params":`+nested(`,"targets":"two.example.com"`)+`}`)
	v.accepted(t, "/command/plan_run", `{"plan_name":"vault::puppet","params":`+nested(`,"targets":"two.example.com"`)+`}`)
	v.accepted(t, "/command/plan_run", `{"plan_name":"vault::default","params":{}}`)
	at := time.Now().Add(1100 * time.Millisecond).UTC().Format(time.RFC3339Nano)
	later := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	scheduled := func(kind, at, input string) {
		v.accepted(t, "/scheduled_jobs/environment_jobs", fmt.Sprintf(`{"type":%q,"environment":"production","description":"","userdata":{},"input":%s,
			"schedule":{"start_time":%q,"interval":null}}`, kind, input, at))
	}
	secret := `{"secret":{"value":` + v.quoted("scheduled") + `}`
	scheduled("task", at, `{"name":"vault::stdin","parameters":`+secret+`},`+target(sudo)+`}`)
	scheduled("plan", at, `{"name":"vault::tasks","parameters":`+secret+`,"targets":{"value":"two.example.com"}}}`)
	scheduled("task", later, `{"name":"vault::stdin","parameters":`+secret+`},`+target(sudo)+`}`)
	scheduled("plan", later, `{"name":"vault::tasks","parameters":`+secret+`,"targets":{"value":"two.example.com"}}}`)
	v.accepted(t, "/command/schedule_task", strings.TrimSuffix(task("stdin", "scheduled", target(sudo)), "}")+`,"environment":"production","scheduled_time":"`+later+`"}`)
}

// began waits until so many runs have.
func (v *vault) began(t *testing.T, n int) {
	t.Helper()
	var all []string
	defer func() { t.Logf("began: %q", all) }()
	require.Eventually(t, func() bool {
		all, _ = filepath.Glob(filepath.Join(v.gate, "began-*"))
		return len(all) == n
	}, time.Minute, 20*time.Millisecond, "not everything begins")
}

// allEnd waits until all jobs and plans have ended, and the schedules that were
// due have fired.
func (v *vault) allEnd(t *testing.T) {
	t.Helper()
	var open []string
	require.Eventually(t, func() bool {
		open = nil
		var due struct { // first: what fires while we look is then among the jobs
			Items []struct {
				Name string
				Next *struct{ Time time.Time } `json:"next_run"`
			}
		}
		v.read(t, "/scheduled_jobs/environment_jobs", &due)
		for _, s := range due.Items {
			if s.Next != nil && time.Until(s.Next.Time) < time.Minute {
				open = append(open, "scheduled job "+s.Name)
			}
		}
		for path, ends := range map[string][]string{"/jobs": {"finished", "failed", "stopped"}, "/plan_jobs": {"success", "failure"}} {
			var list struct {
				Items []struct{ Name, State string }
			}
			v.read(t, path, &list)
			for _, j := range list.Items {
				if !slices.Contains(ends, j.State) {
					open = append(open, path+"/"+j.Name+" "+j.State)
				}
			}
		}
		return len(open) == 0
	}, time.Minute, 100*time.Millisecond, "%v", &open)
}

// notFired requires that the schedule of mistakes came to be refused.
func (v *vault) notFired(t *testing.T) {
	t.Helper()
	_, text, _ := v.ask(t, http.MethodGet, "/orchestrator/v1/scheduled_jobs/environment_jobs", "")
	require.Contains(t, string(text), "the parameter 'k': expected Hash[String,String], got another Hash")
}

// states requires that the last round did what it should: the secrets arrived.
func (v *vault) states(t *testing.T) {
	t.Helper()
	var list struct {
		Items []struct {
			Name, State, Type string
			Options           struct{ Description string }
		}
	}
	v.read(t, "/jobs", &list)
	tasks, results := 0, ""
	for _, j := range list.Items {
		if j.Options.Description != "round 2" {
			continue
		}
		tasks++
		for _, n := range v.ended(t, j.Name) {
			require.Equal(t, "finished", n.State, "job %s: %s", j.Name, n.Message)
			results += fmt.Sprint(n.Result["length"]) + " "
		}
	}
	require.Equal(t, 9, tasks)
	require.Contains(t, results, fmt.Sprintf("%d ", len(v.value("environ"))))
	var plans struct {
		Items []struct{ Name, State string }
	}
	v.read(t, "/plan_jobs?order_by=timestamp&order=desc&limit=4", &plans)
	for _, p := range plans.Items {
		require.Equal(t, "success", p.State, p.Name)
	}
}

// mistakes are commands with secrets that are refused, or that fail.
func (v *vault) mistakes(t *testing.T) {
	t.Helper()
	locked, err := json.Marshal(v.key)
	require.NoError(t, err)
	target := func(more string) string { return oneTarget("127.0.0.1", v.ssh, more) }
	password, sudo, secret := v.quoted("password"), v.quoted("sudo"), v.quoted("param")
	failing := `{"task":"vault::stdin","params":{"secret":` + secret + `},`
	for _, more := range []string{`,"password":` + v.quoted("wrong"),
		`,"run-as":"root","sudo-password":` + v.quoted("wrong") + `,"password":` + password, `,"run-as-command":["nosuch-program"],"run-as":"nobody","password":` + password} {
		v.accepted(t, "/command/task", failing+target(more)+`}`)
	}
	v.accepted(t, "/command/task", failing+`"scope":{"nodes":["gone.example.com"]}}`)
	// A schedule whose task does not take its params any more, and calls none a secret.
	v.accepted(t, "/scheduled_jobs/environment_jobs", fmt.Sprintf(`{"type":"task","environment":"production","description":"changed","userdata":{},
		"input":{"name":"vault::later","parameters":{"k":{"value":{%s:1}}},"scope":{"nodes":["one.example.com"]}},"schedule":{"start_time":%q,"interval":null}}`,
		secret, time.Now().Add(3*time.Second).UTC().Format(time.RFC3339Nano)))
	writeFile(t, filepath.Join(v.code, "production/modules/vault/tasks/later.json"), `{"parameters":{"k":{"type":"Hash[String,String]"}}}`)
	for _, plan := range []string{"plain", "given"} {
		v.accepted(t, "/command/plan_run", `{"plan_name":"vault::`+plan+`","params":{"secret":{`+secret+`:"x"}}}`)
	}
	v.accepted(t, "/command/plan_run", `{"plan_name":"vault::fails","params":{"targets":"x","secret":`+secret+`}}`)
	const nodes = `"scope":{"nodes":["one.example.com"]}}`
	for path, bodies := range map[string][]string{
		"/orchestrator/v1/command/task": {
			`{"task":"vault::strict","params":{"k":{` + secret + `:"x"}},` + nodes, `{"task":"vault::nested","params":{"keys":{` + secret + `:"x"}},` + nodes,
			`{"task":"vault::nested","params":{"secret":[{` + secret + `:1}],"pair":{` + secret + `:1},"deep":{` + secret + `:1}},` + nodes,
			`{"task":"vault::stdin","params":{"secret":[` + secret + `]},` + nodes, `{"task":"vault::stdin","params":{"secrte":` + secret + `},` + nodes,
			`{"task":"vault::stdin","params":{"secret":` + secret + `},"scope":{"nodes":["one.example.com"]`,
			failing + target(`,"private-key-content":`+string(locked)) + `}`, failing + target(`,"private-key-content":`+strings.Replace(v.quoted("nokey"), `"`, `"-----BEGIN `, 1)) + `}`,
			`{"task":"vault::none","params":{"secret":` + secret + `},` + nodes, failing + target(`,"password":[`+password+`]`) + `}`,
			failing + target(`,"password":`+password+`,"port":`+sudo) + `}`, failing + target(`,"password":`+password+`,"private-key-content":`+sudo) + `}`,
			failing + target(`,"password":`+password+`,"run-as-command":{"a":`+sudo+`}`) + `}`,
		},
		"/orchestrator/v1/command/plan_run": {`{"plan_name":"vault::tasks","params":{"targets":"a","secret":[` + secret + `]}}`,
			`{"plan_name":"vault::plain","params":{"secret":[{` + secret + `:1}]}}`, `{"plan_name":"vault::nested","params":{"targets":"a","keys":{` + secret + `:"x"}}}`,
			`{"plan_name":"vault::nested","params":{"targets":"a","secret":[{` + secret + `:1}],"pair":{` + secret + `:1},"deep":{` + secret + `:1}}}`,
			`{"plan_name":"vault::tasks","params":{"targets":"a","secrte":` + secret + `}}`, `{"plan_name":"vault::none","params":{"secret":` + secret + `}}`},
		"/orchestrator/v1/command/schedule_task": {failing + nodes[:len(nodes)-1] + `,"environment":"production","scheduled_time":"2001-01-01T00:00:00Z"}`},
		"/inventory/v1/command/create-connection": {
			`{"certnames":["a"],"type":"ssh","parameters":{},"sensitive_parameters":{"user":"u","password":[` + password + `]},"duplicates":"error"}`,
			`{"certnames":["a"],"type":"ssh","parameters":{},"sensitive_parameters":{"user":"u","password":"p","tmpdir":` + password + `},"duplicates":"error"}`,
			`{"certnames":["a"],"type":"ssh","parameters":{},"sensitive_parameters":{"user":"u","private-key-content":` + string(locked) + `},"duplicates":"error"}`,
			`{"certnames":["switch.example.com"],"type":"ssh","parameters":{},"sensitive_parameters":{"user":"u","password":` + password + `},"duplicates":"error"}`,
			`{"certnames":["a"],"type":"ssh","parameters":{"port":` + sudo + `},"sensitive_parameters":{"user":"u","password":` + password + `},"duplicates":"error"}`},
	} {
		for _, body := range bodies {
			status, text, header := v.ask(t, http.MethodPost, path, body)
			require.Contains(t, []int{400, 404, 409}, status, "%s: %s", path, text)
			v.none(t, path, append(text, fmt.Sprint(header)...))
		}
	}
}

// answers looks at all that can be asked for.
func (v *vault) answers(t *testing.T) {
	t.Helper()
	n := v.everyAnswer(t, func(path string, body []byte) { v.none(t, path, body) })
	t.Logf("%d good answers", n)
	require.Greater(t, n, 100)
	for _, address := range []string{"http://" + v.Address, "https://" + v.api, "https://" + v.pcp} {
		for _, path := range []string{"/debug/pprof/", "/debug/pprof/heap", "/debug/vars"} {
			res, err := v.client.Get(address + path)
			require.NoError(t, err)
			require.NoError(t, res.Body.Close())
			require.Equal(t, http.StatusNotFound, res.StatusCode, "%s%s", address, path)
		}
	}
	// The one thing that shows one, to those who have nodes:view_inventory_sensitive.
	_, text, _ := v.ask(t, http.MethodGet, "/inventory/v1/query/connections?certname=switch.example.com&sensitive=true", "")
	_, names := v.find(text)
	require.Equal(t, []string{"password"}, names)
}
