package task

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const service = `{
  "description": "Manage a service",
  "input_method": "stdin",
  "supports_noop": true,
  "parameters": {
    "action": {"type": "Enum[start, stop, restart]", "description": "what to do"},
    "name": {"type": "String[1]"},
    "retries": {"type": "Integer[0, 10]", "default": 3},
    "password": {"type": "Optional[String]", "sensitive": true},
    "token": {"type": "Sensitive[String]", "default": "x"},
    "anything": {}
  },
  "implementations": [
    {"name": "service.rb", "requirements": ["puppet-agent"], "files": ["service/lib/puppet/"]},
    {"name": "service.ps1", "requirements": ["powershell"], "input_method": "powershell"},
    {"name": "service.sh", "requirements": ["shell"], "input_method": "environment"}
  ],
  "files": ["service/files/helper.rb"]
}`

func TestParse(t *testing.T) {
	m, err := Parse([]byte(service))
	require.NoError(t, err)
	require.Equal(t, "Manage a service", m.Description)
	require.True(t, m.SupportsNoop && m.Typed && !m.Private && !m.Remote)
	require.Len(t, m.Parameters, 6)
	for _, p := range m.Parameters {
		require.Equal(t, p.Name == "action" || p.Name == "name", p.Required(), p.Name)
		require.Equal(t, p.Name == "password" || p.Name == "token", p.Sensitive, p.Name)
	}
	require.JSONEq(t, service, string(m.Raw))

	m, err = Parse(nil)
	require.NoError(t, err)
	require.False(t, m.Typed)
	require.Equal(t, "{}", string(m.Raw))
}

func TestParseErrors(t *testing.T) {
	for text, want := range map[string]string{
		`{`:                                      KindUnparseableMetadata,
		`[]`:                                     KindInvalidMetadata,
		`{"parameters":[]}`:                      KindInvalidMetadata,
		`{"parameters":{"a":{"type":1}}}`:        KindInvalidMetadata,
		`{"parameters":{"A":{}}}`:                KindInvalidMetadata,
		`{"parameters":{"a":{"type":"string"}}}`: KindInvalidMetadata,
		`{"input_method":"telepathy"}`:           KindInvalidMetadata,
		`{"files":["m/manifests/init.pp"]}`:      KindInvalidMetadata,
		`{"files":["m/files/../../etc/passwd"]}`: KindInvalidMetadata,
		`{"implementations":[{"name":"../x"}]}`:  KindInvalidMetadata,
		`{"implementations":[{"name":"x","files":["/etc/passwd"]}]}`:   KindInvalidMetadata,
		`{"implementations":[{"name":"x","input_method":"elsewise"}]}`: KindInvalidMetadata,
	} {
		_, err := Parse([]byte(text))
		var e *Error
		require.ErrorAs(t, err, &e, text)
		require.Equal(t, want, e.Kind, text)
	}
}

// TestShown: what everybody is shown has no secrets.
func TestShown(t *testing.T) {
	for text, want := range map[string]string{
		service: "", `{}`: "", `{"parameters":{"a":{"sensitive":true}}}`: "",
		`{"x":[1.0],"parameters":{"a":{"type":"Array[Sensitive]","default":["hush"]},"b":{"default":"<1>"},"c":{"sensitive":true,"default":"hush"}}}`: `{"x":[1.0],"parameters":{"a":{"type":"Array[Sensitive]","default":null},"b":{"default":"<1>"},"c":{"sensitive":true,"default":null}}}`,
	} {
		m, err := Parse([]byte(text))
		require.NoError(t, err)
		got, err := m.Shown()
		require.NoError(t, err)
		if text == service {
			require.Contains(t, string(got), `"default":null`)
			require.NotContains(t, string(got), `"default":"x"`)
			continue
		}
		if want == "" {
			want = text
		}
		require.JSONEq(t, want, string(got))
	}
}

func TestNames(t *testing.T) {
	for name, want := range map[string]bool{"package": true, "package::linux": true, "a::b::c": false, "Package": false, "": false, "a::": false, "a/b": false} {
		require.Equal(t, want, ValidName(name), name)
	}
	for name, own := range map[string]string{"facts": "init", "facts::bash": "bash"} {
		module, got := SplitName(name)
		require.Equal(t, "facts", module)
		require.Equal(t, own, got)
		require.Equal(t, name, JoinName(module, got))
	}
}

func TestArguments(t *testing.T) {
	m, err := Parse([]byte(service))
	require.NoError(t, err)
	a, err := m.Arguments(json.RawMessage(`{"action":"start","name":"ssh","password":"hush","anything":10.0}`))
	require.NoError(t, err)
	require.Equal(t, map[string]any{"action": "start", "name": "ssh", "password": "hush", "anything": json.Number("10.0"),
		"retries": json.Number("3"), "token": "x"}, a.Values)
	require.Equal(t, []string{"password"}, a.Sensitive)
	require.Equal(t, map[string]any{"action": "start"}, a.Public(map[string]any{"action": "start", "password": "hush"}))

	_, err = m.Arguments(json.RawMessage(`{"action":"fly","retries":11,"password":["hush"],"nmae":"ssh"}`))
	require.EqualError(t, err, "the parameter 'action': expected Enum[start, stop, restart], got 'fly'; "+
		"the parameter 'name' is missing: String[1]; the parameter 'password': expected Optional[String], got Array; "+
		"the parameter 'retries': expected Integer[0, 10], got 11; there is no parameter 'nmae'")
	require.NotContains(t, err.Error(), "hush")

	_, err = m.Arguments(json.RawMessage(`{"action":"hush","name":"ssh"}`), "action")
	require.EqualError(t, err, "the parameter 'action': expected Enum[start, stop, restart], got String that is none of these")

	// Of secrets not even the keys of hashes are told, whoever says that they are secrets.
	m, err = Parse([]byte(`{"parameters":{"h":{"type":"Hash[String,Integer]","sensitive":true},"n":{"type":"Array[Hash[String,Sensitive[Integer]]]"},
		"o":{"type":"Hash[String,Integer]"}}}`))
	require.NoError(t, err)
	_, err = m.Arguments(json.RawMessage(`{"h":{"hush":"x"},"n":[{"hush":"x"}],"o":{"hush":"x"}}`), "o", "p")
	require.EqualError(t, err, "the parameter 'h': expected Hash[String,Integer], got another Hash; "+
		"the parameter 'n': expected Array[Hash[String,Sensitive[Integer]]], got another Array; the parameter 'o': expected Hash[String,Integer], got another Hash")
	a, err = m.Arguments(json.RawMessage(`{"h":{},"n":[],"o":{}}`), "o", "p")
	require.NoError(t, err)
	require.Equal(t, []string{"h", "n", "o"}, a.Sensitive)
	for _, bad := range []string{`[]`, `"x"`, `{`, `{} {}`} {
		_, err = m.Arguments(json.RawMessage(bad))
		require.EqualError(t, err, "the parameters are not an object", bad)
	}
	_, err = m.Arguments(json.RawMessage(`{"_noop":true}`))
	require.ErrorContains(t, err, "'_noop': names that begin with _ are not for tasks")

	untyped, err := Parse([]byte(`{}`))
	require.NoError(t, err)
	a, err = untyped.Arguments(json.RawMessage(`{"whatever":[1]}`))
	require.NoError(t, err)
	require.Len(t, a.Values, 1)
	_, err = untyped.Arguments(nil)
	require.NoError(t, err)
}

func TestExecutable(t *testing.T) {
	m, err := Parse([]byte(service))
	require.NoError(t, err)
	all := &Task{Name: "service", Metadata: m, Files: []File{{Filename: "service.rb"}, {Filename: "service.ps1"}, {Filename: "service.sh"},
		{Filename: "service/lib/puppet/a.rb"}, {Filename: "service/files/helper.rb"}, {Filename: "service/files/other.rb"}}}
	for _, c := range []struct {
		features             []string
		file, method, shared string
		kind                 string
	}{
		{[]string{"puppet-agent", "shell"}, "service.rb", Stdin, "service/lib/puppet/a.rb service/files/helper.rb", ""},
		{[]string{"shell"}, "service.sh", Environment, "service/files/helper.rb", ""},
		{[]string{"powershell"}, "service.ps1", PowerShell, "service/files/helper.rb", ""},
		{nil, "", "", "", KindNoImplementation},
	} {
		e, err := all.Executable(c.features)
		if c.kind != "" {
			var te *Error
			require.ErrorAs(t, err, &te)
			require.Equal(t, c.kind, te.Kind)
			continue
		}
		require.NoError(t, err)
		var shared []string
		for _, f := range e.Shared {
			shared = append(shared, f.Filename)
		}
		require.Equal(t, c.file+" "+c.method+" "+c.shared, e.File.Filename+" "+e.InputMethod+" "+strings.Join(shared, " "))
	}
	plain, err := Parse(nil)
	require.NoError(t, err)
	e, err := (&Task{Name: "m", Metadata: plain, Files: []File{{Filename: "init.sh"}}}).Executable(nil)
	require.NoError(t, err)
	require.Equal(t, Both, e.InputMethod)
	_, err = (&Task{Name: "m", Metadata: plain}).Executable(nil)
	require.ErrorContains(t, err, "has no executable")
	_, err = (&Task{Name: "m", Metadata: m}).Executable([]string{"shell"})
	require.ErrorContains(t, err, "has no file service.sh")
	require.Equal(t, PowerShell, DefaultMethod("x.PS1"))
}

func TestMakeInput(t *testing.T) {
	arguments := map[string]any{"s": "a b\n<", "n": json.Number("10.0"), "l": []any{"x"}, "u": nil, "_task": "m::t"}
	in, err := MakeInput(Both, arguments)
	require.NoError(t, err)
	require.Equal(t, `{"_task":"m::t","l":["x"],"n":10.0,"s":"a b\n<","u":null}`, string(in.Stdin))
	require.Equal(t, []string{"PT__task=m::t", `PT_l=["x"]`, "PT_n=10.0", "PT_s=a b\n<", "PT_u=null"}, in.Env)
	in, err = MakeInput(Stdin, arguments)
	require.NoError(t, err)
	require.Nil(t, in.Env)
	in, err = MakeInput(Environment, arguments)
	require.NoError(t, err)
	require.Nil(t, in.Stdin)
	_, err = MakeInput(Environment, map[string]any{"s": "a\x00b"})
	require.ErrorContains(t, err, "NUL")
}

func TestResult(t *testing.T) {
	for _, c := range []struct {
		name, stdout, stderr string
		exit                 int
		want                 string
		failed               bool
	}{
		{"an object", `{"status":"ok","n":10.0}`, "", 0, `{"n":10.0,"status":"ok"}`, false},
		{"text", "hello\n", "noise", 0, `{"_output":"hello\n"}`, false},
		{"nothing", "", "", 0, `{"_output":""}`, false},
		{"a list", `[1]`, "", 0, `{"_output":"[1]"}`, false},
		{"null", `null`, "", 0, `{"_output":"null"}`, false},
		{"exit code, output", "half\n", "noise", 2,
			`{"_error":{"details":{"exit_code":2},"issue_code":"TASK_ERROR","kind":"puppetlabs.tasks/task-error","msg":"The task failed with exit code 2"},"_output":"half\n"}`, true},
		{"exit code, stderr only", "", "no such thing", 1,
			`{"_error":{"details":{"exit_code":1},"issue_code":"TASK_ERROR","kind":"puppetlabs.tasks/task-error","msg":"The task failed with exit code 1 and no stdout, but stderr contained:\nno such thing"},"_output":""}`, true},
		{"exit code, nothing", "", "", 1,
			`{"_error":{"details":{"exit_code":1},"issue_code":"TASK_ERROR","kind":"puppetlabs.tasks/task-error","msg":"The task failed with exit code 1 and no output"},"_output":""}`, true},
		{"its own error, exit 0", `{"_error":{"msg":"no","kind":"mine","details":{"a":1}}}`, "", 0, `{"_error":{"details":{"a":1},"kind":"mine","msg":"no"}}`, true},
		{"its own error, completed", `{"_error":{"msg":"no"}}`, "", 3, `{"_error":{"details":{},"kind":"bolt/error","msg":"no"}}`, true},
		{"an error that is none", `{"_error":"no"}`, "", 1,
			`{"_error":{"details":{"original_error":"no"},"kind":"bolt/invalid-task-error","msg":"The task answered an _error that is not an object with a msg"}}`, true},
		{"a secret", `{"_sensitive":{"password":"hush"}}`, "", 0, `{"_sensitive":"Sensitive [value redacted]"}`, false},
		{"not UTF-8", "\xff", "", 0,
			`{"_error":{"details":{"exit_code":0},"issue_code":"TASK_ERROR","kind":"puppetlabs.tasks/task-error","msg":"The task wrote bytes to its standard output that are not UTF-8"}}`, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, failed := Result([]byte(c.stdout), []byte(c.stderr), c.exit)
			require.Equal(t, c.want, string(got))
			require.Equal(t, c.failed, failed)
		})
	}
	got, _ := Result(nil, nil, 126)
	require.Contains(t, string(got), "noexec")
}

func FuzzResult(f *testing.F) {
	f.Add([]byte(`{"_error":{"msg":"x"}}`), []byte("x"), 1)
	f.Fuzz(func(t *testing.T, stdout, stderr []byte, exit int) {
		got, _ := Result(stdout, stderr, exit)
		var v map[string]any
		require.NoError(t, json.Unmarshal(got, &v))
	})
}
