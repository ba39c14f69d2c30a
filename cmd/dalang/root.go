package main

import "github.com/spf13/cobra"

// newRootCommand is the whole command line.
func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "dalang",
		Short: "PuppetDB and Puppet orchestration in one small binary",
		Long: `Dalang takes the place of PuppetDB: Puppet Servers, agents and people submit
facts, catalogs and reports to it, and query them. Start with

  dalang serve`,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(newServeCommand(), newVersionCommand())
	return root
}
