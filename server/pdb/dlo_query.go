package pdb

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"

	"dalang/dlo"
)

// dloQuery reads query parameters and keeps the first complaint.
type dloQuery struct {
	params Params
	known  map[string]bool
	err    error
}

func newDLOQuery(r *http.Request) *dloQuery {
	q := &dloQuery{known: map[string]bool{}}
	var err error
	if q.params, err = ParseParams(r.URL.RawQuery); err != nil {
		q.fail("%s", err)
	}
	return q
}

func (q *dloQuery) fail(format string, args ...any) {
	if q.err == nil {
		q.err = JSONf(http.StatusBadRequest, format, args...)
	}
}

// text is the value of a parameter that may be given once.
func (q *dloQuery) text(key string) string {
	q.known[key] = true
	all := q.params.All(key)
	if len(all) > 1 {
		q.fail("parameter %s is given %d times", key, len(all))
	}
	if len(all) == 0 {
		return ""
	}
	return all[0]
}

func (q *dloQuery) number(key string, otherwise int) int {
	s := q.text(key)
	if s == "" {
		return otherwise
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 {
		q.fail("parameter %s must be a whole number, not %q", key, s)
	}
	return n
}

func (q *dloQuery) bytes(key string) *int64 {
	s := q.text(key)
	if s == "" {
		return nil
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 {
		q.fail("parameter %s must be a number of bytes, not %q", key, s)
	}
	return &n
}

// flag is true for "key", "key=true" and "key=1".
func (q *dloQuery) flag(key string) bool {
	s := q.text(key)
	if !q.params.Has(key) || s == "" {
		return q.params.Has(key)
	}
	b, err := strconv.ParseBool(s)
	if err != nil {
		q.fail("parameter %s must be true or false, not %q", key, s)
	}
	return b
}

func (q *dloQuery) age(key string) dlo.Age {
	s := q.text(key)
	if s == "" {
		return 0
	}
	a, err := dlo.ParseAge(s)
	if err != nil {
		q.fail("parameter %s: %s", key, err)
	}
	return a
}

// choice is one of the words given; the first is the default.
func (q *dloQuery) choice(key string, words ...string) string {
	s := q.text(key)
	if s == "" {
		return words[0]
	}
	for _, w := range words {
		if s == w {
			return s
		}
	}
	q.fail("parameter %s must be one of %s, not %q", key, strings.Join(words, ", "), s)
	return words[0]
}

func (q *dloQuery) filter() dlo.Filter {
	return dlo.Filter{
		Command: q.text("command"), Certname: q.text("certname"), Cause: q.text("cause"), Text: q.text("text"),
		OlderThan: q.age("older_than"), NewerThan: q.age("newer_than"),
	}
}

func (q *dloQuery) selection() dlo.Selection {
	q.known["id"] = true
	return dlo.Selection{IDs: q.params.All("id"), All: q.flag("all"), Filter: q.filter()}
}

// done returns the first complaint; a parameter that nobody asked for is one.
func (q *dloQuery) done() error {
	if q.err != nil {
		return q.err
	}
	for _, k := range q.params.Keys() {
		if !q.known[k] {
			q.fail("there is no parameter %q here", k)
		}
	}
	return q.err
}

// maxDLORequest bounds the JSON of a request: a selection of 100,000 ids fits.
const maxDLORequest = 8 << 20

// readRequest reads a JSON body strictly: a misspelt field must not widen a
// selection.
func readRequest(w http.ResponseWriter, r *http.Request, into any) error {
	if err := CheckContentType(r); err != nil {
		return err
	}
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxDLORequest))
	dec.DisallowUnknownFields()
	err := dec.Decode(into)
	var tooBig *http.MaxBytesError
	switch {
	case errors.As(err, &tooBig):
		return JSONf(http.StatusRequestEntityTooLarge, "the request has more than %d bytes", maxDLORequest)
	case errors.Is(err, io.EOF):
		return JSONf(http.StatusBadRequest, "the request has no body; it must be a JSON object")
	case err != nil:
		return JSONf(http.StatusBadRequest, "the request is not what is expected here: %s", strings.TrimPrefix(err.Error(), "json: "))
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return JSONf(http.StatusBadRequest, "something follows the JSON object of the request")
	}
	return nil
}
