// Package upstream asks the services that Dalang works beside: a Puppet
// Server, a classifier.
package upstream

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// maxAnswer bounds what is read of an answer that is JSON.
const maxAnswer = 32 << 20

// Service is one that is asked over HTTP. Its methods may be called at the
// same time.
type Service struct {
	name   string
	base   string // without a slash at its end
	client *http.Client
}

// New takes what errors call the service, "the Puppet Server", the URL that
// its paths are below, and a client with a certificate that it accepts; nil is
// http.DefaultClient.
func New(name, base string, client *http.Client) *Service {
	if client == nil {
		client = http.DefaultClient
	}
	return &Service{name, strings.TrimRight(base, "/"), client}
}

// AnswerError is an answer that is not 200.
type AnswerError struct {
	Service string
	Status  int
	Path    string
	Body    string // its beginning
}

func (e *AnswerError) Error() string {
	return fmt.Sprintf("%s answers %s with %d: %.300s", e.Service, e.Path, e.Status, strings.TrimSpace(e.Body))
}

// Kind is that of the error that the body is; "" where it is none.
func (e *AnswerError) Kind() string {
	var told struct{ Kind string }
	if json.Unmarshal([]byte(e.Body), &told) != nil {
		return ""
	}
	return told.Kind
}

// Open asks for a path, which is escaped already. The caller closes the body
// of an answer; one that is not 200 is an *AnswerError.
func (s *Service) Open(ctx context.Context, path string, query url.Values, accept string) (*http.Response, error) {
	target := s.base + path
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", s.name, err)
	}
	req.Header.Set("Accept", accept)
	res, err := s.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", s.name, err)
	}
	if res.StatusCode != http.StatusOK {
		defer res.Body.Close()                                 // read only
		body, _ := io.ReadAll(io.LimitReader(res.Body, 4<<10)) // what there is of it
		return nil, &AnswerError{s.name, res.StatusCode, path, string(body)}
	}
	return res, nil
}

// JSON asks for a path as Open does, and reads the answer into a value. The
// header is that of the answer.
func (s *Service) JSON(ctx context.Context, path string, query url.Values, into any) (http.Header, error) {
	res, err := s.Open(ctx, path, query, "application/json")
	if err != nil {
		return nil, err
	}
	defer res.Body.Close() // read only
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	switch {
	case err != nil:
	case len(body) > maxAnswer:
		err = fmt.Errorf("it is larger than %d bytes", maxAnswer)
	default:
		err = json.Unmarshal(body, into)
	}
	if err != nil {
		return nil, fmt.Errorf("read what %s answers to %s: %w", s.name, path, err)
	}
	return res.Header, nil
}
