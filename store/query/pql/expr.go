package pql

import (
	"strings"

	"dalang/store/query/ast"
)

// or parses a condition.
func (p *parser) or() (ast.Value, bool) {
	if p.depth++; p.depth > maxDepth {
		return ast.Value{}, p.fail(p.pos, "the query is nested deeper than %d levels", maxDepth)
	}
	defer func() { p.depth-- }()
	return p.chain("or", func() (ast.Value, bool) { return p.chain("and", p.not) })
}

// chain parses operands joined by a word. An operand that is itself such a
// chain, in parentheses, is taken apart.
func (p *parser) chain(word string, operand func() (ast.Value, bool)) (ast.Value, bool) {
	at := p.pos
	first, ok := operand()
	if !ok {
		return first, false
	}
	args := []ast.Value{first}
	for p.try(func() bool {
		if !p.blank() || !p.text(word) || !p.blank() {
			return false
		}
		v, ok := operand()
		if ok {
			args = append(args, v)
		}
		return ok
	}) {
	}
	if len(args) == 1 {
		return first, true
	}
	v := ast.List(ast.Str(word))
	v.Pos = at
	for _, a := range args {
		if head, _ := a.Head(); head == word {
			v.Items = append(v.Items, a.Items[1:]...)
		} else {
			v.Items = append(v.Items, a)
		}
	}
	return v, true
}

func (p *parser) not() (v ast.Value, ok bool) {
	at := p.pos
	if p.try(func() bool { return p.text("!") }) {
		if p.depth++; p.depth > maxDepth {
			return v, p.fail(at, "the query is nested deeper than %d levels", maxDepth)
		}
		defer func() { p.depth-- }()
		p.space()
		arg, ok := p.not()
		v = ast.List(ast.Str("not"), arg)
		v.Pos = at
		return v, ok
	}
	if p.try(func() bool { return p.text("(") }) {
		p.space()
		if v, ok = p.or(); !ok {
			return v, false
		}
		p.space()
		return v, p.text(")")
	}
	if p.try(func() bool { v, ok = p.subquery(); return ok }) {
		return v, true
	}
	if p.problem != nil {
		return v, false
	}
	return p.condition()
}

// subquery parses an implicit one: an entity and a block.
func (p *parser) subquery() (ast.Value, bool) {
	at := p.pos
	name, ok := p.entity()
	if !ok {
		return name, false
	}
	p.space()
	b, ok := p.block()
	if !ok {
		return name, false
	}
	v := ast.List(ast.Str("subquery"), name)
	v.Pos = at
	if b.where != nil {
		v.Items = append(v.Items, *b.where)
	}
	if b.groupBy != nil {
		v.Items = append(v.Items, *b.groupBy)
	}
	v.Items = append(v.Items, b.paging...)
	return v, true
}

func (p *parser) condition() (v ast.Value, ok bool) {
	at := p.pos
	if p.try(func() bool { return p.text("[") }) {
		p.space()
		list, ok := p.items()
		if !ok {
			return v, false
		}
		p.space()
		if !p.text("]") {
			return v, false
		}
		p.space()
		return p.in(at, list)
	}
	f, ok := p.field()
	if !ok {
		return v, false
	}
	p.space()
	if p.try(func() bool { v, ok = p.compare(at, f); return ok }) || p.problem == nil && p.try(func() bool { v, ok = p.isNull(at, f); return ok }) {
		return v, true
	}
	if p.problem != nil {
		return v, false
	}
	return p.in(at, f)
}

func (p *parser) isNull(at int, f ast.Value) (ast.Value, bool) {
	for _, form := range []struct {
		text string
		want bool
	}{{"is null", true}, {"is not null", false}} {
		if p.try(func() bool { return p.text(form.text) }) {
			v := ast.List(ast.Str("null?"), f, ast.Boolean(form.want))
			v.Pos = at
			return v, true
		}
	}
	return f, false
}

// compare parses the operators, longer ones before those that start them.
func (p *parser) compare(at int, f ast.Value) (v ast.Value, ok bool) {
	for _, op := range []struct {
		text  string
		value func() (ast.Value, bool)
	}{
		{"~>", p.pattern}, {"~", p.str}, {">=", p.ordered}, {"<=", p.ordered}, {"<", p.ordered}, {">", p.ordered},
		{"=", p.literal}, {"!=", p.literal}, {"!~", p.literal},
	} {
		if !p.try(func() bool { return p.text(op.text) }) {
			continue
		}
		p.space()
		val, ok := op.value()
		if !ok {
			return v, false
		}
		bare, negated := strings.CutPrefix(op.text, "!")
		v = ast.List(ast.Str(bare), f, val)
		v.Pos = at
		if negated {
			v = ast.List(ast.Str("not"), v)
			v.Pos = at
		}
		return v, true
	}
	return v, false
}

func (p *parser) in(at int, fields ast.Value) (ast.Value, bool) {
	if !p.text("in") {
		return fields, false
	}
	p.space()
	var src ast.Value
	if p.try(func() bool { return p.text("[") }) {
		list, ok := p.listEnd(p.literal)
		if !ok {
			return list, false
		}
		src = ast.List(ast.Str("array"), list)
	} else {
		var ok bool
		if p.depth++; p.depth > maxDepth {
			return src, p.fail(p.pos, "the query is nested deeper than %d levels", maxDepth)
		}
		src, ok = p.from(false)
		p.depth--
		if !ok {
			return src, false
		}
	}
	v := ast.List(ast.Str("in"), fields, src)
	v.Pos = at
	return v, true
}

// listEnd parses the members and the end of a list whose start was taken.
func (p *parser) listEnd(member func() (ast.Value, bool)) (ast.Value, bool) {
	if p.depth++; p.depth > maxDepth {
		return ast.Value{}, p.fail(p.pos, "the query is nested deeper than %d levels", maxDepth)
	}
	defer func() { p.depth-- }()
	list := ast.List()
	for {
		p.space()
		v, ok := member()
		if !ok {
			return list, false
		}
		list.Items = append(list.Items, v)
		p.space()
		if p.try(func() bool { return p.text("]") }) {
			return list, true
		}
		if !p.text(",") {
			return list, false
		}
	}
}

// pattern parses the right side of ~>.
func (p *parser) pattern() (ast.Value, bool) {
	if !p.text("[") {
		return ast.Value{}, false
	}
	return p.listEnd(p.str)
}
