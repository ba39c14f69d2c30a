package pdb

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"
)

// Params are request parameters as upstream's ring middleware reads them. It
// differs from net/url: only "&" separates, bad UTF-8 becomes U+FFFD, and the
// order of keys is kept so that messages can list them.
type Params struct {
	keys   []string
	values map[string][]string
}

// maxFormBody bounds the parameters that a body may carry: they live in RAM.
const maxFormBody = 1 << 20

// ParseParams reads a query string, or a form body. A broken escape is answered
// 400: upstream drops the pair, and with it a condition that somebody relies on.
func ParseParams(raw string) (Params, error) {
	p := Params{values: map[string][]string{}}
	for pair := range strings.SplitSeq(raw, "&") {
		if pair == "" {
			continue
		}
		k, v, _ := strings.Cut(pair, "=")
		key, err := unescape(k)
		if err != nil {
			return p, brokenEscape(err, "the name of a query parameter")
		}
		value, err := unescape(v)
		if err != nil {
			return p, brokenEscape(err, "query parameter '"+key+"'")
		}
		p.Add(key, value)
	}
	return p, nil
}

func brokenEscape(err error, where string) error {
	what := "%"
	var escape url.EscapeError
	if errors.As(err, &escape) {
		what = strings.ToValidUTF8(string(escape), "\uFFFD")
	}
	return Textf(http.StatusBadRequest, "Malformed escape '%s' in %s; a percent sign is written as %%25", what, where)
}

func unescape(s string) (string, error) {
	if strings.ContainsAny(s, "%+") {
		var err error
		if s, err = url.QueryUnescape(s); err != nil {
			return "", err
		}
	}
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, "\uFFFD")
	}
	return s, nil
}

// Add appends a value to a key.
func (p *Params) Add(key, value string) {
	if _, ok := p.values[key]; !ok {
		p.keys = append(p.keys, key)
	}
	p.values[key] = append(p.values[key], value)
}

// Keys lists the keys in the order in which they first appeared.
func (p Params) Keys() []string { return p.keys }

// Has tells whether the key was sent, be it empty.
func (p Params) Has(key string) bool { return len(p.values[key]) > 0 }

// All returns every value of a key.
func (p Params) All(key string) []string { return p.values[key] }

// Get returns the only value of a key; ok is false when the key was not sent
// or was sent several times.
func (p Params) Get(key string) (value string, ok bool) {
	if v := p.values[key]; len(v) == 1 {
		return v[0], true
	}
	return "", false
}

// Encode writes the parameters as a query string.
func (p Params) Encode() string {
	var b strings.Builder
	for _, k := range p.keys {
		for _, v := range p.values[k] {
			if b.Len() > 0 {
				b.WriteByte('&')
			}
			b.WriteString(url.QueryEscape(k) + "=" + url.QueryEscape(v))
		}
	}
	return b.String()
}

// MergeForm moves the parameters of an x-www-form-urlencoded body into the
// query string, where every handler looks for them. Upstream does so for any
// method, and a real client (puppetdb-ruby) sends GET with such a body. POST is
// left alone: its handlers refuse that content type. The body's keys win.
func MergeForm(r *http.Request) error {
	if r.Method == http.MethodPost || r.Body == nil || r.Body == http.NoBody {
		return nil
	}
	mt, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || mt != "application/x-www-form-urlencoded" {
		return nil
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxFormBody+1))
	if err != nil {
		return err
	}
	if len(body) > maxFormBody {
		return Textf(http.StatusRequestEntityTooLarge, "form parameters exceed %d bytes", maxFormBody)
	}
	r.Body = http.NoBody
	query, err := ParseParams(r.URL.RawQuery)
	if err != nil {
		return err
	}
	form, err := ParseParams(string(body))
	if err != nil {
		return err
	}
	for _, k := range query.keys {
		if !form.Has(k) {
			for _, v := range query.values[k] {
				form.Add(k, v)
			}
		}
	}
	r.URL.RawQuery = form.Encode()
	return nil
}
