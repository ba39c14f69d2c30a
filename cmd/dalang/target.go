package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"dalang/cmd/internal/client"
)

// targetCLI is what the subcommands of `dalang target` share.
type targetCLI struct{ *jobCLI }

// newTargetCommand makes `dalang target`.
func newTargetCommand() *cobra.Command {
	return (&targetCLI{newJobCLI()}).command()
}

func (c *targetCLI) command() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "target",
		Short: "Let others run some tasks on some nodes",
		Long: `Task-targets let users run some tasks on some nodes that they may not run
otherwise. Who may use one is said by the permission
tasks:run_with_constraints:NUMBER of a role:

  dalang target create 'restart web' --tasks service --nodes web1.example.com
  dalang role create Webmasters --permission 'orchestrator:view:*' \
      --permission tasks:run_with_constraints:1

Which server is asked, and with which token, is as with 'dalang job'.`,
	}
	c.addTo(cmd)
	group(cmd, c.createCommand(), c.listCommand(), c.deleteCommand())
	return cmd
}

// targetInfo is a task-target as the API shows it.
type targetInfo struct {
	Name        string   `json:"name"`
	DisplayName string   `json:"display_name"`
	Tasks       []string `json:"tasks"`
	AllTasks    bool     `json:"all_tasks"`
	Nodes       []string `json:"nodes"`
	NodeGroups  []string `json:"node_groups"`
	PQL         string   `json:"pql_query"`
}

func (c *targetCLI) createCommand() *cobra.Command {
	var tasks, nodes, groups []string
	var query string
	var all bool
	cmd := &cobra.Command{
		Use:   "create NAME",
		Short: "Create a task-target, and print its number",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 || strings.TrimSpace(args[0]) == "" {
				return &usageError{hinted(cmd, fmt.Errorf("%s wants one name", cmd.CommandPath()))}
			}
			return nil
		},
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.with(cmd.Context(), func(ctx context.Context, a *jobAPI) error {
				body := map[string]any{"display_name": args[0], "nodes": append([]string{}, nodes...)}
				ids := []string{}
				for _, g := range groups {
					id, err := a.group(ctx, g)
					if err != nil {
						return err
					}
					ids = append(ids, id)
				}
				body["node_groups"] = ids
				if all {
					body["all_tasks"] = true
				} else {
					body["tasks"] = tasks
				}
				if query != "" {
					body["pql_query"] = query
				}
				var answer struct {
					Target struct{ Name string } `json:"task_target"`
				}
				if err := a.command(ctx, "task_target", body, &answer); err != nil {
					return err
				}
				_, err := fmt.Fprintln(cmd.OutOrStdout(), answer.Target.Name)
				return err
			})
		},
	}
	f := cmd.Flags()
	f.StringSliceVarP(&tasks, "tasks", "t", nil, "`names` of tasks, with commas or repeated")
	f.BoolVar(&all, "all-tasks", false, "all tasks")
	f.StringSliceVarP(&nodes, "nodes", "n", nil, "`certnames`, with commas or repeated")
	f.StringSliceVar(&groups, "group", nil, "node `groups`, by id or name, repeated")
	f.StringVarP(&query, "query", "q", "", "PQL `query` whose rows have certnames")
	cmd.MarkFlagsMutuallyExclusive("tasks", "all-tasks")
	cmd.MarkFlagsOneRequired("tasks", "all-tasks")
	cmd.MarkFlagsOneRequired("nodes", "group", "query")
	return cmd
}

func (c *targetCLI) listCommand() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List all task-targets",
		Args:    usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.with(cmd.Context(), func(ctx context.Context, a *jobAPI) error {
				const path = "/scopes/task_targets"
				if output == "json" {
					return a.raw(ctx, path, nil, cmd.OutOrStdout())
				}
				var list struct{ Items []targetInfo }
				if err := a.get(ctx, path, nil, &list); err != nil {
					return err
				}
				t := &table{right: map[int]bool{0: true}}
				t.add("TARGET", "NAME", "TASKS", "NODES", "GROUPS", "QUERY")
				for _, i := range list.Items {
					tasks := strings.Join(i.Tasks, " ")
					if i.AllTasks {
						tasks = "(all)"
					}
					t.add(oneLine(i.Name), oneLine(i.DisplayName), oneLine(tasks), oneLine(strings.Join(i.Nodes, " ")),
						oneLine(strings.Join(i.NodeGroups, " ")), oneLine(i.PQL))
				}
				if err := t.print(cmd.OutOrStdout(), width(cmd.OutOrStdout())); err != nil {
					return err
				}
				return endOfList(cmd.OutOrStdout(), len(list.Items), len(list.Items), "task-target")
			})
		},
	}
	addOutput(cmd, &output)
	return cmd
}

func (c *targetCLI) deleteCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "delete NUMBER",
		Short: "Delete a task-target",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 || !jobName.MatchString(args[0]) {
				return &usageError{hinted(cmd, fmt.Errorf("%s wants the number of a task-target", cmd.CommandPath()))}
			}
			return nil
		},
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.with(cmd.Context(), func(ctx context.Context, a *jobAPI) error {
				err := a.client.JSON(ctx, client.Request{Method: http.MethodDelete, Path: orchestratorPath + "/scopes/task_targets/" + args[0]}, nil)
				if err == nil {
					_, err = fmt.Fprintf(cmd.OutOrStdout(), "Task-target %s was deleted.\n", args[0])
				}
				return err
			})
		},
	}
}
