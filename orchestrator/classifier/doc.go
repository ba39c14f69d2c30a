// Package classifier keeps groups of nodes and says which nodes are in them:
// the part of a classifier that scopes of jobs need (orchestrator.md §4.2).
//
// # Groups
//
// Groups form a tree below "All Nodes", rbac.RootGroup, which is its own
// parent. A node is in a group when the group's rule and the rules of all
// groups above it match. A group without a rule has no nodes; as a group above
// it filters nothing.
//
// # Rules
//
//	condition  = ["and" | "or", condition…] | ["not", condition] | [operator, path, value]
//	operator   = "=" | "~" | ">" | ">=" | "<" | "<="
//	path       = "name" | ["fact" | "trusted", string, (string | integer)…]
//	value      = string
//
// Values are strings, whatever the type of the fact: a scalar is compared as
// its text, true as "true" and 4 as "4". "=" is equality, "~" finds a regular
// expression (RE2) anywhere in the text, the others compare numbers and do not
// match when either side is none. What is not there, null, an object or an
// array matches nothing. "and" of nothing matches, "or" of nothing does not.
// Trusted data is the fact "trusted" of the node.
//
// A node is pinned to a group by ["=", "name", certname] as the rule, or as one
// of the conditions of an "or" that is the rule.
//
// # Whose nodes
//
// Rules are matched in memory against the latest facts of the active nodes, of
// which only the facts that the rules speak of are read. Translate makes
// queries of them for clients that ask the query API themselves; those can
// differ where text and types do.
package classifier
