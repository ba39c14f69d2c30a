package orchestrator_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"dalang/orchestrator"
	"dalang/orchestrator/job"
)

// site is what scopes are resolved against.
type site struct {
	inside     map[string][]string // nodes by environment
	found      []string            // by every query
	members    map[string][]string // of groups
	assigned   map[string][]string // by groups, by environment
	groupless  error               // what groups say of environments
	components []job.Component
	broken     error // what everybody says
}

func (s *site) Certnames(context.Context, json.RawMessage) ([]string, error) {
	return s.found, s.broken
}
func (s *site) Seen(_ context.Context, name string) (bool, error) {
	return s.inside[name] != nil, s.broken
}
func (s *site) InEnvironment(_ context.Context, name string) ([]string, error) {
	return s.inside[name], s.broken
}

func (s *site) Resolve(_ context.Context, id string) ([]string, error) {
	return s.members[id], s.broken
}

// groups are those of a site.
type groups struct{ *site }

func (g groups) InEnvironment(_ context.Context, name string) ([]string, error) {
	return g.assigned[name], g.groupless
}

func (s *site) Components(_ context.Context, environment string) ([]job.Component, error) {
	if environment != "production" {
		return nil, s.broken
	}
	return s.components, s.broken
}

// part is a component of Shop[x], unless app says otherwise.
func part(certname, produces, consumes string) job.Component {
	c := job.Component{Type: "Shop", Title: "x", Ref: "Part[" + certname + "]", Certname: certname}
	if produces != "" {
		c.Produces = []string{produces}
	}
	if consumes != "" {
		c.Consumes = []string{consumes}
	}
	return c
}

// subject may do what is listed.
type subject []string

func (s subject) May(objectType, action, instance string) bool {
	return slices.Contains(s, objectType+":"+action+":"+instance)
}
func (subject) Owner() json.RawMessage { return json.RawMessage(`{"login":"ann"}`) }

const group = "0b94c8f2-5d3e-4c1b-9a5d-000000000001"

func shop() *site {
	other := part("cache", "", "")
	other.Title = "it's"
	return &site{
		inside: map[string][]string{"production": {"a", "web", "db"}, "empty": {}},
		found:  []string{"web", "a"}, members: map[string][]string{group: {"db", "web", "db"}},
		assigned:   map[string][]string{"production": {"a", "new"}, "empty": nil},
		components: []job.Component{part("web", "", "Sql[x]"), part("db", "Sql[x]", ""), part("proxy", "", "Http[x]"), other},
	}
}

func (s *site) scopes(t *testing.T, log *diary) *orchestrator.Scopes {
	t.Helper()
	scopes, err := orchestrator.NewScopes(orchestrator.ScopesConfig{Querier: s, Groups: groups{s}, Applications: s, Logger: slog.New(log)})
	require.NoError(t, err)
	return scopes
}

// command is a deploy as the API reads it.
func command(environment string, scope job.Scope, target string) job.Deploy {
	d := job.Deploy{Environment: environment, EnforceEnvironment: environment != "", Scope: scope}
	if target != "" {
		d.Target = &target
	}
	return d
}

func TestScopes(t *testing.T) {
	before := []job.Edge{{Before: "db", After: "web"}}
	query := job.Scope{Query: json.RawMessage(`"nodes{}"`)}
	for name, c := range map[string]struct {
		deploy job.Deploy
		nodes  []string
		edges  []job.Edge
	}{
		"no scope is the whole environment, with its groups and applications": {command("production", job.Scope{}, ""), []string{"a", "web", "db", "new", "proxy", "cache"}, before},
		"the whole environment":                        {command("production", job.Scope{WholeEnvironment: true}, " "), []string{"a", "web", "db", "new", "proxy", "cache"}, before},
		"nodes, each once, known or not":               {command("production", job.Scope{Nodes: []string{"z", "a", "z"}}, ""), []string{"z", "a"}, nil},
		"nodes keep the order of their application":    {command("production", job.Scope{Nodes: []string{"web", "db"}}, ""), []string{"web", "db"}, before},
		"who does not take part is waited for by none": {command("production", job.Scope{Nodes: []string{"web"}}, ""), []string{"web"}, nil},
		"nodes in their own environments":              {command("", job.Scope{Nodes: []string{"web", "db"}}, ""), []string{"web", "db"}, nil},
		"query":                                        {command("production", query, ""), []string{"web", "a"}, nil},
		"group":                                        {command("production", job.Scope{NodeGroup: group}, ""), []string{"db", "web"}, before},
		"application, whatever its letters":            {command("production", job.Scope{Application: "sHOP"}, ""), []string{"web", "db", "proxy", "cache"}, before},
		"instance":                                     {command("production", job.Scope{Application: "shop[x]"}, ""), []string{"web", "db", "proxy"}, before},
		"instance in quotes":                           {command("production", job.Scope{}, "Shop['x']"), []string{"web", "db", "proxy"}, before},
		"instance in double quotes":                    {command("production", job.Scope{}, `Shop["it's"]`), []string{"cache"}, nil},
		"instance with a quote in it":                  {command("production", job.Scope{}, "Shop[it's]"), []string{"cache"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			target, err := shop().scopes(t, &diary{}).Deploy(t.Context(), nil, c.deploy)
			require.NoError(t, err)
			require.Equal(t, c.nodes, target.Nodes)
			require.Equal(t, c.edges, target.Edges)
		})
	}
}

func TestScopesRefused(t *testing.T) {
	query, nodes := job.Scope{Query: json.RawMessage(`"nodes{}"`)}, job.Scope{Nodes: []string{"a"}}
	all := subject{"nodes:view_data:*", "node_groups:view:" + group}
	for name, c := range map[string]struct {
		deploy job.Deploy
		who    orchestrator.Subject
		change func(*site)
		kind   string
		detail string // of details, as fmt prints it
	}{
		"environment that is not there":   {deploy: command("nowhere", query, ""), who: subject{}, kind: "unknown-environment", detail: "map[environment:nowhere]"},
		"environment without nodes":       {deploy: command("empty", job.Scope{}, ""), kind: "empty-environment", detail: "map[environment:empty]"},
		"no nodes":                        {deploy: command("production", job.Scope{Nodes: []string{}, GivenNodes: true}, ""), kind: "empty-target"},
		"nothing found":                   {deploy: command("production", query, ""), change: func(s *site) { s.found = nil }, kind: "empty-target"},
		"no permission to query":          {deploy: command("production", query, ""), who: subject{"nodes:view_data:x"}, kind: "query-error"},
		"no permission to view the group": {deploy: command("production", job.Scope{NodeGroup: group}, ""), who: subject{"nodes:view_data:*"}, kind: "not-permitted", detail: "map[node_group:" + group + "]"},
		"group that is not there":         {deploy: command("production", job.Scope{NodeGroup: group}, ""), who: all, change: func(s *site) { s.members = nil }, kind: "empty-target", detail: "map[node_group:" + group + "]"},
		"application that is not there":   {deploy: command("production", job.Scope{Application: "Forge"}, ""), kind: "empty-target", detail: "map[application:Forge]"},
		"instance of other letters":       {deploy: command("production", job.Scope{Application: "Shop[X]"}, ""), kind: "empty-target", detail: "map[application:Shop[X]]"},
		"application without any":         {deploy: command("empty", job.Scope{Application: "Shop"}, ""), kind: "empty-target"},
		"target beside a scope":           {deploy: command("production", nodes, "Shop"), kind: "validation-error"},
		"whole of no environment":         {deploy: command("", job.Scope{WholeEnvironment: true}, ""), kind: "validation-error"},
		"application of no environment":   {deploy: command("", job.Scope{Application: "Shop"}, ""), kind: "validation-error"},
		"circle": {deploy: command("production", job.Scope{}, ""), change: func(s *site) {
			s.components = []job.Component{part("a", "1", "3"), part("b", "2", "1"), part("c", "3", "2"), part("d", "4", "4")}
		}, kind: "dependency-cycle", detail: "map[cycle:[a b c a]]"},
		"groups that cannot be asked": {deploy: command("production", job.Scope{}, ""), change: func(s *site) {
			s.groupless = job.NodeGroup(503, "", "the classifier is down")
		}, kind: "node-group-error"},
		"components that cannot be read": {deploy: command("production", nodes, ""), change: func(s *site) {
			s.inside = map[string][]string{"production": {"a"}}
			s.broken = errors.New("disk on fire")
		}, kind: ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := shop()
			if c.change != nil {
				c.change(s)
			}
			_, err := s.scopes(t, &diary{}).Deploy(t.Context(), c.who, c.deploy)
			if c.kind == "" {
				require.ErrorIs(t, err, s.broken)
				return
			}
			var refused *job.Error
			require.ErrorAs(t, err, &refused)
			require.Equal(t, job.Prefix+c.kind, refused.Kind, refused.Msg)
			if c.detail != "" {
				require.Equal(t, c.detail, fmt.Sprint(refused.Details))
			}
		})
	}
}

// TestUnproduced: what nodes of the scope consume and nothing produces is told,
// once as long as the applications stay as they are, and orders nothing.
func TestUnproduced(t *testing.T) {
	const told = "components of applications consume what nothing produces; they wait for nobody"
	log, s := &diary{}, shop()
	s.components = append(s.components, part("mail", "", "Smtp[x]"))
	scopes := s.scopes(t, log)
	deploy := func(environment string, nodes ...string) []string {
		t.Helper()
		_, err := scopes.Deploy(t.Context(), nil, command(environment, job.Scope{Nodes: nodes}, ""))
		require.NoError(t, err)
		return log.take()
	}
	require.Empty(t, deploy("production", "web", "a"), "the producer need not be in scope")
	require.Equal(t, []string{told}, deploy("production", "web", "proxy"))
	require.Empty(t, deploy("production", "proxy"))
	require.Empty(t, deploy("empty", "proxy"))
	require.Equal(t, []string{told}, deploy("production", "proxy", "mail"), "Smtp[x] is new")
	require.Empty(t, deploy("production", "proxy", "mail"))
	s.components[0].Title = "y"
	require.Equal(t, []string{told}, deploy("production", "mail"), "the applications have changed")
}

// TestLongChain: a chain is not walked by recursion.
func TestLongChain(t *testing.T) {
	const n = 20_000
	s := &site{inside: map[string][]string{"production": {}}}
	var nodes []string
	for i := range n {
		nodes = append(nodes, fmt.Sprintf("n%05d", i))
		s.components = append(s.components, part(nodes[i], fmt.Sprint(i), fmt.Sprint(i-1)))
	}
	target, err := s.scopes(t, &diary{}).Deploy(t.Context(), nil, command("production", job.Scope{Nodes: nodes}, ""))
	require.NoError(t, err)
	require.Len(t, target.Edges, n-1)
}
