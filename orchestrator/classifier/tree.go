package classifier

import (
	"cmp"
	"slices"
	"strings"

	"dalang/orchestrator/rbac"
)

// tree is all groups at one time. It is never changed.
type tree struct {
	groups   map[string]*Group
	children map[string][]string // ids by the parent's
}

func newTree(list []Group) *tree {
	t := &tree{groups: map[string]*Group{}, children: map[string][]string{}}
	for i := range list {
		t.groups[list[i].ID] = &list[i]
	}
	for id, g := range t.groups {
		if id != rbac.RootGroup {
			t.children[g.Parent] = append(t.children[g.Parent], id)
		}
	}
	return t
}

// sorted is all groups by name.
func (t *tree) sorted() []Group {
	list := make([]Group, 0, len(t.groups))
	for _, g := range t.groups {
		list = append(list, *g)
	}
	slices.SortFunc(list, func(a, b Group) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Environment, b.Environment))
	})
	return list
}

// chain is a group and those above it, nearest first; nil if it is not known.
func (t *tree) chain(id string) []*Group {
	var list []*Group
	for g := t.groups[id]; g != nil && len(list) <= len(t.groups); g = t.groups[g.Parent] {
		list = append(list, g)
		if g.ID == rbac.RootGroup {
			break
		}
	}
	return list
}

// rule is the rule of a group with those of the groups above it; nil when it
// has none of its own.
func (t *tree) rule(id string) *Rule {
	chain := t.chain(id)
	if len(chain) == 0 || chain[0].Rule == nil {
		return nil
	}
	rules := make([]*Rule, len(chain))
	for i, g := range chain {
		rules[i] = g.Rule
	}
	return all(rules...)
}

// place checks where a group would stand in the tree.
func (t *tree) place(g *Group) error {
	if g.ID == rbac.RootGroup {
		if g.Parent != rbac.RootGroup {
			return rootFixed("is its own parent")
		}
		return nil
	}
	for _, other := range t.groups {
		if other.ID != g.ID && other.Name == g.Name && other.Environment == g.Environment {
			return unique(g)
		}
	}
	if g.Parent == g.ID {
		return cycle([]string{g.Name, g.Name})
	}
	above := t.chain(g.Parent)
	if above == nil {
		return missingParent(g.Parent)
	}
	names := []string{g.Name}
	for _, a := range above {
		if names = append(names, a.Name); a.ID == g.ID {
			return cycle(names)
		}
	}
	return nil
}

// lowest are those of the groups of a node that no other one is below.
func (t *tree) lowest(groups []*Group) []*Group {
	above := map[string]bool{}
	for _, g := range groups {
		for _, a := range t.chain(g.ID)[1:] {
			above[a.ID] = true
		}
	}
	var list []*Group
	for _, g := range groups {
		if !above[g.ID] {
			list = append(list, g)
		}
	}
	return list
}

// matched are the groups that a node is in, by name. Each rule is tried once.
func (t *tree) matched(n *Node) []*Group {
	in := map[string]bool{}
	var visit func(id string)
	visit = func(id string) {
		g := t.groups[id]
		if g.Rule != nil {
			if !g.Rule.Matches(n) {
				return
			}
			in[id] = true
		}
		for _, child := range t.children[id] {
			visit(child)
		}
	}
	visit(rbac.RootGroup)
	var list []*Group
	for id := range in {
		list = append(list, t.groups[id])
	}
	slices.SortFunc(list, func(a, b *Group) int { return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.ID, b.ID)) })
	return list
}
