package config

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Options is where settings come from, the weakest first. All may be empty.
type Options struct {
	Path  string            // a file, or a directory of *.ini files
	Env   []string          // os.Environ()
	Flags map[string]string // values by section.key; see Flag
}

// Loaded is an effective configuration.
type Loaded struct {
	Config
	// Origins tell where values come from, by section.key: "default", a file
	// with its line, a variable, a flag, or another key.
	Origins map[string]string
	// Warnings are for the operator, a line each.
	Warnings []string
}

const originDefault = "default"

// Load makes the effective configuration. It answers all mistakes it finds.
func Load(o Options) (*Loaded, error) {
	l := &Loaded{Config: Default(), Origins: map[string]string{}}
	keys := map[string]Key{}
	for _, k := range Keys() {
		keys[k.String()] = k
		l.Origins[k.String()] = originDefault
	}
	var errs []error
	if o.Path != "" {
		errs = append(errs, l.files(o.Path, keys))
	}
	errs = append(errs, l.env(o.Env, keys), l.flags(o.Flags, keys))
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	l.derive()
	if err := l.validate(); err != nil {
		return nil, err
	}
	return l, nil
}

func (l *Loaded) warn(format string, args ...any) {
	l.Warnings = append(l.Warnings, fmt.Sprintf(format, args...))
}

func (l *Loaded) files(path string, keys map[string]Key) error {
	entries, skipped, err := readPath(path)
	if err != nil {
		return err
	}
	for _, file := range skipped {
		l.warn("%s is not read: Dalang reads *.ini files", file)
	}
	var errs []error
	gone := map[string]bool{}
	for _, e := range entries {
		if name, ok := renamed(e.section, e.key); ok {
			if other := slices.IndexFunc(entries, func(o entry) bool { return o.section == e.section && o.key == name }); other >= 0 {
				errs = append(errs, fmt.Errorf("%s: %s is the old name of %s, which is given at %s", e.at(), e.key, name, entries[other].at()))
				continue
			}
			l.warn("%s: %s.%s is now called %s", e.at(), e.section, e.key, name)
			e.key = name
		}
		k, known := keys[e.section+"."+e.key]
		if !known {
			errs = append(errs, l.unknown(e, keys, gone))
			continue
		}
		if err := k.set(&l.Config, e.value); err != nil {
			errs = append(errs, fmt.Errorf("%s: %s: %w", e.at(), k, err))
		}
		l.Origins[k.String()] = e.at()
	}
	return errors.Join(errs...)
}

// unknown refuses a mistake in a section of ours and warns of the rest, once
// by name.
func (l *Loaded) unknown(e entry, keys map[string]Key, warned map[string]bool) error {
	name := e.section + "." + e.key
	if ours(e.section) {
		return fmt.Errorf("%s: unknown setting %s%s", e.at(), name, suggestion(e, keys))
	}
	reason, ok := retired(e.section, e.key)
	switch {
	case strings.HasPrefix(e.section, "database-"):
		name, reason = "["+e.section+"]", "there is one database"
	case ok && !sectionKnown(e.section, keys):
		name = "[" + e.section + "]"
	case !ok && !sectionKnown(e.section, keys):
		name, reason = "["+e.section+"]", "Dalang does not know this section"
	case !ok:
		reason = "it does not exist and should be removed"
	}
	if !warned[name] {
		warned[name] = true
		l.warn("%s: %s is ignored: %s", e.at(), name, reason)
	}
	return nil
}

func sectionKnown(section string, keys map[string]Key) bool {
	for _, k := range keys {
		if k.Section == section {
			return true
		}
	}
	return false
}

// suggestion names a key of the section that shares a long part with the
// unknown one.
func suggestion(e entry, keys map[string]Key) string {
	var known []string
	for _, k := range keys {
		if k.Section == e.section {
			known = append(known, k.Name)
		}
	}
	slices.Sort(known)
	return "; [" + e.section + "] has " + strings.Join(known, ", ")
}

// foreign are variables of ours that are no settings: of tests, and of `dalang dlo`.
func foreign(name string) bool {
	for _, prefix := range []string{"DALANG_CRASH_", "DALANG_HOSTILE_", "DALANG_TEST_", "DALANG_SERVER"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

func (l *Loaded) env(environ []string, keys map[string]Key) error {
	byEnv := map[string]Key{}
	for _, k := range keys {
		byEnv[k.Env()] = k
	}
	var errs []error
	for _, pair := range environ {
		name, value, _ := strings.Cut(pair, "=")
		if !strings.HasPrefix(name, "DALANG_") || foreign(name) {
			continue
		}
		k, ok := byEnv[name]
		if !ok {
			l.warn("environment variable %s is ignored: there is no such setting", name)
			continue
		}
		if err := k.set(&l.Config, value); err != nil {
			errs = append(errs, fmt.Errorf("environment variable %s: %w", name, err))
		}
		l.Origins[k.String()] = "environment variable " + name
	}
	return errors.Join(errs...)
}

func (l *Loaded) flags(flags map[string]string, keys map[string]Key) error {
	var errs []error
	for name, value := range flags {
		k, ok := keys[name]
		if !ok {
			errs = append(errs, fmt.Errorf("there is no setting %q; `dalang config show` lists them", name))
			continue
		}
		if err := k.set(&l.Config, value); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", FlagName(name), err))
		}
		l.Origins[name] = FlagName(name)
	}
	return errors.Join(errs...)
}

func (l *Loaded) isDefault(key string) bool { return l.Origins[key] == originDefault }

// derive fills in settings whose default is another setting.
func (l *Loaded) derive() {
	c := &l.Config
	from := func(key, other string, do func()) {
		if l.isDefault(key) && !l.isDefault(other) {
			do()
			l.Origins[key] = fmt.Sprintf("%s (%s)", other, l.Origins[other])
		}
	}
	from("dalang.tls-listen", "jetty.ssl-port", func() { c.Dalang.TLSListen = address(c.Jetty.SSLHost, c.Jetty.SSLPort) })
	from("dalang.listen", "jetty.port", func() { c.Dalang.Listen = address(c.Jetty.Host, c.Jetty.Port) })
	from("dalang.data", "global.vardir", func() { c.Dalang.Data = c.Global.Vardir })
	if !l.isDefault("jetty.ssl-port") {
		from("dalang.listen", "jetty.ssl-port", func() { c.Dalang.Listen = "" })
	}
	if c.Dalang.Listen == "none" {
		c.Dalang.Listen = ""
	}
	from("database.resource-events-ttl", "database.report-ttl", func() { c.Database.ResourceEventsTTL = c.Database.ReportTTL })
	d := &c.Database
	for key, into := range map[string]*Minutes{
		"expire-nodes": &d.GCIntervalExpireNodes, "purge-nodes": &d.GCIntervalPurgeNodes, "purge-reports": &d.GCIntervalPurgeReports,
		"packages": &d.GCIntervalPackages, "catalogs": &d.GCIntervalCatalogs,
	} {
		from("database.gc-interval-"+key, "database.gc-interval", func() { *into = d.GCInterval })
	}
	from("database.gc-interval-fact-paths", "database.gc-interval", func() { d.GCIntervalFactPaths = max(d.GCInterval, 24*60) })
	if d.GCInterval == 0 { // PuppetDB: no garbage collection at all
		for _, into := range []*Minutes{&d.GCIntervalExpireNodes, &d.GCIntervalPurgeNodes, &d.GCIntervalPurgeReports,
			&d.GCIntervalPackages, &d.GCIntervalCatalogs, &d.GCIntervalFactPaths} {
			*into = 0
		}
	}
}

// address joins host and port; a port of 0 is no address.
func address(host string, port int) string {
	if port == 0 {
		return ""
	}
	return net.JoinHostPort(host, strconv.Itoa(port))
}

// validate finds what is wrong with values together, or beyond their form.
func (l *Loaded) validate() error {
	c := &l.Config
	var errs []error
	check := func(ok bool, key, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf("%s: %s (%s)", key, fmt.Sprintf(format, args...), l.Origins[key]))
		}
	}
	oneOf := func(key, value string, of ...string) {
		check(slices.Contains(of, value), key, "%q is not one of %s", value, strings.Join(of, ", "))
	}
	check(c.Dalang.Listen != "" || c.Dalang.TLSListen != "", "dalang.listen", "neither a cleartext nor a TLS address to listen on")
	check(c.Dalang.Data != "", "dalang.data", "must not be empty")
	check(c.Dalang.MaxBody > 0, "dalang.max-body", "must be more than 0")
	check(c.Dalang.MaxOldFormat > 0, "dalang.max-old-format", "must be more than 0")
	check(c.Queue.BatchCommands > 0, "queue.batch-commands", "must be more than 0")
	check(c.Queue.BatchBytes > 0, "queue.batch-bytes", "must be more than 0")
	check(c.Query.MaxConcurrent > 0, "query.max-concurrent", "must be more than 0")
	check(c.Developer.MaxEnqueued > 0, "developer.max-enqueued", "must be more than 0")
	check(c.Database.ResourceEventsTTL <= c.Database.ReportTTL, "database.resource-events-ttl",
		`The "database" resource-events-ttl must not be longer than report-ttl`)
	oneOf("log.format", c.Log.Format, "text", "json")
	oneOf("log.level", strings.ToLower(c.Log.Level), "debug", "info", "warn", "error")
	oneOf("database.facts-blocklist-type", c.Database.FactsBlocklistType, "literal", "regex")
	oneOf("jetty.client-auth", c.Jetty.ClientAuth, "need", "want", "none")
	if c.Dalang.TLSListen != "" {
		check(c.Jetty.SSLCert != "", "jetty.ssl-cert", "TLS needs a certificate")
		check(c.Jetty.SSLKey != "", "jetty.ssl-key", "TLS needs a key")
		check(c.Jetty.SSLCACert != "" || c.Jetty.ClientAuth == "none", "jetty.ssl-ca-cert", "client-auth %s needs it", c.Jetty.ClientAuth)
	}
	return errors.Join(errs...)
}

// LogLevel is log.level for slog.
func (c *Config) LogLevel() slog.Level {
	var level slog.Level
	if level.UnmarshalText([]byte(c.Log.Level)) != nil {
		return slog.LevelInfo // validate has checked it
	}
	return level
}

// Timeout turns PuppetDB's query timeout, where 0 is no limit, into the query
// engine's, where 0 is the default and negative no limit.
func (s Seconds) Timeout() time.Duration {
	if s == 0 {
		return -1
	}
	return s.Duration()
}
