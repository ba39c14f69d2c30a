package apply

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"dalang/orchestrator/task"
)

var update = flag.Bool("update", false, "write golden files")

func web() []Resource {
	return []Resource{
		{Type: "package", Title: "nginx", Params: map[string]any{"ensure": "latest", "source": nil}},
		{Type: "File", Title: "/etc/nginx/it's <here>", Params: map[string]any{"content": "hush", "mode": "0600", "notify": []any{"Service[nginx]"}}, Secrets: []string{"content"}},
		{Type: "my_type", Title: "x", Params: map[string]any{"n": json.Number("1.0"), "h": map[string]any{"a": nil}, "before": "service[nginx]"}},
		{Type: "::service", Title: "nginx", Params: map[string]any{"ensure": "running", "require": "Package[nginx]", "subscribe": []any{"File[/etc/nginx/it's <here>]"}}},
	}
}

// TestCatalog: the catalog is what it was, and the same each time.
func TestCatalog(t *testing.T) {
	require.NoError(t, Check(web()))
	params, err := task.Marshal(Params("staging", "plan job 7", web(), true))
	require.NoError(t, err)
	again, err := task.Marshal(Params("staging", "plan job 7", web(), true))
	require.NoError(t, err)
	require.Equal(t, string(params), string(again))
	made, err := For(params, `web"1`)
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(string(made), `{"catalog":{"name":"web\"1","version":`))
	var whole any
	require.NoError(t, json.Unmarshal(made, &whole))
	pretty, err := json.MarshalIndent(whole, "", "  ")
	require.NoError(t, err)
	const golden = "testdata/catalog.json"
	if *update {
		require.NoError(t, os.WriteFile(golden, append(pretty, '\n'), 0o644))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	require.Equal(t, string(want), string(pretty)+"\n")

	for _, bad := range []string{``, `{}`, `{"catalog":{}}`, `{"catalog":[],"apply_options":{}}`, `[]`} {
		_, err := For(json.RawMessage(bad), "a")
		require.ErrorContains(t, err, "apply: ", bad)
	}
}

func TestCheck(t *testing.T) {
	type p = map[string]any
	one := func(params p) []Resource { return []Resource{{Type: "notify", Title: "a", Params: params}} }
	two := func(first, second p) []Resource {
		return []Resource{{Type: "Notify", Title: "a", Params: first}, {Type: "notify", Title: "b", Params: second}}
	}
	for name, c := range map[string]struct {
		list []Resource
		want string // "": nothing is wrong
	}{
		"nothing":           {nil, ""},
		"class":             {[]Resource{{Type: "Class", Title: "apache"}}, "resources[0].type: classes have to be compiled, and nothing here compiles"},
		"defined type":      {[]Resource{{Type: "notify", Title: "a"}, {Type: "apache::vhost", Title: "x"}}, "resources[1].type: apache::vhost is a defined type of a module; these have to be compiled"},
		"stage":             {[]Resource{{Type: "stage", Title: "x"}}, "resources[0].type: stage is for Puppet's own use"},
		"no type":           {[]Resource{{Title: "x"}}, `resources[0].type: "" is not the name of a type`},
		"bad type":          {[]Resource{{Type: "a-b", Title: "x"}}, `"a-b" is not the name of a type`},
		"no title":          {[]Resource{{Type: "notify"}}, "resources[0].title: the title is a text that is not empty"},
		"NUL":               {[]Resource{{Type: "notify", Title: "a\x00"}}, "resources[0].title"},
		"twice":             {append(two(nil, nil), Resource{Type: "NOTIFY", Title: "a"}), "resources[2]: Notify[a] is there a second time; the first one is resources[0]"},
		"other case":        {append(two(nil, nil), Resource{Type: "notify", Title: "A"}), ""},
		"parameter":         {one(p{"Message": "x"}), "resources[0].parameters.Message: the name of a parameter is a lower-case letter"},
		"splat":             {one(p{"*": p{}}), "resources[0].parameters.*: the name"},
		"metaparameter":     {one(p{"noop": true, "loglevel": "debug", "tag": []any{"x"}}), ""},
		"a class's":         {one(p{"stage": "x"}), "only classes have a stage"},
		"rich data":         {one(p{"message": []any{p{"__ptype": "Deferred", "name": "x"}}}), "resources[0].parameters.message: a map has the key __ptype"},
		"rich value":        {one(p{"message": p{"a": p{"__pvalue": "x"}}}), "a map has the key __ptype or __pvalue"},
		"require":           {two(nil, p{"require": "Notify[a]"}), ""},
		"of a list":         {two(nil, p{"subscribe": []any{"notify[a]", "Notify[a]"}}), ""},
		"before":            {two(p{"before": "Notify[b]", "notify": nil}, nil), ""},
		"itself":            {one(p{"require": "Notify[a]"}), "resources[0].parameters.require: Notify[a] is this resource itself"},
		"against the order": {two(p{"require": "Notify[b]"}, nil), "Notify[b] comes later in the list, and resources are applied in its order"},
		"and the other way": {two(nil, p{"notify": []any{"Notify[a]"}}), "resources[1].parameters.notify: Notify[a] comes earlier in the list"},
		"not there":         {one(p{"require": "Package[nginx]"}), "there is no Package[nginx] in the list"},
		"quoted":            {two(nil, p{"require": "Notify['a']"}), "titles stand in references without quotes"},
		"no reference":      {one(p{"require": "nginx"}), `a list of such, and there is "nginx"`},
		"a number":          {one(p{"require": json.Number("1")}), "the reference to a resource is expected"},
		"a list in a list":  {one(p{"require": []any{[]any{}}}), "the reference to a resource is expected"},
		"a secret":          {[]Resource{{Type: "notify", Title: "a", Params: p{"require": "hush"}, Secrets: []string{"require"}}}, "a relationship to another resource is no secret"},
		"open":              {append(one(p{"require": "Package[nginx]"}), Resource{Open: true, Params: p{"Bad": 1}}), "resources[1].parameters.Bad"},
		"perhaps there":     {append(one(p{"require": "Package[nginx]"}), Resource{Open: true}), ""},
	} {
		t.Run(name, func(t *testing.T) {
			err := Check(c.list)
			if c.want == "" {
				require.NoError(t, err)
				return
			}
			var m *Mistake
			require.ErrorAs(t, err, &m)
			require.ErrorContains(t, err, c.want)
			require.NotContains(t, err.Error(), "hush")
		})
	}
}

// report is Puppet's, with some of its keys replaced.
func report(t testing.TB, change string) string {
	t.Helper()
	whole, err := task.Object(json.RawMessage(`{"host":"a","status":"changed","noop":false,"environment":"production","puppet_version":"7.23.0","secret":1,
		"logs":[{"level":"notice","message":"hi","source":"Puppet","tags":["notice"]}],
		"metrics":{"resources":{"name":"resources","label":"Resources","values":[["total","Total",7],["changed","Changed",2],["failed","Failed",1],["skipped","Skipped",1],["out_of_sync","Out of sync",4]]}},
		"resource_statuses":{"Notify[a]":{"title":"a","changed":true,"failed":false,"tags":["notify"],"events":[{"status":"success","message":"hi"}]}}}`))
	require.NoError(t, err)
	more, err := task.Object(json.RawMessage(change))
	require.NoError(t, err)
	for k, v := range more {
		whole[k] = v
		if v == nil {
			delete(whole, k)
		}
	}
	text, err := task.Marshal(whole)
	require.NoError(t, err)
	return string(text)
}

const asked = `{"catalog":{"resources":[{"type":"Stage","title":"main","kind":"compilable_type"},{"type":"Class","title":"main","kind":"class"},{"type":"Notify","title":"a","kind":"compilable_type"}]},"apply_options":{}}`

func TestResult(t *testing.T) {
	const output = "changed: 2, failed: 1, unchanged: 3 skipped: 1, noop: 1"
	for name, c := range map[string]struct {
		params, stdout, stderr string
		exit                   int
		kind, msg              string // of the _error; "": none
		bare                   bool   // there is no report
	}{
		"changed":          {stdout: report(t, `{}`)},
		"noise afterwards": {stdout: report(t, `{}`) + "\nnotice: bye\n"},
		"failed": {stdout: report(t, `{"status":"failed","resource_statuses":{"Exec[b]":{"failed":true,"events":[{"status":"failure","message":"no\nway"},{"status":"success","message":"x"}]},
			"Exec[a]":{"failed":true,"events":[]},"Service[s]":{"failed":false,"failed_to_restart":true},"Exec[c]":{"failed":false,"skipped":true}}}`),
			kind: KindFailure, msg: "Resources failed to apply for web1\n  Exec[a] failed\n  Exec[b]: no\nway\n  Service[s] failed"},
		"failed as a whole": {stdout: report(t, `{"status":"failed","logs":[{"level":"notice","message":"x"},{"level":"err","message":"Found 1 dependency cycle"}]}`),
			kind: KindFailure, msg: "Resources failed to apply for web1\n  Found 1 dependency cycle"},
		"unknown type": {params: strings.ReplaceAll(asked, "Notify", "Packge"), stdout: report(t, `{}`), kind: KindFailure,
			msg: "Resources failed to apply for web1\n  it does not know the types Packge"},
		"left out":       {params: strings.ReplaceAll(asked, "Notify", "Packge"), stdout: report(t, `{"left_out":{"logs":0,"resource_statuses":3}}`)},
		"not a report":   {stdout: report(t, `{"status":null,"metrics":null}`), kind: KindInvalid, msg: "The report of web1 lacks metrics, status"},
		"an error":       {stdout: `{"_error":{"kind":"bolt/apply-error","msg":"no Puppet"}}`, exit: 1, kind: KindError, msg: "no Puppet", bare: true},
		"a bare error":   {stdout: `{"_error":{"msg":"no Puppet"}}`, exit: 1, kind: KindError, msg: "no Puppet", bare: true},
		"no Puppet":      {stderr: "not found", exit: 127, kind: KindError, msg: "Puppet is not installed on web1", bare: true},
		"nothing":        {stderr: " cannot load such file \n", exit: 1, kind: KindError, msg: "Puppet left no report on web1; exit code 1: cannot load such file", bare: true},
		"nothing at all": {kind: KindError, msg: "Puppet left no report on web1; exit code 0", bare: true},
		"a list":         {stdout: "[]", kind: KindError, msg: "Puppet left no report on web1; exit code 0", bare: true},
	} {
		t.Run(name, func(t *testing.T) {
			if c.params == "" {
				c.params = asked
			}
			result, failed := Result(json.RawMessage(c.params), "web1", []byte(c.stdout), []byte(c.stderr), c.exit)
			require.Equal(t, c.kind != "", failed)
			var got struct {
				Report map[string]any
				Output string `json:"_output"`
				Error  *struct {
					Kind, Msg string
					Details   map[string]any
				} `json:"_error"`
			}
			require.NoError(t, json.Unmarshal(result, &got))
			require.Equal(t, c.bare, got.Report == nil)
			require.NotContains(t, string(result), "secret")
			require.NotContains(t, string(result), "tags")
			if !c.bare && c.kind != KindInvalid {
				require.Equal(t, output, got.Output)
				require.Equal(t, "production", got.Report["environment"])
			}
			if c.kind == "" {
				require.Nil(t, got.Error)
				return
			}
			require.Equal(t, c.kind, got.Error.Kind)
			require.Equal(t, c.msg, got.Error.Msg)
			require.NotNil(t, got.Error.Details)
		})
	}
}

// TestShorten: however large a report is, what is kept of it is not, and what
// failed is kept first.
func TestShorten(t *testing.T) {
	long := strings.Repeat("é", 4<<10)
	statuses, logs := map[string]any{}, []any{}
	for i := range 1000 {
		statuses[fmt.Sprintf("File[%04d]", i)] = map[string]any{"failed": i == 999, "changed": i == 998, "tags": []any{"x"},
			"events": []any{map[string]any{"message": long, "status": "failure", "previous_value": map[string]any{"a": []any{long}}}}}
		logs = append(logs, map[string]any{"level": map[bool]string{true: "err", false: "notice"}[i == 999], "message": long})
	}
	given := map[string]any{"status": "failed", "host": "a", "logs": logs, "resource_statuses": statuses, "metrics": map[string]any{}}
	short := Shorten(given)
	text, err := json.Marshal(short)
	require.NoError(t, err)
	require.Less(t, len(text), maxLogs+maxResources+4<<10)
	kept := short["resource_statuses"].(map[string]any)
	require.Contains(t, kept, "File[0999]")
	require.Contains(t, kept, "File[0998]")
	require.NotContains(t, kept["File[0999]"], "tags")
	last := short["logs"].([]any)
	require.Equal(t, "err", last[len(last)-1].(map[string]any)["level"])
	require.Equal(t, map[string]any{"resource_statuses": 1000 - len(kept), "logs": 1000 - len(last)}, short["left_out"])

	// The server shortens what the agent has shortened: nothing is lost.
	d := json.NewDecoder(strings.NewReader(string(text)))
	d.UseNumber()
	var sent map[string]any
	require.NoError(t, d.Decode(&sent))
	again, err := json.Marshal(Shorten(sent))
	require.NoError(t, err)
	require.JSONEq(t, string(text), string(again))

	result, failed := Result(json.RawMessage(asked), "a", text, nil, 0)
	require.True(t, failed)
	require.Less(t, len(result), maxLogs+maxResources+maxFailures*(maxFailure+100)+8<<10)
}

// FuzzResult: whatever an agent writes, there is a result.
func FuzzResult(f *testing.F) {
	f.Add(asked, report(f, `{}`), 0)
	f.Add(asked, report(f, `{"status":"failed","logs":[1,null],"resource_statuses":{"a":1}}`), 0)
	f.Add(`{`, `{"_error":1,"metrics":{"resources":{"values":[1,[1,2,3],["total","x",1e9]]}},"resource_statuses":[],"status":{}}`, 3)
	f.Fuzz(func(t *testing.T, params, stdout string, exit int) {
		result, failed := Result(json.RawMessage(params), "a", []byte(stdout), nil, exit)
		var fields map[string]json.RawMessage
		require.NoError(t, json.Unmarshal(result, &fields))
		require.Equal(t, failed, fields["_error"] != nil)
	})
}

// TestHostileReport: a node cannot have more stored than the limits say, nor
// have the server read what fills its memory.
func TestHostileReport(t *testing.T) {
	long := strings.Repeat("x,", 1<<20)
	many := map[string]any{}
	for i := range 10_000 {
		many[fmt.Sprint("metric", i)] = []any{i}
	}
	for name, given := range map[string]any{
		"lists": map[string]any{"status": "changed", "metrics": many, "resource_statuses": map[string]any{}, "host": many, "noop": []any{many}, "time": long},
		"error": map[string]any{"_error": map[string]any{"kind": long, "msg": long}},
		"large": map[string]any{"status": "changed", "metrics": map[string]any{}, "resource_statuses": map[string]any{}, "x": strings.Repeat(long, 5)},
	} {
		text, err := json.Marshal(given)
		require.NoError(t, err)
		result, failed := Result(json.RawMessage(`{}`), "web1", text, nil, 0)
		require.Less(t, len(result), 3*maxText, name)
		require.Equal(t, name != "lists", failed)
		if name == "large" {
			require.Contains(t, string(result), "its report has 10485")
			require.Contains(t, string(result), "no more than 8388608 are taken")
		}
	}
}
