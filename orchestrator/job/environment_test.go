package job_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"dalang/orchestrator/job"
)

// TestValidEnvironment: what Puppet takes, and what the documentation uses; but
// nothing that is more than a name where it becomes a path or an argument.
func TestValidEnvironment(t *testing.T) {
	for name, want := range map[string]bool{
		"production": true, "test-env-1": true, "DEV": true, "test_env": true, "a": true, "1": true, "_x": true, "a-": true, strings.Repeat("a", 255): true,
		"": false, "-a": false, "--environment": false, ".": false, "..": false, "a.b": false, "../a": false, "a/b": false, `a\b`: false, "a b": false,
		"a\n": false, "a\x00": false, "ä": false, strings.Repeat("a", 256): false,
	} {
		require.Equal(t, want, job.ValidEnvironment(name), "%q", name)
	}
}
