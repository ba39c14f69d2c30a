package pdb

import (
	"errors"
	"log/slog"
	"net/http"

	"github.com/google/uuid"

	"dalang/dlo"
	"dalang/wireformat"
)

// Replay submits letters again and answers one JSON object a line: for each
// letter {"letter": …}, at the end {"result": …}, with "error" beside it when
// the replay was stopped. A request that makes no sense gets a plain 4xx.
// A client that goes away ends the replay.
func (d *DLO) Replay(w http.ResponseWriter, r *http.Request) error {
	var req dlo.ReplayRequest
	if err := readRequest(w, r, &req); err != nil {
		return err
	}
	out := &lines{w: w}
	res, err := d.office.Replay(r.Context(), req, d.submit, func(p dlo.Progress) { out.write(dlo.ReplayEvent{Letter: &p}) })
	Note(r.Context(), slog.Int("selected", res.Selected), slog.Int("replayed", res.Replayed),
		slog.Int("failing", res.Failing), slog.Bool("dry_run", req.DryRun))
	if err != nil && !out.begun && res.Selected == 0 {
		return err // nothing was begun
	}
	end := dlo.ReplayEvent{Result: &res}
	if err != nil {
		Note(r.Context(), slog.String("error", err.Error()))
		end.Error = err.Error()
	}
	out.write(end)
	return out.err
}

// lines writes JSON objects, a line each, at once.
type lines struct {
	w     http.ResponseWriter
	begun bool
	err   error // of the connection
}

func (l *lines) write(v any) {
	if l.err != nil {
		return
	}
	if !l.begun {
		l.begun = true
		l.w.Header().Set("Content-Type", "application/x-ndjson")
	}
	var b []byte
	if b, l.err = Compact(v); l.err != nil {
		return
	}
	if _, l.err = l.w.Write(append(b, '\n')); l.err != nil {
		return
	}
	if err := http.NewResponseController(l.w).Flush(); !errors.Is(err, http.ErrNotSupported) {
		l.err = err
	}
}

// Prune deletes letters as the JSON body says.
func (d *DLO) Prune(w http.ResponseWriter, r *http.Request) error {
	var req dlo.PruneRequest
	if err := readRequest(w, r, &req); err != nil {
		return err
	}
	return d.prune(w, r, req)
}

// DeleteMany is Prune with query parameters.
func (d *DLO) DeleteMany(w http.ResponseWriter, r *http.Request) error {
	q := newDLOQuery(r)
	req := dlo.PruneRequest{Selection: q.selection(), KeepBytes: q.bytes("keep_bytes"), DryRun: q.flag("dry_run")}
	if err := q.done(); err != nil {
		return err
	}
	return d.prune(w, r, req)
}

// Delete deletes one letter.
func (d *DLO) Delete(w http.ResponseWriter, r *http.Request) error {
	q := newDLOQuery(r)
	dry := q.flag("dry_run")
	if err := q.done(); err != nil {
		return err
	}
	id, err := letterID(r)
	if err != nil {
		return err
	}
	return d.prune(w, r, dlo.PruneRequest{Selection: dlo.Selection{IDs: []string{id}}, DryRun: dry})
}

func (d *DLO) prune(w http.ResponseWriter, r *http.Request, req dlo.PruneRequest) error {
	res, err := d.office.Prune(r.Context(), req)
	Note(r.Context(), slog.Int("pruned", res.Pruned), slog.Int64("pruned_bytes", res.PrunedBytes), slog.Bool("dry_run", req.DryRun))
	if err != nil {
		return err
	}
	return WriteJSON(w, http.StatusOK, res)
}

// replaced is what Replace answers.
type replaced struct {
	dlo.Summary
	NewUUID *uuid.UUID `json:"new_uuid,omitempty"` // with replay: as it was submitted
}

// Replace puts the body of the request in the place of a letter's. A body that
// would fail again is answered 422 with its problems, unless force=true. With
// replay=true the letter is submitted at once.
func (d *DLO) Replace(w http.ResponseWriter, r *http.Request) error {
	q := newDLOQuery(r)
	replay, force := q.flag("replay"), q.flag("force")
	if err := q.done(); err != nil {
		return err
	}
	id, err := letterID(r)
	if err != nil {
		return err
	}
	body, err := d.readBody(r)
	if err != nil {
		return err
	}
	s, err := d.office.Replace(r.Context(), id, body, force)
	if err != nil {
		return err
	}
	Note(r.Context(), slog.Any("uuid", s.UUID), slog.Bool("replay", replay))
	out := replaced{Summary: s}
	if replay {
		var last dlo.Progress
		req := dlo.ReplayRequest{Selection: dlo.Selection{IDs: []string{s.UUID.String()}}, Force: force}
		if _, err := d.office.Replay(r.Context(), req, d.submit, func(p dlo.Progress) { last = p }); err != nil {
			return err
		}
		if last.NewUUID == nil {
			return JSONf(http.StatusConflict, "the letter was edited, but not replayed: %s", last.Error)
		}
		out.NewUUID = last.NewUUID
	}
	return WriteJSON(w, http.StatusOK, out)
}

// readBody reads the new body of a letter, gzipped or not.
func (d *DLO) readBody(r *http.Request) ([]byte, error) {
	if err := CheckContentType(r); err != nil {
		return nil, err
	}
	switch enc := r.Header.Get("Content-Encoding"); enc {
	case "", "identity":
		return wireformat.Inflate(r.Body, false, d.office.MaxBody(), nil)
	case "gzip":
		return wireformat.Inflate(r.Body, true, d.office.MaxBody(), nil)
	default:
		return nil, Textf(http.StatusUnsupportedMediaType, "content encoding %s not supported", enc)
	}
}
