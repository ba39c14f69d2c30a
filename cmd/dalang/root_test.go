package main

import (
	"io"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestFlagGroups: flags that do not go together are a mistake in the command line.
func TestFlagGroups(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"task", "run", "a"}, "one of these is needed: --nodes, --query, --group\nSee 'dalang task run --help'."},
		{[]string{"target", "create", "a", "--all-tasks"}, "one of these is needed: --nodes, --group, --query\n"},
		{[]string{"job", "run", "--nodes", "a", "--query", "b"}, "only one of these can be given: --nodes, --query\n"},
		{[]string{"connection", "create", "a"}, "required flag(s) \"user\" not set\n"},
	} {
		cmd := newRootCommand()
		cmd.SetArgs(c.args)
		cmd.SetOut(io.Discard)
		cmd.SetErr(io.Discard)
		err := cmd.Execute()
		require.ErrorContains(t, err, c.want)
		require.Equal(t, 2, exitStatus(err))
	}
}
