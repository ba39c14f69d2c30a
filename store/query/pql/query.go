package pql

import (
	"strings"

	"dalang/store/query/ast"
)

func str(s string, pos int) ast.Value {
	v := ast.Str(s)
	v.Pos = pos
	return v
}

// entity takes the name of an entity; follow is what may come after it.
func (p *parser) entity() (ast.Value, bool) {
	best := ""
	for _, e := range entities() {
		if strings.HasPrefix(p.src[p.pos:], e) && len(e) > len(best) {
			best = e
		}
	}
	if best == "" {
		for _, e := range entities() {
			p.miss(e)
		}
		return ast.Value{}, false
	}
	v := str(best, p.pos)
	p.pos += len(best)
	p.named = [2]int{v.Pos, p.pos}
	return v, true
}

// from parses a query, with its projection.
func (p *parser) from(top bool) (ast.Value, bool) {
	at := p.pos
	name, ok := p.entity()
	if !ok {
		return ast.Value{}, false
	}
	p.space()
	var cols *ast.Value
	if p.try(func() bool { return p.text("[") }) {
		p.space()
		list := ast.List()
		p.try(func() bool { var ok bool; list, ok = p.items(); return ok })
		p.space()
		if !p.text("]") {
			return ast.Value{}, false
		}
		cols = &list
		p.space()
	}
	b, ok := p.block()
	if !ok {
		return ast.Value{}, false
	}
	v := ast.List(ast.Str("from"), name)
	v.Pos = at
	switch {
	case cols != nil:
		x := ast.List(ast.Str("extract"), *cols)
		if b.where != nil {
			x.Items = append(x.Items, *b.where)
		}
		if b.groupBy != nil {
			x.Items = append(x.Items, *b.groupBy)
		}
		v.Items = append(v.Items, x)
	default:
		if b.where != nil {
			v.Items = append(v.Items, *b.where)
		}
		if b.groupBy != nil {
			v.Items = append(v.Items, *b.groupBy)
		}
	}
	v.Items = append(v.Items, b.paging...)
	return v, true
}

// block is what stands between braces.
type block struct {
	where, groupBy *ast.Value
	paging         []ast.Value
}

func (p *parser) block() (b block, ok bool) {
	if !p.text("{") {
		return b, false
	}
	p.space()
	p.try(func() bool {
		v, ok := p.or()
		if ok {
			b.where = &v
		}
		return ok
	})
	p.space()
	if !p.try(func() bool { return p.groupBy(&b) }) {
		for p.try(func() bool { return p.paging(&b) }) {
			p.space()
		}
	}
	p.space()
	if p.problem != nil || !p.text("}") {
		return b, false
	}
	return b, true
}

func (p *parser) groupBy(b *block) bool {
	if !p.text("group by") || !p.blank() {
		return false
	}
	list, ok := p.items()
	if !ok {
		return false
	}
	v := ast.List(append([]ast.Value{ast.Str("group_by")}, list.Items...)...)
	b.groupBy = &v
	return true
}

func (p *parser) paging(b *block) bool {
	at := p.pos
	for _, word := range []string{"limit", "offset"} {
		if p.try(func() bool { return p.text(word) && p.blank() }) {
			n, ok := p.integer()
			if ok {
				v := ast.List(ast.Str(word), n)
				v.Pos = at
				b.paging = append(b.paging, v)
			}
			return ok
		}
	}
	if !p.text("order by") || !p.blank() {
		return false
	}
	list := ast.List()
	for {
		k, ok := p.orderKey()
		if !ok {
			return false
		}
		list.Items = append(list.Items, k)
		if !p.try(func() bool { return p.text(",") }) {
			break
		}
		p.space()
	}
	b.paging = append(b.paging, ast.List(ast.Str("order_by"), list))
	return true
}

func (p *parser) orderKey() (ast.Value, bool) {
	if rest := p.src[p.pos:]; strings.HasPrefix(rest, "asc") || strings.HasPrefix(rest, "desc") {
		return ast.Value{}, p.miss("a field whose name does not start with asc or desc")
	}
	f, ok := p.field()
	if !ok {
		return f, false
	}
	k := f
	p.try(func() bool {
		if !p.blank() {
			return false
		}
		for _, dir := range []string{"asc", "desc"} {
			if p.try(func() bool { return p.text(dir) }) {
				k = ast.List(f, ast.Str(dir))
				return true
			}
		}
		return false
	})
	p.space()
	return k, true
}

// items parses what is projected or grouped by.
func (p *parser) items() (ast.Value, bool) {
	list := ast.List()
	for {
		var x ast.Value
		ok := p.try(func() bool { var ok bool; x, ok = p.function(); return ok }) ||
			p.try(func() bool { var ok bool; x, ok = p.field(); return ok })
		if !ok {
			return list, false
		}
		list.Items = append(list.Items, x)
		if !p.try(func() bool { return p.space() && p.text(",") && p.space() }) {
			return list, true
		}
	}
}

func (p *parser) function() (ast.Value, bool) {
	at := p.pos
	for _, name := range []string{"count", "avg", "sum", "min", "max", "to_string"} {
		if !p.try(func() bool { return p.text(name) && p.space() && p.text("(") }) {
			continue
		}
		p.space()
		v := ast.List(ast.Str("function"), ast.Str(name))
		v.Pos = at
		var arg ast.Value
		if p.try(func() bool { var ok bool; arg, ok = p.field(); return ok }) || p.try(func() bool { var ok bool; arg, ok = p.str(); return ok }) {
			v.Items = append(v.Items, arg)
			for p.try(func() bool {
				var ok bool
				if ok = p.space() && p.text(",") && p.space(); ok {
					arg, ok = p.str()
				}
				return ok
			}) {
				v.Items = append(v.Items, arg)
			}
		}
		p.space()
		return v, p.text(")")
	}
	return ast.Value{}, false
}
