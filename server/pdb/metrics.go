package pdb

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/gorilla/mux"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Population is how much is stored, for upstream's gauges.
type Population struct {
	ActiveNodes, InactiveNodes int64
	Resources                  int64 // of all nodes' catalogs
	ResourcesPerNode           float64
	DuplicateResources         float64 // share of resources that equal another, 0 to 1
}

// MetricsConfig is what NewMetrics needs.
type MetricsConfig struct {
	// Gatherer is the program's registry. Required.
	Gatherer prometheus.Gatherer
	// Population asks the store, which keeps the answer for a while. May be nil.
	Population func(ctx context.Context) (Population, error)
	// Cleaning names the cleanup that runs, "" for none. May be nil.
	Cleaning func() string
	Started  time.Time // default now
	Logger   *slog.Logger
	Now      func() time.Time
}

// Metrics answers /metrics for Prometheus, and tells the same numbers to
// PuppetDB's clients as MBeans under /metrics/v2 (spec commands.md §8.3).
type Metrics struct {
	cfg        MetricsConfig
	prometheus http.Handler

	mu          sync.Mutex // guards both below
	rates       map[string]*rates
	peakThreads int
}

// NewMetrics fills in defaults.
func NewMetrics(cfg MetricsConfig) *Metrics {
	if cfg.Gatherer == nil {
		panic("pdb: Metrics need a Gatherer")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Started.IsZero() {
		cfg.Started = cfg.Now()
	}
	return &Metrics{
		cfg:   cfg,
		rates: map[string]*rates{},
		prometheus: promhttp.HandlerFor(cfg.Gatherer, promhttp.HandlerOpts{
			ErrorLog:           slog.NewLogLogger(cfg.Logger.Handler(), slog.LevelWarn),
			ErrorHandling:      promhttp.ContinueOnError,
			DisableCompression: true, // the front end does it
		}),
	}
}

// Run keeps the moving averages until ctx ends. Without it they are zero.
func (m *Metrics) Run(ctx context.Context) error {
	t := time.NewTicker(tickTime)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
			m.tick()
		}
	}
}

// tick takes every meter's count into its moving averages.
func (m *Metrics) tick() {
	f := m.gather()
	m.mu.Lock()
	defer m.mu.Unlock()
	b := &beanBuilder{families: f, rates: m.rates, uptime: m.cfg.Now().Sub(m.cfg.Started)}
	b.all()
	for id, count := range b.counts {
		r := m.rates[id]
		if r == nil {
			r = &rates{}
			m.rates[id] = r
		}
		r.tick(count)
	}
}

// gather reads the registry. A collector that fails is left out: metrics must
// tell of trouble, not die of it.
func (m *Metrics) gather() families {
	list, err := m.cfg.Gatherer.Gather()
	if err != nil {
		m.cfg.Logger.Warn("some metrics could not be gathered", "error", err)
	}
	f := make(families, len(list))
	for _, mf := range list {
		f[mf.GetName()] = mf
	}
	return f
}

// Prometheus answers /metrics.
func (m *Metrics) Prometheus(w http.ResponseWriter, r *http.Request) error {
	m.prometheus.ServeHTTP(w, r)
	return nil
}

// maxJolokiaBody bounds a bulk request.
const maxJolokiaBody = 1 << 20

// Jolokia answers /metrics/v2. The HTTP status is always 200; what went wrong
// stands in the body, as in Jolokia.
func (m *Metrics) Jolokia(w http.ResponseWriter, r *http.Request) error {
	beans := m.beans(r.Context())
	now := m.cfg.Now()
	w.Header().Set("Cache-Control", "no-cache")
	if r.Method != http.MethodPost {
		return WriteCompact(w, http.StatusOK, jolokiaPath(beans, mux.Vars(r)["path"], r.URL.RawQuery, now))
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxJolokiaBody))
	if err != nil {
		return err
	}
	return WriteCompact(w, http.StatusOK, jolokiaBody(beans, body, r.URL.RawQuery, now))
}

// Dashboard answers the meters of upstream's dashboard.
func (m *Metrics) Dashboard(w http.ResponseWriter, r *http.Request) error {
	return WriteJSON(w, http.StatusOK, dashboard(m.beans(r.Context())))
}

// population asks the store, not for longer than a few seconds. What cannot be
// counted shows as zero: metrics must tell of trouble, not die of it.
func (m *Metrics) population(ctx context.Context) Population {
	if m.cfg.Population == nil {
		return Population{}
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	p, err := m.cfg.Population(ctx)
	if err != nil {
		m.cfg.Logger.Warn("the population could not be counted", "error", err)
	}
	return p
}
