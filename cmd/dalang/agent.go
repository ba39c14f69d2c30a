package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"dalang/cmd/internal/agentconfig"
	"dalang/cmd/internal/config"
	"dalang/orchestrator/agent"
)

// defaultAgentConfig is read if it is there.
const defaultAgentConfig = "/etc/dalang/agent.ini"

func newAgentCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "agent",
		Short: "Run what the orchestrator asks for on this node",
		Long: `Run what the orchestrator asks for on this node: Puppet, tasks, commands,
scripts. The agent connects to a PCP broker with the node's Puppet certificate
and stays connected. What it runs goes on when the agent is stopped, and how it
ended is told when the agent is back.

The configuration is a file with the section [agent], by default
` + defaultAgentConfig + `, if it is there. Without it the agent connects to port
8142 of the server that puppet.conf names.

` + agentKeys() + `
SIGINT or SIGTERM stops the agent, and not what it runs.`,
		Example: `  dalang agent
  dalang agent --set brokers=wss://dalang.example.com:8142/pcp2/ --log-level debug`,
		Args: usageArgs(cobra.NoArgs),
	}
	f := addAgentFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, _, err := f.load()
		if err != nil {
			return err
		}
		cfg.Logger = newLogger(cmd.ErrOrStderr(), &f.log)
		return runAgent(cmd.Context(), cfg.Config)
	}
	cmd.AddCommand(newAgentCheckCommand(), newWorkerCommand())
	return cmd
}

// agentKeys is the part of the help that lists the settings.
func agentKeys() string {
	var b strings.Builder
	b.WriteString("Settings, and what they are without being set:\n\n")
	for _, k := range agentconfig.Keys() {
		fmt.Fprintf(&b, "  %s\n      %s\n      (%s)\n", k.Name, k.Help, k.Default)
	}
	return b.String()
}

// agentFlags are those of the agent.
type agentFlags struct {
	path string
	set  []string
	log  config.Config // of which only the section log matters
}

func addAgentFlags(cmd *cobra.Command) *agentFlags {
	f, flags := &agentFlags{}, cmd.Flags()
	flags.StringVarP(&f.path, "config", "c", "", "`path` of the configuration: a file, or a directory with *.ini files")
	flags.StringArrayVar(&f.set, "set", nil, "override a setting, as `key=value`; repeatable")
	f.log.Log.Level = "info"
	addChoice(cmd, &f.log.Log.Format, "log-format", "", "`format` of the log", "text", "json")
	addChoice(cmd, &f.log.Log.Level, "log-level", "", "`level` from which on to log", "debug", "info", "warn", "error")
	var keys []string
	for _, k := range agentconfig.Keys() {
		keys = append(keys, k.Name+"=")
	}
	_ = cmd.RegisterFlagCompletionFunc("set", cobra.FixedCompletions(keys, cobra.ShellCompDirectiveNoFileComp))
	return f
}

// load makes the configuration, with all defaults, and an agent of it, which
// has not been told where to log.
func (f *agentFlags) load() (agentconfig.Loaded, *agent.Agent, error) {
	path := f.path
	if path == "" {
		if _, err := os.Stat(defaultAgentConfig); err == nil {
			path = defaultAgentConfig
		}
	}
	cfg, err := agentconfig.Load(agentconfig.Options{Path: path, Set: f.set})
	if err != nil {
		return cfg, nil, &usageError{err}
	}
	a, err := agent.New(cfg.Config)
	if err != nil {
		return cfg, nil, &usageError{err}
	}
	cfg.Config = a.Config()
	return cfg, a, nil
}

// runAgent runs the agent until a signal, and tells the service manager.
func runAgent(ctx context.Context, cfg agent.Config) error {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal kills
	tell := func(state string) {
		if err := notify(state); err != nil {
			cfg.Logger.Warn("the service manager was not told", "error", err)
		}
	}
	cfg.Ready = func() { tell(notifyReady) }
	cfg.Status = func(text string) { tell("STATUS=" + strings.ReplaceAll(text, "\n", "; ")) }
	a, err := agent.New(cfg)
	if err != nil {
		return &usageError{err}
	}
	defer context.AfterFunc(ctx, func() { tell(notifyStopping) })()
	return a.Run(ctx)
}

// newWorkerCommand is the process of one run; the agent starts it.
func newWorkerCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "worker",
		Short:  "Run one transaction; for the agent alone",
		Hidden: true,
		Args:   usageArgs(cobra.NoArgs),
		Run: func(cmd *cobra.Command, _ []string) {
			os.Exit(agent.Work(cmd.InOrStdin(), cmd.ErrOrStderr())) // the status is for logs
		},
	}
}
