package storetest

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"dalang/orchestrator/classifier"
	"dalang/orchestrator/rbac"
)

// groups are all node groups by id.
func (b *bench) groups() map[string]classifier.Group {
	b.t.Helper()
	list, err := b.NodeGroups(b.t.Context())
	require.NoError(b.t, err)
	byID := map[string]classifier.Group{}
	for _, g := range list {
		byID[g.ID] = g
	}
	require.Len(b.t, byID, len(list))
	return byID
}

func testGroups(t *testing.T, open Open) {
	b, ctx := start(t, open, nil), t.Context()
	root := b.groups()[rbac.RootGroup]
	require.Len(t, b.groups(), 1)
	require.Equal(t, "All Nodes", root.Name)
	require.Equal(t, rbac.RootGroup, root.Parent)
	require.True(t, root.Rule.Matches(&classifier.Node{Name: "web1"}))

	text := json.RawMessage(`["or",["and",["~",["fact","os","name"],"^D<>&"],["<",["fact","processors","models",0],"5"]],["=","name","a"]]`)
	rule, err := classifier.ParseRule(text)
	require.NoError(t, err)
	g := classifier.Group{
		ID: uuid.NewString(), Name: "Web", Description: "d", Environment: "staging", EnvironmentTrumps: true, Parent: rbac.RootGroup, Rule: rule,
		Classes:    classifier.Classes{"apache": {"keepalive": json.RawMessage("5.0"), "names": json.RawMessage(`["a","b"]`)}, "ssl": {}},
		ConfigData: classifier.Classes{"x": {"y": json.RawMessage("null")}},
		Variables:  classifier.Params{"z": json.RawMessage(`{"b":1,"a":2}`)},
		LastEdited: b.now.Add(123 * time.Millisecond), Serial: 7,
	}
	require.NoError(t, b.PutNodeGroup(ctx, &g))
	require.Equal(t, g, b.groups()[g.ID])

	same := classifier.Group{ID: uuid.NewString(), Name: "Web", Environment: "staging", Parent: rbac.RootGroup}
	require.ErrorIs(t, b.PutNodeGroup(ctx, &same), classifier.ErrDuplicate)
	same.Environment = "production"
	require.NoError(t, b.PutNodeGroup(ctx, &same))
	stored := b.groups()[same.ID]
	require.Nil(t, stored.Rule)
	require.Empty(t, stored.Classes)

	g.Name, g.Rule, g.Classes, g.Serial = "Web 2", nil, nil, 8
	require.NoError(t, b.PutNodeGroup(ctx, &g))
	stored = b.groups()[g.ID]
	require.Equal(t, "Web 2", stored.Name)
	require.Nil(t, stored.Rule)
	require.Equal(t, int64(8), stored.Serial)
	require.Len(t, b.groups(), 3)

	require.NoError(t, b.DeleteNodeGroup(ctx, g.ID))
	require.NoError(t, b.DeleteNodeGroup(ctx, g.ID), "that it is gone is all that is wanted")
	require.Len(t, b.groups(), 2)
}
