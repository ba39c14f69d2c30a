package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"golang.org/x/sync/errgroup"

	"dalang/commands"
	"dalang/commands/queue"
	"dalang/dlo"
	"dalang/server"
	"dalang/server/pdb"
	"dalang/store"
	"dalang/store/query"
)

// settings is everything that the program can be told.
type settings struct {
	Data   string
	Listen string

	AllowCleartext bool
	TLS            server.TLSConfig
	Auth           server.AuthConfig

	Commands       commands.Config // the parts that are numbers and switches
	RejectLarge    bool
	MaxCommandSize int64

	Store store.Config
	DLO   dlo.Config
	Query query.Config

	PrettyPrint bool
	Logger      *slog.Logger
}

func defaultSettings() settings {
	const day = 24 * time.Hour
	s := settings{Data: "data", Listen: "127.0.0.1:8080"}
	s.Commands.VerifyChecksum = true
	s.Store = store.Config{
		NodeTTL: 7 * day, NodePurgeTTL: 14 * day, NodePurgeLimit: 25, ReportTTL: 14 * day,
		GC: store.Intervals{ExpireNodes: time.Hour, PurgeNodes: time.Hour, PurgeReports: time.Hour,
			Packages: time.Hour, Catalogs: time.Hour, FactPaths: day},
	}
	return s
}

// app is the program: Run builds its parts, runs them and ends them in order.
type app struct {
	cfg         settings
	log         *slog.Logger
	registry    *prometheus.Registry
	maintenance *pdb.Maintenance
	server      *server.Server
	started     time.Time
}

// newApp checks the settings and makes the server, which does not listen yet.
func newApp(cfg settings) (*app, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	a := &app{cfg: cfg, log: cfg.Logger, registry: prometheus.NewRegistry(), maintenance: &pdb.Maintenance{}, started: time.Now()}
	a.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	a.maintenance.Enter()
	var err error
	a.server, err = server.New(server.Config{
		Listen: cfg.Listen, AllowCleartext: cfg.AllowCleartext, TLS: cfg.TLS, Auth: cfg.Auth, Maintenance: a.maintenance,
		Version: version, Logger: cfg.Logger, Registerer: a.registry, Handlers: a.early(),
	})
	return a, err
}

// early is what answers while the rest is being opened.
func (a *app) early() server.Handlers {
	unknown := func(context.Context) error { return errors.New("starting") }
	return server.Handlers{
		Status: pdb.NewStatus(pdb.StatusConfig{Maintenance: a.maintenance, QueueDepth: func() int { return 0 }, ReadDB: unknown, WriteDB: unknown, Started: a.started}),
	}
}

// Run serves until ctx ends. The order of the end is the reverse of the
// beginning: first nobody is let in and requests in flight are answered, then
// the commands in work are settled, then the store and the queue are closed.
func (a *app) Run(ctx context.Context) (err error) {
	if err := a.server.Listen(); err != nil {
		return err
	}
	serving, stopServing := context.WithCancel(ctx)
	defer stopServing()
	var front errgroup.Group
	front.Go(func() error {
		defer stopServing()
		return a.server.Run(serving)
	})
	parts, err := a.open(ctx)
	if err != nil {
		stopServing()
		return errors.Join(err, front.Wait())
	}
	working, stopWorking := context.WithCancel(context.WithoutCancel(ctx))
	var back errgroup.Group
	back.Go(func() error { return parts.processor.Run(working) })
	back.Go(func() error { return parts.store.RunGC(working) })
	back.Go(func() error { return parts.office.Run(working) })
	a.server.Mount(a.handlers(parts))
	a.maintenance.Leave()
	a.log.Info("ready", "data", a.cfg.Data, "queued", parts.processor.Depth(), "seconds", time.Since(a.started).Seconds())

	err = front.Wait()
	stopWorking()
	err = errors.Join(err, back.Wait(), parts.close())
	a.log.Info("stopped")
	return err
}

// parts is what stands behind the front end.
type parts struct {
	queue     *queue.Queue
	store     *store.Store
	office    *dlo.Office
	processor *commands.Processor
	engine    *query.Engine
}

func (p *parts) close() error {
	var errs []error
	if p.store != nil {
		errs = append(errs, p.store.Close())
	}
	if p.queue != nil {
		errs = append(errs, p.queue.Close())
	}
	return errors.Join(errs...)
}

// open opens the data directory: the queue first, whose lock keeps a second
// server away from everything else.
func (a *app) open(ctx context.Context) (_ *parts, err error) {
	p := &parts{}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.close())
		}
	}()
	if err := os.MkdirAll(a.cfg.Data, 0o750); err != nil {
		return nil, fmt.Errorf("make the data directory: %w", err)
	}
	q, loaded, err := queue.Open(queue.Config{Dir: filepath.Join(a.cfg.Data, "stockpile", "cmd"), Logger: a.log, Registerer: a.registry})
	if err != nil {
		return nil, err
	}
	p.queue = q
	storeConfig := a.cfg.Store
	storeConfig.Path = filepath.Join(a.cfg.Data, "dalang.db")
	storeConfig.Logger, storeConfig.Registerer = a.log, a.registry
	if p.store, err = store.Open(ctx, storeConfig); err != nil {
		return nil, err
	}
	office := a.cfg.DLO
	office.Dir, office.Imported = filepath.Join(a.cfg.Data, "mq", "discarded"), filepath.Join(a.cfg.Data, "stockpile", "discard")
	office.UUID, office.Version, office.Logger, office.Registerer = q.UUID, version, a.log, a.registry
	if p.office, err = dlo.Open(office); err != nil {
		return nil, err
	}
	work := a.cfg.Commands
	work.Queue, work.Store, work.DeadLetters = q, p.store, p.office
	work.Logger, work.Registerer = a.log, a.registry
	if p.processor, err = commands.New(work, loaded); err != nil {
		return nil, err
	}
	engine := a.cfg.Query
	engine.DB, engine.Logger, engine.Registerer, engine.NodePurgeTTL = p.store, a.log, a.registry, a.cfg.Store.NodePurgeTTL
	p.engine, err = query.New(engine)
	return p, err
}

// handlers answers everything.
func (a *app) handlers(p *parts) server.Handlers {
	return server.Handlers{
		Commands: pdb.NewCommands(pdb.CommandsConfig{Processor: p.processor, Discarded: p.office.FindDiscarded,
			RejectLarge: a.cfg.RejectLarge, MaxCommandSize: a.cfg.MaxCommandSize, Logger: a.log, Registerer: a.registry}),
		Admin: pdb.NewAdmin(janitor{p.store}, "", a.log),
		Meta:  pdb.NewMeta("", nil),
		Status: pdb.NewStatus(pdb.StatusConfig{Maintenance: a.maintenance, QueueDepth: p.processor.Depth,
			ReadDB: p.store.ProbeRead, WriteDB: func(context.Context) error { return p.processor.StoreErr() },
			Alerts: func() []string { return alerts(p) }, Started: a.started}),
		Metrics: pdb.NewMetrics(pdb.MetricsConfig{Gatherer: a.registry, Population: janitor{p.store}.Population,
			Cleaning: p.store.Cleaning, Started: a.started, Logger: a.log}),
		More: []server.Router{
			pdb.NewQueries(pdb.QueryConfig{Engine: p.engine, Pretty: a.cfg.PrettyPrint}),
			pdb.NewDLO(p.office, p.processor),
		},
	}
}

// alerts is what an operator should know although the server runs.
func alerts(p *parts) []string {
	var lines []string
	if err := p.queue.Available(); err != nil {
		lines = append(lines, "commands are not accepted: "+err.Error())
	}
	if err := p.processor.StoreErr(); err != nil {
		lines = append(lines, "the store does not take commands: "+err.Error())
	}
	return lines
}

// janitor is the store as the admin API wants it.
type janitor struct{ *store.Store }

func (j janitor) Clean(ctx context.Context, ops []pdb.CleanOp) error {
	wanted := make([]store.CleanOp, len(ops))
	for i, op := range ops {
		wanted[i] = store.CleanOp(op)
	}
	err := j.Store.Clean(ctx, wanted)
	if errors.Is(err, store.ErrBusy) {
		return pdb.ErrCleaning
	}
	return err
}

func (j janitor) Population(ctx context.Context) (pdb.Population, error) {
	p, err := j.Store.Population(ctx)
	return pdb.Population(p), err
}
