package plan

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"dalang/orchestrator/apply"
	"dalang/orchestrator/download"
	"dalang/orchestrator/task"
)

// maxPlans is how deep plans may run plans.
const maxPlans = 50

// Action is what a step asks for on targets.
type Action struct {
	Kind        Kind   // Command, Script, Task, Upload, Download, Resources
	Object      string // the command, the task's name, the file as module/path, the path on the targets; "" of resources
	Targets     []string
	Description string
	Params      map[string]any    // of a task; secrets in clear
	Secrets     []string          // names of those of Params that hold one
	Arguments   []string          // of a script; secrets in clear
	Shown       []string          // Arguments without secrets
	Env         map[string]string // of a command or a script
	Destination string            // of an upload: a path on the targets; of a download: a relative one
	Resources   []apply.Resource  // secrets in clear
	Noop        bool
	RunAs       string // "": as the connection says
}

// Outcome is what came of one target of an action. Value is the result as
// tasks, commands and so on make it; one that failed has an _error.
type Outcome struct {
	Target string
	Value  map[string]any
}

// Host does what plans ask for. Its errors end the plan: an *Error says why,
// as does any other, by its text.
type Host interface {
	// Run does an action and waits until it has ended on all targets, or ctx.
	// There is at least one target; outcomes are in the order of the targets.
	Run(ctx context.Context, a *Action) ([]Outcome, error)
	// Plan finds a plan that a step names.
	Plan(ctx context.Context, name string) (*Plan, error)
	// Message takes what message and verbose steps say.
	Message(ctx context.Context, text string, verbose bool) error
	// Begin and End tell of plans that steps run. result is its value, or its
	// *Error.
	Begin(ctx context.Context, name string) error
	End(ctx context.Context, name string, result any) error
}

// Check checks parameters and adds defaults. Those that are nil are not given;
// those with secrets in them are secrets.
// Its error is task.Problems.
func (p *Plan) Check(given map[string]any) (*task.Arguments, error) {
	plain := make([]task.Parameter, len(p.Parameters))
	there, secrets := map[string]any{}, map[string]bool{}
	for name, v := range given {
		if v != nil {
			var secret bool
			if there[name], secret = reveal(v); secret {
				secrets[name] = true
			}
		}
	}
	var missing task.Problems
	for i := range p.Parameters {
		plain[i] = p.Parameters[i].Parameter
		plain[i].Sensitive = plain[i].Sensitive || secrets[plain[i].Name]
		if q := &plain[i]; q.Default == nil && (q.Type == nil || q.Type.String() == "Any") && there[q.Name] == nil {
			missing = append(missing, fmt.Sprintf("the parameter '%s' is missing", q.Name))
		}
	}
	checked, err := task.Check(plain, there, true)
	var problems task.Problems
	if missing != nil && (err == nil || errors.As(err, &problems)) {
		problems = append(missing, problems...)
		slices.Sort(problems)
		return nil, problems
	}
	return checked, err
}

// Run runs the plan with parameters. Its value is JSON, and the types of this
// package; Data makes the former of it. Its error is an *Error, or why ctx ended.
func (p *Plan) Run(ctx context.Context, host Host, params map[string]any) (any, error) {
	work := maxWork
	v, err := (&runner{host: host, work: &work}).run(ctx, p, params, 0, "")
	if err != nil && ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return v, err
}

// runner runs a plan and the plans that it runs.
type runner struct {
	host Host
	work *int
}

// running is one plan.
type running struct {
	*runner
	*scope
	plan  *Plan
	depth int
	runAs string // of the steps that do not say otherwise
	kept  map[string]any
}

func (r *runner) run(ctx context.Context, p *Plan, params map[string]any, depth int, runAs string) (any, error) {
	checked, err := p.Check(params)
	if err != nil {
		return nil, &Error{Kind: KindValidation, Msg: fmt.Sprintf("%s: %v", p.Name, err)}
	}
	one := &running{runner: r, plan: p, depth: depth, runAs: runAs, kept: map[string]any{},
		scope: &scope{ctx: ctx, vars: map[string]any{}, work: r.work}}
	one.vars["steps"] = one.kept
	for i := range p.Parameters {
		q := &p.Parameters[i]
		v, ok := checked.Values[q.Name]
		if original := params[q.Name]; original != nil {
			v = original
		}
		if ok && q.Type != nil {
			v = q.Type.Hide(v, Secret)
		}
		one.vars[q.Name] = v
	}
	for _, s := range p.steps {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		v, err := one.step(s)
		if err != nil {
			return nil, err
		}
		if s.name != "" {
			one.vars[s.name] = v
			kept := maps.Clone(one.kept)
			kept[s.name] = v
			one.kept, one.vars["steps"] = kept, kept
		}
	}
	return p.result.eval(one.scope)
}

// step does a step and gives its value.
func (r *running) step(s *step) (any, error) {
	fields := map[string]any{}
	for name, e := range s.fields {
		v, err := e.eval(r.scope)
		if err != nil {
			return nil, r.placed(s, err)
		}
		fields[name] = v
	}
	switch s.kind {
	case Eval:
		return fields["eval"], nil
	case Message, Verbose:
		return nil, r.host.Message(r.ctx, text(fields[string(s.kind)]), s.kind == Verbose)
	case SubPlan:
		v, err := r.subPlan(s, fields)
		return v, r.placed(s, err)
	}
	v, err := r.act(s, fields)
	return v, r.placed(s, err)
}

// placed tells in which step of which plan an expression or a value was wrong.
func (r *running) placed(s *step, err error) error {
	var e *Error
	if errors.As(err, &e) && e.Kind == KindEvaluation && e.Details["plan"] == nil {
		told := *e
		told.Details = map[string]any{"plan": r.plan.Name, "step": s.where, "line": json.Number(fmt.Sprint(s.line))}
		if line, ok := e.Details["line"].(json.Number); ok && line != "0" {
			told.Details["line"] = line
		}
		told.Msg = fmt.Sprintf("%s (plan %s, line %s, %s)", e.Msg, r.plan.Name, told.Details["line"], s.where)
		return &told
	}
	return err
}

func (r *running) act(s *step, fields map[string]any) (any, error) {
	a, err := r.action(s, fields)
	if err != nil {
		return nil, err
	}
	set := &ResultSet{}
	if len(a.Targets) == 0 { // Bolt does nothing then, and that well
		return set, nil
	}
	outcomes, err := r.host.Run(r.ctx, a)
	if err != nil {
		return nil, err
	}
	for _, o := range outcomes {
		if o.Value == nil {
			o.Value = map[string]any{}
		}
		if secret, there := o.Value["_sensitive"]; there {
			o.Value["_sensitive"] = Sensitive{secret}
		}
		set.Results = append(set.Results, &Result{Target: o.Target, Action: a.Kind.action(), Object: a.Object, Value: o.Value})
	}
	if !set.OK() && !truthy(fields["catch_errors"]) {
		return nil, runFailure(a.Kind, a.Object, set)
	}
	return set, nil
}

// action is what a step asks for.
func (r *running) action(s *step, fields map[string]any) (*Action, error) {
	a := &Action{Kind: s.kind, Description: text(fields["description"]), RunAs: r.runAs, Noop: truthy(fields["noop"])}
	var err error
	if s.kind == Resources {
		a.Resources, err = resourcesOf(s, fields[string(Resources)])
	} else {
		a.Object, err = word1(s, fields, string(s.kind))
	}
	if err != nil {
		return nil, err
	}
	if a.Targets, err = targetsOf(fields["targets"]); err != nil {
		return nil, badValue(s.line, "targets: %v", err)
	}
	if fields["run_as"] != nil {
		if a.RunAs, err = word1(s, fields, "run_as"); err != nil {
			return nil, err
		}
	}
	if s.kind == Upload || s.kind == Download {
		if a.Destination, err = word1(s, fields, "destination"); err != nil {
			return nil, err
		}
	}
	if s.kind == Download {
		if err := download.CheckSource(a.Object); err != nil {
			return nil, &Error{Kind: KindValidation, Msg: fmt.Sprintf("download '%s': the path on the targets %v", a.Object, err)}
		}
		if err := download.CheckDestination(a.Destination); err != nil {
			return nil, &Error{Kind: KindValidation, Msg: fmt.Sprintf("download '%s': the destination '%s' %v", a.Object, a.Destination, err)}
		}
	}
	if a.Env, err = environment(s, fields["env_vars"]); err != nil {
		return nil, err
	}
	arguments, ok := fields["arguments"].([]any)
	if !ok && fields["arguments"] != nil {
		return nil, badValue(s.line, "arguments must be a list, and is %s", kindOf(fields["arguments"]))
	}
	for _, v := range arguments {
		plain, _ := reveal(v)
		a.Arguments, a.Shown = append(a.Arguments, text(plain)), append(a.Shown, text(v))
	}
	params, _ := fields["parameters"].(map[string]any)
	a.Params = map[string]any{}
	for _, name := range keys(params) {
		plain, secret := reveal(params[name])
		a.Params[name] = plain
		if secret {
			a.Secrets = append(a.Secrets, name)
		}
	}
	return a, nil
}

// word1 is a field that is a text, and not an empty one.
func word1(s *step, fields map[string]any, key string) (string, error) {
	v, ok := fields[key].(string)
	if t, target := fields[key].(Target); target {
		v, ok = string(t), true
	}
	if !ok || strings.TrimSpace(v) == "" {
		what := kindOf(fields[key])
		if ok {
			what = "empty"
		}
		return "", badValue(s.line, "%s must be a String, and is %s", key, what)
	}
	return v, nil
}

var variableOfEnvironment = regexp.MustCompile(`\A[A-Za-z_][A-Za-z0-9_]*\z`)

func environment(s *step, v any) (map[string]string, error) {
	given, ok := v.(map[string]any)
	if !ok && v != nil {
		return nil, badValue(s.line, "env_vars must be a Hash, and is %s", kindOf(v))
	}
	made := map[string]string{}
	for name, v := range given {
		if !variableOfEnvironment.MatchString(name) {
			return nil, badValue(s.line, "env_vars: %q is not the name of an environment variable", name)
		}
		plain, _ := reveal(v)
		switch plain.(type) {
		case []any, map[string]any:
			encoded, err := JSON(plain)
			if err != nil {
				return nil, err
			}
			made[name] = string(encoded)
		default:
			made[name] = text(plain)
		}
	}
	return made, nil
}

// targetsOf are the names that a TargetSpec names, each once: a text with names
// apart by commas or blanks, a Target, lists of those.
func targetsOf(v any) ([]string, error) {
	var names []string
	seen := map[string]bool{}
	var add func(v any) error
	add = func(v any) error {
		switch v := v.(type) {
		case string:
			for _, name := range strings.FieldsFunc(v, func(c rune) bool { return strings.ContainsRune(", \t\r\n", c) }) {
				if !seen[name] {
					seen[name] = true
					names = append(names, name)
				}
			}
			return nil
		case Target:
			return add(string(v))
		case []any:
			for _, e := range v {
				if err := add(e); err != nil {
					return err
				}
			}
			return nil
		}
		return fmt.Errorf("names of targets are expected, and there is %s", kindOf(v))
	}
	err := add(v)
	return names, err
}

// subPlan runs the plan that a step names.
func (r *running) subPlan(s *step, fields map[string]any) (any, error) {
	name, err := word1(s, fields, "plan")
	if err != nil {
		return nil, err
	}
	params, _ := fields["parameters"].(map[string]any)
	runAs := r.runAs
	if fields["run_as"] != nil {
		if runAs, err = word1(s, fields, "run_as"); err != nil {
			return nil, err
		}
	}
	v, err := r.nested(s, name, params, fields["targets"], runAs)
	var failed *Error
	if errors.As(err, &failed) && r.ctx.Err() == nil && truthy(fields["catch_errors"]) {
		return failed, nil
	}
	return v, err
}

func (r *running) nested(s *step, name string, params map[string]any, targets any, runAs string) (any, error) {
	if r.depth+1 >= maxPlans {
		return nil, &Error{Kind: KindPlanFailure, Msg: fmt.Sprintf("plans run plans %d deep: %s goes no deeper", maxPlans, name)}
	}
	p, err := r.host.Plan(r.ctx, name)
	if err != nil {
		return nil, err
	}
	given := maps.Clone(params)
	if targets != nil {
		if given, err = p.withTargets(s, given, targets); err != nil {
			return nil, err
		}
	}
	if err := r.host.Begin(r.ctx, name); err != nil {
		return nil, err
	}
	v, err := r.run(r.ctx, p, given, r.depth+1, runAs)
	result := v
	if err != nil {
		result = ErrorOf(err)
	}
	if r.ctx.Err() == nil {
		if told := r.host.End(r.ctx, name, result); told != nil {
			return nil, told
		}
	}
	return v, err
}

// withTargets gives the targets of a step to the plan's parameter for them:
// targets, or nodes.
func (p *Plan) withTargets(s *step, given map[string]any, targets any) (map[string]any, error) {
	made := map[string]any{}
	maps.Copy(made, given)
	for _, name := range []string{"targets", "nodes"} {
		if !slices.ContainsFunc(p.Parameters, func(q Parameter) bool { return q.Name == name }) {
			continue
		}
		if made[name] != nil {
			return nil, badValue(s.line, "the targets of %s are given twice: by the step's targets and by its parameter '%s'", p.Name, name)
		}
		made[name] = targets
		return made, nil
	}
	return nil, badValue(s.line, "the plan %s has neither a parameter 'targets' nor 'nodes' that could take the step's targets", p.Name)
}
