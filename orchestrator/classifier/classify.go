package classifier

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
)

// Classification is what the groups of a node say of it.
type Classification struct {
	Name        string
	Environment string
	Groups      []*Group // by name
	values
}

// values are what groups give to nodes.
type values struct {
	Classes, ConfigData Classes
	Variables           Params
}

// inherited are the values of a group with those above it; the nearer wins.
func inherited(chain []*Group) values {
	v := values{Classes{}, Classes{}, Params{}}
	for _, g := range slices.Backward(chain) {
		for _, layer := range []struct{ into, from Classes }{{v.Classes, g.Classes}, {v.ConfigData, g.ConfigData}} {
			for name, params := range layer.from {
				layer.into[name] = overlaid(layer.into[name], params)
			}
		}
		maps.Copy(v.Variables, g.Variables)
	}
	return v
}

// Classify says what the groups make of a node. With given nil, the stored
// facts of the node count. Groups that disagree are a *job.Error, which tells
// on what.
func (c *Classifier) Classify(ctx context.Context, certname string, given map[string]json.RawMessage) (*Classification, error) {
	t := c.tree.Load()
	if given == nil {
		var err error
		if given, err = c.cfg.Nodes.NodeFacts(ctx, certname); err != nil {
			return nil, fmt.Errorf("read the facts of %s: %w", certname, err)
		}
	}
	out := &Classification{Name: certname, Groups: t.matched(&Node{Name: certname, Facts: given}), values: values{Classes{}, Classes{}, Params{}}}
	m := merger{into: out, said: map[string]string{}, by: map[string]string{}, conflicts: map[string]any{}}
	for _, g := range t.lowest(out.Groups) {
		m.add(g, inherited(t.chain(g.ID)))
	}
	m.settle()
	if len(m.conflicts) > 0 {
		return nil, refused(http.StatusInternalServerError, "classification-conflict", m.conflicts,
			"The groups of the node %s disagree on %v", certname, slices.Sorted(maps.Keys(m.conflicts)))
	}
	return out, nil
}

// merger puts together what the lowest groups of a node say.
type merger struct {
	into      *Classification
	said, by  map[string]string // a value by what it is of, and the group that said so
	conflicts map[string]any
	trumping  bool // the environment is of a group that overrides others
}

func (m *merger) add(g *Group, v values) {
	m.environment(g)
	for _, layer := range []struct {
		what       string
		into, from Classes
	}{{"classes", m.into.Classes, v.Classes}, {"config_data", m.into.ConfigData, v.ConfigData}} {
		for class, params := range layer.from {
			if layer.into[class] == nil {
				layer.into[class] = Params{}
			}
			for name, value := range params {
				m.say(g, layer.what+"."+class+"."+name, string(value))
				layer.into[class][name] = value
			}
		}
	}
	for name, value := range v.Variables {
		m.say(g, "variables."+name, string(value))
		m.into.Variables[name] = value
	}
}

func (m *merger) environment(g *Group) {
	if g.EnvironmentTrumps && !m.trumping {
		m.trumping = true
		delete(m.said, "environment")
		delete(m.conflicts, "environment")
	}
	if g.EnvironmentTrumps == m.trumping {
		m.say(g, "environment", g.Environment)
	}
}

func (m *merger) say(g *Group, what, value string) {
	if before, ok := m.said[what]; ok && before != value {
		m.conflicts[what] = []string{m.by[what], g.Name}
		return
	}
	m.said[what], m.by[what] = value, g.Name
}

func (m *merger) settle() { m.into.Environment = m.said["environment"] }
