package pdb

import (
	"errors"
	"slices"
	"strings"
)

// objectName is the name of an MBean, domain:key=value,… — or a pattern for
// such names: "*" and "?" in the domain and in values, and ",*" (or a lone "*")
// for any further keys.
type objectName struct {
	domain string
	keys   [][2]string // sorted: the canonical form
	more   bool        // any further keys
}

// parseObjectName fails with the words of upstream's JMX.
func parseObjectName(s string) (objectName, error) {
	domain, rest, ok := strings.Cut(s, ":")
	if !ok || rest == "" {
		return objectName{}, errors.New("Invalid object name. Key properties cannot be empty")
	}
	n := objectName{domain: domain}
	for _, pair := range splitKeys(rest) {
		if pair == "*" {
			n.more = true
			continue
		}
		k, v, ok := strings.Cut(pair, "=")
		if !ok || k == "" {
			return objectName{}, errors.New("Invalid object name. Key properties cannot be empty")
		}
		n.keys = append(n.keys, [2]string{k, v})
	}
	slices.SortFunc(n.keys, func(a, b [2]string) int { return strings.Compare(a[0], b[0]) })
	return n, nil
}

// splitKeys splits at commas outside of quotes.
func splitKeys(s string) []string {
	var out []string
	start, quoted := 0, false
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\' && quoted:
			i++
		case s[i] == '"':
			quoted = !quoted
		case s[i] == ',' && !quoted:
			out = append(out, s[start:i])
			start = i + 1
		}
	}
	return append(out, s[start:])
}

// props is the part behind the colon, in canonical order.
func (n objectName) props() string {
	parts := make([]string, 0, len(n.keys)+1)
	for _, kv := range n.keys {
		parts = append(parts, kv[0]+"="+kv[1])
	}
	if n.more {
		parts = append(parts, "*")
	}
	return strings.Join(parts, ",")
}

// String is the canonical form.
func (n objectName) String() string { return n.domain + ":" + n.props() }

// pattern tells whether the name can stand for several.
func (n objectName) pattern() bool {
	if n.more || strings.ContainsAny(n.domain, "*?") {
		return true
	}
	return slices.ContainsFunc(n.keys, func(kv [2]string) bool { return strings.ContainsAny(kv[1], "*?") })
}

// matches tells whether the pattern n stands for the name o.
func (n objectName) matches(o objectName) bool {
	if !glob(n.domain, o.domain) || len(n.keys) > len(o.keys) || !n.more && len(n.keys) != len(o.keys) {
		return false
	}
	for _, kv := range n.keys {
		i := slices.IndexFunc(o.keys, func(okv [2]string) bool { return okv[0] == kv[0] })
		if i < 0 || !glob(kv[1], o.keys[i][1]) {
			return false
		}
	}
	return true
}

// glob matches "*" and "?" in time linear in both for each star.
func glob(pattern, s string) bool {
	star, mark := -1, 0
	p, i := 0, 0
	for i < len(s) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, i
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == s[i]):
			p++
			i++
		case star >= 0:
			mark++
			p, i = star+1, mark
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}
