package orch_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"dalang/orchestrator/job"
	"dalang/server/orch"
)

const deployPath = "/orchestrator/v1/command/deploy"

func ptr[T any](v T) *T { return &v }

// TestDeployDecoding: what the engine gets of a body.
func TestDeployDecoding(t *testing.T) {
	production := job.Deploy{Environment: "production", EnforceEnvironment: true, Userdata: json.RawMessage("{}")}
	with := func(change func(*job.Deploy)) job.Deploy { d := production; change(&d); return d }
	for body, want := range map[string]job.Deploy{
		`{"environment":"production"}`: production,
		// null is absent (trap 10); so is a blank target.
		`{"environment":"production","scope":null,"target":" ","noop":null,"no_noop":null,"concurrency":null,"description":null,"debug":null,
		  "enforce_environment":null,"ordering":null,"tags":null,"timeout":null,"use_cached_catalog":null,"userdata":null,"filetimeout":null}`: production,
		// go-pe-client sends an empty scope beside a target (trap 9).
		`{"environment":"production","scope":{},"target":"Wordpress_app[demo]"}`: with(func(d *job.Deploy) { d.Target = ptr("Wordpress_app[demo]") }),
		`{"environment":"production","enforce_environment":false}`:               with(func(d *job.Deploy) { d.EnforceEnvironment = false }),
		`{"environment":"production","noop":true,"noop":false}`:                  production, // the last counts
		`{"environment":"production","scope":{"nodes":["a","b","a"],"query":null}}`: with(func(d *job.Deploy) {
			d.Scope = job.Scope{Nodes: []string{"a", "b", "a"}, GivenNodes: true}
		}),
		`{"environment":"production","scope":{"query":"nodes{}"}}`:         with(func(d *job.Deploy) { d.Scope.Query = json.RawMessage(`"nodes{}"`) }),
		`{"environment":"production","scope":{"query":["from", "nodes"]}}`: with(func(d *job.Deploy) { d.Scope.Query = json.RawMessage(`["from", "nodes"]`) }),
		`{"environment":"production","scope":{"application":" Shop[x] "}}`: with(func(d *job.Deploy) { d.Scope.Application = "Shop[x]" }),
		`{"environment":"production","scope":{"whole_environment":true}}`:  with(func(d *job.Deploy) { d.Scope.WholeEnvironment = true }),
		`{"environment":"production","scope":{"node_group":"00000000-0000-4000-8000-00000000000A"}}`: with(func(d *job.Deploy) {
			d.Scope.NodeGroup = "00000000-0000-4000-8000-00000000000a"
		}),
		`{"environment":"","enforce_environment":false,"noop":true,"scope":{"nodes":["node1.example.com"]},"userdata":{"servicenow_ticket":"INC0011211"}}`: {
			Noop: true, Scope: job.Scope{Nodes: []string{"node1.example.com"}, GivenNodes: true}, Userdata: json.RawMessage(`{"servicenow_ticket":"INC0011211"}`),
		},
		`{"environment":"test_1","no_noop":true,"debug":true,"trace":true,"evaltrace":true,"description":"why","filetimeout":0,"http_connect_timeout":1,
		  "http_keepalive_timeout":2.0,"http_read_timeout":3,"ordering":"title-hash","tags":" a::b , c-d","skip_tags":"x","use_cached_catalog":false,
		  "usecacheonfailure":true,"timeout":60,"concurrency":"1-8","userdata":{ "a" : 1 }}`: {
			Environment: "test_1", EnforceEnvironment: true, NoNoop: true, Debug: true, Trace: true, Evaltrace: true, Description: "why",
			Filetimeout: ptr(int64(0)), HTTPConnectTimeout: ptr(int64(1)), HTTPKeepaliveTimeout: ptr(int64(2)), HTTPReadTimeout: ptr(int64(3)),
			Ordering: ptr("title-hash"), Tags: ptr("a::b,c-d"), SkipTags: ptr("x"), UseCachedCatalog: ptr(false), Usecacheonfailure: ptr(true),
			Timeout: ptr(int64(60)), Concurrency: job.Concurrency{Given: json.RawMessage(`"1-8"`), Max: 8}, Userdata: json.RawMessage(`{"a":1}`),
		},
	} {
		a := newAPI(t, nil)
		status, text, _ := a.ask(t, http.MethodPost, deployPath, body)
		require.Equal(t, http.StatusAccepted, status, "%s: %s", body, text)
		require.Equal(t, clientRef{rootURL + "/jobs/1", "1"}, strict[clientAccepted](t, text).Job)
		require.Equal(t, []job.Deploy{want}, a.deploys, body)
	}
}

// TestDeployValidation: each mistake is told with its key, what was expected,
// and what was there; the engine never hears of it.
func TestDeployValidation(t *testing.T) {
	const p = `{"environment":"production",`
	for _, c := range []struct{ body, key, expected, got string }{
		{``, "", "a JSON object", "nothing"},
		{`{`, "", "a JSON object", "no JSON: unexpected end of JSON input at byte 1"},
		{`{"environment":"production"} x`, "", "a JSON object", "no JSON: invalid character 'x' after top-level value at byte 30"},
		{`["production"]`, "", "a JSON object", "an array"},
		{`null`, "", "a JSON object", "null"},
		{`"x"`, "", "a JSON object", "a string"},
		{"{\"environment\":\"\xff\"}", "", "a JSON object in UTF-8", "bytes that are no UTF-8"},
		{p + `"nop":true}`, "nop", "one of ", "an unknown key"},
		{p + `"scope":{"node":["a"]}}`, "scope.node", "one of application, node_group, nodes, query, whole_environment", "an unknown key"},
		{p + `"Noop":true}`, "Noop", "one of ", "an unknown key"},
		{p + `"\u0020":true}`, " ", "one of ", "an unknown key"},
		{`{}`, "environment", "the name of an environment", "missing"},
		{`{"environment":null}`, "environment", "the name of an environment", "missing"},
		{`{"environment":7}`, "environment", "a string", "a number"},
		{`{"environment":"a.b"}`, "environment", job.EnvironmentName, `"a.b"`},
		{`{"environment":"a\n"}`, "environment", job.EnvironmentName, `"a\n"`},
		{`{"environment":"","scope":{"nodes":["a"]}}`, "enforce_environment", "false where environment is empty", "missing"},
		{`{"environment":"","enforce_environment":true,"scope":{"nodes":["a"]}}`, "enforce_environment", "false where environment is empty", "true"},
		{`{"environment":"","scope":{"application":"App"}}`, "environment", "the name of an environment where scope is an application", "empty"},
		{`{"environment":"","enforce_environment":false,"scope":{"whole_environment":true}}`, "environment", "the name of an environment where scope is", "empty"},
		{`{"environment":"","enforce_environment":false}`, "scope", "given where environment is empty", "missing"},
		{`{"environment":"","enforce_environment":false,"target":"App"}`, "scope", "given where environment is empty", "missing"},
		{p + `"noop":"true"}`, "noop", "a boolean", "a string"},
		{p + `"noop":1}`, "noop", "a boolean", "a number"},
		{p + `"noop":true,"no_noop":true}`, "no_noop", "false where noop is true", "true"},
		{p + `"debug":"yes"}`, "debug", "a boolean", "a string"},
		{p + `"concurrency":0}`, "concurrency", "an integer of at least 1, or a range", "0"},
		{p + `"concurrency":"many"}`, "concurrency", "an integer of at least 1, or a range", `"many"`},
		{p + `"timeout":0}`, "timeout", "an integer from 1 to 2147483647", "0"},
		{p + `"filetimeout":-1}`, "filetimeout", "an integer from 0 to 2147483647", "-1"},
		{p + `"http_read_timeout":1.5}`, "http_read_timeout", "an integer from 0 to 2147483647", "1.5"},
		{p + `"http_connect_timeout":1e999}`, "http_connect_timeout", "an integer from 0 to 2147483647", "1e999"},
		{p + `"http_keepalive_timeout":"1"}`, "http_keepalive_timeout", "an integer from 0 to 2147483647", "a string"},
		{p + `"ordering":"Manifest"}`, "ordering", "one of manifest, title-hash, random", `"Manifest"`},
		{p + `"tags":""}`, "tags", "tags of letters", `""`},
		{p + `"tags":"a b"}`, "tags", "tags of letters", `"a b"`},
		{p + `"skip_tags":"--noop"}`, "skip_tags", "tags of letters", `"--noop"`},
		{p + `"tags":["a"]}`, "tags", "a string", "an array"},
		{p + `"description":{}}`, "description", "a string", "an object"},
		{p + `"description":"` + strings.Repeat("ü", 4097) + `"}`, "description", "a string of at most 4096 characters", "4097 characters"},
		{p + `"userdata":[]}`, "userdata", "an object", "an array"},
		{p + `"userdata":{"a":"` + strings.Repeat("x", 64<<10) + `"}}`, "userdata", "an object of at most 65536 bytes", "65544 bytes"},
		{p + `"scope":{}}`, "scope", "an object with exactly one key", "empty"},
		{p + `"scope":{"nodes":null}}`, "scope", "an object with exactly one key", "empty"},
		{p + `"scope":{},"target":" "}`, "scope", "an object with exactly one key", "empty"},
		{p + `"scope":"production"}`, "scope", "an object", "a string"},
		{p + `"scope":{"nodes":["a"],"query":"nodes{}"}}`, "scope", "an object with exactly one key", "an object with nodes, query"},
		{p + `"scope":{"nodes":["a"]},"target":"App"}`, "target", "left out where scope is given", `"App"`},
		{p + `"scope":{"nodes":"a"}}`, "scope.nodes", "an array of strings", "a string"},
		{p + `"scope":{"nodes":["a",1]}}`, "scope.nodes[1]", "a string", "a number"},
		{p + `"scope":{"nodes":["a",null]}}`, "scope.nodes[1]", "a string", "null"},
		{p + `"scope":{"nodes":[" "]}}`, "scope.nodes[0]", "a string that is not empty", `" "`},
		{p + `"scope":{"nodes":["a"," b"]}}`, "scope.nodes[1]", "a certname: printable ASCII without / and *", `" b"`},
		{p + `"scope":{"nodes":["a\u0000"]}}`, "scope.nodes[0]", "a certname", `"a\x00"`},
		{p + `"scope":{"query":"` + strings.Repeat("x", 1<<20) + `"}}`, "scope.query", "at most 1048576 bytes of JSON", "1048578 bytes"},
		{p + `"scope":{"query":["or"` + strings.Repeat(`,["=","a","b"]`, 80_000) + `]}}`, "scope.query", "at most 1048576 bytes of JSON", "1120006 bytes"},
		{p + `"scope":{"application":"` + strings.Repeat("x", 1<<20) + `"}}`, "scope.application", "at most 1048576 bytes of JSON", "1048578 bytes"},
		{p + `"target":"` + strings.Repeat("x", 1<<20) + `"}`, "target", "at most 1048576 bytes of JSON", "1048578 bytes"},
		{p + `"scope":{"nodes":[` + strings.Repeat(`"a",`, 100_000) + `"a"]}}`, "scope.nodes", "an array of at most 100000 strings", "100001"},
		{p + `"scope":{"query":{"a":1}}}`, "scope.query", "a PQL string or an AST array", "an object"},
		{p + `"scope":{"node_group":"all"}}`, "scope.node_group", "the UUID of a node group", `"all"`},
		{p + `"scope":{"application":""}}`, "scope.application", "Type or Type[title]", `""`},
		{p + `"scope":{"whole_environment":false}}`, "scope.whole_environment", "true or left out", "false"},
		{p + `"scope":{"whole_environment":"true"}}`, "scope.whole_environment", "a boolean", "a string"},
	} {
		a := newAPI(t, nil)
		e := a.refused(t, http.MethodPost, deployPath, c.body, http.StatusBadRequest, "validation-error")
		if c.key == "" {
			require.NotContains(t, e.Details, "key", "%.100s", c.body)
		} else {
			require.Equal(t, c.key, e.Details["key"], "%.100s", c.body)
			require.Contains(t, e.Msg, c.key)
		}
		require.True(t, strings.HasPrefix(e.Details["expected"].(string), c.expected), "%.100s: %s", c.body, e.Details["expected"])
		require.Equal(t, c.got, e.Details["got"], "%.100s", c.body)
		require.Empty(t, a.deploys)
	}
}

// TestDeployOrder: who may not is not told what is wrong with the body, and
// nothing reaches the engine.
func TestDeployOrder(t *testing.T) {
	a := newAPI(t, nil)
	for token, want := range map[string]string{"nobody": "orchestrator", "viewer": "puppet_agent"} {
		a.token = token
		e := a.refused(t, http.MethodPost, deployPath, `{`, http.StatusForbidden, "not-permitted")
		require.Equal(t, want, e.Details["object_type"])
	}
	a.token = ""
	status, text, _ := a.ask(t, http.MethodPost, deployPath, `{`)
	require.Equal(t, http.StatusUnauthorized, status)
	require.JSONEq(t, `{"kind":"puppetlabs.rbac/user-unauthenticated","msg":"Route requires authentication"}`, string(text))
	require.Empty(t, a.deploys)
}

// TestEngineErrors: what the engine refuses keeps its kind, status and details.
func TestEngineErrors(t *testing.T) {
	for _, c := range []struct {
		err    *job.Error
		status int
		kind   string
	}{
		{job.UnknownEnvironment("x"), 404, "unknown-environment"},
		{job.EmptyEnvironment("x"), 400, "empty-environment"},
		{job.EmptyTarget(map[string]any{"nodes": []string{}}, "no nodes"), 400, "empty-target"},
		{job.DependencyCycle([]string{"a", "b", "a"}), 400, "dependency-cycle"},
		{job.PuppetDB(errors.New("locked")), 400, "puppetdb-error"},
		{job.Query("no"), 400, "query-error"},
		{job.NotPermitted(nil, "no"), 403, "not-permitted"},
	} {
		a := newAPI(t, nil)
		a.err = fmt.Errorf("deploy: %w", c.err)
		e := a.refused(t, http.MethodPost, deployPath, `{"environment":"x"}`, c.status, c.kind)
		require.Equal(t, c.err.Msg, e.Msg)
		require.Len(t, e.Details, len(c.err.Details))
	}
	a := newAPI(t, nil)
	a.err = job.Query("begin %s end", strings.Repeat("x", 1<<20))
	e := a.refused(t, http.MethodPost, deployPath, `{"environment":"x"}`, http.StatusBadRequest, "query-error")
	require.Less(t, len(e.Msg), 4000, "what was sent is not sent back")
	require.Regexp(t, `\Abegin x+ … x+ end\z`, e.Msg)
	a = newAPI(t, nil)
	a.err = errors.New("secret detail")
	e = a.refused(t, http.MethodPost, deployPath, `{"environment":"x"}`, http.StatusInternalServerError, "unknown-error")
	require.NotContains(t, e.Msg, "secret")
	require.NotEmpty(t, e.Details["request_id"])
}

func TestBodyLimit(t *testing.T) {
	a := newAPI(t, func(c *orch.Config) { c.MaxBody = 50 })
	a.refused(t, http.MethodPost, deployPath, `{"environment":"`+strings.Repeat("x", 50)+`"}`, http.StatusRequestEntityTooLarge, "validation-error")
}

// TestLenientKeys and the kind of validation errors are the operator's to choose.
func TestLenientKeys(t *testing.T) {
	a := newAPI(t, func(c *orch.Config) {
		c.LenientKeys = true
		c.ValidationKind = "puppetlabs.validators/validation-error"
	})
	status, text, _ := a.ask(t, http.MethodPost, deployPath, `{"environment":"production","nop":true,"scope":{"nodes":["a"],"more":1}}`)
	require.Equal(t, http.StatusAccepted, status, "%s", text)
	require.False(t, a.deploys[0].Noop)
	status, text, _ = a.ask(t, http.MethodPost, deployPath, `{"environment":1}`)
	require.Equal(t, http.StatusBadRequest, status)
	require.Equal(t, "puppetlabs.validators/validation-error", strict[clientError](t, text).Kind)
}

func TestStop(t *testing.T) {
	const path = "/orchestrator/v1/command/stop"
	a := newAPI(t, nil)
	a.jobs = []job.Job{{ID: 1234, State: job.Stopping, Nodes: job.Counts{job.New: 5, job.Running: 8, job.Failed: 3, job.Errored: 1, job.Skipped: 2, job.Finished: 5, job.Stopped: 4}}}
	for body, force := range map[string]bool{
		`{"job": "1234"}`: false, `{"job":1234}`: false, `{"job":"1234","force":true}`: true, `{"job":"1234","force":null}`: false, `{"job":"001234"}`: false, `{"job":1234.0}`: false,
	} {
		a.stops = nil
		status, text, _ := a.ask(t, http.MethodPost, path, body)
		require.Equal(t, http.StatusAccepted, status, "%s", text)
		require.Equal(t, []bool{force}, a.stops, body)
		require.JSONEq(t, `{"job":{"id":"`+rootURL+`/jobs/1234","name":"1234",
			"nodes":{"new":5,"running":8,"failed":3,"errored":1,"skipped":2,"finished":5,"stopped":4}}}`, string(text))
		strict[clientStopped](t, text)
	}
	a.jobs[0].Nodes = job.Counts{job.Finished: 1}
	_, text, _ := a.ask(t, http.MethodPost, path, `{"job":"1234"}`)
	require.Equal(t, map[string]int{"new": 0, "running": 0, "failed": 0, "errored": 0, "skipped": 0, "finished": 1},
		strict[clientStopped](t, text).Job.Nodes)
	for _, body := range []string{`{}`, `{"job":""}`, `{"job":"x"}`, `{"job":"-1"}`, `{"job":-1}`, `{"job":1.5}`, `{"job":" 1"}`, `{"job":null}`,
		`{"job":["1"]}`, `{"job":"1","force":"true"}`, `{"job":"1","Force":true}`, `1234`, ``} {
		a.refused(t, http.MethodPost, path, body, http.StatusBadRequest, "validation-error")
	}
	for _, name := range []string{"1", "0", "99999999999999999999999"} {
		e := a.refused(t, http.MethodPost, path, `{"job":"`+name+`"}`, http.StatusNotFound, "unknown-job")
		require.Equal(t, name, e.Details["job"])
	}
}

// FuzzDeploy: no body makes the handler fail in a way of its own.
func FuzzDeploy(f *testing.F) {
	for _, seed := range []string{`{"":[]}`, `{"environment":"production"}`, `{"environment":"","enforce_environment":false,"scope":{"nodes":["a"]}}`, `{"environment":"e","concurrency":[1,2]}`, `[]`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		a := newAPI(t, nil)
		status, text, _ := a.ask(t, http.MethodPost, deployPath, body)
		if status == http.StatusAccepted {
			require.Len(t, a.deploys, 1)
			options, err := json.Marshal(a.deploys[0])
			require.NoError(t, err)
			var back job.Deploy
			require.NoError(t, json.Unmarshal(options, &back))
			return
		}
		require.Equal(t, http.StatusBadRequest, status, "%s", text)
		require.Equal(t, "puppetlabs.orchestrator/validation-error", strict[clientError](t, text).Kind)
	})
}
