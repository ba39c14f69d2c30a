package orchestrator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"dalang/orchestrator/apply"
	"dalang/orchestrator/job"
)

// moduleOf is what agents run for a type of job.
func moduleOf(t job.Type) (module, action string, known bool) {
	switch t {
	case job.TypeTask, job.TypePlanTask:
		return "task", "run", true
	case job.TypePlanCommand:
		return "command", "run", true
	case job.TypePlanScript:
		return "script", "run", true
	case job.TypePlanUpload:
		return "file", "download", true
	case job.TypePlanApply:
		return "apply", "apply", true
	}
	return "", "", false
}

// assignments is the work of tasks and of the steps of plans: all nodes are
// asked the same, which was sealed when the job was made. Only catalogs have the
// name of their node.
type assignments struct {
	secrets   Secrets
	downloads Downloads
}

func (*assignments) Pool() string { return Tasks }

func (*assignments) Name(j *job.Job) string {
	switch j.Type {
	case job.TypePlanCommand:
		if j.Download != nil {
			return "download"
		}
		return "command"
	case job.TypePlanScript:
		return "script"
	case job.TypePlanUpload:
		return "upload"
	case job.TypePlanApply:
		return "apply"
	}
	return "task " + j.Task
}

func (a *assignments) Verb(j *job.Job) string { return a.Name(j) }

// Check opens what the job's nodes are asked.
func (a *assignments) Check(j *job.Job) error {
	if j.Params != nil {
		return nil
	}
	if j.Sealed == nil {
		return errors.New("what its nodes are asked is not there any more")
	}
	plain, err := a.secrets.Open(sealRequest, j.Sealed)
	if err != nil {
		return fmt.Errorf("what its nodes are asked: %w", err)
	}
	j.Params = plain
	return a.readDownload(j)
}

func (a *assignments) Request(j *job.Job, certname string) (job.Request, error) {
	module, action, known := moduleOf(j.Type)
	if !known {
		return job.Request{}, fmt.Errorf("orchestrator: nothing runs jobs of type %q", j.Type)
	}
	if isCommand(j) {
		module, action, _ = moduleOf(job.TypePlanCommand)
	}
	params := j.Params
	if j.Type == job.TypePlanApply && params != nil {
		var err error
		if params, err = apply.For(params, certname); err != nil {
			return job.Request{}, err
		}
	}
	return job.Request{Module: module, Action: action, Params: params, Receive: a.receive(j, certname)}, nil
}

// shimCommand is the task that may be run by the module command.
const shimCommand = "bolt_shim::command"

// isCommand tells whether a job is a task that the module command runs, by what
// was sealed when it was made: the environment may have another now.
func isCommand(j *job.Job) bool {
	if j.Task != shimCommand {
		return false
	}
	var params struct {
		Task    *string `json:"task"`
		Command *string `json:"command"`
	}
	return json.Unmarshal(j.Params, &params) == nil && params.Task == nil && params.Command != nil
}

// Settle is Settler's. The task bolt_shim::command always succeeds: how its
// command ended is in its result, which Bolt reads.
func (*assignments) Settle(j *job.Job, o job.Outcome) job.Outcome {
	var fields map[string]json.RawMessage
	if !isCommand(j) || o.State != job.Finished && o.State != job.Failed || json.Unmarshal(o.Results, &fields) != nil {
		return o
	}
	delete(fields, "_error")
	o.State, o.Results = job.Finished, object(fields)
	return o
}

// Conclude keeps the result as it is. As an event's detail it must not have a
// noop that is anything but a boolean.
func (*assignments) Conclude(_ *job.Job, o job.Outcome) Conclusion {
	c := Conclusion{Result: o.Results, Detail: o.Results}
	var fields map[string]json.RawMessage
	if json.Unmarshal(o.Results, &fields) != nil || fields == nil {
		return Conclusion{}
	}
	var boolean bool
	if noop, has := fields["noop"]; has && (string(noop) == "null" || json.Unmarshal(noop, &boolean) != nil) {
		delete(fields, "noop")
		c.Detail = object(fields)
	}
	return c
}

// Connection is how to reach a node of a job without an agent: as its command
// said, else as it is stored. Its certname is its host unless that is said.
func (e *Engine) Connection(ctx context.Context, id int64, certname string) (job.Connection, error) {
	var given, stored job.Connection
	if e.cfg.Tasking == nil {
		return given, errNoTasks
	}
	sealed, err := e.cfg.Tasking.Reach.JobConnection(ctx, id, certname)
	if err != nil {
		return given, err
	}
	if sealed != nil {
		if err := e.unseal(sealConnection, sealed, &given); err != nil {
			return given, err
		}
	}
	if given.User == "" {
		list, err := e.cfg.Tasking.Reach.Connections(ctx, []string{certname})
		if err != nil {
			return given, err
		}
		if len(list) == 0 {
			return given, fmt.Errorf("there is no stored connection for %s any more", certname)
		}
		if stored, err = OpenConnection(e.cfg.Tasking.Secrets, list[0]); err != nil {
			return given, err
		}
		if given.RunAs != "" {
			stored.RunAs = given.RunAs
		}
		given = stored
	}
	if given.Hostname == "" {
		given.Hostname = certname
	}
	return given, nil
}

func (e *Engine) unseal(purpose string, sealed []byte, into any) error {
	plain, err := e.cfg.Tasking.Secrets.Open(purpose, sealed)
	if err != nil {
		return err
	}
	return json.Unmarshal(plain, into)
}

// SealConnection seals the secrets of a stored connection, an object.
func SealConnection(s Secrets, parameters json.RawMessage) []byte {
	return s.Seal(sealStored, parameters)
}

// OpenConnection puts a stored connection and its secrets together.
func OpenConnection(s Secrets, c job.StoredConnection) (job.Connection, error) {
	var whole job.Connection
	if err := json.Unmarshal(c.Parameters, &whole); err != nil {
		return whole, fmt.Errorf("the stored connection of %s: %w", c.Certname, err)
	}
	plain, err := s.Open(sealStored, c.Sealed)
	if err == nil {
		err = json.Unmarshal(plain, &whole)
	}
	if err != nil {
		return whole, fmt.Errorf("the stored connection of %s: %w", c.Certname, err)
	}
	return whole, nil
}

// Wait waits until a job has ended, and gives it then. Its error is
// job.UnknownJob, that of ctx, or of the database. ctx must not outlive Run.
func (e *Engine) Wait(ctx context.Context, id int64) (*job.Job, error) {
	for {
		j, err := e.db.Job(ctx, id)
		if err != nil || j.State.Terminal() {
			return j, err
		}
		ended := make(chan struct{})
		e.post(func(t *turn) {
			if e.jobs[id] == nil {
				e.load(t, id) // made a moment ago, or ended
			}
			if a := e.jobs[id]; a != nil {
				a.waiting = append(a.waiting, ended)
			} else {
				t.then(func() { close(ended) })
			}
		})
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for job %d: %w", id, context.Cause(ctx))
		case <-ended:
		}
	}
}
