package pdb

import (
	"context"
	"log/slog"
	"sync"
)

// Event is the one log event of a request. The outermost handler starts it,
// handlers add to it, and it is written once, at the end.
type Event struct {
	ID string // the request's id, also in the response header X-Request-Id

	mu    sync.Mutex
	attrs []slog.Attr // guarded by mu: a handler may note from its goroutines
}

type eventKey struct{}

// WithEvent puts an event into a request's context.
func WithEvent(ctx context.Context, e *Event) context.Context {
	return context.WithValue(ctx, eventKey{}, e)
}

// Note adds attributes to the request's log event. Without an event (in tests)
// it does nothing. Never note payloads or secrets.
func Note(ctx context.Context, attrs ...slog.Attr) {
	if e, ok := ctx.Value(eventKey{}).(*Event); ok {
		e.mu.Lock()
		e.attrs = append(e.attrs, attrs...)
		e.mu.Unlock()
	}
}

// Attrs returns what was noted.
func (e *Event) Attrs() []slog.Attr {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]slog.Attr(nil), e.attrs...)
}
