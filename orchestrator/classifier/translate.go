package classifier

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// Format is the kind of query that a rule is translated to.
type Format string

// The formats: for the entities nodes and inventory.
const (
	ForNodes     Format = "nodes"
	ForInventory Format = "inventory"
)

// UntranslatableError: no query of the format says what the rule says.
type UntranslatableError struct{ Why string }

func (e *UntranslatableError) Error() string { return e.Why }

// Translate makes an AST query of a rule. A comparison with a text that looks
// like a number or a boolean also finds the number or boolean.
func (r *Rule) Translate(f Format) (json.RawMessage, error) {
	if r == nil {
		return json.RawMessage("null"), nil
	}
	v, err := r.translate(f)
	if err != nil {
		return nil, err
	}
	return marshal(v)
}

func (r *Rule) translate(f Format) (any, error) {
	switch r.op {
	case "and", "or", "not":
		if len(r.operands) == 0 {
			everything := []any{"~", "certname", ".*"}
			if r.op == "or" {
				return []any{"not", everything}, nil
			}
			return everything, nil
		}
		list := []any{r.op}
		for _, o := range r.operands {
			v, err := o.translate(f)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		return list, nil
	}
	field, err := r.path.field(f)
	if err != nil {
		return nil, err
	}
	switch {
	case r.op == "~":
		return []any{"~", field, r.value}, nil
	case r.op != "=" && r.path.Root == "name":
		return nil, &UntranslatableError{fmt.Sprintf("A query cannot compare names by %s", r.op)}
	case r.op != "=" && r.number == nil:
		return nil, &UntranslatableError{fmt.Sprintf("A query cannot compare with %.80q, which is no number", r.value)}
	case r.op != "=":
		return []any{r.op, field, json.Number(trimmed(r.value))}, nil
	}
	plain := []any{"=", field, r.value}
	typed := typed(r.value)
	if typed == nil || r.path.Root == "name" {
		return plain, nil
	}
	return []any{"or", plain, []any{"=", field, typed}}, nil
}

// typed is the number or boolean that a text looks like, or nil.
func typed(text string) any {
	switch {
	case text == "true", text == "false":
		return text == "true"
	case numberOf(text) != nil:
		return json.Number(trimmed(text))
	}
	return nil
}

// trimmed makes a numeral one of JSON: no plus sign, no zeros at its beginning.
func trimmed(text string) string {
	sign := ""
	if rest, ok := strings.CutPrefix(text, "-"); ok {
		sign, text = "-", rest
	}
	text = strings.TrimPrefix(text, "+")
	for len(text) > 1 && text[0] == '0' && text[1] >= '0' && text[1] <= '9' {
		text = text[1:]
	}
	return sign + text
}

// field is what a query calls the path.
func (p Path) field(f Format) (any, error) {
	switch {
	case p.Root == "name":
		return "certname", nil
	case f == ForInventory:
		return p.dotted()
	case p.Root == "trusted":
		return nil, &UntranslatableError{"A query for nodes cannot speak of trusted data; ask for format=inventory"}
	case len(p.Segments) > 1:
		return nil, &UntranslatableError{"A query for nodes cannot speak of structured facts; ask for format=inventory"}
	}
	return []any{"fact", p.Segments[0]}, nil
}

// dotted is the path in the notation of the inventory entity, which has no
// quotes within quotes and one index behind a name at most.
func (p Path) dotted() (string, error) {
	text, plain := map[string]string{"fact": "facts", "trusted": "trusted"}[p.Root], false
	for _, s := range p.Segments {
		switch v := s.(type) {
		case int:
			if !plain {
				return "", &UntranslatableError{fmt.Sprintf("A query cannot ask for [%d] of %s", v, text)}
			}
			text += "[" + strconv.Itoa(v) + "]"
			plain = false
		case string:
			if v == "" || strings.ContainsAny(v, `"[]\\`) {
				return "", &UntranslatableError{fmt.Sprintf("A query cannot name %.80q", v)}
			}
			if plain = !strings.Contains(v, ".") && !strings.HasPrefix(v, "match("); !plain {
				v = `"` + v + `"`
			}
			text += "." + v
		}
	}
	return text, nil
}
