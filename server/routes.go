package server

import (
	"net/http"
	"slices"

	"github.com/gorilla/mux"

	"dalang/server/orch"
	"dalang/server/pdb"
)

// Handlers is everybody who answers requests. What is nil is not routed.
type Handlers struct {
	Commands *pdb.Commands
	Admin    *pdb.Admin
	Meta     *pdb.Meta
	Status   *pdb.Status
	Metrics  *pdb.Metrics
	// More bring their routes along: the query API, the dead letter office.
	More []Router
	// Orchestrator is /orchestrator and its companions.
	Orchestrator []Companion
	// Files serves the files of tasks to agents, below content.Prefix.
	Files http.Handler
	// Broker takes the websockets of agents, /pcp and /pcp2.
	Broker http.Handler
}

// filesPath begins the paths of files, which are Puppet Server's.
const filesPath = "/puppet/v3/file_content/"

// Router is somebody with routes of his own.
type Router interface{ Routes() []pdb.Route }

// Companion is somebody with routes of the orchestrator's kind.
type Companion interface{ Routes() []orch.Route }

// Table is THE route table: every route of h, in the order in which they are
// tried. docs/api names each of them.
func Table(h Handlers) []pdb.Route {
	var (
		t        []pdb.Route
		get      = []string{http.MethodGet, http.MethodHead}
		getPost  = []string{http.MethodGet, http.MethodHead, http.MethodPost}
		post     = []string{http.MethodPost}
		anything []string // upstream answers most routes to any method
	)
	add := func(methods []string, path string, handle func(http.ResponseWriter, *http.Request) error, doc string) {
		t = append(t, pdb.Route{Methods: methods, Path: path, Handle: handle, Doc: doc})
	}
	if c := h.Commands; c != nil {
		add(get, "/pdb/cmd/v1/{uuid}", c.Lookup, "what became of a command")
		add(anything, "/pdb/cmd/v1", c.Submit, "submit a command")
		add(anything, "/pdb/cmd{rest:/.*}", c.Submit, "validates like a submission, then 404")
	}
	if m := h.Meta; m != nil {
		add(anything, "/pdb/meta/v1/version", m.Version, "PuppetDB version that Dalang is compatible with")
		add(anything, "/pdb/meta/v1/version/latest", m.Latest, "always 404: Dalang does not phone home")
		add(anything, "/pdb/meta/v1/server-time", m.ServerTime, "the server's clock")
	}
	if a := h.Admin; a != nil {
		add(post, "/pdb/admin/v1/cmd", a.Command, "clean or delete")
		add(anything, "/pdb/admin/v1/summary-stats", a.SummaryStats, "sizes and distributions of what is stored")
	}
	if s := h.Status; s != nil {
		add(get, "/status/v1/services", s.Services, "status of all services")
		add(get, "/status/v1/services/{service}", s.Service, "status of one service")
		add(get, "/status/v1/simple", s.Simple, "the state as one word")
		add(get, "/status/v1/simple/{service}", s.SimpleService, "the state of one service as one word")
	}
	if m := h.Metrics; m != nil {
		add(get, "/metrics", m.Prometheus, "metrics for Prometheus")
		add(getPost, "/metrics/v2{path:(?:/.*)?}", m.Jolokia, "metrics as MBeans, for clients of PuppetDB")
		add(get, "/pdb/dashboard/data", m.Dashboard, "the meters of upstream's dashboard")
	}
	for _, more := range h.More {
		t = append(t, more.Routes()...)
	}
	for _, companion := range h.Orchestrator {
		for _, r := range companion.Routes() {
			add(r.Methods, r.Path, r.Handle, r.Doc)
		}
	}
	if h.Files != nil {
		add(get, filesPath+"{path:.*}", func(w http.ResponseWriter, r *http.Request) error {
			h.Files.ServeHTTP(w, r)
			return nil
		}, "files of tasks, for agents and whoever else has a certificate")
	}
	if h.Broker != nil {
		for _, path := range []string{"/pcp2", "/pcp"} {
			// Handler hands their websockets to the broker before it looks here.
			add(get, path+"{type:(?:/.*)?}", unmounted, "websockets of agents: the Puppet Communication Protocol")
		}
	}
	add(get, "/", toLanding, "to `"+landingPath+"`")
	add(get, landingPath, landing, "where to find what")
	return t
}

// routes builds the router from the table.
func (s *Server) routes(h Handlers) http.Handler {
	// Paths are matched as they were sent: a fact called "a/b" is "a%2Fb".
	m := mux.NewRouter().UseEncodedPath().SkipClean(true)
	for _, route := range Table(h) {
		if isOrchestrator(route.Path) {
			route.Handle = orch.Audit(s.cfg.Logger, route.Path, route.Handle)
		}
		r := m.Handle(route.Path, s.handler(route.Path, route.Handle))
		if route.Methods != nil {
			r.Methods(slices.Clone(route.Methods)...) // mux changes what it is given
		}
	}
	missing := s.handler("none", func(_ http.ResponseWriter, r *http.Request) error { return unrouted(m, r) })
	m.NotFoundHandler, m.MethodNotAllowedHandler = missing, missing
	return untrailed(m)
}

func unmounted(http.ResponseWriter, *http.Request) error { return pdb.NotFound() }

// landingPath is where upstream has its dashboard.
const landingPath = "/pdb/dashboard/index.html"

func toLanding(w http.ResponseWriter, r *http.Request) error {
	http.Redirect(w, r, landingPath, http.StatusFound)
	return nil
}

// landing is for people who open the address in a browser, and for upstream's
// dashboard links.
func landing(w http.ResponseWriter, _ *http.Request) error {
	return pdb.WriteText(w, http.StatusOK, `Dalang, in the place of PuppetDB.

  /pdb/query/v4            queries
  /pdb/cmd/v1              commands
  /pdb/admin/v1/dlo        the dead letter office
  /status/v1/services      is it well?
  /orchestrator/v1         jobs: run Puppet on nodes
  /metrics                 metrics for Prometheus
  /metrics/v2              metrics as MBeans
`)
}
