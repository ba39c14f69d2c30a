package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"dalang/orchestrator/content"
	"dalang/orchestrator/task"
)

// planCLI is what the subcommands of `dalang plan` share.
type planCLI struct{ *jobCLI }

// newPlanCommand makes `dalang plan`.
func newPlanCommand() *cobra.Command {
	return (&planCLI{newJobCLI()}).command()
}

func (c *planCLI) command() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "plan",
		Short: "Run plans, and look at what plans there are",
		Long: `Run plans, which run tasks, commands, scripts and other plans on nodes step by
step, and look at what plans there are and what became of those that ran.

Which server is asked, and with which token, is as with 'dalang job'.`,
	}
	c.addTo(cmd)
	group(cmd, c.runCommand(), c.listCommand(), c.showCommand(), c.jobsCommand(), c.watchCommand(), c.stopCommand())
	return cmd
}

// planInfo is a plan as the API shows it.
type planInfo struct {
	Name      string       `json:"name"`
	Permitted bool         `json:"permitted"`
	Metadata  planMetadata `json:"metadata"`
}

type planMetadata struct {
	Description string                   `json:"description"`
	Parameters  map[string]planParameter `json:"parameters"` // nil: not known
}

type planParameter struct {
	Type        string          `json:"type"`
	Description string          `json:"description"`
	Default     json.RawMessage `json:"default_value"`
	Sensitive   bool            `json:"sensitive"`
}

// parameters are those of the plan, as tasks have them.
func (m *planMetadata) parameters() (*task.Metadata, error) {
	raw := map[string]json.RawMessage{}
	for name, p := range m.Parameters {
		of := map[string]any{"type": p.Type, "description": p.Description, "sensitive": p.Sensitive}
		if p.Default != nil {
			of["default"] = p.Default
		}
		text, err := json.Marshal(of)
		if err != nil {
			return nil, err
		}
		raw[name] = text
	}
	list, err := task.ParseParameters(raw)
	return &task.Metadata{Description: m.Description, Parameters: list, Typed: m.Parameters != nil}, err
}

func (a *jobAPI) plans(ctx context.Context, environment string) ([]planInfo, error) {
	var list struct{ Items []planInfo }
	err := a.get(ctx, "/plans", inEnvironment(environment), &list)
	return list.Items, err
}

// planPath is where the API has a plan.
func planPath(name string) string {
	module, own, found := strings.Cut(name, "::")
	if !found {
		own = "init"
	}
	return "/plans/" + url.PathEscape(module) + "/" + url.PathEscape(own)
}

// plan gets a plan and reads its parameters.
func (a *jobAPI) plan(ctx context.Context, environment, name string) (*planInfo, *task.Metadata, error) {
	var p planInfo
	if err := a.get(ctx, planPath(name), inEnvironment(environment), &p); err != nil {
		return nil, nil, err
	}
	m, err := p.Metadata.parameters()
	if err != nil {
		return nil, nil, fmt.Errorf("the parameters of the plan %s: %w", name, err)
	}
	return &p, m, nil
}

// onePlan wants the name of a plan as the first argument.
func onePlan(cmd *cobra.Command, args []string) error {
	switch {
	case len(args) == 0:
		return &usageError{hinted(cmd, fmt.Errorf("%s wants the name of a plan", cmd.CommandPath()))}
	case !content.ValidPlan(args[0]):
		return &usageError{hinted(cmd, fmt.Errorf("%q is not the name of a plan: module, or module::plan", args[0]))}
	}
	return nil
}

// onePlanJob wants the number of a plan job as the only argument.
func onePlanJob(cmd *cobra.Command, args []string) error {
	if len(args) != 1 || !jobName.MatchString(args[0]) {
		return &usageError{hinted(cmd, fmt.Errorf("%s wants the number of a plan that was run; 'dalang plan jobs' lists them", cmd.CommandPath()))}
	}
	return nil
}

// complete proposes names of plans, and then the parameters of the one that is given.
func (c *planCLI) complete(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	return c.propose(cmd, args, cmd.Name() == "run", func(ctx context.Context, a *jobAPI, environment string) (names []string, err error) {
		all, err := a.plans(ctx, environment)
		for _, p := range all {
			names = append(names, p.Name)
		}
		return names, err
	}, func(ctx context.Context, a *jobAPI, environment string) (*task.Metadata, error) {
		_, m, err := a.plan(ctx, environment, args[0])
		return m, err
	})
}

func (c *planCLI) listCommand() *cobra.Command {
	var output, environment string
	cmd := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List the plans of an environment",
		Long:    `List the plans of an environment, and which of them you may run.`,
		Args:    usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.with(cmd.Context(), func(ctx context.Context, a *jobAPI) error {
				w := cmd.OutOrStdout()
				if output == "json" {
					return a.raw(ctx, "/plans", inEnvironment(environment), w)
				}
				all, err := a.plans(ctx, environment)
				if err != nil {
					return err
				}
				t := &table{}
				t.add("PLAN", "PERMITTED")
				for _, one := range all {
					t.add(oneLine(one.Name), map[bool]string{true: "yes", false: "no"}[one.Permitted])
				}
				if err := t.print(w, width(w)); err != nil {
					return err
				}
				_, err = fmt.Fprintf(w, "\n%s.\n", counted(len(all), "plan"))
				return err
			})
		},
	}
	addEnvironment(cmd, &environment)
	addOutput(cmd, &output)
	return cmd
}

func (c *planCLI) showCommand() *cobra.Command {
	var output, environment string
	cmd := &cobra.Command{
		Use:   "show PLAN|NUMBER",
		Short: "Show a plan and its parameters, or one that was run",
		Long: `Show a plan: what it does, and its parameters and their types. Or, by its number,
a plan that was run: its parameters, the jobs that it made, and its result.`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return &usageError{hinted(cmd, fmt.Errorf("%s wants one plan", cmd.CommandPath()))}
			}
			if len(args) == 1 && jobName.MatchString(args[0]) {
				return nil
			}
			return onePlan(cmd, args)
		},
		ValidArgsFunction: c.complete,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.with(cmd.Context(), func(ctx context.Context, a *jobAPI) error {
				return c.show(ctx, cmd, a, args[0], environment, output == "json")
			})
		},
	}
	addEnvironment(cmd, &environment)
	addOutput(cmd, &output)
	return cmd
}

func (c *planCLI) show(ctx context.Context, cmd *cobra.Command, a *jobAPI, name, environment string, asJSON bool) error {
	w := cmd.OutOrStdout()
	ran := jobName.MatchString(name)
	switch {
	case ran && asJSON:
		return a.raw(ctx, planJobPath(name), nil, w)
	case asJSON:
		return a.raw(ctx, planPath(name), inEnvironment(environment), w)
	case ran:
		p, err := a.planJob(ctx, name)
		if err != nil {
			return err
		}
		return c.printPlanJob(w, p)
	}
	info, m, err := a.plan(ctx, environment, name)
	if err != nil {
		return err
	}
	head := &table{}
	head.add("plan", oneLine(info.Name))
	if m.Description != "" {
		head.add("description", oneLine(m.Description))
	}
	if err := head.print(w, 0); err != nil {
		return err
	}
	if !m.Typed {
		_, err := fmt.Fprintln(w, "\nIt is written in the Puppet language; its parameters are not known here.")
		return err
	}
	if _, err := fmt.Fprintln(w); err != nil {
		return err
	}
	return printPlanParameters(cmd, m)
}

func printPlanParameters(cmd *cobra.Command, m *task.Metadata) error {
	w := cmd.OutOrStdout()
	if len(m.Parameters) == 0 {
		_, err := fmt.Fprintln(w, "It takes no parameters.")
		return err
	}
	t := &table{}
	t.add("PARAMETER", "TYPE", "DEFAULT", "DESCRIPTION")
	for i := range m.Parameters {
		p := &m.Parameters[i]
		without := oneLine(string(p.Default))
		if p.Required() || p.Default == nil && (p.Type == nil || p.Type.String() == "Any") {
			without = "(required)"
		}
		description := oneLine(p.Description)
		if p.Sensitive {
			if p.Default != nil {
				without = "(hidden)"
			}
			description = strings.TrimSpace("(sensitive) " + description)
		}
		t.add(oneLine(p.Name), oneLine(p.Type.String()), without, description)
	}
	return t.print(w, width(w))
}

func (c *planCLI) jobsCommand() *cobra.Command {
	var output string
	var limit int
	cmd := &cobra.Command{
		Use:   "jobs",
		Short: "List the plans that were run last",
		Long:  `List the plans that were run last, newest first.`,
		Args:  usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			query := url.Values{}
			if limit > 0 {
				query.Set("limit", strconv.Itoa(limit))
			}
			return c.with(cmd.Context(), func(ctx context.Context, a *jobAPI) error {
				w := cmd.OutOrStdout()
				if output == "json" {
					return a.raw(ctx, "/plan_jobs", query, w)
				}
				query.Set("results", "exclude")
				var list struct {
					Items      []planJobInfo
					Pagination struct{ Total int }
				}
				if err := a.get(ctx, "/plan_jobs", query, &list); err != nil {
					return err
				}
				t := &table{right: map[int]bool{0: true, 3: true, 4: true}}
				t.add("NUMBER", "STATE", "PLAN", "AGE", "TIME", "ENVIRONMENT", "OWNER", "DESCRIPTION")
				for i := range list.Items {
					p := &list.Items[i]
					t.add(oneLine(p.Name), oneLine(p.State), oneLine(p.Options.Plan), humanAge(c.now().Sub(p.Created)), seconds(p.Duration),
						orDash(p.Options.Environment), orDash(p.Owner.Login), oneLine(p.Options.Description))
				}
				if err := t.print(w, width(w)); err != nil {
					return err
				}
				return endOfList(w, len(list.Items), list.Pagination.Total, "plan")
			})
		},
	}
	cmd.Flags().IntVar(&limit, "limit", 20, "`plans` to list at most; 0: all")
	addOutput(cmd, &output)
	return cmd
}

func (c *planCLI) stopCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "stop NUMBER",
		Short: "Stop a plan that runs",
		Long: `Stop a plan that runs: no step of it begins any more, and it fails. The job that
it waits for goes on; 'dalang job stop' stops that.`,
		Args: onePlanJob,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.with(cmd.Context(), func(ctx context.Context, a *jobAPI) error {
				p, err := a.planJob(ctx, args[0])
				if err == nil && p.ended() {
					_, err = fmt.Fprintf(cmd.OutOrStdout(), "Plan %s has ended already: %s.\n", oneLine(p.Name), oneLine(p.State))
					return err
				}
				if err = a.stopPlan(ctx, args[0]); err != nil {
					return err
				}
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "Stopping plan %s.\n", args[0])
				return err
			})
		},
	}
}
