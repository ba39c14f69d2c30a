package schedule

import "time"

// Grid is when an entry is due: at Start, and with an Interval at every
// Start + k·Interval. Start is UTC with milliseconds; Interval is of whole
// seconds, and 0 for once.
type Grid struct {
	Start    time.Time
	Interval time.Duration
}

// After is the first instant after t, or the zero time if there is none.
func (g Grid) After(t time.Time) time.Time {
	start, step := g.Start.UnixMilli(), g.Interval.Milliseconds()
	switch {
	case t.Before(g.Start):
		return g.Start
	case step <= 0:
		return time.Time{}
	}
	k := (t.UnixMilli()-start)/step + 1
	return time.UnixMilli(start + k*step).UTC()
}

// Last is the last instant that is not after t, or the zero time if there is none.
func (g Grid) Last(t time.Time) time.Time {
	start, step := g.Start.UnixMilli(), g.Interval.Milliseconds()
	switch {
	case t.Before(g.Start):
		return time.Time{}
	case step <= 0:
		return g.Start
	}
	k := (t.UnixMilli() - start) / step
	return time.UnixMilli(start + k*step).UTC()
}

// Fire is what a claim at now, not before the instant due, does: the instant
// that is fired for, and the next one, zero if there is none.
func (g Grid) Fire(due, now time.Time) (instant, next time.Time) {
	instant = g.Last(now)
	if instant.Before(due) { // the grid was changed, and due is not of it
		instant = due
	}
	return instant, g.After(now)
}

// Resume is the next instant after a jump of the clock: now is what it shows,
// due the instant that the last firing was due at, zero if there was none.
func (g Grid) Resume(now, due time.Time) time.Time {
	if due.After(now) {
		now = due
	}
	return g.After(now)
}

// Begin is the next instant of a grid that is new at now: now itself counts.
func (g Grid) Begin(now time.Time) time.Time { return g.After(now.Add(-time.Millisecond)) }
