package difffuzz

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"dalang/store/query/ast"
	"dalang/store/query/conformance"
)

// Oracle is a real PuppetDB that holds the corpus.
type Oracle struct {
	base   string
	client *http.Client
	pairs  map[string]string // what it made up, and Dalang's counterpart
}

// NewOracle loads the commands unless they are there already, and pairs what
// the server made up with what local did.
func NewOracle(ctx context.Context, base string, commands []Command, local *Local) (*Oracle, error) {
	o := &Oracle{base: strings.TrimSuffix(base, "/"), client: &http.Client{}, pairs: map[string]string{}}
	nodes, err := rows(o.Ask, everyNode())
	if err != nil {
		return nil, err
	}
	if len(nodes) == 0 {
		for i, c := range commands {
			if err := o.submit(ctx, c); err != nil {
				return nil, fmt.Errorf("command %d: %w", i, err)
			}
		}
	}
	if err := o.pair(local); err != nil {
		return nil, fmt.Errorf("%s does not hold the corpus; start it anew: %w", base, err)
	}
	return o, nil
}

func (o *Oracle) submit(ctx context.Context, c Command) error {
	q := url.Values{"command": {c.Command}, "version": {strconv.Itoa(c.Version)}, "certname": {c.Certname},
		"producer-timestamp": {c.Timestamp}, "secondsToWaitForCompletion": {"60"}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, o.base+"/pdb/cmd/v1?"+q.Encode(), strings.NewReader(c.Body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	res, err := o.client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(res.Body)
	if err == nil && (res.StatusCode != http.StatusOK || !strings.Contains(string(b), "true")) {
		err = fmt.Errorf("not processed: %d %s", res.StatusCode, b)
	}
	return err
}

// Ask sends a request; in its answer what was paired is translated.
func (o *Oracle) Ask(r conformance.Request) (conformance.Answer, error) {
	target := o.base + r.Path
	var pairs [][2]string
	if r.Params != nil {
		if err := json.Unmarshal(r.Params, &pairs); err != nil {
			return conformance.Answer{}, err
		}
	}
	for i, p := range pairs {
		target += map[bool]string{true: "?", false: "&"}[i == 0] + url.QueryEscape(p[0]) + "=" + url.QueryEscape(p[1])
	}
	body := ""
	if r.Body != nil {
		body = *r.Body
	}
	req, err := http.NewRequest(r.Method, target, strings.NewReader(body))
	if err != nil {
		return conformance.Answer{}, err
	}
	req.Header.Set("Accept", "application/json")
	if r.Body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := o.client.Do(req)
	if err != nil {
		return conformance.Answer{}, err
	}
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(res.Body)
	return conformance.Answer{Status: res.StatusCode, Header: res.Header, Body: o.translate(b)}, err
}

var madeUp = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z|[0-9a-f]{40}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}`)

func (o *Oracle) translate(b []byte) []byte {
	return madeUp.ReplaceAllFunc(b, func(m []byte) []byte {
		if s, ok := o.pairs[string(m)]; ok {
			return []byte(s)
		}
		return m
	})
}

func everyNode() *Request {
	q := ast.List(ast.Str("="), ast.Str("node_state"), ast.Str("any"))
	return &Request{Path: "/nodes", Entity: "nodes", Query: &q, Params: []Param{{"include_facts_expiration", "true"}}}
}

// pair asks both for everything that a server makes up.
func (o *Oracle) pair(local *Local) error {
	reports := everyNode()
	reports.Path, reports.Entity, reports.Params = "/reports", "reports", nil
	reports.Query.Items[1], reports.Query.Items[2] = ast.Str("type"), ast.Str("any")
	for _, c := range []struct {
		req      *Request
		key      string
		volatile []string
	}{
		{everyNode(), "certname", []string{"catalog_timestamp", "facts_timestamp", "expires_facts_updated"}},
		{&Request{Path: "/catalogs", Entity: "catalogs"}, "certname", []string{"hash", "transaction_uuid", "catalog_uuid"}},
		{reports, "hash", []string{"receive_time", "transaction_uuid", "catalog_uuid"}},
	} {
		theirs, err := rows(o.Ask, c.req)
		if err != nil {
			return err
		}
		ours, err := rows(local.Ask, c.req)
		if err != nil {
			return err
		}
		if len(ours) != len(theirs) {
			return fmt.Errorf("%s: %d rows, want %d", c.req.Entity, len(theirs), len(ours))
		}
		for _, row := range theirs {
			i := slices.IndexFunc(ours, func(x map[string]json.RawMessage) bool { return string(x[c.key]) == string(row[c.key]) })
			if i < 0 {
				return fmt.Errorf("%s: unknown %s %s", c.req.Entity, c.key, row[c.key])
			}
			if err := o.same(row, ours[i], c.volatile); err != nil {
				return fmt.Errorf("%s %s: %w", c.req.Entity, row[c.key], err)
			}
		}
	}
	return nil
}

// same notes what the volatile fields of one row are for either server.
func (o *Oracle) same(theirs, ours map[string]json.RawMessage, volatile []string) error {
	for _, f := range volatile {
		var a, b *string
		if json.Unmarshal(theirs[f], &a) != nil || json.Unmarshal(ours[f], &b) != nil || (a == nil) != (b == nil) {
			return fmt.Errorf("%s is %s, not %s", f, theirs[f], ours[f])
		}
		if a == nil || *a == *b {
			continue
		}
		if old, ok := o.pairs[*a]; ok && old != *b {
			return fmt.Errorf("%s %s stands for %s and for %s", f, *a, old, *b)
		}
		o.pairs[*a] = *b
	}
	return nil
}
