package main

import (
	"context"
	"time"

	"dalang/orchestrator/job"
	"dalang/orchestrator/rbac"
	"dalang/orchestrator/schedule"
)

// newScheduler makes what starts jobs at agreed times.
func (a *app) newScheduler(o *orchestration) (*schedule.Scheduler, error) {
	warmup := time.Duration(a.cfg.Orchestrator.ScheduleWarmup)
	if o.broker == nil {
		warmup = 0 // nobody will connect
	}
	return schedule.New(schedule.Config{
		Store: a.store, Owners: o.access, Warmup: warmup, Logger: a.log, Registerer: a.registry,
		Runners: map[schedule.Type]schedule.Runner{
			schedule.Deploy: schedule.Deploys(func(ctx context.Context, who *rbac.Subject, d job.Deploy) (int64, error) {
				return o.engine.Deploy(ctx, who, d)
			}),
		},
	})
}
