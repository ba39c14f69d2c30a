package orch

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"

	"github.com/gorilla/mux"

	"dalang/orchestrator/job"
)

// The audit log is one event, "audit", for each call that changes something, or
// shows secrets, whether it was let through or not:
//
//	call        method and route: POST /orchestrator/v1/command/task
//	login, user who asked; absent where that is not known
//	certificate common name of the client's certificate, if it showed one
//	remote, request_id
//	            as in the event of the request
//	…           what the call is about: the path's parts, what the handler notes
//	outcome     done, refused, or failed, which is not the caller's fault
//	status, kind
//	            of what is not done
//
// No value of a body is in it but names: of tasks, plans, environments, users.

// Audit adds the audit event to a route. path is the route's template.
func Audit(log *slog.Logger, path string, handle Handler) Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		rec := &record{wanted: changes(r.Method, path)}
		r = r.WithContext(context.WithValue(r.Context(), recordKey{}, rec))
		err, ended := errPanicked, false
		defer func() {
			if !ended || rec.wanted {
				rec.write(log, w, r, path, err)
			}
		}()
		err = handle(w, r)
		ended = true
		return err
	}
}

var errPanicked = errors.New("the handler panicked")

// changes tells whether a call changes something. What is asked by POST only
// because it has a body does not.
func changes(method, path string) bool {
	if method == http.MethodGet || method == http.MethodHead {
		return false
	}
	return !slices.Contains([]string{
		root + "/inventory", "/inventory/v1/query/connections", rbacRoot + "/v1/permitted", rbacRoot + "/v2/auth/token/authenticate",
		classifierRoot + "/v1/rules/translate", classifierRoot + "/v1/classified/nodes/{node}", classifierRoot + "/v2/classified/nodes/{node}",
	}, path)
}

// record is what is known of a call before it has ended.
type record struct {
	wanted bool
	who    []slog.Attr
	what   []slog.Attr
}

type recordKey struct{}

func recordOf(r *http.Request) *record {
	if rec, ok := r.Context().Value(recordKey{}).(*record); ok {
		return rec
	}
	return &record{}
}

// identify notes who asks. owner is a Subject's.
func identify(r *http.Request, owner json.RawMessage) {
	var is struct{ ID, Login string }
	_ = json.Unmarshal(owner, &is) // an object of ours
	rec := recordOf(r)
	rec.who = []slog.Attr{slog.String("login", is.Login)}
	if is.ID != "" {
		rec.who = append(rec.who, slog.String("user_id", is.ID))
	}
}

// note adds to the audit event what a call is about: no secrets.
func note(r *http.Request, attrs ...slog.Attr) {
	rec := recordOf(r)
	rec.what = append(rec.what, attrs...)
}

// noteAlways is note, of a call that would have no audit event otherwise.
func noteAlways(r *http.Request, attrs ...slog.Attr) {
	recordOf(r).wanted = true
	note(r, attrs...)
}

// noteScope notes how a command says its nodes.
func noteScope(r *http.Request, s job.Scope) {
	switch {
	case s.GivenNodes || s.Nodes != nil:
		note(r, slog.String("scope", "nodes"))
	case s.Query != nil:
		note(r, slog.String("scope", "query"))
	case s.NodeGroup != "":
		note(r, slog.String("scope", "node_group"), slog.String("node_group", s.NodeGroup))
	case s.Application != "":
		note(r, slog.String("scope", "application"), slog.String("application", shortened(s.Application)))
	default:
		note(r, slog.String("scope", "whole_environment"))
	}
}

// noteJob notes a job that was made, and how many nodes it has.
func (a *API) noteJob(r *http.Request, id int64) {
	note(r, slog.Int64("job", id))
	if j, err := a.cfg.Jobs.Job(r.Context(), id); err == nil { // else its number has to do
		note(r, slog.Int("nodes", j.NodeCount))
	}
}

func (rec *record) write(log *slog.Logger, w http.ResponseWriter, r *http.Request, path string, err error) {
	attrs := append([]slog.Attr{slog.String("call", r.Method+" "+path)}, rec.who...)
	if cn := verifiedName(r); cn != "" {
		attrs = append(attrs, slog.String("certificate", cn))
	}
	attrs = append(attrs, slog.String("remote", r.RemoteAddr), slog.String("request_id", w.Header().Get("X-Request-Id")))
	vars := mux.Vars(r)
	for _, v := range [...][2]string{{"job", "job"}, {"target", "task_target"}, {"user", "user"}, {"role", "role"}, {"group", "group"}} { // a token is none of them
		name, shown := v[0], v[1]
		if name == "job" && strings.Contains(path, "/scheduled_jobs/") {
			shown = "scheduled_job"
		}
		if _, there := vars[name]; there {
			attrs = append(attrs, slog.String(shown, shortened(pathVar(r, name))))
		}
	}
	attrs = append(attrs, rec.what...)
	log.LogAttrs(r.Context(), slog.LevelInfo, "audit", append(attrs, ended(err)...)...)
}

// ended tells how a call ended.
func ended(err error) []slog.Attr {
	var e *job.Error
	switch {
	case err == nil:
		return []slog.Attr{slog.String("outcome", "done")}
	case errors.As(err, &e) && e.Status > 0 && e.Status < http.StatusInternalServerError:
		return []slog.Attr{slog.String("outcome", "refused"), slog.Int("status", e.Status), slog.String("kind", e.Kind)}
	case errors.As(err, &e) && e.Kind != "":
		return []slog.Attr{slog.String("outcome", "failed"), slog.String("kind", e.Kind)}
	}
	return []slog.Attr{slog.String("outcome", "failed")}
}

// joined is a list for a log: not more of it than can be read.
func joined(names []string) string {
	const most = 20
	if len(names) > most {
		return strings.Join(names[:most], " ") + " …"
	}
	return strings.Join(names, " ")
}
