package planjob

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"unicode/utf8"

	"dalang/orchestrator"
	"dalang/orchestrator/apply"
	"dalang/orchestrator/content"
	"dalang/orchestrator/job"
	"dalang/orchestrator/plan"
	"dalang/orchestrator/task"
)

// maxMessage is how many bytes of a message are kept.
const maxMessage = 64 << 10

// host does what one plan asks for. It is a plan.Host.
type host struct {
	*Service
	who orchestrator.Subject
	job *job.PlanJob
}

// event adds an event to the plan's job.
func (h *host) event(ctx context.Context, kind string, details map[string]any, message string) error {
	text, err := task.Marshal(details)
	if err != nil {
		return fmt.Errorf("event %s: %w", kind, err)
	}
	if _, err = h.db.AddPlanEvent(ctx, h.job.ID, kind, text, message); err != nil {
		return err
	}
	h.metrics.events.Inc()
	return nil
}

// clip shortens a text to what is kept of messages.
func clip(text string) string {
	if len(text) <= maxMessage {
		return text
	}
	n := maxMessage
	for n > 0 && !utf8.RuneStart(text[n]) {
		n--
	}
	return text[:n] + "…"
}

// Message is plan.Host's.
func (h *host) Message(ctx context.Context, text string, verbose bool) error {
	details := map[string]any{"message": clip(text)}
	if verbose {
		details["verbose"] = true
	}
	return h.event(ctx, job.EventMessage, details, clip(text))
}

// Begin is plan.Host's.
func (h *host) Begin(ctx context.Context, name string) error {
	return h.event(ctx, job.EventPlanStart, map[string]any{"plan": name, "plan-id": h.job.Name()}, "Starting plan "+name)
}

// End is plan.Host's.
func (h *host) End(ctx context.Context, name string, result any) error {
	how := "Finished plan "
	if _, failed := result.(*plan.Error); failed {
		how = "Failed plan "
	}
	return h.event(ctx, job.EventPlanEnd, map[string]any{"plan": name, "plan-id": h.job.Name(), "result": plan.Data(result)}, how+name)
}

// Plan is plan.Host's.
func (h *host) Plan(ctx context.Context, name string) (*plan.Plan, error) {
	if !content.ValidPlan(name) {
		return nil, &plan.Error{Kind: plan.KindUnknownPlan, Msg: fmt.Sprintf("%q is not the name of a plan", name)}
	}
	found, err := h.cfg.Content.Plan(ctx, h.job.Environment, name)
	if errors.Is(err, job.UnknownPlan("", "")) {
		return nil, &plan.Error{Kind: plan.KindUnknownPlan, Msg: fmt.Sprintf("Could not find a plan named '%s' in the environment %s", name, h.job.Environment)}
	}
	if err != nil {
		return nil, err
	}
	if found.Ext != ".yaml" {
		return nil, &plan.Error{Kind: plan.KindInvalidPlan, Msg: fmt.Sprintf("The plan %s is written in the Puppet language: a YAML plan cannot run it here", name)}
	}
	p, err := plan.Parse(name, found.Text)
	if err != nil {
		return nil, &plan.Error{Kind: plan.KindInvalidPlan, Msg: err.Error()}
	}
	aliased(p, found)
	return p, nil
}

// Run is plan.Host's: it makes a job, tells of it, and waits for its end.
func (h *host) Run(ctx context.Context, a *plan.Action) ([]plan.Outcome, error) {
	id, err := h.submit(ctx, a)
	if err != nil {
		return nil, refused(err)
	}
	kind := map[plan.Kind]string{plan.Task: job.EventTask, plan.Command: job.EventCommand, plan.Script: job.EventScript, plan.Upload: job.EventUpload,
		plan.Download: job.EventCommand, plan.Resources: job.EventApply}[a.Kind]
	if err := h.event(ctx, kind, map[string]any{"job-id": fmt.Sprint(id)}, fmt.Sprintf("Job %d: %s %s", id, a.Kind, shortened(object(a)))); err != nil {
		return nil, err
	}
	if _, err := h.cfg.Engine.Wait(ctx, id); err != nil {
		var timeout *plan.Error
		if errors.As(context.Cause(ctx), &timeout) { // what it waits for is not wanted any more
			if _, stopErr := h.cfg.Engine.Stop(context.WithoutCancel(ctx), id, true); stopErr != nil {
				h.log.ErrorContext(ctx, "the job of a plan whose time is up cannot be stopped", "plan_job", h.job.ID, "job", id, "error", stopErr)
			}
		}
		return nil, err
	}
	nodes, _, _, err := h.cfg.Database.JobNodes(ctx, id, job.NodeFilter{})
	if err != nil {
		return nil, err
	}
	outcomes := make([]plan.Outcome, len(nodes))
	for i := range nodes {
		if outcomes[i], err = outcome(a, &nodes[i]); err != nil {
			return nil, err
		}
	}
	return outcomes, nil
}

func shortened(text string) string {
	text, _, _ = strings.Cut(text, "\n")
	if r := []rune(text); len(r) > 80 {
		return string(r[:80]) + "…"
	}
	return text
}

// refused is the error of a plan whose step cannot be done. Errors that have
// another name for Bolt get that.
func refused(err error) error {
	var known *job.Error
	if !errors.As(err, &known) {
		return err
	}
	e := &plan.Error{Kind: known.Kind, Msg: known.Msg, Details: known.Details}
	switch strings.TrimPrefix(known.Kind, job.Prefix) {
	case "unknown-task":
		e.Kind = "bolt/unknown-task"
	case "validation-error":
		e.Kind = plan.KindValidation
	}
	return e
}

func (h *host) submit(ctx context.Context, a *plan.Action) (int64, error) {
	scope := job.Scope{Nodes: a.Targets, GivenNodes: true}
	if a.Kind == plan.Task {
		if !task.ValidName(a.Object) {
			return 0, job.UnknownTask(h.job.Environment, a.Object)
		}
		params, err := task.Marshal(a.Params)
		if err != nil {
			return 0, fmt.Errorf("params of the task %s: %w", a.Object, err)
		}
		return h.cfg.Engine.Task(ctx, h.who, job.Task{Environment: h.job.Environment, Task: a.Object, Params: params, Secrets: a.Secrets, Scope: scope,
			Noop: a.Noop, Description: clip(a.Description), PlanJob: h.job.ID, RunAs: a.RunAs})
	}
	s := job.Step{PlanJob: h.job.ID, Environment: h.job.Environment, Scope: scope, Description: clip(a.Description), RunAs: a.RunAs}
	shown := map[string]any{"description": s.Description, "environment": s.Environment, "scope": scope, "plan_job": h.job.Name(), "noop": false}
	if a.RunAs != "" {
		shown["run_as"] = a.RunAs
	}
	var params map[string]any
	var err error
	switch a.Kind {
	case plan.Command:
		s.Type, shown["command"] = job.TypePlanCommand, a.Object
		params = map[string]any{"command": exported(a.Env) + a.Object}
		if len(a.Env) > 0 { // their values may be secrets
			shown["env_vars"] = slices.Sorted(maps.Keys(a.Env))
		}
	case plan.Script:
		s.Type, shown["script"], shown["arguments"] = job.TypePlanScript, a.Object, append([]string{}, a.Shown...)
		params, err = h.script(ctx, a)
	case plan.Upload:
		s.Type, shown["file"], shown["destination"] = job.TypePlanUpload, a.Object, a.Destination
		params, err = h.upload(ctx, a)
	case plan.Download:
		s.Type = job.TypePlanCommand
		params, err = h.download(a, shown)
	case plan.Resources:
		s.Type, shown["noop"], shown["resources"] = job.TypePlanApply, a.Noop, shownResources(a)
		params = apply.Params(s.Environment, "plan job "+h.job.Name(), a.Resources, a.Noop)
	default:
		err = fmt.Errorf("a step of a plan wants the action %q", a.Kind)
	}
	if err != nil {
		return 0, err
	}
	if s.Params, err = task.Marshal(params); err == nil {
		s.Options, err = task.Marshal(shown)
	}
	if err != nil {
		return 0, fmt.Errorf("request of a plan's %s: %w", a.Kind, err)
	}
	return h.cfg.Engine.Step(ctx, h.who, s)
}

// exported sets environment variables for a command. Agents have no other way.
func exported(env map[string]string) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(env)) {
		b.WriteString("export " + name + "='" + strings.ReplaceAll(env[name], "'", `'\''`) + "'; ")
	}
	return b.String()
}

// script makes the parameters of the module script.
func (h *host) script(ctx context.Context, a *plan.Action) (map[string]any, error) {
	if len(a.Env) > 0 {
		return nil, &plan.Error{Kind: plan.KindActionRefused, Msg: "env_vars cannot be set for scripts: agents take none; a step with the key 'command' can set them"}
	}
	found, err := h.cfg.Content.Files(ctx, h.job.Environment, a.Object)
	if err != nil {
		return nil, err
	}
	if found[0].Dir {
		return nil, &plan.Error{Kind: plan.KindValidation, Msg: fmt.Sprintf("The script %s is a directory", a.Object)}
	}
	f := found[0].File
	return map[string]any{"script": map[string]any{"filename": f.Filename, "sha256": f.SHA256, "uri": f.URI},
		"arguments": append([]string{}, a.Arguments...)}, nil
}

// upload makes the parameters of the module file.
func (h *host) upload(ctx context.Context, a *plan.Action) (map[string]any, error) {
	found, err := h.cfg.Content.Files(ctx, h.job.Environment, a.Object)
	if err != nil {
		return nil, err
	}
	files := make([]map[string]any, len(found))
	for i, f := range found {
		destination := a.Destination
		if f.Path != "" {
			destination = path.Join(destination, f.Path)
		}
		files[i] = map[string]any{"destination": destination, "kind": "directory"}
		if !f.Dir {
			files[i] = map[string]any{"destination": destination, "kind": "file", "sha256": f.File.SHA256, "uri": f.File.URI}
		}
	}
	return map[string]any{"files": files}, nil
}

// outcome is what came of a node, as Bolt has it.
func outcome(a *plan.Action, n *job.Node) (plan.Outcome, error) {
	o := plan.Outcome{Target: n.Certname, Value: map[string]any{}}
	if len(n.Result) > 0 {
		d := json.NewDecoder(bytes.NewReader(n.Result))
		d.UseNumber()
		if err := d.Decode(&o.Value); err != nil {
			return o, fmt.Errorf("result of %s: %w", n.Certname, err)
		}
	}
	if o.Value == nil {
		o.Value = map[string]any{}
	}
	switch {
	case n.State != job.Finished && o.Value["_error"] == nil:
		o.Value["_error"] = nodeError(n)
	case n.State == job.Finished && a.Kind == plan.Upload:
		o.Value = map[string]any{"_output": fmt.Sprintf("Uploaded '%s' to '%s:%s'", a.Object, n.Certname, a.Destination)}
	}
	return o, nil
}

// nodeError says why a node has no result.
func nodeError(n *job.Node) map[string]any {
	var details struct {
		Detail struct {
			Kind    string         `json:"kind"`
			Msg     string         `json:"msg"`
			Details map[string]any `json:"details"`
		} `json:"detail"`
	}
	_ = json.Unmarshal(n.Details, &details) // what cannot be read is made up below
	d := details.Detail
	if d.Kind == "" {
		d.Kind = job.Prefix + "execution-failure"
	}
	if d.Msg == "" {
		d.Msg = fmt.Sprintf("The run on %s ended %s", n.Certname, n.State)
		if n.Message != "" {
			d.Msg = n.Message
		}
	}
	if d.Details == nil {
		d.Details = map[string]any{"node": n.Certname}
	}
	return map[string]any{"kind": d.Kind, "msg": d.Msg, "details": d.Details}
}
