package main

import (
	"io"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"
)

// TestEmptyFlags: an empty value is a mistake for every flag of the program
// that takes texts, and none is asked to do more for it. Flags that may be
// emptied are listed here.
func TestEmptyFlags(t *testing.T) {
	harmless := map[string]bool{"description": true, "email": true, "name": true}
	tried := 0
	var visit func(path []string, cmd *cobra.Command)
	visit = func(path []string, cmd *cobra.Command) {
		for _, below := range cmd.Commands() {
			visit(append(path[:len(path):len(path)], below.Name()), below)
		}
		cmd.InheritedFlags() // merges them
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			kind := f.Value.Type()
			if kind != "string" && kind != "stringSlice" && kind != "stringArray" {
				return
			}
			if _, may := f.Annotations[emptyAllowed]; may {
				settings := path[0] == "serve" || path[0] == "config"
				edit := strings.Join(path, " ") == "schedule edit" && f.Name == "environment"
				require.True(t, harmless[f.Name] || settings || edit, "%v --%s", path, f.Name)
				return
			}
			for _, empty := range []string{"", " ", "a,,b"} {
				if empty == "a,,b" && kind != "stringSlice" {
					continue
				}
				root := newRootCommand()
				found, _, err := root.Find(path)
				require.NoError(t, err)
				require.NoError(t, found.ParseFlags(nil))
				if err := found.Flags().Set(f.Name, empty); err == nil { // choices refuse it at once
					err = checkFlags(found)
					require.ErrorContains(t, err, "--"+f.Name, "%v", path)
					require.ErrorContains(t, err, "empty", "%v --%s %q", path, f.Name, empty)
					require.Equal(t, 2, exitStatus(err))
				}
				tried++
			}
		})
	}
	visit(nil, newRootCommand())
	require.Greater(t, tried, 200)
}

// TestEmptyScope: an unset variable of a shell never runs a whole environment.
func TestEmptyScope(t *testing.T) {
	for _, flag := range []string{"--nodes", "-n", "--query", "-q", "--application", "--group"} {
		for _, value := range []string{"", " "} {
			for _, args := range [][]string{
				{"run", "-e", "production", flag, value},
				{"run", "-e", "production", "--detach", flag + "=" + value},
			} {
				if len(flag) == 2 && strings.Contains(args[len(args)-1], "=") {
					continue
				}
				f := &fakeJob{}
				_, err := runJob(t, f, args...)
				require.ErrorContains(t, err, " is empty: give it a value, or leave it out", args)
				require.Equal(t, 2, exitStatus(err))
				require.Empty(t, f.deploys, args)
			}
		}
	}
	// Even where nothing has checked the flags, they are sent as they are.
	f := &fakeJob{}
	cmd := (&jobRun{jobCLI: newJobCLI()}).runCommand()
	require.NoError(t, cmd.ParseFlags([]string{"-e", "production", "--nodes", ""}))
	body, err := (&jobRun{environment: "production"}).body(cmd)
	require.NoError(t, err)
	require.Contains(t, body, "scope")
	require.Empty(t, f.deploys)
}

// TestLists: blanks around the commas of a list are not of its entries.
func TestLists(t *testing.T) {
	f := &fakeJob{}
	_, err := runJob(t, f, "run", "--detach", "--nodes", "a, b ,c", "--nodes", " d")
	require.NoError(t, err)
	require.JSONEq(t, `{"environment":"","enforce_environment":false,"scope":{"nodes":["a","b","c","d"]}}`, f.deploys[0])
	_, err = runJob(t, f, "run", "--detach", "--nodes", "a, ,c")
	require.ErrorContains(t, err, "--nodes: entry 2 of 3 is empty")
}

// TestFlagErrors: nobody has to read what Go's parsers say.
func TestFlagErrors(t *testing.T) {
	for line, want := range map[string]string{
		"job list --limit x":                        `--limit must be a whole number, not "x"`,
		"job list --limit 1.5":                      `--limit must be a whole number, not "1.5"`,
		"job list --limit 99999999999999999999":     `--limit must be a smaller number, not "99999999999999999999"`,
		"job list --limit -1":                       "--limit must not be negative, but is -1",
		"job list --limit=":                         "--limit is empty: give it a value, or leave it out",
		"job run -e a --timeout 5":                  `--timeout must have a unit: s, m or h, as 5s, not "5"`,
		"job run -e a --timeout 1d":                 `--timeout must be a span of time such as 90s, 5m or 1h30m, not "1d"`,
		"job run -e a --timeout -5s":                "--timeout must not be negative, but is -5s",
		"job run -e a --noop=perhaps":               `--noop must be true or false, not "perhaps"`,
		"job run -e a --filetimeout -1":             "--filetimeout must not be negative, but is -1",
		"job show 1 -o xml":                         `--output must be text or json, not "xml"`,
		"query nodes{} --timeout soon":              `--timeout must be a span of time`,
		"query nodes{} --offset -1":                 "--offset must not be negative, but is -1",
		"dlo ls --limit many":                       `--limit must be a whole number, not "many"`,
		"dlo replay --all --rate fast":              `--rate: "fast" is not a rate: write it like 50/s`,
		"connection create a -u b --port ssh":       `--port must be a whole number, not "ssh"`,
		"connection create a -u b --interpreters x": `--interpreters must be pairs key=value, not "x"`,
	} {
		root := newRootCommand()
		root.SetArgs(strings.Fields(line))
		root.SetOut(io.Discard)
		err := root.Execute()
		require.ErrorContains(t, err, want, line)
		require.NotContains(t, err.Error(), "strconv", line)
		require.NotContains(t, err.Error(), "invalid argument", line)
		require.Equal(t, 2, exitStatus(err), line)
	}
}
