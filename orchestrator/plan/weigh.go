package plan

import "encoding/json"

// Limits of a value, as it would be written in full: lists and maps share what
// is in them, so a short expression can make a value that nobody could write.
const (
	maxWeight  = 4 << 20 // parts, and 16 bytes of text each
	maxNesting = 1000
)

// weigh refuses values that are too large, and counts the work of looking.
func (s *scope) weigh(line int, v any) error {
	n := weight(v, maxNesting, min(maxWeight, *s.work))
	if n > maxWeight {
		return badValue(line, "a value is larger than a plan can hold, or nests deeper than %d", maxNesting)
	}
	return s.spend(line, n)
}

// weight stops counting above limit, and below depth.
func weight(v any, depth, limit int) int {
	if depth == 0 {
		return maxWeight + 1
	}
	n := 1
	add := func(inner any) bool {
		n += weight(inner, depth-1, limit-n)
		return n <= limit
	}
	switch v := v.(type) {
	case string:
		n += len(v) / 16
	case json.Number:
		n += len(v) / 16
	case []any:
		for _, e := range v {
			if !add(e) {
				break
			}
		}
	case map[string]any:
		for k, e := range v {
			if !add(k) || !add(e) {
				break
			}
		}
	case *ResultSet:
		for _, r := range v.Results {
			if !add(r.Value) {
				break
			}
		}
	case *Result:
		add(v.Value)
	case *Error:
		add(v.Details)
	case Sensitive:
		add(v.value)
	}
	return n
}
