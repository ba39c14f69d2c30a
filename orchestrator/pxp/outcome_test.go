package pxp_test

import (
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"dalang/orchestrator/job"
)

// puppet makes results of pxp-module-puppet.
func puppet(uuid, status, rest string) string {
	return `{"time":"unknown","transaction_uuid":"` + uuid + `","environment":"production","status":"` + status + `","metrics":{},"version":1` + rest + `}`
}

const uuidOfRun = "5c1b7e6a-5ad0-4f3a-8f4f-7b8f5f3e2d10"

// outcome is what a node of an agent's results ends in.
type outcome struct {
	module, results string // module "": pxp-module-puppet
	state           job.State
	kind, msg       string // of an error; msg: else the result
}

func outcomes() map[string]outcome {
	broken := func(kind string) string {
		return puppet(uuidOfRun, "unknown", `,"exitcode":1,"error_type":"`+kind+`","error":"because of `+kind+`"`)
	}
	return map[string]outcome{
		"changed":                 {"", puppet(uuidOfRun, "changed", `,"exitcode":0`), job.Finished, "", ""},
		"unchanged":               {"", puppet(uuidOfRun, "unchanged", `,"exitcode":0`), job.Finished, "", ""},
		"failed with exit code 0": {"", puppet(uuidOfRun, "failed", `,"exitcode":0`), job.Failed, "", ""},
		"failed":                  {"", puppet(uuidOfRun, "failed", `,"exitcode":1,"error_type":"agent_exit_non_zero","error":"non 0"`), job.Failed, "", ""},
		"changed, yet non-zero":   {"", puppet(uuidOfRun, "changed", `,"exitcode":1,"error_type":"agent_exit_non_zero","error":"non 0"`), job.Failed, "", ""},
		"no report, non-zero":     {"", puppet("unknown", "unknown", `,"exitcode":1,"error_type":"agent_exit_non_zero","error":"non 0"`), job.Errored, "", "non 0"},
		"disabled":                {"", broken("agent_disabled"), job.Errored, "", "because of agent_disabled"},
		"locked":                  {"", broken("agent_locked"), job.Errored, "", "because of agent_locked"},
		"already running":         {"", broken("agent_already_running"), job.Errored, "", "because of"},
		"no puppet":               {"", broken("no_puppet_bin"), job.Errored, "", "because of"},
		"did not start":           {"", broken("agent_failed_to_start"), job.Errored, "", "because of"},
		"no last report":          {"", broken("no_last_run_report"), job.Errored, "", "because of"},
		"bad last report":         {"", broken("invalid_last_run_report"), job.Errored, "", "because of"},
		"bad input":               {"", broken("invalid_json"), job.Errored, "", "because of"},
		"unknown status":          {"", puppet(uuidOfRun, "unknown", `,"exitcode":0`), job.Errored, "", `the status "unknown"`},
		"nothing":                 {"", `{}`, job.Errored, "", `the status ""`},
		"could not run": {"", `{"_error":{"kind":"puppetlabs.pxp-agent/execution-error","msg":"fork failed","details":{}}}`, job.Errored,
			"puppetlabs.pxp-agent/execution-error", "fork failed"},

		"exit 0":           {"task", `{"exitcode":0,"stdout":"hello","stderr":""}`, job.Finished, "", `{"_output":"hello"}`},
		"an object":        {"task", `{"exitcode":0,"stdout":"{\"a\": 1.0}"}`, job.Finished, "", `{"a":1.0}`},
		"exit 3":           {"task", `{"exitcode":3,"stdout":"","stderr":"woe"}`, job.Failed, "", `{"_output":"","_error":{"kind":"puppetlabs.tasks/task-error","issue_code":"TASK_ERROR","msg":"The task failed with exit code 3 and no stdout, but stderr contained:\nwoe","details":{"exit_code":3}}}`},
		"error of a task":  {"task", `{"exitcode":1,"stdout":"{\"_error\":{\"kind\":\"mine/bad\",\"msg\":\"x\"}}"}`, job.Failed, "", `{"_error":{"kind":"mine/bad","msg":"x","details":{}}}`},
		"error with 0":     {"task", `{"exitcode":0,"stdout":"{\"_error\":{\"kind\":\"mine/bad\",\"msg\":\"x\"}}"}`, job.Failed, "", `{"_error":{"kind":"mine/bad","msg":"x","details":{}}}`},
		"command":          {"command", `{"exitcode":0,"stdout":"{}","stderr":"w"}`, job.Finished, "", `{"stdout":"{}","stderr":"w","exit_code":0}`},
		"bad command":      {"command", `{"exitcode":2,"stdout":"","stderr":"w"}`, job.Failed, "", `{"stdout":"","stderr":"w","exit_code":2,"_error":{"kind":"puppetlabs.tasks/command-error","issue_code":"COMMAND_ERROR","msg":"The command failed with exit code 2","details":{"exit_code":2}}}`},
		"catalog":          {"apply", `{"exitcode":0,"stdout":"{\"status\":\"changed\",\"metrics\":{},\"resource_statuses\":{}}"}`, job.Finished, "", `{"report":{"status":"changed","metrics":{},"resource_statuses":{}}}`},
		"failed catalog":   {"apply", `{"exitcode":0,"stdout":"{\"status\":\"failed\",\"metrics\":{},\"resource_statuses\":{}}"}`, job.Failed, "", `{"report":{"status":"failed","metrics":{},"resource_statuses":{}},"_error":{"kind":"bolt/resource-failure","msg":"Resources failed to apply for a","details":{}}}`},
		"no Puppet there":  {"apply", `{"exitcode":127,"stdout":"","stderr":"x"}`, job.Failed, "", `{"_error":{"kind":"bolt/apply-error","msg":"Puppet is not installed on a","details":{}}}`},
		"task did not run": {"task", `{"exitcode":1,"stdout":"{\"_error\":{\"kind\":\"puppetlabs.pxp-agent/execution-error\",\"msg\":\"gone\"}}"}`, job.Errored, "puppetlabs.pxp-agent/execution-error", "gone"},
	}
}

// TestOutcomes: what a node ends in, told by the agent itself and when asked.
func TestOutcomes(t *testing.T) {
	for name, c := range outcomes() {
		if c.module == "" {
			c.module = "pxp-module-puppet"
		}
		check := func(t *testing.T, w *world) {
			t.Helper()
			require.Equal(t, "result a "+string(c.state), w.takeTold())
			o := w.results[0]
			if c.state != job.Errored {
				require.NoError(t, o.Err)
				want := c.results
				if c.module != "pxp-module-puppet" {
					want = c.msg
				}
				require.JSONEq(t, want, string(o.Results))
				return
			}
			var e *job.Error
			require.ErrorAs(t, o.Err, &e)
			if c.kind == "" {
				c.kind = "puppetlabs.orchestrator/execution-failure"
			}
			require.Equal(t, c.kind, e.Kind)
			require.Contains(t, e.Msg, c.msg)
			require.Equal(t, "a", e.Details["node"])
		}
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				r := run("a")
				r.Module = c.module
				w.start(r)
				w.ends(r, c.results)
				check(t, w)
			})
		})
		t.Run(name+", when asked", func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				r := run("a")
				r.Module = c.module
				require.NoError(t, w.Query(t.Context(), r))
				status := `"status":"success","exitcode":0,"stdout":` + quoted(c.results)
				if c.module != "pxp-module-puppet" {
					status = `"status":"failure",` + strings.TrimSuffix(strings.TrimPrefix(c.results, "{"), "}")
				}
				w.answers(w.one("status"), r, status)
				check(t, w)
			})
		})
	}
}

func object(t *testing.T, v any) []byte {
	t.Helper()
	text, err := json.Marshal(v)
	require.NoError(t, err)
	return text
}

// TestUnreadableOutcomes: results of no known form.
func TestUnreadableOutcomes(t *testing.T) {
	for _, c := range []struct{ module, results, msg string }{
		{"pxp-module-puppet", `[]`, "cannot be read"}, {"pxp-module-puppet", `{"status":7}`, "cannot be read"},
		{"pxp-module-puppet", `{"exitcode":"0"}`, "cannot be read"},
		{"task", `7`, "cannot be read"}, {"task", `{}`, "no exit code"}, {"task", `{"exitcode":0.5}`, "cannot be read"},
	} {
		inWorld(t, func(t *testing.T, w *world) {
			r := run("a")
			r.Module = c.module
			w.start(r)
			w.ends(r, c.results)
			require.Equal(t, "result a errored", w.takeTold())
			require.ErrorContains(t, w.results[0].Err, c.msg)
		})
	}
	inWorld(t, func(t *testing.T, w *world) { // no results at all
		r := run("a")
		w.start(r)
		w.says("a", "http://puppetlabs.com/rpc_non_blocking_response", `{"transaction_id":"`+r.TransactionID.String()+`"}`)
		require.Equal(t, "result a errored", w.takeTold())
	})
	inWorld(t, func(t *testing.T, w *world) { // the wrapper has died
		r := run("a")
		require.NoError(t, w.Query(t.Context(), r))
		w.answers(w.one("status"), r, `"status":"failure","exitcode":137,"stdout":"","stderr":"Killed\n`+strings.Repeat("x", 5000)+`"`)
		require.Equal(t, "result a errored", w.takeTold())
		require.ErrorContains(t, w.results[0].Err, "the Puppet run left no result; exit code 137: Killed")
		require.Less(t, len(w.results[0].Err.Error()), 2200)
	})
}

// FuzzResults: whatever an agent says, the run ends in one of three states.
func FuzzResults(f *testing.F) {
	f.Add(changed, false, true)
	f.Add(`{"exitcode":0,"stdout":"{\"_error\":{}}"}`, true, false)
	f.Add(`{"_error":null,"error":null}`, false, false)
	f.Fuzz(func(t *testing.T, results string, task, asked bool) {
		if !json.Valid([]byte(results)) {
			return
		}
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			r := run("a")
			if task {
				r.Module = "task"
			}
			if asked {
				require.NoError(t, w.Query(t.Context(), r))
				w.answers(w.one("status"), r, `"status":"success","stdout":`+quoted(results))
			} else {
				w.start(r)
				w.ends(r, results)
			}
			require.Len(t, w.results, 1)
			o := w.results[0]
			require.Contains(t, []job.State{job.Finished, job.Failed, job.Errored}, o.State)
			require.Equal(t, o.State == job.Errored, o.Err != nil)
		})
	})
}
