package main

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestMemoryGoal(t *testing.T) {
	const base = 64 << 20
	require.EqualValues(t, base, memoryGoal(base, 0))
	require.EqualValues(t, base+64*agentMemory, memoryGoal(base, 1))
	require.EqualValues(t, base+64*agentMemory, memoryGoal(base, 64))
	require.EqualValues(t, base+128*agentMemory, memoryGoal(base, 65))
	require.Less(t, memoryGoal(base, 10_000), int64(1<<30))
}

// TestFollow: the goal is set when the number of agents has changed much, up and down.
func TestFollow(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	tick, over := make(chan time.Time), make(chan struct{})
	var agents atomic.Int64
	var set []int
	go func() {
		defer close(over)
		follow(ctx, tick, func() int { return int(agents.Load()) }, func(n int) { set = append(set, n) })
	}()
	for _, n := range []int{0, 1, 2, 64, 65, 10_000, 10_000, 9_990, 30, 0, 0} {
		agents.Store(int64(n))
		tick <- time.Time{}
		tick <- time.Time{} // the first has been done
	}
	cancel()
	<-over
	require.Equal(t, []int{1, 65, 10_000, 30, 0}, set)
}
