package pdb

import (
	"context"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strconv"
	"time"

	"github.com/gorilla/mux"
)

// StatusConfig is what NewStatus needs. Everything may be nil or empty: what
// nobody watches counts as well.
type StatusConfig struct {
	Maintenance *Maintenance
	// QueueDepth is the number of commands that wait, retries included.
	QueueDepth func() int
	// ReadDB and WriteDB tell whether the database answers. They get a second.
	ReadDB, WriteDB func(ctx context.Context) error
	// Alerts are things an operator should know although the service runs, such
	// as a full disk: one line each.
	Alerts func() []string
	// More are services beside PuppetDB's two.
	More    []Service
	Version string // default CompatibleVersion
	Started time.Time
	Now     func() time.Time
}

// Service is a service of which /status/v1 tells.
type Service struct {
	Name, Version string
	// Look answers a word of trapperkeeper's (running, starting, stopping,
	// error) and an object of details. It looks at memory only.
	Look func() (state string, details any)
}

// Status answers /status/v1 (spec commands.md §8.1).
type Status struct{ cfg StatusConfig }

// NewStatus fills in defaults.
func NewStatus(cfg StatusConfig) *Status {
	if cfg.Version == "" {
		cfg.Version = CompatibleVersion
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Started.IsZero() {
		cfg.Started = cfg.Now()
	}
	return &Status{cfg}
}

// The two services that upstream registers, and their states.
const (
	servicePuppetDB = "puppetdb-status"
	serviceStatus   = "status-service"

	stateRunning  = "running"
	stateStarting = "starting"
	stateError    = "error"
)

// serviceStatusDoc is the answer about one service. The order of the fields is
// upstream's.
type serviceStatusDoc struct {
	ServiceVersion       string  `json:"service_version"`
	ServiceStatusVersion int     `json:"service_status_version"`
	DetailLevel          string  `json:"detail_level"`
	State                string  `json:"state"`
	Status               any     `json:"status"`
	ActiveAlerts         []alert `json:"active_alerts"`
	ServiceName          string  `json:"service_name,omitempty"`
}

type alert struct {
	Severity string `json:"severity"`
	Message  string `json:"message"`
}

// puppetdbDetails is the status of the service puppetdb-status.
type puppetdbDetails struct {
	Maintenance bool          `json:"maintenance_mode?"`
	QueueDepth  *int          `json:"queue_depth"`
	ReadDB      bool          `json:"read_db_up?"`
	WriteDB     bool          `json:"write_db_up?"`
	WriteDBs    bool          `json:"write_dbs_up?"`
	EachWriteDB map[string]up `json:"write_db"`
}

type up struct {
	Up bool `json:"up?"`
}

// statusParams are the checked parameters of a status request.
type statusParams struct {
	level   string
	timeout time.Duration
}

func (s *Status) params(r *http.Request) (statusParams, error) {
	out := statusParams{level: "info", timeout: 30 * time.Second}
	bad := func(format string, args ...any) error {
		return Kindf(http.StatusBadRequest, "data-invalid", format, args...)
	}
	p, err := ParseParams(r.URL.RawQuery)
	if err != nil {
		return out, bad("%s", err)
	}
	if v, ok := p.Get("level"); ok {
		if v != "critical" && v != "info" && v != "debug" {
			return out, bad("Invalid level: :%s", v)
		}
		out.level = v
	}
	if v, ok := p.Get("timeout"); ok {
		n, ok := javaInt(v)
		switch {
		case !ok:
			return out, bad("Invalid timeout. Should be an integer but was %s", v)
		case n <= 0:
			return out, bad("Invalid timeout. Timeout must be greater than zero but was %d", n)
		}
		out.timeout = time.Duration(n) * time.Second
	}
	if v, ok := p.Get("service_status_version"); ok {
		if n, ok := javaInt(v); !ok {
			return out, bad("Invalid service_status_version. Should be an integer but was %s", v)
		} else if name := mux.Vars(r)["service"]; n != 1 && name != "" {
			return out, Kindf(http.StatusBadRequest, "service-status-version-not-found",
				"No status function with version %d found for service %s", n, name)
		}
	}
	return out, nil
}

// Services answers all services: 200 when PuppetDB's two run, else 503. Clients
// of PuppetDB take it for PuppetDB's state.
func (s *Status) Services(w http.ResponseWriter, r *http.Request) error {
	p, err := s.params(r)
	if err != nil {
		return err
	}
	code, all := http.StatusOK, map[string]*serviceStatusDoc{}
	for _, name := range s.names() {
		doc := s.service(r.Context(), name, p)
		if name == servicePuppetDB || name == serviceStatus {
			code = max(code, statusCode(doc.State))
		}
		all[name] = doc
	}
	return WriteCompact(w, code, all)
}

func (s *Status) names() []string {
	names := []string{servicePuppetDB, serviceStatus}
	for _, more := range s.cfg.More {
		names = append(names, more.Name)
	}
	return names
}

// Service answers one service.
func (s *Status) Service(w http.ResponseWriter, r *http.Request) error {
	p, err := s.params(r)
	if err != nil {
		return err
	}
	name := mux.Vars(r)["service"]
	doc := s.service(r.Context(), name, p)
	if doc == nil {
		return Kindf(http.StatusNotFound, "service-not-found", "No status information found for service %s", name)
	}
	doc.ServiceName = name
	return WriteCompact(w, statusCode(doc.State), doc)
}

// Simple answers the state of everything as one word.
func (s *Status) Simple(w http.ResponseWriter, r *http.Request) error {
	doc := s.service(r.Context(), servicePuppetDB, statusParams{level: "critical", timeout: time.Second})
	return WriteText(w, statusCode(doc.State), doc.State)
}

// SimpleService answers the state of one service as one word.
func (s *Status) SimpleService(w http.ResponseWriter, r *http.Request) error {
	name := mux.Vars(r)["service"]
	doc := s.service(r.Context(), name, statusParams{level: "critical", timeout: time.Second})
	if doc == nil {
		return Textf(http.StatusNotFound, "not found: %s", name)
	}
	return WriteText(w, statusCode(doc.State), doc.State)
}

func statusCode(state string) int {
	if state == stateRunning {
		return http.StatusOK
	}
	return http.StatusServiceUnavailable
}

// service looks at one service; nil when there is none of that name.
func (s *Status) service(ctx context.Context, name string, p statusParams) *serviceStatusDoc {
	doc := &serviceStatusDoc{ServiceStatusVersion: 1, DetailLevel: p.level, State: stateRunning, ActiveAlerts: []alert{}}
	switch name {
	case servicePuppetDB:
		doc.ServiceVersion = s.cfg.Version
		s.puppetdb(ctx, doc, p)
	case serviceStatus:
		doc.ServiceVersion = "1.1.1"
		doc.Status = struct{}{}
		if p.level == "debug" {
			doc.Status = map[string]any{"experimental": map[string]any{"jvm-metrics": s.runtime()}}
		}
	default:
		i := slices.IndexFunc(s.cfg.More, func(more Service) bool { return more.Name == name })
		if i < 0 {
			return nil
		}
		doc.ServiceVersion = s.cfg.More[i].Version
		doc.State, doc.Status = s.cfg.More[i].Look()
	}
	return doc
}

// puppetdb fills in what is known of the database and the queue.
func (s *Status) puppetdb(ctx context.Context, doc *serviceStatusDoc, p statusParams) {
	ctx, cancel := context.WithTimeout(ctx, min(p.timeout, time.Second))
	defer cancel()
	read := make(chan error, 1)
	go func() { read <- probe(ctx, s.cfg.ReadDB) }()
	writeErr := probe(ctx, s.cfg.WriteDB)
	readErr := <-read
	d := puppetdbDetails{
		Maintenance: s.cfg.Maintenance.On(),
		ReadDB:      readErr == nil, WriteDB: writeErr == nil, WriteDBs: writeErr == nil,
		EachWriteDB: map[string]up{"default": {writeErr == nil}},
	}
	if s.cfg.QueueDepth != nil {
		depth := s.cfg.QueueDepth()
		d.QueueDepth = &depth
	}
	switch {
	case d.Maintenance:
		doc.State = stateStarting
	case readErr != nil || writeErr != nil:
		doc.State = stateError
	}
	doc.Status = d
	for _, err := range []error{readErr, writeErr} {
		if err != nil {
			doc.ActiveAlerts = append(doc.ActiveAlerts, alert{"error", err.Error()})
		}
	}
	if s.cfg.Alerts != nil {
		for _, message := range s.cfg.Alerts() {
			doc.ActiveAlerts = append(doc.ActiveAlerts, alert{"warning", message})
		}
	}
}

// probe asks a database and does not wait longer than ctx.
func probe(ctx context.Context, ask func(context.Context) error) error {
	if ask == nil {
		return nil
	}
	done := make(chan error, 1)
	go func() { done <- ask(ctx) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// runtime is what upstream tells of its JVM, told of the Go runtime.
func (s *Status) runtime() map[string]any {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	now := s.cfg.Now()
	return map[string]any{
		"start-time-ms": s.cfg.Started.UnixMilli(),
		"up-time-ms":    now.Sub(s.cfg.Started).Milliseconds(),
		"heap-memory":   map[string]any{"init": 0, "committed": m.HeapSys - m.HeapReleased, "max": -1, "used": m.HeapAlloc},
		"non-heap-memory": map[string]any{
			"init": 0, "committed": m.Sys - m.HeapSys, "max": -1, "used": m.StackInuse + m.OtherSys,
		},
		"gc-stats":  map[string]any{"Go": map[string]any{"count": m.NumGC, "total-time-ms": m.PauseTotalNs / 1e6}},
		"threading": map[string]any{"thread-count": runtime.NumGoroutine(), "peak-thread-count": runtime.NumGoroutine()},
		"name":      strconv.Itoa(os.Getpid()) + "@dalang",
	}
}
