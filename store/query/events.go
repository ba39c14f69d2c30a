package query

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"dalang/store/query/ast"
)

// EventOptions are the parameters of the routes about events. Spec query.md §5.3.
type EventOptions struct {
	// Distinct keeps, of each resource's property, only the latest events
	// between Start and End; the query applies after that.
	Distinct   bool
	Start, End time.Time

	// SummarizeBy counts events by certname, resource or containing_class
	// instead of listing them; with Aggregate, by each of several.
	SummarizeBy  []string
	CountBy      string // resource (or "") counts events, certname nodes
	CountsFilter *ast.Value
	Aggregate    bool // one row for each of SummarizeBy, which counts subjects
	// Totals adds successes and noops, the counters of a build that stores no
	// corrective changes, to those that Dalang splits in two.
	Totals bool
}

// checkOld refuses what the routes that upstream still compiles with its older
// compiler do not know.
func checkOld(v ast.Value) error {
	op, _ := v.Head()
	unknown := &Error{Message: fmt.Sprintf("%s is not well-formed: query operator '%s' is unknown", v.Clojure(), op)}
	switch strings.ToLower(op) {
	case "and", "or", "not":
		for _, a := range v.Items[1:] {
			if err := checkOld(a); err != nil {
				return err
			}
		}
	case "in":
		if len(v.Items) != 3 {
			return unknown
		}
		src := v.Items[2]
		if head, _ := src.Head(); head != "extract" || len(src.Items) != 3 {
			return unknown
		}
		switch head, _ := src.Items[2].Head(); head {
		case "select_resources", "select_facts":
		default:
			return &Error{Message: fmt.Sprintf("%s is not well-formed: query operator '%s' is unknown", src.Items[2].Clojure(), head)}
		}
	case "=", "<", ">", "<=", ">=", "~":
	default:
		return unknown
	}
	return nil
}

// latestEvents holds for the events that are the last of their property of a
// resource within a window of time.
type latestEvents struct{ start, end int64 }

func (p latestEvents) sql(s *scope) string {
	return "(v.report_id, v.seq) IN (SELECT xw.report_id, xw.seq FROM (SELECT xe.report_id, xe.seq, xe.timestamp," +
		" max(xe.timestamp) OVER (PARTITION BY xr.node_id, xe.ref_id, xe.property, xe.name) AS latest" +
		" FROM event xe JOIN report xr ON xr.id = xe.report_id WHERE xe.timestamp BETWEEN " + s.arg(p.start) + " AND " + s.arg(p.end) + ") xw" +
		" WHERE xw.timestamp = xw.latest)"
}

// known turns the unknown of a predicate into false, as the older compiler does.
type known struct{ p pred }

func (k known) sql(s *scope) string { return "ifnull(" + k.p.sql(s) + ", 0)" }

// counts is the answer of event counts: a plan of events, summarized.
type counts struct {
	events    *plan
	by        []string
	byNode    bool
	counters  []counter
	filter    *countsFilter
	order     []Order
	limit     *int64
	offset    *int64
	aggregate bool
}

type countsFilter struct {
	op, field string
	value     any
}

// counter is one of the numbers of event counts.
type counter struct {
	name, test string
	total      bool // over two kinds, in both of which a node may occur
}

func counters(totals bool) []counter {
	list := []counter{
		{"failures", "s = 'failure'", false}, {"skips", "s = 'skipped'", false},
		{"intentional_successes", "s = 'success' AND cc IS NOT 1", false}, {"corrective_successes", "s = 'success' AND cc IS 1", false},
		{"intentional_noops", "s = 'noop' AND cc IS NOT 1", false}, {"corrective_noops", "s = 'noop' AND cc IS 1", false},
	}
	if totals {
		list = append(list, counter{"successes", "s = 'success'", true}, counter{"noops", "s = 'noop'", true})
	}
	return list
}

func (c *counts) counterNames() []string {
	var out []string
	for _, k := range c.counters {
		out = append(out, k.name)
	}
	return out
}

// subject is what events are summarized by: its columns, and its JSON made of them.
func subject(by string) (names, cols []string, json string) {
	switch by {
	case "certname":
		return []string{"certname"}, []string{"n.certname"}, `'{"title":' || json_quote(g0) || '}'`
	case "resource":
		return []string{"resource_type", "resource_title"}, []string{"rr.type", "rr.title"}, `'{"type":' || json_quote(g0) || ',"title":' || json_quote(g1) || '}'`
	case "containing_class":
		return []string{"containing_class"}, []string{"v.containing_class"}, `'{"title":' || json_quote(g0) || '}'`
	}
	return nil, nil, ""
}

// newCounts checks the options and makes the answer.
func newCounts(events *plan, o *EventOptions, pg Paging) (*counts, error) {
	c := &counts{events: events, by: o.SummarizeBy, byNode: o.CountBy == "certname", counters: counters(o.Totals),
		order: pg.OrderBy, limit: pg.Limit, offset: pg.Offset, aggregate: o.Aggregate}
	for _, by := range c.by {
		if _, cols, _ := subject(by); cols == nil || len(c.by) > 1 && !o.Aggregate {
			return nil, &Error{Message: fmt.Sprintf("Unsupported value for 'summarize_by': '%s'", strings.Join(c.by, ","))}
		}
	}
	if o.CountBy != "" && o.CountBy != "resource" && o.CountBy != "certname" {
		return nil, &Error{Message: fmt.Sprintf("Unsupported value for 'count_by': '%s'", o.CountBy)}
	}
	if o.CountsFilter != nil {
		f, err := c.newFilter(*o.CountsFilter)
		if err != nil {
			return nil, err
		}
		c.filter = f
	}
	names, _, _ := subject(c.by[0])
	for _, k := range c.order {
		if all := append(c.counterNames(), names...); !slices.Contains(all, k.Field) {
			return nil, &Error{Message: fmt.Sprintf("Unrecognized column '%s' specified in :order_by; Supported columns are '%s'", k.Field, strings.Join(all, "', '"))}
		}
	}
	return c, nil
}

func (c *counts) newFilter(v ast.Value) (*countsFilter, error) {
	op, ok := v.Head()
	if !ok || !slices.Contains([]string{"=", "<", ">", "<=", ">="}, op) {
		return nil, &Error{Message: fmt.Sprintf("%s is not well-formed: query operator '%s' is unknown", v.Clojure(), op)}
	}
	if len(v.Items) != 3 {
		return nil, &Error{Message: fmt.Sprintf("%s requires exactly two arguments, but %d were supplied", op, len(v.Items)-1)}
	}
	f := v.Items[1]
	if f.Kind != ast.String || !slices.Contains(c.counterNames(), f.Text) {
		return nil, &Error{Message: fmt.Sprintf("%s operator does not support object '%s' for event counts", op, asText(f))}
	}
	if v.Items[2].Kind != ast.Number {
		return nil, &Error{Message: fmt.Sprintf(`Argument "%s" and operator "%s" have incompatible types.`, asText(v.Items[2]), op)}
	}
	return &countsFilter{op, f.Text, number(v.Items[2])}, nil
}

// summary selects a row for each subject: g0, g1 and the counters.
func (c *counts) summary(e *emitter, by string) string {
	if sql := c.ready(e, by); sql != "" {
		return c.filtered(e, sql)
	}
	s := e.scope(c.events.ent)
	names, cols, _ := subject(by)
	inner := []string{"v.status AS s", "v.corrective_change AS cc"}
	var groups []string
	for i := range names {
		inner = append(inner, fmt.Sprintf("%s AS g%d", s.use(cols[i]), i))
		groups = append(groups, fmt.Sprintf("g%d", i))
	}
	distinct := ""
	if c.byNode {
		distinct = "DISTINCT "
		inner = append(inner, s.use("r.node_id")+" AS node")
	}
	outer := slices.Clone(groups)
	for _, k := range c.counters {
		if k.total && c.byNode {
			outer = append(outer, "count(DISTINCT CASE WHEN "+k.test+" THEN node END) AS "+k.name)
			continue
		}
		outer = append(outer, "count(*) FILTER (WHERE "+k.test+") AS "+k.name)
	}
	sql := "SELECT " + strings.Join(outer, ", ") + " FROM (" + c.events.body(s, distinct+strings.Join(inner, ", ")) + ") GROUP BY " + strings.Join(groups, ", ")
	return c.filtered(e, sql)
}

// filtered applies counts_filter.
func (c *counts) filtered(e *emitter, sql string) string {
	if f := c.filter; f != nil {
		sql = "SELECT * FROM (" + sql + ") WHERE " + f.field + " " + f.op + " " + e.arg(f.value)
	}
	return sql
}

func (c *counts) rows() *statement {
	e := &emitter{}
	if c.aggregate {
		return c.aggregates(e)
	}
	names, _, subj := subject(c.by[0])
	st := &statement{cols: []encodedColumn{encoded("subject_type", Text), encoded("subject", Raw)}}
	list := []string{e.arg(c.by[0]), subj}
	for _, k := range c.counters {
		list = append(list, k.name)
		st.cols = append(st.cols, encoded(k.name, Int))
	}
	sql := "SELECT " + strings.Join(list, ", ") + " FROM (" + c.summary(e, c.by[0]) + ")"
	for i, k := range c.order {
		col := k.Field
		if at := slices.Index(names, k.Field); at >= 0 {
			col = fmt.Sprintf("g%d", at)
		}
		sql += map[bool]string{true: " ORDER BY ", false: ", "}[i == 0] + col + map[bool]string{true: " DESC NULLS FIRST", false: " NULLS LAST"}[k.Desc]
	}
	st.sql = sql + paged(e, c.limit, c.offset)
	st.args = e.args
	return st
}

func (c *counts) aggregates(e *emitter) *statement {
	st := &statement{cols: []encodedColumn{encoded("summarize_by", Text)}}
	var list []string
	for _, k := range c.counters {
		list = append(list, "coalesce(sum("+k.name+" > 0), 0)")
		st.cols = append(st.cols, encoded(k.name, Int))
	}
	st.cols = append(st.cols, encoded("total", Int))
	var parts []string
	for _, by := range c.by {
		parts = append(parts, "SELECT "+e.arg(by)+", "+strings.Join(list, ", ")+", count(*) FROM ("+c.summary(e, by)+")")
	}
	st.sql, st.args = strings.Join(parts, " UNION ALL "), e.args
	return st
}

func (c *counts) total() *statement {
	e := &emitter{}
	sql := "SELECT count(*) FROM (" + c.summary(e, c.by[0]) + ")"
	return &statement{sql: sql, args: e.args}
}

func (c *counts) bare() bool   { return false }
func (c *counts) name() string { return "event_counts" }
