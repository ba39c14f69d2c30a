package pdb

import (
	"io"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"dalang/store/query"
	"dalang/store/query/ast"
	"dalang/store/query/pql"
)

// params is the set of parameters that a route takes.
type params []string

// The sets. Spec query.md §1.3.
func noPaging() params {
	return params{"timeout", "origin", "explain", "optimize_drop_unused_joins", "include_facts_expiration", "include_package_inventory", "pretty"}
}

func typical() params {
	return append(noPaging(), "query", "limit", "offset", "order_by", "include_total")
}

func eventParams() params {
	return append(typical(), "distinct_resources", "distinct_start_time", "distinct_end_time")
}

func countParams() params {
	return append(eventParams(), "summarize_by", "counts_filter", "count_by")
}

func aggregateParams() params {
	p := append(noPaging(), "query", "distinct_resources", "distinct_start_time", "distinct_end_time", "summarize_by", "counts_filter", "count_by")
	return slices.DeleteFunc(p, func(s string) bool { return s == "pretty" })
}

// maxQueryBody bounds the body of a POST.
const maxQueryBody = 16 << 20

// request is a query request as read from HTTP.
type request struct {
	query.Request
	pretty  bool
	hints   bool // what is wrong may be told with a hint
	astOnly bool
}

// given are the parameters of a request as JSON values; those of a URL are
// strings.
type given struct {
	values map[string]ast.Value
	body   bool // they came in a body, where arrays are arrays
}

func (g given) text(name string) (string, bool) {
	v, ok := g.values[name]
	if !ok || v.Kind == ast.Null {
		return "", false
	}
	if v.Kind == ast.String {
		return v.Text, true
	}
	return string(v.JSON()), true
}

func (g given) flag(name string) bool {
	s, _ := g.text(name)
	return strings.EqualFold(s, "true")
}

func refuse(format string, args ...any) error {
	return Textf(http.StatusBadRequest, format, args...)
}

// parameters reads the parameters of a GET from the URL, of a POST from the body.
func parameters(r *http.Request, allowed params) (given, error) {
	g := given{values: map[string]ast.Value{}}
	url, err := ParseParams(r.URL.RawQuery)
	if err != nil {
		return g, err
	}
	for _, k := range url.Keys() {
		v, ok := url.Get(k)
		if !ok {
			return g, refuse("Query parameter '%s' was given more than once", k)
		}
		g.values[k] = ast.Str(v)
	}
	if r.Method == http.MethodPost {
		g.body = true
		if err := g.read(r.Body); err != nil {
			return g, err
		}
	}
	var unknown []string
	for k := range g.values {
		if !slices.Contains(allowed, k) {
			unknown = append(unknown, k)
		}
	}
	if unknown != nil {
		return g, refuse("Unsupported query parameter '%s'", slices.Min(unknown))
	}
	return g, nil
}

func (g given) read(body io.Reader) error {
	b, err := io.ReadAll(io.LimitReader(body, maxQueryBody+1))
	if err != nil {
		return err
	}
	if len(b) > maxQueryBody {
		return Textf(http.StatusRequestEntityTooLarge, "the query exceeds %d bytes", maxQueryBody)
	}
	if strings.TrimSpace(string(b)) == "" {
		return nil
	}
	v, err := ast.Read(string(b))
	if err != nil {
		return refuse("%s", err)
	}
	if v.Kind != ast.Object {
		return refuse("The body of a query must be a JSON object, with the query under \"query\"")
	}
	for i, k := range v.Keys {
		if v.Items[i].Kind != ast.Null { // the same as leaving it out
			g.values[k] = v.Items[i]
		}
	}
	return nil
}

// request reads a request's parameters.
func (q *Queries) request(r *http.Request, e endpoint) (*request, error) {
	g, err := parameters(r, e.params)
	var req *request
	if err == nil {
		req, err = q.requested(g, e.params, r.Header)
	}
	if err != nil {
		text, _ := g.text("query")
		origin, _ := g.text("origin")
		q.cfg.Engine.Refused(e.entity, text, origin, err)
		return nil, err
	}
	return req, nil
}

// requested makes a request of its parameters.
func (q *Queries) requested(g given, allowed params, h http.Header) (_ *request, err error) {
	root := slices.Contains(allowed, "ast_only")
	req := &request{pretty: q.cfg.Pretty, hints: root, astOnly: root && g.flag("ast_only")}
	if _, ok := g.values["pretty"]; ok {
		req.pretty = g.flag("pretty")
	}
	req.FactsExpiration, req.PackageInventory = g.flag("include_facts_expiration"), g.flag("include_package_inventory")
	req.Origin, _ = g.text("origin")
	if _, ok := g.values["query"]; !ok && root && !g.body {
		return nil, refuse("Missing required query parameter 'query'")
	}
	if req.Query, err = q.query(g, root); err != nil {
		return nil, err
	}
	if req.Paging, err = paging(g); err != nil {
		return nil, err
	}
	if req.Timeout, err = timeout(g); err != nil {
		return nil, err
	}
	if s, ok := g.text("explain"); ok {
		if s != "analyze" {
			return nil, refuse("Illegal value '%s' for :explain; expected `analyze`.", s)
		}
		req.Explain = true
	}
	if req.Events, err = eventOptions(g); err == nil && slices.Contains(allowed, "summarize_by") {
		if err = countOptions(g, req); err == nil {
			req.Events.Totals = readsTotals(h)
		}
	}
	return req, err
}

var startsAsJSON = regexp.MustCompile(`^\s*\[`)

// query reads the query itself: JSON, or at the root PQL.
func (q *Queries) query(g given, root bool) (*ast.Value, error) {
	v, ok := g.values["query"]
	if !ok || v.Kind == ast.Null {
		return nil, nil
	}
	if v.Kind != ast.String {
		return &v, nil
	}
	if !root && (v.Text == "" || v.Text == "null") {
		return nil, nil
	}
	read := ast.Read
	if root && !startsAsJSON.MatchString(v.Text) {
		read = pql.Parse
	}
	tree, err := read(v.Text)
	if err != nil {
		return nil, refuse("%s", err)
	}
	return &tree, nil
}

func paging(g given) (p query.Paging, err error) {
	p.IncludeTotal = g.flag("include_total")
	if s, ok := g.text("limit"); ok {
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil || n < 1 {
			return p, refuse("Illegal value '%s' for :limit; expected a positive non-zero integer.", s)
		}
		p.Limit = &n
	}
	if s, ok := g.text("offset"); ok {
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil || n < 0 {
			return p, refuse("Illegal value '%s' for :offset; expected a non-negative integer.", s)
		}
		p.Offset = &n
	}
	p.OrderBy, err = orderBy(g)
	return p, err
}

func orderBy(g given) ([]query.Order, error) {
	v, ok := g.values["order_by"]
	if !ok || v.Kind == ast.Null || v.Kind == ast.String && v.Text == "" && !g.body {
		return nil, nil
	}
	shown := v.Text
	if v.Kind == ast.String && !g.body {
		list, err := ast.Read(v.Text)
		if err != nil {
			return nil, refuse("Illegal value '%s' for :order_by; expected a JSON array of maps.", v.Text)
		}
		v = list
	}
	if v.Kind != ast.String {
		shown = v.Clojure()
	}
	if v.Kind != ast.Array {
		return nil, refuse("Illegal value '%s' for :order_by; expected an array of maps.", shown)
	}
	out := []query.Order{}
	for _, x := range v.Items {
		if x.Kind != ast.Object {
			return nil, refuse("Illegal value '%s' for :order_by; expected an array of maps.", shown)
		}
		o, err := order(x)
		if err != nil {
			return nil, err
		}
		out = append(out, o)
	}
	return out, nil
}

func order(x ast.Value) (o query.Order, err error) {
	named := false
	for i, k := range x.Keys {
		v := x.Items[i]
		switch k {
		case "field":
			named = v.Kind == ast.String
			o.Field = v.Text
		case "order":
			if !strings.EqualFold(v.Text, "asc") && !strings.EqualFold(v.Text, "desc") {
				return o, refuse("Illegal value '%s' in :order_by; 'order' must be either 'asc' or 'desc'", x.Clojure())
			}
			o.Desc = strings.EqualFold(v.Text, "desc")
		default:
			return o, refuse("Illegal value '%s' in :order_by; unknown key '%s'.", x.Clojure(), k)
		}
	}
	if !named {
		return o, refuse("Illegal value '%s' in :order_by; missing required key field.", x.Clojure())
	}
	return o, nil
}

var seconds = regexp.MustCompile(`^(\d+|\d*\.\d+)$`)

func timeout(g given) (*time.Duration, error) {
	s, ok := g.text("timeout")
	if !ok {
		return nil, nil
	}
	n, err := strconv.ParseFloat(s, 64)
	if err != nil || !seconds.MatchString(s) || n > 1e9 {
		return nil, refuse("Query timeout must be non-negative number, not %s", s)
	}
	d := time.Duration(n * float64(time.Second))
	if n > 0 && d == 0 {
		d = 1
	}
	return &d, nil
}

// eventOptions reads the parameters of the routes about events.
func eventOptions(g given) (*query.EventOptions, error) {
	start, ok1 := g.text("distinct_start_time")
	end, ok2 := g.text("distinct_end_time")
	_, given := g.values["distinct_resources"]
	switch {
	case !given && !ok1 && !ok2:
		return nil, nil
	case !given && ok1 && ok2:
		return nil, refuse("'distinct_resources' query parameter must accompany parameters 'distinct_start_time' and 'distinct_end_time'")
	case !ok1 || !ok2:
		return nil, refuse("'distinct_resources' query parameter requires accompanying parameters 'distinct_start_time' and 'distinct_end_time'")
	}
	o := &query.EventOptions{Distinct: g.flag("distinct_resources")}
	var err1, err2 error
	o.Start, err1 = query.ParseTime(start)
	o.End, err2 = query.ParseTime(end)
	if err1 != nil || err2 != nil {
		return nil, refuse("query parameters 'distinct_start_time' and 'distinct_end_time' must be valid datetime strings: %s %s", start, end)
	}
	return o, nil
}

// countOptions reads the parameters of the routes that count events.
func countOptions(g given, req *request) error {
	if req.Events == nil {
		req.Events = &query.EventOptions{}
	}
	by, ok := g.text("summarize_by")
	if !ok {
		return refuse("Missing required query parameter 'summarize_by'")
	}
	req.Events.SummarizeBy = strings.Split(by, ",")
	req.Events.CountBy, _ = g.text("count_by")
	filter, ok := g.values["counts_filter"]
	if !ok {
		return nil
	}
	if filter.Kind == ast.String {
		v, err := ast.Read(filter.Text)
		if err != nil {
			return refuse("%s", err)
		}
		filter = v
	}
	req.Events.CountsFilter = &filter
	return nil
}

// readsTotals tells whether a client reads the counters of event counts that
// a build without corrective changes has, and would take their absence for
// zero: pypuppetdb, and puppetboard, which is built on it. Of these only
// puppetboard names itself; but no other client sends this Accept-Charset.
func readsTotals(h http.Header) bool {
	return strings.HasPrefix(h.Get("User-Agent"), "puppetboard/") || strings.EqualFold(h.Get("Accept-Charset"), "utf-8")
}
