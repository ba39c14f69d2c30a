package orch

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"time"

	"dalang/orchestrator/content"
	"dalang/orchestrator/job"
	"dalang/orchestrator/planjob"
	"dalang/orchestrator/schedule"
	"dalang/orchestrator/task"
)

func decimal(n int64) string { return strconv.FormatInt(n, 10) }

// parseScheduled reads a scheduled job. All keys are required.
func parseScheduled(o *object) (*schedule.Entry, error) {
	e := &schedule.Entry{Environment: o.must("environment", "the name of an environment")}
	if kind := o.oneOf("type", "deploy", "task", "plan"); kind != nil {
		e.Type = schedule.Type(*kind)
	} else {
		o.missing("type", "deploy, task or plan")
	}
	for _, key := range []string{"description", "userdata"} {
		if !o.has(key) {
			o.missing(key, map[string]string{"description": "a string, which may be empty", "userdata": "an object, which may be empty"}[key])
		}
	}
	e.Description, e.Userdata = o.description(), o.data("userdata", maxUserdata)
	if grid := o.grid(); grid != nil {
		e.Grid = *grid
	} else {
		o.missing("schedule", `an object with start_time and interval`)
	}
	input := o.object("input")
	if input == nil {
		o.missing("input", "an object")
	}
	if err := o.done(); err != nil {
		return nil, err
	}
	return e, input.inputOf(e)
}

// must is a string member that has to be there.
func (o *object) must(key, expected string) string {
	text := o.text(key)
	if text == nil {
		o.missing(key, expected)
		return ""
	}
	return *text
}

// missing is a mistake, unless there is one of this member already.
func (o *object) missing(key, expected string) { o.wrong(key, expected, "missing") }

// grid is the member schedule, nil if it is absent.
func (o *object) grid() *schedule.Grid {
	s := o.object("schedule")
	if s == nil {
		return nil
	}
	grid := &schedule.Grid{Start: s.start("start_time"), Interval: s.interval()}
	if _, given := s.members["interval"]; !given {
		s.missing("interval", "null, or an object with units and value")
	}
	o.fail(s.done())
	return grid
}

// start is a time with a zone, which has to be there.
func (o *object) start(key string) time.Time {
	const expected = "a time with its zone, as 2027-05-05T19:50:08Z"
	text := o.must(key, expected)
	if o.err != nil {
		return time.Time{}
	}
	for _, form := range []string{time.RFC3339Nano, "2006-01-02T15:04Z07:00", "2006-01-02T15:04:05.999999999Z0700", "2006-01-02T15:04Z0700"} {
		if t, err := time.Parse(form, text); err == nil {
			return t.UTC().Truncate(time.Millisecond)
		}
	}
	o.wrong(key, expected, quoted(text))
	return time.Time{}
}

// interval is the member interval, 0 if it is absent.
func (o *object) interval() time.Duration {
	i := o.object("interval")
	if i == nil {
		return 0
	}
	if units := i.oneOf("units", "seconds"); units == nil {
		i.missing("units", "seconds")
	}
	value := i.integer("value", 1)
	if value == nil {
		i.missing("value", fmt.Sprintf("an integer from 1 to %d", math.MaxInt32))
	}
	if err := i.done(); err != nil {
		o.fail(err)
		return 0
	}
	return time.Duration(*value) * time.Second
}

// inputOf reads an input into an entry whose type and environment are known.
func (o *object) inputOf(e *schedule.Entry) (err error) {
	switch e.Type {
	case schedule.Deploy:
		e.Input = o.deployInput(e.Environment)
		return o.done()
	case schedule.Task:
		return o.taskInput(e)
	default:
		return o.planInput(e)
	}
}

// taskInput reads {"name","parameters","scope","targets"?,"noop"?,"timeout"?}.
func (o *object) taskInput(e *schedule.Entry) error {
	name, params := o.must("name", "the name of a task"), o.parameters()
	if o.err == nil && !task.ValidName(name) {
		o.wrong("name", "the name of a task: module, or module::task, in lower-case letters, digits and _", quoted(name))
	}
	if !job.ValidEnvironment(e.Environment) {
		o.fail(badEnvironment(e.Environment))
	}
	t := job.Task{Task: name, Scope: o.taskScope(), Targets: o.agentless(), Noop: o.yes("noop"), Timeout: o.integer("timeout", 1)}
	t.Params = plainParameters(params)
	if err := o.done(); err != nil {
		return err
	}
	return setTask(e, t)
}

func setTask(e *schedule.Entry, t job.Task) (err error) {
	if t.Scope.GivenNodes && len(t.Scope.Nodes) == 0 {
		return job.EmptyTarget(nil, "The scope names no nodes")
	}
	e.Name = t.Task
	e.Secret, err = schedule.TaskInput(t)
	return err
}

// planInput reads {"name","parameters","timeout"?}, the parameters as those of
// environment_plan_run.
func (o *object) planInput(e *schedule.Entry) error {
	r := planjob.Request{Plan: o.must("name", "the name of a plan")}
	if o.err == nil && !content.ValidPlan(r.Plan) {
		o.wrong("name", "the name of a plan: names of lower-case letters, digits and _ with :: between them", quoted(r.Plan))
	}
	if !job.ValidEnvironment(e.Environment) {
		o.fail(badEnvironment(e.Environment))
	}
	if timeout := o.integer("timeout", 1); timeout != nil {
		r.Timeout = time.Duration(*timeout) * time.Second
	}
	o.typedMember("parameters", &r)
	if err := o.done(); err != nil {
		return err
	}
	return setPlan(e, r)
}

func setPlan(e *schedule.Entry, r planjob.Request) (err error) {
	p := schedule.PlanOrder{Plan: r.Plan, Find: r.Find, Timeout: int64(r.Timeout / time.Second)}
	if p.Params, err = task.Marshal(r.Params); err != nil {
		return fmt.Errorf("params of a scheduled plan: %w", err)
	}
	e.Name = p.Plan
	e.Secret, err = schedule.PlanInput(p)
	return err
}

// parameters is the member of that name, which has to be there.
func (o *object) parameters() map[string]json.RawMessage {
	given := o.values("parameters")
	if given == nil {
		o.missing("parameters", "an object, which may be empty")
	}
	return given
}

// plainParameters takes values out of {"value": …}, if each of the parameters
// is of that form and of no other.
func plainParameters(params map[string]json.RawMessage) json.RawMessage {
	plain := map[string]json.RawMessage{}
	for name, text := range params {
		var wrapped map[string]json.RawMessage
		value, ok := json.RawMessage(nil), false
		if json.Unmarshal(text, &wrapped) == nil {
			value, ok = wrapped["value"]
		}
		if !ok || len(wrapped) != 1 {
			plain = params
			break
		}
		plain[name] = value
	}
	text, err := json.Marshal(plain)
	if err != nil {
		panic(err) // it was JSON
	}
	return text
}

// deployInput reads the members of a deploy but those that a scheduled job has
// itself, and answers those that were given. There has to be a scope: nothing
// may be for a whole environment unless it says so.
func (o *object) deployInput(environment string) json.RawMessage {
	d := o.deployFlags()
	enforce := o.flag("enforce_environment")
	if scope := o.object("scope"); scope != nil {
		d.Scope = scope.scope(agentNames())
		o.fail(scope.done())
		switch {
		case d.Scope.Empty():
			o.wrong("scope", "an object with exactly one key", "empty")
		case d.Scope.GivenNodes && len(d.Scope.Nodes) == 0:
			o.fail(job.EmptyTarget(map[string]any{"key": o.path + "scope.nodes"}, "The scope names no nodes"))
		}
	} else {
		o.missing("scope", "an object with exactly one key")
	}
	d.EnforceEnvironment = environment != ""
	switch {
	case environment != "" && !job.ValidEnvironment(environment):
		o.fail(badEnvironment(environment))
	case environment == "" && (enforce == nil || *enforce):
		o.wrong("enforce_environment", "false where environment is empty", map[bool]string{true: "missing", false: "true"}[enforce == nil])
	case environment == "" && (d.Scope.WholeEnvironment || d.Scope.Application != ""):
		o.wrong("scope", "nodes, query or node_group where environment is empty", "something else")
	case enforce != nil:
		d.EnforceEnvironment = *enforce
	}
	return o.given(d)
}

// given is v, an object of JSON, with only those members that the object has
// and that a scheduled job does not have beside its input.
func (o *object) given(v any) json.RawMessage {
	text, err := json.Marshal(v)
	all, out := map[string]json.RawMessage{}, map[string]json.RawMessage{}
	if err == nil {
		err = json.Unmarshal(text, &all)
	}
	for key, value := range all {
		if o.has(key) && key != "environment" && key != "description" && key != "userdata" {
			out[key] = value
		}
	}
	if text, err = json.Marshal(out); err != nil {
		panic(err) // strings and numbers
	}
	return text
}

// scheduledEdit is what a PUT changes; nil: nothing.
type scheduledEdit struct {
	environment, description *string
	userdata                 json.RawMessage
	grid                     *schedule.Grid
	enabled                  *bool
	input                    *object
}

func parseEdit(o *object) (*scheduledEdit, error) {
	edit := &scheduledEdit{environment: o.text("environment"), grid: o.grid(), enabled: o.flag("enabled"), input: o.object("input")}
	if text := o.description(); o.has("description") {
		edit.description = &text
	}
	if data := o.data("userdata", maxUserdata); o.has("userdata") {
		edit.userdata = data
	}
	return edit, o.done()
}

func (edit *scheduledEdit) onlyDisables() bool {
	return edit.enabled != nil && !*edit.enabled && edit.environment == nil && edit.description == nil && edit.userdata == nil && edit.grid == nil && edit.input == nil
}

// apply changes an entry. An input that stays has to fit an environment that changes.
func (edit *scheduledEdit) apply(e *schedule.Entry) error {
	if edit.description != nil {
		e.Description = *edit.description
	}
	if edit.userdata != nil {
		e.Userdata = edit.userdata
	}
	if edit.grid != nil {
		e.Grid = *edit.grid
	}
	if edit.enabled != nil {
		e.Enabled = *edit.enabled
	}
	if edit.environment == nil && edit.input == nil {
		return nil
	}
	input := edit.input
	if input == nil && e.Type != schedule.Deploy {
		e.Environment = *edit.environment
		if !job.ValidEnvironment(e.Environment) {
			return badEnvironment(e.Environment)
		}
		return nil
	}
	if input == nil {
		kept, err := parseObject(e.Input)
		if err != nil {
			return err
		}
		kept.path, input = "input.", kept
	}
	if edit.environment != nil {
		e.Environment = *edit.environment
	}
	return input.inputOf(e)
}
