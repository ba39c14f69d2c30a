package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"dalang/orchestrator/task"
)

// taskCLI is what the subcommands of `dalang task` share.
type taskCLI struct{ *jobCLI }

// newTaskCommand makes `dalang task`.
func newTaskCommand() *cobra.Command {
	return (&taskCLI{newJobCLI()}).command()
}

func (c *taskCLI) command() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "task",
		Short: "Run tasks on nodes, and look at what tasks there are",
		Long: `Run tasks on nodes, now, and look at what tasks there are. 'dalang job' shows what
became of them.

Which server is asked, and with which token, is as with 'dalang job'.`,
	}
	c.addTo(cmd)
	group(cmd, c.runCommand(), c.listCommand(), c.showCommand())
	return cmd
}

// taskInfo is a task as the API shows it.
type taskInfo struct {
	Name      string          `json:"name"`
	Permitted bool            `json:"permitted"`
	Metadata  json.RawMessage `json:"metadata"`
	Files     []struct {
		Filename string `json:"filename"`
		Size     int64  `json:"size_bytes"`
	} `json:"files"`
}

// inEnvironment is the query that names an environment, if one is given.
func inEnvironment(environment string) url.Values {
	query := url.Values{}
	if environment != "" {
		query.Set("environment", environment)
	}
	return query
}

func (a *jobAPI) tasks(ctx context.Context, environment string) ([]taskInfo, error) {
	var list struct{ Items []taskInfo }
	err := a.get(ctx, "/tasks", inEnvironment(environment), &list)
	return list.Items, err
}

// taskPath is where the API has a task.
func taskPath(name string) string {
	module, own := task.SplitName(name)
	return "/tasks/" + url.PathEscape(module) + "/" + url.PathEscape(own)
}

// task gets a task and reads its metadata.
func (a *jobAPI) task(ctx context.Context, environment, name string) (*taskInfo, *task.Metadata, error) {
	var t taskInfo
	if err := a.get(ctx, taskPath(name), inEnvironment(environment), &t); err != nil {
		return nil, nil, err
	}
	m, err := task.Parse(t.Metadata)
	if err != nil {
		return nil, nil, fmt.Errorf("the metadata of the task %s: %w", name, err)
	}
	return &t, m, nil
}

// oneTask wants the name of a task as the first argument.
func oneTask(cmd *cobra.Command, args []string) error {
	switch {
	case len(args) == 0:
		return &usageError{hinted(cmd, fmt.Errorf("%s wants the name of a task", cmd.CommandPath()))}
	case !task.ValidName(args[0]):
		return &usageError{hinted(cmd, fmt.Errorf("%q is not the name of a task: module, or module::task", args[0]))}
	}
	return nil
}

// addEnvironment adds --environment.
func addEnvironment(cmd *cobra.Command, environment *string) {
	cmd.Flags().StringVarP(environment, "environment", "e", "", "environment whose task it is (default production)")
	_ = cmd.RegisterFlagCompletionFunc("environment", cobra.NoFileCompletions)
}

// complete proposes names of tasks, and then the parameters of the one that is given.
func (c *taskCLI) complete(parameters bool) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		return c.propose(cmd, args, parameters, func(ctx context.Context, a *jobAPI, environment string) (names []string, err error) {
			all, err := a.tasks(ctx, environment)
			for _, t := range all {
				names = append(names, t.Name)
			}
			return names, err
		}, func(ctx context.Context, a *jobAPI, environment string) (*task.Metadata, error) {
			_, m, err := a.task(ctx, environment, args[0])
			return m, err
		})
	}
}

// propose completes a name out of names, and then, with parameters, those of
// the metadata of the one that is given.
func (c *jobCLI) propose(cmd *cobra.Command, args []string, parameters bool,
	names func(ctx context.Context, a *jobAPI, environment string) ([]string, error),
	metadata func(ctx context.Context, a *jobAPI, environment string) (*task.Metadata, error),
) (words []string, directive cobra.ShellCompDirective) {
	environment, _ := cmd.Flags().GetString("environment") // every command that completes has it
	directive = cobra.ShellCompDirectiveNoFileComp
	words = proposals(cmd, c.with, func(ctx context.Context, a *jobAPI) (words []string, err error) {
		if len(args) == 0 {
			return names(ctx, a, environment)
		}
		if !parameters {
			return nil, nil
		}
		directive |= cobra.ShellCompDirectiveNoSpace
		m, err := metadata(ctx, a, environment)
		if err != nil {
			return nil, err
		}
		for _, p := range m.Parameters {
			words = append(words, p.Name+"=\t"+oneLine(p.Description))
		}
		return words, nil
	})
	return words, directive
}

func (c *taskCLI) listCommand() *cobra.Command {
	var output, environment string
	cmd := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List the tasks of an environment",
		Long:    `List the tasks of an environment, and which of them you may run.`,
		Args:    usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.with(cmd.Context(), func(ctx context.Context, a *jobAPI) error {
				if output == "json" {
					return a.raw(ctx, "/tasks", inEnvironment(environment), cmd.OutOrStdout())
				}
				all, err := a.tasks(ctx, environment)
				if err != nil {
					return err
				}
				t := &table{}
				t.add("TASK", "PERMITTED")
				for _, one := range all {
					t.add(oneLine(one.Name), map[bool]string{true: "yes", false: "no"}[one.Permitted])
				}
				if err := t.print(cmd.OutOrStdout(), width(cmd.OutOrStdout())); err != nil {
					return err
				}
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "\n%s.\n", counted(len(all), "task"))
				return err
			})
		},
	}
	addEnvironment(cmd, &environment)
	addOutput(cmd, &output)
	return cmd
}

func (c *taskCLI) showCommand() *cobra.Command {
	var output, environment string
	cmd := &cobra.Command{
		Use:   "show TASK",
		Short: "Show a task and its parameters",
		Long:  `Show a task: what it does, its parameters and their types, and its files.`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return &usageError{hinted(cmd, fmt.Errorf("%s wants the name of one task", cmd.CommandPath()))}
			}
			return oneTask(cmd, args)
		},
		ValidArgsFunction: c.complete(false),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.with(cmd.Context(), func(ctx context.Context, a *jobAPI) error {
				if output == "json" {
					return a.raw(ctx, taskPath(args[0]), inEnvironment(environment), cmd.OutOrStdout())
				}
				t, m, err := a.task(ctx, environment, args[0])
				if err != nil {
					return err
				}
				return printTask(cmd, t, m)
			})
		},
	}
	addEnvironment(cmd, &environment)
	addOutput(cmd, &output)
	return cmd
}

func printTask(cmd *cobra.Command, info *taskInfo, m *task.Metadata) error {
	w := cmd.OutOrStdout()
	head := &table{}
	head.add("task", oneLine(info.Name))
	if m.Description != "" {
		head.add("description", oneLine(m.Description))
	}
	head.add("noop", map[bool]string{true: "supported", false: "not supported"}[m.SupportsNoop])
	var files []string
	for _, f := range info.Files {
		files = append(files, oneLine(f.Filename))
	}
	head.add("files", strings.Join(files, " "))
	if err := head.print(w, 0); err != nil {
		return err
	}
	if !m.Typed {
		_, err := fmt.Fprintln(w, "\nIt does not say which parameters it takes; any will do.")
		return err
	}
	t := &table{}
	t.add("PARAMETER", "TYPE", "DEFAULT", "DESCRIPTION")
	for _, p := range m.Parameters {
		kind, without := "Any", oneLine(string(p.Default))
		if p.Type != nil {
			kind = p.Type.String()
		}
		if p.Required() {
			without = "(required)"
		}
		description := oneLine(p.Description)
		if p.Sensitive {
			if p.Default != nil {
				without = "(hidden)"
			}
			description = strings.TrimSpace("(sensitive) " + description)
		}
		t.add(oneLine(p.Name), oneLine(kind), without, description)
	}
	if _, err := fmt.Fprintln(w); err != nil {
		return err
	}
	return t.print(w, width(w))
}
