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
		Store: a.store, Owners: o.access, Secrets: o.secrets, Warmup: warmup, Logger: a.log, Registerer: a.registry,
		Kinds: map[schedule.Type]schedule.Kind{
			schedule.Deploy: schedule.Deploys(func(ctx context.Context, who *rbac.Subject, d job.Deploy) (int64, error) {
				return o.engine.Deploy(ctx, who, d)
			}),
			schedule.Task: schedule.Tasks(schedule.Tasking{
				Task: func(ctx context.Context, who *rbac.Subject, t job.Task) (int64, error) {
					return o.engine.Task(ctx, who, t)
				},
				Check: o.engine.CheckTask,
				MayRun: func(ctx context.Context, who schedule.Subject) (func(string) bool, error) {
					return o.engine.MayRun(ctx, who)
				},
			}),
		},
	})
}
