package plan

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"dalang/orchestrator/ptype"
	"dalang/orchestrator/task"
)

// Limits of what a plan may be.
const (
	MaxSize  = 1 << 20 // bytes
	maxNodes = 100_000 // scalars, lists and maps
	maxSteps = 2000
)

// Plan is a plan that was read. It is safe for concurrent use.
type Plan struct {
	Name        string
	Description string
	Private     bool
	Parameters  []Parameter // in the order of the text
	steps       []*step
	result      expr
}

// Parameter is a parameter of a plan. One without a default has to be given,
// unless it has a type other than Any that takes undef.
type Parameter struct {
	task.Parameter
	value any // of Default
}

// Parse reads the text of a plan. Its error is a *LoadError.
func Parse(name string, text []byte) (*Plan, error) {
	r := &reader{plan: name}
	if len(text) > MaxSize {
		return nil, r.mistake(nil, "", "a plan has at most %d bytes, and this one has %d", MaxSize, len(text))
	}
	var document yaml.Node
	if err := yaml.Unmarshal(text, &document); err != nil {
		return nil, r.mistake(nil, "", "the text is not YAML: %s", strings.TrimPrefix(err.Error(), "yaml: "))
	}
	if len(document.Content) == 0 {
		return nil, r.mistake(nil, "", "the text is empty; a map with the key 'steps' is expected")
	}
	p, err := r.read(document.Content[0])
	if err != nil {
		var already *LoadError
		if !errors.As(err, &already) {
			return nil, r.mistake(nil, "", "%v", err)
		}
		return nil, err
	}
	return p, nil
}

// reader makes a plan of YAML.
type reader struct {
	plan  string
	nodes int
	names map[string]bool // variables so far
}

func (r *reader) mistake(at *yaml.Node, where, format string, args ...any) error {
	e := &LoadError{Plan: r.plan, Where: where, Msg: fmt.Sprintf(format, args...)}
	if at != nil {
		e.Line, e.Column = at.Line, at.Column
	}
	return e
}

// member is a key of a map with its value.
type member struct {
	name       string
	key, value *yaml.Node
}

// members reads a map: each key once, all of them texts.
func (r *reader) members(n *yaml.Node, where string) ([]member, error) {
	if n.Kind != yaml.MappingNode {
		return nil, r.mistake(n, where, "a map is expected, and there is %s", shape(n))
	}
	var all []member
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k := n.Content[i]
		if k.Kind != yaml.ScalarNode || k.Tag == "!!merge" {
			return nil, r.mistake(k, where, "the key of a map must be a text; merge keys and aliases are not for plans")
		}
		if line, twice := seen[k.Value]; twice {
			return nil, r.mistake(k, where, "the key '%s' is there a second time; the first one is in line %d", k.Value, line)
		}
		seen[k.Value] = k.Line
		all = append(all, member{k.Value, k, n.Content[i+1]})
	}
	return all, nil
}

func shape(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a map"
	case yaml.SequenceNode:
		return "a list"
	case yaml.AliasNode:
		return "an alias"
	}
	switch n.ShortTag() {
	case "!!null":
		return "nothing"
	case "!!bool":
		return "a boolean"
	case "!!int", "!!float":
		return "a number"
	}
	return "a text"
}

func (r *reader) read(n *yaml.Node) (*Plan, error) {
	if err := r.check(n, 0); err != nil {
		return nil, err
	}
	members, err := r.members(n, "")
	if err != nil {
		return nil, err
	}
	p := &Plan{Name: r.plan}
	r.names = map[string]bool{"steps": true}
	var steps, result *yaml.Node
	for _, m := range members {
		switch m.name {
		case "description":
			p.Description, err = r.plain(m.value, m.name)
		case "private":
			p.Private, err = r.boolean(m.value, m.name)
		case "parameters":
			p.Parameters, err = r.parameters(m.value)
		case "steps":
			steps = m.value
		case "return":
			result = m.value
		case "version": // which Bolt takes, and does nothing with
		default:
			err = r.unknownKey(m, "", "a plan", []string{"description", "parameters", "private", "return", "steps"})
		}
		if err != nil {
			return nil, err
		}
	}
	if steps == nil || steps.Kind != yaml.SequenceNode {
		if steps == nil {
			return nil, r.mistake(n, "", "the key 'steps' is missing: a list of steps")
		}
		return nil, r.mistake(steps, "steps", "a list of steps is expected, and there is %s", shape(steps))
	}
	if n := len(steps.Content); n > maxSteps {
		return nil, r.mistake(steps, "steps", "a plan has at most %d steps, and this one has %d", maxSteps, n)
	}
	for i, s := range steps.Content {
		made, err := r.step(s, i)
		if err != nil {
			return nil, err
		}
		p.steps = append(p.steps, made)
	}
	p.result = literal{nil}
	if result != nil {
		p.result, err = r.value(result, "return")
	}
	return p, err
}

// check refuses what plans do not have: aliases, tags, and too much.
func (r *reader) check(n *yaml.Node, depth int) error {
	if r.nodes++; r.nodes > maxNodes {
		return r.mistake(n, "", "a plan has at most %d scalars, lists and maps", maxNodes)
	}
	switch {
	case depth > maxDepth:
		return r.mistake(n, "", "values nest deeper than %d", maxDepth)
	case n.Kind == yaml.AliasNode:
		return r.mistake(n, "", "aliases (*%s) are not for plans", n.Value)
	case n.Style&yaml.TaggedStyle != 0:
		return r.mistake(n, "", "tags (%s) are not for plans", n.Tag)
	}
	for _, c := range n.Content {
		if err := r.check(c, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// unknownKey says which keys there are, and which one was perhaps meant.
func (r *reader) unknownKey(m member, where, of string, known []string) error {
	slices.Sort(known)
	hint := ""
	switch {
	case m.name == "target" && slices.Contains(known, "targets"), m.name == "nodes" && slices.Contains(known, "targets"):
		hint = "; 'targets' is meant?"
	default:
		for _, k := range known {
			if len(m.name) > 1 && (k == m.name+"s" || m.name == k+"s" || k == strings.TrimPrefix(m.name, "_")) {
				hint = "; '" + k + "' is meant?"
			}
		}
	}
	return r.mistake(m.key, where, "the key '%s' is not one of %s: %s%s", m.name, of, strings.Join(known, ", "), hint)
}

// plain is a text as it is, without expressions.
func (r *reader) plain(n *yaml.Node, where string) (string, error) {
	if n.Kind != yaml.ScalarNode {
		return "", r.mistake(n, where, "a text is expected, and there is %s", shape(n))
	}
	if n.ShortTag() == "!!null" {
		return "", nil
	}
	return n.Value, nil
}

func (r *reader) boolean(n *yaml.Node, where string) (bool, error) {
	v, err := r.scalar(n, where)
	if err != nil {
		return false, err
	}
	b, ok := v.(bool)
	if !ok && v != nil {
		return false, r.mistake(n, where, "true or false is expected, and there is %s", shape(n))
	}
	return b, nil
}

// scalar is what YAML takes a plain scalar for. yes and no are booleans, as
// they are for Bolt.
func (r *reader) scalar(n *yaml.Node, where string) (any, error) {
	if n.Kind != yaml.ScalarNode {
		return nil, r.mistake(n, where, "a single value is expected, and there is %s", shape(n))
	}
	if n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle|yaml.LiteralStyle) != 0 {
		return n.Value, nil
	}
	switch strings.ToLower(n.Value) {
	case "yes", "on":
		return true, nil
	case "no", "off":
		return false, nil
	}
	switch n.ShortTag() {
	case "!!null":
		return nil, nil
	case "!!bool":
		return strings.EqualFold(n.Value, "true"), nil
	case "!!int":
		var i int64
		if err := n.Decode(&i); err != nil {
			return nil, r.mistake(n, where, "%s is larger than an integer can be", n.Value)
		}
		return json.Number(strconv.FormatInt(i, 10)), nil
	case "!!float":
		var f float64
		if err := n.Decode(&f); err != nil || math.IsInf(f, 0) || math.IsNaN(f) {
			return nil, r.mistake(n, where, "%s is no number that a plan can hold", n.Value)
		}
		return decimal(f), nil
	}
	return n.Value, nil
}

// data is a value without expressions.
func (r *reader) data(n *yaml.Node, where string) (any, error) {
	switch n.Kind {
	case yaml.SequenceNode:
		made := make([]any, len(n.Content))
		for i, c := range n.Content {
			v, err := r.data(c, fmt.Sprintf("%s[%d]", where, i))
			if err != nil {
				return nil, err
			}
			made[i] = v
		}
		return made, nil
	case yaml.MappingNode:
		members, err := r.members(n, where)
		made := map[string]any{}
		for _, m := range members {
			if made[m.name], err = r.data(m.value, where+"."+m.name); err != nil {
				return nil, err
			}
		}
		return made, err
	}
	return r.scalar(n, where)
}

// value is a value that may have expressions in it.
func (r *reader) value(n *yaml.Node, where string) (expr, error) {
	switch n.Kind {
	case yaml.SequenceNode:
		made := make(list, len(n.Content))
		for i, c := range n.Content {
			v, err := r.value(c, fmt.Sprintf("%s[%d]", where, i))
			if err != nil {
				return nil, err
			}
			made[i] = v
		}
		return made, nil
	case yaml.MappingNode:
		members, err := r.members(n, where)
		var made hash
		for _, m := range members {
			v, err := r.value(m.value, where+"."+m.name)
			if err != nil {
				return nil, err
			}
			made = append(made, [2]expr{literal{m.name}, v})
		}
		return made, err
	}
	return r.expression(n, where)
}

// expression reads a scalar by the way it is written.
func (r *reader) expression(n *yaml.Node, where string) (expr, error) {
	known := func(name string) bool { return r.names[name] }
	var e expr
	var err error
	switch {
	case n.Style&yaml.LiteralStyle != 0:
		e, err = parseCode(n.Value, n.Line+1, known)
	case n.Style&yaml.DoubleQuotedStyle != 0:
		e, err = parseText(n.Value, n.Line, known)
	case n.Style&(yaml.SingleQuotedStyle|yaml.FoldedStyle) == 0 && strings.HasPrefix(n.Value, "$"):
		e, err = parseCode(n.Value, n.Line, known)
	default:
		v, err := r.scalar(n, where)
		return literal{v}, err
	}
	var at *located
	if errors.As(err, &at) {
		return nil, &LoadError{Plan: r.plan, Line: at.line, Where: where, Msg: at.msg}
	}
	return e, err
}

func (r *reader) parameters(n *yaml.Node) ([]Parameter, error) {
	if n.ShortTag() == "!!null" {
		return nil, nil
	}
	members, err := r.members(n, "parameters")
	if err != nil {
		return nil, err
	}
	all := make([]Parameter, len(members))
	for i, m := range members {
		if all[i], err = r.parameter(m); err != nil {
			return nil, err
		}
		r.names[m.name] = true
	}
	return all, nil
}

// variableName tells whether a name may be that of a parameter or a step.
func variableName(name string) bool {
	return name != "" && isLower(name[0]) && !strings.ContainsFunc(name, func(c rune) bool { return c > 127 || !isLower(byte(c)) && !isDigit(byte(c)) })
}

func (r *reader) parameter(m member) (Parameter, error) {
	where := "parameters." + m.name
	p := Parameter{}
	p.Name = m.name
	if !variableName(m.name) {
		return p, r.mistake(m.key, where, "the name of a parameter is a lower-case letter or _, then such letters, digits and _")
	}
	if m.value.Kind == yaml.ScalarNode && m.value.ShortTag() == "!!null" {
		return p, nil
	}
	members, err := r.members(m.value, where)
	if err != nil {
		return p, err
	}
	var given *yaml.Node // the default, of which the type says what may be told
	for _, d := range members {
		switch d.name {
		case "type":
			var source string
			if source, err = r.plain(d.value, where+".type"); err == nil {
				if p.Type, err = ptype.Parse(source); err != nil {
					err = r.mistake(d.value, where+".type", "%v", err)
				}
			}
		case "default":
			given = d.value
		case "description":
			p.Description, err = r.plain(d.value, where+".description")
		case "sensitive":
			err = r.mistake(d.key, where, "the key 'sensitive' is not one of a plan's parameter; a secret has a type as Sensitive[String]")
		default:
			err = r.unknownKey(d, where, "a parameter", []string{"type", "default", "description"})
		}
		if err != nil {
			return p, err
		}
	}
	p.Sensitive = p.Type != nil && p.Type.Sensitive()
	if given == nil {
		return p, nil
	}
	return p, r.defaultOf(&p, given, m.value, where)
}

// defaultOf reads the default of a parameter.
func (r *reader) defaultOf(p *Parameter, given, of *yaml.Node, where string) (err error) {
	if p.value, err = r.data(given, where+".default"); err != nil {
		if p.Sensitive { // the mistake may show it
			return r.mistake(given, where+".default", "the default, which is a secret, is no value of YAML that a plan can hold")
		}
		return err
	}
	if p.Default, err = task.Marshal(p.value); err != nil || p.Type == nil {
		return err
	}
	check := p.Type.Check
	if p.Sensitive {
		check = p.Type.CheckSecret
	}
	if err := check(p.value); err != nil {
		return r.mistake(of, where, "the default is not of the type %s: %v", p.Type, err)
	}
	return nil
}
