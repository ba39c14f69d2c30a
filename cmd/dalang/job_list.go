package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"time"

	"github.com/spf13/cobra"
)

func (c *jobCLI) listCommand() *cobra.Command {
	var output, order string
	var limit int
	cmd := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List the latest jobs",
		Long:    `List the latest jobs, newest first.`,
		Args:    usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			query := url.Values{}
			if limit > 0 {
				query.Set("limit", strconv.Itoa(limit))
			}
			if order != "" {
				query.Set("order_by", order)
			}
			return c.with(cmd.Context(), func(ctx context.Context, a *jobAPI) error {
				if output == "json" {
					return a.raw(ctx, "/jobs", query, cmd.OutOrStdout())
				}
				jobs, total, err := a.jobs(ctx, query)
				if err != nil {
					return err
				}
				return c.printJobs(cmd.OutOrStdout(), jobs, total)
			})
		},
	}
	cmd.Flags().IntVar(&limit, "limit", 20, "`jobs` to list at most; 0: all")
	cmd.Flags().StringVar(&order, "order-by", "", "sort by owner, timestamp, environment, name or state, instead of the newest first")
	_ = cmd.RegisterFlagCompletionFunc("order-by", cobra.FixedCompletions([]string{"owner", "timestamp", "environment", "name", "state"}, cobra.ShellCompDirectiveNoFileComp))
	addOutput(cmd, &output)
	return cmd
}

// raw prints a document of the API as it is, laid out.
func (a *jobAPI) raw(ctx context.Context, path string, query url.Values, w io.Writer) error {
	var doc json.RawMessage
	if err := a.get(ctx, path, query, &doc); err != nil {
		return err
	}
	return printJSON(w, doc)
}

func (c *jobCLI) printJobs(w io.Writer, jobs []jobInfo, total int) error {
	t := &table{right: map[int]bool{0: true, 3: true, 4: true}}
	t.add("JOB", "STATE", "TYPE", "AGE", "TIME", "ENVIRONMENT", "OWNER", "NODES", "DESCRIPTION")
	for i := range jobs {
		j := &jobs[i]
		age := ""
		if j.Created != nil {
			age = humanAge(c.now().Sub(*j.Created))
		}
		t.add(oneLine(j.Name), oneLine(j.State), oneLine(j.Type), age, seconds(j.Duration), orDash(j.Environment.Name),
			orDash(j.Owner.Login), states(j.NodeStates), oneLine(j.Description))
	}
	if err := t.print(w, width(w)); err != nil {
		return err
	}
	return endOfList(w, len(jobs), total, "job")
}

// endOfList says how many there are, of how many.
func endOfList(w io.Writer, shown, total int, noun string) error {
	more := ""
	if total > shown {
		more = fmt.Sprintf(", %s in all", groups(total))
	}
	_, err := fmt.Fprintf(w, "\n%s%s.\n", counted(shown, noun), more)
	return err
}

func (c *jobCLI) showCommand() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:               "show JOB",
		Short:             "Show a job and its nodes",
		Long:              `Show a job: what was asked for, by whom, when it was in which state, and its nodes.`,
		Args:              oneJob,
		ValidArgsFunction: c.completeJob,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.with(cmd.Context(), func(ctx context.Context, a *jobAPI) error {
				if output == "json" {
					return a.raw(ctx, "/jobs/"+args[0], nil, cmd.OutOrStdout())
				}
				j, err := a.job(ctx, args[0])
				if err != nil {
					return err
				}
				nodes, err := a.nodes(ctx, args[0], nil)
				if err != nil {
					return err
				}
				if err := printJob(cmd.OutOrStdout(), j); err != nil {
					return err
				}
				if j.Type != deployType {
					return resultTable(nodes).print(cmd.OutOrStdout(), width(cmd.OutOrStdout()))
				}
				return nodeTable(nodes, false).print(cmd.OutOrStdout(), width(cmd.OutOrStdout()))
			})
		},
	}
	addOutput(cmd, &output)
	return cmd
}

func printJob(w io.Writer, j *jobInfo) error {
	t := &table{}
	t.add("job", oneLine(j.Name))
	t.add("state", oneLine(j.State))
	t.add("type", oneLine(j.Type))
	t.add("environment", orDash(j.Environment.Name))
	t.add("owner", orDash(j.Owner.Login))
	if j.Description != "" {
		t.add("description", oneLine(j.Description))
	}
	for _, at := range []struct {
		name string
		time *time.Time
	}{{"created", j.Created}, {"started", j.Started}, {"finished", j.Finished}} {
		if at.time != nil {
			t.add(at.name, at.time.Local().Format(time.DateTime))
		}
	}
	for _, kept := range []struct {
		name string
		text json.RawMessage
	}{{"options", j.Options}, {"userdata", j.Userdata}} {
		if len(kept.text) > 2 { // more than {}
			t.add(kept.name, oneLine(string(kept.text)))
		}
	}
	t.add("nodes", states(j.NodeStates))
	if err := t.print(w, 0); err != nil {
		return err
	}
	_, err := fmt.Fprintln(w)
	return err
}

func (c *jobCLI) nodesCommand() *cobra.Command {
	var output, state string
	cmd := &cobra.Command{
		Use:               "nodes JOB",
		Short:             "List the nodes of a job, with links to their reports, or all that a task wrote",
		Args:              oneJob,
		ValidArgsFunction: c.completeJob,
		RunE: func(cmd *cobra.Command, args []string) error {
			query := url.Values{}
			if state != "" {
				query.Set("state", state)
			}
			return c.with(cmd.Context(), func(ctx context.Context, a *jobAPI) error {
				if output == "json" {
					return a.raw(ctx, "/jobs/"+args[0]+"/nodes", query, cmd.OutOrStdout())
				}
				nodes, err := a.nodes(ctx, args[0], query)
				if err != nil {
					return err
				}
				j, err := a.job(ctx, args[0])
				if err != nil {
					return err
				}
				if j.Type != deployType {
					return printResults(cmd.OutOrStdout(), nodes)
				}
				return nodeTable(nodes, true).print(cmd.OutOrStdout(), 0) // links must stay whole
			})
		},
	}
	cmd.Flags().StringVar(&state, "state", "", "only nodes in this `state`: new, ready, running, finished, failed, errored, skipped or stopped")
	_ = cmd.RegisterFlagCompletionFunc("state", cobra.FixedCompletions(
		[]string{"new", "ready", "running", "finished", "failed", "errored", "skipped", "stopped"}, cobra.ShellCompDirectiveNoFileComp))
	addOutput(cmd, &output)
	return cmd
}

func (c *jobCLI) eventsCommand() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:               "events JOB",
		Short:             "List what happened in a job",
		Args:              oneJob,
		ValidArgsFunction: c.completeJob,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.with(cmd.Context(), func(ctx context.Context, a *jobAPI) error {
				if output == "json" {
					return a.raw(ctx, "/jobs/"+args[0]+"/events", nil, cmd.OutOrStdout())
				}
				events, _, err := a.events(ctx, args[0], "")
				if err != nil {
					return err
				}
				t := &table{right: map[int]bool{0: true}}
				t.add("EVENT", "TIME", "TYPE", "MESSAGE")
				for _, e := range events {
					t.add(oneLine(e.ID), e.Timestamp.Local().Format(time.DateTime), oneLine(e.Type), oneLine(e.Message))
				}
				return t.print(cmd.OutOrStdout(), width(cmd.OutOrStdout()))
			})
		},
	}
	addOutput(cmd, &output)
	return cmd
}

func (c *jobCLI) stopCommand() *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use:   "stop JOB",
		Short: "Stop a job",
		Long: `Stop a job: nodes that have not begun never will, those that run may end. With
--force those that run are given up too; their agents may go on. It does no harm to
stop a job that has ended.`,
		Args:              oneJob,
		ValidArgsFunction: c.completeJob,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.with(cmd.Context(), func(ctx context.Context, a *jobAPI) error {
				counts, err := a.stop(ctx, args[0], force)
				if err != nil {
					return err
				}
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "Job %s: %s.\n", args[0], states(counts))
				return err
			})
		},
	}
	cmd.Flags().BoolVar(&force, "force", false, "give up nodes that run, too")
	return cmd
}
