// Package config is what Dalang can be told: one struct, its defaults, and how
// PuppetDB's own configuration files, the environment and flags change them.
// docs/configuration.md is made of the comments in this file.
package config

import "time"

// Config is the whole configuration. Sections and keys have the names that
// they have in a file; the sections that PuppetDB has too mean what they mean
// there.
type Config struct {
	// Dalang's own settings. Unknown keys in this section and in queue, dlo,
	// store, query, log, orchestrator, pcp and rbac are errors.
	Dalang Dalang `section:"dalang"`
	// The command queue.
	Queue Queue `section:"queue"`
	// The dead letter office.
	DLO DLO `section:"dlo"`
	// The SQLite database.
	Store Store `section:"store"`
	// The query API.
	Query Query `section:"query"`
	// What is logged, on standard error.
	Log Log `section:"log"`
	// Jobs: runs of Puppet on nodes. Its API is on all listeners, below
	// `/orchestrator/v1`.
	Orchestrator Orchestrator `section:"orchestrator"`
	// The connections of agents: the Puppet Communication Protocol. They are
	// taken on all TLS listeners, at `/pcp` and `/pcp2`.
	PCP PCP `section:"pcp"`
	// Who may use the orchestrator and its companions.
	RBAC RBAC `section:"rbac"`
	// PuppetDB's global settings.
	Global Global `section:"global"`
	// How long things are kept. The settings of PuppetDB's connections to
	// PostgreSQL are named in a warning and not used.
	Database Database `section:"database"`
	// The processing of commands.
	CommandProcessing CommandProcessing `section:"command-processing"`
	// PuppetDB's web server settings.
	Jetty Jetty `section:"jetty"`
	// Access and queries.
	PuppetDB PuppetDB `section:"puppetdb"`
	// Settings for developers.
	Developer Developer `section:"developer"`
}

// Dalang is the section of what PuppetDB does not know.
type Dalang struct {
	// Address of the cleartext listener; `none`: no such listener. Unless it is
	// set, `jetty.host` and `jetty.port` say it, and where only `jetty.ssl-port`
	// is set there is none.
	Listen string `key:"listen"`
	// Address of the TLS listener; empty: none. Unless it is set,
	// `jetty.ssl-host` and `jetty.ssl-port` say it. Certificates are in `jetty`.
	TLSListen string `key:"tls-listen"`
	// Directory of all data: queue, dead letter office, database. Unless it is
	// set, it is `global.vardir`.
	Data string `key:"data"`
	// Serve cleartext on addresses that other machines can reach. Also taken in
	// `jetty`.
	AllowCleartext bool `key:"allow-cleartext"`
	// Refuse commands whose body does not match the checksum they came with. Also
	// taken in `command-processing`.
	VerifyChecksum bool `key:"verify-checksum"`
	// Decompressed size a command may have. What is larger goes to the dead
	// letter office, or is refused where `reject-large-commands` is on.
	MaxBody Size `key:"max-body"`
	// Size of a body in the deprecated form of submission, which is held in
	// memory.
	MaxOldFormat Size `key:"max-old-format"`
	// Memory that Go's collector tries to stay below, the page cache of the
	// database aside. Where too much of that is in use, the goal is higher: a
	// live heap of up to 36 MiB gets a quarter of itself as room, one of 72 MiB or more
	// as much again; 0: no such goal.
	MemoryLimit Size `key:"memory-limit"`
	// TLS handshakes that no request follows, or an agent's connection that is refused, a second, of one address (of 64 bits
	// of it with IPv6); ten times as many at once. Later ones wait, or are refused.
	// 0: any number, for an address that many share, such as a load balancer's.
	HandshakeRate int `key:"handshake-rate"`
	// How long requests may take to finish when the program stops.
	ShutdownTimeout Duration `key:"shutdown-timeout"`
	// File with the common names, one a line, that may submit commands over
	// TLS; empty: everybody whom `certificate-allowlist` lets in. Read at start and on SIGHUP.
	Submitters string `key:"submitters"`
	// The same for queries, metadata and dashboards.
	Readers string `key:"readers"`
	// The same for /pdb/admin.
	Admins string `key:"admins"`
	// Serve /metrics over TLS to clients without a certificate.
	OpenMetrics bool `key:"open-metrics"`
}

// Queue is the section of the command queue.
type Queue struct {
	// Commands in one transaction of the store.
	BatchCommands int `key:"batch-commands"`
	// Decompressed bytes of commands in one transaction, and decoded ahead of it.
	BatchBytes Size `key:"batch-bytes"`
	// Memory for bodies that were decompressed when they came in, so that they
	// need not be once more; 0: none.
	Cache Size `key:"cache"`
	// How long the status of a finished command can be asked for.
	RememberFor Duration `key:"remember-for"`
	// And of how many.
	RememberCount int `key:"remember-count"`
	// How long commands in work may take to finish when the program stops.
	DrainTime Duration `key:"drain-time"`
}

// DLO is the section of the dead letter office.
type DLO struct {
	// When bodies take more than this, the oldest letters are deleted; 0: never.
	MaxBytes Size `key:"max-bytes"`
	// Letters older than this are deleted; 0s: never.
	MaxAge Duration `key:"max-age"`
}

// Store is the section of the database.
type Store struct {
	// The SQLite file; empty: `dalang.db` in the data directory.
	Path string `key:"path"`
	// Page cache.
	Cache Size `key:"cache"`
	// Names of each kind (environments, fact paths, …) that are remembered in
	// memory.
	Names int `key:"names"`
}

// Query is the section of the query API.
type Query struct {
	// Queries that run at a time; others wait in order.
	MaxConcurrent int `key:"max-concurrent"`
	// Queries that take longer are logged as warnings, with their plans; 0s: none.
	Slow Duration `key:"slow"`
}

// Log is the section of the log.
type Log struct {
	// `text` or `json`.
	Format string `key:"format"`
	// `debug`, `info`, `warn` or `error`.
	Level string `key:"level"`
}

// Orchestrator is the section of jobs.
type Orchestrator struct {
	// Address of a TLS listener for the orchestrator alone, such as
	// `0.0.0.0:8143`; empty: none. Clients need no certificate there, but a token.
	// Its own certificate and who may sign clients' are in `jetty`.
	Listen string `key:"listen"`
	// How clients name this server, `https://orchestrator.example.com:8143`: the
	// beginning of all links. Empty: as the request named it.
	BaseURL string `key:"base-url"`
	// Where to see a report: `https://{host}/reports/{hash}`, with its hash and this
	// server's name; empty: this server's query API.
	ReportURL string `key:"report-url"`
	// A Puppet Server that is asked for its environments,
	// `https://puppet.example.com:8140`; empty: none. `jetty.ssl-cert` and
	// `jetty.ssl-key` are shown to it, `jetty.ssl-ca-cert` must have signed its own.
	PuppetServer string `key:"puppetserver"`
	// Directories whose directories are environments. Without them and without
	// `puppetserver`, environments are known that something stored is of.
	EnvironmentPath List `key:"environmentpath"`
	// Directories of modules that all environments of `environmentpath` have, as
	// Puppet's setting of this name. Tasks come from the modules of environments
	// unless there is a `puppetserver`, which has its own.
	BaseModulePath List `key:"basemodulepath"`
	// Another classifier that keeps the node groups, such as Puppet Enterprise's:
	// `https://pe.example.com:4433/classifier-api`. It is asked for their rules, with
	// the certificates that `puppetserver` is asked with. Empty: this server's own,
	// at `/classifier-api`, which is not served otherwise.
	Classifier string `key:"classifier"`
	// Directory with a file `<environment>.json` for each environment that has
	// applications, in the form of Puppet 6's environment catalogs; empty: none.
	Applications string `key:"applications"`
	// Find applications in stored catalogs, by parameters `export` and `consume`,
	// where neither the Puppet Server nor a file tells of them. It is a guess: nodes
	// of such catalogs run in that order, whatever the scope.
	CatalogApplications bool `key:"catalog-applications"`
	// Nodes that run Puppet at a time, of all jobs.
	GlobalConcurrentCompiles int `key:"global-concurrent-compiles"`
	// Nodes that run tasks or steps of plans at a time, of all jobs.
	TaskConcurrency int `key:"task-concurrency"`
	// How many of these are reached over SSH or WinRM.
	SSHWinRMConcurrency int `key:"ssh-winrm-concurrency"`
	// How long a node's run may take, unless its job says otherwise.
	DefaultDeployNodeTimeout Duration `key:"default-deploy-node-timeout"`
	// How long a task may take on a node, unless its job says otherwise.
	DefaultTaskNodeTimeout Duration `key:"default-task-node-timeout"`
	// How long a plan may take, unless its command says otherwise.
	DefaultPlanTimeout Duration `key:"default-plan-timeout"`
	// The program that runs plans in the Puppet language, and its arguments:
	// `/opt/puppetlabs/bin/bolt, plan, run, {plan}, --params, -, --format, json`.
	// {plan}, {environment} and {plan_job} stand for what they say; the plan's
	// parameters are a JSON object on its standard input, its standard output is the
	// result. Empty: such plans cannot be run.
	PlansExternalRunner List `key:"plans-external-runner"`
	// Files in the form of OpenSSH's known_hosts. Targets whose connection asks for
	// `host-key-check` must be in one of them.
	SSHKnownHosts List `key:"ssh-known-hosts"`
	// Ask for it where a connection does not say. Without it, who can take the place
	// of a target learns the password that it is logged in with.
	SSHHostKeyCheck bool `key:"ssh-host-key-check"`
	// How long a node whose turn it is waits for its agent to connect.
	PCPTimeout Duration `key:"pcp-timeout"`
	// How long scheduled jobs that are due wait after a start, so that agents are
	// connected again.
	ScheduleWarmup Duration `key:"schedule-warmup"`
	// How long jobs are kept after their end; at least 2 days.
	JobPruneThreshold Duration `key:"job-prune-threshold"`
	// Take keys in requests that are not known, and log them. They do nothing: a
	// misspelt `noop` changes nodes.
	LenientKeys bool `key:"lenient-keys"`
	// The kind of validation errors; empty: `puppetlabs.orchestrator/validation-error`.
	// Some old clients know only `puppetlabs.validators/validation-error`.
	ValidationKind string `key:"validation-kind"`
}

// PCP is the section of the agents' connections.
type PCP struct {
	// Address of a TLS listener for agents alone, such as `0.0.0.0:8142`; empty:
	// none.
	Listen string `key:"listen"`
	// Certname of the server among agents; empty: the common name of
	// `jetty.ssl-cert`.
	Name string `key:"name"`
	// Certnames, besides the server's own, that may give orders to agents.
	Controllers List `key:"controllers"`
	// Connections at a time.
	MaxConnections int `key:"max-connections"`
	// Size of a message.
	MaxMessage Size `key:"max-message"`
}

// RBAC is the section of access to the orchestrator.
type RBAC struct {
	// How requests show whose they are: `tokens` (or a certificate of
	// `certificate-allowlist`), `certs-only`, or `off`: everybody may do
	// everything, which all listeners have to be on loopback addresses for.
	Mode string `key:"mode"`
	// File with the common names, one a line, whose certificates may do
	// everything; empty: none. Read at start and on SIGHUP.
	CertificateAllowlist string `key:"certificate-allowlist"`
	// How long tokens are good that were not asked for a time.
	TokenLifetime Duration `key:"token-lifetime"`
	// And at most.
	TokenMaxLifetime Duration `key:"token-max-lifetime"`
	// Tokens that were not used for so long end; 0s: never.
	TokenIdleTimeout Duration `key:"token-idle-timeout"`
}

// Global is PuppetDB's section of the same name.
type Global struct {
	// PuppetDB's data directory; Dalang takes over the commands queued there.
	Vardir string `key:"vardir"`
}

// Database is PuppetDB's section of the same name.
type Database struct {
	// Nodes that sent nothing for so long expire; 0s: never.
	NodeTTL Duration `key:"node-ttl"`
	// Nodes that have been expired or deactivated for so long are deleted; 0s:
	// never.
	NodePurgeTTL Duration `key:"node-purge-ttl"`
	// Nodes that one periodic purge deletes; 0: no limit.
	NodePurgeGCBatchLimit int `key:"node-purge-gc-batch-limit"`
	// Reports are kept for so long; a node's latest report is always kept.
	ReportTTL Duration `key:"report-ttl"`
	// Events are kept for so long; unset: as long as reports. Must not be
	// longer than `report-ttl`.
	ResourceEventsTTL Duration `key:"resource-events-ttl"`
	// Minutes between garbage collections; 0: none at all.
	GCInterval Minutes `key:"gc-interval"`
	// The same for each kind of garbage collection; unset: `gc-interval`.
	GCIntervalExpireNodes Minutes `key:"gc-interval-expire-nodes"`
	// See `gc-interval-expire-nodes`.
	GCIntervalPurgeNodes Minutes `key:"gc-interval-purge-nodes"`
	// See `gc-interval-expire-nodes`.
	GCIntervalPurgeReports Minutes `key:"gc-interval-purge-reports"`
	// See `gc-interval-expire-nodes`.
	GCIntervalPackages Minutes `key:"gc-interval-packages"`
	// See `gc-interval-expire-nodes`.
	GCIntervalCatalogs Minutes `key:"gc-interval-catalogs"`
	// Unset: `gc-interval`, but at least a day.
	GCIntervalFactPaths Minutes `key:"gc-interval-fact-paths"`
	// Facts that are not stored: a list with commas. Beyond PuppetDB, a literal
	// entry may be a dotted path with `*`: `networking.interfaces.veth*`.
	FactsBlocklist List `key:"facts-blocklist"`
	// `literal` or `regex`, which must match the whole name.
	FactsBlocklistType string `key:"facts-blocklist-type"`
}

// CommandProcessing is PuppetDB's section of the same name.
type CommandProcessing struct {
	// Commands that are decoded at a time; 0: as many as there are cores. (The
	// database has one writer.)
	Threads int `key:"threads"`
	// Refuse commands larger than `max-command-size`.
	RejectLargeCommands bool `key:"reject-large-commands"`
	// Only with `reject-large-commands`: bytes, as sent or as announced in
	// X-Uncompressed-Length.
	MaxCommandSize Size `key:"max-command-size"`
}

// Jetty is PuppetDB's section of the same name.
type Jetty struct {
	// Address or name to serve cleartext on, with `port`, or without it on port
	// 8080: see `dalang.listen`.
	Host string `key:"host"`
	// Port to serve cleartext on; 0: none.
	Port int `key:"port"`
	// Address or name to serve TLS on, with `ssl-port`, or without it on port
	// 8081: see `dalang.tls-listen`.
	SSLHost string `key:"ssl-host"`
	// Port to serve TLS on; 0: none.
	SSLPort int `key:"ssl-port"`
	// The server's certificate, and its chain: a PEM file. Read again when it
	// changes, as are the next three.
	SSLCert string `key:"ssl-cert"`
	// The certificate's key: a PEM file.
	SSLKey string `key:"ssl-key"`
	// Who may sign clients' certificates: a PEM file.
	SSLCACert string `key:"ssl-ca-cert"`
	// Revoked certificates: a PEM file; empty: none are.
	SSLCRLPath string `key:"ssl-crl-path"`
	// `TLSv1.2`, `TLSv1.3`; empty: both.
	SSLProtocols List `key:"ssl-protocols"`
	// IANA names of ciphers for TLS 1.2; empty: ECDHE with AES-GCM or ChaCha20.
	CipherSuites List `key:"cipher-suites"`
	// Clients' certificates: `need`, `want` (optional, unless an allowlist is
	// set) or `none`.
	ClientAuth string `key:"client-auth"`
	// Bytes that a request's line and headers may take.
	RequestHeaderMaxSize Size `key:"request-header-max-size"`
}

// PuppetDB is PuppetDB's section of the same name.
type PuppetDB struct {
	// File with the common names, one a line, that may use /pdb over TLS; empty:
	// everybody with a certificate. Read at start and on SIGHUP.
	CertificateAllowlist string `key:"certificate-allowlist"`
	// Hide the reports of plans from queries that do not ask for them.
	AddAgentReportFilter bool `key:"add-agent-report-filter"`
	// Log every query, also refused ones.
	LogQueries bool `key:"log-queries"`
	// Seconds that a query may take unless it says otherwise; 0: no limit.
	QueryTimeoutDefault Seconds `key:"query-timeout-default"`
	// Seconds that a query may ask for; 0: no limit.
	QueryTimeoutMax Seconds `key:"query-timeout-max"`
}

// Developer is PuppetDB's section of the same name.
type Developer struct {
	// Lay out JSON answers for people.
	PrettyPrint bool `key:"pretty-print"`
	// Commands that may wait in the queue. When it is full, submissions are
	// answered 503.
	MaxEnqueued int `key:"max-enqueued"`
}

const day = 24 * time.Hour

// Default is the configuration of a Dalang that nobody told anything.
func Default() Config {
	return Config{
		Dalang: Dalang{
			Listen: "127.0.0.1:8080", Data: "data", VerifyChecksum: true,
			MaxBody: 128 << 20, MaxOldFormat: 64 << 20, MemoryLimit: 64 << 20,
			HandshakeRate:   20,
			ShutdownTimeout: Duration(30 * time.Second),
		},
		Queue: Queue{
			BatchCommands: 64, BatchBytes: 8 << 20, Cache: 16 << 20,
			RememberFor: Duration(time.Hour), RememberCount: 10_000, DrainTime: Duration(10 * time.Second),
		},
		Store: Store{Cache: 16 << 20, Names: 50_000},
		Query: Query{MaxConcurrent: 64, Slow: Duration(5 * time.Second)},
		Log:   Log{Format: "text", Level: "info"},
		Orchestrator: Orchestrator{
			GlobalConcurrentCompiles: 8, TaskConcurrency: 250, SSHWinRMConcurrency: 100,
			DefaultDeployNodeTimeout: Duration(time.Hour), DefaultTaskNodeTimeout: Duration(40 * time.Minute), DefaultPlanTimeout: Duration(time.Hour), PCPTimeout: Duration(30 * time.Second),
			JobPruneThreshold: Duration(30 * day), ScheduleWarmup: Duration(45 * time.Second),
		},
		PCP:  PCP{MaxConnections: 50_000, MaxMessage: 64 << 20},
		RBAC: RBAC{Mode: "tokens", TokenLifetime: Duration(time.Hour), TokenMaxLifetime: Duration(3650 * day)},
		Database: Database{
			NodeTTL: Duration(7 * day), NodePurgeTTL: Duration(14 * day), NodePurgeGCBatchLimit: 25,
			ReportTTL: Duration(14 * day), ResourceEventsTTL: Duration(14 * day),
			GCInterval: 60, GCIntervalExpireNodes: 60, GCIntervalPurgeNodes: 60, GCIntervalPurgeReports: 60,
			GCIntervalPackages: 60, GCIntervalCatalogs: 60, GCIntervalFactPaths: 1440,
			FactsBlocklistType: "literal",
		},
		CommandProcessing: CommandProcessing{MaxCommandSize: 16 << 20},
		Jetty:             Jetty{Host: "localhost", SSLHost: "localhost", ClientAuth: "need", RequestHeaderMaxSize: 8192},
		PuppetDB:          PuppetDB{AddAgentReportFilter: true, QueryTimeoutDefault: 600},
		Developer:         Developer{MaxEnqueued: 1_000_000},
	}
}
