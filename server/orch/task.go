package orch

import (
	"encoding/json"
	"fmt"
	"log/slog"
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
	noteTask(r, &t)
	id, err := a.cfg.Engine.Task(r.Context(), s, t)
	if err != nil {
		return err
	}
	a.noteJob(r, id)
	return WriteJSON(w, http.StatusAccepted, jobRef{named{a.url(r, "/jobs/%d", id), fmt.Sprint(id)}})
}

// noteTask notes which task is to run, and on which nodes.
func noteTask(r *http.Request, t *job.Task) {
	note(r, slog.String("task", t.Task), slog.String("environment", t.Environment), slog.Bool("noop", t.Noop))
	noteScope(r, t.Scope)
	if len(t.Targets) > 0 {
		logins := 0
		for _, target := range t.Targets {
			logins += len(target.Hostnames)
		}
		note(r, slog.Int("targets", logins))
	}
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
	if !job.ValidEnvironment(name) {
		o.fail(badEnvironment(name))
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
	s := scope.scope(hostNames())
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
		t.Hostnames, _ = entry.nodes("hostnames", hostNames())
		if len(t.Hostnames) == 0 {
			entry.wrong("hostnames", "an array of at least one certname", "missing or empty")
		}
		t.Connection = entry.connection(t.Transport)
		t.Hostname = ""
		entry.checkLogin(t.Transport, &t.Connection)
		o.fail(entry.err)
		targets = append(targets, t)
	}
	return targets
}
