package classifier

import (
	"encoding/json"
	"regexp"
	"strconv"
)

// Node is what rules look at: a name, and facts by their top-level names, as
// JSON. "trusted" is the trusted data.
type Node struct {
	Name  string
	Facts map[string]json.RawMessage

	parsed map[string]any // facts that were looked into
}

// Matches tells whether a rule matches a node; no rule does not. It is not for
// concurrent use on one node.
func (r *Rule) Matches(n *Node) bool {
	if r == nil {
		return false
	}
	switch r.op {
	case "and":
		for _, o := range r.operands {
			if !o.Matches(n) {
				return false
			}
		}
		return true
	case "or":
		if r.names[n.Name] {
			return true
		}
		for _, o := range r.others {
			if o.Matches(n) {
				return true
			}
		}
		return false
	case "not":
		return !r.operands[0].Matches(n)
	}
	text, ok := n.text(r.path)
	return ok && r.compare(text)
}

func (r *Rule) compare(text string) bool {
	switch r.op {
	case "=":
		return text == r.value
	case "~":
		return r.pattern.MatchString(text)
	}
	value := numberOf(text)
	if value == nil || r.number == nil {
		return false
	}
	switch r.op {
	case ">":
		return *value > *r.number
	case ">=":
		return *value >= *r.number
	case "<":
		return *value < *r.number
	}
	return *value <= *r.number
}

// text is the scalar at a path as rules see it.
func (n *Node) text(p Path) (text string, ok bool) {
	if p.Root == "name" {
		return n.Name, true
	}
	value, segments := n.fact(p.fact()), p.Segments
	if p.Root == "fact" {
		segments = segments[1:]
	}
	for _, s := range segments {
		if value = inside(value, s); value == nil {
			return "", false
		}
	}
	switch v := value.(type) {
	case string:
		return v, true
	case bool:
		return strconv.FormatBool(v), true
	case json.Number:
		return v.String(), true
	}
	return "", false
}

// fact is a top-level fact, parsed once; nil if it is not there.
func (n *Node) fact(name string) any {
	if value, ok := n.parsed[name]; ok {
		return value
	}
	text, ok := n.Facts[name]
	if !ok {
		return nil
	}
	value := decoded(text)
	if n.parsed == nil {
		n.parsed = map[string]any{}
	}
	n.parsed[name] = value
	return value
}

// inside is the member or element of a value; nil if there is none.
func inside(value, segment any) any {
	switch v := value.(type) {
	case map[string]any:
		if key, ok := segment.(string); ok {
			return v[key]
		}
	case []any:
		if i, ok := segment.(int); ok && i < len(v) {
			return v[i]
		}
	}
	return nil
}

var numeral = regexp.MustCompile(`\A[+-]?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?\z`)

// numberOf is the number that a text is, nil if it is none.
func numberOf(text string) *float64 {
	if !numeral.MatchString(text) {
		return nil
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return nil
	}
	return &f
}
