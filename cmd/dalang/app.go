package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"golang.org/x/sync/errgroup"

	"dalang/cmd/internal/config"
	"dalang/commands"
	"dalang/commands/queue"
	"dalang/dlo"
	"dalang/server"
	"dalang/server/pdb"
	"dalang/store"
	"dalang/store/query"
)

// app is the program: everything that runs, and the order in which it starts
// and stops. What is below maintenance is there once open has returned.
type app struct {
	cfg         *config.Config
	log         *slog.Logger
	started     time.Time
	registry    *prometheus.Registry
	maintenance *pdb.Maintenance
	server      *server.Server

	queue     *queue.Queue
	office    *dlo.Office
	store     *store.Store
	processor *commands.Processor
	metrics   *pdb.Metrics

	orchestration *orchestration
	opened        atomic.Pointer[orchestration] // the same, for reload, which comes at any time
}

// newApp reads what the front end needs (certificates, allowlists) and touches
// no data.
func newApp(cfg *config.Config, log *slog.Logger) (*app, error) {
	a := &app{cfg: cfg, log: log, started: time.Now(), registry: prometheus.NewRegistry(), maintenance: &pdb.Maintenance{}}
	a.registry.MustRegister(collectors.NewGoCollector(), collectors.NewBuildInfoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	a.maintenance.Enter()
	var err error
	a.server, err = server.New(server.Config{
		Listen: cfg.Dalang.Listen, AllowCleartext: cfg.Dalang.AllowCleartext,
		TLS: server.TLSConfig{
			Listen: cfg.Dalang.TLSListen, Cert: cfg.Jetty.SSLCert, Key: cfg.Jetty.SSLKey, CA: cfg.Jetty.SSLCACert,
			CRL: cfg.Jetty.SSLCRLPath, ClientAuth: cfg.Jetty.ClientAuth,
			Protocols: cfg.Jetty.SSLProtocols, Ciphers: cfg.Jetty.CipherSuites,
		},
		Auth: server.AuthConfig{
			Allowlist:  cfg.PuppetDB.CertificateAllowlist,
			Submitters: cfg.Dalang.Submitters, Readers: cfg.Dalang.Readers, Admins: cfg.Dalang.Admins,
			OpenMetrics: cfg.Dalang.OpenMetrics,
		},
		More: listeners(cfg),
		Handlers: server.Handlers{
			Meta:    pdb.NewMeta("", nil),
			Status:  pdb.NewStatus(pdb.StatusConfig{Maintenance: a.maintenance, More: services(nil), Started: a.started}),
			Metrics: pdb.NewMetrics(pdb.MetricsConfig{Gatherer: a.registry, Started: a.started, Logger: log}),
		},
		Maintenance:     a.maintenance,
		MaxHeaderBytes:  int(cfg.Jetty.RequestHeaderMaxSize),
		HandshakeRate:   cfg.Dalang.HandshakeRate,
		ShutdownTimeout: time.Duration(cfg.Dalang.ShutdownTimeout),
		Version:         buildInfo().Version,
		Logger:          log, Registerer: a.registry,
	})
	return a, err
}

// Run serves until ctx ends, or until something fails that everything depends
// on. It answers at once, in maintenance mode, and opens the data meanwhile.
// When the front end has stopped (no new connections; requests in flight
// finish, and everything still works for those that wait for it), the rest
// stops in the order of stages; the database, which nobody uses any more, the
// queue and its lock are the last.
func (a *app) Run(ctx context.Context) error {
	a.limitMemory()
	if err := a.server.Listen(); err != nil {
		return err
	}
	front, stopFront := context.WithCancelCause(ctx)
	defer stopFront(nil)
	serving := make(chan error, 1)
	go func() { serving <- a.server.Run(front) }()

	var running []*stage
	opening := a.open(ctx)
	if opening != nil {
		stopFront(fmt.Errorf("open the data in %s: %w", a.cfg.Dalang.Data, opening))
	} else {
		running = a.stages()
		for _, s := range running {
			s.start(ctx, stopFront)
		}
		a.maintenance.Leave()
		a.tell(notifyReady)
		a.log.Info("ready", "data", a.cfg.Dalang.Data, "queued", a.processor.Depth(), "after", time.Since(a.started))
	}

	select {
	case <-front.Done(): // the front end begins to stop
	case err := <-serving:
		serving <- err
	}
	if opening == nil {
		a.tell(notifyStopping)
		a.log.Info("stopping")
	}
	err := <-serving
	for _, s := range running {
		s.stop()
	}
	err = errors.Join(err, failure(ctx, front), a.close())
	if err != nil {
		a.log.Error("stopped", "error", err)
		return &toldError{err}
	}
	a.log.Info("stopped")
	return nil
}

// stages are what runs behind the front end, in THE shutdown order.
func (a *app) stages() []*stage {
	o := a.orchestration
	all := []*stage{
		// Commands in work are settled, the rest stays queued.
		{services: []service{{"processor", a.processor.Run}}},
		// Schedules fire no more; what is being started is, or waits for the next life.
		{services: []service{{"scheduler", o.scheduler.Run}}},
		// Plans are interrupted; the jobs that they made go on.
		{services: []service{{"plans", o.plans.Run}}},
		// The engine takes note of the last reports and starts no more nodes.
		{services: []service{{"orchestrator", o.engine.Run}}},
	}
	if o.broker != nil {
		// Agents are sent away when nobody has to hear them any more.
		all = append(all, &stage{services: []service{{"controller of agents", o.pxp.Run}}}, &stage{services: []service{
			{"broker", o.broker.Run},
		}})
	}
	// What runs on nodes without an agent is ended, and cleaned up there.
	all = append(all, &stage{services: []service{{"agentless runs", o.runRemotes}, {"usage", a.noteUsage}}})
	return append(all, &stage{services: []service{
		{"garbage collection", a.store.RunGC}, {"dead letter office", a.office.Run}, {"metrics", a.metrics.Run}, {"memory goal", a.followMemory},
	}})
}

// service is something that runs until its context ends. An error is why
// nothing can go on.
type service struct {
	name string
	run  func(context.Context) error
}

// stage is services that stop together.
type stage struct {
	services []service
	cancel   context.CancelFunc
	group    errgroup.Group
}

// start runs the services until stop. Whoever fails tells fail, which brings
// the front end down; the rest follows.
func (s *stage) start(ctx context.Context, fail context.CancelCauseFunc) {
	ctx, s.cancel = context.WithCancel(context.WithoutCancel(ctx))
	for _, one := range s.services {
		s.group.Go(func() error {
			if err := one.run(ctx); err != nil {
				fail(fmt.Errorf("%s: %w", one.name, err))
			}
			return nil // told as the front end's cause
		})
	}
}

func (s *stage) stop() {
	s.cancel()
	_ = s.group.Wait()
}

// failure is why the front end stopped, nil when it was asked to.
func failure(asked, front context.Context) error {
	if asked.Err() != nil {
		return nil
	}
	return context.Cause(front)
}

// reload reads the allowlists again. On an error the old ones stay in force.
func (a *app) reload() error {
	err := a.server.Reload()
	if o := a.opened.Load(); o != nil {
		err = errors.Join(err, o.reload())
	}
	return err
}

// close releases the data. Nobody uses it any more.
func (a *app) close() error {
	var errs []error
	if a.store != nil {
		errs = append(errs, a.store.Close())
	}
	if a.queue != nil {
		errs = append(errs, a.queue.Close())
	}
	return errors.Join(errs...)
}

// open opens the data directory and mounts the routes that use it. What it has
// opened when it fails, close closes.
func (a *app) open(ctx context.Context) error {
	c, data := a.cfg, a.cfg.Dalang.Data
	if err := os.MkdirAll(data, 0o750); err != nil {
		return err
	}
	// The queue comes first: its lock keeps a second Dalang out.
	q, queued, err := queue.Open(queue.Config{Dir: filepath.Join(data, "stockpile", "cmd"), Logger: a.log, Registerer: a.registry, RemoveAfter: time.Second})
	if err != nil {
		return err
	}
	a.queue = q
	if a.office, err = dlo.Open(dlo.Config{
		Dir: filepath.Join(data, "mq", "discarded"), Imported: filepath.Join(data, "stockpile", "discard"),
		MaxBytes: int64(c.DLO.MaxBytes), MaxAge: time.Duration(c.DLO.MaxAge), MaxBody: int64(c.Dalang.MaxBody),
		RememberReplayed: never(c.Queue.RememberCount),
		UUID:             q.UUID, Version: buildInfo().Version, Logger: a.log, Registerer: a.registry,
	}); err != nil {
		return err
	}
	if err := a.openStore(ctx); err != nil {
		return err
	}
	cache := int64(c.Queue.Cache)
	if cache == 0 {
		cache = -1 // 0 is the default there
	}
	if a.processor, err = commands.New(commands.Config{
		Queue: q, Store: a.store, DeadLetters: a.office,
		Threads: c.CommandProcessing.Threads, MaxQueued: c.Developer.MaxEnqueued,
		BatchCommands: c.Queue.BatchCommands, BatchBytes: int64(c.Queue.BatchBytes), CacheBytes: cache,
		MaxBody: int64(c.Dalang.MaxBody), RejectLarge: c.CommandProcessing.RejectLargeCommands,
		VerifyChecksum: c.Dalang.VerifyChecksum,
		RememberFor:    forever(c.Queue.RememberFor), RememberCount: c.Queue.RememberCount,
		DrainTime: time.Duration(c.Queue.DrainTime), Logger: a.log, Registerer: a.registry,
	}, queued); err != nil {
		return err
	}
	return a.mount(ctx)
}

// listeners are those that serve some paths only.
func listeners(c *config.Config) (more []server.Listener) {
	if c.Orchestrator.Listen != "" {
		more = append(more, server.Listener{Name: "orchestrator", Listen: c.Orchestrator.Listen,
			Paths: []string{"/orchestrator", "/inventory", "/rbac-api", "/classifier-api", "/status", "/puppet"}})
	}
	if c.PCP.Listen != "" {
		more = append(more, server.Listener{Name: "pcp", Listen: c.PCP.Listen, Paths: []string{"/pcp", "/pcp2", "/status", "/puppet"}})
	}
	return more
}

// forever turns 0, never, into what packages take for it.
func forever(d config.Duration) time.Duration {
	if d == 0 {
		return -1
	}
	return time.Duration(d)
}

// never turns 0, none, into what packages take for it.
func never(n int) int {
	if n == 0 {
		return -1
	}
	return n
}

func (a *app) openStore(ctx context.Context) error {
	d := a.cfg.Database
	blocklist, err := store.NewBlocklist(d.FactsBlocklist, d.FactsBlocklistType)
	if err != nil {
		return &usageError{err}
	}
	path := a.cfg.Store.Path
	if path == "" {
		path = filepath.Join(a.cfg.Dalang.Data, "dalang.db")
	}
	a.store, err = store.Open(ctx, store.Config{
		Path: path, CacheBytes: int(a.cfg.Store.Cache), Names: a.cfg.Store.Names, Blocklist: blocklist,
		NodeTTL: time.Duration(d.NodeTTL), NodePurgeTTL: time.Duration(d.NodePurgeTTL), NodePurgeLimit: d.NodePurgeGCBatchLimit,
		ReportTTL: time.Duration(d.ReportTTL), ResourceEventsTTL: time.Duration(d.ResourceEventsTTL), EventsTTLSet: true,
		GC: store.Intervals{
			ExpireNodes: d.GCIntervalExpireNodes.Duration(), PurgeNodes: d.GCIntervalPurgeNodes.Duration(),
			PurgeReports: d.GCIntervalPurgeReports.Duration(), Packages: d.GCIntervalPackages.Duration(),
			Catalogs: d.GCIntervalCatalogs.Duration(), FactPaths: d.GCIntervalFactPaths.Duration(),
		},
		Logger: a.log, Registerer: a.registry,
	})
	return err
}

// mount puts everything behind the front end.
func (a *app) mount(ctx context.Context) error {
	c := a.cfg
	engine, err := query.New(query.Config{
		DB: a.store, Logger: a.log, Registerer: a.registry, NodePurgeTTL: time.Duration(c.Database.NodePurgeTTL),
		AllReportTypes: !c.PuppetDB.AddAgentReportFilter,
		TimeoutDefault: c.PuppetDB.QueryTimeoutDefault.Timeout(), TimeoutMax: c.PuppetDB.QueryTimeoutMax.Duration(),
		MaxConcurrent: c.Query.MaxConcurrent, SpoolDir: c.Dalang.Data, SlowQuery: forever(c.Query.Slow), LogQueries: c.PuppetDB.LogQueries,
	})
	if err != nil {
		return err
	}
	a.metrics = pdb.NewMetrics(pdb.MetricsConfig{
		Gatherer: a.registry, Population: a.population, Cleaning: a.store.Cleaning, Started: a.started, Logger: a.log,
	})
	if err := a.openOrchestrator(ctx, engine); err != nil {
		return err
	}
	a.server.Mount(server.Handlers{
		Commands: pdb.NewCommands(pdb.CommandsConfig{
			Processor: a.processor, Discarded: a.office.FindDiscarded, Replayed: a.office.ReplayedAs,
			RejectLarge: c.CommandProcessing.RejectLargeCommands, MaxCommandSize: int64(c.CommandProcessing.MaxCommandSize),
			MaxOldFormat: int64(c.Dalang.MaxOldFormat), Logger: a.log, Registerer: a.registry,
		}),
		Admin: pdb.NewAdmin(janitor{a.store}, "", a.log),
		Meta:  pdb.NewMeta("", nil),
		Status: pdb.NewStatus(pdb.StatusConfig{
			Maintenance: a.maintenance, QueueDepth: a.processor.Depth, ReadDB: a.store.ProbeRead, WriteDB: a.writable,
			Alerts: a.alerts, More: services(a.orchestration), Started: a.started,
		}),
		Metrics: a.metrics,
		More: []server.Router{
			pdb.NewQueries(pdb.QueryConfig{Engine: engine, Pretty: c.Developer.PrettyPrint}),
			pdb.NewDLO(a.office, a.processor),
		},
		Orchestrator: a.orchestration.companions(), Broker: a.orchestration.handler(), Files: a.orchestration.files,
	})
	return nil
}
