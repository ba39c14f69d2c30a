package pdb

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/gorilla/mux"

	"dalang/store/query"
	"dalang/store/query/ast"
)

// Queries answers /pdb/query/v4.
type Queries struct{ cfg QueryConfig }

// QueryConfig is what Queries needs. Engine is required.
type QueryConfig struct {
	Engine *query.Engine
	Pretty bool // pretty-print unless a request says otherwise
}

// NewQueries makes the handlers of the query API.
func NewQueries(cfg QueryConfig) *Queries { return &Queries{cfg} }

// endpoint is one route of the query API.
type endpoint struct {
	entity string
	active bool // only active nodes
	params params
	parent query.Parent // must exist; its name is the route variable of that name
	// filters are pairs of a field and the route variable that it must equal.
	filters []string
	single  bool   // one object, 404 when there is none
	only    string // the bare data of this field
	// aggregate counts the subjects of event counts.
	aggregate bool
}

// missing is the answer when a thing that a route is about is not known.
func missing(kind query.Parent, id string) error {
	return JSONf(http.StatusNotFound, "No information is known about %s %s", kind, id)
}

// handle answers one endpoint.
func (q *Queries) handle(e endpoint) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		if err := admit(r); err != nil {
			return err
		}
		req, err := q.request(r, e)
		if err != nil {
			return err
		}
		vars, err := captures(r)
		if err != nil {
			return err
		}
		req.Entity, req.ActiveOnly = e.entity, e.active
		if e.aggregate {
			req.Events.Aggregate = true
		}
		for i := 0; i+1 < len(e.filters); i += 2 {
			if v, ok := vars[e.filters[i+1]]; ok {
				req.Restrict = append(req.Restrict, ast.List(ast.Str("="), ast.Str(e.filters[i]), ast.Str(v)))
			}
		}
		if e.parent != "" && !e.single {
			found, err := q.cfg.Engine.Exists(r.Context(), req.Request, e.parent, vars[string(e.parent)])
			if err != nil {
				return failed(err, req.hints)
			}
			if !found {
				return missing(e.parent, vars[string(e.parent)])
			}
		}
		switch {
		case e.single:
			req.PackageInventory = false // as upstream, which forwards no more than the expiration of facts
			return q.object(r.Context(), w, req, e.parent, vars[string(e.parent)])
		case e.only != "":
			return q.data(r.Context(), w, req, e.only)
		case req.astOnly:
			return q.syntax(w, req)
		}
		return q.rows(r.Context(), w, req)
	}
}

// admit checks what all queries have in common.
func admit(r *http.Request) error {
	if err := checkSyncVersion(r); err != nil {
		return err
	}
	if r.Method != http.MethodGet && r.Method != http.MethodPost {
		return Textf(http.StatusBadRequest, "PuppetDB queries must be made via GET/POST")
	}
	if err := CheckAccept(r); err != nil {
		return err
	}
	return CheckContentType(r)
}

// syncVersion is upstream's protocol by which servers copy from each other.
const syncVersion = 1

// checkSyncVersion refuses another server that speaks another version of it
// (spec query.md §1.1).
func checkSyncVersion(r *http.Request) error {
	given := r.Header.Values("X-Pdb-Sync-Ver")
	if len(given) == 0 {
		return nil
	}
	text := strings.Join(given, ",")
	switch n, ok := javaInt(text); {
	case !ok:
		return refuse("The x-pdb-sync-ver header: %s cannot be converted to an int.", text)
	case n != syncVersion:
		return Textf(http.StatusConflict, "Conflicting PDB sync versions, each PDB syncing must be on the same version")
	}
	return nil
}

// captures decodes the parts of the raw path: a title may hold a slash.
func captures(r *http.Request) (map[string]string, error) {
	vars := map[string]string{}
	for k, raw := range mux.Vars(r) {
		v, err := url.PathUnescape(raw)
		if err != nil {
			return nil, Textf(http.StatusBadRequest, "Malformed escape in the path; a percent sign is written as %%25")
		}
		vars[k] = strings.ToValidUTF8(v, "\uFFFD")
	}
	return vars, nil
}

// failed maps the errors of queries that no row was sent of. At the root people
// write queries, and a hint follows upstream's text.
func failed(err error, hints bool) error {
	var mistake *query.Error
	var slow *query.TimeoutError
	switch {
	case errors.As(err, &mistake):
		if hints && mistake.Hint != "" {
			return Textf(http.StatusBadRequest, "%s\n\n%s", mistake.Message, mistake.Hint)
		}
		return Textf(http.StatusBadRequest, "%s", mistake.Message)
	case errors.As(err, &slow):
		p := Textf(http.StatusInternalServerError, "%s", slow.Error())
		p.Err = err
		return p
	}
	return err
}

// syntax answers ast_only: the query itself, once it was found to be right.
func (q *Queries) syntax(w http.ResponseWriter, req *request) error {
	if err := q.cfg.Engine.Check(req.Request); err != nil {
		return failed(err, req.hints)
	}
	return write(w, http.StatusOK, TypeJSON, AppendPretty(nil, req.Query.JSON()))
}

// first is a sink that keeps the first row.
type first struct{ row []byte }

func (f *first) Begin(query.Head) error { return nil }

func (f *first) Row(json []byte) error {
	if f.row == nil {
		f.row = bytes.Clone(json)
	}
	return nil
}

// object answers a route about one thing; query and paging are ignored.
func (q *Queries) object(ctx context.Context, w http.ResponseWriter, req *request, kind query.Parent, id string) error {
	req.Query, req.Paging, req.Explain = nil, query.Paging{}, false
	var f first
	if err := q.cfg.Engine.Run(ctx, req.Request, &f); err != nil {
		return failed(err, req.hints)
	}
	if f.row == nil {
		return missing(kind, id)
	}
	return write(w, http.StatusOK, TypeJSON, AppendPretty(nil, f.row))
}

// data answers a route about one field of a report.
func (q *Queries) data(ctx context.Context, w http.ResponseWriter, req *request, field string) error {
	req.Only = field
	var f first
	if err := q.cfg.Engine.Run(ctx, req.Request, &f); err != nil {
		return failed(err, req.hints)
	}
	if f.row == nil {
		f.row = []byte("null")
	}
	return write(w, http.StatusOK, TypeJSON, f.row)
}

// rows answers with an array of rows.
func (q *Queries) rows(ctx context.Context, w http.ResponseWriter, req *request) error {
	out := newArray(w, req.pretty)
	err := q.cfg.Engine.Run(ctx, req.Request, out)
	if err == nil {
		return out.end()
	}
	if !out.begun {
		return failed(err, req.hints)
	}
	out.abort(err)
	return err
}
