package plan

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestLoadErrors: each mistake is told with its line, its place and what is expected.
func TestLoadErrors(t *testing.T) {
	const s = "steps:\n- "
	for text, want := range map[string]string{
		"":                           "plan m::p: the text is empty; a map with the key 'steps' is expected",
		"a: [":                       "plan m::p: the text is not YAML: line 1: did not find expected node content",
		"- x":                        "plan m::p, line 1, column 1: a map is expected, and there is a list",
		"hello":                      "a map is expected, and there is a text",
		"{}":                         "the key 'steps' is missing: a list of steps",
		"steps: 1":                   "line 1, column 8: steps: a list of steps is expected, and there is a number",
		"steps: []\nstpes: []":       "line 2, column 1: the key 'stpes' is not one of a plan: description, parameters, private, return, steps",
		"steps: []\nparameter: {}":   "'parameters' is meant?",
		"steps: []\nsteps: []":       "the key 'steps' is there a second time; the first one is in line 1",
		"steps: []\nprivate: maybe":  "line 2, column 10: private: true or false is expected, and there is a text",
		"steps: []\ndescription: []": "description: a text is expected, and there is a list",
		"steps: &a []\nreturn: *a":   "line 2, column 9: aliases (*a) are not for plans",
		"steps: []\nreturn: !x 1":    "tags (!x) are not for plans",
		"steps: []\n<<: {a: 1}":      "the key of a map must be a text",
		"steps: []\n? [a]\n: b":      "the key of a map must be a text",
		"steps: []\nreturn: $x":      "plan m::p, line 2: return: there is no variable $x here",
		"steps: []\nreturn: .inf":    "is no number that a plan can hold",
		"steps: []\nreturn: 99999999999999999999":                 "",
		"steps: []\nparameters: []":                               "line 2, column 13: parameters: a map is expected, and there is a list",
		"steps: []\nparameters: {A: }":                            "parameters.A: the name of a parameter is a lower-case letter or _",
		"steps: []\nparameters: {a: String}":                      "parameters.a: a map is expected, and there is a text",
		"steps: []\nparameters: {a: {typ: String}}":               "parameters.a: the key 'typ' is not one of a parameter: default, description, type",
		"steps: []\nparameters: {a: {type: 'String['}}":           "parameters.a.type: ",
		"steps: []\nparameters: {a: {type: Integer, default: x}}": "parameters.a: the default is not of the type Integer: expected Integer, got String",
		"steps: []\nparameters: {a: {sensitive: true}}":           "a secret has a type as Sensitive[String]",
		s + "x":         "line 2, column 3: steps[0]: a map is expected, and there is a text",
		s + "{}":        "steps[0]: the step does nothing: one of the keys command, download, eval, message, plan, resources, script, task, upload, verbose is expected",
		s + "{name: x}": "steps[0] (x): the step does nothing",
		s + "{source: a, destination: b, targets: c}":                       "has the key 'upload', no longer 'source'",
		s + "{task: a, command: b, targets: c}":                             "steps[0]: the step has the keys command and task; exactly one of",
		s + "{command: a}":                                                  "steps[0]: the key 'targets' is missing: a step that is a command needs it",
		s + "{command: a, target: b}":                                       "steps[0]: the key 'target' is not one of a step that is a command: catch_errors, command, description, env_vars, name, run_as, targets; 'targets' is meant?",
		s + "{command: a, targets: b, nop: true}":                           "the key 'nop' is not one of",
		s + "{command: a, targets: b, noop: true}":                          "the key 'noop' is not one of",
		s + "{task: a, targets: b, noop: 'true'}":                           "steps[0].noop: true or false is expected, and there is a text",
		s + "{task: a, targets: b, _noop: true}":                            "'noop' is meant?",
		s + "{task: a, targets: b, parameters: [x]}":                        "steps[0].parameters: a map of parameters is expected, and there is a list",
		s + "{task: a, targets: b, parameters: $x}":                         "a map of parameters is expected, and there is a text",
		s + "{task: a, targets: b, noop: true, parameters: {_noop: false}}": "'_noop' is given twice: as the key 'noop' of the step, too",
		s + "{task: a, targets: b, parameters: {_timeout: 1}}":              "'_timeout' is not an option of a step that is a task",
		s + "{task: [a], targets: b}":                                       "steps[0].task: a text is expected, and there is a list",
		s + "{script: a, targets: b, arguments: x}":                         "steps[0].arguments: a list of arguments is expected, and there is a text",
		s + "{script: a, targets: b, pwsh_params: {}}":                      "the key 'pwsh_params' is not one of a step that is a script",
		s + "{command: a, targets: b, env_vars: [x]}":                       "a map of environment variables is expected, and there is a list",
		s + "{upload: a, targets: b}":                                       "the key 'destination' is missing",
		s + "{download: /x, targets: b}":                                    "the key 'destination' is missing: a step that is a download needs it",
		s + "{download: /x, targets: b, destination: c, noop: true}":        "the key 'noop' is not one of a step that is a download: catch_errors, description, destination, download, name, run_as, targets",
		s + "{download: x, targets: b, destination: c}":                     "line 2, column 14: steps[0].download: the path must be an absolute path",
		s + "{download: /, targets: b, destination: c}":                     "steps[0].download: the path must be a file or a directory below /",
		s + "{download: [/x], targets: b, destination: c}":                  "steps[0].download: a text is expected, and there is a list",
		s + "{download: /x, targets: b, destination: /c}":                   "line 2, column 43: steps[0].destination: the path must be a relative path",
		s + "{download: /x, targets: b, destination: a/../c}":               "steps[0].destination: the path must not have . or .. in it",
		s + "{download: /x, targets: b, destination: '.'}":                  "steps[0].destination: the path must not have . or .. in it",
		s + "{download: /x, targets: b, destination: ' '}":                  "steps[0].destination: the path must not be empty",
		s + "{download: /x, targets: b, destination: \"../${'c'}\"}":        "",
		s + "{eval: 1, name: A}":                                            "steps[0] (A): the name of a step is a lower-case letter or _",
		s + "{eval: 1, name: [a]}":                                          "steps[0].name: a text is expected, and there is a list",
		s + "{eval: 1, name: steps}":                                        "the name 'steps' is taken",
		s + "{eval: 1, name: a}\n- {eval: 2, name: a}":                      "line 3, column 19: steps[1] (a): the name 'a' is taken by a parameter, an earlier step, or $steps",
		s + "{eval: $a, name: a}":                                           "plan m::p, line 2: steps[0] (a).eval: there is no variable $a here",
		s + "eval: |\n    $x = 1\n\n    $x + $y\n":                          "plan m::p, line 5: steps[0].eval: there is no variable $y here",
		s + "message: \"a ${b}\"":                                           "plan m::p, line 2: steps[0].message: there is no variable $b here",
		s + "command: a\n  targets: [a, b, \"$c\"]":                         "plan m::p, line 3: steps[0].targets[2]: there is no variable $c here",
		s + "{plan: a, parameters: {x: {y: [$z]}}}":                         "steps[0].parameters.x.y[0]: there is no variable $z here",
		"steps: " + strings.Repeat("[", 200) + strings.Repeat("]", 200):     "nest deeper than 100",
		"steps: []\nreturn: [" + strings.Repeat("1,", 100_000) + "1]":       "at most 100000 scalars",
		"steps: [" + strings.Repeat("{eval: 1},", 2001) + "]":               "a plan has at most 2000 steps, and this one has 2001",
		"# " + strings.Repeat("x", 1<<20):                                   "a plan has at most 1048576 bytes",
	} {
		_, err := Parse("m::p", []byte(text))
		if want == "" {
			continue
		}
		var e *LoadError
		require.ErrorAs(t, err, &e, "%.200s", text)
		require.ErrorContains(t, err, want, "%.200s", text)
	}
}

func TestScalars(t *testing.T) {
	got, err := run(t, &world{}, `
parameters: {a: {default: {x: [1, yes, "$b", ~]}}}
steps: []
return: [yes, No, on, true, FALSE, 'yes', "no", 1, 0x10, -3, 1.50, 1e3, ~, null, "", a, 2024-01-02, 10:30, '$x', "\u00e9", $a]
`, `{}`)
	require.NoError(t, err)
	require.JSONEq(t, `[true,false,true,true,false,"yes","no",1,16,-3,1.5,1000.0,null,null,"","a","2024-01-02","10:30","$x","é",{"x":[1,true,"$b",null]}]`, got)
	got, err = run(t, &world{}, "steps: []\nreturn: >\n  $folded is\n  text\n", `{}`)
	require.NoError(t, err)
	require.Equal(t, `"$folded is text\n"`, got)
}

// seeds are plans for fuzzing.
func seeds(f *testing.F) []string {
	files, err := filepath.Glob("testdata/*.yaml")
	require.NoError(f, err)
	require.NotEmpty(f, files)
	var texts []string
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(f, err)
		texts = append(texts, string(text))
	}
	return texts
}

// FuzzParse: whatever the text, there is a plan or a *LoadError; a plan runs
// to an end.
func FuzzParse(f *testing.F) {
	for _, text := range seeds(f) {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := Parse("m::p", []byte(text))
		if err != nil {
			var e *LoadError
			require.ErrorAs(t, err, &e)
			return
		}
		v, err := p.Run(t.Context(), &world{t: t, on: stdout}, map[string]any{"targets": "a", "count": json.Number("1")})
		if err == nil {
			_, err = JSON(v)
			require.NoError(t, err)
			return
		}
		var e *Error
		require.ErrorAs(t, err, &e)
	})
}

// FuzzExpression: an expression has a value that JSON can hold, or an error.
func FuzzExpression(f *testing.F) {
	for _, source := range []string{"$n + 1", "$list.map |$x| { $x * 2 }", `"a ${list[0]} $s"`, "$a = 1\n$a == 1 and $s =~ /x/", "{'a' => [1.5, -2]}['a'][0, 1]"} {
		f.Add(source)
	}
	f.Fuzz(func(t *testing.T, source string) {
		for _, code := range []bool{true, false} {
			vars := sample(t)
			parse := parseText
			if code {
				parse = parseCode
			}
			e, err := parse(source, 1, func(name string) bool { _, ok := vars[name]; return ok })
			if err != nil {
				var at *located
				require.ErrorAs(t, err, &at)
				continue
			}
			work := 100_000
			v, err := e.eval(&scope{ctx: context.Background(), vars: vars, work: &work})
			if err != nil {
				var e *Error
				require.ErrorAs(t, err, &e)
				continue
			}
			text, err := JSON(v)
			require.NoError(t, err)
			require.True(t, json.Valid(text))
		}
	})
}
