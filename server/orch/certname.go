package orch

import (
	"fmt"
	"regexp"
	"strings"
	"unicode"
)

// nodeRule says which names of nodes a command takes. A name that no node can
// have is a mistake in the request, and not a node that is waited for.
type nodeRule struct {
	expected string
	ok       func(name string) bool
}

var certname = regexp.MustCompile(`\A[ -.0-~]+\z`)

// agentNames is the rule where agents run what is asked for: Puppet's for the
// names of certificates, which is printable ASCII without slashes, less the
// asterisk, which the broker lets nobody connect with, and less blanks at the
// ends, which configuration files cannot express. Puppet wants lower case as
// well; other CAs do not.
func agentNames() nodeRule {
	return nodeRule{"a certname: printable ASCII without / and *, and without blanks at its ends", func(name string) bool {
		return certname.MatchString(name) && !strings.Contains(name, "*") && strings.TrimSpace(name) == name
	}}
}

// hostNames is the rule where nodes may be reached without an agent, under
// names of the user's own, which may be URIs.
func hostNames() nodeRule {
	return nodeRule{"the name of a node, without control characters and blanks at its ends", func(name string) bool {
		return !strings.ContainsFunc(name, unicode.IsControl) && strings.TrimSpace(name) == name
	}}
}

// nodes is a member that is an array of names of nodes. given tells an empty
// array from none.
func (o *object) nodes(key string, rule nodeRule) (list []string, given bool) {
	list, given = o.names(key, maxNodes)
	for i, name := range list {
		if !rule.ok(name) {
			o.wrong(fmt.Sprintf("%s[%d]", key, i), rule.expected, quoted(name))
			return nil, false
		}
	}
	return list, given
}
