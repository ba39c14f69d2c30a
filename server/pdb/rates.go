package pdb

import (
	"math"
	"time"
)

// tickTime is how often moving averages take in what was counted, as in
// Codahale's metrics, whose values upstream's clients read.
const tickTime = 5 * time.Second

// rates are the moving averages of one counter, in events per second.
type rates struct {
	last    float64 // count at the last tick
	started bool
	average [3]float64 // over 1, 5 and 15 minutes
}

var windows = [3]time.Duration{time.Minute, 5 * time.Minute, 15 * time.Minute}

// tick takes in the count of tickTime.
func (r *rates) tick(count float64) {
	now := (count - r.last) / tickTime.Seconds()
	if count < r.last {
		now = 0
	}
	r.last = count
	for i, w := range windows {
		if !r.started {
			r.average[i] = now
			continue
		}
		alpha := 1 - math.Exp(-tickTime.Seconds()/w.Seconds())
		r.average[i] += alpha * (now - r.average[i])
	}
	r.started = true
}
