package pdb

import (
	"math"

	dto "github.com/prometheus/client_model/go"
)

// families are gathered metrics by name.
type families map[string]*dto.MetricFamily

// labels selects metrics: those that have all of these.
type labels map[string]string

func (l labels) match(m *dto.Metric) bool {
	found := 0
	for _, p := range m.GetLabel() {
		if want, ok := l[p.GetName()]; ok {
			if want != p.GetValue() {
				return false
			}
			found++
		}
	}
	return found == len(l)
}

// sum adds up the selected counters or gauges of a family; of histograms it
// adds up the number of observations. An unknown family is zero.
func (f families) sum(name string, l labels) float64 {
	total := 0.0
	for _, m := range f[name].GetMetric() {
		if !l.match(m) {
			continue
		}
		switch {
		case m.Counter != nil:
			total += m.Counter.GetValue()
		case m.Gauge != nil:
			total += m.Gauge.GetValue()
		case m.Untyped != nil:
			total += m.Untyped.GetValue()
		case m.Histogram != nil:
			total += float64(m.Histogram.GetSampleCount())
		}
	}
	return total
}

// values lists the values of a label in a family, each once.
func (f families) values(name, label string) []string {
	var out []string
	seen := map[string]bool{}
	for _, m := range f[name].GetMetric() {
		for _, p := range m.GetLabel() {
			if p.GetName() == label && !seen[p.GetValue()] {
				seen[p.GetValue()] = true
				out = append(out, p.GetValue())
			}
		}
	}
	return out
}

// distribution is what buckets tell of a histogram.
type distribution struct {
	count  float64
	sum    float64
	bounds []float64 // upper bounds, ascending, the last one +Inf
	counts []float64 // observations in each bucket, not cumulative
}

// distribution merges the selected histograms of a family, whose buckets are
// the same, and multiplies values by scale.
func (f families) distribution(name string, l labels, scale float64) distribution {
	var d distribution
	for _, m := range f[name].GetMetric() {
		if m.Histogram != nil && l.match(m) {
			d.add(m.Histogram, scale)
		}
	}
	return d
}

func (d *distribution) add(h *dto.Histogram, scale float64) {
	if d.bounds == nil {
		for _, b := range h.GetBucket() {
			if !math.IsInf(b.GetUpperBound(), 1) {
				d.bounds = append(d.bounds, b.GetUpperBound()*scale)
			}
		}
		d.bounds = append(d.bounds, math.Inf(1))
		d.counts = make([]float64, len(d.bounds))
	}
	before := uint64(0)
	for i, b := range h.GetBucket() {
		if i < len(d.counts)-1 {
			d.counts[i] += float64(b.GetCumulativeCount() - before)
			before = b.GetCumulativeCount()
		}
	}
	d.counts[len(d.counts)-1] += float64(h.GetSampleCount() - before)
	d.count += float64(h.GetSampleCount())
	d.sum += h.GetSampleSum() * scale
}

// edges are the lower and upper end of a bucket. The last bucket has no upper
// end: its lower one stands for it.
func (d distribution) edges(i int) (low, high float64) {
	if i > 0 {
		low = d.bounds[i-1]
	}
	if high = d.bounds[i]; math.IsInf(high, 1) {
		high = low
	}
	return low, high
}

// quantile interpolates within the bucket where it lies.
func (d distribution) quantile(q float64) float64 {
	rank, seen := q*d.count, 0.0
	for i, n := range d.counts {
		if n > 0 && seen+n >= rank {
			low, high := d.edges(i)
			return low + (high-low)*(rank-seen)/n
		}
		seen += n
	}
	return 0
}

func (d distribution) mean() float64 {
	if d.count == 0 {
		return 0
	}
	return d.sum / d.count
}

// stddev takes every observation to lie in the middle of its bucket.
func (d distribution) stddev() float64 {
	if d.count == 0 {
		return 0
	}
	mean, squares := d.mean(), 0.0
	for i, n := range d.counts {
		low, high := d.edges(i)
		off := (low+high)/2 - mean
		squares += n * off * off
	}
	return math.Sqrt(squares / d.count)
}

// least and most are the ends of the outermost buckets that hold anything.
func (d distribution) least() float64 {
	for i, n := range d.counts {
		if n > 0 {
			low, _ := d.edges(i)
			return low
		}
	}
	return 0
}

func (d distribution) most() float64 {
	for i := len(d.counts) - 1; i >= 0; i-- {
		if d.counts[i] > 0 {
			_, high := d.edges(i)
			return high
		}
	}
	return 0
}
