package main

import (
	"context"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestMemoryGoal(t *testing.T) {
	const base = 64 << 20
	require.EqualValues(t, base, memoryGoal(base, memoryUse{}))
	require.EqualValues(t, base, memoryGoal(base, memoryUse{live: 25 << 20, other: 10 << 20}))
	require.EqualValues(t, 68<<20, memoryGoal(base, memoryUse{live: 40 << 20, other: 15 << 20}))
	require.EqualValues(t, 100<<20, memoryGoal(base, memoryUse{live: 50 << 20, other: 20 << 20}))
	require.EqualValues(t, 400<<20, memoryGoal(base, memoryUse{live: 200 << 20}))
}

func TestInUse(t *testing.T) {
	runtime.GC()
	before := inUse()
	require.Positive(t, before.live)
	require.Positive(t, before.other)
	more := make([]byte, 32<<20)
	runtime.GC()
	after := inUse()
	require.InDelta(t, 32<<20, after.live-before.live, 8<<20)
	require.InDelta(t, 0, after.other-before.other, 8<<20)
	runtime.KeepAlive(more)
}

// TestFollow: the goal is set when what is in use has changed much, up and down.
func TestFollow(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	tick, use, over := make(chan time.Time), make(chan memoryUse), make(chan struct{})
	var set []int64
	go func() {
		defer close(over)
		follow(ctx, tick, 64<<20, func() memoryUse { return <-use }, func(goal int64) { set = append(set, goal>>20) })
	}()
	for _, mb := range []int64{10, 40, 100, 101, 102, 103, 600, 50, 10, 10} {
		tick <- time.Time{}
		use <- memoryUse{live: mb << 20}
	}
	cancel()
	<-over
	require.Equal(t, []int64{200, 204, 208, 1200, 80, 64}, set)
}
