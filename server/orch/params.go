package orch

import (
	"fmt"
	"math"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gorilla/mux"
)

var integer = regexp.MustCompile(`\A[+-]?[0-9]+\z`)

// params are the parameters of a GET. The first mistake is kept.
type params struct {
	values url.Values
	err    error
}

func paramsOf(r *http.Request) *params { return &params{values: r.URL.Query()} }

func (p *params) wrong(key, expected, got string) {
	if p.err == nil {
		p.err = invalid(key, expected, quoted(got))
	}
}

// integer is a parameter that is an integer of at least low; without is its
// value when it is absent.
func (p *params) integer(key string, low, without int64) int64 {
	if !p.values.Has(key) {
		return without
	}
	text := p.values.Get(key)
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < low {
		expected := "an integer"
		if low > math.MinInt64 {
			expected = fmt.Sprintf("an integer of at least %d", low)
		}
		p.wrong(key, expected, text)
		return without
	}
	return n
}

// oneOf is a parameter that is one of some words, "" when it is absent.
func (p *params) oneOf(key string, words ...string) string {
	text := p.values.Get(key)
	if p.values.Has(key) && !slices.Contains(words, text) {
		p.wrong(key, "one of "+strings.Join(words, ", "), text)
	}
	return text
}

// when is a parameter that is a time. Times are shown in seconds, so the last
// moment of a second is what an upper bound means.
func (p *params) when(key string, upper bool) time.Time {
	if !p.values.Has(key) {
		return time.Time{}
	}
	text := p.values.Get(key)
	for _, form := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02T15:04Z07:00", "2006-01-02"} {
		t, err := time.Parse(form, text)
		if err != nil {
			continue
		}
		if upper && t.Nanosecond() == 0 {
			t = t.Add(time.Second - time.Millisecond)
		}
		return t.UTC()
	}
	p.wrong(key, "a time as 2006-01-02T15:04:05Z", text)
	return time.Time{}
}

// pagination tells which part of a list was answered.
type pagination struct {
	Limit   *int64 `json:"limit"` // null: no limit
	Offset  int64  `json:"offset"`
	Order   string `json:"order"`
	OrderBy string `json:"order_by"`
	Total   int    `json:"total"`
	Type    string `json:"type,omitempty"`
}

// page reads limit, offset, order_by and order. OrderBy is empty when neither
// order was asked for; who asks only for a direction means by.
func (p *params) page(by string, columns ...string) pagination {
	out := pagination{
		Offset: p.integer("offset", 0, 0), OrderBy: p.oneOf("order_by", columns...), Order: p.oneOf("order", "asc", "desc"),
	}
	if limit := p.integer("limit", 1, 0); limit > 0 {
		out.Limit = &limit
	}
	if out.OrderBy == "" && out.Order != "" {
		out.OrderBy = by
	}
	if out.OrderBy != "" && out.Order == "" {
		out.Order = "asc"
	}
	return out
}

func (p pagination) limit() int {
	if p.Limit == nil {
		return 0
	}
	return int(*p.Limit)
}

// jobIn is the id of the job in the path.
func jobIn(r *http.Request) (int64, error) {
	name := pathVar(r, "job")
	if !integer.MatchString(name) {
		return 0, invalid("job-id", "an integer", quoted(name))
	}
	return jobID(name)
}

// pathVar is a part of the path, unescaped.
func pathVar(r *http.Request, name string) string {
	text := mux.Vars(r)[name]
	if plain, err := url.PathUnescape(text); err == nil {
		return plain
	}
	return text
}
