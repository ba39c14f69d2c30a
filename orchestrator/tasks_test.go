package orchestrator_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"dalang/orchestrator"
	"dalang/orchestrator/job"
	"dalang/orchestrator/secret"
	"dalang/orchestrator/task"
)

// fixed is the keeper of all servers of these tests.
func fixed() *secret.Keeper {
	k, err := secret.New(make([]byte, 32))
	if err != nil {
		panic(err)
	}
	return k
}

func keeper(*testing.T) orchestrator.Secrets { return fixed() }

// library has one task, which takes a name and a secret.
type library struct{}

func (library) Task(_ context.Context, environment, name string) (*task.Task, error) {
	if name == "broken" {
		return nil, &task.Error{Kind: task.KindInvalidMetadata, Msg: "the task is broken"}
	}
	if name == "bolt_shim::command" {
		m, err := task.Parse([]byte(`{"parameters":{"command":{"type":"String"}}}`))
		return &task.Task{Name: name, Metadata: m, Command: true}, err
	}
	if name != "mysql::sql" {
		return nil, job.UnknownTask(environment, name)
	}
	m, err := task.Parse([]byte(`{"supports_noop":true,"parameters":{"sql":{"type":"String[1]"},"port":{"type":"Integer","default":3306},
		"password":{"type":"Optional[String]","sensitive":true}}}`))
	if err != nil {
		return nil, err
	}
	return &task.Task{Name: name, Metadata: m, Files: []task.File{{Filename: "sql.rb", SHA256: "ab12", Size: 7,
		URI: task.URI{Path: "/puppet/v3/file_content/tasks/mysql/sql.rb", Params: map[string]string{"environment": environment}}}}}, nil
}

// sql is the command to run the task on some nodes.
func sql(certnames, params string) job.Task {
	return job.Task{Environment: "production", Task: "mysql::sql", Params: json.RawMessage(params), Scope: job.Scope{Nodes: strings.Fields(certnames)}}
}

func (l *life) run(t job.Task) int64 {
	l.world.t.Helper()
	id, err := l.engine.Task(l.world.t.Context(), nil, t)
	require.NoError(l.world.t, err)
	return id
}

// onDisk tells whether a word is in a file of the database.
func (w *world) onDisk(word string) bool {
	w.t.Helper()
	found := false
	path := w.path
	for _, file := range []string{path, path + "-wal"} {
		text, err := os.ReadFile(file)
		require.NoError(w.t, err)
		found = found || strings.Contains(string(text), word)
	}
	return found
}

func TestTask(t *testing.T) {
	inWorld(t, "a b c", func(t *testing.T, w *world) {
		w.agents["a"].answers = `{"rows":1.0,"noop":"no boolean"}`
		w.agents["b"].answers, w.agents["b"].ends = `{"_error":{"kind":"x/y","msg":"no"}}`, job.Failed
		w.agents["c"].refuses = job.NodeError("puppetlabs.pxp-agent/execution-error", "c", "no ruby")
		l := w.start(nil)
		defer l.stop()
		command := sql("a b c", `{"sql":"SELECT 1","password":"t0ps3cret"}`)
		command.Noop, command.Description, command.Userdata = true, "why not", json.RawMessage(`{"ticket":7}`)
		id := l.run(command)
		pass(time.Second)
		require.True(t, w.onDisk("SELECT 1"), "what is shown is stored")
		require.False(t, w.onDisk("t0ps3cret"))
		pass(time.Minute)
		require.Equal(t, "a finished, b failed, c errored: failed", w.states(id))

		j, err := w.store.Job(t.Context(), id)
		require.NoError(t, err)
		require.JSONEq(t, `{"description":"why not","environment":"production","task":"mysql::sql","params":{"sql":"SELECT 1"},"sensitive":["password"],
			"scope":{"nodes":["a","b","c"]},"targets":[],"noop":true,"timeout":null,"transport":"pcp","scheduled-job-id":null,"plan_job":null,
			"userdata":{"ticket":7}}`, string(j.Options))
		require.Equal(t, "mysql::sql", j.Task)
		require.Equal(t, 40*time.Minute, j.Timeout)
		require.False(t, w.onDisk("t0ps3cret"))

		r := w.agents["a"].asked[0]
		require.Equal(t, "task run", r.Module+" "+r.Action)
		require.JSONEq(t, `{"task":"mysql::sql","input":{"sql":"SELECT 1","password":"t0ps3cret","port":3306,"_noop":true},
			"files":[{"filename":"sql.rb","sha256":"ab12","size_bytes":7,"uri":{"path":"/puppet/v3/file_content/tasks/mysql/sql.rb","params":{"environment":"production"}}}],
			"metadata":{"supports_noop":true,"parameters":{"sql":{"type":"String[1]"},"port":{"type":"Integer","default":3306},
			"password":{"type":"Optional[String]","sensitive":true}}}}`, string(r.Params))

		a := w.node(id, "a")
		require.Equal(t, "Finished task mysql::sql on a - Success!", a.Message)
		require.JSONEq(t, `{"rows":1.0,"noop":"no boolean"}`, string(a.Result))
		require.Contains(t, string(a.Result), "1.0", "numbers stay as they are written")
		events, err := w.store.JobEvents(t.Context(), id, a.LatestEvent, 1)
		require.NoError(t, err)
		require.JSONEq(t, `{"node":"a","detail":{"rows":1.0}}`, string(events[0].Details))
		require.JSONEq(t, `{"_error":{"kind":"x/y","msg":"no"}}`, string(w.node(id, "b").Result))
		require.Equal(t, "Error running task mysql::sql on c: no ruby", w.node(id, "c").Message)
	})
}

// TestTaskCommand: a task that the module command runs. It succeeds however its
// command ends, also when another life hears of that.
func TestTaskCommand(t *testing.T) {
	inWorld(t, "a b c", func(t *testing.T, w *world) {
		w.agents["a"].answers = `{"stdout":"x","stderr":"","exit_code":0}`
		w.agents["b"].answers, w.agents["b"].ends = `{"stdout":"","stderr":"","exit_code":7,"_error":{"kind":"k","msg":"no"}}`, job.Failed
		w.agents["c"].refuses = job.NodeError("puppetlabs.pxp-agent/execution-error", "c", "no shell")
		l := w.start(nil)
		command := sql("a b c", `{"command":"exit 7"}`)
		command.Task = "bolt_shim::command"
		id := l.run(command)
		pass(time.Second)
		l.stop()
		l = w.start(nil)
		defer l.stop()
		pass(5 * time.Minute)
		require.Equal(t, "a finished, b finished, c errored: failed", w.states(id))
		require.JSONEq(t, `{"stdout":"","stderr":"","exit_code":7}`, string(w.node(id, "b").Result))
		require.JSONEq(t, `{"stdout":"x","stderr":"","exit_code":0}`, string(w.node(id, "a").Result))
		r := w.agents["a"].asked[0]
		require.Equal(t, "command run", r.Module+" "+r.Action)
		require.JSONEq(t, `{"command":"exit 7"}`, string(r.Params))
		j, err := w.store.Job(t.Context(), id)
		require.NoError(t, err)
		require.Equal(t, job.TypeTask, j.Type)
	})
}

// TestTaskSecrets: what a plan knows to be secret is, whatever the task says.
func TestTaskSecrets(t *testing.T) {
	inWorld(t, "a", func(t *testing.T, w *world) {
		l := w.start(nil)
		defer l.stop()
		command := sql("a", `{"sql":"SELECT hush"}`)
		command.Secrets = []string{"sql", "password"}
		id := l.run(command)
		pass(2 * time.Minute)
		j, err := w.store.Job(t.Context(), id)
		require.NoError(t, err)
		require.Contains(t, string(j.Options), `"params":{},"sensitive":["sql"]`)
		require.Contains(t, string(w.agents["a"].asked[0].Params), "SELECT hush")
		require.False(t, w.onDisk("SELECT hush"))

		command = sql("a", `{"sql":{"hush":1}}`)
		command.Secrets = []string{"sql"}
		_, err = l.engine.Task(t.Context(), nil, command)
		require.Error(t, err)
		require.NotContains(t, err.Error(), "hush")
	})
}

func TestTaskErrors(t *testing.T) {
	inWorld(t, "a b", func(t *testing.T, w *world) {
		l := w.start(nil)
		defer l.stop()
		for name, c := range map[string]struct {
			change    func(*job.Task)
			kind, msg string
		}{
			"environment":    {func(c *job.Task) { c.Environment = "nowhere" }, "puppetlabs.orchestrator/unknown-environment", "nowhere"},
			"task":           {func(c *job.Task) { c.Task = "mysql" }, "puppetlabs.orchestrator/unknown-task", "Unknown task mysql in environment production"},
			"broken task":    {func(c *job.Task) { c.Task = "broken" }, "puppet.tasks/invalid-metadata", "broken"},
			"params":         {func(c *job.Task) { c.Params = json.RawMessage(`{"port":"t0ps3cret","sq":1}`) }, "puppetlabs.orchestrator/validation-error", "the parameter 'sql' is missing"},
			"no object":      {func(c *job.Task) { c.Params = json.RawMessage(`[]`) }, "puppetlabs.orchestrator/validation-error", "not an object"},
			"no nodes":       {func(c *job.Task) { c.Scope.Nodes = nil }, "puppetlabs.orchestrator/empty-target", "no nodes"},
			"target":         {func(c *job.Task) { c.Targets = []job.Target{{Hostnames: []string{"c"}}} }, "puppetlabs.orchestrator/empty-target", "c is not in the scope"},
			"target twice":   {func(c *job.Task) { c.Targets = []job.Target{{Hostnames: []string{"a", "a"}}} }, "puppetlabs.orchestrator/validation-error", "targets[0].hostnames[1]: a is in targets more than once"},
			"query is wrong": {func(c *job.Task) { c.Scope = job.Scope{Query: json.RawMessage(`"nodes[certname"`)} }, "puppetlabs.orchestrator/query-error", "invalid"},
		} {
			command := sql("a b", `{"sql":"x"}`)
			c.change(&command)
			_, err := l.engine.Task(t.Context(), nil, command)
			var e *job.Error
			require.ErrorAs(t, err, &e, name)
			require.Equal(t, c.kind, e.Kind, name)
			require.Contains(t, e.Msg, c.msg, name)
			require.NotContains(t, fmt.Sprint(e.Msg, e.Details), "t0ps3cret", name)
		}
		_, total, err := w.store.Jobs(t.Context(), job.Filter{})
		require.NoError(t, err)
		require.Zero(t, total)

		command := sql("a", `{"sql":"x"}`)
		command.Noop = true
		_, err = orchestratorWithout(t, w).Task(t.Context(), nil, command)
		require.ErrorContains(t, err, "this server runs no tasks")
	})
}

func orchestratorWithout(t *testing.T, w *world) *orchestrator.Engine {
	t.Helper()
	scopes, err := orchestrator.NewScopes(orchestrator.ScopesConfig{Querier: orchestrator.NewQuerier(nil)})
	require.NoError(t, err)
	e, err := orchestrator.New(orchestrator.Config{Database: w.store, Scopes: scopes,
		PuppetRun: func(job.Deploy, string) (json.RawMessage, error) { return nil, nil }})
	require.NoError(t, err)
	return e
}

// user has permissions such as "tasks:run:facts".
type user string

func (u user) May(objectType, action, instance string) bool {
	for p := range strings.FieldsSeq(string(u)) {
		if p == objectType+":"+action+":"+instance || p == objectType+":"+action+":*" {
			return true
		}
	}
	return false
}

func (u user) Owner() json.RawMessage { return json.RawMessage(`{"login":"ute"}`) }

func TestTaskPermissions(t *testing.T) {
	inWorld(t, "a b c", func(t *testing.T, w *world) {
		for _, certname := range []string{"a", "b", "c"} {
			w.report(certname, nil)
		}
		for _, target := range []job.TaskTarget{
			{Tasks: []string{"mysql::sql"}, Nodes: []string{"a"}},
			{Tasks: []string{"other"}, Nodes: []string{"b"}},
			{AllTasks: true, PQL: `nodes[certname] { certname = "c" }`},
			{AllTasks: true, Nodes: []string{"a", "b"}, PQL: `nodes[certname] { certname`},
		} {
			_, err := w.store.AddTaskTarget(t.Context(), &target)
			require.NoError(t, err)
		}
		l := w.start(nil)
		defer l.stop()
		for permissions, want := range map[user]string{
			"tasks:run:*":                      "a b c",
			"tasks:run:mysql::sql":             "a b c",
			"tasks:run:other":                  "",
			"":                                 "",
			"tasks:run_with_constraints:1":     "a",
			"tasks:run_with_constraints:2":     "",
			"tasks:run_with_constraints:3":     "c",
			"tasks:run_with_constraints:4":     "", // its query is wrong: it permits nothing
			"tasks:run_with_constraints:*":     "a c",
			"tasks:run_with_constraints:1 x:y": "a",
		} {
			may, err := l.engine.MayRun(t.Context(), permissions)
			require.NoError(t, err)
			require.Equal(t, want != "" || permissions == "tasks:run_with_constraints:4", may("mysql::sql"), permissions)
			id, err := l.engine.Task(t.Context(), permissions, sql("c a b", `{"sql":"x"}`))
			if want == "" {
				var e *job.Error
				require.ErrorAs(t, err, &e, permissions)
				require.Equal(t, "puppetlabs.orchestrator/not-permitted", e.Kind)
				continue
			}
			require.NoError(t, err, permissions)
			nodes, _, _, err := w.store.JobNodes(t.Context(), id, job.NodeFilter{OrderBy: "name"})
			require.NoError(t, err)
			var names []string
			for _, n := range nodes {
				names = append(names, n.Certname)
			}
			require.Equal(t, want, strings.Join(names, " "), permissions)
		}
		_, err := l.engine.Task(t.Context(), user("tasks:run:*"), job.Task{Environment: "production", Task: "mysql::sql",
			Params: json.RawMessage(`{"sql":"x"}`), Scope: job.Scope{Query: json.RawMessage(`"nodes[certname] {}"`)}})
		require.ErrorIs(t, err, job.Query(""), "queries need nodes:view_data")
		pass(5 * time.Minute)
	})
}

// TestConnections: how a node is reached, and for how long that is kept.
func TestConnections(t *testing.T) {
	inWorld(t, "a b c d", func(t *testing.T, w *world) {
		for _, a := range w.agents {
			a.answers = `{}`
		}
		_, err := w.store.AddConnections(t.Context(), []job.StoredConnection{
			{Certname: "b", ID: uuid.New(), Type: "ssh", Parameters: json.RawMessage(`{"user":"berta","port":2222,"run-as":"root"}`),
				Sealed: orchestrator.SealConnection(fixed(), json.RawMessage(`{"password":"b-word"}`))},
			{Certname: "a", ID: uuid.New(), Type: "winrm", Parameters: json.RawMessage(`{}`), Sealed: orchestrator.SealConnection(fixed(), json.RawMessage(`{}`))},
			{Certname: "d", ID: uuid.New(), Type: "winrm", Parameters: json.RawMessage(`{}`), Sealed: orchestrator.SealConnection(fixed(), json.RawMessage(`{}`))},
		}, false)
		require.NoError(t, err)
		l := w.start(nil)
		defer l.stop()
		command := sql("a b c d", `{"sql":"x"}`)
		command.RunAs = "oper"
		command.Targets = []job.Target{{Hostnames: []string{"a"}, Transport: "ssh", Connection: job.Connection{User: "anna", Password: "a-word", Hostname: "a.lan"}}}
		id := l.run(command)
		pass(time.Second)
		require.Equal(t, "a running, b running, c running, d errored: running", w.states(id))
		require.Contains(t, w.node(id, "d").Message, `there is no transport "winrm"`)
		require.Equal(t, "ssh", w.node(id, "a").Transport)
		require.Equal(t, "pcp", w.node(id, "c").Transport)
		j, err := w.store.Job(t.Context(), id)
		require.NoError(t, err)
		require.Contains(t, string(j.Options), `"targets":[{"hostnames":["a"],"transport":"ssh"}]`)
		require.Contains(t, string(j.Options), `"transport":"mixed"`)

		c, err := l.engine.Connection(t.Context(), id, "a")
		require.NoError(t, err)
		require.Equal(t, job.Connection{Hostname: "a.lan", User: "anna", Password: "a-word", RunAs: "oper"}, c)
		c, err = l.engine.Connection(t.Context(), id, "b")
		require.NoError(t, err)
		require.Equal(t, job.Connection{Hostname: "b", User: "berta", Password: "b-word", Port: 2222, RunAs: "oper"}, c)
		require.NotContains(t, fmt.Sprintf("%v %+v %#v", c, c, c), "b-word")
		require.False(t, w.onDisk("a-word"))
		require.False(t, w.onDisk("b-word"))
		pass(time.Minute)
		require.Equal(t, "a finished, b finished, c finished, d errored: failed", w.states(id))
		_, err = l.engine.Connection(t.Context(), id, "a")
		require.NoError(t, err, "the stored one is left")
		_, err = l.engine.Connection(t.Context(), id, "c")
		require.ErrorContains(t, err, "no stored connection for c")
	})
}

// TestTaskTimeout: agents are given time to say that they have ended a task, and
// the time of one without an agent begins when the task does.
func TestTaskTimeout(t *testing.T) {
	inWorld(t, "a b c", func(t *testing.T, w *world) {
		for _, a := range w.agents {
			a.answers = `{}`
		}
		w.agents["a"].mute = true
		w.agents["b"].far, w.agents["b"].takes = time.Hour, 55*time.Second
		w.agents["c"].far, w.agents["c"].mute = time.Hour, true
		l := w.start(nil)
		defer l.stop()
		command, limit := sql("a b c", `{"sql":"x"}`), int64(60)
		command.Timeout = &limit
		command.Targets = []job.Target{{Hostnames: []string{"b", "c"}, Transport: "ssh", Connection: job.Connection{User: "u", Password: "p"}}}
		id := l.run(command)
		pass(89 * time.Second)
		require.Equal(t, time.Minute, w.agents["a"].asked[0].Timeout)
		require.Equal(t, job.Running, w.node(id, "a").State)
		pass(time.Second)
		require.Equal(t, "a errored, b ready, c ready: running", w.states(id))
		require.Equal(t, "Error running task mysql::sql on a: the run did not end within 1m0s", w.node(id, "a").Message)
		pass(time.Hour - 30*time.Second)
		require.Equal(t, "a errored, b finished, c running: running", w.states(id))
		pass(30 * time.Second)
		require.Equal(t, "a errored, b finished, c errored: failed", w.states(id))
	})
}

// TestTaskSlots: tasks have slots of their own, and those over ssh another few.
func TestTaskSlots(t *testing.T) {
	inWorld(t, many(12), func(t *testing.T, w *world) {
		l := w.start(func(c *orchestrator.Config) { c.Compiles, c.Tasks, c.Connections = 1, 6, 2 })
		defer l.stop()
		command := sql(many(12), `{"sql":"x"}`)
		command.Targets = []job.Target{{Hostnames: strings.Fields(many(4)), Transport: "ssh", Connection: job.Connection{User: "u", Password: "p"}}}
		id := l.run(command)
		pass(time.Second)
		require.Equal(t, 6, w.atWork())
		require.Equal(t, job.Running, w.node(id, "n00").State)
		require.Equal(t, job.Running, w.node(id, "n01").State)
		require.Equal(t, job.New, w.node(id, "n02").State, "two over ssh at a time")
		l.deploy("n11", nil)
		pass(time.Second)
		require.Equal(t, 7, w.atWork(), "Puppet has slots of its own")
		pass(5 * time.Minute)
	})
}

// TestLostShell: what ran without an agent when the server died is lost.
func TestLostShell(t *testing.T) {
	inWorld(t, "a b", func(t *testing.T, w *world) {
		l := w.start(func(c *orchestrator.Config) { c.Tasks = 1 })
		command := sql("a b", `{"sql":"x"}`)
		command.Targets = []job.Target{{Hostnames: []string{"a", "b"}, Transport: "ssh", Connection: job.Connection{User: "u", Password: "a-word"}}}
		w.agents["b"].answers = `{}`
		id := l.run(command)
		pass(time.Second)
		l.stop()
		require.Equal(t, "a running, b new: running", w.states(id))
		l = w.start(nil)
		defer l.stop()
		pass(2 * time.Minute)
		require.Equal(t, "a errored, b finished: failed", w.states(id))
		require.Contains(t, string(w.node(id, "a").Details), "orchestrator-restarted")
	})
}

// TestLostKey: what was sealed with another key cannot be asked of anybody.
func TestLostKey(t *testing.T) {
	inWorld(t, "a", func(t *testing.T, w *world) {
		w.agents["a"].connected = false
		l := w.start(nil)
		id := l.run(sql("a", `{"sql":"x"}`))
		l.stop()
		other, err := secret.New([]byte(strings.Repeat("k", 32)))
		require.NoError(t, err)
		l = w.start(func(c *orchestrator.Config) { c.Tasking.Secrets = other })
		defer l.stop()
		pass(time.Second)
		require.Equal(t, "a errored: failed", w.states(id))
		require.Contains(t, w.node(id, "a").Message, "sealed with another key")
	})
}

func TestSteps(t *testing.T) {
	inWorld(t, "a", func(t *testing.T, w *world) {
		w.agents["a"].answers = `{"stdout":"x","exit_code":0}`
		l := w.start(nil)
		defer l.stop()
		for kind, module := range map[job.Type]string{job.TypePlanCommand: "command run", job.TypePlanScript: "script run", job.TypePlanUpload: "file download"} {
			id, err := l.engine.Step(t.Context(), nil, job.Step{Type: kind, PlanJob: 7, Environment: "production", Scope: job.Scope{Nodes: []string{"a"}},
				Params: json.RawMessage(`{"command":"x"}`), Options: json.RawMessage(`{"command":"x"}`)})
			require.NoError(t, err)
			j, err := l.engine.Wait(t.Context(), id)
			require.NoError(t, err)
			require.Equal(t, job.Finished, j.State)
			require.Equal(t, int64(7), j.PlanJob)
			require.Equal(t, kind, j.Type)
			asked := w.agents["a"].asked[len(w.agents["a"].asked)-1]
			require.Equal(t, module, asked.Module+" "+asked.Action)
			require.JSONEq(t, `{"command":"x"}`, string(asked.Params))
			require.Regexp(t, `^Finished (command|script|upload) on a - Success!$`, w.node(id, "a").Message)
		}
		id, err := l.engine.Step(t.Context(), nil, job.Step{Type: job.TypePlanApply, PlanJob: 7, Environment: "production", Scope: job.Scope{Nodes: []string{"a"}},
			Params: json.RawMessage(`{"apply_options":{"noop":true},"catalog":{"version":"x"}}`), Options: json.RawMessage(`{}`)})
		require.NoError(t, err)
		_, err = l.engine.Wait(t.Context(), id)
		require.NoError(t, err)
		asked := w.agents["a"].asked[len(w.agents["a"].asked)-1]
		require.Equal(t, "apply apply", asked.Module+" "+asked.Action)
		require.JSONEq(t, `{"apply_options":{"noop":true},"catalog":{"name":"a","version":"x"}}`, string(asked.Params), "which is the node's")
		require.Equal(t, "Finished apply on a - Success!", w.node(id, "a").Message)
		_, err = l.engine.Step(t.Context(), nil, job.Step{Type: job.TypeDeploy})
		require.ErrorContains(t, err, "no step of a plan")
		command := sql("a", `{"sql":"x"}`)
		command.PlanJob = 7
		j, err := w.store.Job(t.Context(), l.run(command))
		require.NoError(t, err)
		require.Equal(t, job.TypePlanTask, j.Type)
		require.Contains(t, string(j.Options), `"plan_job":"7"`)
		pass(2 * time.Minute)
	})
}

func TestWait(t *testing.T) {
	inWorld(t, "a b", func(t *testing.T, w *world) {
		w.agents["a"].answers = `{}`
		l := w.start(nil)
		defer l.stop()
		_, err := l.engine.Wait(t.Context(), 99)
		require.ErrorIs(t, err, job.UnknownJob(0))
		id := l.run(sql("a", `{"sql":"x"}`))
		ended := make(chan job.State, 2)
		for range 2 {
			go func() {
				j, err := l.engine.Wait(t.Context(), id)
				require.NoError(t, err)
				ended <- j.State
			}()
		}
		synctest.Wait()
		require.Empty(t, ended)
		pass(2 * time.Minute)
		require.Equal(t, job.Finished, <-ended)
		require.Equal(t, job.Finished, <-ended)
		j, err := l.engine.Wait(t.Context(), id)
		require.NoError(t, err)
		require.Equal(t, job.Finished, j.State, "of a job that has ended")

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		id = l.deploy("b", nil)
		_, err = l.engine.Wait(ctx, id)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		_, err = l.engine.Stop(t.Context(), id, true)
		require.NoError(t, err)
		j, err = l.engine.Wait(t.Context(), id)
		require.NoError(t, err)
		require.Equal(t, job.Stopped, j.State)
		pass(time.Minute)
	})
}
