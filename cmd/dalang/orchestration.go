package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"dalang/cmd/internal/config"
	"dalang/orchestrator"
	"dalang/orchestrator/broker"
	"dalang/orchestrator/classifier"
	"dalang/orchestrator/environments"
	"dalang/orchestrator/job"
	"dalang/orchestrator/pcp"
	"dalang/orchestrator/planjob"
	"dalang/orchestrator/pxp"
	"dalang/orchestrator/rbac"
	"dalang/orchestrator/schedule"
	"dalang/server"
	"dalang/server/orch"
	"dalang/server/pdb"
	"dalang/store/query"
)

// orchestration is what runs jobs.
type orchestration struct {
	access *rbac.Access
	auth   *orch.Auth
	groups *classifier.Classifier // nil: another server's
	engine *orchestrator.Engine
	broker *broker.Broker  // nil: no TLS listener, so no agents
	pxp    *pxp.Controller // of the broker
	api    *orch.API
	*tasking

	queries   *orchestrator.Queries
	plans     *planjob.Service
	scheduler *schedule.Scheduler
}

// openOrchestrator makes what runs jobs, over the open store.
func (a *app) openOrchestrator(ctx context.Context, queries *query.Engine) error {
	querier := orchestrator.NewQuerier(queries)
	o := &orchestration{queries: querier}
	groups, err := a.newGroups(ctx, o, querier)
	if err != nil {
		return err
	}
	if o.access, err = a.newAccess(groups); err != nil {
		return err
	}
	o.auth = orch.NewAuth(o.access)
	known, err := a.newEnvironments(querier)
	if err != nil {
		return err
	}
	scopes, err := orchestrator.NewScopes(orchestrator.ScopesConfig{
		Querier: querier, Groups: groups, Environments: known, Applications: known, Logger: a.log,
	})
	if err != nil {
		return err
	}
	if o.tasking, err = a.newTasking(); err != nil {
		return err
	}
	if o.engine, err = a.newEngine(scopes, o.tasking); err != nil {
		return err
	}
	if err := a.addTransports(o); err != nil {
		return err
	}
	if o.plans, err = a.newPlans(o, scopes); err != nil {
		return err
	}
	if o.scheduler, err = a.newScheduler(o); err != nil {
		return err
	}
	if err := a.newOrchestratorAPI(o, known); err != nil {
		return err
	}
	a.orchestration = o
	a.opened.Store(o)
	return nil
}

func (a *app) newAccess(groups nodeGroups) (*rbac.Access, error) {
	c := a.cfg.RBAC
	return rbac.New(rbac.Config{
		Store: a.store, Mode: rbac.Mode(c.Mode), Allowlist: c.CertificateAllowlist, Ancestors: groups.Ancestors,
		Lifetime: time.Duration(c.TokenLifetime), MaxLifetime: time.Duration(c.TokenMaxLifetime),
		IdleTimeout: time.Duration(c.TokenIdleTimeout), Logger: a.log, Registerer: a.registry,
	})
}

// addTransports gives the engine the ways to nodes.
func (a *app) addTransports(o *orchestration) (err error) {
	if o.broker, err = a.newBroker(); err != nil {
		return err
	}
	if o.broker == nil {
		o.engine.Add(deaf{})
		return o.addRemotes(a.cfg, o.engine, a.log)
	}
	if o.pxp, err = pxp.New(pxp.Config{Broker: o.broker, Sink: o.engine, Logger: a.log, Registerer: a.registry}); err != nil {
		return err
	}
	o.engine.Add(o.pxp)
	return o.addRemotes(a.cfg, o.engine, a.log)
}

// newOrchestratorAPI makes the front end of all that o has.
func (a *app) newOrchestratorAPI(o *orchestration, known *environments.Environments) (err error) {
	c := a.cfg.Orchestrator
	cfg := orch.Config{
		Engine: o.engine, Jobs: a.store, Schedules: o.scheduler, Authenticate: o.auth.Authenticate, Environments: known,
		Tasks: o.content, TaskTargets: a.store, Usage: &usage{store: a.store, now: time.Now}, Plans: o.plans, PlanJobs: a.store,
		BaseURL: c.BaseURL, ReportURL: reportURL(a.cfg), LenientKeys: c.LenientKeys, ValidationKind: c.ValidationKind,
		Version: buildInfo().Version, Logger: a.log,
	}
	if o.broker != nil {
		cfg.Inventory = inventory{o.broker}
	}
	if o.api, err = orch.New(cfg); err != nil {
		return err
	}
	o.connections, err = orch.NewConnections(o.api, a.store, o.secrets)
	return err
}

// reportURL is where reports are to be seen. The orchestrator's own listener
// does not serve them: links lead to another one then.
func reportURL(c *config.Config) string {
	const query = "/pdb/query/v4/reports?query=%5B%22%3D%22%2C%22hash%22%2C%22{hash}%22%5D"
	switch {
	case c.Orchestrator.ReportURL != "" || c.Orchestrator.Listen == "":
		return c.Orchestrator.ReportURL
	case c.Dalang.TLSListen != "":
		if _, port, err := net.SplitHostPort(c.Dalang.TLSListen); err == nil {
			return "https://{host}:" + port + query
		}
	case c.Dalang.Listen != "":
		return "http://" + c.Dalang.Listen + query
	}
	return ""
}

func (a *app) newEngine(scopes *orchestrator.Scopes, t *tasking) (*orchestrator.Engine, error) {
	c := a.cfg.Orchestrator
	return orchestrator.New(orchestrator.Config{
		Database: a.store, Scopes: scopes, Compiles: c.GlobalConcurrentCompiles,
		Tasks: c.TaskConcurrency, Connections: c.SSHWinRMConcurrency,
		Tasking:   &orchestrator.Tasking{Source: t.content, Secrets: t.secrets, Reach: a.store, Downloads: t.downloads, Timeout: time.Duration(c.DefaultTaskNodeTimeout)},
		PuppetRun: pxp.PuppetRun, NodeTimeout: time.Duration(c.DefaultDeployNodeTimeout), PCPTimeout: time.Duration(c.PCPTimeout),
		PruneAfter: time.Duration(c.JobPruneThreshold), Logger: a.log, Registerer: a.registry,
	})
}

// newBroker makes the broker of the agents, nil where they cannot connect.
func (a *app) newBroker() (*broker.Broker, error) {
	c := a.cfg
	if c.Dalang.TLSListen == "" && c.Orchestrator.Listen == "" && c.PCP.Listen == "" {
		return nil, nil
	}
	name := c.PCP.Name
	if name == "" {
		var err error
		if name, err = commonName(c.Jetty.SSLCert); err != nil {
			return nil, fmt.Errorf("name of the server among agents: %w", err)
		}
	}
	return broker.New(broker.Config{
		Name: name, Refused: server.Refused, Controllers: c.PCP.Controllers, CRL: c.Jetty.SSLCRLPath, CA: c.Jetty.SSLCACert,
		MaxMessage: int64(c.PCP.MaxMessage), Sessions: c.PCP.MaxConnections, Logger: a.log, Registerer: a.registry,
	})
}

// commonName is that of the first certificate in a PEM file.
func commonName(file string) (string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return "", fmt.Errorf("%s: %w", file, err)
		}
		return cert.Subject.CommonName, nil
	}
	return "", fmt.Errorf("%s holds no certificate", file)
}

// nodeGroups are those of a classifier.
type nodeGroups interface {
	orchestrator.Groups
	Ancestors(id string) []string
}

// newGroups makes this server's classifier, or asks the one that is configured.
func (a *app) newGroups(ctx context.Context, o *orchestration, querier *orchestrator.Queries) (_ nodeGroups, err error) {
	if a.cfg.Orchestrator.Classifier == "" {
		o.groups, err = classifier.New(ctx, classifier.Config{Store: a.store, Nodes: querier, Logger: a.log})
		return o.groups, err
	}
	client, err := puppetClient(a.cfg)
	if err != nil {
		return nil, err
	}
	return classifier.NewRemote(classifier.RemoteConfig{URL: a.cfg.Orchestrator.Classifier, Client: client, Nodes: querier, Logger: a.log})
}

func (a *app) newEnvironments(querier *orchestrator.Queries) (*environments.Environments, error) {
	client, err := puppetClient(a.cfg)
	if err != nil {
		return nil, err
	}
	c := environments.Config{
		Server: a.cfg.Orchestrator.PuppetServer, Client: client, Path: a.cfg.Orchestrator.EnvironmentPath,
		Seen: querier.Environments, Files: a.cfg.Orchestrator.Applications, Logger: a.log,
	}
	if a.cfg.Orchestrator.CatalogApplications {
		c.Stored = a.store.Components
	}
	return environments.New(c)
}

// puppetClient talks to a Puppet Server, or to another service whose
// certificate Puppet's CA signed, with the server's own certificate, which is
// read anew for each connection.
func puppetClient(c *config.Config) (*http.Client, error) {
	conf := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.Jetty.SSLCert != "" && c.Jetty.SSLKey != "" {
		conf.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			pair, err := tls.LoadX509KeyPair(c.Jetty.SSLCert, c.Jetty.SSLKey)
			return &pair, err
		}
	}
	if file := c.Jetty.SSLCACert; file != "" {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		conf.RootCAs = x509.NewCertPool()
		conf.RootCAs.AppendCertsFromPEM(text)
	}
	return &http.Client{Transport: &http.Transport{TLSClientConfig: conf, IdleConnTimeout: time.Minute, MaxIdleConns: 2}}, nil
}

// companions are the orchestrator's routes.
func (o *orchestration) companions() []server.Companion {
	list := []server.Companion{o.api, o.connections, orch.NewRBAC(o.access, o.auth)}
	if o.groups != nil {
		list = append(list, orch.NewClassifier(o.groups, o.queries, o.auth))
	}
	return list
}

// handler takes the agents' connections.
func (o *orchestration) handler() http.Handler {
	if o.broker == nil {
		return nil
	}
	return o.broker
}

// reload reads the allowlist and the agents' revocation lists again.
func (o *orchestration) reload() error {
	err := o.access.Reload()
	if o.broker != nil {
		err = errors.Join(err, o.broker.Reload())
	}
	return err
}

// deaf stands for the transport of agents where they cannot connect.
type deaf struct{}

func (deaf) Name() string          { return "pcp" }
func (deaf) Connected(string) bool { return true } // nobody is worth waiting for

func (deaf) Start(context.Context, job.Request) error {
	return errors.New("agents cannot connect to this server: it has no TLS listener")
}

func (d deaf) Query(ctx context.Context, r job.Request) error { return d.Start(ctx, r) }
func (deaf) Stop(context.Context, job.Request) error          { return nil }

// services are what /status/v1 tells of the orchestrator; starting until there
// is one.
func services(o *orchestration) []pdb.Service {
	tell := func(name string, running func() bool) pdb.Service {
		return pdb.Service{Name: name, Version: buildInfo().Version, Look: func() (string, any) {
			if running() {
				return "running", struct{}{}
			}
			return "starting", struct{}{}
		}}
	}
	list := []pdb.Service{tell("orchestrator-service", func() bool {
		if o == nil {
			return false
		}
		select {
		case <-o.engine.Ready():
			return true
		default:
			return false
		}
	})}
	if o != nil && o.broker != nil {
		list = append(list, tell("broker-service", o.broker.Running))
	}
	return list
}

// inventory is the broker as the API shows it.
type inventory struct{ broker *broker.Broker }

var errNoBroker = errors.New("the broker does not run")

func (i inventory) Connections(context.Context) ([]orch.Connection, error) {
	if !i.broker.Running() {
		return nil, errNoBroker
	}
	list := []orch.Connection{}
	for _, e := range i.broker.Inventory() {
		if e.Peer.Type == pcp.AgentType {
			list = append(list, i.connection(e))
		}
	}
	return list, nil
}

func (i inventory) Connection(_ context.Context, certname string) (*orch.Connection, error) {
	if !i.broker.Running() {
		return nil, errNoBroker
	}
	e, ok := i.broker.Find(pcp.URI{Certname: certname, Type: pcp.AgentType})
	if !ok {
		return nil, nil
	}
	c := i.connection(e)
	return &c, nil
}

func (i inventory) connection(e broker.Entry) orch.Connection {
	return orch.Connection{Certname: e.Peer.Certname, Broker: i.broker.URI(), Since: e.Since}
}
