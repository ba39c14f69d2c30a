package main

import "github.com/spf13/cobra"

// usageError is a mistake in the command line or the configuration: status 2.
type usageError struct{ error }

func (e *usageError) Unwrap() error { return e.error }

func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "dalang",
		Short: "Dalang takes the place of PuppetDB",
		Long: `Dalang takes the place of PuppetDB in one program: it accepts the commands of
Puppet Servers, keeps them in a durable queue, brings them into a database, and
answers queries.`,
		SilenceErrors: true, // main prints them
		SilenceUsage:  true,
		Args:          usageArgs(cobra.NoArgs),
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return &usageError{hinted(cmd, err)}
	})
	root.AddCommand(newServeCommand(), newConfigCommand(), newVersionCommand(), newDLOCommand())
	return root
}

// usageArgs makes wrong arguments a usageError.
func usageArgs(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return &usageError{hinted(cmd, err)}
		}
		return nil
	}
}
