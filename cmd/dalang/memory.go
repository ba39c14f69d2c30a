package main

import (
	"context"
	"os"
	"runtime/debug"
	"time"
)

// agentMemory is what a connected agent takes, with some room
// (docs/performance.md). The documentation of memory-limit names it, too.
const agentMemory = 48 << 10

// memoryGoal is the collector's goal: what was configured for the program
// itself, and what connected agents take. With a goal below what is in use the
// collector would run all the time. It moves in steps of 64 agents.
func memoryGoal(configured int64, agents int) int64 {
	return configured + int64((agents+63)/64*64)*agentMemory
}

// limited tells whether the goal is ours to set.
func (a *app) limited() bool { return a.cfg.Dalang.MemoryLimit > 0 && os.Getenv("GOMEMLIMIT") == "" }

func (a *app) limitMemory() {
	if a.limited() {
		debug.SetMemoryLimit(memoryGoal(int64(a.cfg.Dalang.MemoryLimit), 0))
	}
}

// followAgents has the collector's goal follow the number of agents until ctx
// ends.
func (a *app) followAgents(ctx context.Context) error {
	if !a.limited() {
		return nil
	}
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	follow(ctx, ticker.C, a.orchestration.broker.Sessions, func(agents int) {
		debug.SetMemoryLimit(memoryGoal(int64(a.cfg.Dalang.MemoryLimit), agents))
	})
	return nil
}

// follow calls set with a count when the goal for it is another.
func follow(ctx context.Context, tick <-chan time.Time, count func() int, set func(int)) {
	last := memoryGoal(0, 0)
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick:
		}
		agents := count()
		if goal := memoryGoal(0, agents); goal != last {
			set(agents)
			last = goal
		}
	}
}
