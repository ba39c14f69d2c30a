package orch

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"strings"

	"dalang/orchestrator/job"
	"dalang/orchestrator/task"
)

// task answers POST /command/task: 202 as soon as the job is stored.
func (a *API) task(w http.ResponseWriter, r *http.Request, s Subject) error {
	body, err := a.readBody(w, r)
	if err != nil {
		return err
	}
	t, err := parseTask(body)
	if err != nil {
		return err
	}
	id, err := a.cfg.Engine.Task(r.Context(), s, t)
	if err != nil {
		return err
	}
	return WriteJSON(w, http.StatusAccepted, jobRef{named{a.url(r, "/jobs/%d", id), fmt.Sprint(id)}})
}

// parseTask reads the keys of a task (orchestrator.md §2.5), and that there
// are no others: take your own before.
func parseTask(o *object) (job.Task, error) {
	t := job.Task{
		Environment: o.environmentName(), Task: o.taskName(), Params: o.taskParams(), Noop: o.yes("noop"), Description: o.description(),
		Timeout: o.integer("timeout", 1), Userdata: o.data("userdata", maxUserdata), Scope: o.taskScope(), Targets: o.agentless(),
	}
	return t, o.done()
}

// environmentName is the member environment, production if it is absent.
func (o *object) environmentName() string {
	name := o.str("environment", "production")
	if !environmentName.MatchString(name) {
		o.wrong("environment", "a name of letters, digits and _", quoted(name))
	}
	return name
}

func (o *object) taskName() string {
	name := o.text("task")
	switch {
	case name == nil:
		o.wrong("task", "the name of a task", "missing")
		return ""
	case !task.ValidName(*name):
		o.wrong("task", "the name of a task: module, or module::task, in lower-case letters, digits and _", quoted(*name))
	}
	return *name
}

// taskParams have to be given; null is an empty object.
func (o *object) taskParams() json.RawMessage {
	if _, given := o.members["params"]; !given {
		o.known = append(o.known, "params")
		o.wrong("params", "an object, which may be empty", "missing")
		return nil
	}
	return o.data("params", math.MaxInt)
}

// taskScope has to be given: nodes, a query or a node group.
func (o *object) taskScope() job.Scope {
	scope := o.object("scope")
	if scope == nil {
		o.wrong("scope", "an object with nodes, query or node_group", "missing")
		return job.Scope{}
	}
	s := scope.scope()
	o.fail(scope.done())
	switch {
	case s.Empty():
		o.wrong("scope", "an object with exactly one key", "empty")
	case s.Application != "" || s.WholeEnvironment:
		o.wrong("scope", "an object with nodes, query or node_group", "one with "+strings.Join(scope.present("application", "whole_environment"), ", "))
	}
	return s
}

// present are those of some keys that are there.
func (o *object) present(keys ...string) (list []string) {
	for _, key := range keys {
		if o.has(key) {
			list = append(list, key)
		}
	}
	return list
}

// agentless reads targets: how to reach nodes without an agent. Keys that are
// not known are data.
func (o *object) agentless() []job.Target {
	raw := o.take("targets")
	if raw == nil {
		return nil
	}
	var entries []json.RawMessage
	if json.Unmarshal(raw, &entries) != nil {
		o.wrong("targets", "an array of objects", what(raw))
		return nil
	}
	var targets []job.Target
	for i, text := range entries {
		at := fmt.Sprintf("targets[%d]", i)
		entry := &object{path: o.path + at + "."}
		if what(text) != "an object" || json.Unmarshal(text, &entry.members) != nil {
			o.wrong(at, "an object", what(text))
			return nil
		}
		t := job.Target{Transport: entry.transport("transport")}
		t.Hostnames, _ = entry.names("hostnames", maxNodes)
		if len(t.Hostnames) == 0 {
			entry.wrong("hostnames", "an array of at least one certname", "missing or empty")
		}
		t.Connection = entry.connection()
		t.Hostname = ""
		entry.checkLogin(&t.Connection)
		o.fail(entry.err)
		targets = append(targets, t)
	}
	return targets
}

// transport is a member that names a way to nodes without an agent.
func (o *object) transport(key string) string {
	kind := o.oneOf(key, "ssh", "winrm")
	switch {
	case kind == nil:
		o.wrong(key, "ssh or winrm", "missing")
		return ""
	case *kind == "winrm":
		o.wrong(key, "ssh: this server does not speak WinRM yet", `"winrm"`)
	}
	return *kind
}

// connection reads how to log in. No value of it is ever shown.
func (o *object) connection() job.Connection {
	secret := func(key string) string { return o.str(key, "") }
	number := func(key string, most int64) int {
		n := o.integer(key, 1)
		if n == nil {
			return 0
		}
		if *n > most {
			o.wrong(key, fmt.Sprintf("an integer from 1 to %d", most), fmt.Sprint(*n))
		}
		return int(*n)
	}
	c := job.Connection{
		Hostname: o.str("hostname", ""), User: o.str("user", ""), Password: secret("password"), PrivateKey: secret("private-key-content"),
		Port: number("port", math.MaxUint16), RunAs: o.str("run-as", ""), SudoPassword: secret("sudo-password"),
		RunAsCommand: o.words("run-as-command"), ConnectTimeout: number("connect-timeout", 3600), TTY: o.yes("tty"),
		TmpDir: o.str("tmpdir", ""), Extensions: o.words("extensions"), HostKeyCheck: o.flag("host-key-check"),
	}
	if c.TmpDir != "" && (!strings.HasPrefix(c.TmpDir, "/") || strings.ContainsAny(c.TmpDir, "\x00\n")) {
		o.wrong("tmpdir", "an absolute path", quoted(c.TmpDir))
	}
	for extension, program := range o.values("interpreters") {
		var path string
		if json.Unmarshal(program, &path) != nil || path == "" {
			o.wrong("interpreters."+shortened(extension), "the path of a program", what(program))
		}
		if c.Interpreters == nil {
			c.Interpreters = map[string]string{}
		}
		c.Interpreters[extension] = path
	}
	return c
}

// checkLogin wants a user, and a password or a key.
func (o *object) checkLogin(c *job.Connection) {
	switch {
	case c.User == "":
		o.wrong("user", "the name of a user", "missing")
	case strings.HasPrefix(c.User, "-") || strings.ContainsAny(c.User, "\x00\n"):
		o.wrong("user", "the name of a user", quoted(c.User))
	case strings.HasPrefix(c.RunAs, "-") || strings.ContainsAny(c.RunAs, "\x00\n"):
		o.wrong("run-as", "the name of a user", quoted(c.RunAs))
	case c.Password == "" && c.PrivateKey == "":
		o.wrong("password", "given, or private-key-content", "missing")
	case c.Password != "" && c.PrivateKey != "":
		o.wrong("private-key-content", "left out where password is given", "given")
	}
}

// words is a member that is a list of words, or a string with blanks between them.
func (o *object) words(key string) []string {
	if raw := o.members[key]; what(raw) == "a string" {
		return strings.Fields(o.str(key, ""))
	}
	list, _ := o.names(key, 100)
	return list
}
