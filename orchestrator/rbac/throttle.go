package rbac

import (
	"sync"
	"time"
)

const (
	freeFailures = 5               // in a row, before a login has to wait
	longestWait  = 5 * time.Minute // between two attempts
	rememberFor  = 15 * time.Minute
	maxThrottled = 10_000 // logins that are remembered
)

// throttle makes guessing passwords slow. It treats logins that nobody has
// like others.
type throttle struct {
	mu       sync.Mutex
	failures map[string]failures
}

type failures struct {
	count int
	last  time.Time
}

func newThrottle() *throttle { return &throttle{failures: map[string]failures{}} }

// wait is how long a login has to wait after so many failures.
func (f failures) wait() time.Duration {
	if f.count < freeFailures {
		return 0
	}
	return min(longestWait, time.Second<<min(f.count-freeFailures, 20))
}

// begin counts an attempt as failed until succeed says otherwise, so that
// attempts that run at the same time count too. It answers false when the
// login has to wait; then the attempt does not count.
func (t *throttle) begin(login string, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	f := t.failures[login]
	if now.Sub(f.last) > rememberFor {
		f = failures{}
	}
	if now.Before(f.last.Add(f.wait())) {
		return false
	}
	if _, known := t.failures[login]; !known && len(t.failures) >= maxThrottled {
		t.makeRoom(now)
	}
	t.failures[login] = failures{f.count + 1, now}
	return true
}

// makeRoom forgets what is old, and if nothing is, the oldest.
func (t *throttle) makeRoom(now time.Time) {
	oldest, at := "", now
	for login, f := range t.failures {
		if now.Sub(f.last) > rememberFor {
			delete(t.failures, login)
		} else if !f.last.After(at) {
			oldest, at = login, f.last
		}
	}
	if len(t.failures) >= maxThrottled {
		delete(t.failures, oldest)
	}
}

func (t *throttle) succeed(login string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.failures, login)
}
