package difffuzz

import (
	"encoding/json"
	"math/rand/v2"
	"slices"
	"strings"

	"dalang/store/query/ast"
	"dalang/store/query/conformance"
)

const v4 = "/pdb/query/v4"

// Request is one request of the query API in a form that can be reduced.
type Request struct {
	Path   string     // below /pdb/query/v4; "" is the root
	Entity string     // what the path is about; at the root what the query names
	Query  *ast.Value // nil: none
	Text   string     // the query when it is not well-formed, instead of Query
	PQL    bool       // Query is sent as PQL
	Post   bool
	Params []Param

	Mutated bool // by chance: it may have any number of mistakes
}

// Param is a parameter besides the query; values are JSON or text.
type Param struct{ Name, Value string }

func (r *Request) clone() *Request {
	c := *r
	c.Params = slices.Clone(r.Params)
	if r.Query != nil {
		q := copied(*r.Query)
		c.Query = &q
	}
	return &c
}

func copied(v ast.Value) ast.Value {
	v.Keys = slices.Clone(v.Keys)
	items := make([]ast.Value, len(v.Items))
	for i, x := range v.Items {
		items[i] = copied(x)
	}
	v.Items = items
	return v
}

// text is the query as it is sent; ok is false when there is none.
func (r *Request) text() (text string, ok bool) {
	switch {
	case r.Text != "":
		return r.Text, true
	case r.Query == nil:
		return "", false
	case r.PQL:
		if s, ok := printPQL(*r.Query); ok {
			return s, true
		}
	}
	return string(r.Query.JSON()), true
}

func (r *Request) param(name string) (string, bool) {
	for _, p := range r.Params {
		if p.Name == name {
			return p.Value, true
		}
	}
	return "", false
}

// wire is the request as it goes over the wire.
func (r *Request) wire() conformance.Request {
	w := conformance.Request{Method: "GET", Path: v4 + r.Path}
	text, has := r.text()
	if r.Post {
		w.Method = "POST"
		body := ast.Value{Kind: ast.Object}
		put := func(k string, v ast.Value) { body.Keys, body.Items = append(body.Keys, k), append(body.Items, v) }
		if has {
			v := ast.Str(text)
			if !r.PQL && r.Text == "" {
				v = *r.Query
			}
			put("query", v)
		}
		for _, p := range r.Params {
			v, err := ast.Read(p.Value)
			if err != nil {
				v = ast.Str(p.Value)
			}
			put(p.Name, v)
		}
		s := string(body.JSON())
		w.Body = &s
		return w
	}
	var pairs [][2]string
	if has {
		pairs = append(pairs, [2]string{"query", text})
	}
	for _, p := range r.Params {
		pairs = append(pairs, [2]string{p.Name, p.Value})
	}
	if pairs != nil {
		w.Params, _ = json.Marshal(pairs) // strings always marshal
	}
	return w
}

// level is what decides how far an answer is determined: the outermost level.
type level struct {
	entity  string
	columns []string // of rows; nil: all
	order   []string
	group   []string
	grouped bool
	one     bool // an aggregate without groups: one row
	paged   bool
	loose   bool // a subquery takes some of its rows, whichever come first
}

// level looks at a request that was answered with rows.
func (r *Request) level() level {
	l := level{entity: r.Entity}
	q := &ast.Query{}
	if r.Query != nil {
		var err error
		if head, _ := r.Query.Head(); head == "from" {
			q, err = ast.ParseRoot(*r.Query)
		} else {
			q, err = ast.Parse(r.Entity, *r.Query)
		}
		if err != nil {
			l.loose = true
			return l
		}
		l.loose = loose(q)
	} else if r.Text != "" {
		l.loose = true
	}
	if q.Entity != "" {
		l.entity = strings.ReplaceAll(q.Entity, "-", "_")
	}
	for _, c := range q.Columns {
		l.columns = append(l.columns, c.Name)
		l.one = l.one || c.Form == ast.Function && c.Name != "to_string" && c.Name != "jsonb_typeof"
	}
	l.grouped = q.GroupBy != nil
	l.one = l.one && !l.grouped
	for _, g := range q.GroupBy {
		if g.Form == ast.Function {
			l.group = append(l.group, "") // cannot be ordered by
			continue
		}
		l.group = append(l.group, g.Name)
	}
	for _, o := range q.OrderBy {
		l.order = append(l.order, o.Field)
	}
	l.paged = q.Limit != nil || q.Offset != nil
	r.pagingParams(&l)
	return l
}

func (r *Request) pagingParams(l *level) {
	for _, name := range []string{"limit", "offset"} {
		if _, ok := r.param(name); ok {
			l.paged = true
		}
	}
	if s, ok := r.param("order_by"); ok {
		var list []struct{ Field string }
		if json.Unmarshal([]byte(s), &list) == nil {
			l.order = nil
			for _, o := range list {
				l.order = append(l.order, o.Field)
			}
		}
	}
	if l.entity == "fact_names" && l.order == nil && !l.grouped && !l.one {
		l.order = []string{"name"}
	}
}

// total tells whether the order leaves no ties.
func (l *level) total() bool {
	want := l.group
	if !l.grouped {
		want = uniqueKey(l.entity)
		if want == nil {
			return l.one
		}
	}
	for _, k := range want {
		if !slices.Contains(l.order, k) {
			return l.one
		}
	}
	return true
}

// loose tells whether a query within in pages without a total order.
func loose(q *ast.Query) (found bool) {
	ast.WalkAll(q.Where, func(e ast.Expr) {
		in, ok := e.(*ast.In)
		if !ok || in.Query == nil || in.Query.Limit == nil && in.Query.Offset == nil {
			return
		}
		l := level{entity: in.Query.Entity}
		for _, o := range in.Query.OrderBy {
			l.order = append(l.order, o.Field)
		}
		found = found || !l.total()
	})
	return found
}

// uniqueKey are fields that no two rows of an entity share; nil when there are none.
func uniqueKey(entity string) []string {
	switch entity {
	case "nodes", "factsets", "inventory", "catalogs", "catalog_inputs":
		return []string{"certname"}
	case "facts":
		return []string{"certname", "name"}
	case "fact_contents":
		return []string{"certname", "path"}
	case "fact_paths":
		return []string{"path", "type"}
	case "fact_names", "environments", "producers":
		return []string{"name"}
	case "edges":
		return []string{"certname", "relationship", "source_type", "source_title", "target_type", "target_title"}
	case "resources":
		return []string{"certname", "type", "title"}
	case "reports":
		return []string{"hash"}
	case "packages":
		return []string{"package_name", "version", "provider"}
	case "package_inventory":
		return []string{"certname", "package_name", "version", "provider"}
	case "catalog_input_contents":
		return []string{"certname", "type", "name"}
	}
	return nil
}

func pick[T any](r *rand.Rand, list []T) T { return list[r.IntN(len(list))] }

// expected is the case that an answer of the real PuppetDB makes of a request.
func (r *Request) expected(a conformance.Answer) conformance.Case {
	c := conformance.Case{Request: r.wire(), Group: "difffuzz", Free: a.Status >= 500,
		Expect:    conformance.Expect{Status: a.Status},
		Unordered: unordered()}
	if a.Status != 200 {
		if a.Status < 500 {
			text := string(a.Body)
			c.Expect.Text = &text
		}
		return c
	}
	c.Expect.Body = a.Body
	if n := a.Header.Get("X-Records"); n != "" {
		c.Expect.Headers = map[string]string{"X-Records": n}
	}
	l := r.level()
	switch {
	case l.loose || r.has("ast_only", "true") && r.PQL:
		c.Only = "status"
	case l.paged && !l.total():
		c.Only = "count"
	case l.total() && len(l.order) > 0:
		c.Ordered = true
	case len(l.order) > 0 && !l.one:
		for _, k := range l.order {
			if l.columns == nil || slices.Contains(l.columns, k) {
				c.OrderKeys = append(c.OrderKeys, k)
				continue
			}
			break // the order of later keys shows only within ties of this one
		}
	}
	return c
}

// unordered are the arrays within rows that have no order.
func unordered() []string {
	out := []string{"$..tags"}
	for _, row := range []string{"$[*]", "$"} { // a row, or the only object
		for _, list := range []string{".resources.data", ".edges.data", ".facts.data", ".resource_events.data", ".inputs", ".package_inventory"} {
			out = append(out, row+list)
		}
	}
	return out
}

func (r *Request) has(name, value string) bool {
	v, ok := r.param(name)
	return ok && v == value
}
