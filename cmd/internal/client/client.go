package client

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"
)

// Config says which servers to speak to and as whom.
type Config struct {
	// URLs of servers that are one service, such as https://db.example.com:8081;
	// required. The first that can be reached is asked.
	URLs  []string
	Cert  string // client certificate, PEM file; "": none
	Key   string // its key, PEM file
	CA    string // certificates that vouch for the servers, PEM file; "": the system's
	Token string // sent as X-Authentication; "": none
	// Patience is how long to wait for an answer to begin; 0: 1 minute, negative:
	// as long as it takes.
	Patience time.Duration
	// Transport carries the requests; nil: the network.
	Transport http.RoundTripper
}

// Client speaks to a service. Its methods may be called from many goroutines.
type Client struct {
	bases []string
	token string
	http  *http.Client
}

// New makes a client. It does not connect.
func New(cfg Config) (*Client, error) {
	if len(cfg.URLs) == 0 {
		return nil, errors.New("no server to speak to")
	}
	c := &Client{token: cfg.Token}
	for _, text := range cfg.URLs {
		u, err := url.Parse(text)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return nil, fmt.Errorf("%q is not the URL of a server, such as http://127.0.0.1:8080", text)
		}
		if cfg.Token != "" && !private(u) {
			return nil, fmt.Errorf("a token is not sent in clear to another machine: use https instead of %s", u.Redacted())
		}
		c.bases = append(c.bases, strings.TrimRight(u.String(), "/"))
	}
	var err error
	c.http, err = HTTP(cfg)
	return c, err
}

// HTTP makes a client of package http for servers with checked URLs.
func HTTP(cfg Config) (*http.Client, error) {
	config, err := tlsConfig(cfg)
	if err != nil {
		return nil, err
	}
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.TLSClientConfig = config
	t.DisableCompression = !slices.ContainsFunc(cfg.URLs, far) // it costs more than it saves
	switch {
	case cfg.Patience == 0:
		t.ResponseHeaderTimeout = time.Minute
	case cfg.Patience > 0:
		t.ResponseHeaderTimeout = cfg.Patience
	}
	c := &http.Client{Transport: t, CheckRedirect: dontFollow}
	if cfg.Transport != nil {
		c.Transport = cfg.Transport
	}
	return c, nil
}

// far tells whether a server is another machine.
func far(text string) bool {
	u, err := url.Parse(text)
	return err != nil || !loopback(u)
}

// dontFollow answers redirections as they are: they say where something is that
// a request has made, and a token is for one server only.
func dontFollow(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// private tells whether nobody can listen on the way to u.
func private(u *url.URL) bool { return u.Scheme == "https" || loopback(u) }

// loopback tells whether u is this machine's own.
func loopback(u *url.URL) bool {
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
}

func tlsConfig(cfg Config) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if (cfg.Cert == "") != (cfg.Key == "") {
		return nil, errors.New("a client certificate needs its key, and a key its certificate")
	}
	if cfg.Cert != "" {
		pair, err := tls.LoadX509KeyPair(cfg.Cert, cfg.Key)
		if err != nil {
			return nil, fmt.Errorf("load client certificate: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	if cfg.CA != "" {
		text, err := os.ReadFile(cfg.CA)
		if err != nil {
			return nil, fmt.Errorf("load CA: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("load CA: %s holds no certificate", cfg.CA)
		}
	}
	return config, nil
}

// Close drops idle connections.
func (c *Client) Close() error {
	c.http.CloseIdleConnections()
	return nil
}

// Request is one request.
type Request struct {
	Method string // "": GET, or POST with a body
	Path   string // below the service's URL: /pdb/query/v4
	Query  url.Values
	Header http.Header
	Body   []byte // JSON, unless Header says otherwise; nil: none
}

// Do sends a request, to the first server that can be reached. The answer is a
// success, and the caller closes its body; a refusal is an *Error, and no
// server at all an *UnreachableError.
func (c *Client) Do(ctx context.Context, req Request) (*http.Response, error) {
	var failures []error
	for _, base := range c.bases {
		r, err := c.request(ctx, base, req)
		if err != nil {
			return nil, err
		}
		res, err := c.http.Do(r)
		switch {
		case err == nil && res.StatusCode < 400:
			return res, nil
		case err == nil:
			defer res.Body.Close() // read only: nothing to lose
			return nil, readError(res)
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		case !neverSent(err):
			return nil, broken(base, err)
		}
		failures = append(failures, unwrapURL(err))
	}
	return nil, &UnreachableError{URLs: c.bases, Errs: failures}
}

func (c *Client) request(ctx context.Context, base string, req Request) (*http.Request, error) {
	method := req.Method
	if method == "" {
		method = http.MethodGet
		if req.Body != nil {
			method = http.MethodPost
		}
	}
	to := base + req.Path
	if len(req.Query) > 0 {
		to += "?" + req.Query.Encode()
	}
	r, err := http.NewRequestWithContext(ctx, method, to, bytes.NewReader(req.Body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Accept", "application/json")
	if req.Body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		r.Header.Set("X-Authentication", c.token)
	}
	for k, v := range req.Header {
		r.Header[k] = v
	}
	return r, nil
}

// neverSent tells whether a request did not reach the server: another one may
// be asked instead.
func neverSent(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

// broken says which server did not answer a request that it may have had, and
// what helps where it is a matter of certificates.
func broken(base string, err error) error {
	err = unwrapURL(err)
	var unknown x509.UnknownAuthorityError
	switch {
	case errors.As(err, &unknown):
		return fmt.Errorf("%s: %w: name the CA that vouches for it with --ca", base, err)
	case strings.Contains(err.Error(), "tls: certificate required"):
		return fmt.Errorf("%s: %w: name a client certificate with --cert and --key", base, err)
	}
	return fmt.Errorf("%s: %w", base, err)
}

// unwrapURL drops the method and URL that package http puts before errors: who
// calls knows them, and says it better.
func unwrapURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// JSON sends a request and decodes the answer into into, unless that is nil.
func (c *Client) JSON(ctx context.Context, req Request, into any) error {
	res, err := c.Do(ctx, req)
	if err != nil {
		return err
	}
	defer res.Body.Close() // read only: nothing to lose
	if into == nil {
		_, err = io.Copy(io.Discard, res.Body)
	} else {
		err = json.NewDecoder(res.Body).Decode(into)
	}
	if err != nil {
		return fmt.Errorf("read the answer to %s: %w", req.Path, err)
	}
	return nil
}
