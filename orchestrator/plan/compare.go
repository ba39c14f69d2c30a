package plan

import (
	"encoding/json"
	"strings"
)

// equal compares as == does.
func equal(a, b any) bool {
	switch x := a.(type) {
	case Target:
		return equal(string(x), b)
	case string:
		switch y := b.(type) {
		case string:
			return strings.EqualFold(x, y)
		case Target:
			return strings.EqualFold(x, string(y))
		}
		return false
	case json.Number:
		y, ok := b.(json.Number)
		if !ok {
			return false
		}
		f, _, okX := numberOf(x)
		g, _, okY := numberOf(y)
		return okX && okY && f.Cmp(g) == 0
	case []any:
		y, ok := b.([]any)
		if !ok || len(x) != len(y) {
			return false
		}
		for i := range x {
			if !equal(x[i], y[i]) {
				return false
			}
		}
		return true
	case map[string]any:
		y, ok := b.(map[string]any)
		if !ok || len(x) != len(y) {
			return false
		}
		for k, v := range x {
			if w, there := y[k]; !there || !equal(v, w) {
				return false
			}
		}
		return true
	case Sensitive:
		y, ok := b.(Sensitive)
		return ok && equal(x.value, y.value)
	case *regex:
		y, ok := b.(*regex)
		return ok && x.source == y.source
	}
	return a == b // nil, bool, and pointers
}

func contains(list []any, v any) bool {
	for _, e := range list {
		if equal(e, v) {
			return true
		}
	}
	return false
}

// order compares numbers with numbers and texts with texts.
func order(a, b any) (int, bool) {
	if t, ok := a.(Target); ok {
		a = string(t)
	}
	if t, ok := b.(Target); ok {
		b = string(t)
	}
	switch x := a.(type) {
	case string:
		y, ok := b.(string)
		return strings.Compare(strings.ToLower(x), strings.ToLower(y)), ok
	case json.Number:
		y, ok := b.(json.Number)
		f, _, okX := numberOf(x)
		g, _, okY := numberOf(y)
		if !ok || !okX || !okY {
			return 0, false
		}
		return f.Cmp(g), true
	}
	return 0, false
}

func ordered(op string, line int, a, b any) (any, error) {
	c, ok := order(a, b)
	if !ok {
		return nil, badValue(line, "%s and %s cannot be compared by '%s'", kindOf(a), kindOf(b), op)
	}
	switch op {
	case "<":
		return c < 0, nil
	case "<=":
		return c <= 0, nil
	case ">":
		return c > 0, nil
	}
	return c >= 0, nil
}

// match looks for a regular expression, or a text as one, in a text.
func match(line int, left, right any) (bool, error) {
	re, ok := right.(*regex)
	if !ok {
		return false, badValue(line, "behind '=~' must be a regular expression, and there is %s", kindOf(right))
	}
	s, ok := left.(string)
	if t, target := left.(Target); target {
		s, ok = string(t), true
	}
	if !ok {
		return false, badValue(line, "only a String can be matched, and there is %s", kindOf(left))
	}
	found, err := re.re.MatchString(s)
	if err != nil {
		return false, badValue(line, "the regular expression /%s/ takes too long", re.source)
	}
	return found, nil
}

// within is the operator in.
func within(line int, v, where any) (any, error) {
	switch where := where.(type) {
	case []any:
		if re, ok := v.(*regex); ok {
			for _, e := range where {
				if s, isText := e.(string); isText {
					if found, err := match(line, s, re); found || err != nil {
						return found, err
					}
				}
			}
			return false, nil
		}
		return contains(where, v), nil
	case map[string]any:
		for k := range where {
			if equal(k, v) {
				return true, nil
			}
		}
		return false, nil
	case string:
		if re, ok := v.(*regex); ok {
			return match(line, where, re)
		}
		s, ok := v.(string)
		return ok && strings.Contains(strings.ToLower(where), strings.ToLower(s)), nil
	}
	return false, nil
}
