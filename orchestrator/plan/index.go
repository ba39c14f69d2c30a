package plan

import (
	"encoding/json"
	"strconv"
	"strings"
)

func (i index) eval(s *scope) (any, error) {
	of, err := i.of.eval(s)
	if err != nil {
		return nil, err
	}
	args := make([]any, len(i.args))
	for n, e := range i.args {
		if args[n], err = e.eval(s); err != nil {
			return nil, err
		}
	}
	if err := s.spend(i.line, 1+size(of)); err != nil {
		return nil, err
	}
	return at(i.line, of, args)
}

// whole reads an integer.
func whole(v any) (int, bool) {
	n, ok := v.(json.Number)
	if !ok {
		return 0, false
	}
	i, err := strconv.Atoi(string(n))
	return i, err == nil
}

// at is what [] gives: nothing is undef.
func at(line int, of any, args []any) (any, error) {
	switch of := of.(type) {
	case nil:
		return nil, badValue(line, "undef has no items; a step that gave nothing, or a key that is not there, is undef")
	case map[string]any:
		if len(args) == 1 {
			return of[text(args[0])], nil
		}
		return nil, badValue(line, "a Hash takes one key within []")
	case *Result:
		if len(args) == 1 {
			return of.Value[text(args[0])], nil
		}
		return nil, badValue(line, "a Result takes one key within []")
	case *ResultSet:
		list, err := part(line, of.list(), args)
		if many, ok := list.([]any); ok {
			return setOf(many), err
		}
		return list, err
	case []any:
		return part(line, of, args)
	case string:
		runes := []rune(of)
		list := make([]any, len(runes))
		for i, r := range runes {
			list[i] = string(r)
		}
		v, err := part(line, list, args)
		if many, ok := v.([]any); ok {
			var b strings.Builder
			for _, r := range many {
				b.WriteString(r.(string))
			}
			return b.String(), err
		}
		return v, err
	}
	return nil, badValue(line, "[] cannot be used on %s", kindOf(of))
}

// part is an item of a list, or some of them.
func part(line int, list []any, args []any) (any, error) {
	from, ok := whole(args[0])
	if !ok {
		return nil, badValue(line, "the index of an item must be an integer, and is %s", kindOf(args[0]))
	}
	if from < 0 {
		from += len(list)
	}
	if len(args) == 1 {
		if from < 0 || from >= len(list) {
			return nil, nil
		}
		return list[from], nil
	}
	n, ok := whole(args[1])
	if !ok {
		return nil, badValue(line, "the number of items must be an integer, and is %s", kindOf(args[1]))
	}
	from = min(max(from, 0), len(list))
	if n < 0 { // counts from the end
		n = max(len(list)+n+1-from, 0)
	}
	return list[from : from+min(n, len(list)-from)], nil
}

// setOf is a set of results again, if that is what they are.
func setOf(list []any) any {
	set := &ResultSet{}
	for _, v := range list {
		r, ok := v.(*Result)
		if !ok {
			return list
		}
		set.Results = append(set.Results, r)
	}
	return set
}
