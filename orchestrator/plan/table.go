package plan

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"

	"github.com/dlclark/regexp2"
)

// first is the first match, nil for none.
func (r *regex) first(s []rune) *regexp2.Match {
	m, err := r.re.FindRunesMatch(s)
	if err != nil {
		return nil
	}
	return m
}

// functionNamed finds a function of Puppet, or what Bolt's types of results
// offer.
func functionNamed(name string) (function, bool) {
	for _, find := range [...]func(string) (function, bool){blockFunction, listFunction, textFunction, resultFunction} {
		if f, ok := find(name); ok {
			return f, true
		}
	}
	return function{}, false
}

// blockFunction are those that take a lambda.
func blockFunction(name string) (function, bool) {
	switch name {
	case "map":
		return function{1, 1, "must", 2, mapped}, true
	case "filter":
		return function{1, 1, "must", 2, filtered}, true
	case "filter_set":
		return function{1, 1, "must", 1, filterSet}, true
	case "any":
		return function{1, 1, "must", 2, anyOf}, true
	case "all":
		return function{1, 1, "must", 2, allOf}, true
	case "reduce":
		return function{1, 2, "must", 2, reduced}, true
	case "with", "then":
		return function{1, 1, "must", 1, func(i *invocation, args []any) (any, error) {
			if i.name == "then" && args[0] == nil {
				return nil, nil
			}
			return i.lambda.apply(i.scope, args...)
		}}, true
	}
	return function{}, false
}

// ofList makes a function of a list; sets of results are lists, too.
func ofList(f func(list []any) any) function {
	return function{1, 1, "", 0, func(i *invocation, args []any) (any, error) {
		list, ok := items(args[0])
		if !ok {
			return i.fail(args[0])
		}
		return f(list), nil
	}}
}

func listFunction(name string) (function, bool) {
	switch name {
	case "join":
		return function{1, 2, "", 0, join}, true
	case "first":
		return function{1, 2, "", 0, func(i *invocation, args []any) (any, error) { return end(i, args, false) }}, true
	case "last":
		return function{1, 2, "", 0, func(i *invocation, args []any) (any, error) { return end(i, args, true) }}, true
	case "length", "size", "count":
		return function{1, 1, "", 0, length}, true
	case "empty":
		return function{1, 1, "", 0, func(i *invocation, args []any) (any, error) {
			if args[0] == nil {
				return true, nil
			}
			n, err := length(i, args)
			return n == json.Number("0"), err
		}}, true
	case "flatten":
		return ofList(func(list []any) any { return flatten(list) }), true
	case "unique":
		return ofList(func(list []any) any { return unique(list) }), true
	case "sort":
		return function{1, 1, "", 0, sorted}, true
	case "dig", "get":
		return function{1, 32, "", 0, dig}, true
	case "keys", "values":
		return function{1, 1, "", 0, func(i *invocation, args []any) (any, error) {
			hash, ok := args[0].(map[string]any)
			if !ok {
				return i.fail(args[0])
			}
			made := []any{}
			for _, k := range keys(hash) {
				if name == "values" {
					made = append(made, hash[k])
				} else {
					made = append(made, k)
				}
			}
			return made, nil
		}}, true
	}
	return function{}, false
}

func textFunction(name string) (function, bool) {
	switch name {
	case "upcase":
		return cased(strings.ToUpper), true
	case "downcase":
		return cased(strings.ToLower), true
	case "capitalize":
		return cased(capitalize), true
	case "strip":
		return cased(strings.TrimSpace), true
	case "lstrip":
		return cased(func(s string) string { return strings.TrimLeft(s, " \t\r\n\v\f") }), true
	case "rstrip":
		return cased(func(s string) string { return strings.TrimRight(s, " \t\r\n\v\f\x00") }), true
	case "chomp":
		return cased(func(s string) string { return strings.TrimSuffix(strings.TrimSuffix(s, "\n"), "\r") }), true
	case "split":
		return function{2, 2, "", 0, split}, true
	case "String":
		return function{1, 1, "", 0, func(_ *invocation, args []any) (any, error) { return text(args[0]), nil }}, true
	case "Integer":
		return function{1, 1, "", 0, integer}, true
	case "unwrap":
		return function{1, 1, "", 0, func(_ *invocation, args []any) (any, error) {
			if s, ok := args[0].(Sensitive); ok {
				return s.value, nil
			}
			return args[0], nil
		}}, true
	}
	return function{}, false
}

// integer makes an integer of a number or a text.
func integer(i *invocation, args []any) (any, error) {
	f, isWhole, ok := numberOf(args[0])
	if !ok {
		return nil, badValue(i.line, "%s is not to be read as an Integer", kindOf(args[0]))
	}
	if isWhole {
		n, _ := f.Int64()
		return json.Number(strconv.FormatInt(n, 10)), nil
	}
	n, _ := f.Float64()
	if math.Abs(n) >= 1<<63 {
		return nil, badValue(i.line, "the number is larger than an integer can be")
	}
	return json.Number(strconv.FormatInt(int64(n), 10)), nil
}

// resultFunction are what ResultSets, Results, Errors and Targets offer.
func resultFunction(name string) (function, bool) {
	switch name {
	case "ok", "ok_set", "error_set", "names", "targets", "target", "value", "message", "action", "object", "status", "error", "report", "to_data",
		"results", "kind", "msg", "details", "issue_code", "name", "uri", "host", "safe_name", "sensitive":
		return function{1, 1, "", 0, attribute}, true
	case "find":
		return function{2, 2, "", 0, func(i *invocation, args []any) (any, error) {
			set, ok := args[0].(*ResultSet)
			if !ok {
				return i.fail(args[0])
			}
			for _, r := range set.Results {
				if r.Target == text(args[1]) {
					return r, nil
				}
			}
			return nil, nil
		}}, true
	}
	return function{}, false
}

// attribute asks a value for what it offers under the function's name.
func attribute(i *invocation, args []any) (any, error) {
	var v any
	ok := false
	switch of := args[0].(type) {
	case *ResultSet:
		v, ok = of.attribute(i.name)
	case *Result:
		v, ok = of.attribute(i.name)
	case *Error:
		v, ok = of.attribute(i.name)
	case Target:
		switch i.name {
		case "name", "uri", "host", "safe_name":
			return string(of), nil
		}
	}
	if !ok {
		return i.fail(args[0])
	}
	return v, nil
}

func (s *ResultSet) attribute(name string) (any, bool) {
	switch name {
	case "ok":
		return s.OK(), true
	case "ok_set":
		return s.part(true), true
	case "error_set":
		return s.part(false), true
	case "results":
		return s.list(), true
	case "to_data":
		return Data(s), true
	case "names", "targets":
		list := make([]any, len(s.Results))
		for i, r := range s.Results {
			list[i] = Target(r.Target)
			if name == "names" {
				list[i] = r.Target
			}
		}
		return list, true
	}
	return nil, false
}

func (r *Result) attribute(name string) (any, bool) {
	switch name {
	case "ok":
		return r.OK(), true
	case "target":
		return Target(r.Target), true
	case "value":
		return r.Value, true
	case "message":
		return r.Value["_output"], true
	case "sensitive":
		return r.Value["_sensitive"], true
	case "action":
		return r.Action, true
	case "object":
		return r.object(), true
	case "report":
		return r.Value["report"], true
	case "status":
		return r.status(), true
	case "to_data":
		return Data(r), true
	case "error":
		if r.OK() {
			return nil, true
		}
		return asError(r.Value["_error"]), true
	}
	return nil, false
}

func (e *Error) attribute(name string) (any, bool) {
	switch name {
	case "kind":
		return e.Kind, true
	case "msg", "message":
		return e.Msg, true
	case "details":
		if e.Details == nil {
			return map[string]any{}, true
		}
		return e.Details, true
	case "issue_code":
		if e.IssueCode == "" {
			return nil, true
		}
		return e.IssueCode, true
	case "to_data":
		return e.data(), true
	}
	return nil, false
}
