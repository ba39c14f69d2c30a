package classifier

import "slices"

// pin is the node that a condition is true for alone.
func (r *Rule) pin() (name string, ok bool) {
	return r.value, r.op == "=" && r.path.Root == "name"
}

// named is the condition that pins a node.
func named(name string) *Rule { return &Rule{op: "=", path: nameOf(), value: name} }

// parts are the conditions of which one has to match.
func (r *Rule) parts() []*Rule {
	switch {
	case r == nil:
		return nil
	case r.op == "or":
		return r.operands
	}
	return []*Rule{r}
}

// Pinned are the nodes that are pinned, in the order of the rule.
func (r *Rule) Pinned() []string {
	names := []string{}
	for _, part := range r.parts() {
		if name, ok := part.pin(); ok {
			names = append(names, name)
		}
	}
	return names
}

// Pin is the rule that also matches some nodes by their names.
func (r *Rule) Pin(names ...string) *Rule {
	have := map[string]bool{}
	for _, name := range r.Pinned() {
		have[name] = true
	}
	parts := slices.Clone(r.parts())
	for _, name := range names {
		if !have[name] {
			have[name] = true
			parts = append(parts, named(name))
		}
	}
	if len(parts) == len(r.parts()) {
		return r
	}
	return anyOf(parts)
}

// Unpin is the rule without some pinned nodes; nil when nothing is left.
func (r *Rule) Unpin(names ...string) *Rule {
	drop := make(map[string]bool, len(names))
	for _, name := range names {
		drop[name] = true
	}
	parts := slices.DeleteFunc(slices.Clone(r.parts()), func(part *Rule) bool {
		name, ok := part.pin()
		return ok && drop[name]
	})
	switch {
	case len(parts) == len(r.parts()):
		return r
	case len(parts) == 0:
		return nil
	}
	if _, pinned := parts[0].pin(); len(parts) == 1 && !pinned {
		return parts[0] // as before the first pin
	}
	return anyOf(parts)
}

func anyOf(parts []*Rule) *Rule {
	r := &Rule{op: "or", operands: parts}
	r.index()
	return r
}
