package pxp

import "github.com/prometheus/client_golang/prometheus"

// metrics of a controller.
type metrics struct {
	// requests that were sent, the repeated ones included.
	requests prometheus.Counter
	// resent requests.
	resent prometheus.Counter
	// answers to questions for the status: running, success, failure, unknown,
	// none.
	answers *prometheus.CounterVec
	// ignored messages, by reason: type, data, unknown (transaction), foreign.
	ignored *prometheus.CounterVec
}

func newMetrics(reg prometheus.Registerer, c *Controller) (*metrics, error) {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	counters := func(name, help, label string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{label})
	}
	m := &metrics{
		requests: counter("dalang_pxp_requests_total", "Requests sent to agents, repeated ones included."),
		resent:   counter("dalang_pxp_resent_total", "Requests sent to agents once more."),
		answers:  counters("dalang_pxp_status_total", "Answers of agents to questions for the status of a run, by status.", "status"),
		ignored:  counters("dalang_pxp_ignored_total", "Messages of agents that nobody waits for, by reason.", "reason"),
	}
	if reg == nil {
		return m, nil
	}
	open := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "dalang_pxp_transactions",
		Help: "Runs that agents have or are about to have.",
	}, func() float64 {
		c.mu.Lock()
		defer c.mu.Unlock()
		return float64(len(c.transactions))
	})
	for _, one := range []prometheus.Collector{m.requests, m.resent, m.answers, m.ignored, open} {
		if err := reg.Register(one); err != nil {
			return nil, err
		}
	}
	return m, nil
}
