// Package dloclient speaks to the dead letter office of a running server,
// /pdb/admin/v1/dlo. Its methods are those of dlo.Office.
package dloclient

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"dalang/dlo"
	"dalang/wireformat"
)

// Config says which server to speak to.
type Config struct {
	URL  string       // required; http://127.0.0.1:8080
	HTTP *http.Client // carries the requests, with certificates; nil: http.DefaultClient
}

// Client is a connection to a server's office. Its methods may be called from
// many goroutines.
type Client struct {
	base string
	http *http.Client
}

// New makes a client. It does not connect.
func New(cfg Config) (*Client, error) {
	u, err := url.Parse(cfg.URL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("%q is not the URL of a server, such as http://127.0.0.1:8080", cfg.URL)
	}
	if cfg.HTTP == nil {
		cfg.HTTP = http.DefaultClient
	}
	return &Client{base: strings.TrimSuffix(u.String(), "/") + "/pdb/admin/v1/dlo", http: cfg.HTTP}, nil
}

// Close drops idle connections.
func (c *Client) Close() error {
	c.http.CloseIdleConnections()
	return nil
}

// List lists letters.
func (c *Client) List(ctx context.Context, f dlo.Filter, p dlo.Page) (out dlo.Listing, err error) {
	q := filterQuery(f)
	q.Set("limit", strconv.Itoa(p.Limit))
	if p.Offset > 0 {
		q.Set("offset", strconv.Itoa(p.Offset))
	}
	if p.OldestFirst {
		q.Set("order", "asc")
	}
	return out, c.get(ctx, "", q, &out)
}

// Stats counts letters by cause.
func (c *Client) Stats(ctx context.Context, f dlo.Filter) (out dlo.Stats, err error) {
	return out, c.get(ctx, "/stats", filterQuery(f), &out)
}

// Get returns the diagnosis of a letter.
func (c *Client) Get(ctx context.Context, id string) (out dlo.Diagnosis, err error) {
	return out, c.get(ctx, "/"+url.PathEscape(id), nil, &out)
}

// Body opens the decompressed body of a letter. Corrupt bodies fail while being
// read, with an *Error.
func (c *Client) Body(ctx context.Context, id string) (io.ReadCloser, error) {
	return c.body(ctx, id, url.Values{"partial": {"true"}})
}

// RawBody opens the body of a letter as it was received.
func (c *Client) RawBody(ctx context.Context, id string) (io.ReadCloser, error) {
	return c.body(ctx, id, url.Values{"raw": {"true"}})
}

func (c *Client) body(ctx context.Context, id string, q url.Values) (io.ReadCloser, error) {
	res, err := c.do(ctx, http.MethodGet, "/"+url.PathEscape(id)+"/body", q, nil)
	if err != nil {
		return nil, err
	}
	return &letterBody{res}, nil
}

// letterBody reads a body and then what the trailer says of it.
type letterBody struct{ res *http.Response }

func (b *letterBody) Read(p []byte) (int, error) {
	n, err := b.res.Body.Read(p)
	if message := b.res.Trailer.Get(dlo.BodyErrorTrailer); message != "" && errors.Is(err, io.EOF) {
		err = &Error{Status: http.StatusUnprocessableEntity, Message: message, Cause: wireformat.CauseEncoding}
	}
	return n, err
}

func (b *letterBody) Close() error { return b.res.Body.Close() }

// Replace puts a mended body in the place of a letter's, and with replay
// submits it; newID is the uuid it got then.
func (c *Client) Replace(ctx context.Context, id string, body []byte, force, replay bool) (s dlo.Summary, newID *uuid.UUID, err error) {
	q := url.Values{}
	if force {
		q.Set("force", "true")
	}
	if replay {
		q.Set("replay", "true")
	}
	res, err := c.do(ctx, http.MethodPut, "/"+url.PathEscape(id)+"/body", q, body)
	if err != nil {
		return s, nil, err
	}
	var out struct {
		dlo.Summary
		NewUUID *uuid.UUID `json:"new_uuid"`
	}
	err = decode(res, &out)
	return out.Summary, out.NewUUID, err
}

// Prune deletes letters.
func (c *Client) Prune(ctx context.Context, req dlo.PruneRequest) (out dlo.PruneResult, err error) {
	text, err := json.Marshal(req)
	if err != nil {
		return out, err
	}
	res, err := c.do(ctx, http.MethodPost, "/prune", nil, text)
	if err != nil {
		return out, err
	}
	return out, decode(res, &out)
}

// Export writes letters to w as a gzipped tar.
func (c *Client) Export(ctx context.Context, s dlo.Selection, w io.Writer) error {
	q := filterQuery(s.Filter)
	for _, id := range s.IDs {
		q.Add("id", id)
	}
	res, err := c.do(ctx, http.MethodGet, "/export", q, nil)
	if err != nil {
		return err
	}
	defer res.Body.Close() // read only: nothing to lose
	if _, err := io.Copy(w, res.Body); err != nil {
		return fmt.Errorf("export: %w", err)
	}
	return nil
}

// Replay submits letters again. progress, which may be nil, is called for every
// letter as the server tells of it.
func (c *Client) Replay(ctx context.Context, req dlo.ReplayRequest, progress func(dlo.Progress)) (dlo.ReplayResult, error) {
	text, err := json.Marshal(req)
	if err != nil {
		return dlo.ReplayResult{}, err
	}
	res, err := c.do(ctx, http.MethodPost, "/replay", nil, text)
	if err != nil {
		return dlo.ReplayResult{}, err
	}
	defer res.Body.Close() // read only: nothing to lose
	for dec := json.NewDecoder(res.Body); ; {
		var e dlo.ReplayEvent
		if err := dec.Decode(&e); err != nil {
			return dlo.ReplayResult{}, fmt.Errorf("the server stopped telling of the replay; it may be repeated: %w", err)
		}
		if e.Letter != nil && progress != nil {
			progress(*e.Letter)
		}
		if e.Result == nil {
			continue
		}
		if e.Error != "" {
			return *e.Result, errors.New(e.Error)
		}
		return *e.Result, nil
	}
}

func filterQuery(f dlo.Filter) url.Values {
	q := url.Values{}
	for k, v := range map[string]string{"command": f.Command, "certname": f.Certname, "cause": f.Cause, "text": f.Text} {
		if v != "" {
			q.Set(k, v)
		}
	}
	for k, v := range map[string]dlo.Age{"older_than": f.OlderThan, "newer_than": f.NewerThan} {
		if v != 0 {
			q.Set(k, v.String())
		}
	}
	return q
}

func (c *Client) get(ctx context.Context, path string, q url.Values, into any) error {
	res, err := c.do(ctx, http.MethodGet, path, q, nil)
	if err != nil {
		return err
	}
	return decode(res, into)
}

func decode(res *http.Response, into any) error {
	defer res.Body.Close() // read only: nothing to lose
	if err := json.NewDecoder(res.Body).Decode(into); err != nil {
		return fmt.Errorf("the server's answer cannot be read: %w", err)
	}
	return nil
}

// do sends a request; an answer that is no success becomes an *Error.
func (c *Client) do(ctx context.Context, method, path string, q url.Values, body []byte) (*http.Response, error) {
	target := c.base + path
	if len(q) > 0 {
		target += "?" + q.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, method, target, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if path == "/replay" || path == "/export" {
		req.Header.Set("Accept-Encoding", "identity") // a stream; or compressed as it is
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	if res.StatusCode == http.StatusOK {
		return res, nil
	}
	defer res.Body.Close() // read only: nothing to lose
	return nil, readError(res)
}
