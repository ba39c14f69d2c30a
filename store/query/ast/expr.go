package ast

import "strings"

// expr parses a condition.
func expr(v Value) Expr {
	if v.Kind == Null || v.Kind == Array && len(v.Items) == 0 {
		bad(v, "[] is not well-formed: queries must contain at least one operator")
	}
	op, ok := v.Head()
	if !ok {
		bad(v, "%s is not well-formed: queries must start with an operator", v.Clojure())
	}
	switch lower := strings.ToLower(op); lower {
	case "and", "or", "not":
		op = lower
	}
	args := v.Items[1:]
	switch op {
	case "and", "or":
		if len(args) == 0 {
			bad(v, "'%s' takes at least one argument, but none were supplied", op)
		}
		list := make([]Expr, len(args))
		for i, a := range args {
			list[i] = expr(a)
		}
		if op == "and" {
			return &And{list}
		}
		return &Or{list}
	case "not":
		if len(args) != 1 {
			bad(v, "'not' takes exactly one argument, but %d were supplied", len(args))
		}
		return &Not{expr(args[0])}
	case "=", "<", ">", "<=", ">=", "~", "~>":
		return compare(v, op, args)
	case "null?":
		if len(args) != 2 {
			bad(v, "null? requires exactly two arguments")
		}
		return &IsNull{Field: operand(args[0]), Want: args[1].Truthy(), Pos: v.Pos}
	case "in":
		return in(v, args)
	case "subquery":
		return subquery(v, args)
	}
	bad(v, "%s is not well-formed: query operator '%s' is unknown", v.Clojure(), op)
	return nil
}

func compare(v Value, op string, args []Value) Expr {
	if len(args) != 2 {
		bad(v, "%s requires exactly two arguments", op)
	}
	c := &Compare{Op: op, Field: operand(args[0]), Value: args[1], Pos: v.Pos}
	if op == "=" && c.Value.Kind == Null && c.Field.Form == Name && c.Field.Name != "new_value" && c.Field.Name != "old_value" {
		return &IsNull{Field: c.Field, Want: true, Pos: v.Pos} // spec §3.2
	}
	return c
}

func operand(v Value) Operand {
	if v.Kind == String {
		return Operand{Name: v.Text, Pos: v.Pos}
	}
	head, ok := v.Head()
	if !ok {
		bad(v, "%s is not a valid field", v.Clojure())
	}
	o := Operand{Pos: v.Pos}
	switch head {
	case "parameter":
		o.Form = Parameter
	case "fact":
		o.Form = Fact
	case "node":
		o.Form = NodeActive
	case "function":
		o.Form = Function
	default:
		bad(v, "%s is not a valid field", v.Clojure())
	}
	if len(v.Items) < 2 || v.Items[1].Kind != String || o.Form != Function && len(v.Items) > 2 ||
		o.Form == NodeActive && v.Items[1].Text != "active" {
		bad(v, "%s is not a valid field", v.Clojure())
	}
	o.Name = v.Items[1].Text
	for _, a := range v.Items[2:] {
		if a.Kind != String {
			bad(a, "%s is not a valid argument of function %s", a.Clojure(), o.Name)
		}
		o.Args = append(o.Args, a.Text)
	}
	return o
}

// in parses the arguments of the operator of that name.
func in(v Value, args []Value) Expr {
	if len(args) != 2 {
		bad(v, "in requires exactly two arguments")
	}
	e := &In{Pos: v.Pos}
	if head, ok := args[0].Head(); args[0].Kind == Array && !(ok && isOperandForm(head, args[0])) {
		for _, f := range args[0].Items {
			e.Fields = append(e.Fields, operand(f))
		}
		if len(e.Fields) == 0 {
			bad(args[0], "in requires at least one field")
		}
	} else {
		e.Fields = []Operand{operand(args[0])}
	}
	src := args[1]
	switch head, _ := src.Head(); head {
	case "array":
		if len(src.Items) != 2 || src.Items[1].Kind != Array {
			bad(src, "Operator array requires a vector argument")
		}
		e.Array = src.Items[1].Items
	case "from":
		e.Query = from(src)
	case "extract":
		e.Query, e.Legacy = selectFrom(src), true
	default:
		bad(src, "%s is not a valid source for in", src.Clojure())
	}
	return e
}

// isOperandForm tells ["fact", n] from a list of two fields.
func isOperandForm(head string, v Value) bool {
	switch head {
	case "fact", "parameter":
		return len(v.Items) == 2
	case "node":
		return len(v.Items) == 2 && v.Items[1].Text == "active"
	case "function":
		return true
	}
	return false
}

// selectFrom parses ["extract", columns, ["select_<entity>", expr]].
func selectFrom(v Value) *Query {
	if len(v.Items) != 3 {
		bad(v, "%s is not a valid source for in", v.Clojure())
	}
	sub := v.Items[2]
	head, ok := sub.Head()
	if !ok || len(sub.Items) > 2 {
		bad(sub, "%s is not a valid subquery", sub.Clojure())
	}
	entity, ok := strings.CutPrefix(head, "select_")
	if !ok {
		if near := strings.ReplaceAll(head, "-", "_"); strings.HasPrefix(near, "select_") {
			bad(sub, "Unsupported subquery `%s` - did you mean `%s`?", head, near)
		}
		bad(sub, "Unsupported subquery `%s`", head)
	}
	q := &Query{Entity: entity, Pos: sub.Items[0].Pos, Columns: columns(v.Items[1]), Bare: v.Items[1].Kind == String}
	if len(sub.Items) == 2 {
		q.Where = expr(sub.Items[1])
	}
	return q
}

func subquery(v Value, args []Value) Expr {
	if len(args) < 1 || args[0].Kind != String {
		bad(v, "subquery requires an entity and a condition")
	}
	if len(args) != 2 {
		bad(v, "subquery on %s requires exactly one condition", args[0].Text)
	}
	return &Subquery{Entity: args[0].Text, Where: expr(args[1]), Pos: args[0].Pos}
}
