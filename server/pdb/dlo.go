package pdb

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"

	"github.com/gorilla/mux"

	"dalang/dlo"
	"dalang/wireformat"
)

// DLO answers /pdb/admin/v1/dlo: the dead letter office. docs/dead-letter-office.md
// specifies it. Errors are {"error": …}.
type DLO struct {
	office *dlo.Office
	submit dlo.Submitter
}

// NewDLO makes the handlers of an office; replayed letters go to submit.
func NewDLO(office *dlo.Office, submit dlo.Submitter) *DLO { return &DLO{office, submit} }

// Routes lists the routes of the dead letter office.
func (d *DLO) Routes() []Route {
	const base = "/pdb/admin/v1/dlo"
	route := func(method, path string, f func(http.ResponseWriter, *http.Request) error, doc string) Route {
		methods := []string{method}
		if method == http.MethodGet {
			methods = append(methods, http.MethodHead)
		}
		return Route{Methods: methods, Path: base + path, Doc: doc,
			Handle: func(w http.ResponseWriter, r *http.Request) error { return dloProblem(w, f(w, r)) }}
	}
	return []Route{
		route(http.MethodGet, "", d.List, "letters in the dead letter office"),
		route(http.MethodDelete, "", d.DeleteMany, "delete letters"),
		route(http.MethodGet, "/stats", d.Stats, "letters counted by cause"),
		route(http.MethodGet, "/export", d.Export, "letters as a tar.gz"),
		route(http.MethodPost, "/replay", d.Replay, "submit letters again"),
		route(http.MethodPost, "/prune", d.Prune, "delete letters by age and size"),
		route(http.MethodGet, "/{id}", d.Get, "the diagnosis of a letter"),
		route(http.MethodDelete, "/{id}", d.Delete, "delete a letter"),
		route(http.MethodGet, "/{id}/body", d.Body, "the body of a letter"),
		route(http.MethodPut, "/{id}/body", d.Replace, "put a mended body in the place of a letter's"),
	}
}

// defaultPage is how many letters a listing has when nobody says.
const defaultPage = 1000

// List answers the letters that a filter chooses, newest first.
func (d *DLO) List(w http.ResponseWriter, r *http.Request) error {
	q := newDLOQuery(r)
	f := q.filter()
	page := dlo.Page{Limit: q.number("limit", defaultPage), Offset: q.number("offset", 0),
		OldestFirst: q.choice("order", "desc", "asc") == "asc"}
	if err := q.done(); err != nil {
		return err
	}
	l, err := d.office.List(r.Context(), f, page)
	if err != nil {
		return err
	}
	return WriteJSON(w, http.StatusOK, l)
}

// Stats answers counts by cause.
func (d *DLO) Stats(w http.ResponseWriter, r *http.Request) error {
	q := newDLOQuery(r)
	f := q.filter()
	if err := q.done(); err != nil {
		return err
	}
	s, err := d.office.Stats(r.Context(), f)
	if err != nil {
		return err
	}
	return WriteJSON(w, http.StatusOK, s)
}

// Get answers a diagnosis.
func (d *DLO) Get(w http.ResponseWriter, r *http.Request) error {
	id, err := letterID(r)
	if err != nil {
		return err
	}
	found, err := d.office.Get(r.Context(), id)
	if err != nil {
		return err
	}
	return WriteJSON(w, http.StatusOK, found)
}

// bodyPeek is how much of a body is decompressed before the answer begins:
// what is corrupt before that gets a clear answer.
const bodyPeek = 64 << 10

// Body answers a body, decompressed, or with raw=true as it was received. One
// that is corrupt is an error, or with partial=true what can be read of it, and
// the rest of the story in a trailer.
func (d *DLO) Body(w http.ResponseWriter, r *http.Request) error {
	q := newDLOQuery(r)
	raw, partial := q.flag("raw"), q.flag("partial")
	if err := q.done(); err != nil {
		return err
	}
	id, err := letterID(r)
	if err != nil {
		return err
	}
	found, err := d.office.Get(r.Context(), id)
	if err != nil {
		return err
	}
	open, kind := d.office.Body, "application/json"
	if raw && found.Encoding == "gzip" {
		open, kind = d.office.RawBody, "application/gzip"
	}
	body, err := open(r.Context(), found.UUID.String())
	if err != nil {
		return err
	}
	defer body.Close() // read only: nothing to lose
	buf := bufio.NewReaderSize(body, bodyPeek)
	if _, err := buf.Peek(bodyPeek); err != nil && !errors.Is(err, io.EOF) && !partial {
		return err
	}
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Content-Disposition", "inline; filename*=UTF-8''"+url.PathEscape(found.File))
	if partial {
		w.Header().Set("Trailer", dlo.BodyErrorTrailer)
	}
	_, err = io.Copy(w, buf)
	var bad *wireformat.Error
	switch {
	case errors.As(err, &bad) && partial:
		w.Header().Set(dlo.BodyErrorTrailer, bad.Message)
		return nil
	case err != nil:
		// Not the error itself, which would be answered after what was sent: the
		// connection is cut.
		return fmt.Errorf("send the body of a letter: %s", err.Error())
	}
	return nil
}

// Export answers letters as a gzipped tar; without a selection, all.
func (d *DLO) Export(w http.ResponseWriter, r *http.Request) error {
	q := newDLOQuery(r)
	s := q.selection()
	if err := q.done(); err != nil {
		return err
	}
	s.All = s.All || s.Empty()
	out := &lateHeader{w: w, set: func(h http.Header) {
		h.Set("Content-Type", "application/gzip")
		h.Set("Content-Disposition", `attachment; filename="dalang-dlo.tar.gz"`)
	}}
	n, err := d.office.Export(r.Context(), s, out)
	Note(r.Context(), slog.Int("letters", n))
	return err
}

// lateHeader sets headers at the first byte: an error before it has its own.
type lateHeader struct {
	w   http.ResponseWriter
	set func(http.Header)
}

func (l *lateHeader) Write(p []byte) (int, error) {
	if l.set != nil {
		l.set(l.w.Header())
		l.set = nil
	}
	return l.w.Write(p)
}

// letterID is the {id} of the path. The router matches paths as they were sent.
func letterID(r *http.Request) (string, error) {
	id, err := url.PathUnescape(mux.Vars(r)["id"])
	if err != nil {
		return "", JSONf(http.StatusBadRequest, "the path is not well escaped: %s", strconv.Quote(mux.Vars(r)["id"]))
	}
	return id, nil
}

// dloProblem gives the office's errors their answers.
func dloProblem(w http.ResponseWriter, err error) error {
	var input *dlo.InputError
	var ambiguous *dlo.AmbiguousError
	var bad *wireformat.Error
	var problem *Problem
	switch {
	case err == nil, errors.As(err, &problem):
		return err
	case errors.As(err, &input), errors.As(err, &ambiguous):
		return JSONf(http.StatusBadRequest, "%s", err.Error())
	case errors.Is(err, dlo.ErrNotFound):
		return JSONf(http.StatusNotFound, "%s", err.Error())
	case errors.Is(err, dlo.ErrBusy):
		return JSONf(http.StatusConflict, "%s", err.Error())
	case errors.As(err, &bad):
		return writeInvalid(w, bad)
	}
	return err
}

// writeInvalid answers 422 with all that is wrong with a body.
func writeInvalid(w http.ResponseWriter, bad *wireformat.Error) error {
	problems := bad.Problems
	if problems == nil {
		problems = []wireformat.Problem{}
	}
	return WriteJSON(w, http.StatusUnprocessableEntity, struct {
		Error    string               `json:"error"`
		Cause    string               `json:"cause"`
		Problems []wireformat.Problem `json:"problems"`
	}{bad.Message, bad.Cause, problems})
}
