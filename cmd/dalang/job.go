package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"regexp"
	"time"

	"github.com/spf13/cobra"

	"dalang/cmd/internal/client"
)

// jobCLI is what the subcommands of `dalang job` share.
type jobCLI struct {
	remote client.Flags

	load   func(client.Options) (client.Settings, error)
	getenv func(string) string
	now    func() time.Time
	// pause waits between two looks at a job that is followed.
	pause func(context.Context, time.Duration)
}

func newJobCLI() *jobCLI {
	return &jobCLI{load: client.Load, getenv: os.Getenv, now: time.Now, pause: sleep}
}

// newJobCommand makes `dalang job`.
func newJobCommand() *cobra.Command {
	return newJobCLI().command()
}

// addTo adds the flags that say which server is asked, and as whom.
func (c *jobCLI) addTo(cmd *cobra.Command) {
	c.remote.AddTo(cmd.PersistentFlags())
	_ = cmd.RegisterFlagCompletionFunc("server", cobra.NoFileCompletions)
}

// sleep waits, or until ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

func (c *jobCLI) command() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "job",
		Short: "Run Puppet on nodes, and look at jobs",
		Long: `Run Puppet on nodes, now, and look at jobs, also those of tasks and plans: what
the orchestrator of the running server does.

Asks the server that --server or DALANG_SERVER names, else the one of
~/.puppetlabs/client-tools/puppetdb.conf,
/etc/puppetlabs/client-tools/puppetdb.conf or the termini's puppetdb.conf, else
` + client.DefaultURL + `. Shows it the token of --token, of DALANG_TOKEN, or of
~/.puppetlabs/token, or a client certificate that may do everything.`,
	}
	c.addTo(cmd)
	group(cmd, c.runCommand(), c.watchCommand(), c.listCommand(), c.showCommand(), c.nodesCommand(), c.eventsCommand(), c.stopCommand())
	return cmd
}

// exitError ends the program with a status of its own; what there is to say
// has been said.
type exitError struct{ status int }

func (e *exitError) Error() string { return fmt.Sprintf("status %d", e.status) }

// Exit statuses of following a job, beside 0 when it finished on all nodes.
const (
	statusNodesFailed = 3
	statusStopped     = 4
)

// with asks the server that the flags name. A refusal of what the command line
// says is a mistake in the command line.
func (c *jobCLI) with(ctx context.Context, f func(context.Context, *jobAPI) error) error {
	s, err := c.load(client.Options{Flags: c.remote})
	if err != nil {
		return &usageError{err}
	}
	if s.Token == "" && s.Cert == "" {
		s.Token = userToken(c.getenv)
	}
	http, err := client.New(s.Config)
	if err != nil {
		return &usageError{fmt.Errorf("%w (settings of %s)", err, s.Origin)}
	}
	defer http.Close() // drops idle connections
	return explained(f(ctx, &jobAPI{http}))
}

// explained says what helps against a refusal.
func explained(err error) error {
	var refused *client.Error
	if !errors.As(err, &refused) {
		return err
	}
	switch {
	case refused.Status == 401:
		return fmt.Errorf("%w: name a token with --token FILE or DALANG_TOKEN, or a client certificate with --cert and --key", err)
	case refused.Status == 404 && refused.Kind == "":
		return fmt.Errorf("%w: there is no orchestrator at %s", err, refused.URL)
	case refused.Status == 400 || refused.Status == 404:
		return &usageError{err}
	}
	return err
}

var jobName = regexp.MustCompile(`\A[0-9]+\z`)

// oneJob wants the name of a job as the only argument.
func oneJob(cmd *cobra.Command, args []string) error { return oneNumber(cmd, args, "a job", false) }

// oneNumber wants the number of something as the only argument, or as the first
// of more.
func oneNumber(cmd *cobra.Command, args []string, what string, more bool) error {
	switch {
	case len(args) == 0 || len(args) > 1 && !more:
		return &usageError{hinted(cmd, fmt.Errorf("%s wants the number of %s", cmd.CommandPath(), what))}
	case !jobName.MatchString(args[0]):
		return &usageError{hinted(cmd, fmt.Errorf("%q is not the number of %s", args[0], what))}
	}
	return nil
}

// completeJob completes the numbers of the latest jobs.
func (c *jobCLI) completeJob(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return c.offer(cmd, func(ctx context.Context, a *jobAPI) (names []string, err error) {
		jobs, _, err := a.jobs(ctx, url.Values{"limit": {"30"}})
		for _, j := range jobs {
			names = append(names, fmt.Sprintf("%s\t%s in %s, %s", j.Name, j.State, orDash(j.Environment.Name), counted(j.NodeCount, "node")))
		}
		return names, err
	})
}

// offer completes with what find finds, in its order.
func (c *jobCLI) offer(cmd *cobra.Command, find func(context.Context, *jobAPI) ([]string, error)) ([]string, cobra.ShellCompDirective) {
	return proposals(cmd, c.with, find), cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return oneLine(s)
}
