package content

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
)

// cache keeps answers for a while. Who wants what is being asked for already
// waits for that answer. Errors are told to all who wait, and not kept: who
// comes next asks again.
type cache struct {
	keepFor time.Duration
	timeout time.Duration // of asking
	now     func() time.Time

	asking singleflight.Group
	mu     sync.Mutex
	kept   map[string]answer
}

// answer is what was told, and when it was asked for: it may be older than the
// moment it came.
type answer struct {
	value any
	asked time.Time
}

func newCache(keepFor, timeout time.Duration, now func() time.Time) *cache {
	return &cache{keepFor: keepFor, timeout: timeout, now: now, kept: map[string]answer{}}
}

// cached is the answer that is known by a key, or asks for it. What it returns
// is shared: it must not be changed. That the one who asks first goes away is
// nothing to those who wait with him, so ask has the cache's time, not his.
func cached[T any](ctx context.Context, c *cache, key string, ask func(context.Context) (T, error)) (T, error) {
	var none T
	if v, ok := c.look(key); ok {
		return v.(T), nil
	}
	result := c.asking.DoChan(key, func() (any, error) {
		if v, ok := c.look(key); ok { // it came between the two looks
			return v, nil
		}
		asked := c.now()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.timeout)
		defer cancel()
		v, err := ask(ctx)
		if err != nil {
			return nil, err
		}
		c.keep(key, answer{v, asked})
		return v, nil
	})
	select {
	case <-ctx.Done():
		return none, fmt.Errorf("wait for the Puppet Server's answer: %w", context.Cause(ctx))
	case r := <-result:
		if r.Err != nil {
			return none, r.Err
		}
		return r.Val.(T), nil
	}
}

func (c *cache) look(key string) (any, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	a, ok := c.kept[key]
	if !ok || c.old(a) {
		return nil, false
	}
	return a.value, true
}

// old also holds for what was asked in a future that the clock has left.
func (c *cache) old(a answer) bool {
	age := c.now().Sub(a.asked)
	return age < 0 || age >= c.keepFor
}

// keep forgets what is too old, so that there is never more than was asked for
// in keepFor.
func (c *cache) keep(key string, a answer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	maps.DeleteFunc(c.kept, func(_ string, other answer) bool { return c.old(other) })
	c.kept[key] = a
}
