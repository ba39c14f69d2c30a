package config

import (
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
)

// follow gives key the value of other where nobody said key and somebody said
// other.
func (l *Loaded) follow(key, other string, do func()) {
	if !l.isDefault(key) || l.isDefault(other) || l.bad[other] {
		return
	}
	do()
	from := l.sources[other]
	from.via = other
	l.sources[key] = from
}

// derive fills in settings whose default is another setting.
func (l *Loaded) derive() {
	c := &l.Config
	l.ports()
	l.follow("dalang.tls-listen", "jetty.ssl-port", func() { c.Dalang.TLSListen = address(c.Jetty.SSLHost, c.Jetty.SSLPort) })
	l.follow("dalang.listen", "jetty.port", func() { c.Dalang.Listen = address(c.Jetty.Host, c.Jetty.Port) })
	l.follow("dalang.data", "global.vardir", func() { c.Dalang.Data = c.Global.Vardir })
	l.follow("dalang.listen", "jetty.ssl-port", func() { c.Dalang.Listen = "" })
	if c.Dalang.Listen == "none" {
		c.Dalang.Listen = ""
	}
	l.unusedPort("dalang.listen", c.Dalang.Listen, "jetty.port", address(c.Jetty.Host, c.Jetty.Port))
	l.unusedPort("dalang.tls-listen", c.Dalang.TLSListen, "jetty.ssl-port", address(c.Jetty.SSLHost, c.Jetty.SSLPort))
	l.follow("database.resource-events-ttl", "database.report-ttl", func() { c.Database.ResourceEventsTTL = c.Database.ReportTTL })
	l.deriveGC()
}

// ports are Jetty's when only the host is given.
func (l *Loaded) ports() {
	for _, p := range []struct {
		host, port string
		into       *int
		value      int
	}{
		{"jetty.host", "jetty.port", &l.Jetty.Port, 8080}, {"jetty.ssl-host", "jetty.ssl-port", &l.Jetty.SSLPort, 8081},
	} {
		l.follow(p.port, p.host, func() {
			*p.into = p.value
			l.warn("%s: %s without %s means port %d, as for PuppetDB; say so, or remove it", l.sources[p.host].at(), p.host, p.port, p.value)
		})
	}
}

// unusedPort warns of an address for Jetty that a setting of ours overrides.
func (l *Loaded) unusedPort(key, used, port, unused string) {
	if from := l.sources[key]; from.via == "" && !l.isDefault(key) && unused != "" && unused != used {
		l.warn("%s: %s is not used: %s says where to listen (%s)", l.sources[port].at(), port, key, from)
	}
}

func (l *Loaded) deriveGC() {
	d := &l.Database
	own := map[string]*Minutes{
		"expire-nodes": &d.GCIntervalExpireNodes, "purge-nodes": &d.GCIntervalPurgeNodes, "purge-reports": &d.GCIntervalPurgeReports,
		"packages": &d.GCIntervalPackages, "catalogs": &d.GCIntervalCatalogs, "fact-paths": &d.GCIntervalFactPaths,
	}
	for name, into := range own {
		key := "database.gc-interval-" + name
		if d.GCInterval == 0 && !l.bad["database.gc-interval"] { // PuppetDB: no garbage collection at all
			delete(l.sources, key)
		}
		l.follow(key, "database.gc-interval", func() {
			if *into = d.GCInterval; name == "fact-paths" && d.GCInterval > 0 {
				*into = max(d.GCInterval, 24*60)
			}
		})
	}
}

// address joins host and port; a port of 0 is no address.
func address(host string, port int) string {
	if port == 0 {
		return ""
	}
	return net.JoinHostPort(host, strconv.Itoa(port))
}

// check notes a mistake in the value of a key, where that comes from, unless
// ok. A key whose value is no value at all was told already.
func (l *Loaded) check(ok bool, key, format string, args ...any) {
	from := l.sources[key]
	if ok || l.bad[key] {
		return
	}
	if from.via != "" {
		key = from.via
	}
	// An address is at fault for its host, if that is given.
	if prefix, ok := strings.CutSuffix(key, "port"); ok && !l.isDefault(prefix+"host") {
		key = prefix + "host"
		from = l.sources[key]
	}
	l.wrong = append(l.wrong, mistake{from.file, from.line, from.text(key, fmt.Sprintf(format, args...))})
}

// validate finds what is wrong with values together, or beyond their form.
func (l *Loaded) validate() {
	c := &l.Config
	oneOf := func(key, value string, of ...string) {
		l.check(slices.Contains(of, value), key, "%q is not one of %s", value, strings.Join(of, ", "))
	}
	l.check(c.Dalang.Listen != "" || c.Dalang.TLSListen != "" || l.bad["dalang.tls-listen"] || l.bad["jetty.ssl-port"] || l.bad["jetty.port"],
		"dalang.listen", "neither a cleartext nor a TLS address to listen on")
	l.check(c.Dalang.Data != "", "dalang.data", "must not be empty")
	l.check(c.Dalang.MaxBody > 0, "dalang.max-body", "must be more than 0")
	l.check(c.Dalang.HandshakeRate >= 0, "dalang.handshake-rate", "must not be negative")
	l.check(c.Dalang.MaxOldFormat > 0, "dalang.max-old-format", "must be more than 0")
	l.check(c.Queue.BatchCommands > 0, "queue.batch-commands", "must be more than 0")
	l.check(c.Queue.BatchBytes > 0, "queue.batch-bytes", "must be more than 0")
	l.check(c.Query.MaxConcurrent > 0, "query.max-concurrent", "must be more than 0")
	l.check(c.Developer.MaxEnqueued > 0, "developer.max-enqueued", "must be more than 0")
	l.check(c.Database.ResourceEventsTTL <= c.Database.ReportTTL || l.bad["database.report-ttl"], "database.resource-events-ttl",
		`The "database" resource-events-ttl must not be longer than report-ttl`)
	oneOf("log.format", c.Log.Format, "text", "json")
	oneOf("log.level", strings.ToLower(c.Log.Level), "debug", "info", "warn", "error")
	oneOf("database.facts-blocklist-type", c.Database.FactsBlocklistType, "literal", "regex")
	oneOf("jetty.client-auth", c.Jetty.ClientAuth, "need", "want", "none")
	l.check(c.Orchestrator.GlobalConcurrentCompiles > 0, "orchestrator.global-concurrent-compiles", "must be more than 0")
	l.check(c.Orchestrator.TaskConcurrency > 0, "orchestrator.task-concurrency", "must be more than 0")
	l.check(c.Orchestrator.SSHWinRMConcurrency > 0, "orchestrator.ssh-winrm-concurrency", "must be more than 0")
	l.check(c.Orchestrator.DefaultPlanTimeout > 0, "orchestrator.default-plan-timeout", "must be more than 0")
	l.check(c.Orchestrator.DefaultTaskNodeTimeout > 0, "orchestrator.default-task-node-timeout", "must be more than 0")
	l.check(!c.Orchestrator.SSHHostKeyCheck || len(c.Orchestrator.SSHKnownHosts) > 0, "orchestrator.ssh-known-hosts", "ssh-host-key-check needs them")
	l.check(c.Orchestrator.DefaultDeployNodeTimeout > 0, "orchestrator.default-deploy-node-timeout", "must be more than 0")
	l.check(c.Orchestrator.JobPruneThreshold >= Duration(2*day), "orchestrator.job-prune-threshold", "must be at least 2d")
	l.check(c.PCP.MaxConnections > 0, "pcp.max-connections", "must be more than 0")
	l.check(c.PCP.MaxMessage >= 1<<20, "pcp.max-message", "must be at least 1MiB")
	l.check(c.RBAC.TokenLifetime > 0, "rbac.token-lifetime", "must be more than 0")
	l.check(c.RBAC.TokenMaxLifetime >= c.RBAC.TokenLifetime || l.bad["rbac.token-lifetime"], "rbac.token-max-lifetime", "must not be less than token-lifetime")
	if c.Dalang.TLSListen != "" || c.Orchestrator.Listen != "" || c.PCP.Listen != "" {
		l.check(c.Jetty.SSLCert != "", "jetty.ssl-cert", "TLS needs a certificate (%s)", FlagName("jetty.ssl-cert"))
		l.check(c.Jetty.SSLKey != "", "jetty.ssl-key", "TLS needs a key (%s)", FlagName("jetty.ssl-key"))
		l.check(c.Orchestrator.Listen == "" && c.PCP.Listen == "" || c.Jetty.SSLCACert != "", "jetty.ssl-ca-cert",
			"the listeners of orchestrator and pcp need it (%s)", FlagName("jetty.ssl-ca-cert"))
		l.check(c.Jetty.SSLCACert != "" || c.Jetty.ClientAuth == "none" || c.Dalang.TLSListen == "", "jetty.ssl-ca-cert", "client-auth %s needs it (%s)", c.Jetty.ClientAuth, FlagName("jetty.ssl-ca-cert"))
	}
}
