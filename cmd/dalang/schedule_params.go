package main

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"dalang/orchestrator/task"
)

// parameters adds the name and the parameters of a task or plan. Those that
// are sensitive are not shown by the server: who changes any has to say them again.
func (o *scheduleOrder) parameters(ctx context.Context, cmd *cobra.Command, a *jobAPI, input map[string]any, entry *scheduledInfo, args []string) error {
	if o.targets != "" {
		list, err := jsonArray("--targets", o.targets, cmd.InOrStdin())
		if err != nil {
			return err
		}
		input["targets"] = list
	}
	name := o.task + o.plan
	if name != "" {
		input["name"] = name
		input["parameters"] = map[string]any{}
	}
	if len(input) == 0 && len(args) == 0 && o.params == "" {
		return nil
	}
	if name == "" {
		_ = json.Unmarshal(entry.Input["name"], &name) // the server wrote it
	}
	values, typed, err := o.values(ctx, cmd, a, input, entry, name, args)
	if err != nil {
		return err
	}
	var hidden []string
	_ = json.Unmarshal(entry.Input["sensitive_parameters"], &hidden)
	for _, name := range hidden {
		if _, again := values[name]; !again {
			return &usageError{fmt.Errorf("the parameter %s is a secret, which the server does not tell: give it again, as %[1]s=VALUE or with --params", name)}
		}
	}
	given := map[string]any{}
	for name, value := range values {
		given[name] = map[string]any{"value": value}
	}
	for name, value := range typed {
		given[name] = value
	}
	shown := map[string]any{}
	_ = json.Unmarshal(entry.Input["parameters"], &shown)
	for name, value := range shown {
		if given[name] != nil {
			continue
		}
		given[name] = map[string]any{"value": value}
		if typed, ok := value.(map[string]any); ok && len(typed) == 2 && typed["type"] != nil && typed["value"] != nil {
			given[name] = typed // nodes that a plan finds when it runs
		}
	}
	input["parameters"] = given
	return nil
}

// values are the parameters that --params and the arguments say, and of a plan
// the one that gets its nodes, which it takes out of input's scope.
func (o *scheduleOrder) values(ctx context.Context, cmd *cobra.Command, a *jobAPI, input map[string]any, entry *scheduledInfo, name string, args []string) (values, nodes map[string]any, err error) {
	if values, err = jsonParams(o.params, cmd.InOrStdin()); err != nil {
		return nil, nil, err
	}
	scope, aimed := input["scope"].(map[string]any)
	metadata := &task.Metadata{}
	switch {
	case entry.Type == "task" && len(args) > 0:
		_, metadata, err = a.task(ctx, entry.Environment, name)
	case entry.Type == "plan" && (len(args) > 0 || aimed):
		_, metadata, err = a.plan(ctx, entry.Environment, name)
	}
	if err == nil {
		err = addParams(values, metadata, args)
	}
	if err != nil || entry.Type != "plan" || !aimed {
		return values, nil, err
	}
	delete(input, "scope")
	nodes, err = aimAt(scope, values, metadata)
	return values, nodes, err
}
