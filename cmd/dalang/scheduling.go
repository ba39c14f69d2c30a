package main

import (
	"context"
	"time"

	"dalang/orchestrator/job"
	"dalang/orchestrator/planjob"
	"dalang/orchestrator/rbac"
	"dalang/orchestrator/schedule"
	"dalang/orchestrator/task"
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
			}, o.engine.CheckDeploy),
			schedule.Task: schedule.Tasks(schedule.Tasking{
				Task: func(ctx context.Context, who *rbac.Subject, t job.Task) (int64, error) {
					return o.engine.Task(ctx, who, t)
				},
				Check: o.engine.CheckTask,
				MayRun: func(ctx context.Context, who schedule.Subject) (func(string) bool, error) {
					return o.engine.MayRun(ctx, who)
				},
			}),
			schedule.Plan: schedule.Plans(schedule.Planning{
				Start: func(ctx context.Context, who *rbac.Subject, p schedule.PlanOrder) (int64, error) {
					r, err := planRequest(p)
					if err != nil {
						return 0, err
					}
					return o.plans.Start(ctx, who, r)
				},
				Check: func(ctx context.Context, p schedule.PlanOrder) ([]string, error) {
					r, err := planRequest(p)
					if err != nil {
						return nil, err
					}
					return o.plans.Check(ctx, r)
				},
			}),
		},
	})
}

// planRequest is a scheduled plan as the plans' service knows it.
func planRequest(p schedule.PlanOrder) (planjob.Request, error) {
	params, err := task.Object(p.Params)
	return planjob.Request{Plan: p.Plan, Environment: p.Environment, Params: params, Sensitive: p.Sensitive, Find: p.Find, Description: p.Description,
		Timeout: time.Duration(p.Timeout) * time.Second, Userdata: p.Userdata, ScheduledJob: p.ScheduledJob, Firing: p.Firing}, err
}
