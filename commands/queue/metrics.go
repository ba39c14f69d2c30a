package queue

import (
	"bufio"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics of one queue, and its pool of write buffers.
type metrics struct {
	// putSeconds: time to take a command in, from the first byte asked for to
	// the directory synced; slow clients count.
	putSeconds histogram
	// dirSyncs: syncs of the directory of bodies; fewer than Puts when they share.
	dirSyncs prometheus.Counter
	// diskErrors: refusals of the disk by what it was asked to do.
	diskErrors *prometheus.CounterVec
	// available: 1 while commands are accepted, 0 after a disk error until a
	// probe succeeds.
	available prometheus.Gauge
	// foreign: files in the queue's directory whose names say nothing.
	foreign prometheus.Counter

	buffers *sync.Pool // of *bufio.Writer
}

type histogram struct{ prometheus.Histogram }

func (h histogram) observeSince(t time.Time) { h.Observe(time.Since(t).Seconds()) }

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		putSeconds: histogram{prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "dalang_queue_put_seconds",
			Help:    "Time to receive a command and make it durable.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 14),
		})},
		dirSyncs: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "dalang_queue_directory_syncs_total",
			Help: "Syncs of the queue directory; concurrent submissions share them.",
		}),
		diskErrors: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "dalang_queue_disk_errors_total",
			Help: "Operations that the disk of the command queue refused.",
		}, []string{"op"}),
		available: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "dalang_queue_available",
			Help: "1 while the command queue accepts, 0 after a disk error until a probe write succeeds.",
		}),
		foreign: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "dalang_queue_foreign_files_total",
			Help: "Files found in the queue directory at start that are not commands.",
		}),
		buffers: &sync.Pool{New: func() any { return bufio.NewWriterSize(nil, spoolBuffer) }},
	}
	if reg == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.putSeconds, m.dirSyncs, m.diskErrors, m.available, m.foreign} {
		if err := reg.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}
