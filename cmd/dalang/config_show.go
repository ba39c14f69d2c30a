package main

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"dalang/cmd/internal/config"
)

func newConfigCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Look at the configuration",
		Args:  usageArgs(cobra.NoArgs),
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newConfigShowCommand())
	return cmd
}

func newConfigShowCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "show",
		Short: "Print the effective configuration and where each value comes from",
		Long: `Print the effective configuration and where each value comes from. It takes the
flags of 'dalang serve', so that putting "config show" in the place of "serve"
tells what a server would do.`,
		Args: usageArgs(cobra.NoArgs),
	}
	s := addSettings(cmd.Flags())
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		loaded, err := s.load(cmd.Flags())
		if err != nil {
			return err
		}
		for _, warning := range loaded.Warnings {
			fmt.Fprintln(cmd.ErrOrStderr(), "warning:", warning)
		}
		if asJSON {
			return showJSON(cmd.OutOrStdout(), loaded)
		}
		return showText(cmd.OutOrStdout(), loaded)
	}
	return cmd
}

// showText prints a file that says the same, with origins as comments.
func showText(w io.Writer, c *config.Loaded) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	section := ""
	for _, k := range config.Keys() {
		if k.Section != section {
			if section != "" {
				fmt.Fprintln(table)
			}
			section = k.Section
			fmt.Fprintf(table, "[%s]\n", section)
		}
		fmt.Fprintf(table, "%s = %s\t; %s\n", k.Name, k.Text(&c.Config), c.Origins[k.String()])
	}
	return table.Flush()
}

// shownSetting is a setting in JSON.
type shownSetting struct {
	Value  string `json:"value"`
	Origin string `json:"origin"`
}

func showJSON(w io.Writer, c *config.Loaded) error {
	all := map[string]map[string]shownSetting{}
	for _, k := range config.Keys() {
		if all[k.Section] == nil {
			all[k.Section] = map[string]shownSetting{}
		}
		all[k.Section][k.Name] = shownSetting{k.Text(&c.Config), c.Origins[k.String()]}
	}
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(all)
}
