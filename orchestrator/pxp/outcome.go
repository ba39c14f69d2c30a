package pxp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"dalang/orchestrator/apply"
	"dalang/orchestrator/job"
	"dalang/orchestrator/task"
)

// kindFailure is what a node errs with when its agent gives no kind.
const kindFailure = job.Prefix + "execution-failure"

// puppetModule runs Puppet.
const puppetModule = "pxp-module-puppet"

// maxResults bounds what is kept of a run, in bytes: it is stored, as the result
// and as an event, and shown with every list of nodes. Agents cut off earlier.
const maxResults = 32 << 20

// outcome says how a run ended whose module gave these results. ctx is for what
// receives them.
func outcome(ctx context.Context, r *job.Request, results json.RawMessage) job.Outcome {
	if len(results) > maxResults {
		return failure(r, "", "the agent's results have %d bytes, and no more than %d are taken", len(results), maxResults)
	}
	var of struct {
		ExitCode *int       `json:"exitcode"`
		Stdout   string     `json:"stdout"`
		Stderr   string     `json:"stderr"`
		Error    *ownError  `json:"_error"`
		Puppet   puppetPart `json:"-"`
	}
	err := json.Unmarshal(results, &of)
	if err == nil && r.Module == puppetModule {
		err = json.Unmarshal(results, &of.Puppet)
	}
	switch {
	case err != nil:
		return failure(r, "", "the agent's results cannot be read: %v", err)
	case of.Error != nil:
		return failure(r, of.Error.Kind, "%s", clip(of.Error.Msg))
	case of.ExitCode == nil && r.Module != puppetModule:
		return failure(r, "", "the agent's results have no exit code")
	}
	o := job.Outcome{State: job.Finished, Stdout: of.Stdout, Stderr: of.Stderr, Results: results}
	if of.ExitCode != nil {
		o.ExitCode = *of.ExitCode
	}
	if r.Module == puppetModule {
		return of.Puppet.decide(r, o)
	}
	if e := errorOf(of.Stdout); e != nil && e.Kind == executionError {
		return failure(r, e.Kind, "%s", clip(e.Msg))
	}
	return streams(ctx, r, o)
}

// streams makes the result of what a run wrote, and says whether it failed.
func streams(ctx context.Context, r *job.Request, o job.Outcome) job.Outcome {
	failed := o.ExitCode != 0
	if r.Receive != nil {
		o.Results = nil
		return r.Receive(ctx, o)
	}
	switch r.Module {
	case "task", "file":
		o.Results, failed = task.Result([]byte(o.Stdout), []byte(o.Stderr), o.ExitCode)
	case "command", "script":
		o.Results, failed = task.CommandResult([]byte(o.Stdout), []byte(o.Stderr), o.ExitCode)
	case "apply":
		o.Results, failed = apply.Result(r.Params, r.Certname, []byte(o.Stdout), []byte(o.Stderr), o.ExitCode)
	}
	if failed {
		o.State = job.Failed
	}
	return o
}

// ownError is what an agent puts where a module's output would be.
type ownError struct {
	Kind string `json:"kind"`
	Msg  string `json:"msg"`
}

// executionError is the kind of it when the module could not be run at all.
const executionError = "puppetlabs.pxp-agent/execution-error"

// errorOf is the error that a module's output is, or nil.
func errorOf(stdout string) *ownError {
	var of struct {
		Error *ownError `json:"_error"`
	}
	if len(stdout) == 0 || stdout[0] != '{' || json.Unmarshal([]byte(stdout), &of) != nil {
		return nil
	}
	return of.Error
}

// outcome says how a run ended of which the agent told when it was asked.
func (s *status) outcome(ctx context.Context, r *job.Request) job.Outcome {
	if r.Module == puppetModule {
		if !json.Valid([]byte(s.Stdout)) {
			why := clip(s.Stderr)
			if why == "" {
				why = clip(s.Stdout)
			}
			return failure(r, "", "the Puppet run left no result; exit code %d: %s", s.ExitCode, why)
		}
		return outcome(ctx, r, json.RawMessage(s.Stdout))
	}
	results, err := json.Marshal(map[string]any{"exitcode": s.ExitCode, "stdout": s.Stdout, "stderr": s.Stderr})
	if err != nil { // of strings and a number: never
		return failure(r, "", "%v", err)
	}
	return outcome(ctx, r, results)
}

// puppetPart is what pxp-module-puppet adds to results.
type puppetPart struct {
	TransactionUUID string  `json:"transaction_uuid"`
	Status          string  `json:"status"`
	ErrorType       string  `json:"error_type"`
	Error           *string `json:"error"`
}

// decide maps Puppet's results to a state (orchestrator.md §7.1).
func (p *puppetPart) decide(r *job.Request, o job.Outcome) job.Outcome {
	reported := p.TransactionUUID != "" && p.TransactionUUID != "unknown"
	switch {
	case p.Error == nil && (p.Status == "changed" || p.Status == "unchanged"):
		return o
	case p.Error == nil && p.Status == "failed", p.Error != nil && p.ErrorType == "agent_exit_non_zero" && reported:
		o.State = job.Failed
		return o
	}
	why := fmt.Sprintf("Puppet's run has the status %q", p.Status)
	if p.Error != nil {
		why = *p.Error
	}
	bad := failure(r, "", "%s", clip(why))
	bad.ExitCode, bad.Results = o.ExitCode, o.Results
	var e *job.Error
	if errors.As(bad.Err, &e) && p.ErrorType != "" {
		e.Details["error_type"] = clip(p.ErrorType)
	}
	return bad
}

// failure is the outcome of what could not be run. An empty kind is ours.
func failure(r *job.Request, kind, format string, args ...any) job.Outcome {
	if kind == "" {
		kind = kindFailure
	}
	return job.Outcome{State: job.Errored, Err: job.NodeError(kind, r.Certname, format, args...)}
}
