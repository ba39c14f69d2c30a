// Package store is what Dalang knows: nodes, facts, catalogs, reports. It is
// one SQL implementation over package dialect. One writer applies commands in
// groups; queries read beside it on their own connections. DESIGN.md has the
// tables and what each command costs.
package store

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"dalang/store/dialect"
)

// Config is how a store is opened. Only Path is required.
type Config struct {
	Path       string // the SQLite file
	CacheBytes int    // database page cache; 0: 32 MiB
	WALBytes   int64  // from where on the write-ahead log is made short again; 0: 64 MiB
	Names      int    // names of each kind that are remembered in memory; 0: 50,000

	Blocklist *Blocklist // facts that are not stored

	NodeTTL           time.Duration // silent nodes expire; 0: never
	NodePurgeTTL      time.Duration // dead nodes are deleted; 0: never
	NodePurgeLimit    int           // nodes that one periodic purge deletes; 0: no limit
	ReportTTL         time.Duration
	ResourceEventsTTL time.Duration // 0 with EventsTTLSet: events are not stored
	EventsTTLSet      bool          // false: ResourceEventsTTL is ReportTTL

	GC Intervals // when garbage collection runs

	Logger     *slog.Logger
	Registerer prometheus.Registerer
	Now        func() time.Time
}

func (c Config) withDefaults() (Config, error) {
	if c.Path == "" {
		return c, errors.New("store: Path is required")
	}
	if c.Names == 0 {
		c.Names = 50_000
	}
	if c.WALBytes == 0 {
		c.WALBytes = 64 << 20
	}
	if !c.EventsTTLSet {
		c.ResourceEventsTTL = c.ReportTTL
	}
	if c.ResourceEventsTTL > c.ReportTTL {
		return c, errors.New(`the "database" resource-events-ttl must not be longer than report-ttl`)
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c, nil
}

// Store is safe for concurrent use.
type Store struct {
	cfg     Config
	db      dialect.Dialect
	readers *readers
	log     *slog.Logger
	metrics *storeMetrics

	// mu is held by whoever writes: a batch of commands, a batch of garbage
	// collection, an administrator's deletion. writer is its.
	mu     *fairLock
	writer *writer

	gcMu       sync.Mutex // one garbage collection at a time; taken before mu
	cleaning   activity
	population populationCache

	reportNotes chan struct{} // told after reports were noted for jobs
	walGrew     chan struct{} // told when the write-ahead log has outgrown its bound
}

// Open opens or makes the database and brings its schema up to date.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	db, err := dialect.OpenSQLite(dialect.SQLiteConfig{Path: cfg.Path, CacheBytes: cfg.CacheBytes, LogBytes: cfg.WALBytes})
	if err != nil {
		return nil, err
	}
	if err := migrate(ctx, db); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	s := &Store{cfg: cfg, db: db, readers: newReaders(db.Reader(), db.Reader().Stats().MaxOpenConnections/2), log: cfg.Logger,
		mu: newFairLock(), reportNotes: make(chan struct{}, 1), walGrew: make(chan struct{}, 1)}
	s.metrics = newStoreMetrics(cfg.Registerer, s)
	if s.writer, err = newWriter(ctx, db, cfg); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return s, nil
}

// Close waits for whoever writes, then closes the database.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return errors.Join(s.writer.close(), s.db.Close())
}

// ReadTx runs fn on one read-only connection, in one snapshot. Who waits for a
// connection is served in order of arrival.
func (s *Store) ReadTx(ctx context.Context, fn func(ctx context.Context, conn *sql.Conn) error) error {
	return s.readers.readTx(ctx, fn)
}

func ms(t time.Time) int64 { return t.UnixMilli() }
