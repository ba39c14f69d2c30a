package server

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/klauspost/compress/gzhttp"

	"dalang/server/pdb"
)

// middleware stands around every request. From the outside in: one log event,
// recovery, header limits, stalled connections, compression; then, in
// upstream's order, the allowlists, maintenance mode, and parameters in a form
// body. Routes come last.
func (s *Server) middleware(routed http.Handler) http.Handler {
	zipped := s.compress(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if isPDB(r.URL.Path) && w.Header().Get("Vary") != "" {
			w.Header().Set("Vary", "Accept-Encoding, User-Agent") // spec query.md §1.1; event counts do vary by the latter
		}
		if err := s.admit(r); err != nil {
			s.fail(&answer{ResponseWriter: w}, r, err)
			return
		}
		routed.ServeHTTP(w, r)
	}))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := s.cfg.Now()
		ev := &pdb.Event{ID: requestID(r)}
		info := &routeInfo{route: "none"}
		ctx := context.WithValue(pdb.WithEvent(r.Context(), ev), routeKey{}, info)
		r = r.WithContext(ctx)
		res := newResponse(w, s.cfg.StallTimeout)
		res.Header().Set("X-Request-Id", ev.ID)
		if s.cfg.Version != "" {
			res.Header().Set("X-Dalang-Version", s.cfg.Version)
		}
		defer func() {
			s.recovered(&answer{ResponseWriter: res, begun: res.status != 0}, r, recover())
			s.finish(res, r, ev, info, start)
			if info.abort {
				panic(http.ErrAbortHandler)
			}
		}()
		if err := s.checkHeaders(r); err != nil {
			s.fail(&answer{ResponseWriter: res}, r, err)
			return
		}
		body := &movingBody{ReadCloser: r.Body, rc: res.rc, stall: s.cfg.StallTimeout}
		r.Body = body
		defer body.finish()
		zipped.ServeHTTP(res, r)
	})
}

// admit is what a request has to pass before it is routed.
func (s *Server) admit(r *http.Request) error {
	if !listenerOf(r).serves(r.URL.Path) {
		return pdb.NotFound()
	}
	if err := s.auth.Load().check(r); err != nil {
		return err
	}
	if isOrchestrator(r.URL.Path) {
		if s.cfg.Maintenance.On() {
			return pdb.Textf(http.StatusServiceUnavailable, "The orchestrator is starting. Try again later.")
		}
		return nil
	}
	if !isPDB(r.URL.Path) {
		return nil
	}
	if s.cfg.Maintenance.On() {
		return &pdb.Problem{Status: http.StatusServiceUnavailable, Shape: pdb.Plain,
			Message: "PuppetDB is currently down. Try again later."}
	}
	return pdb.MergeForm(r)
}

func isPDB(path string) bool { return path == "/pdb" || strings.HasPrefix(path, "/pdb/") }

// recovered answers 500 after a panic. ErrAbortHandler is no panic but the way
// to cut a connection; it goes on after the log event.
func (s *Server) recovered(w *answer, r *http.Request, p any) {
	if p == nil {
		return
	}
	info := routeOf(r)
	if p == http.ErrAbortHandler {
		info.abort = true
		return
	}
	s.cfg.Logger.LogAttrs(r.Context(), slog.LevelError, "a request handler panicked",
		slog.String("panic", fmt.Sprint(p)), slog.String("path", shownPath(r.URL.Path)), slog.String("stack", string(debug.Stack())))
	pdb.Note(r.Context(), slog.String("error", fmt.Sprint("panic: ", p)))
	if w.begun {
		info.abort = true
		return
	}
	for k := range w.Header() {
		if k != "X-Request-Id" && k != "X-Dalang-Version" {
			w.Header().Del(k)
		}
	}
	if isOrchestrator(r.URL.Path) {
		writeProblem(w, orchestratorProblem(r, errPanic))
		return
	}
	writeProblem(w, pdb.Textf(http.StatusInternalServerError, "An unexpected error occurred"))
}

// finish writes the request's log event and its metrics.
func (s *Server) finish(w *response, r *http.Request, ev *pdb.Event, info *routeInfo, start time.Time) {
	status := w.status
	switch {
	case info.gone:
		status = statusClientGone
	case status == 0:
		status = http.StatusOK
	}
	took := s.cfg.Now().Sub(start)
	s.metrics.observe(info.route, r.Method, status, took, w.written)
	level := slog.LevelInfo
	switch {
	case status == http.StatusServiceUnavailable && strings.HasPrefix(info.route, "/status/"):
		level = slog.LevelDebug // somebody waits for the start, and is told so
	case status >= 500:
		level = slog.LevelWarn
	}
	if !s.cfg.Logger.Enabled(r.Context(), level) {
		return
	}
	attrs := append(make([]slog.Attr, 0, 16),
		slog.String("request_id", ev.ID), slog.String("method", r.Method), slog.String("path", shownPath(r.URL.Path)),
		slog.Int("status", status), slog.Float64("ms", float64(took.Microseconds())/1000),
		slog.Int64("bytes", w.written), slog.String("remote", r.RemoteAddr))
	if cn := commonName(r); cn != "" {
		attrs = append(attrs, slog.String("client", cn))
	}
	s.cfg.Logger.LogAttrs(r.Context(), level, "request", append(attrs, ev.Attrs()...)...)
}

// checkHeaders is exact where net/http's own limit has slack.
func (s *Server) checkHeaders(r *http.Request) error {
	size := len(r.Method) + len(r.RequestURI) + len(r.Proto) + len("  \r\n")
	if size > s.cfg.MaxHeaderBytes {
		return pdb.Textf(http.StatusRequestURITooLong, "URI Too Long")
	}
	for k, values := range r.Header {
		for _, v := range values {
			size += len(k) + len(v) + len(": \r\n")
		}
	}
	if size > s.cfg.MaxHeaderBytes {
		return pdb.Textf(http.StatusRequestHeaderFieldsTooLarge, "Request Header Fields Too Large")
	}
	return nil
}

// compress gzips answers to GET and POST when the client takes it.
func (s *Server) compress(next http.Handler) http.Handler {
	wrap, err := gzhttp.NewWrapper(gzhttp.MinSize(512), gzhttp.CompressionLevel(1))
	if err != nil {
		panic(err) // constant options
	}
	zipped := wrap(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet || r.Method == http.MethodPost {
			zipped.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// requestID takes the caller's id when it is a plain one, else makes one.
func requestID(r *http.Request) string {
	id := r.Header.Get("X-Request-Id")
	if id == "" || len(id) > 64 || strings.ContainsFunc(id, func(c rune) bool { return c <= ' ' || c > '~' }) {
		return uuid.NewString()
	}
	return id
}

// routeInfo tells the outermost handler what happened inside.
type routeInfo struct {
	route string // template of the matched route, for metrics
	abort bool   // cut the connection
	gone  bool   // the client went away before its answer
}

type routeKey struct{}

func routeOf(r *http.Request) *routeInfo {
	if info, ok := r.Context().Value(routeKey{}).(*routeInfo); ok {
		return info
	}
	return &routeInfo{}
}

// handler turns a route's function into an http.Handler.
func (s *Server) handler(route string, f func(http.ResponseWriter, *http.Request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		routeOf(r).route = route
		a := &answer{ResponseWriter: w}
		// Recovered here and not outside of the compressor, which would finish
		// a half-written answer on its way out.
		defer func() { s.recovered(a, r, recover()) }()
		if err := f(a, r); err != nil {
			s.fail(a, r, err)
		}
	})
}

// answer is what a handler writes to. It knows whether the handler has begun,
// which the compressor below it does not tell.
type answer struct {
	http.ResponseWriter
	begun bool
}

// WriteHeader begins the answer.
func (a *answer) WriteHeader(status int) {
	a.begun = a.begun || status >= 200
	a.ResponseWriter.WriteHeader(status)
}

// Write begins the answer.
func (a *answer) Write(p []byte) (int, error) {
	a.begun = true
	return a.ResponseWriter.Write(p)
}

// Flush lets handlers stream.
func (a *answer) Flush() { _ = http.NewResponseController(a.ResponseWriter).Flush() }

// Unwrap lets http.ResponseController reach the connection.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// response remembers what was answered, and keeps a client that stops reading
// from holding the handler for ever.
type response struct {
	http.ResponseWriter
	rc      *http.ResponseController
	stall   time.Duration
	status  int // 0 until the header is written
	written int64
	next    time.Time // when to push the write deadline on
}

func newResponse(w http.ResponseWriter, stall time.Duration) *response {
	res := &response{ResponseWriter: w, rc: http.NewResponseController(w), stall: stall}
	// A deadline of the connection's previous request must not hit this one.
	_ = res.rc.SetWriteDeadline(time.Time{})
	return res
}

// WriteHeader remembers the status.
func (w *response) WriteHeader(status int) {
	if w.status == 0 && status >= 200 {
		w.status = status
	}
	w.moved()
	w.ResponseWriter.WriteHeader(status)
}

// Write counts the bytes.
func (w *response) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	w.moved()
	n, err := w.ResponseWriter.Write(p)
	w.written += int64(n)
	return n, err
}

// moved pushes the write deadline on; at most a few times per stall time, for
// it is not free.
func (w *response) moved() {
	if now := time.Now(); now.After(w.next) {
		_ = w.rc.SetWriteDeadline(now.Add(w.stall))
		w.next = now.Add(w.stall / 8)
	}
}

// Flush lets handlers stream.
func (w *response) Flush() { _ = w.rc.Flush() }

// Unwrap lets http.ResponseController reach the connection.
func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// movingBody fails when the body stops coming for the stall time.
type movingBody struct {
	io.ReadCloser
	rc    *http.ResponseController
	stall time.Duration
	next  time.Time // when to push the read deadline on
	err   error     // sticky: who asks again after a failure must not wait again
}

// Read pushes the read deadline on. At the end of the body it takes the
// deadline away: net/http then watches the connection for the client's going,
// and would take a timeout for it.
func (b *movingBody) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	if now := time.Now(); now.After(b.next) {
		_ = b.rc.SetReadDeadline(now.Add(b.stall))
		b.next = now.Add(b.stall / 8)
	}
	n, err := b.ReadCloser.Read(p)
	if b.err = err; err == io.EOF {
		_ = b.rc.SetReadDeadline(time.Time{})
	}
	return n, err
}

// finish bounds the time in which net/http reads what the handler left of the
// body, to find the next request behind it.
func (b *movingBody) finish() {
	if b.err == nil && b.ReadCloser != http.NoBody {
		_ = b.rc.SetReadDeadline(time.Now().Add(b.stall))
	}
}
