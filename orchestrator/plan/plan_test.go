package plan

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"dalang/orchestrator/task"
)

// world is a Host that remembers what it was asked, and answers as it was told.
type world struct {
	t     testing.TB
	log   []string
	plans map[string]string                                 // texts by name
	on    func(a *Action, target string) map[string]any     // nil: an empty result
	run   func(context.Context, *Action) ([]Outcome, error) // instead of on
	acts  []*Action
	fails map[string]error // by what is logged
}

func (w *world) note(format string, args ...any) error {
	line := fmt.Sprintf(format, args...)
	w.log = append(w.log, line)
	return w.fails[line]
}

func (w *world) Run(ctx context.Context, a *Action) ([]Outcome, error) {
	w.acts = append(w.acts, a)
	if err := w.note("%s %s on %s", a.Kind, a.Object, strings.Join(a.Targets, ",")); err != nil {
		return nil, err
	}
	if w.run != nil {
		return w.run(ctx, a)
	}
	var outcomes []Outcome
	for _, target := range a.Targets {
		o := Outcome{Target: target}
		if w.on != nil {
			o.Value = w.on(a, target)
		}
		outcomes = append(outcomes, o)
	}
	return outcomes, nil
}

func (w *world) Plan(_ context.Context, name string) (*Plan, error) {
	text, ok := w.plans[name]
	if !ok {
		return nil, &Error{Kind: KindUnknownPlan, Msg: "Could not find a plan named '" + name + "'"}
	}
	return Parse(name, []byte(text))
}

func (w *world) Message(_ context.Context, text string, verbose bool) error {
	if verbose {
		return w.note("verbose %s", text)
	}
	return w.note("message %s", text)
}

func (w *world) Begin(_ context.Context, name string) error { return w.note("begin %s", name) }

func (w *world) End(_ context.Context, name string, result any) error {
	text, err := JSON(result)
	require.NoError(w.t, err)
	return w.note("end %s %s", name, text)
}

// object decodes parameters.
func object(t testing.TB, text string) map[string]any {
	t.Helper()
	v, err := task.Object(json.RawMessage(text))
	require.NoError(t, err, text)
	return v
}

// run runs a plan and gives its value as JSON, or its error.
func run(t testing.TB, w *world, text, params string) (string, error) {
	t.Helper()
	w.t = t
	p, err := Parse("test", []byte(text))
	require.NoError(t, err, text)
	v, err := p.Run(t.Context(), w, object(t, params))
	if err != nil {
		return "", err
	}
	made, err := JSON(v)
	require.NoError(t, err)
	return string(made), nil
}

// stdout gives results of commands.
func stdout(_ *Action, target string) map[string]any {
	return map[string]any{"stdout": target + "\n", "stderr": "", "exit_code": json.Number("0")}
}

// TestDocumented runs the examples of Bolt's documentation, in testdata.
func TestDocumented(t *testing.T) {
	const three = "web1.example.com,web2.example.com,web3.example.com"
	for _, c := range []struct{ file, params, want, log string }{
		{"message", `{}`, "null", "message hello world"},
		{"verbose", `{}`, "null", "verbose hello world"},
		{"command", `{}`, "null", "command hostname -f on " + three},
		{"task", `{}`, "null", "task package on " + three},
		{"script", `{}`, "null", "script mymodule/check_server.sh on " + three},
		{"upload", `{}`, "null", "upload mymodule/motd.txt on " + three},
		{"resources", `{}`, "null", "resources  on " + three},
		{"plan", `{}`, "null", `begin facts|end facts ["web1.example.com","web2.example.com","web3.example.com"]`},
		{"eval", `{"count":21}`, "null", "task echo on web1.example.com"},
		{"parameters", `{"load_balancer":"lb","frontends":"a,b","backends":["c"],"version":"1.0"}`, `["lb","a,b",["c"],"1.0"]`, ""},
		{"strings", `{}`, `["hello","hello","$message","hello world","hello hello hello"]`, ""},
		{"variable", `{"targets":["a","b"]}`, "null", "command hostname -f on a,b"},
		{"interpolation", `{"targets":"a","username":"kim"}`, "null", "task echo on a"},
		{"indexing", `{"users":["kim","sam"]}`, "null", "task user::add on host.example.com|task echo on host.example.com"},
		{"blocks", `{"numbers":[1,7,3,9]}`, "null", "task sum on a"},
		{"connecting", `{"targets":["a","b"]}`, "null", "command hostname -f on a,b|task echo on c"},
		{"return", `{"targets":["a","b"]}`, `["a\n","b\n"]`, "command hostname -f on a,b"},
		{"named_eval", `{"foo":20}`, "42", ""},
		{"named_eval", `{}`, "2", ""},
		{"run_task", `{"targets":"a"}`, `[{"action":"task","object":"sample","status":"success","target":"a","value":{"exit_code":0,"stderr":"","stdout":"a\n"}}]`,
			"task sample on a"},
	} {
		t.Run(c.file, func(t *testing.T) {
			text, err := os.ReadFile("testdata/" + c.file + ".yaml")
			require.NoError(t, err)
			w := &world{on: stdout, plans: map[string]string{"facts": "parameters: {targets: {type: TargetSpec}}\nsteps: []\nreturn: $targets\n"}}
			got, err := run(t, w, string(text), c.params)
			require.NoError(t, err)
			require.Equal(t, c.want, got)
			require.Equal(t, c.log, strings.Join(w.log, "|"))
			golden := map[string]string{
				"task": `{"action":"status","name":"openssl"}`, "interpolation": `{"message":"hello kim"}`, "blocks": `{"indexes":[7,9]}`,
				"eval": `{"message":"The count is 21, and twice the count is 42"}`, "connecting": `{"message":"a\n,b\n"}`,
			}[c.file]
			if golden != "" {
				last, err := json.Marshal(w.acts[len(w.acts)-1].Params)
				require.NoError(t, err)
				require.JSONEq(t, golden, string(last))
			}
			switch c.file {
			case "script":
				require.Equal(t, []string{"/index.html", "60"}, w.acts[0].Arguments)
			case "resources":
				require.Equal(t, "Service[nginx]", w.acts[0].Resources[1].Ref())
				require.Equal(t, map[string]any{"ensure": "running"}, w.acts[0].Resources[1].Params)
			case "upload":
				require.Equal(t, "/etc/motd", w.acts[0].Destination)
			case "command":
				require.Equal(t, "Get the webserver hostnames", w.acts[0].Description)
			case "indexing":
				require.Equal(t, map[string]any{"name": "kim"}, w.acts[0].Params)
				require.Equal(t, map[string]any{"message": "hello kim"}, w.acts[1].Params)
			}
		})
	}
}

// failing is an error for the targets whose names begin with b.
func failing(a *Action, target string) map[string]any {
	v := stdout(a, target)
	if target[0] == 'b' {
		v["exit_code"] = json.Number("1")
		v["_error"] = map[string]any{"kind": "puppetlabs.tasks/command-error", "issue_code": "COMMAND_ERROR",
			"msg": "The command failed with exit code 1", "details": map[string]any{"exit_code": json.Number("1")}}
	}
	return v
}

func TestFailure(t *testing.T) {
	w := &world{on: failing}
	_, err := run(t, w, "steps:\n- {command: 'false', targets: [a, b1, b2]}\n- {command: never, targets: a}\n", `{}`)
	var e *Error
	require.ErrorAs(t, err, &e)
	told, err := JSON(e)
	require.NoError(t, err)
	result := func(target string) string {
		return `{"action":"command","object":"false","status":"failure","target":"` + target + `","value":{"stdout":"` + target + `\n","stderr":"","exit_code":1,
			"_error":{"kind":"puppetlabs.tasks/command-error","issue_code":"COMMAND_ERROR","msg":"The command failed with exit code 1","details":{"exit_code":1}}}}`
	}
	require.JSONEq(t, `{"kind":"bolt/run-failure","msg":"run_command 'false' failed on 2 targets","details":{"action":"run_command","object":"false",
		"result_set":[{"action":"command","object":"false","status":"success","target":"a","value":{"stdout":"a\n","stderr":"","exit_code":0}},`+
		result("b1")+`,`+result("b2")+`]}}`, string(told))
	require.Equal(t, []string{"command false on a,b1,b2"}, w.log)

	for action, function := range map[string]string{"task: x": "run_task 'x'", "script: m/x": "run_script 'm/x'",
		"upload: m/x\n  destination: /y": "upload_file 'm/x'", "download: /x\n  destination: y": "download_file '/x'"} {
		_, err := run(t, &world{on: failing}, "steps:\n- targets: b\n  "+action+"\n", `{}`)
		require.EqualError(t, err, function+" failed on 1 target")
	}
}

func TestCatchErrors(t *testing.T) {
	const text = `
steps:
- {name: one, command: x, targets: [a, b], catch_errors: yes}
- {name: two, task: t, targets: [b], parameters: {_catch_errors: true, p: 1}}
return:
  ok: $one.ok
  bad: $one.error_set.names
  good: $one.ok_set.names
  kind: $two.first.error.kind
  code: $one.find('b')['exit_code']
  msg: "${one.error_set.first.error.message}"
  steps: $steps.keys
`
	w := &world{on: failing}
	got, err := run(t, w, text, `{}`)
	require.NoError(t, err)
	require.JSONEq(t, `{"ok":false,"bad":["b"],"good":["a"],"kind":"puppetlabs.tasks/command-error","code":1,
		"msg":"The command failed with exit code 1","steps":["one","two"]}`, got)
	require.Equal(t, map[string]any{"p": json.Number("1")}, w.acts[1].Params)

	plans := map[string]string{"inner": "parameters: {nodes: {}}\nsteps:\n- {command: x, targets: $nodes}\nreturn: done\n"}
	w = &world{on: failing, plans: plans}
	got, err = run(t, w, "steps:\n- {name: r, plan: inner, targets: b, catch_errors: true}\n- {name: s, plan: inner, targets: a}\nreturn: [$r.kind, $r.msg, $s]\n", `{}`)
	require.NoError(t, err)
	require.JSONEq(t, `["bolt/run-failure","run_command 'x' failed on 1 target","done"]`, got)
	require.Equal(t, []string{"begin inner", "command x on b"}, w.log[:2])
	require.Contains(t, w.log[2], `end inner {"details":{"action":"run_command"`)
	require.Equal(t, []string{"begin inner", "command x on a", `end inner "done"`}, w.log[3:])
	_, err = run(t, &world{on: failing, plans: plans}, "steps:\n- {plan: inner, targets: b}\n", `{}`)
	require.EqualError(t, err, "run_command 'x' failed on 1 target")
	_, err = run(t, &world{}, "steps:\n- {plan: missing}\n", `{}`)
	require.EqualError(t, err, "Could not find a plan named 'missing'")
	_, err = run(t, &world{plans: map[string]string{"inner": "steps: []"}}, "steps:\n- {plan: inner, targets: b}\n", `{}`)
	require.ErrorContains(t, err, "neither a parameter 'targets' nor 'nodes'")
	_, err = run(t, &world{plans: map[string]string{"inner": "steps: [{plan: inner}]"}}, "steps:\n- {plan: inner}\n", `{}`)
	require.ErrorContains(t, err, "50 deep")
}

func TestOptions(t *testing.T) {
	w := &world{plans: map[string]string{"inner": "steps:\n- {command: x, targets: a}\n- {command: y, targets: a, run_as: eve}\n"}}
	_, err := run(t, w, `
parameters: {env: {type: Hash}, who: {type: String}}
steps:
- {command: x, targets: [a, [b, 'c, a']], env_vars: {A: 1, B: [x], C: $who}, run_as: $who}
- {command: x, targets: a, env_vars: $env}
- {task: t, targets: a, noop: true, description: "for $who"}
- {plan: inner, run_as: root}
- {command: x, targets: []}
`, `{"env":{"K":"v"},"who":"kim"}`)
	require.NoError(t, err)
	require.Equal(t, []string{"a", "b", "c"}, w.acts[0].Targets)
	require.Equal(t, map[string]string{"A": "1", "B": `["x"]`, "C": "kim"}, w.acts[0].Env)
	require.Equal(t, "kim", w.acts[0].RunAs)
	require.Equal(t, map[string]string{"K": "v"}, w.acts[1].Env)
	require.True(t, w.acts[2].Noop)
	require.Equal(t, "for kim", w.acts[2].Description)
	require.Equal(t, "root", w.acts[3].RunAs)
	require.Equal(t, "eve", w.acts[4].RunAs)
	require.Len(t, w.acts, 5, "nothing is done on no targets")
}

func TestSensitive(t *testing.T) {
	w := &world{on: func(*Action, string) map[string]any { return map[string]any{"_sensitive": "hush"} }}
	got, err := run(t, w, `
parameters: {password: {type: 'Sensitive[String]'}, key: {type: 'Sensitive[String]', default: hush}}
steps:
- {name: r, task: t, targets: a, parameters: {p: $password, q: {deep: [$key]}, r: 1}}
- message: "it is ${password} and $key"
return: [$password, $r, $r.first.sensitive.unwrap == 'hush', $password.unwrap == 'hush']
`, `{"password":"hush"}`)
	require.NoError(t, err)
	require.NotContains(t, got, "hush")
	require.Contains(t, got, "Sensitive [value redacted]")
	require.True(t, strings.HasSuffix(got, ",true,true]"), got)
	require.Equal(t, []string{"task t on a", "message it is Sensitive [value redacted] and Sensitive [value redacted]"}, w.log)
	require.Equal(t, map[string]any{"p": "hush", "q": map[string]any{"deep": []any{"hush"}}, "r": json.Number("1")}, w.acts[0].Params)
	require.Equal(t, []string{"p", "q"}, w.acts[0].Secrets)
}

// TestSensitiveParts: secrets that are parts of parameters are hidden where they
// are, those that a plan gets from another one as well.
func TestSensitiveParts(t *testing.T) {
	const parameters = `
parameters:
  a: {type: 'Array[Sensitive[String]]', default: [hush]}
  s: {type: 'Struct[{user => String, pw => Optional[Sensitive[String]]}]'}
  h: {type: 'Hash[String, Hash[String, Sensitive[String]]]'}
  t: {type: 'Tuple[Integer, Sensitive[String]]'}
  k: {type: 'Optional[Hash[Sensitive[String], String]]'}
steps:
`
	w := &world{plans: map[string]string{"inner": parameters + `
- message: "${a} ${s} ${h} ${t} ${k}"
return:
- [$a, $s, $h, $t, $k]
- $a.map |$x| { $x.unwrap == 'hush' }
- $s['user']
- $s['pw'].unwrap == 'hush'
- $h['x']['y'].unwrap == 'hush'
- $t[0]
- $a.unique.count
`}}
	got, err := run(t, w, parameters+`
- message: "${a} ${s} ${h} ${t} ${k}"
- {task: t, targets: a, parameters: {a: $a, s: $s, u: "$s['user']"}}
- {command: "echo ${a[0]} ${s}", targets: a}
- {name: r, plan: inner, parameters: {a: $a, s: $s, h: $h, t: $t, k: $k}}
return: [$a, $s, $h, $t, $k, $r]
`, `{"a":["hush","hush","Hush"],"s":{"user":"kim","pw":"hush"},"h":{"x":{"y":"hush"}},"t":[1,"hush"],"k":{"hush":"x"}}`)
	require.NoError(t, err)
	require.NotContains(t, strings.ToLower(got+strings.Join(w.log, "\n")), "hush")
	require.Contains(t, got, `[true,true,true],"kim",true,true,1,2]`)
	require.Contains(t, w.log[0], "user => kim")
	require.Equal(t, []any{"hush", "hush", "Hush"}, w.acts[0].Params["a"])
	require.Equal(t, []string{"a", "s"}, w.acts[0].Secrets)

	// And of what is wrong with them nothing is told.
	for _, params := range []string{`{"a":["x"],"s":{"hush":1},"h":{},"t":[1,"x"]}`, `{"s":{"user":"x","pw":null},"h":{"hush":{"hush":1}},"t":["x"]}`} {
		_, err = run(t, w, parameters+"- message: x\n", params)
		require.Error(t, err)
		require.NotContains(t, err.Error(), "hush")
	}
	w.plans["plain"] = "parameters: {h: {type: 'Hash[String, Integer]'}}\nsteps: []\n"
	_, err = run(t, w, "parameters: {h: {type: 'Sensitive[Hash]'}}\nsteps:\n- {plan: plain, parameters: {h: $h}}\n", `{"h":{"hush":"x"}}`)
	require.EqualError(t, err, "plain: the parameter 'h': expected Hash[String, Integer], got another Hash")
	for _, value := range []string{"{hush: x}", "{hush: 99999999999999999999}", "{hush: 1, hush: 2}"} {
		for _, text := range []string{"{type: 'Sensitive[Hash[String, Integer]]', default: " + value + "}", "{default: " + value + ", type: 'Sensitive[Hash[String, Integer]]'}"} {
			_, err = Parse("test", []byte("parameters: {h: "+text+"}\nsteps: []\n"))
			require.Error(t, err, text)
			require.NotContains(t, err.Error(), "hush")
			require.NotContains(t, err.Error(), "99999")
		}
	}
}

func TestParameters(t *testing.T) {
	p, err := Parse("test", []byte(`
description: what it is for
private: true
parameters:
  a:
  b: {type: 'Optional[Integer]'}
  c: {type: Integer, default: 3, description: how many}
  d: {type: 'Sensitive[String]'}
  e: {default: ~}
  g: {type: Any}
steps: []
return: [$a, $b, $c, $e]
`))
	require.NoError(t, err)
	require.Equal(t, "what it is for", p.Description)
	require.True(t, p.Private)
	var names []string
	for _, q := range p.Parameters {
		names = append(names, q.Name)
	}
	require.Equal(t, []string{"a", "b", "c", "d", "e", "g"}, names)
	require.True(t, p.Parameters[3].Sensitive)
	checked, err := p.Check(object(t, `{"a":1,"d":"x","g":1}`))
	require.NoError(t, err)
	require.Equal(t, []string{"d"}, checked.Sensitive)
	_, err = p.Check(object(t, `{"b":"x","c":null,"f":1}`))
	require.EqualError(t, err, "the parameter 'a' is missing; the parameter 'b': expected Optional[Integer], got String; "+
		"the parameter 'd' is missing: Sensitive[String]; the parameter 'g' is missing; there is no parameter 'f'")
	chooses, err := Parse("m::chooses", []byte("parameters: {a: {type: 'Enum[x]'}}\nsteps: []\n"))
	require.NoError(t, err)
	_, err = chooses.Check(map[string]any{"a": "hush"})
	require.EqualError(t, err, "the parameter 'a': expected Enum[x], got 'hush'")
	_, err = chooses.Check(map[string]any{"a": Sensitive{"hush"}})
	require.EqualError(t, err, "the parameter 'a': expected Enum[x], got String that is none of these")
	v, err := p.Run(t.Context(), &world{t: t}, object(t, `{"a":"x","c":null,"d":"s","g":1}`))
	require.NoError(t, err)
	require.Equal(t, []any{"x", nil, json.Number("3"), nil}, v)
	_, err = p.Run(t.Context(), &world{t: t}, nil)
	var e *Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, KindValidation, e.Kind)
}

// TestInterrupted: a plan ends with why its context did, also within an action.
func TestInterrupted(t *testing.T) {
	p, err := Parse("test", []byte("steps:\n- {command: x, targets: a, catch_errors: true}\n- {command: y, targets: a}\n"))
	require.NoError(t, err)
	why := &Error{Kind: KindPlanFailure, Msg: "stopped"}
	ctx, cancel := context.WithCancelCause(t.Context())
	w := &world{t: t, run: func(ctx context.Context, _ *Action) ([]Outcome, error) {
		cancel(why)
		<-ctx.Done()
		return nil, ctx.Err()
	}}
	_, err = p.Run(ctx, w, nil)
	require.Equal(t, error(why), err)
	require.Equal(t, []string{"command x on a"}, w.log)
	_, err = p.Run(ctx, w, nil)
	require.Equal(t, error(why), err)
	require.Len(t, w.log, 1, "no step begins")
}

// TestHostErrors: what the host refuses ends the plan, whatever it catches.
func TestHostErrors(t *testing.T) {
	refused := &Error{Kind: KindActionRefused, Msg: "no"}
	for step, call := range map[string]string{
		"{command: x, targets: a, catch_errors: true}": "command x on a", "{message: x}": "message x", "{plan: inner}": "begin inner",
		"{plan: inner, targets: a}": "end inner null",
	} {
		w := &world{fails: map[string]error{call: refused}, plans: map[string]string{"inner": "parameters: {targets: {default: a}}\nsteps: []\n"}}
		_, err := run(t, w, "steps:\n- "+step+"\n- message: never\n", `{}`)
		require.Equal(t, error(refused), err, step)
	}
}
