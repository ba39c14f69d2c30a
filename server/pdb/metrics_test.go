package pdb

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/stretchr/testify/require"
)

// fixture is a registry as the other packages fill it.
func fixture(t *testing.T) (*Metrics, *prometheus.Registry) {
	t.Helper()
	reg := prometheus.NewRegistry()
	f := promauto.With(reg)
	kind := []string{"command", "version"}
	received := f.NewCounterVec(prometheus.CounterOpts{Name: famReceived}, kind)
	received.WithLabelValues("replace facts", "5").Add(7)
	received.WithLabelValues("store report", "8").Add(3)
	finished := f.NewCounterVec(prometheus.CounterOpts{Name: famFinished}, append(kind, "outcome"))
	finished.WithLabelValues("replace facts", "5", "processed").Add(4)
	finished.WithLabelValues("replace facts", "5", "superseded").Add(2)
	finished.WithLabelValues("store report", "8", "duplicate").Add(1)
	finished.WithLabelValues("store report", "8", "discarded").Add(1)
	processing := f.NewHistogramVec(prometheus.HistogramOpts{Name: famProcessing, Buckets: []float64{.01, .1, 1}}, kind)
	for range 10 {
		processing.WithLabelValues("replace facts", "5").Observe(.05)
	}
	f.NewGaugeVec(prometheus.GaugeOpts{Name: famQueued}, kind).WithLabelValues("store report", "8").Set(1)
	f.NewGauge(prometheus.GaugeOpts{Name: famRetrying}).Set(1)
	letters := []string{"command", "cause"}
	f.NewGaugeVec(prometheus.GaugeOpts{Name: famDLOLetters}, letters).WithLabelValues("store report", "parse").Set(2)
	f.NewGaugeVec(prometheus.GaugeOpts{Name: famDLOBytes}, letters).WithLabelValues("store report", "parse").Set(99)
	route := []string{"route"}
	seconds := f.NewHistogramVec(prometheus.HistogramOpts{Name: famSeconds, Buckets: []float64{.01}}, route)
	seconds.WithLabelValues("/pdb/cmd/v1").Observe(.001)
	seconds.WithLabelValues("/pdb/query/v4/nodes/{node}").Observe(.001)
	seconds.WithLabelValues("none").Observe(.001)
	f.NewCounterVec(prometheus.CounterOpts{Name: famRequests}, []string{"route", "method", "code"}).
		WithLabelValues("/pdb/cmd/v1", "POST", "200").Add(5)
	f.NewHistogramVec(prometheus.HistogramOpts{Name: famGC}, []string{"operation"}).WithLabelValues("purge_nodes").Observe(1)
	for _, g := range []struct {
		name, pool string
		value      float64
	}{{famOpen, "read", 4}, {famInUse, "read", 3}, {famOpen, "write", 1}} {
		f.NewGauge(prometheus.GaugeOpts{Name: g.name, ConstLabels: prometheus.Labels{"pool": g.pool}}).Set(g.value)
	}
	f.NewGauge(prometheus.GaugeOpts{Name: famWaiting}).Set(2)
	start := time.Now()
	m := NewMetrics(MetricsConfig{Gatherer: reg, Started: start, Now: func() time.Time { return start.Add(10 * time.Second) },
		Cleaning: func() string { return "purge_nodes" },
		Population: func(context.Context) (Population, error) {
			return Population{ActiveNodes: 6, InactiveNodes: 1, Resources: 60, ResourcesPerNode: 10, DuplicateResources: .5}, nil
		}})
	return m, reg
}

// read asks for a path below /metrics/v2.
func read(t *testing.T, m *Metrics, path string) map[string]any {
	t.Helper()
	w, p := ask(t, "/metrics/v2{path:(?:/.*)?}", "GET", "/metrics/v2"+path, "", m.Jolokia)
	require.Nil(t, p)
	require.Equal(t, 200, w.Code)
	var out map[string]any
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &out), w.Body.String())
	return out
}

func TestMBeanValues(t *testing.T) {
	m, _ := fixture(t)
	for path, want := range map[string]any{
		"puppetlabs.puppetdb.mq:name=global.seen/Count":                                      10.0,
		"puppetlabs.puppetdb.mq:name=global.processed/Count":                                 5.0,
		"puppetlabs.puppetdb.mq:name=global.processed/MeanRate":                              .5,
		"puppetlabs.puppetdb.mq:name=global.ignored/Count":                                   2.0,
		"puppetlabs.puppetdb.mq:name=global.discarded/Count":                                 1.0,
		"puppetlabs.puppetdb.mq:name=global.fatal/Count":                                     1.0,
		"puppetlabs.puppetdb.mq:name=store%20report.8.fatal/Count":                           0.0,
		"puppetlabs.puppetdb.mq:name=global.depth/Count":                                     1.0,
		"puppetlabs.puppetdb.mq:name=global.awaiting-retry/Count":                            1.0,
		"puppetlabs.puppetdb.mq:name=replace%20facts.5.seen/Count":                           7.0,
		"puppetlabs.puppetdb.mq:name=replace%20facts.5.processing-time/Count":                10.0,
		"puppetlabs.puppetdb.mq:name=global.processing-time/Mean":                            50.0,
		"puppetlabs.puppetdb.mq:name=global.processing-time/50thPercentile":                  55.0,
		"puppetlabs.puppetdb.mq:name=global.processing-time/Min":                             10.0,
		"puppetlabs.puppetdb.mq:name=global.processing-time/Max":                             100.0,
		"puppetlabs.puppetdb.mq:name=global.size/Count":                                      0.0,
		"puppetlabs.puppetdb.population:name=num-nodes/Value":                                6.0,
		"puppetlabs.puppetdb.population:name=num-inactive-nodes/Value":                       1.0,
		"puppetlabs.puppetdb.population:name=pct-resource-dupes/Value":                       .5,
		"puppetlabs.puppetdb.dlo:name=puppetlabs.puppetdb.dlo.global.messages/Count":         2.0,
		"puppetlabs.puppetdb.dlo:name=puppetlabs.puppetdb.dlo.store%20report.filesize/Count": 99.0,
		"puppetlabs.puppetdb.http:name=!/pdb!/cmd!/v1.200/Count":                             5.0,
		"puppetlabs.puppetdb.http:name=!/pdb.service-time/Count":                             2.0,
		"puppetlabs.puppetdb.http:name=!/pdb!/query!/v4!/nodes.service-time/Count":           1.0,
		"puppetlabs.puppetdb.admin:name=cleaning/Value":                                      "purge_nodes",
		"puppetlabs.puppetdb.admin:name=node-purges/Count":                                   1.0,
		"puppetlabs.puppetdb.database:name=PDBReadPool.pool.ActiveConnections/Value":         3.0,
		"puppetlabs.puppetdb.database:name=PDBReadPool.pool.IdleConnections/Value":           1.0,
		"puppetlabs.puppetdb.database:name=PDBReadPool.pool.TotalConnections/Value":          4.0,
		"puppetlabs.puppetdb.database:name=PDBReadPool.pool.PendingConnections/Value":        2.0,
		"puppetlabs.puppetdb.database:name=PDBWritePool.pool.TotalConnections/Value":         1.0,
		"java.lang:type=Runtime/Uptime":                                                      10000.0,
	} {
		out := read(t, m, "/read/"+path)
		require.Equal(t, 200.0, out["status"], "%s: %v", path, out)
		require.InDelta(t, 0, diff(out["value"], want), 1e-9, "%s: %v", path, out)
	}
	require.Equal(t, map[string]any{"Value": 6.0}, read(t, m, "/read/puppetlabs.puppetdb.population:name=num-nodes")["value"],
		"puppetboard reads .value.Value")
}

// diff is 0 for equal values.
func diff(a, b any) float64 {
	x, okX := a.(float64)
	y, okY := b.(float64)
	if okX && okY {
		return x - y
	}
	if a == b {
		return 0
	}
	return 1
}

// TestMBeanAttributes holds the names of attributes against those that a real
// PuppetDB answers.
func TestMBeanAttributes(t *testing.T) {
	m, _ := fixture(t)
	meter := []string{"Count", "FifteenMinuteRate", "FiveMinuteRate", "MeanRate", "OneMinuteRate", "RateUnit"}
	spread := []string{"50thPercentile", "75thPercentile", "95thPercentile", "98thPercentile", "999thPercentile", "99thPercentile", "Max", "Mean", "Min", "StdDev"}
	with := func(a []string, b ...string) []string {
		all := append(slices.Clone(a), b...)
		slices.Sort(all)
		return all
	}
	for bean, want := range map[string][]string{
		"puppetlabs.puppetdb.mq:name=global.processed":                meter,
		"puppetlabs.puppetdb.mq:name=global.processing-time":          with(append(meter, spread...), "DurationUnit"),
		"puppetlabs.puppetdb.mq:name=global.queue-time":               with(spread, "Count", "SnapshotSize"),
		"puppetlabs.puppetdb.mq:name=global.depth":                    {"Count"},
		"puppetlabs.puppetdb.storage:name=duplicate-pct":              {"Value"},
		"puppetlabs.puppetdb.mq:name=global.message-persistence-time": with(append(meter, spread...), "DurationUnit"),
		"puppetlabs.puppetdb.mq:name=replace%20catalog.6.seen":        meter, // none was ever received
		"puppetlabs.puppetdb.mq:name=configure%20expiration.1.depth":  {"Count"},
		"puppetlabs.puppetdb.storage:name=add-resources":              with(append(meter, spread...), "DurationUnit"),
		"puppetlabs.puppetdb.storage:name=catalog-volitilty":          with(spread, "Count", "SnapshotSize"),
		"puppetlabs.puppetdb.database:name=PDBReadPool.pool.Usage":    with(spread, "Count", "SnapshotSize"),
		"puppetlabs.puppetdb.database:name=PDBWritePool.pool.Wait":    with(append(meter, spread...), "DurationUnit"),
		"java.lang:type=Memory":                                       {"HeapMemoryUsage", "NonHeapMemoryUsage", "ObjectName", "ObjectPendingFinalizationCount", "Verbose"},
	} {
		got := read(t, m, "/read/"+bean)["value"].(map[string]any)
		require.Equal(t, want, slices.Sorted(maps.Keys(got)), bean)
	}
	heap := read(t, m, "/read/java.lang:type=Memory/HeapMemoryUsage")["value"].(map[string]any)
	require.Equal(t, []string{"committed", "init", "max", "used"}, slices.Sorted(maps.Keys(heap)))
	require.Positive(t, heap["used"])
	for _, name := range []string{"seen", "processed", "fatal", "retried", "discarded", "processing-time", "queue-time", "retry-counts", "size",
		"depth", "invalidated", "ignored", "awaiting-retry", "message-persistence-time", "concurrent-depth", "command-parse-time"} {
		require.Equal(t, 200.0, read(t, m, "/read/puppetlabs.puppetdb.mq:name=global."+name)["status"], name)
	}
}

// TestJolokiaAnswers holds whole answers against those of Jolokia 1.7.1 as
// PuppetDB runs it. VALUE and TIME stand for what varies.
func TestJolokiaAnswers(t *testing.T) {
	m, _ := fixture(t)
	tests := []struct{ path, want string }{
		{"/read/java.lang:type=Memory/HeapMemoryUsage/used", `{"request":{"path":"used","mbean":"java.lang:type=Memory","attribute":"HeapMemoryUsage","type":"read"},"value":"VALUE","timestamp":"TIME","status":200}`},
		{"/read/java.lang:type=Memory/*", `{"request":{"mbean":"java.lang:type=Memory","type":"read"},"value":"VALUE","timestamp":"TIME","status":200}`},
		{"/read/java.lang:type=Memory/HeapMemoryUsage/nope", `{"request":{"path":"nope","mbean":"java.lang:type=Memory","attribute":"HeapMemoryUsage","type":"read"},"value":null,"timestamp":"TIME","status":200}`},
		{"/read/java.lang:type=Memory/HeapMemoryUsage,NonHeapMemoryUsage", `{"request":{"mbean":"java.lang:type=Memory","attribute":["HeapMemoryUsage","NonHeapMemoryUsage"],"type":"read"},"value":"VALUE","timestamp":"TIME","status":200}`},
		{"/read/nosuch:name=x", `{"request":{"mbean":"nosuch:name=x","type":"read"},"error_type":"javax.management.InstanceNotFoundException","error":"javax.management.InstanceNotFoundException : nosuch:name=x","status":404}`},
		{"/read/nosuch", `{"error_type":"java.lang.IllegalArgumentException","error":"java.lang.IllegalArgumentException : Invalid object name. Key properties cannot be empty","status":400}`},
		{"/search/bad", `{"error_type":"java.lang.IllegalArgumentException","error":"java.lang.IllegalArgumentException : Invalid object name. Key properties cannot be empty","status":400}`},
		{"/read/java.lang:type=Memory/Nope", `{"request":{"mbean":"java.lang:type=Memory","attribute":"Nope","type":"read"},"error_type":"javax.management.AttributeNotFoundException","error":"javax.management.AttributeNotFoundException : No such attribute: Nope","status":404}`},
		{"/read/java.lang:type=Memory/Nope,Verbose?ignoreErrors=true", `{"request":{"mbean":"java.lang:type=Memory","attribute":["Nope","Verbose"],"type":"read"},"value":"VALUE","timestamp":"TIME","status":200}`},
		{"/read/puppetlabs.puppetdb.http:name=%2Fpdb%2Fcmd%2Fv1.200", `{"request":{"path":"cmd/v1.200","mbean":"puppetlabs.puppetdb.http:name=","attribute":"pdb","type":"read"},"error_type":"javax.management.InstanceNotFoundException","error":"javax.management.InstanceNotFoundException : puppetlabs.puppetdb.http:name=","status":404}`},
		{"/write/java.lang:type=Memory/Verbose/true", `{"request":{"mbean":"java.lang:type=Memory","type":"write","attribute":"Verbose","value":"true"},"error_type":"java.lang.Exception","error":"java.lang.Exception : Writing attribute Verbose forbidden for MBean java.lang:type=Memory","status":403}`},
		{"/read/none:*", `{"request":{"mbean":"none:*","type":"read"},"error_type":"javax.management.InstanceNotFoundException","error":"javax.management.InstanceNotFoundException : No MBean with pattern none:* found for reading attributes","status":404}`},
		{"/search/*:name=num-*", `{"request":{"mbean":"*:name=num-*","type":"search"},"value":["puppetlabs.puppetdb.population:name=num-active-nodes","puppetlabs.puppetdb.population:name=num-inactive-nodes","puppetlabs.puppetdb.population:name=num-nodes","puppetlabs.puppetdb.population:name=num-resources"],"timestamp":"TIME","status":200}`},
		{"/search/none:*", `{"request":{"mbean":"none:*","type":"search"},"value":[],"timestamp":"TIME","status":200}`},
		{"/list/nosuch", `{"request":{"path":"nosuch","type":"list"},"value":{},"timestamp":"TIME","status":200}`},
		{"/list/java.lang/type=Nope", `{"request":{"path":"java.lang/type=Nope","type":"list"},"error_type":"java.lang.IllegalArgumentException","error":"java.lang.IllegalArgumentException : No MBean 'java.lang:type=Nope' found","status":400}`},
		{"/list/java.lang/type=Memory/attr", `{"request":{"path":"java.lang/type=Memory/attr","type":"list"},"value":"VALUE","timestamp":"TIME","status":200}`},
		{"/exec/java.lang:type=Memory/gc", `{"request":{"mbean":"java.lang:type=Memory","type":"exec","operation":"gc"},"error_type":"java.lang.Exception","error":"java.lang.Exception : Operation gc forbidden for MBean java.lang:type=Memory","status":403}`},
		{"/bogus", `{"error_type":"java.lang.IllegalArgumentException","error":"java.lang.IllegalArgumentException : No type with name 'bogus' exists","status":400}`},
		{"/read", `{"error_type":"java.lang.IllegalArgumentException","error":"java.lang.IllegalArgumentException : Invalid arguments in pathinfo /read for command READ","status":400}`},
		{"", `{"request":{"type":"version"},"value":"VALUE","timestamp":"TIME","status":200}`},
		{"/", `{"request":{"type":"version"},"value":"VALUE","timestamp":"TIME","status":200}`},
	}
	for _, tt := range tests {
		t.Run(tt.path, func(t *testing.T) {
			got := read(t, m, tt.path)
			if strings.Contains(tt.want, "VALUE") {
				require.NotEmpty(t, got["value"])
				got["value"] = "VALUE"
			}
			if _, ok := got["timestamp"].(float64); ok {
				got["timestamp"] = "TIME"
			}
			text, err := json.Marshal(got)
			require.NoError(t, err)
			require.JSONEq(t, tt.want, string(text))
		})
	}
	w, _ := ask(t, "/metrics/v2{path:(?:/.*)?}", "GET", "/metrics/v2/read/puppetlabs.puppetdb.mq:name=global.seen/FiveMinuteRate", "", m.Jolokia)
	require.Contains(t, w.Body.String(), `"value":0.0`, "a double has a fraction, as Java writes it")
	depth := read(t, m, "/list?maxDepth=1")["value"].(map[string]any)
	require.Equal(t, "1", depth["java.lang"])
	pattern := read(t, m, "/read/java.lang:type=*/Name")["value"].(map[string]any)
	require.Equal(t, []string{"java.lang:type=OperatingSystem", "java.lang:type=Runtime"}, slices.Sorted(maps.Keys(pattern)))
}

func TestJolokiaByPost(t *testing.T) {
	m, _ := fixture(t)
	options := ""
	post := func(body string) any {
		w, p := ask(t, "/metrics/v2{path:(?:/.*)?}", "POST", "/metrics/v2/"+options, body, m.Jolokia)
		require.Nil(t, p)
		var out any
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &out))
		return out
	}
	one := post(`{"type":"READ","mbean":"puppetlabs.puppetdb.population:name=num-nodes","attribute":"Value"}`).(map[string]any)
	require.Equal(t, 6.0, one["value"])
	require.Equal(t, map[string]any{"type": "read", "mbean": "puppetlabs.puppetdb.population:name=num-nodes", "attribute": "Value"}, one["request"])
	require.Positive(t, post(`{"type":"read","mbean":"java.lang:type=Memory","attribute":"HeapMemoryUsage","path":"used"}`).(map[string]any)["value"])
	both := post(`{"type":"read","mbean":"java.lang:type=Memory","attribute":["HeapMemoryUsage","Verbose"]}`).(map[string]any)["value"]
	require.Len(t, both, 2)
	options = "?ignoreErrors=true&maxDepth=1" // as jolokia.js sends them
	require.Equal(t, map[string]any{"Verbose": false, "Nope": "ERROR: No such attribute: Nope (class javax.management.AttributeNotFoundException)"},
		post(`{"type":"read","mbean":"java.lang:type=Memory","attribute":["Nope","Verbose"]}`).(map[string]any)["value"])
	require.Equal(t, "1", post(`{"type":"list"}`).(map[string]any)["value"].(map[string]any)["java.lang"])
	options = ""
	bulk := post(`[{"type":"version"},{"type":"read","mbean":"no:a=b"},{"type":"search","mbean":"java.lang:type=M*"},
		{"type":"list","path":"java.lang/type=Memory"},{"type":"bogus"},5]`).([]any)
	var statuses []float64
	for _, answer := range bulk {
		statuses = append(statuses, answer.(map[string]any)["status"].(float64))
	}
	require.Equal(t, []float64{200, 404, 200, 200, 400, 400}, statuses)
	require.Equal(t, []any{}, post(`[]`))
	for body, want := range map[string]string{
		`junk`: "Invalid JSON request junk", `{"mbean":"x"}`: "No type given", `{"type":"bogus"}`: "No type with name 'bogus' exists",
		`[junk]`: "Invalid JSON request [junk]",
	} {
		require.Equal(t, "java.lang.IllegalArgumentException : "+want, post(body).(map[string]any)["error"])
	}
}

func TestObjectNames(t *testing.T) {
	for pattern, names := range map[string]map[string]bool{
		"a:b=c":      {"a:b=c": true, "a:b=d": false, "a:b=c,d=e": false, "x:b=c": false},
		"a:d=e,b=c":  {"a:b=c,d=e": true},
		"a:b=c,*":    {"a:b=c": true, "a:b=c,d=e": true, "a:d=e": false},
		"*:*":        {"a:b=c": true},
		"a*:b=?x*":   {"abc:b=1x": true, "a:b=11x": false, "a:b=1xyz": true},
		"a:b=*a*b*c": {"a:b=xaxbxc": true, "a:b=abcab": false},
	} {
		p, err := parseObjectName(pattern)
		require.NoError(t, err)
		for name, want := range names {
			n, err := parseObjectName(name)
			require.NoError(t, err)
			require.Equal(t, want, p.matches(n), "%s %s", pattern, name)
		}
	}
	for _, bad := range []string{"", "a", "a:", "a:b", "a:=c", "a:b=c,d"} {
		_, err := parseObjectName(bad)
		require.Error(t, err, bad)
	}
	n, err := parseObjectName(`a:name="x,y\"",b=1`)
	require.NoError(t, err)
	require.Equal(t, `a:b=1,name="x,y\""`, n.String())
}

func FuzzJolokia(f *testing.F) {
	for _, s := range []string{"/read/java.lang:type=Memory/HeapMemoryUsage", "/search/*:name=a*b*", "/list/a!/b", `[{"type":"list"}]`, "/read/!"} {
		f.Add(s)
	}
	beans := []bean{{name: objectName{"java.lang", [][2]string{{"type", "Memory"}}, false}, attrs: map[string]any{"HeapMemoryUsage": map[string]any{"used": 1}}}}
	f.Fuzz(func(t *testing.T, s string) {
		for _, answer := range []any{jolokiaPath(beans, s, s, time.Now()), jolokiaBody(beans, []byte(s), s, time.Now())} {
			_, err := Compact(answer)
			require.NoError(t, err)
		}
		parts := splitJolokia("/" + strings.TrimPrefix(url.PathEscape(s), "/"))
		require.Equal(t, parts, splitJolokia("/"+joinJolokia(parts)))
	})
}

func TestMovingAverages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reg := prometheus.NewRegistry()
		received := promauto.With(reg).NewCounterVec(prometheus.CounterOpts{Name: famReceived}, []string{"command", "version"}).
			WithLabelValues("replace facts", "5")
		m := NewMetrics(MetricsConfig{Gatherer: reg})
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- m.Run(ctx) }()
		rate := func(window string) float64 {
			return read(t, m, "/read/puppetlabs.puppetdb.mq:name=global.seen/"+window)["value"].(float64)
		}
		for range 24 { // two minutes of ten commands a second
			received.Add(50)
			time.Sleep(tickTime)
			synctest.Wait()
		}
		require.InDelta(t, 10, rate("OneMinuteRate"), .01)
		require.InDelta(t, 10, rate("MeanRate"), .01)
		time.Sleep(time.Minute)
		synctest.Wait()
		require.InDelta(t, 10/2.718281828, rate("OneMinuteRate"), .01, "codahale's decay")
		require.InDelta(t, 8.19, rate("FiveMinuteRate"), .01)
		cancel()
		require.NoError(t, <-done)
	})
}

func TestMetricsSurviveTrouble(t *testing.T) {
	reg := prometheus.NewRegistry()
	m := NewMetrics(MetricsConfig{Gatherer: reg, Population: func(context.Context) (Population, error) { return Population{}, errors.New("locked") }})
	require.Equal(t, 0.0, read(t, m, "/read/puppetlabs.puppetdb.population:name=num-nodes/Value")["value"])
	w, p := ask(t, "/metrics", "GET", "/metrics", "", m.Prometheus)
	require.Nil(t, p)
	require.Equal(t, 200, w.Code)
}

func TestDashboard(t *testing.T) {
	m, _ := fixture(t)
	w, p := ask(t, "/x", "GET", "/x", "", m.Dashboard)
	require.Nil(t, p)
	var meters []meterDoc
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &meters))
	require.Len(t, meters, 19)
	ids := map[string]bool{}
	for _, meter := range meters {
		ids[meter.ID] = true
	}
	require.Len(t, ids, 19)
	require.Equal(t, 6.0, meters[1].Value)
	require.Nil(t, meters[15].Value, "nobody asked for resources yet")
	require.Equal(t, 2.0, meters[18].Value)
}
