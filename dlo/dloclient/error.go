package dloclient

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"

	"dalang/wireformat"
)

// Error is a server's refusal.
type Error struct {
	Status   int    // HTTP
	Message  string // in the server's words
	Cause    string // class of what is wrong with a body, or ""
	Problems []wireformat.Problem
}

func (e *Error) Error() string { return e.Message }

// maxError bounds what is read of a refusal.
const maxError = 1 << 20

// readError makes an Error of any of the shapes in which the server refuses.
func readError(res *http.Response) error {
	text, _ := io.ReadAll(io.LimitReader(res.Body, maxError)) // what came is what there is to tell
	var shape struct {
		Error    string               `json:"error"`
		Msg      string               `json:"msg"`
		Cause    string               `json:"cause"`
		Problems []wireformat.Problem `json:"problems"`
	}
	e := &Error{Status: res.StatusCode}
	if json.Unmarshal(text, &shape) == nil && shape.Error+shape.Msg != "" {
		e.Message, e.Cause, e.Problems = shape.Error+shape.Msg, shape.Cause, shape.Problems
		return e
	}
	e.Message = strings.TrimSpace(string(text))
	switch {
	case res.StatusCode == http.StatusNotFound:
		e.Message = "there is no dead letter office at " + res.Request.URL.Redacted()
	case e.Message == "":
		e.Message = fmt.Sprintf("the server answered %s", res.Status)
	}
	return e
}
