package schedule

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"

	"dalang/orchestrator/job"
	"dalang/orchestrator/rbac"
)

// Deploys is the kind of deploys. An input is the members of job.Deploy that
// were given, the scope among them, but for environment, description and userdata.
// check tells why a deploy can never be made; its *job.Error names the key.
func Deploys(deploy func(ctx context.Context, who *rbac.Subject, d job.Deploy) (int64, error), check func(job.Deploy) error) Kind {
	return Kind{
		May: func(_ context.Context, who Subject, _ *Entry) error {
			return permitted(who, "puppet_agent", "run", "*")
		},
		Verify: func(e *Entry) error {
			d, err := readDeploy(e.ID, e.Environment, e.Input)
			if err != nil {
				return err
			}
			return inInput(check(d))
		},
		Run: func(ctx context.Context, who *rbac.Subject, o Order) (int64, error) {
			if err := permitted(who, "puppet_agent", "run", "*"); err != nil {
				return 0, err
			}
			d, err := readDeploy(o.Entry, o.Environment, o.Input)
			if err != nil {
				return 0, err
			}
			if d.Scope.Empty() { // it would be for a whole environment
				return 0, errors.New("the input of a scheduled deploy has no scope")
			}
			d.Description, d.Userdata, d.Firing = o.Description, o.Userdata, o.Firing
			return deploy(ctx, who, d)
		},
	}
}

func readDeploy(entry int64, environment string, input json.RawMessage) (job.Deploy, error) {
	d := job.Deploy{EnforceEnvironment: environment != ""}
	if err := json.Unmarshal(input, &d); err != nil {
		return d, fmt.Errorf("input of scheduled job %d: %w", entry, err)
	}
	d.Environment = environment
	return d, nil
}

// inInput has an error name the key where an entry has it.
func inInput(err error) error {
	var refused *job.Error
	if !errors.As(err, &refused) {
		return err
	}
	key, _ := refused.Details["key"].(string)
	if key == "" || key == "environment" {
		return err
	}
	located := *refused
	located.Details = maps.Clone(refused.Details)
	located.Details["key"] = "input." + key
	return &located
}
