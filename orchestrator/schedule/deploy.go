package schedule

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"dalang/orchestrator/job"
	"dalang/orchestrator/rbac"
)

// Deploys is the kind of deploys. An input is the members of job.Deploy that
// were given, the scope among them, but for environment, description and userdata.
func Deploys(deploy func(ctx context.Context, who *rbac.Subject, d job.Deploy) (int64, error)) Kind {
	return Kind{
		May: func(_ context.Context, who Subject, _ *Entry) error {
			return permitted(who, "puppet_agent", "run", "*")
		},
		Run: func(ctx context.Context, who *rbac.Subject, o Order) (int64, error) {
			if err := permitted(who, "puppet_agent", "run", "*"); err != nil {
				return 0, err
			}
			d := job.Deploy{EnforceEnvironment: o.Environment != ""}
			if err := json.Unmarshal(o.Input, &d); err != nil {
				return 0, fmt.Errorf("input of scheduled job %d: %w", o.Entry, err)
			}
			if d.Scope.Empty() { // it would be for a whole environment
				return 0, errors.New("the input of a scheduled deploy has no scope")
			}
			d.Environment, d.Description, d.Userdata, d.Firing = o.Environment, o.Description, o.Userdata, o.Firing
			return deploy(ctx, who, d)
		},
	}
}
