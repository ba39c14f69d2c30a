package classifier

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"

	"dalang/orchestrator/job"
	"dalang/orchestrator/rbac"
)

// InEnvironment are the active nodes that the groups assign to an environment,
// in the order of their names. The lowest groups of a node count, as in
// Classify, but for the root group: who is in no other one is not assigned to
// anything. Nor is a node whose groups disagree.
func (c *Classifier) InEnvironment(ctx context.Context, environment string) ([]string, error) {
	return c.tree.Load().assigned(ctx, c.cfg.Nodes, environment)
}

// InEnvironment is that of a Classifier, with the groups as the other classifier
// has them (GET /v1/groups). Errors about the classifier and its rules are
// *job.Error.
func (r *Remote) InEnvironment(ctx context.Context, environment string) ([]string, error) {
	t, err := r.groups(ctx)
	if err != nil {
		return nil, err
	}
	return t.assigned(ctx, r.cfg.Nodes, environment)
}

// groups asks for all groups.
func (r *Remote) groups(ctx context.Context) (*tree, error) {
	var answer []struct {
		ID          string          `json:"id"`
		Name        string          `json:"name"`
		Parent      string          `json:"parent"`
		Environment string          `json:"environment"`
		Trumps      bool            `json:"environment_trumps"`
		Rule        json.RawMessage `json:"rule"`
	}
	ask, cancel := context.WithTimeout(ctx, r.cfg.Timeout)
	defer cancel()
	if _, err := r.up.JSON(ask, "/v1/groups", nil, &answer); err != nil {
		return nil, job.NodeGroup(http.StatusServiceUnavailable, "", "Which nodes the classifier assigns to the environment cannot be told now: %v", err)
	}
	list := make([]Group, 0, len(answer))
	for _, a := range answer {
		g := Group{ID: a.ID, Name: a.Name, Parent: a.Parent, Environment: a.Environment, EnvironmentTrumps: a.Trumps}
		if len(a.Rule) > 0 && !isNull(a.Rule) {
			var err error
			if g.Rule, err = ParseRule(a.Rule); err != nil {
				return nil, job.NodeGroup(http.StatusBadRequest, a.ID, "The node group %s has a rule that cannot be matched here: %v", a.ID, err)
			}
		}
		list = append(list, g)
	}
	t := newTree(list)
	if t.groups[rbac.RootGroup] == nil {
		return nil, job.NodeGroup(http.StatusServiceUnavailable, rbac.RootGroup,
			"Which nodes the classifier assigns to the environment cannot be told: it does not show the root group %s", rbac.RootGroup)
	}
	return t, nil
}

// assigned are the nodes that the groups assign to an environment. Nodes are not
// looked at when no group could do that.
func (t *tree) assigned(ctx context.Context, nodes Nodes, environment string) ([]string, error) {
	possible := false
	var facts []string
	for id, g := range t.groups {
		possible = possible || id != rbac.RootGroup && g.Rule != nil && g.Environment == environment
		facts = append(facts, g.Rule.Facts()...)
	}
	if !possible {
		return nil, nil
	}
	slices.Sort(facts)
	var certnames []string
	err := nodes.EachNode(ctx, slices.Compact(facts), func(certname string, facts map[string]json.RawMessage) error {
		if t.assigns(&Node{Name: certname, Facts: facts}, environment) {
			certnames = append(certnames, certname)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("match the rules of groups of the environment %s: %w", environment, err)
	}
	return certnames, nil
}

// assigns tells whether the groups assign a node to an environment.
func (t *tree) assigns(n *Node, environment string) bool {
	m := merger{said: map[string]string{}, by: map[string]string{}, conflicts: map[string]any{}}
	for _, g := range t.lowest(t.matched(n)) {
		if g.ID != rbac.RootGroup {
			m.environment(g)
		}
	}
	return m.said["environment"] == environment && m.conflicts["environment"] == nil
}
