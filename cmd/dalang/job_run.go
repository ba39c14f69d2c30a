package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// jobRun is `dalang job run`: the flags that are not taken as they are.
type jobRun struct {
	*jobCLI
	nodes       []string
	query       string
	group       string
	application string
	environment string
	enforce     bool
	concurrency string
	timeout     time.Duration
	userdata    string
	detach      bool
	output      string
}

const runLong = `Run Puppet on nodes, and follow the runs to their end.

Which nodes: --nodes names them, --query asks the database (PQL, or AST), --group
takes those of a node group (by id or name), --application those of an
application in --environment; --environment alone takes all nodes of an
environment. Beside one of the others, --environment is where the nodes run;
without it each runs in its own.

Prints a line for each node that begins or ends, the totals, and a table at the
end. Ctrl-C offers to stop the job; without a terminal, the job goes on and can be
followed with 'dalang job watch'.

Exit status: 0 when all nodes finished, 3 when some failed, could not be reached or
were skipped, 4 when the job was stopped, 2 when the command line is wrong or
refused, 1 for the rest.`

func (c *jobCLI) runCommand() *cobra.Command {
	r := &jobRun{jobCLI: c}
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Run Puppet on nodes",
		Long:  runLong,
		Example: `  dalang job run --nodes web1.example.com,web2.example.com --noop
  dalang job run --query 'inventory[certname]{facts.os.family = "Debian"}' --concurrency 4
  dalang job run --group 'All Nodes' --environment production --tags motd --description INC0011211
  dalang job run --environment production --detach`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return r.run(cmd) },
	}
	f := cmd.Flags()
	f.StringSliceVarP(&r.nodes, "nodes", "n", nil, "`certnames`, with commas or repeated")
	f.StringVarP(&r.query, "query", "q", "", "`query` whose rows have the certnames: PQL or AST")
	f.StringVar(&r.group, "group", "", "node `group`, by id or name")
	f.StringVar(&r.application, "application", "", "application: `Type` or Type[title]; with --environment, which has it")
	f.StringVarP(&r.environment, "environment", "e", "", "environment in which the nodes run, or which is run as a whole")
	f.BoolVar(&r.enforce, "enforce-environment", true, "run the nodes in --environment; false: it only says where the nodes are known")
	f.StringVar(&r.concurrency, "concurrency", "", "`nodes` that run at a time at most")
	f.DurationVar(&r.timeout, "timeout", 0, "how long the run of one node may take; 0: as the server has it")
	f.StringVar(&r.userdata, "userdata", "", "`JSON` object that is kept with the job")
	f.BoolVar(&r.detach, "detach", false, "start the job, print its number, and do not follow it")
	f.String("description", "", "what the job is for")
	for _, o := range deployFlags() {
		o.add(cmd)
	}
	addOutput(cmd, &r.output)
	allowEmpty(cmd, "description")
	cmd.MarkFlagsMutuallyExclusive("nodes", "query", "group", "application")
	cmd.MarkFlagsMutuallyExclusive("noop", "no-noop")
	_ = cmd.RegisterFlagCompletionFunc("ordering", cobra.FixedCompletions([]string{"manifest", "title-hash", "random"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// deployFlag is an option of the agents' runs that is passed on as it is given,
// and left out when it is not.
type deployFlag struct {
	name, usage string
	kind        string // bool, int, string
}

// key is the option in the API.
func (o deployFlag) key() string { return strings.ReplaceAll(o.name, "-", "_") }

func deployFlags() []deployFlag {
	return []deployFlag{
		{"noop", "change nothing, only tell what would change", "bool"},
		{"no-noop", "change, even where an agent's own configuration says noop", "bool"},
		{"debug", "agents log everything", "bool"},
		{"trace", "agents print stack traces", "bool"},
		{"evaltrace", "agents log each resource as it is evaluated", "bool"},
		{"tags", "only resources with one of these `tags`", "string"},
		{"skip-tags", "only resources without these `tags`", "string"},
		{"ordering", "`order` of unrelated resources: manifest, title-hash or random", "string"},
		{"use-cached-catalog", "use the catalog of the last run; =false: do not", "bool"},
		{"usecacheonfailure", "use the catalog of the last run when none can be made; =false: do not", "bool"},
		{"filetimeout", "agents' setting of this name, in `seconds`", "int"},
		{"http-connect-timeout", "agents' setting of this name, in `seconds`", "int"},
		{"http-keepalive-timeout", "agents' setting of this name, in `seconds`", "int"},
		{"http-read-timeout", "agents' setting of this name, in `seconds`", "int"},
	}
}

func (o deployFlag) add(cmd *cobra.Command) {
	switch f := cmd.Flags(); o.kind {
	case "bool":
		f.Bool(o.name, false, o.usage)
	case "int":
		f.Int64(o.name, 0, o.usage)
	default:
		f.String(o.name, "", o.usage)
	}
}

// value is what the flag was given.
func (o deployFlag) value(cmd *cobra.Command) (any, error) {
	switch f := cmd.Flags(); o.kind {
	case "bool":
		return f.GetBool(o.name)
	case "int":
		return f.GetInt64(o.name)
	default:
		return f.GetString(o.name)
	}
}

func (r *jobRun) run(cmd *cobra.Command) error {
	body, err := r.body(cmd)
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
		name, err := a.deploy(ctx, body)
		if err != nil {
			return err
		}
		if r.detach {
			_, err := fmt.Fprintln(cmd.OutOrStdout(), name)
			return err
		}
		return r.follow(ctx, a, name, r.newScreen(cmd, r.output))
	})
}

// body is the command that the flags say, but for the group.
func (r *jobRun) body(cmd *cobra.Command) (map[string]any, error) {
	body := map[string]any{"environment": r.environment}
	scope := map[string]any{}
	// What was given counts, not what is in it: a scope that is lost here is the
	// whole environment.
	switch given := cmd.Flags().Changed; {
	case given("nodes"):
		scope["nodes"] = r.nodes
	case given("query"):
		scope["query"] = queryValue(r.query)
	case given("application") && r.environment == "":
		return nil, &usageError{hinted(cmd, errNoEnvironment("application"))}
	case given("application"):
		scope["application"] = r.application
	case !given("group") && r.environment == "":
		return nil, &usageError{hinted(cmd, fmt.Errorf("which nodes? Name them with --nodes, --query, --group, --application or --environment"))}
	}
	if len(scope) > 0 {
		body["scope"] = scope
	}
	if r.environment == "" {
		body["enforce_environment"] = false
	} else if cmd.Flags().Changed("enforce-environment") {
		body["enforce_environment"] = r.enforce
	}
	if r.concurrency != "" {
		body["concurrency"] = r.concurrency
		if n, err := strconv.Atoi(r.concurrency); err == nil {
			body["concurrency"] = n
		}
	}
	timeout, err := wholeSeconds(r.timeout)
	if err != nil {
		return nil, err
	}
	if timeout > 0 {
		body["timeout"] = timeout
	}
	if r.userdata != "" {
		var data map[string]any
		if json.Unmarshal([]byte(r.userdata), &data) != nil || data == nil {
			return nil, &usageError{fmt.Errorf("--userdata must be a JSON object, not %q", fit(r.userdata, 80))}
		}
		body["userdata"] = json.RawMessage(r.userdata)
	}
	for _, o := range append(deployFlags(), deployFlag{name: "description", kind: "string"}) {
		if !cmd.Flags().Changed(o.name) {
			continue
		}
		v, err := o.value(cmd)
		if err != nil {
			return nil, err
		}
		body[o.key()] = v
	}
	return body, nil
}

// errNoEnvironment: a scope is of an environment, and none was named.
func errNoEnvironment(flag string) error {
	return fmt.Errorf("--%s needs --environment: name the environment too", flag)
}

// queryValue is a query as the API takes it: AST as it is, PQL as a string.
func queryValue(text string) any {
	if text = strings.TrimSpace(text); strings.HasPrefix(text, "[") && json.Valid([]byte(text)) {
		return json.RawMessage(text)
	}
	return text
}
