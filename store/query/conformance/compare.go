package conformance

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"
)

func decode(b []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	if d.More() {
		return nil, fmt.Errorf("more than one JSON value")
	}
	return v, nil
}

// Compare finds the differences between an answer and what was recorded.
func (c *Case) Compare(a Answer) (hard, soft []string) {
	e := c.Expect
	if a.Status != e.Status {
		if slices.Contains(e.AcceptStatus, a.Status) || e.Status == http.StatusInternalServerError && a.Status == http.StatusBadRequest ||
			c.Free && a.Status < 500 {
			return nil, nil
		}
		return []string{fmt.Sprintf("status: want %d, got %d %s", e.Status, a.Status, clip(string(a.Body)))}, nil
	}
	var diffs []string
	add := func(what, want, got string) {
		diffs = append(diffs, fmt.Sprintf("%s: want %s, got %s", what, clip(want), clip(got)))
	}
	if got := squash(a.Header.Get("Content-Type")); e.ContentType != "" && squash(e.ContentType) != got {
		add("content-type", e.ContentType, got)
	}
	for k, v := range e.Headers {
		if got := a.Header.Get(k); got != v {
			add("header "+k, v, got)
		}
	}
	switch {
	case c.Only == "status":
	case e.Text != nil:
		want, got := *e.Text, string(a.Body)
		if c.TextMask != "" {
			rx := regexp.MustCompile(c.TextMask)
			want, got = rx.ReplaceAllString(want, "<>"), rx.ReplaceAllString(got, "<>")
		}
		if strings.TrimRight(want, "\n") != strings.TrimRight(got, "\n") {
			add("text", want, got)
		}
	case e.Body != nil:
		if d := c.compareBody(e.Body, a.Body); d != "" {
			diffs = append(diffs, d)
		} else if c.Pretty != nil && bytes.Contains(bytes.TrimSpace(a.Body), []byte("\n")) != *c.Pretty {
			diffs = append(diffs, fmt.Sprintf("layout: want pretty %v", *c.Pretty))
		}
	}
	strict := e.Status < 400
	if c.Strict != nil {
		strict = *c.Strict
	}
	if strict {
		return diffs, nil
	}
	return nil, diffs
}

func squash(s string) string {
	return strings.ToLower(strings.Join(strings.Fields(s), ""))
}

func clip(s string) string {
	if len(s) > 300 {
		return s[:300] + "…"
	}
	return s
}

func (c *Case) compareBody(want, got []byte) string {
	w, err := decode(want)
	if err != nil {
		return "recorded body: " + err.Error()
	}
	g, err := decode(got)
	if err != nil {
		return fmt.Sprintf("body is not JSON: %v: %s", err, clip(string(got)))
	}
	n := normaliser{masks: compile(c.Mask), unordered: compile(c.Unordered), anyCorrective: c.AnyCorrective}
	w, g = n.norm(w, nil), n.norm(g, nil)
	wl, ok1 := w.([]any)
	gl, ok2 := g.([]any)
	if !ok1 || !ok2 {
		return diff(w, g, "$")
	}
	if c.Only == "count" {
		return diff(strconv.Itoa(len(wl)), strconv.Itoa(len(gl)), "$.length")
	}
	if c.Ordered {
		return diff(wl, gl, "$")
	}
	if d := multiset(wl, gl); d != "" || c.OrderKeys == nil {
		return d
	}
	return diff(project(wl, c.OrderKeys), project(gl, c.OrderKeys), "$ order by "+strings.Join(c.OrderKeys, ","))
}

func project(rows []any, keys []string) []any {
	out := make([]any, len(rows))
	for i, r := range rows {
		row, _ := r.(map[string]any)
		var list []any
		for _, k := range keys {
			list = append(list, row[k])
		}
		out[i] = list
	}
	return out
}

func multiset(want, got []any) string {
	count := map[string]int{}
	for _, w := range want {
		count[key(w)]++
	}
	var extra []string
	for _, g := range got {
		if k := key(g); count[k] > 0 {
			count[k]--
		} else {
			extra = append(extra, k)
		}
	}
	var missing []string
	for k, n := range count {
		for range n {
			missing = append(missing, k)
		}
	}
	if missing == nil && extra == nil {
		return ""
	}
	sort.Strings(missing)
	show := func(l []string) string {
		if l == nil {
			return "-"
		}
		return clip(l[0])
	}
	if len(missing) > 0 && len(extra) > 0 {
		return fmt.Sprintf("rows (want %d, got %d): missing %s; unexpected %s; %s", len(want), len(got), show(missing), show(extra), firstDifference(missing[0], extra[0]))
	}
	return fmt.Sprintf("rows (want %d, got %d): missing %d %s; unexpected %d %s", len(want), len(got), len(missing), show(missing), len(extra), show(extra))
}

func firstDifference(a, b string) string {
	i := 0
	for i < len(a) && i < len(b) && a[i] == b[i] {
		i++
	}
	from := max(0, i-40)
	return "at …" + clip(a[min(from, len(a)):min(i+60, len(a))]) + " / …" + clip(b[min(from, len(b)):min(i+60, len(b))])
}

// number is a JSON number by value.
type number string

func canonical(n json.Number) number {
	r, ok := new(big.Rat).SetString(string(n))
	if !ok {
		return number(n)
	}
	if r.IsInt() {
		return number(r.Num().String())
	}
	f, _ := r.Float64()
	return number(strconv.FormatFloat(f, 'g', 12, 64))
}

func key(v any) string {
	switch v := v.(type) {
	case number:
		return "n" + string(v)
	case map[string]any:
		keys := make([]string, 0, len(v))
		for k := range v {
			keys = append(keys, k)
		}
		sort.Strings(keys)
		var b strings.Builder
		b.WriteByte('{')
		for _, k := range keys {
			b.WriteString(strconv.Quote(k) + ":" + key(v[k]) + ",")
		}
		return b.String() + "}"
	case []any:
		var b strings.Builder
		b.WriteByte('[')
		for _, x := range v {
			b.WriteString(key(x) + ",")
		}
		return b.String() + "]"
	case string:
		return strconv.Quote(v)
	}
	return fmt.Sprint(v)
}

func diff(w, g any, path string) string {
	if key(w) == key(g) {
		return ""
	}
	switch w := w.(type) {
	case map[string]any:
		if g, ok := g.(map[string]any); ok {
			for k := range w {
				if _, ok := g[k]; !ok {
					return path + "." + k + ": absent"
				}
				if d := diff(w[k], g[k], path+"."+k); d != "" {
					return d
				}
			}
			return path + ": more keys than wanted"
		}
	case []any:
		if g, ok := g.([]any); ok {
			for i := range min(len(w), len(g)) {
				if d := diff(w[i], g[i], fmt.Sprintf("%s[%d]", path, i)); d != "" {
					return d
				}
			}
			return fmt.Sprintf("%s.length: want %d, got %d", path, len(w), len(g))
		}
	}
	return fmt.Sprintf("%s: want %s, got %s", path, clip(key(w)), clip(key(g)))
}
