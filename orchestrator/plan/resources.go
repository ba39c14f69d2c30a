package plan

import (
	"errors"
	"fmt"

	"go.yaml.in/yaml/v3"

	"dalang/orchestrator/apply"
)

// resources reads the list of a step: a list of maps with type, title and
// parameters. What is no expression is checked.
func (r *reader) resources(n *yaml.Node, where string) (expr, error) {
	if n.Kind != yaml.SequenceNode || len(n.Content) == 0 {
		what := shape(n)
		if n.Kind == yaml.SequenceNode {
			what = "an empty one"
		}
		return nil, r.mistake(n, where, "a list of resources is expected, and there is %s", what)
	}
	made, known := make(list, len(n.Content)), make([]apply.Resource, len(n.Content))
	for i, c := range n.Content {
		one, err := r.resource(c, fmt.Sprintf("%s[%d]", where, i))
		if err != nil {
			return nil, err
		}
		made[i], known[i] = one.expr(), one.known()
	}
	var wrong *apply.Mistake
	if errors.As(apply.Check(known), &wrong) {
		return nil, r.mistake(n.Content[wrong.Index], wrong.Where(where), "%s", wrong.Msg)
	}
	return made, nil
}

// declared is a resource as it is written.
type declared struct{ kind, title, params expr }

func (d *declared) expr() expr {
	return hash{{literal{"type"}, d.kind}, {literal{"title"}, d.title}, {literal{"parameters"}, d.params}}
}

// known is what can be said of it before the plan runs.
func (d *declared) known() apply.Resource {
	made := apply.Resource{Params: map[string]any{}}
	kind, certain := constant(d.kind)
	title, fixed := constant(d.title)
	made.Open = !certain || !fixed
	made.Type, _ = kind.(string)
	made.Title, _ = title.(string)
	params, _ := d.params.(hash)
	for _, pair := range params {
		name, fixed := constant(pair[0])
		if !fixed {
			continue
		}
		made.Params[text(name)], _ = constant(pair[1])
	}
	return made
}

// constant is the value of what has no expression in it; else nil.
func constant(e expr) (v any, known bool) {
	switch e := e.(type) {
	case literal:
		return e.value, true
	case list:
		made := make([]any, len(e))
		for i, one := range e {
			if made[i], known = constant(one); !known {
				return nil, false
			}
		}
		return made, true
	case hash:
		made := map[string]any{}
		for _, pair := range e {
			name, fixed := constant(pair[0])
			v, known := constant(pair[1])
			if !fixed || !known {
				return nil, false
			}
			made[text(name)] = v
		}
		return made, true
	}
	return nil, false
}

// resource reads one of the list, in either form.
func (r *reader) resource(n *yaml.Node, where string) (*declared, error) {
	members, err := r.members(n, where)
	if err != nil {
		return nil, err
	}
	d := &declared{params: hash(nil)}
	var types []member
	for _, m := range members {
		switch m.name {
		case "type":
			d.kind, err = r.word(m.value, where+".type")
		case "title":
			d.title, err = r.word(m.value, where+".title")
		case "parameters":
			d.params, err = r.parametersOf(m.value, where+".parameters")
		default:
			types = append(types, m)
		}
		if err != nil {
			return nil, err
		}
	}
	switch long := d.kind != nil || d.title != nil; {
	case long && len(types) > 0:
		return nil, r.unknownKey(types[0], where, "a resource with a type and a title", []string{"type", "title", "parameters"})
	case long && d.kind == nil:
		return nil, r.mistake(n, where, "the key 'type' is missing: a resource with a 'title' needs it")
	case long && d.title == nil:
		return nil, r.mistake(n, where, "the key 'title' is missing: a resource with a 'type' needs it")
	case long:
		return d, nil
	case len(types) == 0:
		return nil, r.mistake(n, where, "the resource has no type: 'type' and 'title' are expected, or a key that is a type and its value the title")
	case len(types) > 1:
		return nil, r.mistake(types[1].key, where, "the resource could be a %s or a %s: exactly one key beside 'parameters' is expected", types[0].name, types[1].name)
	}
	if msg := apply.CheckType(types[0].name); msg != "" {
		return nil, r.mistake(types[0].key, where, "%s", msg)
	}
	d.kind = literal{types[0].name}
	d.title, err = r.word(types[0].value, where+"."+types[0].name)
	return d, err
}

// word reads a text, or an expression that gives one.
func (r *reader) word(n *yaml.Node, where string) (expr, error) {
	e, err := r.value(n, where)
	if err != nil {
		return nil, err
	}
	v, known := constant(e)
	if _, is := v.(string); known && !is || n.Kind != yaml.ScalarNode {
		return nil, r.mistake(n, where, "a text is expected, and there is %s", shape(n))
	}
	return e, nil
}

// parametersOf reads a map, or an expression that gives one.
func (r *reader) parametersOf(n *yaml.Node, where string) (expr, error) {
	e, err := r.value(n, where)
	if err != nil {
		return nil, err
	}
	if l, is := e.(literal); is && l.value == nil {
		return hash(nil), nil
	}
	v, known := constant(e)
	if _, is := v.(map[string]any); known && !is || n.Kind == yaml.SequenceNode {
		return nil, r.mistake(n, where, "a map of parameters is expected, and there is %s", shape(n))
	}
	return e, nil
}

// resourcesOf are those that a step names, as they are when it runs.
func resourcesOf(s *step, v any) ([]apply.Resource, error) {
	declared, _ := v.([]any) // as resources made it
	made := make([]apply.Resource, len(declared))
	for i, one := range declared {
		fields, _ := one.(map[string]any)
		wrong := func(key, expected string) error {
			return badValue(s.line, "resources[%d].%s must be a %s, and is %s", i, key, expected, kindOf(fields[key]))
		}
		var is bool
		if made[i].Type, is = textOf(fields["type"]); !is {
			return nil, wrong("type", "String")
		}
		if made[i].Title, is = textOf(fields["title"]); !is {
			return nil, wrong("title", "String")
		}
		given := fields["parameters"]
		hidden, whole := given.(Sensitive)
		if whole {
			given = hidden.value
		}
		params, is := given.(map[string]any)
		if !is && given != nil {
			return nil, wrong("parameters", "Hash")
		}
		made[i].Params = map[string]any{}
		for _, name := range keys(params) {
			plain, secret := reveal(params[name])
			made[i].Params[name] = plain
			if secret || whole {
				made[i].Secrets = append(made[i].Secrets, name)
			}
		}
	}
	if err := apply.Check(made); err != nil {
		return nil, badValue(s.line, "%v", err)
	}
	return made, nil
}

// textOf is a text, or the name of a target.
func textOf(v any) (string, bool) {
	if t, is := v.(Target); is {
		return string(t), true
	}
	text, is := v.(string)
	return text, is
}
