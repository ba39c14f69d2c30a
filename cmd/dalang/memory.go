package main

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// memoryStep is by what the collector's goal moves.
const memoryStep = 4 << 20

// cheapHeap is how much of the live heap may be traced again and again for little.
const cheapHeap = 36 << 20

// memoryGoal is the collector's goal: what was configured, or what is in use
// and room for the heap to grow, where that is more. With a goal near to what is
// in use the collector would run all the time. A small heap gets little room, as
// its collections are cheap; a large one as much again.
func memoryGoal(configured int64, use memoryUse) int64 {
	room := min(use.live, max(use.live/4, 2*(use.live-cheapHeap)))
	need := use.other + use.live + room
	return max(configured, (need+memoryStep-1)/memoryStep*memoryStep)
}

// memoryUse is what Go's runtime has taken, in bytes.
type memoryUse struct {
	live  int64 // what the last collection left of the heap
	other int64 // stacks, the runtime's own, and what is unused between objects
}

// inUse asks the runtime.
func inUse() memoryUse {
	samples := []metrics.Sample{
		{Name: "/gc/heap/live:bytes"},
		{Name: "/memory/classes/total:bytes"},
		{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/heap/free:bytes"},
		{Name: "/memory/classes/heap/released:bytes"},
	}
	metrics.Read(samples)
	other := int64(samples[1].Value.Uint64())
	for _, heap := range samples[2:] {
		other -= int64(heap.Value.Uint64())
	}
	return memoryUse{int64(samples[0].Value.Uint64()), other}
}

// limited tells whether the goal is ours to set.
func (a *app) limited() bool { return a.cfg.Dalang.MemoryLimit > 0 && os.Getenv("GOMEMLIMIT") == "" }

func (a *app) limitMemory() {
	if a.limited() {
		debug.SetMemoryLimit(int64(a.cfg.Dalang.MemoryLimit))
	}
}

// followMemory has the collector's goal follow what is in use until ctx ends.
func (a *app) followMemory(ctx context.Context) error {
	if !a.limited() {
		return nil
	}
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	follow(ctx, ticker.C, int64(a.cfg.Dalang.MemoryLimit), inUse, func(goal int64) { debug.SetMemoryLimit(goal) })
	return nil
}

// follow calls set when the goal is another.
func follow(ctx context.Context, tick <-chan time.Time, configured int64, look func() memoryUse, set func(int64)) {
	last := configured
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick:
		}
		if goal := memoryGoal(configured, look()); goal != last {
			set(goal)
			last = goal
		}
	}
}
