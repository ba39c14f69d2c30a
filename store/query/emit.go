package query

import (
	"slices"
	"strconv"
	"strings"
)

// statement is the SQL of a plan and how its columns become JSON.
type statement struct {
	sql  string
	args []any
	cols []encodedColumn
}

// emitter writes one statement. Parameters are numbered in the order in which
// they were written, wherever they end up in the text.
type emitter struct{ args []any }

// scope is one level of a statement: it notes which tables expressions use.
type scope struct {
	*emitter
	ent  *Entity
	used map[string]bool
}

func (e *emitter) scope(ent *Entity) *scope { return &scope{e, ent, map[string]bool{}} }

// arg binds a value and returns its place holder.
func (e *emitter) arg(v any) string {
	e.args = append(e.args, v)
	return "?" + strconv.Itoa(len(e.args))
}

// use notes the tables of an expression and returns it.
func (s *scope) use(sql string) string {
	for _, a := range uses(sql) {
		s.used[a] = true
	}
	return sql
}

// looksUp tells whether an index leads to the rows of a plan: whether one of
// its conditions compares a field that has one.
func (p *plan) looksUp() bool { return p.ent.Sweep.owner == "" || lookup(p.ent, p.where) }

func lookup(ent *Entity, p pred) bool {
	indexed := func(t term) bool { return t.field != nil && slices.Contains(ent.Lookups, t.field.Name) }
	switch p := p.(type) {
	case allOf:
		return slices.ContainsFunc(p.args, func(a pred) bool { return lookup(ent, a) })
	case anyOf:
		return !slices.ContainsFunc(p.args, func(a pred) bool { return !lookup(ent, a) })
	case known:
		return lookup(ent, p.p)
	case compare:
		return indexed(p.t) && p.v != false
	case oneOf:
		return indexed(p.t)
	case regex:
		return indexed(p.t) && p.t.field.Dict != ""
	case member:
		return slices.ContainsFunc(p.terms, indexed)
	case pathMatch, ofFact, latestEvents:
		return true
	}
	return false
}

// from is the FROM clause with the tables that were used, and the entity's own
// condition.
func (s *scope) from(where string, lookup, sorted bool) string {
	base := s.ent.From
	has := map[string]bool{}
	if w := s.ent.Sweep; w.owner != "" && !lookup {
		hint := ""
		if !sorted { // in the order in which owners came: limits without an order look stable, then
			hint = " NOT INDEXED"
		}
		base = w.owner + hint + w.rest
		has[w.alias] = true
	}
	if s.ent.Where != "" {
		s.use(s.ent.Where)
	}
	for changed := true; changed; {
		changed = false
		for _, t := range s.ent.tables {
			if !s.used[t.alias] {
				continue
			}
			for _, need := range t.needs {
				changed = changed || !s.used[need]
				s.used[need] = true
			}
		}
	}
	var b strings.Builder
	b.WriteString(" FROM " + base)
	for _, t := range s.ent.tables {
		if s.used[t.alias] && !has[t.alias] {
			b.WriteString(t.join)
		}
	}
	var conds []string
	for _, c := range []string{s.ent.Where, where} {
		if c != "" {
			conds = append(conds, c)
		}
	}
	if conds != nil {
		b.WriteString(" WHERE " + strings.Join(conds, " AND "))
	}
	return b.String()
}

// rows is the statement that reads a plan's rows.
func (p *plan) rows() *statement {
	e := &emitter{}
	s := e.scope(p.ent)
	st := &statement{}
	var list []string
	for _, c := range p.cols {
		sql, enc := s.output(c, !p.only)
		list = append(list, sql...)
		st.cols = append(st.cols, enc)
	}
	st.sql = p.body(s, strings.Join(list, ", "))
	st.args = e.args
	return st
}

// total is the statement that counts a plan's rows without limit and offset.
func (p *plan) total() *statement {
	e := &emitter{}
	s := e.scope(p.ent)
	whole := *p
	whole.limit, whole.offset, whole.order = nil, nil, nil
	if p.group == nil && !p.aggregates() {
		return &statement{sql: whole.body(s, "count(*)"), args: e.args}
	}
	sql := whole.body(s, "count(*)")
	return &statement{sql: "SELECT count(*) FROM (" + sql + ")", args: e.args}
}

// body is a SELECT of a plan's rows with the given columns.
func (p *plan) body(s *scope, columns string) string {
	where := ""
	if p.where != nil {
		where = p.where.sql(s)
	}
	var tail strings.Builder
	if p.group != nil {
		var list []string
		for _, g := range p.group {
			list = append(list, s.grouped(g))
		}
		tail.WriteString(" GROUP BY " + strings.Join(list, ", "))
	}
	if len(p.order) > 0 {
		var list []string
		for _, k := range p.order {
			list = append(list, s.sorted(k))
		}
		tail.WriteString(" ORDER BY " + strings.Join(list, ", "))
	}
	return "SELECT " + columns + s.from(where, p.looksUp(), len(p.order) > 0) + tail.String() + paged(s.emitter, p.limit, p.offset)
}

// paged is LIMIT and OFFSET.
func paged(e *emitter, limit, offset *int64) string {
	sql := ""
	switch {
	case limit != nil:
		sql = " LIMIT " + e.arg(*limit)
	case offset != nil:
		sql = " LIMIT -1"
	}
	if offset != nil {
		sql += " OFFSET " + e.arg(*offset)
	}
	return sql
}

// grouped is a term as GROUP BY wants it.
func (s *scope) grouped(t term) string {
	sql, _ := s.shown(t)
	return sql
}

// sorted is a sort key. PostgreSQL puts nulls at the upper end.
func (s *scope) sorted(k sortKey) string {
	f := k.term.field
	sql := s.use(f.SQL)
	switch f.Type {
	case Value, Document:
		sql = "pdb_json_key(" + sql + ")"
	case LeafPath:
		sql = "pdb_path_key(" + sql + ")"
	case Path:
		sql = s.use(f.Compare)
	}
	switch {
	case k.desc && f.NotNull:
		return sql + " DESC"
	case k.desc:
		return sql + " DESC NULLS FIRST"
	case f.NotNull:
		return sql
	}
	return sql + " NULLS LAST"
}

// shown is the SQL of a term and the type of what it yields.
func (s *scope) shown(t term) (string, Type) {
	switch {
	case t.fn != nil:
		return s.function(t)
	case t.path != nil:
		return s.place(t), Raw
	}
	return s.use(t.field.SQL), t.field.Type
}

// function is the SQL of a function of a field.
func (s *scope) function(t term) (string, Type) {
	if t.fn.star {
		return "count(*)", Int
	}
	f := t.field
	arg := s.use(f.SQL)
	switch {
	case f.Type != Value || t.fn.name == "count" || t.fn.name == "jsonb_typeof":
	case t.fn.name == "to_string":
		arg = "pdb_json_text(" + arg + ")"
	default:
		arg = "CASE WHEN " + numeric(arg) + " THEN CAST(" + arg + " AS NUMERIC) END"
	}
	switch t.fn.name {
	case "count", "avg", "sum":
		return t.fn.name + "(" + arg + ")", Int
	case "min", "max":
		typ := Int
		if slices.Contains([]Type{Time, Stamp, Text}, f.Type) {
			typ = f.Type
		}
		return t.fn.name + "(" + arg + ")", typ
	case "to_string":
		kind := "'n'"
		if f.Type == Time || f.Type == Stamp {
			kind = "'t'"
		}
		return "pdb_to_char(" + arg + ", " + s.arg(t.fn.mask) + ", " + kind + ")", Text
	}
	return typeName(arg), Text
}

// numeric tells whether JSON text is a number: texts of other types start
// with one of "[fnt{, all of which are outside '-' to '9'.
func numeric(sql string) string { return "(" + sql + " >= '-' AND " + sql + " < ':')" }

// typeName is jsonb_typeof.
func typeName(sql string) string {
	return "CASE substr(" + sql + ", 1, 1) WHEN '\"' THEN 'string' WHEN '{' THEN 'object' WHEN '[' THEN 'array'" +
		" WHEN 't' THEN 'boolean' WHEN 'f' THEN 'boolean' WHEN 'n' THEN 'null' ELSE 'number' END"
}
