package task

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"sort"
	"strings"
)

// Arguments are parameters that were checked and completed.
type Arguments struct {
	Values    map[string]any // numbers are json.Number
	Sensitive []string       // names of those given that are secrets, sorted
}

// Problems is everything that is wrong with parameters, one line each. They
// show names of parameters, and of values that are no secrets what is wrong.
type Problems []string

func (p Problems) Error() string { return strings.Join(p, "; ") }

// Check checks given parameters against parameters and adds their defaults.
// strict refuses names that are not among them. Its error is Problems.
func Check(parameters []Parameter, given map[string]any, strict bool) (*Arguments, error) {
	a := &Arguments{Values: map[string]any{}}
	var problems Problems
	known := map[string]bool{}
	for i := range parameters {
		p := &parameters[i]
		known[p.Name] = true
		v, ok := given[p.Name]
		if !ok {
			if p.Default != nil {
				v, _ = decode(p.Default)
				a.Values[p.Name] = v
			} else if p.Required() {
				problems = append(problems, fmt.Sprintf("the parameter '%s' is missing: %s", p.Name, p.Type))
			}
			continue
		}
		if p.Type != nil {
			check := p.Type.Check
			if p.Sensitive {
				check = p.Type.CheckSecret
			}
			if err := check(v); err != nil {
				problems = append(problems, fmt.Sprintf("the parameter '%s': %v", p.Name, err))
			}
		}
		a.Values[p.Name] = v
		if p.Sensitive {
			a.Sensitive = append(a.Sensitive, p.Name)
		}
	}
	for name, v := range given {
		if known[name] {
			continue
		}
		if strict {
			problems = append(problems, fmt.Sprintf("there is no parameter '%s'", name))
		}
		a.Values[name] = v
	}
	if problems != nil {
		sort.Strings(problems)
		return nil, problems
	}
	return a, nil
}

// Arguments checks the parameters of a run of the task, a JSON object or null.
// Those named by secrets are secrets whatever the task says of them. Its error
// is Problems.
func (m *Metadata) Arguments(params json.RawMessage, secrets ...string) (*Arguments, error) {
	given, err := Object(params)
	if err != nil {
		return nil, Problems{"the parameters are not an object"}
	}
	var reserved Problems
	for name := range given {
		if strings.HasPrefix(name, "_") {
			reserved = append(reserved, fmt.Sprintf("the parameter '%s': names that begin with _ are not for tasks", name))
		}
	}
	if reserved != nil {
		sort.Strings(reserved)
		return nil, reserved
	}
	parameters := slices.Clone(m.Parameters)
	for i := range parameters {
		parameters[i].Sensitive = parameters[i].Sensitive || slices.Contains(secrets, parameters[i].Name)
	}
	a, err := Check(parameters, given, m.Typed)
	if err != nil {
		return nil, err
	}
	for _, name := range secrets {
		if _, there := given[name]; there && !slices.Contains(a.Sensitive, name) {
			a.Sensitive = append(a.Sensitive, name)
		}
	}
	slices.Sort(a.Sensitive)
	return a, nil
}

// Public is a copy of given, an object, without what is sensitive.
func (a *Arguments) Public(given map[string]any) map[string]any {
	shown := map[string]any{}
	for name, v := range given {
		if !slices.Contains(a.Sensitive, name) {
			shown[name] = v
		}
	}
	return shown
}

// Object decodes a JSON object, keeping numbers as they are written; null and
// nothing are an empty one.
func Object(text json.RawMessage) (map[string]any, error) {
	if len(bytes.TrimSpace(text)) == 0 {
		return map[string]any{}, nil
	}
	v, err := decode(text)
	if err != nil {
		return nil, err
	}
	switch v := v.(type) {
	case nil:
		return map[string]any{}, nil
	case map[string]any:
		return v, nil
	}
	return nil, errors.New("not an object")
}

func decode(text []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than one value")
	}
	return v, nil
}

// Input is what an executable is given, by a method.
type Input struct {
	Stdin []byte   // JSON, nil for none
	Env   []string // PT_name=value, sorted
}

// Input makes the input of a run from arguments, to which callers have added
// _task, _noop and _installdir. powershell is not made here.
func MakeInput(method string, arguments map[string]any) (Input, error) {
	var in Input
	if method == Stdin || method == Both {
		text, err := Marshal(arguments)
		if err != nil {
			return in, fmt.Errorf("write the task's input: %w", err)
		}
		in.Stdin = text
	}
	if method == Environment || method == Both {
		for name, v := range arguments {
			text, ok := v.(string)
			if !ok {
				encoded, err := Marshal(v)
				if err != nil {
					return in, fmt.Errorf("write the task's input: %w", err)
				}
				text = string(encoded)
			}
			if strings.ContainsRune(text, 0) {
				return in, fmt.Errorf("the parameter '%s' holds a NUL, which the environment cannot; the task needs input method stdin", name)
			}
			in.Env = append(in.Env, "PT_"+name+"="+text)
		}
		sort.Strings(in.Env)
	}
	return in, nil
}

// Marshal writes JSON as other programs expect it: without escapes for HTML.
func Marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
