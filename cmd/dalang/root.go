package main

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/spf13/cobra"
)

// usageError is a mistake in the command line or the configuration: status 2.
type usageError struct{ error }

func (e *usageError) Unwrap() error { return e.error }

// group makes a command of those below it: alone it prints its help.
func group(cmd *cobra.Command, below ...*cobra.Command) {
	cmd.Args = usageArgs(cobra.NoArgs)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	cmd.AddCommand(below...)
}

func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "dalang",
		Short: "Dalang takes the place of PuppetDB",
		Long: `Dalang takes the place of PuppetDB in one program: it accepts the commands of
Puppet Servers, keeps them in a durable queue, brings them into a database, and
answers queries.

A flag with an empty value is a mistake, not one that was left out: a shell's
variable that is not set must not have a command do more than was meant. Only
texts such as --description may be empty.`,
		Version:       buildInfo().Version,
		SilenceErrors: true, // main prints them
		SilenceUsage:  true,
		Args:          usageArgs(cobra.NoArgs),
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return &usageError{hinted(cmd, flagError(err))}
	})
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error { return checkFlags(cmd) }
	root.SetVersionTemplate("dalang {{.Version}}\n")
	root.AddCommand(newServeCommand(), newAgentCommand(), newConfigCommand(), newVersionCommand(), newDLOCommand(), newJobCommand(), newPlanCommand(), newScheduleCommand(), newQueryCommand(),
		newTaskCommand(), newTargetCommand(), newConnectionCommand(), newTokenCommand(), newUserCommand(), newRoleCommand())
	completeCompletion(root)
	for _, cmd := range append(root.Commands(), root) {
		cmd.SuggestionsMinimumDistance = 2
	}
	return root
}

var (
	groupMissing = regexp.MustCompile(`\Aat least one of the flags in the group \[(.*)\] is required\z`)
	groupTwice   = regexp.MustCompile(`; \[(.*)\] were all set\z`)
)

// checkFlagGroups makes flags that do not go together, those that are missing,
// and groups of which none is given, a usageError in words that say what to type.
func checkFlagGroups(cmd *cobra.Command) error {
	err := cmd.ValidateRequiredFlags()
	if err == nil {
		err = cmd.ValidateFlagGroups()
	}
	if err == nil {
		return nil
	}
	flags := func(names string) []string {
		list := strings.Fields(names)
		for i := range list {
			list[i] = "--" + list[i]
		}
		return list
	}
	if m := groupMissing.FindStringSubmatch(err.Error()); m != nil {
		err = fmt.Errorf("one of these is needed: %s", strings.Join(flags(m[1]), ", "))
	} else if m := groupTwice.FindStringSubmatch(err.Error()); m != nil {
		err = fmt.Errorf("only one of these can be given: %s", strings.Join(flags(m[1]), ", "))
	}
	return &usageError{hinted(cmd, err)}
}

// usageArgs makes wrong arguments a usageError that says what was expected.
func usageArgs(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		err := check(cmd, args)
		switch {
		case err == nil:
			return nil
		case cmd.HasSubCommands():
			err = fmt.Errorf("%s has no command %q", cmd.CommandPath(), args[0])
			if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
				err = fmt.Errorf("%w; did you mean %s?", err, strings.Join(near, " or "))
			}
		case !strings.Contains(cmd.Use, " "):
			err = fmt.Errorf("%s takes no arguments, but was given %q", cmd.CommandPath(), args[0])
		default:
			err = fmt.Errorf("wrong number of arguments: want %s", cmd.UseLine())
		}
		return &usageError{hinted(cmd, err)}
	}
}
