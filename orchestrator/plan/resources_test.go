package plan

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"dalang/orchestrator/apply"
)

// TestResourceErrors: mistakes in the list of a step are told when the plan is
// loaded, with their line.
func TestResourceErrors(t *testing.T) {
	const s = "steps:\n- targets: a\n  name: web\n  resources:\n"
	for text, want := range map[string]string{
		"steps: [{resources: [], targets: b}]":                           "steps[0].resources: a list of resources is expected, and there is an empty one",
		"steps: [{resources: {package: x}, targets: b}]":                 "a list of resources is expected, and there is a map",
		"steps: [{resources: $x, targets: b}]":                           "a list of resources is expected, and there is a text",
		"steps: [{resources: [{package: x}]}]":                           "steps[0]: the key 'targets' is missing: a step that is a list of resources needs it",
		"steps: [{resources: [{package: x}], targets: b, env_vars: {}}]": "the key 'env_vars' is not one of a step that is a list of resources: catch_errors, description, name, noop, resources, run_as, targets",
		s + "  - x":                                                             "plan m::p, line 5, column 5: steps[0] (web).resources[0]: a map is expected, and there is a text",
		s + "  - {parameters: {}}":                                              "the resource has no type: 'type' and 'title' are expected",
		s + "  - {package: x, service: y}":                                      "the resource could be a package or a service",
		s + "  - {type: package}":                                               "the key 'title' is missing: a resource with a 'type' needs it",
		s + "  - {title: nginx}":                                                "the key 'type' is missing",
		s + "  - {type: package, title: x, param: {}}":                          "the key 'param' is not one of a resource with a type and a title: parameters, title, type",
		s + "  - {package: x, parameter: {}}":                                   "the resource could be a package or a parameter",
		s + "  - {package: 10}":                                                 "steps[0] (web).resources[0].package: a text is expected, and there is a number",
		s + "  - {package: [a, b]}":                                             "a text is expected, and there is a list",
		s + "  - {package: ~}":                                                  "a text is expected, and there is nothing",
		s + "  - {type: [x], title: a}":                                         "resources[0].type: a text is expected, and there is a list",
		s + "  - {package: ''}":                                                 "resources[0].title: the title is a text that is not empty",
		s + "  - {package: x, parameters: [y]}":                                 "resources[0].parameters: a map of parameters is expected, and there is a list",
		s + "  - {package: x, parameters: y}":                                   "resources[0].parameters: a map of parameters is expected, and there is a text",
		s + "  - {package: x, parameters: {ensure: $v}}":                        "plan m::p, line 5: steps[0] (web).resources[0].parameters.ensure: there is no variable $v here",
		s + "  - {package: $v}":                                                 "there is no variable $v here",
		s + "  - {class: apache}":                                               "plan m::p, line 5, column 6: steps[0] (web).resources[0]: classes have to be compiled, and nothing here compiles: name the resources that it consists of",
		s + "  - {type: Class, title: apache}":                                  "resources[0].type: classes have to be compiled",
		s + "  - {'apache::vhost': x}":                                          "apache::vhost is a defined type of a module",
		s + "  - {package: a}\n  - {service: b}\n  - {type: Package, title: a}": "plan m::p, line 7, column 5: steps[0] (web).resources[2]: Package[a] is there a second time; the first one is resources[0]",
		s + "  - {package: a, parameters: {require: 'File[/x]'}}":               "resources[0].parameters.require: there is no File[/x] in the list",
		s + "  - {package: a, parameters: {require: \"Service[b]\"}}\n  - {service: b}":                     "line 5, column 5: steps[0] (web).resources[0].parameters.require: Service[b] comes later in the list",
		s + "  - {package: a, parameters: {_noop: true}}":                                                   "resources[0].parameters._noop: the name of a parameter",
		s + "  - {package: a, parameters: {x: {__ptype: Deferred}}}":                                        "a map has the key __ptype",
		"parameters: {p: {}}\n" + s + "  - {package: $p}\n  - {service: s, parameters: {require: package}}": "resources[1].parameters.require: the reference to a resource is expected",
	} {
		_, err := Parse("m::p", []byte(text))
		var e *LoadError
		require.ErrorAs(t, err, &e, text)
		require.ErrorContains(t, err, want, text)
	}
}

const web = `
parameters:
  targets: {type: TargetSpec}
  package: {type: String, default: nginx}
  port: {type: Integer, default: 80}
  token: {type: 'Sensitive[String]', default: hush-hush}
  all: {type: 'Sensitive[Hash[String, String]]', default: {pin: hush-hush}}
steps:
- name: web
  targets: $targets
  description: "a server for ${targets}"
  noop: true
  resources:
  - package: $package
    parameters: {ensure: latest}
  - type: file
    title: "/etc/${package}.conf"
    parameters:
      content: "listen ${port}"
      data: [$port, {t: [$token]}]
      mode: '0600'
      owner: ~
      require: "Package[${package}]"
  - {user: "$package", parameters: $all}
  - service: x
- {name: again, resources: [notify: done], targets: [b1, a], catch_errors: true, run_as: root}
return:
  report: $web.first.report['status']
  action: $web.first.action
  object: $web.first.object
  bad: $again.error_set.names
  kind: $again.first.error.kind
`

func TestResources(t *testing.T) {
	w := &world{on: func(a *Action, target string) map[string]any {
		v := map[string]any{"report": map[string]any{"status": "changed"}, "_output": "changed: 1"}
		if target == "b1" {
			v["_error"] = map[string]any{"kind": apply.KindFailure, "msg": "Resources failed to apply for b1", "details": map[string]any{}}
		}
		return v
	}}
	got, err := run(t, w, web, `{"targets":"a"}`)
	require.NoError(t, err)
	require.JSONEq(t, `{"report":"changed","action":"apply","object":null,"bad":["b1"],"kind":"bolt/resource-failure"}`, got)
	require.Equal(t, []string{"resources  on a", "resources  on b1,a"}, w.log)
	a := w.acts[0]
	require.True(t, a.Noop)
	require.Equal(t, "a server for a", a.Description)
	type p = map[string]any
	require.Equal(t, []apply.Resource{
		{Type: "package", Title: "nginx", Params: p{"ensure": "latest"}},
		{Type: "file", Title: "/etc/nginx.conf", Params: p{"content": "listen 80", "mode": "0600", "owner": nil, "require": "Package[nginx]",
			"data": []any{json.Number("80"), p{"t": []any{"hush-hush"}}}}, Secrets: []string{"data"}},
		{Type: "user", Title: "nginx", Params: p{"pin": "hush-hush"}, Secrets: []string{"pin"}},
		{Type: "service", Title: "x", Params: p{}},
	}, a.Resources)
	require.Equal(t, "root", w.acts[1].RunAs)

	// What is only known when the step runs is checked then.
	for text, want := range map[string]string{
		"resources: [{type: $v, title: x}]":                              "resources[0].type: classes have to be compiled",
		"resources: [notify: $n]":                                        "resources[0].title must be a String, and is a number",
		"resources: [{notify: x, parameters: $v}]":                       "resources[0].parameters must be a Hash, and is a String",
		"resources: [{notify: $v}, {notify: class}]":                     "resources[1]: Notify[class] is there a second time; the first one is resources[0]",
		"resources: [{notify: $v, parameters: {require: \"File[$v]\"}}]": "resources[0].parameters.require: there is no File[class] in the list",
		"resources: [{notify: $s}]":                                      "resources[0].title must be a String, and is a Sensitive",
	} {
		w := &world{}
		_, err := run(t, w, "parameters: {v: {default: class}, n: {default: 3}, s: {type: 'Sensitive[String]', default: hush}}\nsteps:\n- targets: a\n  "+text+"\n", `{}`)
		var e *Error
		require.ErrorAs(t, err, &e, text)
		require.Equal(t, KindEvaluation, e.Kind)
		require.ErrorContains(t, err, want, text)
		require.ErrorContains(t, err, "(plan test, line 3, steps[0])")
		require.Empty(t, w.log, "nothing is asked of anybody")
	}
}

func TestResourcesFail(t *testing.T) {
	w := &world{on: failing}
	_, err := run(t, w, "steps:\n- {resources: [notify: x], targets: [a, b]}\n- {command: never, targets: a}\n", `{}`)
	var e *Error
	require.ErrorAs(t, err, &e)
	require.EqualError(t, err, "apply 'catalog' failed on 1 target")
	require.Equal(t, KindApplyFailure, e.Kind)
	require.Equal(t, "apply", e.Details["action"])
	require.Equal(t, "catalog", e.Details["object"])
	set, err := JSON(e.Details["result_set"])
	require.NoError(t, err)
	require.Contains(t, string(set), `"action":"apply","object":null,"status":"failure"`)
	require.Len(t, w.log, 1)
}

// TestParametersOfCode: a map of parameters that is written as code, with names
// that are expressions.
func TestParametersOfCode(t *testing.T) {
	for code, wrong := range map[string]string{
		`{ $k => $k }`: "", `{ 'mode' => '0600' }`: "", `{ $k => 'x' }`: "", `{ 'require' => { $k => 'x' } }`: "", `$k`: "",
		`'x'`: "a map of parameters is expected", `[1]`: "a map of parameters is expected", `{ 'Mode' => 1 }`: "parameters.Mode: the name of a parameter",
	} {
		_, err := Parse("m::p", []byte("parameters: {k: {type: String}}\nsteps:\n- targets: a\n  resources:\n  - file: /x\n    parameters: |\n      "+code+"\n"))
		if wrong == "" {
			require.NoError(t, err, code)
		} else {
			require.ErrorContains(t, err, wrong, code)
		}
	}
}
