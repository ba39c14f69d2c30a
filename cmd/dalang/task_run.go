package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"dalang/orchestrator/task"
)

// taskRun is `dalang task run`.
type taskRun struct {
	*taskCLI
	nodes       []string
	query       string
	group       string
	environment string
	params      string
	targets     string
	description string
	userdata    string
	noop        bool
	watch       bool
	detach      bool
	timeout     time.Duration
	output      string
}

const taskRunLong = `Run a task on nodes, and follow the runs to their end.

Parameters are words name=value. A value is a string where the parameter's type
takes one, else JSON. --params gives them as a JSON object: as it is, from a file
(@FILE), or from standard input (@-); name=value overrides what it says. What is a
secret belongs into a file: everybody on this machine can see command lines.

Which nodes: --nodes names them, --query asks the database (PQL, or AST), --group
takes those of a node group (by id or name). Nodes without an agent are reached by
their stored connections, or as --targets says: the JSON array of the API's key of
this name, also as @FILE or @-. WinRM has not been proven against Windows.

Prints a line for each node that begins or ends, and at the end what each wrote.
Ctrl-C offers to stop the job; without a terminal, the job goes on and can be
followed with 'dalang job watch'. The exit status is that of 'dalang job run'.`

func (c *taskCLI) runCommand() *cobra.Command {
	r := &taskRun{taskCLI: c}
	cmd := &cobra.Command{
		Use:   "run TASK [NAME=VALUE]...",
		Short: "Run a task on nodes",
		Long:  taskRunLong,
		Example: `  dalang task run package action=status name=openssl --nodes web1.example.com,web2.example.com
  dalang task run mysql::sql --params @query.json --query 'inventory[certname]{facts.os.family = "Debian"}'
  dalang task run service name=nginx action=restart --group 'Web servers' --noop`,
		Args:              oneTask,
		ValidArgsFunction: c.complete(true),
		RunE:              r.run,
	}
	f := cmd.Flags()
	f.StringSliceVarP(&r.nodes, "nodes", "n", nil, "`certnames`, with commas or repeated")
	f.StringVarP(&r.query, "query", "q", "", "`query` whose rows have the certnames: PQL or AST")
	f.StringVar(&r.group, "group", "", "node `group`, by id or name")
	f.StringVar(&r.params, "params", "", "parameters: a `JSON` object, @FILE, or @- for standard input")
	f.StringVar(&r.targets, "targets", "", "how to reach nodes without an agent: a `JSON` array, @FILE, or @-")
	f.BoolVar(&r.noop, "noop", false, "change nothing, only tell what would change; not every task can")
	f.DurationVar(&r.timeout, "timeout", 0, "how long the task may take on one node; 0: as the server has it")
	f.StringVar(&r.description, "description", "", "what the job is for")
	f.StringVar(&r.userdata, "userdata", "", "`JSON` object that is kept with the job")
	f.BoolVar(&r.watch, "watch", true, "follow the job to its end")
	f.BoolVar(&r.detach, "detach", false, "start the job, print its number, and do not follow it: --watch=false")
	addEnvironment(cmd, &r.environment)
	addOutput(cmd, &r.output)
	allowEmpty(cmd, "description")
	cmd.MarkFlagsMutuallyExclusive("nodes", "query", "group")
	cmd.MarkFlagsOneRequired("nodes", "query", "group")
	cmd.MarkFlagsMutuallyExclusive("watch", "detach")
	return cmd
}

func (r *taskRun) run(cmd *cobra.Command, args []string) error {
	body, err := r.body(cmd, args[0])
	if err != nil {
		return err
	}
	return r.with(cmd.Context(), func(ctx context.Context, a *jobAPI) error {
		if cmd.Flags().Changed("group") {
			id, err := a.group(ctx, r.group)
			if err != nil {
				return err
			}
			body["scope"] = map[string]any{"node_group": id}
		}
		if len(args) > 1 {
			_, m, err := a.task(ctx, r.environment, args[0])
			if err != nil {
				return err
			}
			if err := addParams(body["params"].(map[string]any), m, args[1:]); err != nil {
				return err
			}
		}
		var answer struct{ Job struct{ Name string } }
		if err := a.command(ctx, "task", body, &answer); err != nil {
			return err
		}
		if r.detach || !r.watch {
			_, err := fmt.Fprintln(cmd.OutOrStdout(), answer.Job.Name)
			return err
		}
		return r.follow(ctx, a, answer.Job.Name, r.newScreen(cmd, r.output))
	})
}

// body is the command that the flags say, but for the group and the words.
func (r *taskRun) body(cmd *cobra.Command, name string) (map[string]any, error) {
	body := map[string]any{"task": name}
	params, err := jsonParams(r.params, cmd.InOrStdin())
	if err != nil {
		return nil, err
	}
	body["params"] = params
	switch given := cmd.Flags().Changed; {
	case given("nodes"):
		body["scope"] = map[string]any{"nodes": r.nodes}
	case given("query"):
		body["scope"] = map[string]any{"query": queryValue(r.query)}
	}
	if r.targets != "" {
		list, err := jsonArray("--targets", r.targets, cmd.InOrStdin())
		if err != nil {
			return nil, err
		}
		body["targets"] = list
	}
	if r.userdata != "" {
		data, err := task.Object(json.RawMessage(r.userdata))
		if err != nil {
			return nil, &usageError{fmt.Errorf("--userdata must be a JSON object, not %q", fit(r.userdata, 80))}
		}
		body["userdata"] = data
	}
	timeout, err := wholeSeconds(r.timeout)
	if err != nil {
		return nil, err
	}
	if timeout > 0 {
		body["timeout"] = timeout
	}
	for key, value := range map[string]string{"environment": r.environment, "description": r.description} {
		if value != "" {
			body[key] = value
		}
	}
	if r.noop {
		body["noop"] = true
	}
	return body, nil
}

// given is a text that is on the command line, in a file (@FILE), or comes from
// standard input (@-).
func given(text string, in io.Reader) ([]byte, error) {
	file, named := strings.CutPrefix(text, "@")
	switch {
	case !named:
		return []byte(text), nil
	case file == "-":
		return io.ReadAll(in)
	}
	return os.ReadFile(file)
}

// jsonParams is what --params says; nothing is an empty object.
func jsonParams(text string, in io.Reader) (map[string]any, error) {
	if text == "" {
		return map[string]any{}, nil
	}
	raw, err := given(text, in)
	if err != nil {
		return nil, &usageError{fmt.Errorf("--params: %w", err)}
	}
	params, err := task.Object(raw)
	if err != nil {
		return nil, &usageError{fmt.Errorf("--params must be a JSON object")} // what it is may be a secret
	}
	return params, nil
}

// jsonArray is what a flag says whose value is an array.
func jsonArray(flag, text string, in io.Reader) ([]json.RawMessage, error) {
	raw, err := given(text, in)
	var list []json.RawMessage
	if err == nil && (json.Unmarshal(raw, &list) != nil || list == nil) {
		err = fmt.Errorf("it must be a JSON array")
	}
	if err != nil {
		return nil, &usageError{fmt.Errorf("%s: %w", flag, err)}
	}
	return list, nil
}

// addParams adds words name=value.
func addParams(params map[string]any, m *task.Metadata, words []string) error {
	for _, word := range words {
		name, text, ok := strings.Cut(word, "=")
		if !ok || name == "" {
			return &usageError{fmt.Errorf("%q is not name=value", fit(word, 40))}
		}
		params[name] = paramValue(m, name, text)
	}
	return nil
}

// paramValue is the value that a word means: a string where the parameter takes
// one, else JSON; what is neither is left for the server to refuse. A parameter
// of no known type takes JSON if it is some.
func paramValue(m *task.Metadata, name, text string) any {
	for i := range m.Parameters {
		p := &m.Parameters[i]
		if p.Name == name && p.Type != nil && p.Type.String() != "Any" && p.Type.Check(text) == nil {
			return text
		}
	}
	if json.Valid([]byte(text)) {
		return json.RawMessage(text)
	}
	return text
}
