package commands

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"dalang/commands/queue"
	"dalang/wireformat"
)

// processorMetrics are the metrics of a command's life. Labels are the command
// and its version, never the certname; see versionLabel.
type processorMetrics struct {
	received   *prometheus.CounterVec   // commands that are durable
	finished   *prometheus.CounterVec   // commands that left the queue, by outcome
	retries    *prometheus.CounterVec   // tries that failed by the world's fault
	queued     *prometheus.GaugeVec     // commands in the queue, those in work included
	size       *prometheus.HistogramVec // bytes of a body on disk
	queueTime  *prometheus.HistogramVec // seconds from receipt to the first try
	processing *prometheus.HistogramVec // seconds of the last try
	attempts   *prometheus.HistogramVec // tries before the last one
	cacheHits  prometheus.Counter       // bodies that need not be decompressed again
	cacheMiss  prometheus.Counter       // bodies that were read from the queue
}

func newMetrics(registerer prometheus.Registerer, p *Processor) *processorMetrics {
	factory := promauto.With(registerer)
	kind := []string{"command", "version"}
	m := &processorMetrics{
		received: factory.NewCounterVec(prometheus.CounterOpts{Name: "dalang_commands_received_total",
			Help: "Commands that were made durable."}, kind),
		finished: factory.NewCounterVec(prometheus.CounterOpts{Name: "dalang_commands_finished_total",
			Help: "Commands that left the queue, by outcome."}, append(kind, "outcome")),
		retries: factory.NewCounterVec(prometheus.CounterOpts{Name: "dalang_commands_retries_total",
			Help: "Tries that failed through no fault of the command."}, kind),
		queued: factory.NewGaugeVec(prometheus.GaugeOpts{Name: "dalang_commands_queued",
			Help: "Commands in the queue, those in work included."}, kind),
		size: factory.NewHistogramVec(prometheus.HistogramOpts{Name: "dalang_commands_size_bytes",
			Help: "Size of accepted bodies on disk.", Buckets: prometheus.ExponentialBuckets(256, 4, 10)}, kind),
		queueTime: factory.NewHistogramVec(prometheus.HistogramOpts{Name: "dalang_commands_queue_seconds",
			Help: "Time from receipt to the first try.", Buckets: prometheus.ExponentialBuckets(0.001, 4, 12)}, kind),
		processing: factory.NewHistogramVec(prometheus.HistogramOpts{Name: "dalang_commands_processing_seconds",
			Help: "Duration of the last try, its wait for the commit included.", Buckets: prometheus.ExponentialBuckets(0.0005, 2, 14)}, kind),
		attempts: factory.NewHistogramVec(prometheus.HistogramOpts{Name: "dalang_commands_attempts",
			Help: "Tries before the last one.", Buckets: []float64{0, 1, 2, 5, 10, 50}}, kind),
		cacheHits: factory.NewCounter(prometheus.CounterOpts{Name: "dalang_commands_cache_hits_total",
			Help: "Bodies that were still decompressed in memory when their turn came."}),
		cacheMiss: factory.NewCounter(prometheus.CounterOpts{Name: "dalang_commands_cache_misses_total",
			Help: "Bodies that were read from the queue."}),
	}
	factory.NewGaugeFunc(prometheus.GaugeOpts{Name: "dalang_commands_retrying",
		Help: "Commands that wait for another try."}, func() float64 { _, n := p.pending.depth(); return float64(n) })
	factory.NewGaugeFunc(prometheus.GaugeOpts{Name: "dalang_commands_oldest_queued_seconds",
		Help: "Age of the oldest command in the queue; 0 when it is empty."}, func() float64 {
		if at, ok := p.OldestQueued(); ok {
			return max(0, p.cfg.Now().Sub(at).Seconds())
		}
		return 0
	})
	return m
}

// versionLabel is the version, or "other" for one that nobody knows: a
// submission may carry any number, and clients must not make labels.
func versionLabel(m queue.Meta) string {
	v, ok := wireformat.Lookup(string(m.Command))
	if !ok || m.Version < v.Oldest || m.Version > v.Latest {
		return "other"
	}
	return strconv.Itoa(m.Version)
}

func seconds(d time.Duration) float64 { return max(0, d.Seconds()) }
