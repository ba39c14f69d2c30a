package main

import (
	"context"
	"time"

	"dalang/cmd/internal/config"
	"dalang/orchestrator"
	"dalang/orchestrator/content"
	"dalang/orchestrator/job"
	"dalang/orchestrator/planjob"
)

// planFiles has the files that plans put on nodes.
type planFiles interface {
	Files(ctx context.Context, environment, name string) ([]content.Placed, error)
}

// planSource has plans: those of environmentpath where there is one, as a
// Puppet Server tells nobody what is in a plan. Their files come from where
// agents get files.
type planSource struct {
	plans content.Source
	files planFiles // nil: there are none
}

func (s planSource) Plans(ctx context.Context, environment string) ([]content.Entry, error) {
	return s.plans.Plans(ctx, environment)
}

func (s planSource) Plan(ctx context.Context, environment, name string) (*content.Plan, error) {
	return s.plans.Plan(ctx, environment, name)
}

func (s planSource) Files(ctx context.Context, environment, name string) ([]content.Placed, error) {
	if s.files == nil {
		return nil, job.Unavailable(errNowhere)
	}
	return s.files.Files(ctx, environment, name)
}

// newPlans makes what runs plans.
func (a *app) newPlans(o *orchestration, scopes *orchestrator.Scopes) (*planjob.Service, error) {
	c := a.cfg.Orchestrator
	return planjob.New(planjob.Config{
		Database: a.store, Engine: o.engine, Scopes: scopes, Content: a.newPlanSource(o.content, c),
		Runner: c.PlansExternalRunner, Downloads: o.downloads, Timeout: time.Duration(c.DefaultPlanTimeout), PruneAfter: time.Duration(c.JobPruneThreshold),
		Logger: a.log, Registerer: a.registry,
	})
}

func (a *app) newPlanSource(tasks content.Source, c config.Orchestrator) planSource {
	s := planSource{plans: tasks}
	s.files, _ = tasks.(planFiles)
	if c.PuppetServer != "" && len(c.EnvironmentPath) > 0 {
		s.plans = content.NewDirectory(content.DirectoryConfig{Path: c.EnvironmentPath, BaseModulePath: c.BaseModulePath, Logger: a.log})
	}
	return s
}
