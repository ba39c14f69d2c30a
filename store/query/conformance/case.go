// Package conformance compares a server with recorded answers of a real
// PuppetDB, by the rules of testdata/conformance/README.md. It is for tests.
package conformance

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
	"sort"
	"strconv"
	"strings"
)

// Request is what is sent.
type Request struct {
	Method  string             `json:"method"`
	Path    string             `json:"path"`
	Params  json.RawMessage    `json:"params"` // an object, or a list of pairs
	Headers map[string]*string `json:"headers"`
	Body    *string            `json:"body"`
}

// Expect is what is to come.
type Expect struct {
	Status       int               `json:"status"`
	ContentType  string            `json:"content_type"`
	Body         json.RawMessage   `json:"body"`
	Text         *string           `json:"text"`
	Headers      map[string]string `json:"headers"`
	AcceptStatus []int             `json:"accept_status"`
}

// Case is one recorded exchange.
type Case struct {
	Request
	ID        string                       `json:"id"`
	Group     string                       `json:"group"`
	Note      string                       `json:"note"`
	Tags      []string                     `json:"tags"`
	Let       map[string][]json.RawMessage `json:"let"`
	Setup     []json.RawMessage            `json:"setup"`
	Last      bool                         `json:"last"`
	Expect    Expect                       `json:"expect"`
	Ordered   bool                         `json:"ordered"`
	OrderKeys []string                     `json:"order_keys"`
	Unordered []string                     `json:"unordered"`
	Mask      []string                     `json:"mask"`
	Pretty    *bool                        `json:"pretty"`
	Strict    *bool                        `json:"strict"`
	TextMask  string                       `json:"text_mask"`

	// Of upstream's scenarios.
	Only string `json:"only"` // status, count
	PE   bool   `json:"pe"`
	FOSS bool   `json:"foss"`
	Free bool   `json:"free"`

	// AnyCorrective takes any corrective_change for another: recorded by a
	// server that does not keep it.
	AnyCorrective bool `json:"-"`
}

// Lines decodes a file of JSON lines.
func Lines[T any](file string) ([]T, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	var out []T
	r := bufio.NewReader(f)
	for n := 1; ; n++ {
		line, err := r.ReadBytes('\n')
		if len(bytes.TrimSpace(line)) > 0 {
			var x T
			if err := json.Unmarshal(line, &x); err != nil {
				return nil, fmt.Errorf("%s line %d: %w", file, n, err)
			}
			out = append(out, x)
		}
		if err != nil {
			return out, nil
		}
	}
}

// Answer is what a server said.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// Send sends a request to a handler; env fills in ${names}.
func (r Request) Send(h http.Handler, env map[string]string) (Answer, error) {
	fill := func(s string) string {
		for k, v := range env {
			s = strings.ReplaceAll(s, "${"+k+"}", v)
		}
		return s
	}
	method := r.Method
	if method == "" {
		method = http.MethodGet
	}
	target := fill(r.Path)
	pairs, err := r.pairs()
	if err != nil {
		return Answer{}, err
	}
	for i, p := range pairs {
		sep := "&"
		if i == 0 {
			sep = "?"
		}
		target += sep + url.QueryEscape(p[0]) + "=" + url.QueryEscape(fill(p[1]))
	}
	var body *strings.Reader = strings.NewReader("")
	header := http.Header{"Accept": {"application/json"}}
	if r.Body != nil {
		body = strings.NewReader(fill(*r.Body))
		header.Set("Content-Type", "application/json")
		if method == http.MethodGet && r.Method == "" {
			method = http.MethodPost
		}
	}
	for k, v := range r.Headers {
		header.Del(k)
		if v != nil {
			header.Set(k, *v)
		}
	}
	req := httptest.NewRequest(method, "http://localhost/", body)
	u, err := url.Parse("http://localhost" + target)
	if err != nil {
		return Answer{}, err
	}
	req.URL, req.RequestURI, req.Header = u, target, header
	w := httptest.NewRecorder()
	h.ServeHTTP(w, req)
	return Answer{w.Code, w.Header(), w.Body.Bytes()}, nil
}

func (r Request) pairs() ([][2]string, error) {
	if len(r.Params) == 0 || string(r.Params) == "null" {
		return nil, nil
	}
	text := func(raw json.RawMessage) string {
		var s string
		if json.Unmarshal(raw, &s) == nil {
			return s
		}
		var b bytes.Buffer
		_ = json.Compact(&b, raw)
		return b.String()
	}
	var out [][2]string
	var list [][]json.RawMessage
	if json.Unmarshal(r.Params, &list) == nil {
		for _, p := range list {
			out = append(out, [2]string{text(p[0]), text(p[1])})
		}
		return out, nil
	}
	var object map[string]json.RawMessage
	if err := json.Unmarshal(r.Params, &object); err != nil {
		return nil, err
	}
	for k, v := range object {
		out = append(out, [2]string{k, text(v)})
	}
	sort.Slice(out, func(i, j int) bool { return out[i][0] < out[j][0] })
	return out, nil
}

var step = regexp.MustCompile(`\.([A-Za-z0-9_?]+)|\[(\d+)\]|^([A-Za-z0-9_?]+)`)

// Pick finds the value at a small JSON path ($[0].hash or 0.hash).
func Pick(doc []byte, path string) (string, error) {
	v, err := decode(doc)
	if err != nil {
		return "", err
	}
	for _, m := range step.FindAllStringSubmatch(strings.TrimPrefix(path, "$"), -1) {
		name := m[1] + m[2] + m[3]
		switch x := v.(type) {
		case []any:
			i, err := strconv.Atoi(name)
			if err != nil || i >= len(x) {
				return "", fmt.Errorf("no %s in an array of %d", name, len(x))
			}
			v = x[i]
		case map[string]any:
			v = x[name]
		}
	}
	if s, ok := v.(string); ok {
		return s, nil
	}
	b, err := json.Marshal(v)
	return string(b), err
}

// Run sends a case, after what it depends on, and compares the answer. It
// returns the differences; soft ones are of error texts and content types.
func (c *Case) Run(h http.Handler, env map[string]string) (hard, soft []string) {
	vars := map[string]string{}
	for k, v := range env {
		vars[k] = v
	}
	for name, spec := range c.Let {
		var method, path, at string
		if json.Unmarshal(spec[0], &method) != nil || json.Unmarshal(spec[1], &path) != nil || json.Unmarshal(spec[3], &at) != nil {
			return []string{"bad let"}, nil
		}
		a, err := Request{Method: method, Path: path, Params: spec[2]}.Send(h, nil)
		if err == nil && a.Status == http.StatusOK {
			vars[name], err = Pick(a.Body, at)
		}
		if err != nil || a.Status != http.StatusOK {
			return []string{fmt.Sprintf("let %s: %d %v", name, a.Status, err)}, nil
		}
	}
	a, err := c.Request.Send(h, vars)
	if err != nil {
		return []string{err.Error()}, nil
	}
	return c.Compare(a)
}
