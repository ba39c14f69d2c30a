package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/spf13/cobra"
)

// scheduleOrder is what the flags of `dalang schedule create` and `edit` say.
type scheduleOrder struct {
	at, in, every string
	once          bool
	task, plan    string
	nodes         []string
	query         string
	group         string
	application   string
	params        string
	targets       string
	whole         bool
	environment   string
	enforce       bool
	concurrency   string
	timeout       time.Duration
	description   string
	userdata      string
}

func (o *scheduleOrder) addTo(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&o.at, "at", "", "`time` of the first run")
	f.StringVar(&o.in, "in", "", "how `long` from now the first run is: 90m, 2h, 1d12h")
	f.StringVar(&o.every, "every", "", "run again after each such `span`: 30m, 12h, 1d, 1w")
	f.StringSliceVarP(&o.nodes, "nodes", "n", nil, "`certnames`, with commas or repeated")
	f.StringVarP(&o.query, "query", "q", "", "`query` whose rows have the certnames, asked when it runs: PQL or AST")
	f.StringVar(&o.group, "group", "", "node `group`, by id or name; its nodes are those of when it runs")
	f.StringVar(&o.application, "application", "", "application: `Type` or Type[title]; with --environment, which has it")
	f.BoolVar(&o.whole, "whole-environment", false, "all nodes of --environment")
	f.StringVarP(&o.environment, "environment", "e", "", "environment in which the nodes run; that has the task or plan: production")
	f.BoolVar(&o.enforce, "enforce-environment", true, "run the nodes in --environment; false: it only says where the nodes are known")
	f.StringVar(&o.concurrency, "concurrency", "", "`nodes` that run at a time at most")
	f.DurationVar(&o.timeout, "timeout", 0, "how long the run of one node may take; 0: as the server has it")
	f.StringVar(&o.params, "params", "", "parameters of the task or plan: a `JSON` object, @FILE, or @- for standard input")
	f.StringVar(&o.targets, "targets", "", "how to reach nodes of a task without an agent: a `JSON` array, @FILE, or @-")
	f.StringVar(&o.description, "description", "", "what it is for")
	f.StringVar(&o.userdata, "userdata", "", "`JSON` object that is kept with the jobs")
	for _, d := range deployFlags() {
		d.add(cmd)
	}
	allowEmpty(cmd, "description")
	cmd.MarkFlagsMutuallyExclusive("at", "in")
	cmd.MarkFlagsMutuallyExclusive("nodes", "query", "group", "application", "whole-environment")
	cmd.MarkFlagsMutuallyExclusive("noop", "no-noop")
	_ = cmd.RegisterFlagCompletionFunc("ordering", cobra.FixedCompletions([]string{"manifest", "title-hash", "random"}, cobra.ShellCompDirectiveNoFileComp))
}

func (o *scheduleOrder) kind() string {
	switch {
	case o.task != "":
		return "task"
	case o.plan != "":
		return "plan"
	}
	return "deploy"
}

// body is the members of a request that differ from what entry is.
func (o *scheduleOrder) body(ctx context.Context, cmd *cobra.Command, a *jobAPI, entry *scheduledInfo, args []string, now time.Time) (map[string]any, error) {
	body := map[string]any{}
	if cmd.Flags().Changed("environment") {
		body["environment"] = o.environment
		entry.Environment = o.environment
	}
	if cmd.Flags().Changed("description") {
		body["description"] = o.description
	}
	if o.userdata != "" {
		var data map[string]any
		if json.Unmarshal([]byte(o.userdata), &data) != nil || data == nil {
			return nil, &usageError{fmt.Errorf("--userdata must be a JSON object, not %q", fit(o.userdata, 80))}
		}
		body["userdata"] = json.RawMessage(o.userdata)
	}
	schedule, err := o.schedule(entry, now)
	if err != nil {
		return nil, &usageError{err}
	}
	if schedule != nil {
		body["schedule"] = schedule
	}
	changes, err := o.input(ctx, cmd, a, entry, args)
	if err != nil || len(changes) == 0 {
		return body, err
	}
	input := map[string]any{}
	for key, value := range entry.Input {
		if key != "sensitive_parameters" {
			input[key] = value
		}
	}
	for key, value := range changes {
		if input[key] = value; value == nil {
			delete(input, key)
		}
	}
	body["input"] = input
	return body, nil
}

// schedule is the member of that name, nil where the flags do not speak of it.
func (o *scheduleOrder) schedule(entry *scheduledInfo, now time.Time) (map[string]any, error) {
	if o.at == "" && o.in == "" && o.every == "" && !o.once {
		return nil, nil
	}
	start, interval := entry.Schedule.Start, entry.interval()
	var err error
	switch {
	case o.at != "":
		start, err = parseMoment(o.at, now)
	case o.in != "":
		var after time.Duration
		after, err = parseSpan("--in", o.in)
		start = now.Add(after)
		if whole := start.Truncate(time.Second); !whole.Equal(start) {
			start = whole.Add(time.Second) // not in the past when it arrives
		}
	}
	if err == nil && o.every != "" {
		interval, err = parseSpan("--every", o.every)
	}
	if err != nil {
		return nil, err
	}
	schedule := map[string]any{"start_time": start.UTC().Format(time.RFC3339), "interval": nil}
	if interval > 0 && !o.once {
		schedule["interval"] = map[string]any{"units": "seconds", "value": int64(interval / time.Second)}
	}
	return schedule, nil
}

// input is what the flags and arguments say of the input; nil takes a member away.
func (o *scheduleOrder) input(ctx context.Context, cmd *cobra.Command, a *jobAPI, entry *scheduledInfo, args []string) (map[string]any, error) {
	input := map[string]any{}
	scope, err := o.scope(ctx, a)
	if err != nil {
		return nil, err
	}
	if scope != nil {
		input["scope"] = scope
	}
	if o.concurrency != "" {
		input["concurrency"] = o.concurrency
	}
	timeout, err := wholeSeconds(o.timeout)
	if err != nil {
		return nil, err
	}
	if timeout > 0 {
		input["timeout"] = timeout
	}
	for _, d := range deployFlags() {
		if !cmd.Flags().Changed(d.name) {
			continue
		}
		if input[d.key()], err = d.value(cmd); err != nil {
			return nil, err
		}
	}
	switch {
	case entry.Type == "deploy" && entry.Environment == "" && o.application != "":
		return nil, &usageError{hinted(cmd, errNoEnvironment("application"))}
	case entry.Type == "deploy" && entry.Environment == "" && o.whole:
		return nil, &usageError{hinted(cmd, errNoEnvironment("whole-environment"))}
	case entry.Type != "deploy":
		return input, o.parameters(ctx, cmd, a, input, entry, args)
	case o.params != "" || o.targets != "":
		return nil, &usageError{hinted(cmd, fmt.Errorf("--params and --targets are for --task and --plan"))}
	case len(args) > 0:
		return nil, &usageError{hinted(cmd, fmt.Errorf("%q: parameters are for --task and --plan", args[0]))}
	case entry.Environment == "" && (entry.Name == "" || cmd.Flags().Changed("environment")):
		input["enforce_environment"] = false
	case cmd.Flags().Changed("enforce-environment"):
		input["enforce_environment"] = o.enforce
	case cmd.Flags().Changed("environment"):
		input["enforce_environment"] = nil
	}
	return input, nil
}

func (o *scheduleOrder) scope(ctx context.Context, a *jobAPI) (map[string]any, error) {
	switch {
	case len(o.nodes) > 0:
		return map[string]any{"nodes": o.nodes}, nil
	case o.query != "":
		return map[string]any{"query": queryValue(o.query)}, nil
	case o.application != "":
		return map[string]any{"application": o.application}, nil
	case o.whole:
		return map[string]any{"whole_environment": true}, nil
	case o.group != "":
		id, err := a.group(ctx, o.group)
		return map[string]any{"node_group": id}, err
	}
	return nil, nil
}
