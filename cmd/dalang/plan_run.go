package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"dalang/orchestrator/task"
)

// planRun is `dalang plan run`.
type planRun struct {
	*planCLI
	nodes       []string
	query       string
	group       string
	environment string
	params      string
	description string
	userdata    string
	detach      bool
	timeout     time.Duration
	output      string
}

const planRunLong = `Run a plan, and follow it to its end.

Parameters are words name=value, as with 'dalang task run'. --params gives them as
a JSON object: as it is, from a file (@FILE), or from standard input (@-);
name=value overrides what it says. What is a secret belongs into a file: everybody
on this machine can see command lines.

--nodes, --query and --group are for plans with a parameter 'targets' or 'nodes',
which gets those nodes.

Prints a line for each message and each step of the plan, and one for each node
that begins or ends, and at the end the plan's result. Ctrl-C offers to stop the
plan; without a terminal, it goes on and can be followed with 'dalang plan watch'.

Exit status: 0 when the plan succeeded, 3 when it failed or was stopped, 2 when the
command line is wrong or refused, 1 for the rest.`

func (c *planCLI) runCommand() *cobra.Command {
	r := &planRun{planCLI: c}
	cmd := &cobra.Command{
		Use:   "run PLAN [NAME=VALUE]...",
		Short: "Run a plan",
		Long:  planRunLong,
		Example: `  dalang plan run canary command=whoami --nodes web1.example.com,web2.example.com
  dalang plan run profile::upgrade version=1.2 --query 'inventory[certname]{facts.os.family = "Debian"}'
  dalang plan run deploy --params @deploy.json --description INC0011211`,
		Args:              onePlan,
		ValidArgsFunction: c.complete,
		RunE:              r.run,
	}
	f := cmd.Flags()
	f.StringSliceVarP(&r.nodes, "nodes", "n", nil, "`certnames` for the plan's targets, with commas or repeated")
	f.StringVarP(&r.query, "query", "q", "", "`query` whose rows have the certnames: PQL or AST")
	f.StringVar(&r.group, "group", "", "node `group`, by id or name")
	f.StringVar(&r.params, "params", "", "parameters: a `JSON` object, @FILE, or @- for standard input")
	f.DurationVar(&r.timeout, "timeout", 0, "how long the plan may take; 0: as the server has it")
	f.StringVar(&r.description, "description", "", "what the plan is run for")
	f.StringVar(&r.userdata, "userdata", "", "`JSON` object that is kept with the plan's job")
	f.BoolVar(&r.detach, "detach", false, "start the plan, print its number, and do not follow it")
	addEnvironment(cmd, &r.environment)
	addOutput(cmd, &r.output)
	allowEmpty(cmd, "description")
	cmd.MarkFlagsMutuallyExclusive("nodes", "query", "group")
	return cmd
}

func (r *planRun) run(cmd *cobra.Command, args []string) error {
	body, params, err := r.body(cmd, args[0])
	if err != nil {
		return err
	}
	return r.with(cmd.Context(), func(ctx context.Context, a *jobAPI) error {
		name := "plan_run"
		if len(args) > 1 || r.nodes != nil || r.query != "" || r.group != "" {
			_, m, err := a.plan(ctx, r.environment, args[0])
			if err != nil {
				return err
			}
			if err := addParams(params, m, args[1:]); err != nil {
				return err
			}
			if r.nodes != nil || r.query != "" || r.group != "" {
				name = "environment_plan_run"
				if params, err = r.aim(ctx, a, params, m); err != nil {
					return err
				}
			}
		}
		body["params"] = params
		var answer struct{ Name string }
		if err := a.command(ctx, name, body, &answer); err != nil {
			return err
		}
		if r.detach {
			_, err := fmt.Fprintln(cmd.OutOrStdout(), answer.Name)
			return err
		}
		return r.followPlan(ctx, a, answer.Name, r.newScreen(cmd, r.output))
	})
}

// aim gives the nodes that the flags name to the plan's parameter for them, and
// makes the parameters those of environment_plan_run.
func (r *planRun) aim(ctx context.Context, a *jobAPI, params map[string]any, m *task.Metadata) (map[string]any, error) {
	scope := map[string]any{"nodes": r.nodes}
	switch {
	case r.query != "":
		scope = map[string]any{"query": queryValue(r.query)}
	case r.group != "":
		id, err := a.group(ctx, r.group)
		if err != nil {
			return nil, err
		}
		scope = map[string]any{"node_group": id}
	}
	typed, err := aimAt(scope, params, m)
	if err != nil {
		return nil, err
	}
	for name, v := range params {
		typed[name] = map[string]any{"value": v}
	}
	return typed, nil
}

// aimAt is the parameter that gets a plan's nodes, with those of a scope.
func aimAt(scope, params map[string]any, m *task.Metadata) (map[string]any, error) {
	target := ""
	for i := range m.Parameters {
		if name := m.Parameters[i].Name; name == "targets" || name == "nodes" && target == "" {
			target = name
		}
	}
	switch _, given := params[target]; {
	case target == "":
		return nil, &usageError{fmt.Errorf("the plan has neither a parameter 'targets' nor 'nodes' that is known here: name the nodes in another parameter")}
	case given:
		return nil, &usageError{fmt.Errorf("the parameter %q is given twice: by a word or --params, and by --nodes, --query or --group", target)}
	}
	for kind, value := range scope {
		switch kind {
		case "nodes":
			return map[string]any{target: map[string]any{"value": value}}, nil
		case "query", "node_group":
			return map[string]any{target: map[string]any{"type": kind, "value": value}}, nil
		}
	}
	return nil, &usageError{fmt.Errorf("name the nodes of a plan with --nodes, --query or --group")}
}

// body is the command that the flags say, and the parameters of --params.
func (r *planRun) body(cmd *cobra.Command, name string) (body, params map[string]any, err error) {
	body = map[string]any{"plan_name": name}
	if params, err = jsonParams(r.params, cmd.InOrStdin()); err != nil {
		return nil, nil, err
	}
	if r.userdata != "" {
		data, err := task.Object(json.RawMessage(r.userdata))
		if err != nil {
			return nil, nil, &usageError{fmt.Errorf("--userdata must be a JSON object, not %q", fit(r.userdata, 80))}
		}
		body["userdata"] = data
	}
	timeout, err := wholeSeconds(r.timeout)
	if err != nil {
		return nil, nil, err
	}
	if timeout > 0 {
		body["timeout"] = timeout
	}
	for key, value := range map[string]string{"environment": r.environment, "description": r.description} {
		if value != "" {
			body[key] = value
		}
	}
	return body, params, nil
}
