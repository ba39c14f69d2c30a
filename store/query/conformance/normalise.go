package conformance

import (
	"encoding/json"
	"regexp"
	"sort"
	"strconv"
	"strings"
)

// A pattern is a path such as $[*].data, $.a["b"] or $..tags.
type pattern []token

type token struct {
	key  string
	star bool
	deep bool
}

var tokens = regexp.MustCompile(`(\.\.?)(\*|[^.\[\]]+)|\["([^"]*)"\]|\[(\*)\]|\[(\d+)\]`)

func compile(list []string) []pattern {
	var out []pattern
	for _, text := range list {
		var p pattern
		for _, m := range tokens.FindAllStringSubmatch(text, -1) {
			if m[1] == ".." {
				p = append(p, token{deep: true})
			}
			switch {
			case m[2] == "*" || m[4] == "*":
				p = append(p, token{star: true})
			case m[2] != "":
				p = append(p, token{key: m[2]})
			case m[5] != "":
				p = append(p, token{key: m[5]})
			default:
				p = append(p, token{key: m[3]})
			}
		}
		out = append(out, p)
	}
	return out
}

func (p pattern) match(path []string) bool {
	if len(p) == 0 {
		return len(path) == 0
	}
	if p[0].deep {
		for i := range len(path) + 1 {
			if p[1:].match(path[i:]) {
				return true
			}
		}
		return false
	}
	return len(path) > 0 && (p[0].star || p[0].key == path[0]) && p[1:].match(path[1:])
}

func any1(list []pattern, path []string) bool {
	for _, p := range list {
		if p.match(path) {
			return true
		}
	}
	return false
}

type normaliser struct {
	masks, unordered []pattern
	anyCorrective    bool
}

// norm replaces masked values by their shape, numbers by their value, and
// sorts arrays without order.
func (n normaliser) norm(v any, path []string) any {
	if any1(n.masks, path) {
		return shape(v)
	}
	at := func(k string) []string { return append(path[:len(path):len(path)], k) }
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, x := range v {
			out[k] = n.norm(x, at(k))
			if n.anyCorrective && strings.HasSuffix(k, "corrective_change") {
				out[k] = "<corrective_change>"
			}
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, x := range v {
			out[i] = n.norm(x, at(strconv.Itoa(i)))
		}
		if any1(n.unordered, path) {
			sort.Slice(out, func(i, j int) bool { return key(out[i]) < key(out[j]) })
		}
		return out
	case json.Number:
		return canonical(v)
	}
	return v
}

var shapes = [...]struct {
	name string
	rx   *regexp.Regexp
}{
	{"<timestamp>", regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$`)},
	{"<sha1>", regexp.MustCompile(`^[0-9a-f]{40}$`)},
	{"<uuid>", regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)},
}

func shape(v any) any {
	switch v := v.(type) {
	case string:
		for _, s := range shapes {
			if s.rx.MatchString(v) {
				return s.name
			}
		}
		return "<string>"
	case []any:
		return "<array>"
	case map[string]any:
		return "<object>"
	case json.Number:
		return "<number>"
	}
	return v
}
