package schedule_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dalang/orchestrator/job"
	"dalang/orchestrator/rbac"
	"dalang/orchestrator/schedule"
	"dalang/orchestrator/secret"
)

// kinds remember what they were to start; the parameter password is a secret,
// and in the environment "strict" everything is.
type kinds struct {
	tasks []job.Task
	plans []schedule.PlanOrder
}

func (k *kinds) config(t *testing.T) func(*schedule.Config) {
	keeper, err := secret.New(make([]byte, 32))
	require.NoError(t, err)
	secrets := func(environment string) ([]string, error) {
		switch environment {
		case "nowhere":
			return nil, job.UnknownEnvironment(environment)
		case "strict":
			return []string{"password", "name"}, nil
		}
		return []string{"password"}, nil
	}
	return func(c *schedule.Config) {
		c.Secrets = keeper
		c.Kinds[schedule.Task] = schedule.Tasks(schedule.Tasking{
			Task: func(_ context.Context, who *rbac.Subject, got job.Task) (int64, error) {
				k.tasks = append(k.tasks, got)
				return 0, job.NotPermitted(nil, "as %s", who.Login)
			},
			Check: func(_ context.Context, got job.Task) ([]string, error) { return secrets(got.Environment) },
			MayRun: func(_ context.Context, who schedule.Subject) (func(string) bool, error) {
				return func(name string) bool { return who.May("tasks", "run", name) }, nil
			},
		})
		c.Kinds[schedule.Plan] = schedule.Plans(schedule.Planning{
			Start: func(_ context.Context, _ *rbac.Subject, got schedule.PlanOrder) (int64, error) {
				k.plans = append(k.plans, got)
				return 0, job.UnknownPlan(got.Environment, got.Plan)
			},
			Check: func(_ context.Context, got schedule.PlanOrder) ([]string, error) { return secrets(got.Environment) },
		})
	}
}

// TestTask: a task fires with all that was asked for, of which the store has
// the secrets sealed only.
func TestTask(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		k := &kinds{}
		w.change = k.config(t)
		l := w.start()
		defer l.stop()
		ann := w.user("ann", "orchestrator:view:*", "tasks:run:package")
		timeout := int64(60)
		want := job.Task{Task: "package", Params: json.RawMessage(`{"name":"openssl","password":"geheim","n":1.50}`), Scope: job.Scope{Nodes: []string{"web1"}}, Noop: true, Timeout: &timeout,
			Targets: []job.Target{{Hostnames: []string{"web1"}, Transport: "ssh", Connection: job.Connection{User: "root", Password: "streng", RunAsCommand: []string{"sudo"}}}}}
		entry := func() *schedule.Entry {
			e := w.entry(time.Minute, time.Minute)
			e.Type, e.Name = schedule.Task, "package"
			var err error
			e.Secret, err = schedule.TaskInput(want)
			require.NoError(t, err)
			return e
		}
		other := entry()
		other.Environment = "nowhere"
		_, err := l.Create(t.Context(), ann, other)
		kind(t, "unknown-environment", err)
		other = entry()
		other.Name = "other"
		_, err = l.Create(t.Context(), ann, other)
		kind(t, "not-permitted", err)
		id := l.add(t, ann, entry())
		e := w.get(id)
		require.JSONEq(t, `{"name":"package","parameters":{"name":"openssl","n":1.50},"sensitive_parameters":["password"],"scope":{"nodes":["web1"]},
			"targets":[{"hostnames":["web1"],"transport":"ssh"}],"noop":true,"timeout":60}`, string(e.Input))
		require.NotContains(t, string(e.Sealed), "geheim")

		pass(time.Minute)
		require.Len(t, k.tasks, 1)
		want.Environment, want.Description, want.Userdata, want.ScheduledJob, want.Firing = "production", "why", json.RawMessage(`{"a":1}`), "1", 1
		want.Secrets = []string{"password"}
		require.Equal(t, want, k.tasks[0])
		require.Equal(t, "as ann", w.get(id).Last.Error.Msg)

		// In another environment the task may have other secrets.
		in := func(environment string) func(*schedule.Entry) error {
			return func(e *schedule.Entry) error { e.Environment = environment; return nil }
		}
		kind(t, "unknown-environment", l.Change(t.Context(), ann, id, in("nowhere")))
		require.NoError(t, l.Change(t.Context(), ann, id, in("strict")))
		require.Contains(t, string(w.get(id).Input), `"parameters":{"n":1.50},"sensitive_parameters":["name","password"]`)
		require.NoError(t, l.Change(t.Context(), ann, id, func(e *schedule.Entry) error { e.Description = "x"; return nil }))
		pass(time.Minute)
		require.Equal(t, []string{"name", "password"}, k.tasks[1].Secrets)
		require.Equal(t, "strict", k.tasks[1].Environment)
		require.Equal(t, want.Params, k.tasks[1].Params)
		require.Equal(t, want.Targets, k.tasks[1].Targets)

		// And what was a secret stays one where the task says nothing of it.
		require.NoError(t, l.Change(t.Context(), ann, id, in("production")))
		require.Contains(t, string(w.get(id).Input), `"parameters":{"n":1.50},"sensitive_parameters":["name","password"]`)
	})
}

func TestPlan(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		k := &kinds{}
		w.change = k.config(t)
		l := w.start()
		defer l.stop()
		ann := w.user("ann", "orchestrator:view:*", "plans:run:canary")
		want := schedule.PlanOrder{Plan: "canary", Params: json.RawMessage(`{"message":"hello","password":"geheim"}`), Timeout: 60,
			Find: map[string]job.Scope{"nodes": {Query: json.RawMessage(`"nodes{}"`)}}}
		e := w.entry(time.Minute, 0)
		e.Type, e.Name = schedule.Plan, "canary"
		var err error
		e.Secret, err = schedule.PlanInput(want)
		require.NoError(t, err)
		id := l.add(t, ann, e)
		require.JSONEq(t, `{"name":"canary","parameters":{"message":"hello","nodes":{"type":"query","value":"nodes{}"}},"sensitive_parameters":["password"],"timeout":60}`, string(w.get(id).Input))
		pass(time.Minute)
		want.Environment, want.Description, want.Userdata, want.ScheduledJob, want.Firing = "production", "why", json.RawMessage(`{"a":1}`), "1", 1
		want.Sensitive = []string{"password"}
		require.Equal(t, []schedule.PlanOrder{want}, k.plans)
		require.Equal(t, "puppetlabs.orchestrator/unknown-plan", w.get(id).Last.Error.Kind)
	})
}

// TestChangeMeets: two changes at the same time both count, and a firing in
// between stays.
func TestChangeMeets(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		l := w.start()
		defer l.stop()
		ann := w.operator("ann")
		id := l.add(t, ann, w.entry(time.Minute, time.Minute))
		calls := 0
		require.NoError(t, l.Change(t.Context(), ann, id, func(e *schedule.Entry) error {
			if calls++; calls == 1 {
				require.NoError(t, l.Change(t.Context(), ann, id, func(e *schedule.Entry) error { e.Environment = "test"; return nil }))
				pass(time.Minute)
			}
			e.Description = "both"
			return nil
		}))
		e := w.get(id)
		require.Equal(t, 2, calls)
		require.Equal(t, "test both", e.Environment+" "+e.Description)
		require.Equal(t, int64(1), e.Last.Job)
		require.Equal(t, e.Grid.Start.Add(time.Minute), e.Next)
	})
}

// TestNever: a deploy that no agent could be asked for is not kept; nor can one
// become it.
func TestNever(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		l := w.start()
		defer l.stop()
		ann := w.operator("ann")
		e := w.entry(time.Minute, time.Minute)
		e.Environment, e.Input = "never", json.RawMessage(`{"ordering":"random","scope":{"nodes":["web1"]}}`)
		_, err := l.Create(t.Context(), ann, e)
		kind(t, "validation-error", err)
		var refused *job.Error
		require.ErrorAs(t, err, &refused)
		require.Equal(t, map[string]any{"key": "input.ordering"}, refused.Details)
		list, _, err := w.store.ScheduledJobs(t.Context(), schedule.Filter{})
		require.NoError(t, err)
		require.Empty(t, list)
		e = w.entry(time.Minute, time.Minute)
		e.Input = json.RawMessage(`{"ordering":"random","scope":{"nodes":["web1"]}}`)
		id := l.add(t, ann, e)
		kind(t, "validation-error", l.Change(t.Context(), ann, id, func(e *schedule.Entry) error { e.Environment = "never"; return nil }))
		require.Equal(t, "production", w.get(id).Environment)
	})
}
