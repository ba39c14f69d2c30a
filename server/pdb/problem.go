package pdb

import (
	"fmt"
	"net/http"
	"strings"
)

// Shape is how an error looks on the wire. Clients tell errors apart by it
// (spec commands.md §9 trap 8), so every handler chooses one.
type Shape int

// The shapes upstream uses.
const (
	Text    Shape = iota // text/plain, the bare message
	JSON                 // {"error": message}, pretty-printed
	Kind                 // {"kind": kind, "msg": message}, compact
	HTML                 // text/html, the bare message: only an unrouted path
	Plain                // the bare message without a content type: maintenance mode
	Details              // {"kind": kind, "msg": message, "details": details}: the orchestrator
)

// Problem is an error that a handler wants answered in exactly this way.
type Problem struct {
	Status  int
	Shape   Shape
	Message string
	Kind    string            // for shapes Kind and Details
	Details map[string]any    // for shape Details; nil is left out
	Header  map[string]string // extra headers, such as Retry-After
	Err     error             // what lies behind it; logged, never sent
}

// Error is the message and what lies behind it, unless that says it already.
func (p *Problem) Error() string {
	if p.Err == nil {
		return p.Message
	}
	if behind := p.Err.Error(); strings.HasSuffix(behind, p.Message) {
		return behind
	}
	return p.Message + ": " + p.Err.Error()
}

func (p *Problem) Unwrap() error { return p.Err }

// Textf is a problem answered as bare text.
func Textf(status int, format string, args ...any) *Problem {
	return &Problem{Status: status, Shape: Text, Message: fmt.Sprintf(format, args...)}
}

// JSONf is a problem answered as {"error": message}.
func JSONf(status int, format string, args ...any) *Problem {
	return &Problem{Status: status, Shape: JSON, Message: fmt.Sprintf(format, args...)}
}

// Kindf is a problem answered as {"kind": kind, "msg": message}.
func Kindf(status int, kind, format string, args ...any) *Problem {
	return &Problem{Status: status, Shape: Kind, Kind: kind, Message: fmt.Sprintf(format, args...)}
}

// NotFound is the answer to a path that nobody serves.
func NotFound() *Problem {
	return &Problem{Status: http.StatusNotFound, Shape: HTML, Message: "Not Found"}
}
