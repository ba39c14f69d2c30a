package pdb

import (
	"context"
	"sort"
	"strconv"
	"strings"
	"time"

	"dalang/wireformat"
)

// bean is one MBean at one moment.
type bean struct {
	name  objectName
	class string
	attrs map[string]any
}

// Classes that upstream's metrics library gives its MBeans.
const (
	classCounter   = "com.codahale.metrics.JmxReporter$JmxCounter"
	classGauge     = "com.codahale.metrics.JmxReporter$JmxGauge"
	classMeter     = "com.codahale.metrics.JmxReporter$JmxMeter"
	classHistogram = "com.codahale.metrics.JmxReporter$JmxHistogram"
	classTimer     = "com.codahale.metrics.JmxReporter$JmxTimer"
)

// beanBuilder makes upstream's MBeans of gathered metrics.
type beanBuilder struct {
	families families
	rates    map[string]*rates // read only
	uptime   time.Duration
	beans    []bean
	// counts is what each meter and timer has counted, for the next tick.
	counts map[string]float64
}

func (b *beanBuilder) add(domain, name, class string, attrs map[string]any) {
	for k, v := range attrs {
		if f, ok := v.(float64); ok {
			attrs[k] = double(f)
		}
	}
	b.beans = append(b.beans, bean{
		name:  objectName{domain: domain, keys: [][2]string{{"name", name}}},
		class: class, attrs: attrs,
	})
}

func (b *beanBuilder) counter(domain, name string, value float64) {
	b.add(domain, name, classCounter, map[string]any{"Count": int64(value)})
}

func (b *beanBuilder) gauge(domain, name string, value any) {
	b.add(domain, name, classGauge, map[string]any{"Value": value})
}

func (b *beanBuilder) meter(domain, name string, count float64) {
	b.add(domain, name, classMeter, b.rated(domain, name, count))
}

// rated is what meters and timers have in common.
func (b *beanBuilder) rated(domain, name string, count float64) map[string]any {
	id := domain + ":name=" + name
	if b.counts == nil {
		b.counts = map[string]float64{}
	}
	b.counts[id] = count
	var average [3]float64
	if r := b.rates[id]; r != nil {
		average = r.average
	}
	mean := 0.0
	if s := b.uptime.Seconds(); s > 0 {
		mean = count / s
	}
	return map[string]any{
		"Count": int64(count), "MeanRate": mean, "RateUnit": "events/second",
		"OneMinuteRate": average[0], "FiveMinuteRate": average[1], "FifteenMinuteRate": average[2],
	}
}

func (b *beanBuilder) timer(domain, name string, d distribution) {
	attrs := b.rated(domain, name, d.count)
	attrs["DurationUnit"] = "milliseconds"
	spread(attrs, d)
	attrs["Min"], attrs["Max"] = d.least(), d.most()
	b.add(domain, name, classTimer, attrs)
}

func (b *beanBuilder) histogram(domain, name string, d distribution) {
	attrs := map[string]any{
		"Count": int64(d.count), "SnapshotSize": int64(d.count),
		"Min": int64(d.least()), "Max": int64(d.most()),
	}
	spread(attrs, d)
	b.add(domain, name, classHistogram, attrs)
}

// spread is what histograms and timers have in common.
func spread(attrs map[string]any, d distribution) {
	attrs["Mean"], attrs["StdDev"] = d.mean(), d.stddev()
	attrs["50thPercentile"] = d.quantile(.50)
	attrs["75thPercentile"] = d.quantile(.75)
	attrs["95thPercentile"] = d.quantile(.95)
	attrs["98thPercentile"] = d.quantile(.98)
	attrs["99thPercentile"] = d.quantile(.99)
	attrs["999thPercentile"] = d.quantile(.999)
}

// Domains of upstream's MBeans.
const (
	domainMQ         = "puppetlabs.puppetdb.mq"
	domainHTTP       = "puppetlabs.puppetdb.http"
	domainDLO        = "puppetlabs.puppetdb.dlo"
	domainStorage    = "puppetlabs.puppetdb.storage"
	domainPopulation = "puppetlabs.puppetdb.population"
	domainAdmin      = "puppetlabs.puppetdb.admin"
	domainDatabase   = "puppetlabs.puppetdb.database"
)

// Metrics of other packages that the beans below are made of. They stand here
// because their names are all that this package knows of them.
const (
	famReceived   = "dalang_commands_received_total"
	famFinished   = "dalang_commands_finished_total"
	famRetries    = "dalang_commands_retries_total"
	famProcessing = "dalang_commands_processing_seconds"
	famQueueTime  = "dalang_commands_queue_seconds"
	famAttempts   = "dalang_commands_attempts"
	famQueued     = "dalang_commands_queued"
	famRetrying   = "dalang_commands_retrying"
	famPut        = "dalang_queue_put_seconds"
	famSize       = "dalang_http_command_size_bytes"
	famRequests   = "dalang_http_requests_total"
	famSeconds    = "dalang_http_request_seconds"
	famDLOLetters = "dalang_dlo_messages"
	famDLOBytes   = "dalang_dlo_bytes"
	famApply      = "dalang_store_apply_seconds"
	famNew        = "dalang_store_new_catalogs_total"
	famDuplicate  = "dalang_store_duplicate_catalogs_total"
	famGC         = "dalang_store_gc_seconds"
	famBatch      = "dalang_store_batch_seconds"
	famOpen       = "dalang_store_connections"
	famInUse      = "dalang_store_connections_in_use"
	famMost       = "dalang_store_connections_max"
	famQuery      = "dalang_query_seconds"
	famQueryWait  = "dalang_query_wait_seconds"
	famWaiting    = "dalang_queries_waiting"
)

// all builds every bean that is made of gathered metrics.
func (b *beanBuilder) all() {
	b.mq("global", labels{})
	b.counter(domainMQ, "global.concurrent-depth", 0)
	b.timer(domainMQ, "global.command-parse-time", distribution{})
	for _, c := range wireformat.Commands() { // whatever may come, before it comes
		for version := c.MinPosted; version <= c.Latest; version++ {
			l := labels{"command": string(c.Command), "version": strconv.Itoa(version)}
			b.mq(l["command"]+"."+l["version"], l)
		}
	}
	b.http()
	b.dlo()
	b.storage()
	b.admin()
	b.database()
}

// mq builds the beans about all commands, or those of one kind.
func (b *beanBuilder) mq(prefix string, l labels) {
	f := b.families
	outcome := func(name string) float64 {
		selected := labels{"outcome": name}
		for k, v := range l {
			selected[k] = v
		}
		return f.sum(famFinished, selected)
	}
	discarded := outcome("discarded")
	superseded := outcome("superseded")
	b.meter(domainMQ, prefix+".seen", f.sum(famReceived, l))
	// Upstream counts as processed what left the queue in peace.
	b.meter(domainMQ, prefix+".processed", outcome("processed")+outcome("stale")+outcome("duplicate"))
	fatal := discarded
	if prefix != "global" {
		fatal = 0 // upstream marks it only globally
	}
	b.meter(domainMQ, prefix+".fatal", fatal)
	b.meter(domainMQ, prefix+".retried", f.sum(famRetries, l))
	b.meter(domainMQ, prefix+".discarded", discarded)
	b.timer(domainMQ, prefix+".processing-time", f.distribution(famProcessing, l, 1000))
	b.histogram(domainMQ, prefix+".queue-time", f.distribution(famQueueTime, l, 1))
	b.histogram(domainMQ, prefix+".retry-counts", f.distribution(famAttempts, l, 1))
	b.histogram(domainMQ, prefix+".size", f.distribution(famSize, l, 1))
	b.counter(domainMQ, prefix+".depth", f.sum(famQueued, l))
	b.counter(domainMQ, prefix+".awaiting-retry", f.sum(famRetrying, l))
	b.counter(domainMQ, prefix+".ignored", superseded)
	b.counter(domainMQ, prefix+".invalidated", superseded)
	put := distribution{}
	if prefix == "global" { // not told apart by command
		put = f.distribution(famPut, labels{}, 1000)
	}
	b.timer(domainMQ, prefix+".message-persistence-time", put)
}

// http builds service times and statuses per route and per leading part of it,
// as upstream does per URI.
func (b *beanBuilder) http() {
	routes := map[string][]string{} // leading part → routes below it
	for _, route := range b.families.values(famSeconds, "route") {
		for _, lead := range leadingParts(route) {
			routes[lead] = append(routes[lead], route)
		}
	}
	for lead, below := range routes {
		var d distribution
		codes := map[string]float64{}
		for _, route := range below {
			for _, m := range b.families[famSeconds].GetMetric() {
				if (labels{"route": route}).match(m) {
					d.add(m.GetHistogram(), 1000)
				}
			}
			for _, m := range b.families[famRequests].GetMetric() {
				if !(labels{"route": route}).match(m) {
					continue
				}
				for _, p := range m.GetLabel() {
					if p.GetName() == "code" {
						codes[p.GetValue()] += m.GetCounter().GetValue()
					}
				}
			}
		}
		b.timer(domainHTTP, lead+".service-time", d)
		for code, n := range codes {
			b.meter(domainHTTP, lead+"."+code, n)
		}
	}
}

// leadingParts of /pdb/cmd/v1 are /pdb, /pdb/cmd and /pdb/cmd/v1. What a
// template leaves open ends the list, and only /pdb counts.
func leadingParts(route string) []string {
	route, _, _ = strings.Cut(route, "{")
	route = strings.TrimSuffix(route, "/")
	if route != "/pdb" && !strings.HasPrefix(route, "/pdb/") {
		return nil
	}
	var out []string
	for i := 1; i < len(route); i++ {
		if route[i] == '/' {
			out = append(out, route[:i])
		}
	}
	return append(out, route)
}

// dlo builds the dead letter office's counters under upstream's curious name,
// and gauges under the name by which upstream's dashboard looks for them.
func (b *beanBuilder) dlo() {
	kinds := map[string]labels{"global": {}}
	for _, command := range b.families.values(famDLOLetters, "command") {
		kinds[command] = labels{"command": command}
	}
	for kind, l := range kinds {
		letters, bytes := b.families.sum(famDLOLetters, l), b.families.sum(famDLOBytes, l)
		b.counter(domainDLO, domainDLO+"."+kind+".messages", letters)
		b.counter(domainDLO, domainDLO+"."+kind+".filesize", bytes)
		b.gauge(domainDLO, kind+".messages", int64(letters))
		b.gauge(domainDLO, kind+".filesize", int64(bytes))
	}
}

// storage builds what is known of upstream's storage metrics: how long the
// commands take, and how many catalogs brought nothing new.
func (b *beanBuilder) storage() {
	f := b.families
	for name, command := range map[string]string{
		"replace-catalog-time": "replace catalog", "replace-facts-time": "replace facts", "store-report-time": "store report",
	} {
		b.timer(domainStorage, name, f.distribution(famApply, labels{"command": command}, 1000))
	}
	catalogs, duplicates := f.sum(famNew, nil), f.sum(famDuplicate, nil)
	b.counter(domainStorage, "new-catalogs", catalogs)
	b.counter(domainStorage, "duplicate-catalogs", duplicates)
	pct := 0.0
	if all := catalogs + duplicates; all > 0 {
		pct = duplicates / all
	}
	b.gauge(domainStorage, "duplicate-pct", pct)
	b.timer(domainStorage, "gc-time", f.distribution(famGC, nil, 1000))
	for name, operation := range map[string]string{
		"gc-catalogs-time": "gc_catalogs", "gc-packages-time": "gc_packages", "gc-fact-paths": "gc_fact_paths", "gc-environments-time": "other",
	} {
		b.timer(domainStorage, name, f.distribution(famGC, labels{"operation": operation}, 1000))
	}
	// Steps that there are not in Dalang. Clients that ask for lists of beans
	// take a missing one for a failure.
	for _, name := range []string{"add-edges", "add-resources", "catalog-hash", "catalog-hash-match-time", "catalog-hash-miss-time",
		"gc-params-time", "gc-report-statuses", "new-catalog-time", "new-fact-time", "resource-hashes"} {
		b.timer(domainStorage, name, distribution{})
	}
	b.histogram(domainStorage, "catalog-volitilty", distribution{}) // upstream's spelling
}

// database builds what upstream's pools of connections tell.
func (b *beanBuilder) database() {
	f := b.families
	for pool, kind := range map[string]string{"PDBReadPool.pool.": "read", "PDBWritePool.pool.": "write"} {
		l := labels{"pool": kind}
		open, used := f.sum(famOpen, l), f.sum(famInUse, l)
		usage, wait, pending := f.distribution(famBatch, nil, 1000), distribution{}, 0.0
		if kind == "read" {
			usage, wait, pending = f.distribution(famQuery, nil, 1000), f.distribution(famQueryWait, nil, 1000), f.sum(famWaiting, nil)
		}
		for name, value := range map[string]float64{"ActiveConnections": used, "IdleConnections": max(open-used, 0), "TotalConnections": open,
			"MaxConnections": f.sum(famMost, l), "MinConnections": 0, "PendingConnections": pending} {
			b.gauge(domainDatabase, pool+name, int64(value))
		}
		b.histogram(domainDatabase, pool+"Usage", usage)
		b.timer(domainDatabase, pool+"Wait", wait)
		b.histogram(domainDatabase, pool+"ConnectionCreation", distribution{})
		b.meter(domainDatabase, pool+"ConnectionTimeoutRate", 0)
	}
}

// double is a number that Java writes with a fraction even where it is none:
// some clients tell integers from others by that.
type double float64

// MarshalJSON writes it as Java does.
func (d double) MarshalJSON() ([]byte, error) { return wireformat.AppendFloat(nil, float64(d)), nil }

// population builds upstream's gauges over what is stored.
func (b *beanBuilder) population(p Population) {
	b.gauge(domainPopulation, "num-nodes", p.ActiveNodes)
	b.gauge(domainPopulation, "num-active-nodes", p.ActiveNodes)
	b.gauge(domainPopulation, "num-inactive-nodes", p.InactiveNodes)
	b.gauge(domainPopulation, "num-resources", p.Resources)
	b.gauge(domainPopulation, "avg-resources-per-node", p.ResourcesPerNode)
	b.gauge(domainPopulation, "pct-resource-dupes", p.DuplicateResources)
}

// admin builds a counter and a timer for each kind of cleanup.
func (b *beanBuilder) admin() {
	for op, names := range map[string][2]string{
		"expire_nodes":          {"node-expirations", "node-expiration-time"},
		"purge_nodes":           {"node-purges", "node-purge-time"},
		"purge_reports":         {"report-purges", "report-purge-time"},
		"purge_resource_events": {"resource-event-purges", "resource-events-purge-time"},
		"gc_packages":           {"package-gcs", "package-gc-time"},
		"gc_catalogs":           {"catalog-gcs", "catalog-gc-time"},
		"gc_fact_paths":         {"fact-path-gcs", "fact-path-gc-time"},
		"other":                 {"other-cleans", "other-clean-time"},
	} {
		d := b.families.distribution(famGC, labels{"operation": op}, 1000)
		b.counter(domainAdmin, names[0], d.count)
		b.timer(domainAdmin, names[1], d)
	}
}

// beans builds all of them, sorted by name.
func (m *Metrics) beans(ctx context.Context) []bean {
	population := m.population(ctx)
	f := m.gather()
	m.mu.Lock()
	b := &beanBuilder{families: f, rates: m.rates, uptime: m.cfg.Now().Sub(m.cfg.Started)}
	b.all()
	m.mu.Unlock()
	b.population(population)
	cleaning := ""
	if m.cfg.Cleaning != nil {
		cleaning = m.cfg.Cleaning()
	}
	b.gauge(domainAdmin, "cleaning", cleaning)
	b.beans = append(b.beans, m.javaBeans(f)...)
	sort.Slice(b.beans, func(i, j int) bool { return b.beans[i].name.String() < b.beans[j].name.String() })
	return b.beans
}
