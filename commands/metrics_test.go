package commands_test

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"dalang/commands"
)

// TestClientsMakeNoLabels: whatever versions are submitted, the labels are
// those of the versions that are known, and one for the rest.
func TestClientsMakeNoLabels(t *testing.T) {
	registry := prometheus.NewRegistry()
	b, _ := start(t, t.TempDir(), func(c *commands.Config) { c.Registerer = registry })
	for _, version := range []int{1, 2, 4, 5, 6, 7, 99, 1 << 30} {
		s := submission("a", facts("a", "1"))
		s.Version = version
		_, _, err := b.EnqueueAndWait(t.Context(), s, time.Minute)
		require.NoError(t, err)
	}
	families, err := registry.Gather()
	require.NoError(t, err)
	values := map[string]map[string]bool{}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			for _, l := range m.GetLabel() {
				if values[l.GetName()] == nil {
					values[l.GetName()] = map[string]bool{}
				}
				values[l.GetName()][l.GetValue()] = true
			}
		}
	}
	require.Equal(t, []string{"2", "4", "5", "other"}, slices.Sorted(maps.Keys(values["version"])))
	require.Equal(t, []string{"command", "outcome", "version"}, slices.Sorted(maps.Keys(values)))
}
