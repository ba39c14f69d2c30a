package orchestration

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// environment lays out an environment with a module of tasks, and answers the
// environmentpath.
func environment(t *testing.T) string {
	t.Helper()
	path := t.TempDir()
	for name, text := range map[string]string{
		"greet.json": `{"description":"Greets somebody","supports_noop":true,"parameters":{"name":{"type":"String[1]"},
			"often":{"type":"Integer[1,9]","default":1},"token":{"type":"Optional[String]","sensitive":true}}}`,
		"greet.sh": "#!/bin/sh\nif [ \"$PT__noop\" = true ]; then echo '{\"would\":\"greet\"}'; exit; fi\n" +
			"printf '{\"greeting\":\"hello %s\",\"often\":%s,\"task\":\"%s\",\"token_length\":%s}' \"$PT_name\" \"$PT_often\" \"$PT__task\" \"${#PT_token}\"\n",
		"fail.sh":     "#!/bin/sh\necho before\necho woe >&2\nexit 3\n",
		"hang.sh":     "#!/bin/sh\nsetsid sleep 600 &\necho $! $$ > \"$PT_into\"\ntrap '' TERM\nwhile :; do sleep 1; done\n",
		"init.sh":     "#!/bin/sh\ncat \"$PT__installdir/demo/files/motd\"\n",
		"init.json":   `{"files":["demo/files/motd"],"parameters":{}}`,
		"broken.json": `{`, "broken.sh": "",
	} {
		writeFile(t, filepath.Join(path, "production/modules/demo/tasks", name), text)
	}
	writeFile(t, filepath.Join(path, "production/modules/demo/files/motd"), "shared and served")
	writeFile(t, filepath.Join(path, "secret"), "outside")
	require.NoError(t, os.Symlink("../../../../secret", filepath.Join(path, "production/modules/demo/files/link")))
	return path
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
}

// taskNode is a node of a task's job.
type taskNode struct {
	Name, State, Transport, Message string
	Result                          map[string]any
}

// task runs a task and answers its job's name and nodes when it has ended.
func (w *world) task(t *testing.T, body string) (string, map[string]taskNode) {
	t.Helper()
	status, text, _ := w.ask(t, http.MethodPost, "/orchestrator/v1/command/task", body)
	require.Equal(t, http.StatusAccepted, status, "%s", text)
	var made struct{ Job struct{ Name string } }
	require.NoError(t, json.Unmarshal(text, &made))
	return made.Job.Name, w.ended(t, made.Job.Name)
}

// ended waits for the end of a job.
func (w *world) ended(t *testing.T, name string) map[string]taskNode {
	t.Helper()
	require.Eventually(t, func() bool {
		var j struct{ State string }
		w.read(t, "/jobs/"+name, &j)
		return j.State == "finished" || j.State == "failed" || j.State == "stopped"
	}, 30*time.Second, 30*time.Millisecond)
	var list struct{ Items []taskNode }
	w.read(t, "/jobs/"+name+"/nodes", &list)
	nodes := map[string]taskNode{}
	for _, n := range list.Items {
		nodes[n.Name] = n
	}
	return nodes
}

// nowhere requires that a word is in no file below some directories.
func nowhere(t *testing.T, word string, dirs ...string) {
	t.Helper()
	for _, dir := range dirs {
		require.NoError(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			text, err := os.ReadFile(path)
			if os.IsNotExist(err) {
				return nil
			}
			require.False(t, bytes.Contains(text, []byte(word)), "%s is in %s", word, path)
			return err
		}))
	}
}

// TestTasks: tasks of a directory, over real agents, which get the files from
// the server.
func TestTasks(t *testing.T) {
	w := newWorld(t, "--set", "orchestrator.environmentpath="+environment(t), "--set", "orchestrator.pcp-timeout=300ms")
	one, two := w.newNode(t, "one.example.com", nil), w.newNode(t, "two.example.com", nil)
	one.start(t)
	two.start(t)
	w.connected(t, 2)

	const secret = "t0ps3cret-and-long"
	name, nodes := w.task(t, `{"task":"demo::greet","params":{"name":"world & all","often":2,"token":"`+secret+`"},"scope":{"nodes":["one.example.com","two.example.com","gone.example.com"]}}`)
	for _, certname := range []string{"one.example.com", "two.example.com"} {
		require.Equal(t, "finished", nodes[certname].State, nodes[certname].Message)
		require.EqualValues(t, len(secret), nodes[certname].Result["token_length"], "%v", nodes[certname].Result)
	}
	require.Equal(t, "errored", nodes["gone.example.com"].State)
	var j struct {
		State, Type string
		Options     map[string]any
	}
	w.read(t, "/jobs/"+name, &j)
	require.Equal(t, "failed task", j.State+" "+j.Type)
	require.Equal(t, map[string]any{"name": "world & all", "often": 2.0}, j.Options["params"])
	require.Equal(t, []any{"token"}, j.Options["sensitive"])
	nowhere(t, secret, w.Data, one.Dir, two.Dir)
	require.NotContains(t, w.Log(), secret)
	require.Regexp(t, `msg=audit call="POST /orchestrator/v1/command/task" login=api_user user_id=\S+ certificate=`+operator+` .* task=demo::greet .* scope=nodes job=1 nodes=3 outcome=done`, w.Log())
	for _, path := range []string{"", "/nodes", "/events", "/report"} {
		_, text, _ := w.ask(t, http.MethodGet, "/orchestrator/v1/jobs/"+name+path, "")
		require.NotContains(t, string(text), secret)
	}

	_, nodes = w.task(t, `{"task":"demo::greet","params":{"name":"x"},"noop":true,"scope":{"nodes":["one.example.com"]}}`)
	require.Equal(t, map[string]any{"would": "greet"}, nodes["one.example.com"].Result)
	_, nodes = w.task(t, `{"task":"demo","params":{},"scope":{"nodes":["one.example.com"]}}`)
	require.Equal(t, map[string]any{"_output": "shared and served"}, nodes["one.example.com"].Result)
	_, nodes = w.task(t, `{"task":"demo::fail","params":{"anything":[1,{"a":null}]},"scope":{"nodes":["one.example.com"]}}`)
	require.Equal(t, "failed", nodes["one.example.com"].State)
	require.Equal(t, "before\n", nodes["one.example.com"].Result["_output"])
	require.Equal(t, "puppetlabs.tasks/task-error", nodes["one.example.com"].Result["_error"].(map[string]any)["kind"])

	out, status := w.program(t, "task", "run", "demo::greet", "name=7", "often=3", "--nodes", "one.example.com,two.example.com")
	require.Equal(t, 0, status)
	require.Regexp(t, `(?m)^Job \d+: task demo::greet on 2 nodes in production\.$`, out)
	require.Regexp(t, `(?m)^\d\d:\d\d:\d\d  two\.example\.com  finished  \{"greeting":"hello 7","often":3,"task":"demo::greet","token_length":0\}$`, out)
	require.Regexp(t, `(?m)^one\.example\.com  finished  [\d.]+m?s\n  \{\n    "greeting": "hello 7",$`, out)
	out, status = w.program(t, "task", "run", "demo::fail", "--nodes", "one.example.com")
	require.Equal(t, 3, status)
	require.Regexp(t, `(?m)^one\.example\.com  failed  [\d.]+m?s\n  before\n  The task failed with exit code 3$`, out)

	var used struct {
		Items []struct {
			TaskNodes int `json:"nodes_affected_by_task_runs"`
		}
	}
	w.read(t, "/usage", &used)
	require.NotEmpty(t, used.Items)
	affected := 0
	for _, day := range used.Items { // it may be midnight
		affected += day.TaskNodes
	}
	require.GreaterOrEqual(t, affected, 5, "usage is not as old as the server's start")
	w.shimTasks(t, two.Dir)
	w.taskRefusals(t)
	w.taskLists(t)
	w.taskFiles(t)
}

// TestTimeouts: tasks and the commands of plans are ended on their nodes, with
// all that they started, when their time is over.
func TestTimeouts(t *testing.T) {
	path := environment(t)
	writeFile(t, filepath.Join(path, "production/modules/demo/plans/hang.yaml"),
		"parameters: {nodes: {type: TargetSpec}, into: {type: String}}\nsteps:\n- {command: \"sleep 600 & echo $! $$ > $into; wait\", targets: $nodes}\n")
	w := newWorld(t, "--set", "orchestrator.environmentpath="+path, "--set", "orchestrator.default-task-node-timeout=2s")
	w.newNode(t, "one.example.com", nil).start(t, "kill-grace=1s")
	w.connected(t, 1)

	into := filepath.Join(t.TempDir(), "task")
	_, nodes := w.task(t, `{"task":"demo::hang","params":{"into":"`+into+`"},"timeout":1,"scope":{"nodes":["one.example.com"]}}`)
	require.Equal(t, "errored", nodes["one.example.com"].State)
	require.Equal(t, "Error running task demo::hang on one.example.com: the agent could not complete the run: it ran longer than 1s and was killed", nodes["one.example.com"].Message)
	dead(t, into)

	into = filepath.Join(t.TempDir(), "plan")
	p := w.planEnded(t, w.plan(t, "plan_run", fmt.Sprintf(`{"plan_name":"demo::hang","params":{"nodes":"one.example.com","into":%q}}`, into)))
	require.Equal(t, "failure", p.State)
	require.Contains(t, string(p.Result), "it ran longer than 2s and was killed")
	dead(t, into)
}

// dead requires that the processes that a file names have ended, or do soon.
func dead(t *testing.T, file string) {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	for _, pid := range strings.Fields(string(text)) {
		require.Eventually(t, func() bool {
			stat, err := os.ReadFile("/proc/" + pid + "/stat")
			return err != nil || strings.Contains(string(stat), ") Z ")
		}, 20*time.Second, 20*time.Millisecond, "process %s still runs", pid)
	}
}

// shimTasks are what Bolt asks for in the place of commands, scripts and
// uploads. The environment has no module of that name.
func (w *world) shimTasks(t *testing.T, dir string) {
	t.Helper()
	const host = "one.example.com"
	shim := func(name, params string) taskNode {
		t.Helper()
		_, nodes := w.task(t, `{"task":"bolt_shim::`+name+`","params":`+params+`,"scope":{"nodes":["`+host+`"]}}`)
		return nodes[host]
	}
	n := shim("command", `{"command":"echo out; echo err >&2; exit 7"}`)
	require.Equal(t, "finished", n.State, n.Message)
	require.Equal(t, map[string]any{"stdout": "out\n", "stderr": "err\n", "exit_code": 7.0}, n.Result)
	w.refused(t, 400, "validation-error", http.MethodPost, "/orchestrator/v1/command/task", `{"task":"bolt_shim::command","params":{"command":7},"scope":{"nodes":["`+host+`"]}}`)
	if _, err := exec.LookPath("ruby"); err != nil {
		t.Log("there is no ruby; scripts and uploads are left out")
		return
	}
	b64 := base64.StdEncoding.EncodeToString
	n = shim("script", `{"content":"`+b64([]byte("#!/bin/sh\necho \"$2\"\n# scr1pt-secret\n"))+`","arguments":["a","b c"],"name":"x.sh"}`)
	require.Equal(t, map[string]any{"stdout": "b c\n", "stderr": "", "exit_code": 0.0}, n.Result, n.Message)
	nowhere(t, "scr1pt-secret", w.Data)
	nowhere(t, b64([]byte("# scr1pt-secret")), w.Data)
	file := filepath.Join(dir, "uploaded")
	n = shim("upload", fmt.Sprintf(`{"path":%q,"content":%q,"mode":33184,"directory":false}`, file, b64([]byte("content"))))
	require.Equal(t, map[string]any{"success": true}, n.Result, n.Message)
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, "content", string(text))
}

// taskRefusals are the documented errors, by the real program.
func (w *world) taskRefusals(t *testing.T) {
	t.Helper()
	const command = "/orchestrator/v1/command/task"
	scope := `"scope":{"nodes":["one.example.com"]}`
	for _, c := range []struct {
		status     int
		kind, body string
	}{
		{404, "unknown-environment", `{"environment":"nowhere","task":"demo","params":{},` + scope + `}`},
		{404, "unknown-task", `{"task":"demo::nothing","params":{},` + scope + `}`},
		{400, "empty-target", `{"task":"demo","params":{},"scope":{"nodes":[]}}`},
		{400, "empty-target", `{"task":"demo","params":{},"scope":{"query":"nodes[certname]{ certname = \"nobody\" }"}}`},
		{400, "empty-target", `{"task":"demo","params":{},` + scope + `,"targets":[{"hostnames":["other"],"transport":"ssh","user":"u","password":"p"}]}`},
		{400, "query-error", `{"task":"demo","params":{},"scope":{"query":"nodes[certname"}}`},
		{400, "validation-error", `{"task":"demo::greet","params":{"nam":"x"},` + scope + `}`},
		{400, "validation-error", `{"task":"demo::fail","params":{},"noop":true,` + scope + `}`},
	} {
		w.refused(t, c.status, c.kind, http.MethodPost, command, c.body)
	}
	token := w.token(t, "tom", "orchestrator:view:*", "tasks:run:demo::fail")
	w.refused(t, 403, "not-permitted", http.MethodPost, command, `{"task":"demo","params":{},`+scope+`}`, "X-Authentication", token)
	w.refused(t, 400, "query-error", http.MethodPost, command, `{"task":"demo","params":{},"scope":{"query":"nodes{}"}}`, "X-Authentication", token)

	// A task-target lets him, on its nodes only.
	status, text, _ := w.ask(t, http.MethodPost, "/orchestrator/v1/command/task_target", `{"display_name":"x","tasks":["demo"],"nodes":["one.example.com"],"node_groups":[]}`)
	require.Equal(t, http.StatusOK, status, "%s", text)
	token = w.token(t, "tina", "orchestrator:view:*", "tasks:run_with_constraints:1")
	status, text, _ = w.ask(t, http.MethodPost, "/orchestrator/v1/command/task", `{"task":"demo","params":{},"scope":{"nodes":["two.example.com","one.example.com"]}}`, "X-Authentication", token)
	require.Equal(t, http.StatusAccepted, status, "%s", text)
	var made struct{ Job struct{ Name string } }
	require.NoError(t, json.Unmarshal(text, &made))
	nodes := w.ended(t, made.Job.Name)
	require.Len(t, nodes, 1)
	require.Equal(t, "finished", nodes["one.example.com"].State)
	w.refused(t, 403, "not-permitted", http.MethodPost, command, `{"task":"demo","params":{},"scope":{"nodes":["two.example.com"]}}`, "X-Authentication", token)
}

// taskLists asks for what there is.
func (w *world) taskLists(t *testing.T) {
	t.Helper()
	var list struct{ Items []struct{ Name string } }
	w.read(t, "/tasks", &list)
	var names []string
	for _, i := range list.Items {
		names = append(names, i.Name)
	}
	require.Equal(t, []string{"demo", "demo::broken", "demo::fail", "demo::greet", "demo::hang"}, names)
	var task struct {
		Metadata map[string]any
		Files    []struct{ Filename, SHA256 string }
	}
	w.read(t, "/tasks/demo/init", &task)
	require.Len(t, task.Files, 2)
	status, text, _ := w.ask(t, http.MethodGet, "/orchestrator/v1/tasks/demo/broken", "")
	require.Equal(t, http.StatusBadRequest, status, "%s", text)
	require.Contains(t, string(text), "puppet.tasks/unparseable-metadata")
	var usage struct {
		Items []struct {
			Total int `json:"total_nodes"`
		}
	}
	w.read(t, "/usage", &usage)
	require.Len(t, usage.Items, 1)
}

// taskFiles asks for files as agents do, and as nobody should.
func (w *world) taskFiles(t *testing.T) {
	t.Helper()
	const files = "/puppet/v3/file_content/"
	ask := func(client *http.Client, url string) int {
		res, err := client.Get(url)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		return res.StatusCode
	}
	agent := w.ca.Client(t, "one.example.com")
	nobody := w.ca.Client(t, "")
	for path, want := range map[string]int{
		"tasks/demo/greet.sh?environment=production":              200,
		"modules/demo/motd?environment=production":                200,
		"modules/demo/link?environment=production":                404,
		"tasks/demo/%2e%2e%2fgreet.sh?environment=production":     404,
		"tasks/demo/..%2f..%2f..%2fsecret?environment=production": 404,
		"tasks/demo/../../../../secret?environment=production":    404,
		"tasks/demo/greet.sh?environment=%2e%2e%2fproduction":     404,
		"tasks/demo/greet.sh":                                     400,
		"tasks/demo/nothing.sh?environment=production":            404,
		"anything/demo/greet.sh?environment=production":           404,
		"modules/demo/?environment=production":                    404,
	} {
		require.Equal(t, want, ask(agent, "https://"+w.pcp+files+path), path)
	}
	const script = files + "tasks/demo/greet.sh?environment=production"
	require.Equal(t, http.StatusForbidden, ask(nobody, "https://"+w.pcp+script))
	require.Equal(t, http.StatusForbidden, ask(http.DefaultClient, w.URL(script)), "cleartext shows nobody's certificate")
}
