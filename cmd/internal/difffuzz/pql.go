package difffuzz

import (
	"slices"
	"strings"

	"dalang/store/query/ast"
)

// printPQL writes a root query as PQL; ok is false when PQL cannot say it.
func printPQL(v ast.Value) (text string, ok bool) {
	defer func() {
		if p := recover(); p != nil {
			if p != any(errNoPQL) {
				panic(p)
			}
			text, ok = "", false
		}
	}()
	var b pqlPrinter
	b.from(v)
	return b.String(), true
}

type noPQL string

const errNoPQL = noPQL("cannot be said in PQL")

type pqlPrinter struct{ strings.Builder }

func (b *pqlPrinter) demand(ok bool) {
	if !ok {
		panic(errNoPQL)
	}
}

// pqlEntities are those that upstream's grammar knows.
func pqlEntities() []string {
	return []string{"facts", "reports", "catalogs", "packages", "package_inventory", "resources", "nodes",
		"environments", "factsets", "fact_paths", "fact_contents", "inventory", "edges", "events"}
}

func (b *pqlPrinter) entity(v ast.Value) {
	b.demand(v.Kind == ast.String && slices.Contains(pqlEntities(), v.Text))
	b.WriteString(v.Text)
}

func (b *pqlPrinter) from(v ast.Value) {
	head, _ := v.Head()
	b.demand(head == "from" && len(v.Items) >= 2)
	b.entity(v.Items[1])
	rest := v.Items[2:]
	var where, group *ast.Value
	if len(rest) > 0 {
		if head, _ := rest[0].Head(); head == "extract" {
			where, group = b.extract(rest[0])
			rest = rest[1:]
		} else if !paging(head) {
			where = &rest[0]
			rest = rest[1:]
		}
	}
	b.WriteString("{ ")
	if where != nil {
		b.expr(*where)
		b.WriteString(" ")
	}
	b.demand(group == nil || len(rest) == 0)
	if group != nil {
		b.WriteString("group by ")
		b.items(group.Items[1:])
	}
	for _, p := range rest {
		b.paging(p)
	}
	b.WriteString("}")
}

func paging(head string) bool { return head == "limit" || head == "offset" || head == "order_by" }

func (b *pqlPrinter) extract(v ast.Value) (where, group *ast.Value) {
	b.demand(len(v.Items) >= 2 && v.Items[1].Kind == ast.Array)
	b.WriteString("[")
	b.items(v.Items[1].Items)
	b.WriteString("] ")
	for i := range v.Items[2:] {
		x := &v.Items[2+i]
		if head, _ := x.Head(); head == "group_by" {
			b.demand(group == nil && len(x.Items) > 1)
			group = x
		} else {
			b.demand(where == nil && group == nil)
			where = x
		}
	}
	return where, group
}

func (b *pqlPrinter) items(list []ast.Value) {
	for i, x := range list {
		if i > 0 {
			b.WriteString(", ")
		}
		if x.Kind == ast.String {
			b.field(x)
			continue
		}
		head, _ := x.Head()
		b.demand(head == "function" && len(x.Items) >= 2 && slices.Contains([]string{"count", "avg", "sum", "min", "max", "to_string"}, x.Items[1].Text))
		b.WriteString(x.Items[1].Text + "(")
		for j, a := range x.Items[2:] {
			if j > 0 {
				b.WriteString(", ")
				b.str(a)
			} else {
				b.field(a)
			}
		}
		b.WriteString(")")
	}
}

// field writes a name; a blank follows, since some names would swallow what does.
func (b *pqlPrinter) field(v ast.Value) {
	b.demand(v.Kind == ast.String && v.Text != "")
	top, _, dotted := strings.Cut(v.Text, ".")
	b.demand(!dotted || top == "facts" || top == "trusted" || top == "parameters")
	b.demand(strings.Trim(strings.TrimSuffix(top, "?"), "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == "")
	b.WriteString(v.Text + " ")
}

func (b *pqlPrinter) paging(v ast.Value) {
	head, _ := v.Head()
	b.demand(paging(head) && len(v.Items) == 2)
	if head != "order_by" {
		b.demand(v.Items[1].Kind == ast.Number)
		b.WriteString(head + " " + v.Items[1].Text + " ")
		return
	}
	b.demand(v.Items[1].Kind == ast.Array && len(v.Items[1].Items) > 0)
	b.WriteString("order by ")
	for i, k := range v.Items[1].Items {
		if i > 0 {
			b.WriteString(", ")
		}
		if k.Kind == ast.Array && len(k.Items) > 0 {
			b.orderField(k.Items[0])
			if len(k.Items) == 2 {
				b.demand(k.Items[1].Text == "asc" || k.Items[1].Text == "desc")
				b.WriteString(k.Items[1].Text + " ")
			}
			continue
		}
		b.orderField(k)
	}
}

func (b *pqlPrinter) orderField(v ast.Value) {
	b.demand(!strings.HasPrefix(v.Text, "asc") && !strings.HasPrefix(v.Text, "desc"))
	b.field(v)
}

func (b *pqlPrinter) expr(v ast.Value) {
	op, ok := v.Head()
	b.demand(ok)
	args := v.Items[1:]
	switch op {
	case "and", "or":
		b.demand(len(args) > 1)
		b.WriteString("(")
		for i, a := range args {
			if i > 0 {
				b.WriteString(" " + op + " ")
			}
			b.expr(a)
		}
		b.WriteString(")")
	case "not":
		b.demand(len(args) == 1)
		b.WriteString("!")
		b.expr(args[0])
	case "null?":
		b.demand(len(args) == 2 && args[1].Kind == ast.Bool)
		b.field(args[0])
		b.WriteString(map[bool]string{true: "is null", false: "is not null"}[args[1].Flag])
	case "in":
		b.in(args)
	case "subquery":
		b.demand(len(args) == 2)
		b.entity(args[0])
		b.WriteString("{ ")
		b.expr(args[1])
		b.WriteString(" }")
	default:
		b.comparison(op, args)
	}
}

func (b *pqlPrinter) comparison(op string, args []ast.Value) {
	b.demand(len(args) == 2)
	b.field(args[0])
	v := args[1]
	switch op {
	case "=":
	case "~":
		b.demand(v.Kind == ast.String)
	case "~>":
		b.demand(v.Kind == ast.Array)
		for _, x := range v.Items {
			b.demand(x.Kind == ast.String)
		}
	case "<", "<=", ">", ">=":
		b.demand(v.Kind == ast.String || v.Kind == ast.Number)
	default:
		panic(errNoPQL)
	}
	b.WriteString(op + " ")
	b.literal(v)
}

func (b *pqlPrinter) in(args []ast.Value) {
	b.demand(len(args) == 2)
	if args[0].Kind == ast.Array {
		b.demand(len(args[0].Items) > 0)
		b.WriteString("[")
		b.items(args[0].Items)
		b.WriteString("] ")
	} else {
		b.field(args[0])
	}
	b.WriteString("in ")
	head, _ := args[1].Head()
	switch {
	case head == "array" && len(args[1].Items) == 2:
		b.demand(args[1].Items[1].Kind == ast.Array)
		b.literal(args[1].Items[1])
	default:
		b.from(args[1])
	}
}

func (b *pqlPrinter) literal(v ast.Value) {
	switch v.Kind {
	case ast.String:
		b.str(v)
	case ast.Number:
		b.demand(!strings.ContainsAny(v.Text, "eE") || strings.Contains(v.Text, "."))
		b.demand(strings.ContainsAny(v.Text, ".") || len(v.Text) < 18)
		b.WriteString(v.Text)
	case ast.Bool:
		b.WriteString(map[bool]string{true: "true", false: "false"}[v.Flag])
	case ast.Array:
		b.demand(len(v.Items) > 0)
		b.WriteString("[")
		for i, x := range v.Items {
			if i > 0 {
				b.WriteString(", ")
			}
			b.literal(x)
		}
		b.WriteString("]")
	default:
		panic(errNoPQL)
	}
}

func (b *pqlPrinter) str(v ast.Value) {
	b.demand(v.Kind == ast.String)
	if s := v.Text; !strings.Contains(s, "'") && !strings.HasSuffix(s, `\`) && len(s)%2 == 0 {
		b.WriteString("'" + s + "'")
		return
	}
	b.Write(ast.AppendString(nil, v.Text))
}
