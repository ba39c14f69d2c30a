package plan

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"dalang/orchestrator/download"
)

// Kind is what a step, or an action, does.
type Kind string

// The kinds of steps.
const (
	Message  Kind = "message"
	Verbose  Kind = "verbose"
	Eval     Kind = "eval"
	Command  Kind = "command"
	Script   Kind = "script"
	Task     Kind = "task"
	Upload   Kind = "upload"
	Download Kind = "download"
	SubPlan  Kind = "plan"
	// Resources is what Bolt's functions call apply.
	Resources Kind = "resources"
)

func stepKinds() []Kind {
	return []Kind{Command, Download, Eval, Message, SubPlan, Resources, Script, Task, Upload, Verbose}
}

// function is the name of Bolt's function that does what a step does.
func (k Kind) function() string {
	switch k {
	case Upload:
		return "upload_file"
	case Download:
		return "download_file"
	case Resources:
		return "apply"
	}
	return "run_" + string(k)
}

// action is what results call it.
func (k Kind) action() string {
	if k == Resources {
		return "apply"
	}
	return string(k)
}

// noun is what messages call it.
func (k Kind) noun() string {
	if k == Resources {
		return "a list of resources"
	}
	return "a " + string(k)
}

// keys are what a step may have, and what it has to have, beside its kind.
func (k Kind) keys() (may, must []string) {
	may = []string{"name", "description", "targets"}
	switch k {
	case Command:
		return append(may, "catch_errors", "env_vars", "run_as"), []string{"targets"}
	case Script:
		return append(may, "catch_errors", "env_vars", "run_as", "arguments"), []string{"targets"}
	case Task:
		return append(may, "catch_errors", "noop", "run_as", "parameters"), []string{"targets"}
	case Upload, Download:
		return append(may, "catch_errors", "run_as", "destination"), []string{"targets", "destination"}
	case Resources:
		return append(may, "catch_errors", "noop", "run_as"), []string{"targets"}
	case SubPlan:
		return append(may, "catch_errors", "run_as", "parameters"), nil
	}
	return may, nil
}

// step is a step that was read.
type step struct {
	kind   Kind
	name   string // "": its result is not kept
	where  string // for messages
	line   int
	fields map[string]expr
}

// step reads a step; those before it have been read.
func (r *reader) step(n *yaml.Node, i int) (*step, error) {
	s := &step{where: fmt.Sprintf("steps[%d]", i), line: n.Line, fields: map[string]expr{}}
	members, err := r.members(n, s.where)
	if err != nil {
		return nil, err
	}
	for _, m := range members {
		if m.name == "name" && m.value.Kind == yaml.ScalarNode {
			s.name = m.value.Value
			s.where += " (" + s.name + ")"
			if !variableName(s.name) {
				return nil, r.mistake(m.value, s.where, "the name of a step is a lower-case letter or _, then such letters, digits and _")
			}
			if r.names[s.name] {
				return nil, r.mistake(m.value, s.where, "the name '%s' is taken by a parameter, an earlier step, or $steps", s.name)
			}
		}
	}
	if s.kind, err = r.kind(n, s.where, members); err != nil {
		return nil, err
	}
	if err := r.fields(s, n, members); err != nil {
		return nil, err
	}
	if s.name != "" {
		r.names[s.name] = true
	}
	return s, nil
}

// kind finds the key that says what the step does.
func (r *reader) kind(n *yaml.Node, where string, members []member) (Kind, error) {
	var found []string
	var all []string
	for _, k := range stepKinds() {
		all = append(all, string(k))
		if slices.ContainsFunc(members, func(m member) bool { return m.name == string(k) }) {
			found = append(found, string(k))
		}
	}
	switch {
	case len(found) == 0 && slices.ContainsFunc(members, func(m member) bool { return m.name == "source" }):
		return "", r.mistake(n, where, "a step that uploads a file has the key 'upload', no longer 'source'")
	case len(found) == 0:
		return "", r.mistake(n, where, "the step does nothing: one of the keys %s is expected", strings.Join(all, ", "))
	case len(found) > 1:
		return "", r.mistake(n, where, "the step has the keys %s; exactly one of %s is expected", strings.Join(found, " and "), strings.Join(all, ", "))
	}
	return Kind(found[0]), nil
}

func (r *reader) fields(s *step, n *yaml.Node, members []member) error {
	may, must := s.kind.keys()
	for _, m := range members {
		if m.name != string(s.kind) && !slices.Contains(may, m.name) {
			return r.unknownKey(m, s.where, "a step that is "+s.kind.noun(), append([]string{string(s.kind)}, may...))
		}
		if m.name == "name" && m.value.Kind != yaml.ScalarNode {
			return r.mistake(m.value, s.where+".name", "a text is expected, and there is %s", shape(m.value))
		}
		where := s.where + "." + m.name
		if err := r.shape(s.kind, m, where); err != nil {
			return err
		}
		read := r.value
		if m.name == string(Resources) {
			read = r.resources
		}
		e, err := read(m.value, where)
		if err != nil {
			return err
		}
		s.fields[m.name] = e
		if l, ok := e.(literal); ok && s.kind == Download {
			if err := badPath(m.name, l.value); err != nil {
				return r.mistake(m.value, where, "the path %v", err)
			}
		}
	}
	for _, key := range must {
		if s.fields[key] == nil {
			return r.mistake(n, s.where, "the key '%s' is missing: a step that is %s needs it", key, s.kind.noun())
		}
	}
	return r.metaparameters(s, n)
}

// shape checks the form of a value as far as it shows before the plan runs.
func (r *reader) shape(kind Kind, m member, where string) error {
	evaluated := m.value.Kind == yaml.ScalarNode && (strings.HasPrefix(m.value.Value, "$") || m.value.Style&(yaml.LiteralStyle|yaml.DoubleQuotedStyle) != 0)
	null := m.value.Kind == yaml.ScalarNode && m.value.ShortTag() == "!!null"
	want, expected := yaml.Kind(0), ""
	switch m.name {
	case "parameters":
		want, expected = yaml.MappingNode, "a map of parameters"
		evaluated = false
	case "env_vars":
		want, expected = yaml.MappingNode, "a map of environment variables"
	case "arguments":
		want, expected = yaml.SequenceNode, "a list of arguments"
		evaluated = evaluated && strings.HasPrefix(m.value.Value, "$")
	case "catch_errors", "noop":
		if v, err := r.scalar(m.value, where); !evaluated && (err != nil || !isBool(v)) {
			return r.mistake(m.value, where, "true or false is expected, and there is %s", shape(m.value))
		}
		return nil
	case "destination", "run_as", string(Command), string(Script), string(Task), string(Upload), string(Download), string(SubPlan):
		if m.value.Kind != yaml.ScalarNode || null {
			return r.mistake(m.value, where, "a text is expected, and there is %s", shape(m.value))
		}
		return nil
	}
	if expected != "" && m.value.Kind != want && !evaluated && !null {
		return r.mistake(m.value, where, "%s is expected, and there is %s", expected, shape(m.value))
	}
	return nil
}

func isBool(v any) bool { _, ok := v.(bool); return ok }

// metaparameters takes options out of a step's parameters: _catch_errors is
// the same as the key catch_errors.
func (r *reader) metaparameters(s *step, n *yaml.Node) error {
	given, _ := s.fields["parameters"].(hash)
	var kept hash
	for _, pair := range given {
		name := pair[0].(literal).value.(string)
		option, meta := strings.CutPrefix(name, "_")
		may, _ := s.kind.keys()
		switch {
		case !meta:
			kept = append(kept, pair)
		case s.fields[option] != nil:
			return r.mistake(n, s.where+".parameters", "'%s' is given twice: as the key '%s' of the step, too", name, option)
		case option == "description", slices.Contains(may, option) && option != "name" && option != "targets" && option != "parameters":
			s.fields[option] = pair[1]
		default:
			return r.mistake(n, s.where+".parameters", "'%s' is not an option of a step that is a %s; names of parameters do not begin with _", name, s.kind)
		}
	}
	if s.fields["parameters"] != nil {
		s.fields["parameters"] = kept
	}
	return nil
}

// badPath tells what is wrong with a path of a step that downloads: its key is
// download or destination; others are fine.
func badPath(key string, v any) error {
	where, ok := v.(string)
	switch {
	case ok && key == string(Download):
		return download.CheckSource(where)
	case ok && key == "destination":
		return download.CheckDestination(where)
	}
	return nil
}
