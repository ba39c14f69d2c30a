package ast

import (
	"fmt"
	"strings"
)

// FormError says that a query has not the shape of one.
type FormError struct {
	Message string
	Pos     int
}

func (e *FormError) Error() string { return e.Message }

func bad(v Value, format string, args ...any) {
	panic(&FormError{fmt.Sprintf(format, args...), v.Pos})
}

// rootForm is upstream's text for a root query of the wrong shape.
const rootForm = `This query must be of the form ["from", <entity>, (<optional-query>)].`

// ParseRoot parses a query that names its entity: ["from", entity, …].
func ParseRoot(v Value) (q *Query, err error) {
	defer rescue(&err)
	if head, ok := v.Head(); !ok || head != "from" {
		bad(v, rootForm)
	}
	return from(v), nil
}

// Parse parses the query of an entity's own route: a condition or an extract.
func Parse(entity string, v Value) (q *Query, err error) {
	defer rescue(&err)
	q = &Query{Entity: entity}
	if head, _ := v.Head(); head == "from" {
		bad(v, "Unrecognized AST clause %s: this route chose its entity already", v.Clojure())
	}
	body(q, v)
	return q, nil
}

// ParseExpr parses a condition.
func ParseExpr(v Value) (e Expr, err error) {
	defer rescue(&err)
	return expr(v), nil
}

// rescue is the one place where the parser's panics end.
func rescue(err *error) {
	if p := recover(); p != nil {
		e, ok := p.(*FormError)
		if !ok {
			panic(p)
		}
		*err = e
	}
}

func from(v Value) *Query {
	if len(v.Items) < 2 || v.Items[1].Kind != String {
		bad(v, rootForm)
	}
	q := &Query{Entity: v.Items[1].Text, Pos: v.Items[1].Pos}
	rest := v.Items[2:]
	if len(rest) > 0 && !isPaging(rest[0]) {
		if rest[0].Kind != Null { // null stands for no query
			body(q, rest[0])
		}
		rest = rest[1:]
	}
	seen := map[string]bool{}
	for _, c := range rest {
		head, _ := c.Head()
		if !isPaging(c) {
			bad(c, rootForm)
		}
		if seen[head] {
			bad(c, "Multiple '%s' clauses are not permitted", head)
		}
		seen[head] = true
	}
	for _, c := range rest {
		head, _ := c.Head()
		paging(q, head, c)
	}
	return q
}

func isPaging(v Value) bool {
	head, _ := v.Head()
	return head == "limit" || head == "offset" || head == "order_by"
}

func paging(q *Query, head string, c Value) {
	if len(c.Items) < 2 {
		bad(c, "Received '%s' clause without an argument", head)
	}
	arg := c.Items[1]
	switch head {
	case "limit":
		n, ok := Natural(arg)
		if !ok || n == 0 {
			bad(arg, "Illegal value '%s' for :limit; expected a positive non-zero integer.", arg.Clojure())
		}
		q.Limit = &n
	case "offset":
		n, ok := Natural(arg)
		if !ok {
			bad(arg, "Illegal value '%s' for :offset; expected a non-negative integer.", arg.Clojure())
		}
		q.Offset = &n
	case "order_by":
		q.OrderBy = orders(arg)
	}
}

// Natural is the value of a non-negative integer that fits in 63 bits.
func Natural(v Value) (int64, bool) {
	if v.Kind != Number || len(v.Text) > 18 || strings.Trim(v.Text, "0123456789") != "" {
		return 0, false
	}
	var n int64
	for _, c := range v.Text {
		n = n*10 + int64(c-'0')
	}
	return n, true
}

func orders(arg Value) []Order {
	if arg.Kind != Array {
		bad(arg, "Illegal value '%s' for :order_by; expected an array of fields.", arg.Clojure())
	}
	out := []Order{}
	for _, x := range arg.Items {
		switch {
		case x.Kind == String:
			out = append(out, Order{Field: x.Text, Pos: x.Pos})
		case x.Kind == Array && (len(x.Items) == 1 || len(x.Items) == 2) && x.Items[0].Kind == String:
			o := Order{Field: x.Items[0].Text, Pos: x.Items[0].Pos}
			if len(x.Items) == 2 {
				if d := x.Items[1]; d.Kind != String || d.Text != "asc" && d.Text != "desc" {
					bad(d, "Illegal value '%s' in :order_by; 'order' must be either 'asc' or 'desc'", d.Clojure())
				}
				o.Desc = x.Items[1].Text == "desc"
			}
			out = append(out, o)
		default:
			bad(x, "Illegal value '%s' in :order_by; expected a field or a pair of field and order.", x.Clojure())
		}
	}
	return out
}

// body parses what may stand for the query of one entity.
func body(q *Query, v Value) {
	if head, _ := v.Head(); head == "extract" {
		extract(q, v)
		return
	}
	q.Where = expr(v)
}

func extract(q *Query, v Value) {
	if len(v.Items) < 2 {
		bad(v, "extract requires the columns to extract")
	}
	q.Columns = columns(v.Items[1])
	for i, c := range v.Items[2:] {
		head, _ := c.Head()
		switch {
		case head == "group_by" && q.GroupBy == nil:
			q.GroupBy = groupBy(c)
		case i == 0 && c.Kind == Null: // no condition
		case i == 0 && !isPaging(c):
			filter(c)
			q.Where = expr(c)
		default:
			bad(c, `%s is not a valid expression for "extract"`, c.Clojure())
		}
	}
}

// filter refuses what cannot be the condition of extract, in upstream's words.
func filter(v Value) {
	if v.Kind != Array {
		return
	}
	op, _ := v.Head()
	switch op {
	case "and", "or":
		for _, a := range v.Items[1:] {
			filter(a)
		}
	case "not", "=", "<", ">", "<=", ">=", "~", "~>", "null?", "in", "subquery", "from", "extract":
	default:
		switch strings.ToLower(op) {
		case "and", "or", "not": // upper case is fine
		default:
			bad(v, `%s is not a valid expression for "extract"`, v.Clojure())
		}
	}
}

func columns(v Value) []Operand {
	if head, ok := v.Head(); v.Kind == String || ok && head == "function" {
		return []Operand{column(v)}
	}
	if v.Kind != Array {
		bad(v, "%s is not a valid column list for extract", v.Clojure())
	}
	if len(v.Items) == 0 {
		return nil
	}
	out := make([]Operand, len(v.Items))
	for i, x := range v.Items {
		out[i] = column(x)
	}
	return out
}

func column(v Value) Operand {
	o := operand(v)
	if o.Form != Name && o.Form != Function {
		bad(v, "%s can not be extracted", v.Clojure())
	}
	return o
}

func groupBy(v Value) []Operand {
	out := []Operand{}
	for _, x := range v.Items[1:] {
		out = append(out, column(x))
	}
	if len(out) == 0 {
		bad(v, "group_by requires at least one column")
	}
	return out
}
