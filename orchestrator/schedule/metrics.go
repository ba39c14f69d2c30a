package schedule

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// metrics are the scheduler's.
type metrics struct {
	firings *prometheus.CounterVec // settled, by type and by how
	open    prometheus.Gauge       // claimed and not settled
}

func newMetrics(registerer prometheus.Registerer) *metrics {
	factory := promauto.With(registerer)
	return &metrics{
		firings: factory.NewCounterVec(prometheus.CounterOpts{Name: "dalang_schedule_firings_total",
			Help: "Scheduled jobs that came due, by type and by what came of it: started or refused."}, []string{"type", "result"}),
		open: factory.NewGauge(prometheus.GaugeOpts{Name: "dalang_schedule_open_firings",
			Help: "Scheduled jobs that came due and have neither been started nor refused yet."}),
	}
}
