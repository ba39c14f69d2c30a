package orchestrator

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"sync"

	"dalang/orchestrator/job"
)

// Querier asks what is stored of nodes. Its errors are *job.Error: query-error
// for what the query is to blame for, puppetdb-error for everything else.
type Querier interface {
	// Certnames runs a query, a PQL string or an AST array in JSON, and gives
	// the certname of each row, once, in the order of the rows.
	Certnames(ctx context.Context, query json.RawMessage) ([]string, error)
	// InEnvironment are the active nodes whose catalog is of an environment, or,
	// for those without a catalog, whose last report, or, without either, whose
	// facts are.
	InEnvironment(ctx context.Context, environment string) ([]string, error)
	// Seen tells whether anything stored is of an environment.
	Seen(ctx context.Context, environment string) (bool, error)
}

// Groups resolves the groups of a classifier.
type Groups interface {
	// Resolve gives the nodes of a group that has rules of its own. A group
	// that has none, or is not known, has no nodes.
	Resolve(ctx context.Context, id string) ([]string, error)
	// InEnvironment gives the nodes that the groups assign to an environment.
	InEnvironment(ctx context.Context, environment string) ([]string, error)
}

// Environments knows which environments there are.
type Environments interface {
	Known(ctx context.Context, name string) (bool, error)
}

// Applications knows the components of applications.
type Applications interface {
	// Components are those of an environment, in a steady order; none if it
	// has no applications.
	Components(ctx context.Context, environment string) ([]job.Component, error)
}

// ScopesConfig is what scopes are resolved with. Querier is required.
type ScopesConfig struct {
	Querier      Querier
	Groups       Groups       // nil: there are no groups
	Environments Environments // nil: those that something stored is of
	Applications Applications // nil: there are none
	Logger       *slog.Logger
}

// Scopes resolves whom a command is for.
type Scopes struct {
	cfg ScopesConfig

	mu   sync.Mutex
	told map[string]*complaint // by environment
}

// complaint is what was told of the applications of an environment.
type complaint struct {
	graph [sha256.Size]byte
	refs  map[string]bool
}

// NewScopes makes a resolver.
func NewScopes(cfg ScopesConfig) (*Scopes, error) {
	if cfg.Querier == nil {
		return nil, errors.New("orchestrator: Querier is required")
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Scopes{cfg: cfg, told: map[string]*complaint{}}, nil
}

// Target is whom a command is for: nodes, at least one, each once, and which
// of them have to finish ahead of which.
type Target struct {
	Nodes []string
	Edges []job.Edge
}

// Deploy resolves the scope of a deploy, or its deprecated target; without
// either it is for the whole environment. Errors are *job.Error, in the order
// of orchestrator.md §2.1.
func (s *Scopes) Deploy(ctx context.Context, who Subject, d job.Deploy) (*Target, error) {
	scope := d.Scope
	if d.Target != nil && strings.TrimSpace(*d.Target) != "" {
		if !scope.Empty() {
			return nil, job.Invalid("target", "target and scope exclude each other")
		}
		scope.Application = strings.TrimSpace(*d.Target)
	}
	if scope.Empty() {
		scope.WholeEnvironment = true
	}
	if d.Environment == "" && (scope.WholeEnvironment || scope.Application != "" || d.EnforceEnvironment) {
		return nil, job.Invalid("environment", `an empty environment needs a scope of nodes and "enforce_environment": false`)
	}
	if err := s.known(ctx, d.Environment); err != nil {
		return nil, err
	}
	components, err := s.components(ctx, d.Environment)
	if err != nil {
		return nil, err
	}
	target := &Target{}
	switch {
	case scope.WholeEnvironment:
		target.Nodes, err = s.whole(ctx, d.Environment, components)
	case scope.Application != "":
		target.Nodes, err = application(scope.Application, components)
	default:
		target.Nodes, err = s.Nodes(ctx, who, scope)
	}
	if err != nil {
		return nil, err
	}
	s.complain(ctx, d.Environment, unproduced(target.Nodes, components), components)
	target.Edges, err = sequence(target.Nodes, components)
	return target, err
}

// Nodes resolves a scope of nodes, a query, or a group: those that every
// command knows.
func (s *Scopes) Nodes(ctx context.Context, who Subject, scope job.Scope) ([]string, error) {
	switch {
	case scope.Query != nil:
		if who != nil && !who.May("nodes", "view_data", "*") {
			return nil, job.Query("You may not run queries: the permission nodes:view_data is missing")
		}
		certnames, err := s.cfg.Querier.Certnames(ctx, scope.Query)
		if err == nil && len(certnames) == 0 {
			return nil, job.EmptyTarget(nil, "The query of the scope finds no nodes")
		}
		return certnames, err
	case scope.NodeGroup != "":
		return s.group(ctx, who, scope.NodeGroup)
	case len(scope.Nodes) == 0:
		return nil, job.EmptyTarget(nil, "The scope names no nodes")
	}
	return unique(scope.Nodes), nil
}

func (s *Scopes) group(ctx context.Context, who Subject, id string) ([]string, error) {
	details := map[string]any{"node_group": id}
	if who != nil && !who.May("node_groups", "view", id) {
		return nil, job.NotPermitted(details, "You may not view the node group %s", id)
	}
	var certnames []string
	if s.cfg.Groups != nil {
		var err error
		if certnames, err = s.cfg.Groups.Resolve(ctx, id); err != nil {
			return nil, fmt.Errorf("resolve node group %s: %w", id, err)
		}
	}
	if len(certnames) == 0 {
		return nil, job.EmptyTarget(details, "The node group %s is not known, has no rules of its own, or matches no nodes", id)
	}
	return unique(certnames), nil
}

// known checks that an environment exists; "" needs no existence.
func (s *Scopes) known(ctx context.Context, name string) error {
	if name == "" {
		return nil
	}
	find := s.cfg.Querier.Seen
	if s.cfg.Environments != nil {
		find = s.cfg.Environments.Known
	}
	known, err := find(ctx, name)
	if err != nil {
		return fmt.Errorf("look for environment %s: %w", name, err)
	}
	if !known {
		return job.UnknownEnvironment(name)
	}
	return nil
}

func (s *Scopes) components(ctx context.Context, environment string) ([]job.Component, error) {
	if s.cfg.Applications == nil || environment == "" {
		return nil, nil
	}
	components, err := s.cfg.Applications.Components(ctx, environment)
	var known *job.Error
	if err != nil && !errors.As(err, &known) {
		err = job.PuppetDB(err)
	}
	return components, err
}

// whole are the nodes of an environment: by what is stored of them, by their
// groups, and by its applications.
func (s *Scopes) whole(ctx context.Context, environment string, components []job.Component) ([]string, error) {
	certnames, err := s.cfg.Querier.InEnvironment(ctx, environment)
	if err != nil {
		return nil, err
	}
	if s.cfg.Groups != nil {
		assigned, err := s.cfg.Groups.InEnvironment(ctx, environment)
		if err != nil {
			return nil, fmt.Errorf("find the nodes that groups assign to %s: %w", environment, err)
		}
		certnames = append(certnames, assigned...)
	}
	for i := range components {
		certnames = append(certnames, components[i].Certname)
	}
	if len(certnames) == 0 {
		return nil, job.EmptyEnvironment(environment)
	}
	return unique(certnames), nil
}

// instance is Type[title], the title perhaps in quotes.
var instance = regexp.MustCompile(`\A([^\[\]]+)\[\s*(?:'([^']*)'|"([^"]*)"|(.*?))\s*\]\z`)

// application are the nodes of an application: of all its instances, or of one.
func application(name string, components []job.Component) ([]string, error) {
	kind, title, one := name, "", false
	if m := instance.FindStringSubmatch(name); m != nil {
		kind, title, one = m[1], m[2]+m[3]+m[4], true
	}
	var certnames []string
	for i := range components {
		c := &components[i]
		if strings.EqualFold(c.Type, kind) && (!one || c.Title == title) {
			certnames = append(certnames, c.Certname)
		}
	}
	if len(certnames) == 0 {
		return nil, job.EmptyTarget(map[string]any{"application": name}, "The application %s does not exist or has no components", name)
	}
	return unique(certnames), nil
}

// unique keeps the first of each name.
func unique(names []string) []string {
	seen := make(map[string]bool, len(names))
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool {
		again := seen[name]
		seen[name] = true
		return again
	})
}

// set is a set of names.
func set(names []string) map[string]bool {
	m := make(map[string]bool, len(names))
	for _, n := range names {
		m[n] = true
	}
	return m
}

// unproduced are the references that components on the nodes consume and none
// produces, wherever.
func unproduced(nodes []string, components []job.Component) []string {
	if len(components) == 0 {
		return nil
	}
	chosen := set(nodes)
	var produced, consumed []string
	for i := range components {
		produced = append(produced, components[i].Produces...)
		if chosen[components[i].Certname] {
			consumed = append(consumed, components[i].Consumes...)
		}
	}
	known := set(produced)
	return unique(slices.DeleteFunc(consumed, func(ref string) bool { return known[ref] }))
}

// complain tells what is consumed and not produced, each once as long as the
// applications of the environment stay as they are.
func (s *Scopes) complain(ctx context.Context, environment string, missing []string, components []job.Component) {
	if len(missing) == 0 {
		return
	}
	graph := sha256.Sum256(object(components))
	s.mu.Lock()
	told := s.told[environment]
	if told == nil || told.graph != graph {
		told = &complaint{graph, map[string]bool{}}
		s.told[environment] = told
	}
	missing = slices.DeleteFunc(missing, func(ref string) bool { return told.refs[ref] })
	for _, ref := range missing {
		told.refs[ref] = true
	}
	s.mu.Unlock()
	if len(missing) > 0 {
		s.cfg.Logger.LogAttrs(ctx, slog.LevelWarn, "components of applications consume what nothing produces; they wait for nobody",
			slog.String("environment", environment), slog.Any("consumed", missing))
	}
}

// sequence says which of the nodes have to finish ahead of which: a node that
// consumes what another one produces comes after it. What nobody produces, and
// what a node does for itself, orders nothing.
func sequence(nodes []string, components []job.Component) ([]job.Edge, error) {
	if len(components) == 0 {
		return nil, nil
	}
	chosen := set(nodes)
	producers := map[string][]string{}
	for i := range components {
		for _, ref := range components[i].Produces {
			producers[ref] = append(producers[ref], components[i].Certname)
		}
	}
	var edges []job.Edge
	needs := map[string][]string{}
	for i := range components {
		after := components[i].Certname
		for _, ref := range components[i].Consumes {
			for _, before := range producers[ref] {
				if before != after && chosen[before] && chosen[after] && !slices.Contains(needs[after], before) {
					needs[after] = append(needs[after], before)
					edges = append(edges, job.Edge{Before: before, After: after})
				}
			}
		}
	}
	if cycle := findCycle(nodes, needs); cycle != nil {
		return nil, job.DependencyCycle(cycle)
	}
	return edges, nil
}

// findCycle gives nodes that wait for each other, the first again at the end,
// or nil. It needs no recursion: chains may be long.
func findCycle(nodes []string, needs map[string][]string) []string {
	const open, done = 1, 2
	state := map[string]int{}
	for _, root := range nodes {
		if state[root] != 0 {
			continue
		}
		path, at := []string{root}, []int{0}
		state[root] = open
		for len(path) > 0 {
			top := len(path) - 1
			if at[top] == len(needs[path[top]]) {
				state[path[top]] = done
				path, at = path[:top], at[:top]
				continue
			}
			next := needs[path[top]][at[top]]
			at[top]++
			switch state[next] {
			case open:
				cycle := append(path[slices.Index(path, next):len(path):len(path)], next)
				slices.Reverse(cycle) // in the order of the runs
				return cycle
			case 0:
				state[next] = open
				path, at = append(path, next), append(at, 0)
			}
		}
	}
	return nil
}
