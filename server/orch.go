package server

import (
	"errors"
	"net/http"
	"strings"

	"github.com/gorilla/mux"

	"dalang/orchestrator/job"
	"dalang/server/orch"
	"dalang/server/pdb"
)

// errPanic stands for a handler that panicked; what it said is in the log.
var errPanic = errors.New("a handler panicked")

// isOrchestrator tells whether a path is the orchestrator's or that of one of
// its companions. Their errors have a shape of their own.
func isOrchestrator(path string) bool {
	for _, prefix := range []string{"/orchestrator", "/inventory", "/rbac-api", "/classifier-api"} {
		if path == prefix || strings.HasPrefix(path, prefix+"/") {
			return true
		}
	}
	return false
}

// isPCP tells whether a path is the broker's.
func isPCP(path string) bool {
	for _, prefix := range []string{"/pcp2", "/pcp"} {
		if path == prefix || strings.HasPrefix(path, prefix+"/") {
			return true
		}
	}
	return false
}

// secretPath begins the paths that end with a token.
const secretPath = "/rbac-api/v2/tokens/"

// shownPath is a path as it may be logged: without a token in it.
func shownPath(path string) string {
	if strings.HasPrefix(path, secretPath) {
		return secretPath + "…"
	}
	return path
}

// orchestratorProblem gives an error of the orchestrator its response
// (orchestrator.md §1.3). What is nobody's fault but ours is in the log only.
func orchestratorProblem(r *http.Request, err error) *pdb.Problem {
	var e *job.Error
	if errors.As(err, &e) && e.Status > 0 {
		p := &pdb.Problem{Status: e.Status, Shape: pdb.Details, Message: e.Msg, Kind: e.Kind, Details: e.Details}
		// RBAC's own errors have no details; go-pe-client could not read them.
		if p.Details == nil && e.Status != http.StatusUnauthorized && !strings.HasPrefix(r.URL.Path, "/rbac-api/") {
			p.Details = map[string]any{}
		}
		return p
	}
	plain := *plainProblem(r, err) // which may be err itself, and others' too
	p := &plain
	p.Shape, p.Kind, p.Details = pdb.Details, job.Prefix+"unknown-error", map[string]any{}
	switch p.Status {
	case http.StatusNotFound:
		p.Kind, p.Message, p.Err = job.Prefix+"not-found", "There is no "+shownPath(r.URL.Path), nil
	case http.StatusMethodNotAllowed:
		p.Kind, p.Err = job.Prefix+"method-not-allowed", nil
	case http.StatusInternalServerError:
		p.Message = "An internal error occurred. The server's log has it under this request_id."
	}
	return p
}

// writeDetails writes a problem of shape Details. The request's id finds its
// log event.
func writeDetails(w http.ResponseWriter, p *pdb.Problem) {
	if p.Status == http.StatusInternalServerError && p.Details != nil {
		p.Details["request_id"] = w.Header().Get("X-Request-Id")
	}
	_ = orch.WriteJSON(w, p.Status, struct {
		Kind    string         `json:"kind"`
		Message string         `json:"msg"`
		Details map[string]any `json:"details,omitzero"`
	}{p.Kind, p.Message, p.Details})
}

// unrouted answers a path, or a method, that nobody serves: the orchestrator
// says 405 and which methods there are, PuppetDB 404.
func unrouted(m *mux.Router, r *http.Request) error {
	if !isOrchestrator(r.URL.Path) {
		return pdb.NotFound()
	}
	var allowed []string
	for _, method := range []string{"GET", "HEAD", "POST", "PUT", "DELETE"} {
		var match mux.RouteMatch
		other := *r
		other.Method = method
		if m.Match(&other, &match) && match.MatchErr == nil && match.Route != nil {
			allowed = append(allowed, method)
		}
	}
	if allowed == nil {
		return pdb.NotFound()
	}
	told, are := allowed[len(allowed)-1], "is"
	if before := allowed[:len(allowed)-1]; len(before) > 0 {
		told, are = strings.Join(before, ", ")+" and "+told, "are"
	}
	p := pdb.Textf(http.StatusMethodNotAllowed, "%s is not answered here; %s %s", r.Method, told, are)
	p.Header = map[string]string{"Allow": strings.Join(allowed, ", ")}
	return p
}

// untrailed takes the slash at the end of the orchestrator's paths away: they
// mean the same with and without.
func untrailed(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if path := r.URL.Path; isOrchestrator(path) && strings.HasSuffix(path, "/") {
			u := *r.URL
			u.Path, u.RawPath = strings.TrimRight(u.Path, "/"), strings.TrimRight(u.RawPath, "/")
			other := *r
			other.URL = &u
			r = &other
		}
		next.ServeHTTP(w, r)
	})
}
