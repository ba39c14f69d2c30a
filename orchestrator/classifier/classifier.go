package classifier

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"dalang/orchestrator/rbac"
)

// Store keeps groups. Methods may be called at the same time.
type Store interface {
	// NodeGroups are all groups, in no order.
	NodeGroups(ctx context.Context) ([]Group, error)
	// PutNodeGroup stores a group, in the place of the one with its id if there
	// is one; ErrDuplicate when another of its environment has its name.
	PutNodeGroup(ctx context.Context, g *Group) error
	// DeleteNodeGroup deletes a group; one that is not there is no error.
	DeleteNodeGroup(ctx context.Context, id string) error
}

// Nodes knows nodes and their latest facts.
type Nodes interface {
	// EachNode calls fn once for every active node, with those of the facts
	// that it has; an error of fn ends it.
	EachNode(ctx context.Context, facts []string, fn func(certname string, facts map[string]json.RawMessage) error) error
	// NodeFacts are the facts of one active node; none if it is not known.
	NodeFacts(ctx context.Context, certname string) (map[string]json.RawMessage, error)
}

// Config is what New needs. Store and Nodes are required.
type Config struct {
	Store  Store
	Nodes  Nodes
	Logger *slog.Logger
	Now    func() time.Time
}

// Classifier keeps groups and resolves them. Its methods may be called at the
// same time. Errors that are meant for who asks are *job.Error. The groups are
// in memory: nobody else may change those of the store.
type Classifier struct {
	cfg  Config
	mu   sync.Mutex // held by who changes groups, across the store and the tree
	tree atomic.Pointer[tree]
}

// New reads the groups.
func New(ctx context.Context, cfg Config) (*Classifier, error) {
	if cfg.Store == nil || cfg.Nodes == nil {
		return nil, errors.New("classifier: Store and Nodes are required")
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	c := &Classifier{cfg: cfg}
	return c, c.load(ctx)
}

func (c *Classifier) load(ctx context.Context) error {
	list, err := c.cfg.Store.NodeGroups(ctx)
	if err != nil {
		return fmt.Errorf("read node groups: %w", err)
	}
	t := newTree(list)
	if t.groups[rbac.RootGroup] == nil {
		return fmt.Errorf("read node groups: the root group %s is missing", rbac.RootGroup)
	}
	c.tree.Store(t)
	return nil
}

// Resolve gives the nodes of a group that has a rule of its own, in the order
// of their names. A group that has none, or is not known, has no nodes.
func (c *Classifier) Resolve(ctx context.Context, id string) ([]string, error) {
	rule := c.tree.Load().rule(id)
	if rule == nil {
		return nil, nil
	}
	return matching(ctx, c.cfg.Nodes, id, rule)
}

// matching are the nodes that the rule of a group matches.
func matching(ctx context.Context, nodes Nodes, id string, rule *Rule) ([]string, error) {
	var certnames []string
	err := nodes.EachNode(ctx, rule.Facts(), func(certname string, facts map[string]json.RawMessage) error {
		if rule.Matches(&Node{Name: certname, Facts: facts}) {
			certnames = append(certnames, certname)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("match the rules of group %s: %w", id, err)
	}
	return certnames, nil
}

// Ancestors are the ids of the groups above a group, nearest first.
func (c *Classifier) Ancestors(id string) []string {
	var ids []string
	for i, g := range c.tree.Load().chain(id) {
		if i > 0 {
			ids = append(ids, g.ID)
		}
	}
	return ids
}

// Groups lists all groups by name.
func (c *Classifier) Groups() []Group { return c.tree.Load().sorted() }

// Group finds a group.
func (c *Classifier) Group(id string) (*Group, error) {
	if !IsID(id) {
		return nil, MalformedUUID(id)
	}
	g := c.tree.Load().groups[id]
	if g == nil {
		return nil, NotFound(id)
	}
	found := *g
	return &found, nil
}

// Inherited is a group with the classes, data and variables that it has from
// those above it.
func (c *Classifier) Inherited(id string) (*Group, error) {
	g, err := c.Group(id)
	if err != nil {
		return nil, err
	}
	values := inherited(c.tree.Load().chain(id))
	g.Classes, g.ConfigData, g.Variables = values.Classes, values.ConfigData, values.Variables
	return g, nil
}

// RuleOf is the rule of a group with those of the groups above it; nil when it
// has none of its own.
func (c *Classifier) RuleOf(id string) *Rule { return c.tree.Load().rule(id) }

// Create stores a new group under a new id.
func (c *Classifier) Create(ctx context.Context, g Group) (*Group, error) {
	g.ID = uuid.NewString()
	_, err := c.change(ctx, func(*tree) (*Group, error) { return &g, nil })
	return &g, err
}

// Put stores a group under its id, in the place of the one that has it. It
// answers the group as it is then, and whether anything has changed.
func (c *Classifier) Put(ctx context.Context, g Group) (*Group, bool, error) {
	if !IsID(g.ID) {
		return nil, false, MalformedUUID(g.ID)
	}
	changed, err := c.change(ctx, func(*tree) (*Group, error) { return &g, nil })
	return &g, changed, err
}

// Update changes a group and answers what it is then.
func (c *Classifier) Update(ctx context.Context, id string, d Delta) (*Group, error) {
	return c.update(ctx, id, func(g Group) (Group, error) {
		if d.Serial != nil && *d.Serial != g.Serial {
			return g, conflictingSerial(&g, *d.Serial)
		}
		return d.apply(g)
	})
}

// Pin adds nodes to a group by their names.
func (c *Classifier) Pin(ctx context.Context, id string, names []string) error {
	_, err := c.update(ctx, id, func(g Group) (Group, error) {
		g.Rule = g.Rule.Pin(names...)
		return g, nil
	})
	return err
}

// Unpin takes back what Pin did; names that are not pinned do not matter.
func (c *Classifier) Unpin(ctx context.Context, id string, names []string) error {
	_, err := c.update(ctx, id, func(g Group) (Group, error) {
		g.Rule = g.Rule.Unpin(names...)
		return g, nil
	})
	return err
}

func (c *Classifier) update(ctx context.Context, id string, edit func(Group) (Group, error)) (*Group, error) {
	if !IsID(id) {
		return nil, MalformedUUID(id)
	}
	var after Group
	_, err := c.change(ctx, func(t *tree) (*Group, error) {
		before := t.groups[id]
		if before == nil {
			return nil, NotFound(id)
		}
		var err error
		after, err = edit(*before)
		return &after, err
	})
	return &after, err
}

// change checks and stores the group that edit makes, unless it is there
// already; the group gets its serial number and time.
func (c *Classifier) change(ctx context.Context, edit func(*tree) (*Group, error)) (changed bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.tree.Load()
	g, err := edit(t)
	if err != nil {
		return false, err
	}
	if err := g.check(); err != nil {
		return false, err
	}
	if err := t.place(g); err != nil {
		return false, err
	}
	before := t.groups[g.ID]
	if before != nil {
		g.Serial, g.LastEdited = before.Serial, before.LastEdited
		if same, err := g.same(before); err != nil || same {
			return false, err
		}
	}
	if root := g.ID == rbac.RootGroup; root && !sameRule(g.Rule, before.Rule) {
		return false, rootFixed("has a rule that cannot be changed")
	}
	g.Serial, g.LastEdited = g.Serial+1, c.cfg.Now().UTC().Truncate(time.Millisecond)
	err = c.cfg.Store.PutNodeGroup(ctx, g)
	switch {
	case errors.Is(err, ErrDuplicate):
		return false, unique(g)
	case err != nil:
		return false, fmt.Errorf("store a node group: %w", err)
	}
	c.cfg.Logger.LogAttrs(ctx, slog.LevelInfo, "a node group was changed", slog.String("group", g.ID), slog.String("name", g.Name),
		slog.Int64("serial_number", g.Serial))
	return true, c.load(ctx)
}

func sameRule(a, b *Rule) bool {
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && string(x) == string(y)
}

// Delete deletes a group that no other one is below.
func (c *Classifier) Delete(ctx context.Context, id string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	g, err := c.Group(id)
	if err != nil {
		return err
	}
	if id == rbac.RootGroup {
		return rootFixed("cannot be deleted")
	}
	t := c.tree.Load()
	var below []string
	for _, child := range t.children[id] {
		below = append(below, t.groups[child].Name)
	}
	if below != nil {
		return childrenPresent(g, below)
	}
	if err := c.cfg.Store.DeleteNodeGroup(ctx, id); err != nil {
		return fmt.Errorf("delete node group %s: %w", id, err)
	}
	c.cfg.Logger.LogAttrs(ctx, slog.LevelInfo, "a node group was deleted", slog.String("group", id), slog.String("name", g.Name))
	return c.load(ctx)
}
