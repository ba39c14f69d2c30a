package main

import (
	"context"
	"fmt"
	"net/url"
	"strconv"

	"github.com/spf13/cobra"
)

// scheduleCLI is what the subcommands of `dalang schedule` share.
type scheduleCLI struct{ *jobCLI }

// newScheduleCommand makes `dalang schedule`.
func newScheduleCommand() *cobra.Command {
	return (&scheduleCLI{newJobCLI()}).command()
}

func (c *scheduleCLI) command() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "schedule",
		Short: "Have jobs start later, once or again and again",
		Long: `Have jobs start later, once or again and again: what the scheduler of the running
server does. Each runs as who made it, with what that user may do when it starts.

Asks the same server, with the same token, as 'dalang job'.`,
	}
	c.addTo(cmd)
	group(cmd, c.createCommand(), c.listCommand(), c.showCommand(), c.editCommand(), c.disableCommand(), c.deleteCommand())
	return cmd
}

// oneSchedule wants the number of a scheduled job as the first argument.
func oneSchedule(more bool) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error { return oneNumber(cmd, args, "a scheduled job", more) }
}

// completeSchedule completes the numbers of scheduled jobs.
func (c *scheduleCLI) completeSchedule(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return c.offer(cmd, func(ctx context.Context, a *jobAPI) (names []string, err error) {
		list, _, err := a.scheduled(ctx, url.Values{"limit": {"100"}})
		for i := range list {
			if s := &list[i]; s.Enabled {
				names = append(names, fmt.Sprintf("%s\t%s, %s", s.Name, s.what(), s.every()))
			}
		}
		return names, err
	})
}

func (c *scheduleCLI) createCommand() *cobra.Command {
	o := &scheduleOrder{}
	cmd := &cobra.Command{
		Use:   "create --at TIME|--in SPAN [--every SPAN] [NAME=VALUE…]",
		Short: "Have Puppet, a task or a plan run later",
		Long: `Have Puppet, a task or a plan run later, once or again and again.

When: --at names a time, such as 2026-12-01T03:00Z, 2026-12-01T03:00+01:00, or, in
the time of this machine, '2026-12-01 03:00' or 03:00; --in says how long from now,
such as 90m, 2h or 1d12h. With --every it runs again after each such span, counted
from that time on: 1d is 24 hours, whatever summer time does.

What: Puppet, or --task NAME or --plan NAME, with parameters as for 'dalang task
run'. Which nodes: as for 'dalang job run'; a plan gets them in its parameter
'targets' or 'nodes'.

A server that is down when the time comes runs it when it is up again, once,
however often it was missed.`,
		Example: `  dalang schedule create --at 2026-12-01T03:00Z --every 1d --group 'All Nodes' -e production --description nightly
  dalang schedule create --in 2h --nodes web1.example.com --noop
  dalang schedule create --at 22:00 --task package action=upgrade name=openssl --query 'nodes[certname]{}'`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.with(cmd.Context(), func(ctx context.Context, a *jobAPI) error { return c.create(ctx, cmd, a, o, args) })
		},
	}
	o.addTo(cmd)
	cmd.Flags().StringVar(&o.task, "task", "", "run this `task` instead of Puppet")
	cmd.Flags().StringVar(&o.plan, "plan", "", "run this `plan` instead of Puppet")
	cmd.MarkFlagsMutuallyExclusive("task", "plan")
	return cmd
}

func (c *scheduleCLI) create(ctx context.Context, cmd *cobra.Command, a *jobAPI, o *scheduleOrder, args []string) error {
	if o.at == "" && o.in == "" {
		return &usageError{hinted(cmd, fmt.Errorf("when? Say it with --at or --in"))}
	}
	entry := &scheduledInfo{Type: o.kind(), Environment: "production"}
	if entry.Type == "deploy" {
		entry.Environment = "" // each node runs in its own
	}
	body, err := o.body(ctx, cmd, a, entry, args, c.now())
	if err != nil {
		return err
	}
	for key, usual := range map[string]any{"description": "", "userdata": map[string]any{}, "environment": entry.Environment} {
		if _, given := body[key]; !given {
			body[key] = usual
		}
	}
	if _, scoped := body["input"].(map[string]any)["scope"]; !scoped && entry.Type != "plan" {
		return &usageError{hinted(cmd, fmt.Errorf("which nodes? Name them with --nodes, --query, --group, --application or --whole-environment"))}
	}
	body["type"] = entry.Type
	name, err := a.schedule(ctx, body)
	if err != nil {
		return err
	}
	made, err := a.scheduledJob(ctx, name)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "Scheduled job %s: %s, %s.\n", oneLine(made.Name), made.what(), made.when(c.now()))
	return err
}

func (c *scheduleCLI) listCommand() *cobra.Command {
	var output, order, kind string
	var all bool
	cmd := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List scheduled jobs",
		Long:    `List the scheduled jobs that will run, or have run and were not disabled, the next ones first.`,
		Args:    usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			query := url.Values{}
			for key, value := range map[string]string{"order_by": order, "type": kind} {
				if value != "" {
					query.Set(key, value)
				}
			}
			return c.with(cmd.Context(), func(ctx context.Context, a *jobAPI) error {
				if output == "json" {
					return a.raw(ctx, schedulesPath, query, cmd.OutOrStdout())
				}
				list, _, err := a.scheduled(ctx, query)
				if err != nil {
					return err
				}
				return c.printSchedules(cmd.OutOrStdout(), list, all)
			})
		},
	}
	f := cmd.Flags()
	f.BoolVarP(&all, "all", "a", false, "those that were disabled as well")
	f.StringVar(&order, "order-by", "", "sort by next_run_time (the default), environment, owner, name or type")
	f.StringVar(&kind, "type", "", "only those of this `type`: deploy, task or plan")
	_ = cmd.RegisterFlagCompletionFunc("order-by", cobra.FixedCompletions([]string{"next_run_time", "environment", "owner", "name", "type"}, cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("type", cobra.FixedCompletions([]string{"deploy", "task", "plan"}, cobra.ShellCompDirectiveNoFileComp))
	addOutput(cmd, &output)
	return cmd
}

func (c *scheduleCLI) showCommand() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:               "show NUMBER",
		Short:             "Show a scheduled job, and what its last run came to",
		Args:              oneSchedule(false),
		ValidArgsFunction: c.completeSchedule,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.with(cmd.Context(), func(ctx context.Context, a *jobAPI) error {
				if output == "json" {
					return a.raw(ctx, schedulesPath+"/"+args[0], nil, cmd.OutOrStdout())
				}
				s, err := a.scheduledJob(ctx, args[0])
				if err != nil {
					return err
				}
				return c.printSchedule(cmd.OutOrStdout(), s)
			})
		},
	}
	addOutput(cmd, &output)
	return cmd
}

func (c *scheduleCLI) editCommand() *cobra.Command {
	o := &scheduleOrder{}
	cmd := &cobra.Command{
		Use:   "edit NUMBER [NAME=VALUE…]",
		Short: "Change when a scheduled job runs, on which nodes, or how",
		Long: `Change a scheduled job: what the flags and parameters say; the rest stays. It goes
on running as who made it.`,
		Example: `  dalang schedule edit 4 --every 12h
  dalang schedule edit 4 --at 2026-12-24T03:00Z --once --noop`,
		Args:              oneSchedule(true),
		ValidArgsFunction: c.completeSchedule,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.with(cmd.Context(), func(ctx context.Context, a *jobAPI) error {
				entry, err := a.scheduledJob(ctx, args[0])
				if err != nil {
					return err
				}
				body, err := o.body(ctx, cmd, a, entry, args[1:], c.now())
				if err != nil {
					return err
				}
				if len(body) == 0 {
					return &usageError{hinted(cmd, fmt.Errorf("what is to change?"))}
				}
				if err := a.editSchedule(ctx, args[0], body); err != nil {
					return err
				}
				if entry, err = a.scheduledJob(ctx, args[0]); err != nil {
					return err
				}
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "Scheduled job %s: %s, %s.\n", oneLine(entry.Name), entry.what(), entry.when(c.now()))
				return err
			})
		},
	}
	o.addTo(cmd)
	allowEmpty(cmd, "environment") // back to each node's own
	cmd.Flags().BoolVar(&o.once, "once", false, "do not run again and again any more")
	cmd.MarkFlagsMutuallyExclusive("every", "once")
	return cmd
}

func (c *scheduleCLI) disableCommand() *cobra.Command {
	return c.ending("disable NUMBER", "Have a scheduled job never run again, and keep it to look at",
		"disabled", func(ctx context.Context, a *jobAPI, name string) error {
			return a.editSchedule(ctx, name, map[string]any{"enabled": false})
		})
}

func (c *scheduleCLI) deleteCommand() *cobra.Command {
	cmd := c.ending("delete NUMBER", "Delete a scheduled job; the jobs that it started stay", "deleted", func(ctx context.Context, a *jobAPI, name string) error {
		return a.deleteSchedule(ctx, name)
	})
	cmd.Aliases = []string{"rm"}
	return cmd
}

// ending is a command after which a scheduled job runs no more.
func (c *scheduleCLI) ending(use, short, done string, end func(context.Context, *jobAPI, string) error) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Args: oneSchedule(false), ValidArgsFunction: c.completeSchedule,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.with(cmd.Context(), func(ctx context.Context, a *jobAPI) error {
				if err := end(ctx, a, args[0]); err != nil {
					return err
				}
				n, err := strconv.ParseInt(args[0], 10, 64)
				if err == nil {
					_, err = fmt.Fprintf(cmd.OutOrStdout(), "Scheduled job %d was %s.\n", n, done)
				}
				return err
			})
		},
	}
}
