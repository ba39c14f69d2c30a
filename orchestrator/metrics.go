package orchestrator

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"dalang/orchestrator/job"
)

// metrics are the engine's metrics.
type metrics struct {
	moves         *prometheus.CounterVec   // nodes that went to a state
	runTime       *prometheus.HistogramVec // from confirmed to ended, by type of job
	commit        prometheus.Histogram     // seconds of one transaction of a turn
	failedCommits prometheus.Counter       // transactions that the database refused
	slots         *prometheus.GaugeVec     // slots taken, by pool
	jobs          *prometheus.GaugeVec     // jobs that have not ended, by state
	jobsEnded     *prometheus.CounterVec   // jobs that have, by state
	waiting       *prometheus.GaugeVec     // nodes that have not ended, by what they wait for
}

func newMetrics(registerer prometheus.Registerer, e *Engine) *metrics {
	factory := promauto.With(registerer)
	m := &metrics{
		moves: factory.NewCounterVec(prometheus.CounterOpts{Name: "dalang_orchestrator_nodes_total",
			Help: "Runs of nodes that went to a state."}, []string{"state"}),
		runTime: factory.NewHistogramVec(prometheus.HistogramOpts{Name: "dalang_orchestrator_run_seconds",
			Help: "Duration of runs, from the agent's confirmation to the end.", Buckets: prometheus.ExponentialBuckets(1, 2, 13)}, []string{"type"}),
		commit: factory.NewHistogram(prometheus.HistogramOpts{Name: "dalang_orchestrator_commit_seconds",
			Help: "Duration of one transaction of changes of jobs.", Buckets: prometheus.ExponentialBuckets(0.0001, 2, 14)}),
		failedCommits: factory.NewCounter(prometheus.CounterOpts{Name: "dalang_orchestrator_failed_commits_total",
			Help: "Transactions of changes of jobs that the database refused."}),
		slots: factory.NewGaugeVec(prometheus.GaugeOpts{Name: "dalang_orchestrator_slots",
			Help: "Slots that are taken, by pool."}, []string{"pool"}),
		jobs: factory.NewGaugeVec(prometheus.GaugeOpts{Name: "dalang_orchestrator_jobs",
			Help: "Jobs that have not ended, by state: ready, running or stopping."}, []string{"state"}),
		jobsEnded: factory.NewCounterVec(prometheus.CounterOpts{Name: "dalang_orchestrator_jobs_ended_total",
			Help: "Jobs that have ended, by state: finished, failed or stopped."}, []string{"state"}),
		waiting: factory.NewGaugeVec(prometheus.GaugeOpts{Name: "dalang_orchestrator_waiting_nodes",
			Help: "Nodes that have not ended, by what they wait for: slot, agent, outcome, or node (one that comes first)."}, []string{"for"}),
	}
	factory.NewGaugeFunc(prometheus.GaugeOpts{Name: "dalang_orchestrator_inbox",
		Help: "What has come in and waits for the engine."}, func() float64 { return float64(e.inbox.len()) })
	return m
}

// look sets the gauges.
func (m *metrics) look(e *Engine) {
	for name, p := range e.pools {
		m.slots.WithLabelValues(name).Set(float64(p.used))
	}
	jobs := map[job.State]int{}
	for _, a := range e.ring {
		jobs[a.State]++
	}
	for _, state := range []job.State{job.Ready, job.Running, job.Stopping} {
		m.jobs.WithLabelValues(string(state)).Set(float64(jobs[state]))
	}
	m.waiting.WithLabelValues("node").Set(float64(e.phases[blocked]))
	m.waiting.WithLabelValues("slot").Set(float64(e.phases[queued]))
	m.waiting.WithLabelValues("agent").Set(float64(e.phases[away]))
	m.waiting.WithLabelValues("outcome").Set(float64(e.phases[sent]))
}
