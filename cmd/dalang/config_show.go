package main

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"dalang/cmd/internal/config"
)

func newConfigCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "config", Short: "Look at the configuration"}
	group(cmd, newConfigShowCommand(), newConfigCheckCommand())
	return cmd
}

func newConfigShowCommand() *cobra.Command {
	var asJSON, changed bool
	cmd := &cobra.Command{
		Use:   "show",
		Short: "Print the effective configuration and where each value comes from",
		Long: `Print the effective configuration and where each value comes from. It takes the
flags of 'dalang serve', so that putting "config show" in the place of "serve"
tells what a server would do.

What is printed is itself a configuration file, which says the same: it can be
given to --config.`,
		Args: usageArgs(cobra.NoArgs),
	}
	s := addSettings(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.Flags().BoolVar(&changed, "changed", false, "leave out what is as it is by default")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		loaded, err := s.load(cmd.Flags())
		if err != nil {
			return err
		}
		for _, warning := range loaded.Warnings {
			fmt.Fprintln(cmd.ErrOrStderr(), "warning:", warning)
		}
		if asJSON {
			return showJSON(cmd.OutOrStdout(), loaded, changed)
		}
		return loaded.WriteINI(cmd.OutOrStdout(), changed)
	}
	return cmd
}

// shownSetting is a setting in JSON.
type shownSetting struct {
	Value  string `json:"value"`
	Origin string `json:"origin"`
}

func showJSON(w io.Writer, c *config.Loaded, changed bool) error {
	all := map[string]map[string]shownSetting{}
	for _, k := range config.Keys() {
		if changed && !c.Said(k.String()) {
			continue
		}
		if all[k.Section] == nil {
			all[k.Section] = map[string]shownSetting{}
		}
		all[k.Section][k.Name] = shownSetting{k.Text(&c.Config), c.Origin(k.String())}
	}
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(all)
}
