package orch_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dalang/orchestrator/content"
	"dalang/orchestrator/job"
	"dalang/orchestrator/task"
	"dalang/server/orch"
)

const (
	taskPath   = "/orchestrator/v1/command/task"
	targetPath = "/orchestrator/v1/command/task_target"
	scopesPath = "/orchestrator/v1/scopes/task_targets"
)

// library is an environment, production, with the tasks facts and package::init.
type library struct{}

func (library) Tasks(_ context.Context, environment string) ([]content.Entry, string, error) {
	if environment != "production" {
		return nil, "", job.UnknownEnvironment(environment)
	}
	return []content.Entry{{Name: "facts"}, {Name: "package::linux", Private: true}}, "v1", nil
}

func (library) Task(_ context.Context, environment, name string) (*task.Task, error) {
	switch {
	case environment != "production":
		return nil, job.UnknownEnvironment(environment)
	case name == "broken":
		return nil, &task.Error{Kind: task.KindInvalidMetadata, Msg: "The task broken: the metadata is not JSON"}
	case name != "package::linux" && name != "facts":
		return nil, job.UnknownTask(environment, name)
	}
	m, err := task.Parse([]byte(`{"description":"Manage packages","supports_noop":true,"parameters":{"name":{"type":"String"}}}`))
	return &task.Task{Name: name, Metadata: m, Files: []task.File{{Filename: "linux.sh", SHA256: "aa", Size: 12,
		URI: task.URI{Path: "/puppet/v3/file_content/tasks/package/linux.sh", Params: map[string]string{"environment": environment}}}}}, err
}

// What a client may rely on; see double_test.go.

type clientEnvironmentCode struct {
	Name   string  `json:"name"`
	CodeID *string `json:"code_id"`
}

type clientTasks struct {
	Environment clientEnvironmentCode `json:"environment"`
	Items       []struct {
		clientRef
		Permitted bool `json:"permitted"`
	} `json:"items"`
}

type clientTask struct {
	clientRef
	Permitted   bool                  `json:"permitted"`
	Environment clientEnvironmentCode `json:"environment"`
	Metadata    map[string]any        `json:"metadata"`
	Files       []struct {
		Filename string `json:"filename"`
		SHA256   string `json:"sha256"`
		Size     int    `json:"size_bytes"`
		URI      struct {
			Path   string `json:"path"`
			Params struct {
				Environment string `json:"environment"`
			} `json:"params"`
		} `json:"uri"`
	} `json:"files"`
}

type clientTaskTarget struct {
	clientRef
	DisplayName string   `json:"display_name"`
	Tasks       []string `json:"tasks"`
	AllTasks    bool     `json:"all_tasks"`
	Nodes       []string `json:"nodes"`
	NodeGroups  []string `json:"node_groups"`
	PQL         string   `json:"pql_query,omitempty"`
}

type clientTaskTargets struct {
	Items []clientTaskTarget `json:"items"`
}

type clientMadeTarget struct {
	TaskTarget clientRef `json:"task_target"`
}

type clientUsageOf[T any] struct {
	Items      []T `json:"items"`
	Pagination struct {
		Start *string `json:"start_date"`
		End   *string `json:"end_date"`
	} `json:"pagination"`
}

type clientUsage = clientUsageOf[struct {
	Date         string `json:"date"`
	Total        int    `json:"total_nodes"`
	WithAgent    int    `json:"nodes_with_agent"`
	WithoutAgent int    `json:"nodes_without_agent"`
}]

type clientUsageEvents = clientUsageOf[struct {
	Date         string `json:"date"`
	Total        int    `json:"total_nodes"`
	WithAgent    int    `json:"nodes_with_agent"`
	WithoutAgent int    `json:"nodes_without_agent"`
	Corrective   int    `json:"corrective_agent_changes"`
	Intentional  int    `json:"intentional_agent_changes"`
	TaskNodes    int    `json:"nodes_affected_by_task_runs"`
	PlanNodes    int    `json:"nodes_affected_by_plan_runs"`
}]

// TestTaskDecoding: what the engine gets of a body. The first is the seed's example.
func TestTaskDecoding(t *testing.T) {
	nodes := func(names ...string) job.Scope { return job.Scope{Nodes: names, GivenNodes: true} }
	plain := job.Task{Environment: "production", Task: "facts", Params: json.RawMessage("{}"), Scope: nodes("a"), Userdata: json.RawMessage("{}")}
	with := func(change func(*job.Task)) job.Task { task := plain; change(&task); return task }
	yes, key := true, privateKey(t)
	for body, want := range map[string]job.Task{
		`{"environment": "test-env-1", "task" : "package", "params" : { "action": "install", "name" : "httpd" }, "scope" : { "nodes" : ["node1.example.com"] }}`: {
			Environment: "test-env-1", Task: "package", Params: json.RawMessage(`{"action":"install","name":"httpd"}`),
			Scope: nodes("node1.example.com"), Userdata: json.RawMessage("{}")},
		`{"task":"facts","params":{},"scope":{"nodes":["a"]}}`: plain,
		`{"task":"facts","params":null,"scope":{"nodes":["a"]},"noop":null,"targets":null,"timeout":null,"userdata":null,"environment":null,"description":null}`: plain,
		`{"task":"facts","params":{"n":1.0,"big":12345678901234567890},"scope":{"query":"nodes{}"},"noop":true,"timeout":60,"description":"d","userdata":{"a":1}}`: with(func(c *job.Task) {
			c.Params, c.Scope, c.Noop, c.Description = json.RawMessage(`{"n":1.0,"big":12345678901234567890}`), job.Scope{Query: json.RawMessage(`"nodes{}"`)}, true, "d"
			c.Timeout, c.Userdata = ptr(int64(60)), json.RawMessage(`{"a":1}`)
		}),
		`{"task":"facts","params":{},"scope":{"nodes":["a"]},"targets":[{"hostnames":["a"],"private-key-content":"<SSH_KEY>","port":4444,"user":"u","transport":"ssh"}]}`: with(func(c *job.Task) {
			c.Targets = []job.Target{{Hostnames: []string{"a"}, Transport: "ssh", Connection: job.Connection{User: "u", PrivateKey: "<SSH_KEY>", Port: 4444}}}
		}),
		`{"task":"facts","params":{},"scope":{"nodes":["a"]},"targets":[{"hostnames":["a"],"private-key-content":` + key + `,"port":4444,"user":"u","transport":"ssh"}]}`: with(func(c *job.Task) {
			c.Targets = []job.Target{{Hostnames: []string{"a"}, Transport: "ssh", Connection: job.Connection{User: "u", PrivateKey: strict[string](t, []byte(key)), Port: 4444}}}
		}),
		`{"task":"facts","params":{},"scope":{"nodes":["a"]},"targets":[{"hostnames":["a"],"transport":"ssh","user":"u","password":"p","run-as":"root",
			"sudo-password":"s","run-as-command":["sudo","-k"],"connect-timeout":3,"tty":true,"tmpdir":"/var/tmp","extensions":".sh .py",
			"interpreters":{".py":"/usr/bin/python3"},"host-key-check":true,"cleanup":true,"ssl":false}]}`: with(func(c *job.Task) {
			c.Targets = []job.Target{{Hostnames: []string{"a"}, Transport: "ssh", Connection: job.Connection{User: "u", Password: "p", RunAs: "root",
				SudoPassword: "s", RunAsCommand: []string{"sudo", "-k"}, ConnectTimeout: 3, TTY: true, TmpDir: "/var/tmp", Extensions: []string{".sh", ".py"},
				Interpreters: map[string]string{".py": "/usr/bin/python3"}, HostKeyCheck: &yes}}}
		}),
		`{"task":"facts","params":{},"scope":{"nodes":["a"]},"targets":[{"hostnames":["a"],"transport":"winrm","user":"u","password":"p",
			"tmpdir":"C:\\Temp files","extensions":[".bat"],"ssl":true,"ssl-verify":false,"smb-port":445}]}`: with(func(c *job.Task) {
			c.Targets = []job.Target{{Hostnames: []string{"a"}, Transport: "winrm", Connection: job.Connection{User: "u", Password: "p",
				TmpDir: `C:\Temp files`, Extensions: []string{".bat"}, SSL: &yes, SSLVerify: ptr(false)}}}
		}),
	} {
		a := newAPI(t, nil)
		status, text, _ := a.ask(t, http.MethodPost, taskPath, body)
		require.Equal(t, http.StatusAccepted, status, "%s: %s", body, text)
		require.Equal(t, clientRef{rootURL + "/jobs/1", "1"}, strict[clientAccepted](t, text).Job)
		require.Equal(t, []job.Task{want}, a.tasks, body)
	}
}

// TestTaskValidation: each mistake is told with its key, and never a secret.
func TestTaskValidation(t *testing.T) {
	const p = `{"task":"facts","params":{},"scope":{"nodes":["a"]},`
	target := func(rest string) string {
		return p + `"targets":[{"hostnames":["a"],"transport":"ssh","user":"u"` + rest + `}]}`
	}
	windows := func(rest string) string {
		return p + `"targets":[{"hostnames":["a"],"transport":"winrm","user":"u"` + rest + `}]}`
	}
	for _, c := range []struct{ body, key, expected, got string }{
		{`{"params":{},"scope":{"nodes":["a"]}}`, "task", "the name of a task", "missing"},
		{`{"task":"Facts","params":{},"scope":{"nodes":["a"]}}`, "task", "the name of a task", `"Facts"`},
		{`{"task":"a::b::c","params":{},"scope":{"nodes":["a"]}}`, "task", "the name of a task", `"a::b::c"`},
		{`{"task":"facts","scope":{"nodes":["a"]}}`, "params", "an object, which may be empty", "missing"},
		{`{"task":"facts","params":["hunter2"],"scope":{"nodes":["a"]}}`, "params", "an object", "an array"},
		{`{"task":"facts","params":{}}`, "scope", "an object with nodes, query or node_group", "missing"},
		{`{"task":"facts","params":{},"scope":{}}`, "scope", "an object with exactly one key", "empty"},
		{`{"task":"facts","params":{},"scope":{"nodes":["a"],"query":"nodes{}"}}`, "scope", "an object with exactly one key", "an object with nodes, query"},
		{`{"task":"facts","params":{},"scope":{"whole_environment":true}}`, "scope", "an object with nodes, query or node_group", "one with whole_environment"},
		{`{"task":"facts","params":{},"scope":{"application":"App"}}`, "scope", "an object with nodes, query or node_group", "one with application"},
		{p + `"environment":"-a"}`, "environment", job.EnvironmentName, `"-a"`},
		{p + `"environment":""}`, "environment", job.EnvironmentName, `""`},
		{p + `"noop":"true"}`, "noop", "a boolean", "a string"},
		{p + `"nop":true}`, "nop", "one of ", "an unknown key"},
		{p + `"timeout":0}`, "timeout", "an integer from 1", "0"},
		{p + `"targets":{}}`, "targets", "an array of objects", "an object"},
		{p + `"targets":["hunter2"]}`, "targets[0]", "an object", "a string"},
		{p + `"targets":[{}]}`, "targets[0].transport", "ssh or winrm", "missing"},
		{p + `"targets":[{"transport":"ssh"}]}`, "targets[0].hostnames", "an array of at least one certname", "missing or empty"},
		{p + `"targets":[{"transport":"ssh","hostnames":[]}]}`, "targets[0].hostnames", "an array of at least one certname", "missing or empty"},
		{p + `"targets":[{"transport":"rsh","hostnames":["a"],"user":"u","password":"hunter2"}]}`, "targets[0].transport", "one of ssh, winrm", `"rsh"`},
		{windows(`,"private-key-content":"hunter2"`), "targets[0].private-key-content", "left out over winrm", "given"},
		{windows(``), "targets[0].password", "given", "missing"},
		{windows(`,"password":"hunter2","run-as":"root"`), "targets[0].run-as", "left out over winrm", "given"},
		{windows(`,"password":"hunter2","sudo-password":"hunter2"`), "targets[0].sudo-password", "left out over winrm", "given"},
		{windows(`,"password":"hunter2","run-as-command":["su"]`), "targets[0].run-as-command", "left out over winrm", "given"},
		{windows(`,"password":"hunter2","tmpdir":"/tmp"`), "targets[0].tmpdir", "an absolute path of Windows", `"/tmp"`},
		{windows(`,"password":"hunter2","tmpdir":"C:\\%x%"`), "targets[0].tmpdir", "an absolute path of Windows", `"C:\\%x%"`},
		{windows(`,"password":"hunter2","ssl":"no"`), "targets[0].ssl", "a boolean", "a string"},
		{windows(`,"password":"hunter2","cacert":"/etc/hunter2"`), "targets[0].cacert", "a certificate in PEM", "something else"},
		{p + `"targets":[{"transport":"ssh","hostnames":["a"],"password":"hunter2"}]}`, "targets[0].user", "the name of a user", "missing"},
		{target(``), "targets[0].password", "given, or private-key-content", "missing"},
		{target(`,"password":"hunter2","private-key-content":"hunter2"`), "targets[0].private-key-content", "left out where password is given", "given"},
		{target(`,"private-key-content":"-----BEGIN hunter2"`), "targets[0].private-key-content", "a private key in PEM or in OpenSSH's form, without a passphrase", "something else"},
		{target(`,"private-key-content":` + lockedKey(t)), "targets[0].private-key-content", "a private key in PEM", "one with a passphrase"},
		{target(`,"password":["hunter2"]`), "targets[0].password", "a string", "an array"},
		{target(`,"password":"hunter2","port":70000`), "targets[0].port", "an integer from 1 to 65535", "70000"},
		{target(`,"password":"hunter2","port":0`), "targets[0].port", "an integer from 1 to 65535", "0"},
		{target(`,"password":"hunter2","connect-timeout":0`), "targets[0].connect-timeout", "an integer from 1 to 3600", "0"},
		{target(`,"password":"hunter2","tmpdir":"tmp"`), "targets[0].tmpdir", "an absolute path", `"tmp"`},
		{target(`,"password":"hunter2","tty":"yes"`), "targets[0].tty", "a boolean", "a string"},
		{target(`,"password":"hunter2","run-as":"-u"`), "targets[0].run-as", "the name of a user", `"-u"`},
		{target(`,"password":"hunter2","run-as-command":7`), "targets[0].run-as-command", "an array of strings", "a number"},
		{target(`,"password":"hunter2","interpreters":{".py":7}`), "targets[0].interpreters..py", "the path of a program", "a number"},
	} {
		a := newAPI(t, nil)
		e := a.refused(t, http.MethodPost, taskPath, c.body, http.StatusBadRequest, "validation-error")
		require.Equal(t, c.key, e.Details["key"], c.body)
		require.True(t, strings.HasPrefix(e.Details["expected"].(string), c.expected), "%s: %s", c.body, e.Details["expected"])
		require.Equal(t, c.got, e.Details["got"], c.body)
		require.NotContains(t, fmt.Sprint(e), "hunter2")
		require.Empty(t, a.tasks)
	}
}

// TestTaskErrors: what the engine says arrives as the seed documents it.
func TestTaskErrors(t *testing.T) {
	const body = `{"task":"facts","params":{},"scope":{"nodes":["a"]}}`
	for _, c := range []struct {
		err    error
		status int
		kind   string
	}{
		{job.UnknownEnvironment("x"), http.StatusNotFound, "unknown-environment"},
		{job.UnknownTask("production", "facts"), http.StatusNotFound, "unknown-task"},
		{job.EmptyTarget(nil, "x"), http.StatusBadRequest, "empty-target"},
		{job.PuppetDB(context.Canceled), http.StatusBadRequest, "puppetdb-error"},
		{job.Query("x"), http.StatusBadRequest, "query-error"},
		{job.NotPermitted(nil, "x"), http.StatusForbidden, "not-permitted"},
		{job.Invalid("params", "x"), http.StatusBadRequest, "validation-error"},
	} {
		a := newAPI(t, nil)
		a.err = c.err
		a.refused(t, http.MethodPost, taskPath, body, c.status, c.kind)
	}
	a := newAPI(t, nil)
	a.token = "nobody"
	a.refused(t, http.MethodPost, taskPath, body, http.StatusForbidden, "not-permitted")
	a.token = "viewer" // who may run what is for the engine to say: it knows the nodes
	status, _, _ := a.ask(t, http.MethodPost, taskPath, body)
	require.Equal(t, http.StatusAccepted, status)
	without := newAPI(t, func(c *orch.Config) { c.Tasks = nil })
	without.refused(t, http.MethodPost, taskPath, body, http.StatusNotFound, "not-found")
}

func TestTasks(t *testing.T) {
	a := newAPI(t, nil)
	a.token = "runner"
	for _, path := range []string{"/orchestrator/v1/tasks", "/orchestrator/v1/tasks?environment=production"} {
		text := a.get(t, path)
		strict[clientTasks](t, text)
		require.JSONEq(t, `{"environment":{"name":"production","code_id":"v1"},"items":[
			{"id":"`+rootURL+`/tasks/facts/init","name":"facts","permitted":true},
			{"id":"`+rootURL+`/tasks/package/linux","name":"package::linux","permitted":false}]}`, string(text))
	}
	text := a.get(t, "/orchestrator/v1/tasks/package/linux")
	strict[clientTask](t, text)
	require.JSONEq(t, `{"id":"`+rootURL+`/tasks/package/linux","name":"package::linux","permitted":false,"environment":{"name":"production","code_id":null},
		"metadata":{"description":"Manage packages","supports_noop":true,"parameters":{"name":{"type":"String"}}},
		"files":[{"filename":"linux.sh","sha256":"aa","size_bytes":12,
			"uri":{"path":"/puppet/v3/file_content/tasks/package/linux.sh","params":{"environment":"production"}}}]}`, string(text))
	require.Equal(t, "facts", strict[clientTask](t, a.get(t, "/orchestrator/v1/tasks/facts/init")).Name, "init is the module's task")

	a.refused(t, http.MethodGet, "/orchestrator/v1/tasks?environment=../b", "", http.StatusBadRequest, "validation-error")
	a.refused(t, http.MethodGet, "/orchestrator/v1/tasks?environment=nowhere", "", http.StatusNotFound, "unknown-environment")
	a.refused(t, http.MethodGet, "/orchestrator/v1/tasks/facts/init?environment=nowhere", "", http.StatusNotFound, "unknown-environment")
	a.refused(t, http.MethodGet, "/orchestrator/v1/tasks/facts/other", "", http.StatusNotFound, "unknown-task")
	for _, bad := range []string{"Facts/init", "facts/Init", "a::b/init", "facts/a::b", "facts/%2e%2e"} {
		a.refused(t, http.MethodGet, "/orchestrator/v1/tasks/"+bad, "", http.StatusBadRequest, "validation-error")
	}
	status, text, _ := a.ask(t, http.MethodGet, "/orchestrator/v1/tasks/broken/init", "")
	require.Equal(t, http.StatusBadRequest, status)
	require.Equal(t, "puppet.tasks/invalid-metadata", strict[clientError](t, text).Kind)
}

// TestTaskTargets: the seed's examples (with the commas that they lack), and each documented error.
func TestTaskTargets(t *testing.T) {
	a := newAPI(t, nil)
	for i, body := range []string{
		`{"display_name":"task_target_example_1","tasks":["task_1","task_2"],"nodes":["node1","node2"],"node_groups":["00000000-0000-4000-8000-000000000000"]}`,
		`{"display_name":"task_target_example_2","all_tasks":"true","nodes":["node1","node2"],"node_groups":[]}`,
		`{"display_name":"x","all_tasks":true,"tasks":["ignored"],"nodes":[],"node_groups":["no uuid"],"pql_query":"nodes[certname] { }"}`,
	} {
		status, text, _ := a.ask(t, http.MethodPost, targetPath, body)
		require.Equal(t, http.StatusOK, status, "%s", text) // not 202: trap 14
		name := fmt.Sprint(i + 1)
		require.Equal(t, clientRef{rootURL + "/scopes/task_targets/" + name, name}, strict[clientMadeTarget](t, text).TaskTarget)
	}
	text := a.get(t, scopesPath)
	strict[clientTaskTargets](t, text)
	require.JSONEq(t, `{"items":[
		{"id":"`+rootURL+`/scopes/task_targets/1","name":"1","display_name":"task_target_example_1","tasks":["task_1","task_2"],"all_tasks":false,
			"nodes":["node1","node2"],"node_groups":["00000000-0000-4000-8000-000000000000"]},
		{"id":"`+rootURL+`/scopes/task_targets/2","name":"2","display_name":"task_target_example_2","tasks":[],"all_tasks":true,"nodes":["node1","node2"],"node_groups":[]},
		{"id":"`+rootURL+`/scopes/task_targets/3","name":"3","display_name":"x","tasks":[],"all_tasks":true,"nodes":[],"node_groups":["no uuid"],
			"pql_query":"nodes[certname] { }"}]}`, string(text))
	require.Equal(t, "x", strict[clientTaskTarget](t, a.get(t, scopesPath+"/3")).DisplayName)
	a.refused(t, http.MethodGet, scopesPath+"/4", "", http.StatusNotFound, "unknown-task-target")
	a.refused(t, http.MethodGet, scopesPath+"/99999999999999999999", "", http.StatusNotFound, "unknown-task-target")
	a.refused(t, http.MethodGet, scopesPath+"/x", "", http.StatusBadRequest, "validation-error")

	for _, c := range []struct{ body, key string }{
		{`{"all_tasks":true,"nodes":[],"node_groups":[]}`, "display_name"},
		{`{"display_name":" ","all_tasks":true,"nodes":[],"node_groups":[]}`, "display_name"},
		{`{"display_name":"x","nodes":[],"node_groups":[]}`, "tasks"},
		{`{"display_name":"x","tasks":[],"nodes":[],"node_groups":[]}`, "tasks"},
		{`{"display_name":"x","tasks":[],"all_tasks":false,"nodes":[],"node_groups":[]}`, "tasks"},
		{`{"display_name":"x","tasks":[1],"nodes":[],"node_groups":[]}`, "tasks[0]"},
		{`{"display_name":"x","all_tasks":"yes","nodes":[],"node_groups":[]}`, "all_tasks"},
		{`{"display_name":"x","all_tasks":1,"nodes":[],"node_groups":[]}`, "all_tasks"},
		{`{"display_name":"x","all_tasks":true,"node_groups":[]}`, "nodes"},
		{`{"display_name":"x","all_tasks":true,"nodes":[7],"node_groups":[]}`, "nodes[0]"},
		{`{"display_name":"x","all_tasks":true,"nodes":[]}`, "node_groups"},
		{`{"display_name":"x","all_tasks":true,"nodes":[],"node_groups":[{}]}`, "node_groups[0]"},
		{`{"display_name":"x","all_tasks":true,"nodes":[],"node_groups":[],"pql_query":["from"]}`, "pql_query"},
		{`{"display_name":"x","all_tasks":true,"nodes":[],"node_groups":[],"pql":"x"}`, "pql"},
	} {
		e := a.refused(t, http.MethodPost, targetPath, c.body, http.StatusBadRequest, "validation-error")
		require.Equal(t, c.key, e.Details["key"], c.body)
	}
	require.Len(t, a.targets, 3)

	a.token = "runner"
	a.refused(t, http.MethodPost, targetPath, `{"display_name":"x","all_tasks":true,"nodes":[],"node_groups":[]}`, http.StatusForbidden, "not-permitted")
	a.refused(t, http.MethodDelete, scopesPath+"/3", "", http.StatusForbidden, "not-permitted")
	a.token = "all"
	a.refused(t, http.MethodDelete, scopesPath+"/9", "", http.StatusNotFound, "unknown-task-target")
	require.Equal(t, http.StatusNoContent, a.bare(t, http.MethodDelete, scopesPath+"/3", ""))
	require.Len(t, a.targets, 2)
}

func TestUsage(t *testing.T) {
	a := newAPI(t, nil)
	a.usage = []job.Usage{{Day: "2026-05-20", WithAgent: 3, WithoutAgent: 2, Intentional: 5, Corrective: 1, TaskNodes: 7, PlanNodes: 4}, {Day: "2026-05-19", WithAgent: 3}}
	text := a.get(t, "/orchestrator/v1/usage?start_date=2026-05-19&events=exclude")
	strict[clientUsage](t, text)
	require.JSONEq(t, `{"items":[{"date":"2026-05-20","total_nodes":5,"nodes_with_agent":3,"nodes_without_agent":2},
		{"date":"2026-05-19","total_nodes":3,"nodes_with_agent":3,"nodes_without_agent":0}],"pagination":{"start_date":"2026-05-19","end_date":null}}`, string(text))
	require.Equal(t, [2]time.Time{time.Date(2026, 5, 19, 0, 0, 0, 0, time.UTC), {}}, a.between)
	for _, query := range []string{"", "?events=include"} { // which is the default
		text = a.get(t, "/orchestrator/v1/usage"+query)
		strict[clientUsageEvents](t, text)
		require.Contains(t, string(text), `{"date":"2026-05-20","total_nodes":5,"nodes_with_agent":3,"nodes_without_agent":2,"corrective_agent_changes":1,`+
			`"intentional_agent_changes":5,"nodes_affected_by_task_runs":7,"nodes_affected_by_plan_runs":4}`)
	}
	a.get(t, "/orchestrator/v1/usage?end_date=2026-05-19")
	require.Equal(t, [2]time.Time{{}, time.Date(2026, 5, 19, 0, 0, 0, 0, time.UTC)}, a.between)
	for _, bad := range []string{"start_date=19.5.2026", "end_date=2026-13-01", "events=some", "start_date=2026-05-20&end_date=2026-05-19"} {
		a.refused(t, http.MethodGet, "/orchestrator/v1/usage?"+bad, "", http.StatusBadRequest, "validation-error")
	}
}

// FuzzTask: no body makes the handler fail in a way of its own, and no answer
// has a value of a key that is a secret.
func FuzzTask(f *testing.F) {
	f.Add(`{"":[]}`)
	f.Add(`{"task":"facts","params":{"a":[1.0,null]},"scope":{"nodes":["a"]},"targets":[{"hostnames":["a"],"transport":"ssh","user":"u","password":"SECRET"}]}`)
	f.Add(`{"task":"facts","params":{"SECRET":1},"scope":{"query":"nodes{}"},"targets":[{"password":["SECRET"],"private-key-content":{"a":"SECRET"}}]}`)
	f.Fuzz(func(t *testing.T, body string) {
		a := newAPI(t, nil)
		status, text, _ := a.ask(t, http.MethodPost, taskPath, body)
		switch status {
		case http.StatusAccepted:
			require.Len(t, a.tasks, 1)
			require.NotContains(t, fmt.Sprintf("%v %+v", a.tasks[0].Targets, a.tasks[0].Targets), "SECRET")
		case http.StatusBadRequest:
			strict[clientError](t, text)
			require.Empty(t, a.tasks)
		default:
			t.Fatalf("%d: %s", status, text)
		}
	})
}
