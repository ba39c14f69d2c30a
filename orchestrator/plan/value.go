package plan

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/dlclark/regexp2"

	"dalang/orchestrator/task"
)

// Values are nil, bool, json.Number, string, []any, map[string]any, and the
// types below.

// Sensitive hides a value.
type Sensitive struct{ value any }

// Secret hides a value, once.
func Secret(v any) any {
	if _, hidden := v.(Sensitive); hidden {
		return v
	}
	return Sensitive{v}
}

const redacted = "Sensitive [value redacted]"

// Target is the name of a node.
type Target string

// Result is what came of one target.
type Result struct {
	Target string
	Action string // command, script, task, upload, download, apply
	Object string // which one; "": none
	Value  map[string]any
}

// OK tells whether it has no error.
func (r *Result) OK() bool { return r.Value["_error"] == nil }

// object is nil for none.
func (r *Result) object() any {
	if r.Object == "" {
		return nil
	}
	return r.Object
}

func (r *Result) status() string {
	if r.OK() {
		return "success"
	}
	return "failure"
}

// ResultSet is what came of a step, one result for each target, in their order.
type ResultSet struct{ Results []*Result }

// OK tells whether no result has an error.
func (s *ResultSet) OK() bool {
	return !slices.ContainsFunc(s.Results, func(r *Result) bool { return !r.OK() })
}

func (s *ResultSet) part(ok bool) *ResultSet {
	part := &ResultSet{}
	for _, r := range s.Results {
		if r.OK() == ok {
			part.Results = append(part.Results, r)
		}
	}
	return part
}

func (s *ResultSet) list() []any {
	list := make([]any, len(s.Results))
	for i, r := range s.Results {
		list[i] = r
	}
	return list
}

// regex is a regular expression as a value; only functions take it.
type regex struct {
	source string
	re     *regexp2.Regexp
}

// Data is a value as JSON has it: results as Bolt writes them, secrets hidden.
func Data(v any) any {
	switch v := v.(type) {
	case []any:
		list := make([]any, len(v))
		for i, e := range v {
			list[i] = Data(e)
		}
		return list
	case map[string]any:
		hash := make(map[string]any, len(v))
		for k, e := range v {
			hash[k] = Data(e)
		}
		return hash
	case *ResultSet:
		return Data(v.list())
	case *Result:
		value := Data(v.Value).(map[string]any)
		if _, secret := value["_sensitive"]; secret {
			value["_sensitive"] = redacted
		}
		return map[string]any{"target": v.Target, "action": v.Action, "object": v.object(), "status": v.status(), "value": value}
	case *Error:
		return v.data()
	case Target:
		return string(v)
	case Sensitive:
		return redacted
	case *regex:
		return v.source
	}
	return v
}

// JSON is Data as text.
func JSON(v any) (json.RawMessage, error) {
	text, err := task.Marshal(Data(v))
	if err != nil {
		return nil, fmt.Errorf("write a value of a plan: %w", err)
	}
	return text, nil
}

// reveal takes the secrets out of their wrapping, for those who are to have them.
func reveal(v any) (plain any, secret bool) {
	switch v := v.(type) {
	case Sensitive:
		plain, _ = reveal(v.value)
		return plain, true
	case []any:
		list := make([]any, len(v))
		for i, e := range v {
			var s bool
			list[i], s = reveal(e)
			secret = secret || s
		}
		return list, secret
	case map[string]any:
		hash := make(map[string]any, len(v))
		for k, e := range v {
			var s bool
			hash[k], s = reveal(e)
			secret = secret || s
		}
		return hash, secret
	}
	return Data(v), false
}

// kindOf names a value's type for messages.
func kindOf(v any) string {
	switch v := v.(type) {
	case nil:
		return "undef"
	case bool:
		return "a Boolean"
	case json.Number:
		return "a number"
	case string:
		return "a String"
	case []any:
		return "an Array"
	case map[string]any:
		return "a Hash"
	case *ResultSet:
		return "a ResultSet"
	case *Result:
		return "a Result"
	case *Error:
		return "an Error"
	case Target:
		return "a Target"
	case Sensitive:
		return "a Sensitive"
	case *regex:
		return "a Regexp"
	default:
		return fmt.Sprintf("a %T", v)
	}
}

func truthy(v any) bool { return v != nil && v != false }

// text is a value within a text.
func text(v any) string {
	var b strings.Builder
	writeText(&b, v)
	return b.String()
}

func writeText(b *strings.Builder, v any) {
	switch v := v.(type) {
	case nil:
	case string:
		b.WriteString(v)
	case []any:
		b.WriteByte('[')
		for i, e := range v {
			if i > 0 {
				b.WriteString(", ")
			}
			if writeText(b, e); b.Len() > maxText {
				return // which is refused
			}
		}
		b.WriteByte(']')
	case map[string]any:
		b.WriteByte('{')
		for i, k := range keys(v) {
			if i > 0 {
				b.WriteString(", ")
			}
			b.WriteString(k + " => ")
			writeText(b, v[k])
		}
		b.WriteByte('}')
	case *ResultSet, *Result, *Error:
		if encoded, err := JSON(v); err == nil {
			b.Write(encoded)
		}
	default:
		fmt.Fprint(b, Data(v))
	}
}

func keys(hash map[string]any) []string { return slices.Sorted(maps.Keys(hash)) }
