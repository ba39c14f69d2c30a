package main

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write docs/cli.md anew")

// TestDocs compares docs/cli.md with what --help says; `make docs` writes it.
func TestDocs(t *testing.T) {
	var b strings.Builder
	b.WriteString("# Commands of the program\n\n<!-- Made of the --help texts by `make docs`. Do not edit. -->\n")
	root := newRootCommand()
	describe(&b, root)
	const page = "../../docs/cli.md"
	if *update {
		require.NoError(t, os.WriteFile(page, []byte(b.String()), 0o644))
	}
	got, err := os.ReadFile(page)
	require.NoError(t, err)
	require.Equal(t, b.String(), string(got), "docs/cli.md is out of date: make docs")
}

// describe writes a command and what is below it.
func describe(b *strings.Builder, cmd *cobra.Command) {
	if cmd.Hidden || cmd.Name() == "help" {
		return
	}
	long := cmd.Long
	if long == "" {
		long = cmd.Short + "."
	}
	fmt.Fprintf(b, "\n## %s\n\n```\n%s\n\n%s```\n", cmd.CommandPath(), strings.TrimSpace(long), cmd.UsageString())
	for _, c := range cmd.Commands() {
		if cmd.Name() != "completion" { // a page for each shell says the same
			describe(b, c)
		}
	}
}
