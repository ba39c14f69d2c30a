package store

import (
	"context"
	"database/sql"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// storeMetrics are the store's metrics.
type storeMetrics struct {
	batchSize         prometheus.Histogram     // commands in one transaction
	batchTime         prometheus.Histogram     // seconds of one transaction, its sync included
	failedBatches     prometheus.Counter       // transactions that the database refused
	applyTime         *prometheus.HistogramVec // seconds of one command in its transaction, by command
	newCatalogs       prometheus.Counter       // catalogs that differ from the stored one
	duplicateCatalogs prometheus.Counter       // catalogs equal to the stored one
	gcTime            *prometheus.HistogramVec // seconds of one kind of cleanup
	gcStep            prometheus.Histogram     // seconds for which one step of a cleanup held the writer
	gcDone            *prometheus.CounterVec   // rows that cleanups looked at or deleted, by kind
	walShortened      *prometheus.CounterVec   // attempts to shorten the write-ahead log, by how they ended
}

func newStoreMetrics(registerer prometheus.Registerer, s *Store) *storeMetrics {
	factory := promauto.With(registerer)
	fine := prometheus.ExponentialBuckets(0.0001, 2, 14)
	m := &storeMetrics{
		batchSize: factory.NewHistogram(prometheus.HistogramOpts{Name: "dalang_store_batch_commands",
			Help: "Commands applied in one transaction.", Buckets: prometheus.ExponentialBuckets(1, 2, 10)}),
		batchTime: factory.NewHistogram(prometheus.HistogramOpts{Name: "dalang_store_batch_seconds",
			Help: "Duration of one transaction of commands, its sync included.", Buckets: fine}),
		failedBatches: factory.NewCounter(prometheus.CounterOpts{Name: "dalang_store_failed_batches_total",
			Help: "Transactions of commands that the database refused."}),
		applyTime: factory.NewHistogramVec(prometheus.HistogramOpts{Name: "dalang_store_apply_seconds",
			Help: "Duration of one command within its transaction.", Buckets: fine}, []string{"command"}),
		newCatalogs: factory.NewCounter(prometheus.CounterOpts{Name: "dalang_store_new_catalogs_total",
			Help: "Catalogs that differ from the stored one."}),
		duplicateCatalogs: factory.NewCounter(prometheus.CounterOpts{Name: "dalang_store_duplicate_catalogs_total",
			Help: "Catalogs equal to the stored one."}),
		gcTime: factory.NewHistogramVec(prometheus.HistogramOpts{Name: "dalang_store_gc_seconds",
			Help: "Duration of one garbage collection.", Buckets: prometheus.ExponentialBuckets(0.001, 4, 10)}, []string{"operation"}),
		gcStep: factory.NewHistogram(prometheus.HistogramOpts{Name: "dalang_store_gc_step_seconds",
			Help: "Time for which one step of garbage collection held the writer.", Buckets: fine}),
		gcDone: factory.NewCounterVec(prometheus.CounterOpts{Name: "dalang_store_gc_rows_total",
			Help: "Rows that garbage collection dealt with."}, []string{"operation"}),
	}
	m.walShortened = factory.NewCounterVec(prometheus.CounterOpts{Name: "dalang_store_wal_shortened_total",
		Help: "Attempts to shorten the write-ahead log, by how they ended (done, in vain: somebody read for too long)."}, []string{"result"})
	for part, help := range map[string]string{"database": "Bytes of the database file.", "wal": "Bytes of the write-ahead log."} {
		factory.NewGaugeFunc(prometheus.GaugeOpts{Name: "dalang_store_" + part + "_bytes", Help: help},
			func() float64 { return float64(s.db.Sizes(context.Background())[part]) })
	}
	for name, pool := range map[string]*sql.DB{"read": s.db.Reader(), "write": s.db.Writer()} {
		label := prometheus.Labels{"pool": name}
		factory.NewGaugeFunc(prometheus.GaugeOpts{Name: "dalang_store_connections", Help: "Open connections, by pool.", ConstLabels: label},
			func() float64 { return float64(pool.Stats().OpenConnections) })
		factory.NewGaugeFunc(prometheus.GaugeOpts{Name: "dalang_store_connections_in_use", Help: "Connections that somebody holds, by pool.", ConstLabels: label},
			func() float64 { return float64(pool.Stats().InUse) })
		factory.NewGaugeFunc(prometheus.GaugeOpts{Name: "dalang_store_connections_max", Help: "Connections that there may be, by pool.", ConstLabels: label},
			func() float64 { return float64(pool.Stats().MaxOpenConnections) })
	}
	return m
}
