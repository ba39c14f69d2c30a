package classifier

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"dalang/orchestrator/rbac"
)

// world is the store and the nodes of a classifier, in memory.
type world struct {
	groups map[string]Group
	nodes  []Node
	asked  []string // facts
	broken error
	puts   int
}

func (w *world) NodeGroups(context.Context) (list []Group, err error) {
	for _, g := range w.groups {
		list = append(list, g)
	}
	return list, nil
}

func (w *world) PutNodeGroup(_ context.Context, g *Group) error {
	if w.broken == nil {
		w.groups[g.ID] = *g
		w.puts++
	}
	return w.broken
}

func (w *world) DeleteNodeGroup(_ context.Context, id string) error {
	delete(w.groups, id)
	return w.broken
}

func (w *world) EachNode(_ context.Context, facts []string, fn func(string, map[string]json.RawMessage) error) error {
	w.asked = facts
	for _, n := range w.nodes {
		if err := fn(n.Name, n.Facts); err != nil {
			return err
		}
	}
	return w.broken
}

func (w *world) NodeFacts(_ context.Context, name string) (map[string]json.RawMessage, error) {
	for _, n := range w.nodes {
		if n.Name == name {
			return n.Facts, w.broken
		}
	}
	return map[string]json.RawMessage{}, w.broken
}

func at(minute int) time.Time { return time.Date(2026, 5, 20, 12, minute, 0, 0, time.UTC) }

// newClassifier has the root group and three nodes: web1, web2 and db1.
func newClassifier(t *testing.T) (*Classifier, *world) {
	t.Helper()
	w := &world{groups: map[string]Group{rbac.RootGroup: {ID: rbac.RootGroup, Name: "All Nodes", Environment: "production", Parent: rbac.RootGroup,
		Rule: rule(t, `["and",["~","name",".*"]]`), Serial: 1}}}
	for name, facts := range map[string]string{"web1": `{"os":{"name":"Debian"},"x":1}`, "web2": `{"os":{"name":"Rocky"}}`, "db1": `{"os":{"name":"Debian"}}`} {
		n := Node{Name: name}
		require.NoError(t, json.Unmarshal([]byte(facts), &n.Facts))
		w.nodes = append(w.nodes, n)
	}
	c, err := New(t.Context(), Config{Store: w, Nodes: w, Now: func() time.Time { return at(0) }})
	require.NoError(t, err)
	return c, w
}

func rule(t *testing.T, text string) *Rule {
	t.Helper()
	r, err := ParseRule(json.RawMessage(text))
	require.NoError(t, err)
	return r
}

// made makes a group.
func made(t *testing.T, c *Classifier, name, parent, text string) *Group {
	t.Helper()
	g, err := c.Create(t.Context(), Group{Name: name, Environment: "production", Parent: parent, Rule: rule(t, text)})
	require.NoError(t, err)
	return g
}

func TestResolve(t *testing.T) {
	c, w := newClassifier(t)
	resolve := func(id string) []string {
		t.Helper()
		nodes, err := c.Resolve(t.Context(), id)
		require.NoError(t, err)
		return nodes
	}
	require.Len(t, resolve(rbac.RootGroup), 3)
	require.Empty(t, w.asked, "names need no facts")
	debian := made(t, c, "Debian", rbac.RootGroup, `["=",["fact","os","name"],"Debian"]`)
	empty := made(t, c, "Nothing of its own", debian.ID, `null`)
	web := made(t, c, "Web", empty.ID, `["~","name","^web"]`)
	require.ElementsMatch(t, []string{"web1", "db1"}, resolve(debian.ID))
	require.Equal(t, []string{"os"}, w.asked)
	require.Empty(t, resolve(empty.ID), "a group without a rule has no nodes")
	require.Equal(t, []string{"web1"}, resolve(web.ID), "all rules above apply")
	require.Equal(t, []string{empty.ID, debian.ID, rbac.RootGroup}, c.Ancestors(web.ID))
	require.Empty(t, c.Ancestors(rbac.RootGroup))
	require.Empty(t, c.Ancestors("nonsense"))
	require.Empty(t, resolve(uuid.NewString()))
	require.Empty(t, resolve("nonsense"))
	require.JSONEq(t, `["and",["~","name","^web"],["=",["fact","os","name"],"Debian"],["and",["~","name",".*"]]]`, text(t, c.RuleOf(web.ID)))
	require.Nil(t, c.RuleOf(empty.ID))

	require.NoError(t, c.Pin(t.Context(), web.ID, []string{"db1", "web2", "elsewhere"}))
	require.ElementsMatch(t, []string{"web1", "db1"}, resolve(web.ID), "a pin does not get past the groups above")
	require.NoError(t, c.Unpin(t.Context(), web.ID, []string{"db1", "stranger"}))
	require.Equal(t, []string{"web1"}, resolve(web.ID))
	w.broken = errors.New("disk on fire")
	_, err := c.Resolve(t.Context(), web.ID)
	require.ErrorIs(t, err, w.broken)
}

func TestChanges(t *testing.T) {
	c, w := newClassifier(t)
	ctx := t.Context()
	a := made(t, c, "A", rbac.RootGroup, `null`)
	b := made(t, c, "B", a.ID, `null`)
	require.Equal(t, int64(1), a.Serial)
	require.Equal(t, at(0), a.LastEdited)

	str := func(s string) *string { return &s }
	serial := func(n int64) *int64 { return &n }
	for _, x := range []struct {
		id     string
		d      Delta
		status int
		kind   string
	}{
		{a.ID, Delta{Parent: &b.ID}, 422, "inheritance-cycle"},
		{a.ID, Delta{Parent: &a.ID}, 422, "inheritance-cycle"},
		{a.ID, Delta{Parent: str(uuid.NewString())}, 422, "missing-parent"},
		{a.ID, Delta{Parent: str("nonsense")}, 400, "schema-violation"},
		{a.ID, Delta{Name: str("B")}, 422, "uniqueness-violation"},
		{a.ID, Delta{Name: str("  ")}, 400, "schema-violation"},
		{a.ID, Delta{Environment: str("not this")}, 400, "schema-violation"},
		{a.ID, Delta{Serial: serial(9), Name: str("C")}, 409, "conflict"},
		{a.ID, Delta{Classes: map[string]json.RawMessage{"x": json.RawMessage("1")}}, 400, "schema-violation"},
		{uuid.NewString(), Delta{}, 404, "not-found"},
		{"nonsense", Delta{}, 400, "malformed-uuid"},
		{"00000000-0000-4000-8000-00000000000A", Delta{}, 400, "malformed-uuid"},
		{rbac.RootGroup, Delta{SetRule: true}, 422, "root-group-edit"},
		{rbac.RootGroup, Delta{Parent: &a.ID}, 422, "root-group-edit"},
	} {
		_, err := c.Update(ctx, x.id, x.d)
		refusedAs(t, err, x.status, x.kind)
	}
	require.Equal(t, 2, w.puts)
	require.Equal(t, "A", c.tree.Load().groups[a.ID].Name)

	got, err := c.Update(ctx, a.ID, Delta{Name: str("Alpha"), Serial: serial(1), SetRule: true, Rule: rule(t, `["and"]`),
		Classes: map[string]json.RawMessage{"apache": json.RawMessage(`{"keep":5,"drop":1}`), "ssl": json.RawMessage(`{}`)}})
	require.NoError(t, err)
	require.Equal(t, int64(2), got.Serial)
	got, err = c.Update(ctx, a.ID, Delta{Classes: map[string]json.RawMessage{"apache": json.RawMessage(`{"drop":null,"new":[1]}`), "ssl": json.RawMessage("null")},
		Variables: map[string]json.RawMessage{"v": json.RawMessage("1.0")}})
	require.NoError(t, err)
	require.Equal(t, Classes{"apache": {"keep": json.RawMessage("5"), "new": json.RawMessage("[1]")}}, got.Classes)
	require.Equal(t, Params{"v": json.RawMessage("1.0")}, got.Variables)
	require.NotNil(t, got.Rule, "what is not in the delta stays")
	got, err = c.Update(ctx, a.ID, Delta{SetRule: true, Variables: map[string]json.RawMessage{"v": json.RawMessage("null")}})
	require.NoError(t, err)
	require.Nil(t, got.Rule)
	require.Empty(t, got.Variables)

	puts := w.puts
	same, changed, err := c.Put(ctx, *got)
	require.NoError(t, err)
	require.False(t, changed)
	require.Equal(t, puts, w.puts)
	require.Equal(t, int64(4), same.Serial)
	fresh, changed, err := c.Put(ctx, Group{ID: uuid.NewString(), Name: "A", Environment: "production", Parent: b.ID})
	require.NoError(t, err)
	require.True(t, changed)
	require.Equal(t, int64(1), fresh.Serial)
	_, _, err = c.Put(ctx, Group{ID: "x"})
	refusedAs(t, err, 400, "malformed-uuid")

	require.Contains(t, refusedAs(t, c.Delete(ctx, b.ID), 422, "children-present").Msg, "[A]")
	refusedAs(t, c.Delete(ctx, rbac.RootGroup), 422, "root-group-edit")
	require.NoError(t, c.Delete(ctx, fresh.ID))
	refusedAs(t, c.Delete(ctx, fresh.ID), 404, "not-found")
	require.Len(t, c.Groups(), 3)
	require.Equal(t, "All Nodes", c.Groups()[0].Name)

	w.broken = errors.New("disk on fire")
	_, err = c.Update(ctx, b.ID, Delta{Name: str("Beta")})
	require.ErrorIs(t, err, w.broken)
	require.Equal(t, "B", c.tree.Load().groups[b.ID].Name, "what is not stored is not there")
	w.broken = ErrDuplicate
	_, err = c.Update(ctx, b.ID, Delta{Name: str("Beta")})
	refusedAs(t, err, 422, "uniqueness-violation")
}

func TestWithoutRoot(t *testing.T) {
	w := &world{groups: map[string]Group{}}
	_, err := New(t.Context(), Config{Store: w, Nodes: w})
	require.ErrorContains(t, err, "the root group")
	_, err = New(t.Context(), Config{})
	require.ErrorContains(t, err, "required")
}

// put stores a group with values.
func put(t *testing.T, c *Classifier, name, parent, condition, environment, classes string) *Group {
	t.Helper()
	var all Classes
	require.NoError(t, json.Unmarshal([]byte(classes), &all))
	g, err := c.Create(t.Context(), Group{Name: name, Environment: environment, Parent: parent, Rule: rule(t, condition), Classes: all})
	require.NoError(t, err)
	return g
}

func TestClassify(t *testing.T) {
	c, _ := newClassifier(t)
	ctx := t.Context()
	base := put(t, c, "Base", rbac.RootGroup, `["=",["fact","os","name"],"Debian"]`, "production", `{"ntp":{"servers":["a"],"burst":true}}`)
	web := put(t, c, "Web", base.ID, `["~","name","^web"]`, "staging", `{"ntp":{"servers":["b"]},"apache":{}}`)
	pinned := made(t, c, "Pinned", rbac.RootGroup, `["or",["=","name","db1"]]`)

	got, err := c.Classify(ctx, "web1", nil)
	require.NoError(t, err)
	require.Equal(t, "staging", got.Environment)
	require.Equal(t, []string{"All Nodes", "Base", "Web"}, names(got.Groups))
	require.Equal(t, Classes{"ntp": {"servers": json.RawMessage(`["b"]`), "burst": json.RawMessage("true")}, "apache": {}}, got.Classes)
	got, err = c.Classify(ctx, "web1", map[string]json.RawMessage{})
	require.NoError(t, err)
	require.Equal(t, []string{"All Nodes"}, names(got.Groups), "the facts that are given count")
	require.Equal(t, "production", got.Environment)
	got, err = c.Classify(ctx, "unknown", nil)
	require.NoError(t, err)
	require.Empty(t, got.Classes)

	got, err = c.Classify(ctx, "db1", nil)
	require.NoError(t, err)
	require.Equal(t, []string{"All Nodes", "Base", "Pinned"}, names(got.Groups))
	env := "testing"
	_, err = c.Update(ctx, pinned.ID, Delta{Environment: &env, Classes: map[string]json.RawMessage{"ntp": json.RawMessage(`{"burst":false}`)}})
	require.NoError(t, err)
	_, err = c.Classify(ctx, "db1", nil)
	e := refusedAs(t, err, 500, "classification-conflict")
	require.Equal(t, map[string]any{"environment": []string{"Base", "Pinned"}, "classes.ntp.burst": []string{"Base", "Pinned"}}, e.Details)
	yes := true
	_, err = c.Update(ctx, pinned.ID, Delta{EnvironmentTrumps: &yes, Classes: map[string]json.RawMessage{"ntp": json.RawMessage(`{"burst":null}`)}})
	require.NoError(t, err)
	got, err = c.Classify(ctx, "db1", nil)
	require.NoError(t, err)
	require.Equal(t, "testing", got.Environment, "it overrides the others")

	whole, err := c.Inherited(web.ID)
	require.NoError(t, err)
	require.Equal(t, json.RawMessage("true"), whole.Classes["ntp"]["burst"])
	require.Equal(t, json.RawMessage(`["b"]`), whole.Classes["ntp"]["servers"])
	plain, err := c.Group(web.ID)
	require.NoError(t, err)
	require.NotContains(t, plain.Classes["ntp"], "burst")
}

func names(groups []*Group) (list []string) {
	for _, g := range groups {
		list = append(list, g.Name)
	}
	return list
}

// assign makes a group of an environment.
func assign(t *testing.T, c *Classifier, name, parent, condition, environment string, trumps bool) *Group {
	t.Helper()
	g, err := c.Create(t.Context(), Group{Name: name, Environment: environment, EnvironmentTrumps: trumps, Parent: parent, Rule: rule(t, condition)})
	require.NoError(t, err)
	return g
}

// TestInEnvironment: the lowest groups assign nodes, the root group does not.
func TestInEnvironment(t *testing.T) {
	c, w := newClassifier(t)
	in := func(environment string) []string {
		t.Helper()
		w.asked = nil
		nodes, err := c.InEnvironment(t.Context(), environment)
		require.NoError(t, err)
		return nodes
	}
	require.Empty(t, in("production"), "everybody's default is nobody's")
	require.Nil(t, w.asked, "there was nothing to ask for")
	slices.SortFunc(w.nodes, func(a, b Node) int { return strings.Compare(a.Name, b.Name) })

	debian := assign(t, c, "Debian", rbac.RootGroup, `["=",["fact","os","name"],"Debian"]`, "production", false)
	require.Equal(t, []string{"db1", "web1"}, in("production"))
	require.Equal(t, []string{"os"}, w.asked)
	require.Empty(t, in("staging"))
	web := assign(t, c, "Web", debian.ID, `["~","name","^web"]`, "staging", false)
	require.Equal(t, []string{"db1"}, in("production"), "the group below has another one")
	require.Equal(t, []string{"web1"}, in("staging"))

	other := assign(t, c, "One", rbac.RootGroup, `["=",["fact","x"],"1"]`, "test", false)
	require.Empty(t, in("staging"), "groups that disagree")
	require.Empty(t, in("test"))
	require.Equal(t, []string{"os", "x"}, w.asked)
	yes := true
	_, err := c.Update(t.Context(), other.ID, Delta{EnvironmentTrumps: &yes})
	require.NoError(t, err)
	require.Equal(t, []string{"web1"}, in("test"))
	require.Empty(t, in("staging"))
	_, err = c.Update(t.Context(), web.ID, Delta{EnvironmentTrumps: &yes})
	require.NoError(t, err)
	require.Empty(t, in("test"), "both win")
	_, err = c.Update(t.Context(), other.ID, Delta{SetRule: true})
	require.NoError(t, err)
	require.Empty(t, in("test"), "a group without a rule")
	require.Equal(t, []string{"web1"}, in("staging"))

	w.broken = errors.New("disk on fire")
	_, err = c.InEnvironment(t.Context(), "staging")
	require.ErrorIs(t, err, w.broken)
}
