package pxp

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"dalang/orchestrator/job"
)

// TestTooMuch: what an agent without manners sends is not kept, whether it is
// told or asked for.
func TestTooMuch(t *testing.T) {
	text := strings.Repeat("x", maxResults)
	results, err := json.Marshal(map[string]any{"exitcode": 0, "stdout": text})
	require.NoError(t, err)
	r := &job.Request{Certname: "web", Module: "task"}
	for _, o := range []job.Outcome{outcome(t.Context(), r, results), (&status{Stdout: text}).outcome(t.Context(), r)} {
		require.Equal(t, job.Errored, o.State)
		require.Less(t, len(o.Results), 1000)
		require.ErrorContains(t, o.Err, "no more than 33554432 are taken")
	}
}
