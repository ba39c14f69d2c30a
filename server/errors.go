package server

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"math"
	"net/http"
	"os"
	"strconv"
	"time"

	"dalang/commands"
	"dalang/commands/queue"
	"dalang/server/pdb"
	"dalang/wireformat"
)

// statusClientGone is what the log says when the client went away before its
// answer. It is never sent.
const statusClientGone = 499

// problemOf is the one place where an error becomes a response. Handlers
// choose the shape of what they know about by returning a *pdb.Problem; here
// the errors of the packages below get theirs.
func problemOf(r *http.Request, err error) *pdb.Problem {
	if isOrchestrator(r.URL.Path) {
		return orchestratorProblem(r, err)
	}
	return plainProblem(r, err)
}

func plainProblem(r *http.Request, err error) *pdb.Problem {
	var (
		problem     *pdb.Problem
		checksum    *commands.ChecksumError
		full        *commands.FullError
		unavailable *commands.UnavailableError
		disk        *queue.DiskError
		wire        *wireformat.Error
		tooBig      *http.MaxBytesError
	)
	switch {
	case errors.As(err, &problem):
		return problem
	case errors.As(err, &checksum):
		return with(err, pdb.JSONf(http.StatusBadRequest, "%s", checksum.Error()))
	case errors.As(err, &full):
		return retryAfter(full.RetryAfter, with(err, pdb.Textf(http.StatusServiceUnavailable, "%s", full.Error())))
	case errors.As(err, &unavailable):
		return retryAfter(10*time.Second, with(err, pdb.Textf(http.StatusServiceUnavailable, "%s", unavailable.Error())))
	case errors.As(err, &disk):
		return retryAfter(10*time.Second, with(err, pdb.Textf(http.StatusServiceUnavailable, "%s", disk.Error())))
	case errors.Is(err, commands.ErrShutdown):
		// Upstream says 500; both make a client turn to its next server.
		return with(err, pdb.Textf(http.StatusServiceUnavailable, "%s", commands.ErrShutdown.Error()))
	case errors.As(err, &tooBig), errors.As(err, &wire) && wire.Cause == wireformat.CauseTooLarge:
		return with(err, pdb.Textf(http.StatusRequestEntityTooLarge, "Command size exceeds max-command-size"))
	case wire != nil:
		return with(err, pdb.JSONf(http.StatusBadRequest, "%s", wire.Error()))
	case errors.Is(context.Cause(r.Context()), commands.ErrShutdown):
		return with(err, pdb.Textf(http.StatusServiceUnavailable, "%s", commands.ErrShutdown.Error()))
	case errors.Is(err, os.ErrDeadlineExceeded):
		// Before the next case: net/http cancels the context as well.
		return with(err, pdb.Textf(http.StatusRequestTimeout, "the request body stopped coming"))
	case r.Context().Err() != nil, errors.Is(err, context.Canceled):
		return with(err, pdb.Textf(statusClientGone, "client went away"))
	case errors.Is(err, io.ErrUnexpectedEOF):
		return with(err, pdb.Textf(http.StatusBadRequest, "the request body ended too early"))
	case errors.Is(err, context.DeadlineExceeded):
		return with(err, pdb.Textf(http.StatusServiceUnavailable, "timed out"))
	}
	// As upstream: the message of the root cause.
	return with(err, pdb.Textf(http.StatusInternalServerError, "%s", rootCause(err).Error()))
}

func with(err error, p *pdb.Problem) *pdb.Problem {
	p.Err = err
	return p
}

func retryAfter(d time.Duration, p *pdb.Problem) *pdb.Problem {
	seconds := max(1, int(math.Ceil(d.Seconds())))
	p.Header = map[string]string{"Retry-After": strconv.Itoa(seconds)}
	return p
}

func rootCause(err error) error {
	for {
		next := errors.Unwrap(err)
		if next == nil {
			return err
		}
		err = next
	}
}

// fail answers a request with an error, and notes it for the request's log
// event. An answer that was begun cannot be taken back: then the connection is
// cut, so that the client does not take a part for the whole. The same when the
// client is gone: net/http would send an empty 200 otherwise.
func (s *Server) fail(w *answer, r *http.Request, err error) {
	p := problemOf(r, err)
	if p.Status >= 500 || p.Err != nil {
		pdb.Note(r.Context(), slog.String("error", p.Error()))
	}
	routeOf(r).gone = p.Status == statusClientGone
	if w.begun || p.Status == statusClientGone {
		pdb.Note(r.Context(), slog.Bool("cut", true))
		panic(http.ErrAbortHandler)
	}
	writeProblem(w, p)
}

// writeProblem gives a problem its shape.
func writeProblem(w http.ResponseWriter, p *pdb.Problem) {
	h := w.Header()
	for k, v := range p.Header {
		h.Set(k, v)
	}
	switch p.Shape {
	case pdb.JSON:
		_ = pdb.WriteJSON(w, p.Status, map[string]string{"error": p.Message})
	case pdb.Kind:
		_ = pdb.WriteCompact(w, p.Status, struct {
			Kind    string `json:"kind"`
			Message string `json:"msg"`
		}{p.Kind, p.Message})
	case pdb.Details:
		writeDetails(w, p)
	case pdb.HTML:
		h.Set("Content-Type", pdb.TypeHTML)
		w.WriteHeader(p.Status)
		_, _ = io.WriteString(w, p.Message)
	case pdb.Plain:
		h["Content-Type"] = nil // else net/http guesses one
		w.WriteHeader(p.Status)
		_, _ = io.WriteString(w, p.Message)
	default:
		_ = pdb.WriteText(w, p.Status, p.Message)
	}
}
