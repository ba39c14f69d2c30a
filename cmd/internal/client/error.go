package client

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// Error is a server's refusal.
type Error struct {
	Status  int    // HTTP
	Kind    string // such as puppetlabs.orchestrator/unknown-job, or ""
	Message string // in the server's words
	Details json.RawMessage
	URL     string // what was asked
}

func (e *Error) Error() string { return e.Message }

// UnreachableError: none of the servers answers.
type UnreachableError struct {
	URLs []string
	Errs []error // of each
}

func (e *UnreachableError) Error() string {
	if len(e.URLs) == 1 {
		return fmt.Sprintf("no server answers at %s: %s", e.URLs[0], e.Errs[0])
	}
	texts := make([]string, len(e.Errs))
	for i, err := range e.Errs {
		texts[i] = err.Error()
	}
	return fmt.Sprintf("no server answers at %s: %s", strings.Join(e.URLs, " or "), strings.Join(texts, "; "))
}

func (e *UnreachableError) Unwrap() []error { return e.Errs }

// maxError bounds what is read of a refusal.
const maxError = 1 << 20

// readError makes an Error of any of the shapes in which servers refuse: bare
// text, {"error"}, {"kind", "msg", "details"}.
func readError(res *http.Response) error {
	text, _ := io.ReadAll(io.LimitReader(res.Body, maxError)) // what came is what there is to tell
	var shape struct {
		Error   string          `json:"error"`
		Kind    string          `json:"kind"`
		Msg     string          `json:"msg"`
		Details json.RawMessage `json:"details"`
	}
	e := &Error{Status: res.StatusCode, URL: res.Request.URL.Redacted()}
	if json.Unmarshal(text, &shape) == nil && shape.Error+shape.Msg != "" {
		e.Kind, e.Message, e.Details = shape.Kind, shape.Error+shape.Msg, shape.Details
		return e
	}
	e.Message = strings.TrimSpace(string(text))
	if strings.HasPrefix(res.Header.Get("Content-Type"), "text/html") || e.Message == "" {
		e.Message = fmt.Sprintf("the server answered %s to %s", res.Status, e.URL)
	}
	return e
}
