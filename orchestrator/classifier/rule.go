package classifier

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"
	"strconv"
)

// Limits of a rule.
const (
	maxDepth    = 50 // of conditions in conditions
	maxSegments = 50 // of a path
	maxPattern  = 4 << 10
)

// Rule is a condition on a node; nil is none. It is never changed.
type Rule struct {
	op       string // and or not = ~ > >= < <=
	operands []*Rule
	path     Path
	value    string

	pattern *regexp.Regexp  // of ~
	number  *float64        // of an ordered comparison; nil: value is no number
	names   map[string]bool // of or: the operands ["=", "name", …], which may be many
	others  []*Rule         // of or: the other operands
}

// Path says where a value of a node is: the name, or a fact and what is in it.
type Path struct {
	Root     string // name, fact, trusted
	Segments []any  // string or int; the first is a string; none for name
}

// Name is the path of a node's name.
func nameOf() Path { return Path{Root: "name"} }

// UnsupportedError: a rule has a regular expression that cannot be matched here.
type UnsupportedError struct {
	Pattern string
	Err     error
}

func (e *UnsupportedError) Error() string {
	return fmt.Sprintf("the regular expression %.80q is not supported: %v; lookaround, back references and possessive quantifiers are not", e.Pattern, e.Err)
}

func (e *UnsupportedError) Unwrap() error { return e.Err }

// ParseRule reads a rule; null is no rule, nil. Errors say where in the rule;
// an *UnsupportedError is the only one about a rule of the right form.
func ParseRule(text json.RawMessage) (*Rule, error) {
	if len(bytes.TrimSpace(text)) == 0 || string(bytes.TrimSpace(text)) == "null" {
		return nil, nil
	}
	return parseRule(text, "rule", 0)
}

func parseRule(text json.RawMessage, at string, depth int) (*Rule, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("%s is deeper than %d conditions", at, maxDepth)
	}
	var items []json.RawMessage
	if json.Unmarshal(text, &items) != nil || len(items) == 0 {
		return nil, fmt.Errorf(`%s must be a condition such as ["=", "name", "web1.example.com"], and is %.80s`, at, text)
	}
	r := &Rule{}
	if json.Unmarshal(items[0], &r.op) != nil {
		return nil, fmt.Errorf("%s[0] must be an operator, and is %.80s", at, items[0])
	}
	switch r.op {
	case "and", "or", "not":
		return r, r.parseOperands(items[1:], at, depth)
	case "=", "~", ">", ">=", "<", "<=":
		return r, r.parseComparison(items, at)
	}
	return nil, fmt.Errorf("%s[0] must be one of and, or, not, =, ~, >, >=, <, <=, and is %.80q", at, r.op)
}

func (r *Rule) parseOperands(items []json.RawMessage, at string, depth int) error {
	if r.op == "not" && len(items) != 1 {
		return fmt.Errorf("%s: not takes one condition, and has %d", at, len(items))
	}
	for i, item := range items {
		operand, err := parseRule(item, fmt.Sprintf("%s[%d]", at, i+1), depth+1)
		if err != nil {
			return err
		}
		r.operands = append(r.operands, operand)
	}
	r.index()
	return nil
}

// index prepares an or of many names.
func (r *Rule) index() {
	if r.op != "or" {
		return
	}
	r.names = map[string]bool{}
	for _, o := range r.operands {
		if name, ok := o.pin(); ok {
			r.names[name] = true
		} else {
			r.others = append(r.others, o)
		}
	}
}

func (r *Rule) parseComparison(items []json.RawMessage, at string) (err error) {
	if len(items) != 3 {
		return fmt.Errorf("%s: %s takes a path and a value, and has %d operands", at, r.op, len(items)-1)
	}
	if r.path, err = parsePath(items[1], at+"[1]"); err != nil {
		return err
	}
	if items[2][0] != '"' || json.Unmarshal(items[2], &r.value) != nil {
		return fmt.Errorf("%s[2] must be a string, also for numbers and booleans, and is %.80s", at, items[2])
	}
	switch r.op {
	case "=":
	case "~":
		return r.compile()
	default:
		r.number = numberOf(r.value)
	}
	return nil
}

func (r *Rule) compile() (err error) {
	if len(r.value) > maxPattern {
		return &UnsupportedError{r.value, fmt.Errorf("it is longer than %d bytes", maxPattern)}
	}
	if _, err = syntax.Parse(r.value, syntax.Perl); err == nil {
		r.pattern, err = regexp.Compile(r.value)
	}
	if err != nil {
		return &UnsupportedError{r.value, err}
	}
	return nil
}

func parsePath(text json.RawMessage, at string) (Path, error) {
	var name string
	if text[0] == '"' && json.Unmarshal(text, &name) == nil {
		if name != "name" {
			return Path{}, fmt.Errorf(`%s must be "name" or an array such as ["fact", "os", "family"], and is %.80q`, at, name)
		}
		return nameOf(), nil
	}
	var items []any
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if d.Decode(&items) != nil || len(items) < 2 || len(items) > maxSegments {
		return Path{}, fmt.Errorf(`%s must be "name" or an array such as ["fact", "os", "family"], and is %.80s`, at, text)
	}
	p := Path{}
	p.Root, _ = items[0].(string)
	if p.Root != "fact" && p.Root != "trusted" {
		return Path{}, fmt.Errorf(`%s[0] must be "fact" or "trusted", and is %.80v`, at, items[0])
	}
	for i, item := range items[1:] {
		switch v := item.(type) {
		case string:
			p.Segments = append(p.Segments, v)
			continue
		case json.Number:
			if n, err := strconv.Atoi(v.String()); err == nil && n >= 0 && i > 0 {
				p.Segments = append(p.Segments, n)
				continue
			}
		}
		return Path{}, fmt.Errorf("%s[%d] must be a name%s, and is %.80v", at, i+1, map[bool]string{true: " or an index"}[i > 0], item)
	}
	return p, nil
}

// fact is the top-level fact that a path is in, "" for the name.
func (p Path) fact() string {
	switch p.Root {
	case "fact":
		return p.Segments[0].(string)
	case "trusted":
		return "trusted"
	}
	return ""
}

// Facts are the top-level facts that the rule speaks of, each once, sorted.
func (r *Rule) Facts() []string {
	found := map[string]bool{}
	r.walk(func(r *Rule) {
		if name := r.path.fact(); name != "" {
			found[name] = true
		}
	})
	facts := make([]string, 0, len(found))
	for name := range found {
		facts = append(facts, name)
	}
	slices.Sort(facts)
	return facts
}

// walk calls visit for every comparison.
func (r *Rule) walk(visit func(*Rule)) {
	if r == nil {
		return
	}
	if r.path.Root != "" {
		visit(r)
	}
	for _, o := range r.operands {
		o.walk(visit)
	}
}

// MarshalJSON writes the rule as it was read; none is null.
func (r *Rule) MarshalJSON() ([]byte, error) {
	if r == nil {
		return []byte("null"), nil
	}
	list := []any{r.op}
	if r.path.Root == "" {
		for _, o := range r.operands {
			list = append(list, o)
		}
	} else {
		list = append(list, r.path, r.value)
	}
	return marshal(list)
}

// MarshalJSON writes "name" or the array.
func (p Path) MarshalJSON() ([]byte, error) {
	if p.Root == "name" {
		return []byte(`"name"`), nil
	}
	return marshal(append([]any{p.Root}, p.Segments...))
}

// marshal is json.Marshal that leaves < and > as they are.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// all is the rule that all of some rules match; nil are left out.
func all(rules ...*Rule) *Rule {
	rules = slices.DeleteFunc(slices.Clone(rules), func(r *Rule) bool { return r == nil })
	if len(rules) == 1 {
		return rules[0]
	}
	return &Rule{op: "and", operands: rules}
}
