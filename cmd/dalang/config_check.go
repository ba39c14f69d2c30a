package main

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/spf13/cobra"

	"dalang/cmd/internal/config"
)

func newConfigCheckCommand() *cobra.Command {
	var noFiles bool
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Tell all that is wrong with a configuration",
		Long: `Tell all that is wrong with a configuration, with file and line, without starting
anything. It takes the flags of 'dalang serve'. Certificates and allowlists are
read too; --no-files leaves them alone.

The exit status is 1 when a server would not start with it. Warnings, such as of
settings of PuppetDB that Dalang has no use for, do not count.`,
		Example: `  dalang config check --config /etc/puppetlabs/puppetdb/conf.d`,
		Args:    usageArgs(cobra.NoArgs),
	}
	s := addSettings(cmd)
	cmd.Flags().BoolVar(&noFiles, "no-files", false, "do not read the certificates and allowlists that are named")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		loaded, err := s.load(cmd.Flags())
		if err != nil && loaded == nil {
			return err
		}
		mistakes := lines(err)
		// Files that a mistaken configuration names may not be those that are meant.
		if err == nil && !noFiles {
			_, err = newApp(&loaded.Config, slog.New(slog.DiscardHandler))
			mistakes = lines(err)
		}
		return report(cmd, loaded, mistakes)
	}
	return cmd
}

// lines are the lines of an error.
func lines(err error) []string {
	if err == nil {
		return nil
	}
	return strings.Split(err.Error(), "\n")
}

func report(cmd *cobra.Command, loaded *config.Loaded, mistakes []string) error {
	out := cmd.OutOrStdout()
	for _, m := range mistakes {
		fmt.Fprintln(out, "error:", m)
	}
	for _, w := range loaded.Warnings {
		fmt.Fprintln(out, "warning:", w)
	}
	if mistakes != nil {
		return errors.New("a server would not start with this configuration")
	}
	_, err := fmt.Fprintln(out, "The configuration is good.")
	return err
}
