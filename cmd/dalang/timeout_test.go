package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestTimeoutFlag: what the API would not get as it was given is refused before
// anything is sent.
func TestTimeoutFlag(t *testing.T) {
	for text, want := range map[string]string{
		"1500ms": "--timeout must be in whole seconds, not 1.5s", "1m0.001s": "--timeout must be in whole seconds, not 1m0.001s",
		"10ms": "--timeout must be at least 1s, not 10ms",
	} {
		for _, args := range [][]string{{"task", "run", "x", "--nodes", "a"}, {"plan", "run", "x"}, {"job", "run", "-e", "a"}} {
			root := newRootCommand()
			root.SetArgs(append(args, "--timeout", text))
			require.ErrorContains(t, root.Execute(), want, "%v", args)
		}
		o := &scheduleOrder{}
		cmd := newRootCommand()
		o.timeout = mustDuration(t, text)
		_, err := o.input(t.Context(), cmd, nil, &scheduledInfo{Type: "deploy"}, nil)
		require.EqualError(t, err, want)
	}
	seconds, err := wholeSeconds(mustDuration(t, "1m30s"))
	require.NoError(t, err)
	require.EqualValues(t, 90, seconds)
	seconds, err = wholeSeconds(0)
	require.NoError(t, err)
	require.Zero(t, seconds)
}

func mustDuration(t *testing.T, text string) time.Duration {
	t.Helper()
	d, err := time.ParseDuration(text)
	require.NoError(t, err)
	return d
}
