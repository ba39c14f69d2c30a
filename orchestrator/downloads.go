package orchestrator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"dalang/orchestrator/job"
)

// Downloads keeps files that plans get from nodes; see package download.
type Downloads interface {
	// Receive keeps what a node's command wrote, and answers the outcome to go on
	// with, which has nothing of the file. When ctx ends it keeps nothing. It is
	// safe for concurrent use.
	Receive(ctx context.Context, planJob int64, certname string, d job.Download, o job.Outcome) job.Outcome
}

// readDownload takes what is not the nodes' out of a command's parameters. It is
// sealed with them, so that it is there again after a restart.
func (a *assignments) readDownload(j *job.Job) error {
	if j.Type != job.TypePlanCommand {
		return nil
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(j.Params, &fields); err != nil {
		return fmt.Errorf("what its nodes are asked: %w", err)
	}
	given, ok := fields["download"]
	if !ok {
		return nil
	}
	if a.downloads == nil {
		return errors.New("this server keeps no files of nodes")
	}
	d := &job.Download{}
	if err := json.Unmarshal(given, d); err != nil {
		return fmt.Errorf("what its nodes are asked: %w", err)
	}
	delete(fields, "download")
	j.Params, j.Download = object(fields), d
	return nil
}

// receive is what a node's request carries for its transport; nil for none.
func (a *assignments) receive(j *job.Job, certname string) func(context.Context, job.Outcome) job.Outcome {
	if j.Download == nil {
		return nil
	}
	planJob, d := j.PlanJob, *j.Download // the job is the loop's
	return func(ctx context.Context, o job.Outcome) job.Outcome {
		return a.downloads.Receive(ctx, planJob, certname, d, o)
	}
}
