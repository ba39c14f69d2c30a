package main

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"dalang/cmd/internal/agentconfig"
	"dalang/orchestrator/agent/action"
)

func newAgentCheckCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Tell what the agent would do with its configuration",
		Long: `Tell what the agent would do with its configuration: every setting as it would be,
and, without connecting, whether this node can do it: whether the certificate, its
key and the CA are there, fit, and are good now, whether there is a puppet and the
interpreters that are set, and whether the data directory can be written by who asks.

The exit status is 1 when something is missing, and 2 when the configuration is
wrong in itself.`,
		Args: usageArgs(cobra.NoArgs),
	}
	f := addAgentFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, a, err := f.load()
		if err != nil {
			return err
		}
		for _, s := range agentSettings(&cfg) {
			if _, err := fmt.Fprintf(cmd.OutOrStdout(), "%-14s  %s\n", s.name, s.value); err != nil {
				return err
			}
		}
		return a.Check()
	}
	return cmd
}

// agentSetting is a setting as it is in effect.
type agentSetting struct{ name, value string }

// agentSettings are all settings of an agent, by the names by which they are set.
func agentSettings(c *agentconfig.Loaded) []agentSetting {
	s, files := &c.Settings, &c.Settings.Files
	name, err := files.Certname()
	if err != nil {
		name = "not known: the certificate cannot be read" // which the check tells of
	}
	puppet := s.Puppet
	if path, err := exec.LookPath(puppet); err == nil {
		puppet = path
	}
	crl := files.CRL
	if _, err := os.Stat(crl); errors.Is(err, fs.ErrNotExist) {
		crl += " (not there: nothing counts as revoked)"
	}
	var by []string
	for _, extension := range slices.Sorted(maps.Keys(s.Interpreters)) {
		by = append(by, extension+"="+s.Interpreters[extension])
	}
	list := func(items []string, none string) string {
		if len(items) == 0 {
			return none
		}
		return strings.Join(items, ", ")
	}
	puppetConf := c.PuppetConf
	if puppetConf == "" {
		puppetConf = "none"
	}
	timeout := "what the request says, else " + spanText(action.DefaultTimeout)
	if s.Timeout > 0 {
		timeout = lengthText(s.Timeout)
	}
	return []agentSetting{
		{"certname", name}, {"puppet-conf", puppetConf}, {"ssldir", c.SSLDir},
		{"ssl-cert", files.Cert}, {"ssl-key", files.Key}, {"ssl-ca-cert", files.CA}, {"ssl-crl", crl},
		{"brokers", list(c.Brokers, "none")}, {"controllers", list(c.Controllers, "all that the broker lets")},
		{"primary-uris", list(s.PrimaryURIs, "none")}, {"download-paths", list(s.DownloadPaths, "none")},
		{"data", c.Data}, {"modules", list(c.Modules, "none")}, {"puppet", puppet}, {"interpreters", list(by, "by #!")},
		{"max-runs", fmt.Sprint(c.MaxRuns)}, {"timeout", timeout}, {"kill-grace", lengthText(s.Grace)},
		{"max-output", humanBytes(s.MaxOutput)}, {"keep", lengthText(c.Keep)},
	}
}

// lengthText is a span as the configuration takes it.
func lengthText(d time.Duration) string {
	if d%time.Second != 0 {
		return fmt.Sprintf("%dms", d.Milliseconds())
	}
	return spanText(d)
}
