package plan

import (
	"encoding/json"
	"fmt"
	"slices"
	"sort"
	"strings"
	"unicode"
)

// function is what can be called in an expression. The first argument is what
// stands before the point.
type function struct {
	low, high int    // how many arguments it takes
	block     string // "": takes no lambda; "may", "must"
	most      int    // variables of the lambda
	run       func(i *invocation, args []any) (any, error)
}

// invocation is a call that is being evaluated.
type invocation struct {
	call
	scope *scope
}

func (i *invocation) fail(v any) (any, error) {
	return nil, badValue(i.line, "the function '%s' cannot be used on %s", i.name, kindOf(v))
}

// call makes a call of a function that expressions may use.
func (p *parser) call(name token, args []expr, method bool) expr {
	l := p.lambda()
	f, ok := functionNamed(name.text)
	if !ok || !method && f.low > 0 && len(args) == 0 {
		p.unknown(name, ok)
	}
	got := len(args)
	switch {
	case got < f.low || got > f.high:
		behind := ""
		if method {
			behind = ", what stands before the point among them"
		}
		want := fmt.Sprint(f.low)
		if f.high > f.low {
			want = fmt.Sprintf("%d to %d", f.low, f.high)
		}
		fail(name.line, "the function '%s' takes %s arguments%s, and is given %d", name.text, want, behind, got)
	case l != nil && f.block == "":
		fail(name.line, "the function '%s' takes no block |…| {…}", name.text)
	case l == nil && f.block == "must":
		fail(name.line, "the function '%s' needs a block |…| {…}", name.text)
	case l != nil && len(l.names) > f.most:
		fail(name.line, "the block of '%s' takes at most %d variables", name.text, f.most)
	}
	return call{name.text, p.base + name.line, f, args, l}
}

// unknown says what to do instead of calling a function.
func (p *parser) unknown(name token, known bool) {
	instead := ""
	switch name.text {
	case "run_command", "run_script", "run_task", "run_plan", "upload_file", "download_file":
		kind := strings.TrimSuffix(strings.TrimPrefix(name.text, "run_"), "_file")
		instead = fmt.Sprintf("; a step with the key '%s' does that", kind)
	case "out::message":
		instead = "; a step with the key 'message' does that"
	default:
		if known {
			instead = " without an argument"
		}
	}
	fail(name.line, "the function '%s' cannot be called here%s", name.text, instead)
}

// items are the elements of what can be gone through; a map's are pairs.
func items(v any) ([]any, bool) {
	switch v := v.(type) {
	case []any:
		return v, true
	case *ResultSet:
		return v.list(), true
	case map[string]any:
		list := make([]any, 0, len(v))
		for _, k := range keys(v) {
			list = append(list, []any{k, v[k]})
		}
		return list, true
	}
	return nil, false
}

// each calls the lambda for every item: with the key and the value where it
// takes two; of a list the key is the position.
func (i *invocation) each(v any, f func(item, result any) (more bool)) error {
	list, ok := items(v)
	if !ok {
		_, err := i.fail(v)
		return err
	}
	_, pairs := v.(map[string]any)
	for n, item := range list {
		args := []any{item}
		if len(i.lambda.names) == 2 {
			args = []any{json.Number(fmt.Sprint(n)), item}
			if pairs {
				args = item.([]any)
			}
		}
		result, err := i.lambda.apply(i.scope, args...)
		if err != nil {
			return err
		}
		if !f(item, result) {
			break
		}
	}
	return nil
}

func mapped(i *invocation, args []any) (any, error) {
	made := []any{}
	err := i.each(args[0], func(_, result any) bool { made = append(made, result); return true })
	return made, err
}

// filtered keeps the kind of what it filters.
func filtered(i *invocation, args []any) (any, error) {
	kept := []any{}
	err := i.each(args[0], func(item, result any) bool {
		if truthy(result) {
			kept = append(kept, item)
		}
		return true
	})
	if err != nil {
		return nil, err
	}
	if _, pairs := args[0].(map[string]any); pairs {
		hash := map[string]any{}
		for _, pair := range kept {
			hash[pair.([]any)[0].(string)] = pair.([]any)[1]
		}
		return hash, nil
	}
	return kept, nil
}

func filterSet(i *invocation, args []any) (any, error) {
	if _, ok := args[0].(*ResultSet); !ok {
		return i.fail(args[0])
	}
	kept, err := filtered(i, args)
	if err != nil {
		return nil, err
	}
	return setOf(kept.([]any)), nil
}

func anyOf(i *invocation, args []any) (any, error) {
	found := false
	err := i.each(args[0], func(_, result any) bool { found = truthy(result); return !found })
	return found, err
}

func allOf(i *invocation, args []any) (any, error) {
	all := true
	err := i.each(args[0], func(_, result any) bool { all = truthy(result); return all })
	return all, err
}

// reduced folds a list; without a value to begin with, with its first item.
func reduced(i *invocation, args []any) (any, error) {
	list, ok := items(args[0])
	if !ok {
		return i.fail(args[0])
	}
	var memo any
	switch {
	case len(args) == 2:
		memo = args[1]
	case len(list) > 0:
		memo, list = list[0], list[1:]
	}
	for _, item := range list {
		var err error
		if memo, err = i.lambda.apply(i.scope, memo, item); err != nil {
			return nil, err
		}
	}
	return memo, nil
}

func join(i *invocation, args []any) (any, error) {
	list, ok := args[0].([]any)
	if !ok {
		return i.fail(args[0])
	}
	var b strings.Builder
	separator := ""
	if len(args) == 2 {
		separator = text(args[1])
	}
	flat := flatten(list)
	if len(separator)*len(flat) > maxText {
		return nil, badValue(i.line, "a text is longer than %d bytes", maxText)
	}
	for n, v := range flat {
		if n > 0 {
			b.WriteString(separator)
		}
		if writeText(&b, v); b.Len() > maxText {
			return nil, badValue(i.line, "a text is longer than %d bytes", maxText)
		}
	}
	return b.String(), nil
}

func flatten(list []any) []any {
	flat := []any{}
	for _, v := range list {
		if inner, ok := v.([]any); ok {
			flat = append(flat, flatten(inner)...)
		} else {
			flat = append(flat, v)
		}
	}
	return flat
}

func unique(list []any) []any {
	kept := []any{}
	seen := map[string]bool{}
	for _, v := range list {
		// Texts that differ in case are two here, as in Puppet.
		plain, _ := reveal(v) // secrets differ, too
		key, err := JSON(plain)
		if name := kindOf(v) + string(key); err == nil && !seen[name] {
			seen[name] = true
			kept = append(kept, v)
		}
	}
	return kept
}

func sorted(i *invocation, args []any) (any, error) {
	list, ok := args[0].([]any)
	if !ok {
		return i.fail(args[0])
	}
	made, comparable := slices.Clone(list), true
	sort.SliceStable(made, func(a, b int) bool {
		c, ok := order(made[a], made[b])
		comparable = comparable && ok
		return c < 0
	})
	if !comparable {
		return nil, badValue(i.line, "the items cannot be sorted: they are not all Strings, or all numbers")
	}
	return made, nil
}

func length(i *invocation, args []any) (any, error) {
	n := 0
	switch v := args[0].(type) {
	case string:
		n = len([]rune(v))
	case []any:
		n = len(v)
	case map[string]any:
		n = len(v)
	case *ResultSet:
		n = len(v.Results)
	default:
		return i.fail(v)
	}
	return json.Number(fmt.Sprint(n)), nil
}

// end gives the first or the last items.
func end(i *invocation, args []any, last bool) (any, error) {
	list, ok := items(args[0])
	if !ok {
		return i.fail(args[0])
	}
	if len(args) == 1 {
		if len(list) == 0 {
			return nil, nil
		}
		if last {
			return list[len(list)-1], nil
		}
		return list[0], nil
	}
	n, ok := whole(args[1])
	if !ok || n < 0 {
		return nil, badValue(i.line, "'%s' takes a number of items, and is given %s", i.name, kindOf(args[1]))
	}
	n = min(n, len(list))
	if last {
		return list[len(list)-n:], nil
	}
	return list[:n], nil
}

// cased changes texts, also those in a list.
func cased(change func(string) string) function {
	var run func(i *invocation, args []any) (any, error)
	run = func(i *invocation, args []any) (any, error) {
		switch v := args[0].(type) {
		case string:
			return change(v), nil
		case Target:
			return change(string(v)), nil
		case json.Number:
			return v, nil
		case []any:
			made := make([]any, len(v))
			for n, e := range v {
				var err error
				if made[n], err = run(i, []any{e}); err != nil {
					return nil, err
				}
			}
			return made, nil
		default:
			return i.fail(v)
		}
	}
	return function{1, 1, "", 0, run}
}

func capitalize(s string) string {
	for n, r := range s {
		return string(unicode.ToUpper(r)) + s[n+len(string(r)):]
	}
	return s
}

func split(i *invocation, args []any) (any, error) {
	s, ok := args[0].(string)
	if !ok {
		return i.fail(args[0])
	}
	made := []any{}
	re, isRegex := args[1].(*regex)
	separator, isText := args[1].(string)
	switch {
	case isText && separator != "":
		for _, part := range strings.Split(s, separator) {
			made = append(made, part)
		}
	case isText:
		for _, r := range s {
			made = append(made, string(r))
		}
	case isRegex:
		rest := []rune(s)
		from, m, err := 0, re.first(rest), error(nil)
		for ; m != nil && err == nil; m, err = re.re.FindNextMatch(m) {
			if m.Length == 0 {
				continue
			}
			made = append(made, string(rest[from:m.Index]))
			from = m.Index + m.Length
		}
		if err != nil {
			return nil, badValue(i.line, "the regular expression /%s/ takes too long", re.source)
		}
		made = append(made, string(rest[from:]))
	default:
		return nil, badValue(i.line, "'split' takes a String or a Regexp, and is given %s", kindOf(args[1]))
	}
	for len(made) > 0 && made[len(made)-1] == "" { // as Ruby does
		made = made[:len(made)-1]
	}
	return made, nil
}

// dig goes through keys and indexes; what is not there is undef.
func dig(i *invocation, args []any) (any, error) {
	v := args[0]
	for _, key := range args[1:] {
		if v == nil {
			return nil, nil
		}
		var err error
		if v, err = at(i.line, v, []any{key}); err != nil {
			return nil, err
		}
	}
	return v, nil
}
