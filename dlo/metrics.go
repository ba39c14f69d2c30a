package dlo

import (
	"github.com/prometheus/client_golang/prometheus"

	"dalang/wireformat"
)

// metrics of an office, all by command (its name with spaces) and cause.
type metrics struct {
	// messages and bytes: what lies in the office now; bytes are of bodies.
	messages, bytes *prometheus.GaugeVec
	// discarded: letters taken in since the start.
	discarded *prometheus.CounterVec
	// replayed: letters that went back into the queue since the start.
	replayed *prometheus.CounterVec
	// pruned: letters deleted since the start, by hand, quota or age.
	pruned *prometheus.CounterVec
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	labels := []string{"command", "cause"}
	gauge := func(name, help string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels)
	}
	counter := func(name, help string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	m := &metrics{
		messages:  gauge("dalang_dlo_messages", "Commands in the dead letter office."),
		bytes:     gauge("dalang_dlo_bytes", "Bytes of the bodies in the dead letter office."),
		discarded: counter("dalang_dlo_discarded_total", "Commands taken into the dead letter office."),
		replayed:  counter("dalang_dlo_replayed_total", "Commands put back into the queue from the dead letter office."),
		pruned:    counter("dalang_dlo_pruned_total", "Commands deleted from the dead letter office."),
	}
	if reg == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.messages, m.bytes, m.discarded, m.replayed, m.pruned} {
		if err := reg.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// count adds n letters (or takes them away) of size bytes in all.
func (m *metrics) count(c wireformat.Command, cause string, n int, size int64) {
	m.messages.WithLabelValues(string(c), cause).Add(float64(n))
	m.bytes.WithLabelValues(string(c), cause).Add(float64(size))
}
