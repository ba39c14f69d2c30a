package main

import (
	"fmt"
	"maps"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"dalang/cmd/internal/config"
	"dalang/orchestrator/classifier"
	"dalang/orchestrator/environments"
	"dalang/orchestrator/rbac"
	"dalang/server"
	"dalang/store"
)

// hinted tells where to read about a command that was called wrongly.
func hinted(cmd *cobra.Command, err error) error {
	return fmt.Errorf("%w\nSee '%s --help'.", err, cmd.CommandPath())
}

// settings are the flags of the commands that have a configuration.
type settings struct {
	path string
	set  []string
}

// addConfig adds the flags that name a configuration; also is said of them in
// the help.
func addConfig(cmd *cobra.Command, also string) *settings {
	s, flags := &settings{}, cmd.Flags()
	flags.StringVarP(&s.path, "config", "c", "", "`path` of PuppetDB's configuration: a file, or a directory with *.ini files"+also)
	flags.StringArrayVar(&s.set, "set", nil, "override any setting of the configuration, as `section.key=value`; repeatable"+also)
	if err := cmd.RegisterFlagCompletionFunc("set", completeKeys); err != nil {
		panic(err) // the flag is there
	}
	return s
}

func addSettings(cmd *cobra.Command) *settings {
	s, flags := addConfig(cmd, ""), cmd.Flags()
	usage := map[string]string{
		"data":                "`directory` of queue, dead letter office and database (default \"data\")",
		"listen":              "`address` to serve HTTP on, or none (default \"127.0.0.1:8080\")",
		"tls-listen":          "`address` to serve HTTPS on",
		"tls-cert":            "PEM `file` with the server's certificate",
		"tls-key":             "PEM `file` with its key",
		"tls-ca":              "PEM `file` with who may sign clients' certificates",
		"orchestrator-listen": "`address` to serve the orchestrator on, over TLS, such as 0.0.0.0:8143",
		"pcp-listen":          "`address` to take agents' connections on, such as 0.0.0.0:8142",
		"log-format":          "`format` of the log: text or json (default text)",
		"log-level":           "`level` from which on to log: debug, info, warn or error (default info)",
	}
	for name := range config.Flags() {
		flags.String(name, "", usage[name])
		allowEmpty(cmd, name) // it empties the setting of a file
	}
	complete := func(flag string, f cobra.CompletionFunc) {
		if err := cmd.RegisterFlagCompletionFunc(flag, f); err != nil {
			panic(err) // a flag that is not there
		}
	}
	fixed := func(words ...string) cobra.CompletionFunc {
		return cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp)
	}
	complete("data", cobra.FixedCompletions(nil, cobra.ShellCompDirectiveFilterDirs))
	complete("log-format", fixed("text", "json"))
	complete("log-level", fixed("debug", "info", "warn", "error"))
	complete("listen", fixed("127.0.0.1:8080", "none"))
	complete("tls-listen", cobra.NoFileCompletions)
	complete("orchestrator-listen", cobra.NoFileCompletions)
	complete("pcp-listen", cobra.NoFileCompletions)
	return s
}

// completeKeys completes the keys of --set; values are free.
func completeKeys(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	var keys []string
	for _, k := range config.Keys() {
		keys = append(keys, k.String()+"=")
	}
	return keys, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}

// load makes the effective configuration. With config.Mistakes in the error,
// what could be made out is answered too.
func (s *settings) load(flags *pflag.FlagSet) (*config.Loaded, error) {
	given := map[string]string{}
	for name, key := range config.Flags() {
		if f := flags.Lookup(name); f.Changed {
			given[key] = f.Value.String()
		}
	}
	return s.loadWith(given)
}

// loadWith makes the effective configuration, with values by section.key that
// take precedence.
func (s *settings) loadWith(flags map[string]string) (*config.Loaded, error) {
	given := map[string]string{}
	for _, pair := range s.set {
		key, value, ok := strings.Cut(pair, "=")
		if !ok {
			return nil, &usageError{fmt.Errorf("--set %s: want section.key=value", pair)}
		}
		given[strings.TrimSpace(key)] = value
	}
	maps.Copy(given, flags)
	loaded, err := config.Load(config.Options{Path: s.path, Env: os.Environ(), Flags: given, Checks: checks()})
	if err != nil {
		return loaded, &usageError{err}
	}
	return loaded, nil
}

// checks are the rules that other packages have for settings.
func checks() map[string]func(*config.Config) error {
	return map[string]func(*config.Config) error{
		"dalang.listen": func(c *config.Config) error {
			if c.Dalang.Listen == "" || c.Dalang.AllowCleartext {
				return nil
			}
			return server.LoopbackOnly(c.Dalang.Listen)
		},
		"rbac.mode": func(c *config.Config) error {
			return rbac.Mode(c.RBAC.Mode).Check(c.Dalang.Listen, c.Dalang.TLSListen, c.Orchestrator.Listen)
		},
		"orchestrator.puppetserver": func(c *config.Config) error {
			if c.Orchestrator.PuppetServer == "" {
				return nil
			}
			return environments.CheckServer(c.Orchestrator.PuppetServer)
		},
		"orchestrator.classifier": func(c *config.Config) error {
			if c.Orchestrator.Classifier == "" {
				return nil
			}
			return classifier.CheckURL(c.Orchestrator.Classifier)
		},
		"database.facts-blocklist": func(c *config.Config) error {
			kind := c.Database.FactsBlocklistType
			if kind != "literal" && kind != "regex" {
				return nil // a mistake of its own
			}
			_, err := store.NewBlocklist(c.Database.FactsBlocklist, kind)
			return err
		},
	}
}
