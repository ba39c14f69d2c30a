package main

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"dalang/cmd/internal/config"
	"dalang/orchestrator"
	"dalang/orchestrator/agentless"
	"dalang/orchestrator/job"
	"dalang/orchestrator/ssh"
	"dalang/orchestrator/winrm"
)

// addRemotes adds the transports of nodes without an agent.
func (t *tasking) addRemotes(c *config.Config, engine *orchestrator.Engine, log *slog.Logger) error {
	shell, err := ssh.NewTransport(ssh.TransportConfig{
		Config: ssh.Config{KnownHosts: c.Orchestrator.SSHKnownHosts},
		Target: func(ctx context.Context, id int64, certname string) (ssh.Target, error) {
			how, err := engine.Connection(ctx, id, certname)
			return sshTarget(how, c.Orchestrator.SSHHostKeyCheck), err
		},
		Open: t.content.Open, Sink: engine, Logger: log,
	})
	if err != nil {
		return err
	}
	windows, err := winrm.NewTransport(winrm.TransportConfig{
		Target: func(ctx context.Context, id int64, certname string) (winrm.Target, error) {
			how, err := engine.Connection(ctx, id, certname)
			return winrmTarget(how), err
		},
		Open: t.content.Open, Sink: engine, Logger: log,
	})
	if err != nil {
		return err
	}
	t.remotes = []*agentless.Transport{shell, windows}
	for _, remote := range t.remotes {
		engine.Add(remote)
	}
	return nil
}

// sshTarget is a connection as package ssh knows it.
func sshTarget(c job.Connection, check bool) ssh.Target {
	if c.HostKeyCheck != nil {
		check = *c.HostKeyCheck
	}
	return ssh.Target{
		Host: c.Hostname, Port: c.Port, User: c.User, Password: c.Password, PrivateKey: c.PrivateKey,
		RunAs: c.RunAs, RunAsCommand: c.RunAsCommand, SudoPassword: c.SudoPassword,
		ConnectTimeout: time.Duration(c.ConnectTimeout) * time.Second, HostKeyCheck: check, TTY: c.TTY, TmpDir: c.TmpDir, Interpreters: c.Interpreters,
	}
}

// winrmTarget is a connection as package winrm knows it. A plan's run_as does
// nothing there, as in Bolt.
func winrmTarget(c job.Connection) winrm.Target {
	t := winrm.Target{
		Host: c.Hostname, Port: c.Port, User: c.User, Password: c.Password, ConnectTimeout: time.Duration(c.ConnectTimeout) * time.Second,
		NoTLS: c.SSL != nil && !*c.SSL, Insecure: c.SSLVerify != nil && !*c.SSLVerify,
		TmpDir: c.TmpDir, Interpreters: c.Interpreters, Extensions: c.Extensions,
	}
	if c.CACert != "" {
		t.CACert = []byte(c.CACert)
	}
	return t
}

// runRemotes ends what runs on nodes without an agent when ctx ends.
func (t *tasking) runRemotes(ctx context.Context) error {
	<-ctx.Done()
	var all sync.WaitGroup
	for _, remote := range t.remotes {
		all.Go(remote.Close)
	}
	all.Wait()
	return nil
}
