package query

import (
	"fmt"
	"strings"

	"dalang/store/query/ast"
	"dalang/store/query/sqlfunc"
)

// place is the JSON text at a dotted field's place, NULL when there is none.
func (s *scope) place(t term) string {
	doc, rest := s.document(t)
	if len(rest) == 0 {
		return doc
	}
	return "pdb_json_path(" + doc + ", " + s.arg(pathText(rest)) + ")"
}

// document is the stored text that a dotted field's place is in, and the rest
// of the way.
func (s *scope) document(t term) (string, []segment) {
	fact, rest := t.path.split()
	if !t.path.ofFacts() {
		return s.use(t.field.SQL), rest
	}
	return fmt.Sprintf(oneFact, s.arg(fact)), rest
}

const factsetNode = "fs.node_id"

func (p inDoc) sql(s *scope) string {
	d := p.t.path
	switch {
	case d.matches():
		return p.matched(s)
	case p.op == "=" && !d.indexed() && !d.digits():
		return p.contains(s)
	}
	x := s.place(p.t)
	test := "pdb_json_key(" + x + ") " + p.op + " " + s.arg(sqlfunc.Key(canonical(p.v)))
	switch {
	case p.op == "~":
		test = "pdb_regexp(" + s.arg(p.v.Text) + ", pdb_json_text(" + x + "))"
	case p.op == "=" && !d.indexed():
		return test
	case d.ofFacts() && len(d.segs) == 1 && d.segs[0].index < 0: // the place is the top itself
		return "ifnull(" + test + ", 0)"
	}
	return "(" + s.top(p.t) + " IS NOT NULL AND " + test + ")"
}

// top is the outermost member of the document on the way to a dotted field's
// place: without it, most comparisons are false rather than unknown.
func (s *scope) top(t term) string {
	doc, rest := s.document(t)
	if t.path.ofFacts() {
		return doc
	}
	return "pdb_json_path(" + doc + ", " + s.arg(pathText([]segment{{key: rest[0].key, index: -1}})) + ")"
}

// contains is jsonb containment of the path with the value at its end.
func (p inDoc) contains(s *scope) string {
	fact, rest := p.t.path.split()
	text := []byte(canonical(p.v))
	if !p.t.path.ofFacts() {
		doc := s.use(p.t.field.SQL)
		test := "pdb_json_contains(" + doc + ", " + s.arg(nested(keys(rest), text)) + ")"
		if p.v.Kind == ast.String || p.v.Kind == ast.Bool { // the text must occur, then: spares most rows the parsing
			leaf := canonical(ast.Str(rest[len(rest)-1].key)) + ":" + string(text)
			test = "(instr(" + doc + ", " + s.arg(leaf) + ") > 0 AND " + test + ")"
		}
		return test
	}
	if p.v.Kind < ast.Array {
		return factsetNode + " IN " + s.leaves(append([]string{fact}, keys(rest)...), p.v)
	}
	return factsetNode + " IN " + s.facts(fact, "pdb_json_contains(xf.value, "+s.arg(nested(keys(rest), text))+")")
}

// facts selects the nodes whose top-level fact of this name the test holds for.
func (s *scope) facts(name, test string) string {
	return "(SELECT xf.node_id FROM fact xf WHERE xf.name_id = (SELECT xn.id FROM fact_name xn WHERE xn.name = " + s.arg(name) + ") AND " + test + ")"
}

// leaves selects the nodes that have this scalar at the end of this path of keys.
func (s *scope) leaves(path []string, v ast.Value) string {
	var kind, test string
	text := canonical(v)
	switch v.Kind {
	case ast.Number:
		kind = "IN (1, 2)"
		test = "xl.num = " + s.arg(float(v)) + " AND pdb_json_key(xl.value) = " + s.arg(sqlfunc.Key(text))
	default:
		kind = map[ast.Kind]string{ast.String: "= 0", ast.Bool: "= 3", ast.Null: "= 4"}[v.Kind]
		test = "substr(xl.value, 1, 40) = " + s.arg(prefix(text)) + " AND xl.value = " + s.arg(text)
	}
	return "(SELECT xl.node_id FROM fact_path xp JOIN fact_leaf xl ON xl.path_id = xp.id WHERE xp.encoded = " + s.arg(stringPath(path)) +
		" AND xp.type " + kind + " AND " + test + ")"
}

// prefix is the part of a value that the index of leaves holds.
func prefix(text string) string {
	n := 0
	for i := range text {
		if n == 40 {
			return text[:i]
		}
		n++
	}
	return text
}

// pathPattern is the regular expression over encoded paths that a dotted field
// with match() stands for: its names are expressions as well, and a part of a
// path is enough. Spec query.md §3.5.
func pathPattern(d *dotted) string {
	segs := d.segs
	if d.top == "trusted" {
		segs = append([]segment{{key: "trusted", index: -1}}, segs...)
	}
	var parts []string
	for _, g := range segs {
		part := g.match
		if part == "" {
			part = g.key
		}
		if g.index >= 0 {
			part += fmt.Sprintf("#~%d", g.index)
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, "#~")
}

// throughArray matches encoded paths with an index: keys of digits are quoted there.
const throughArray = "#~[0-9]+(#~|$)"

// matched compares the leaves whose paths match. Only = reaches into arrays.
func (p inDoc) matched(s *scope) string {
	paths := "pdb_regexp(" + s.arg(pathPattern(p.t.path)) + ", xp.encoded)"
	if p.op != "=" {
		paths += " AND NOT pdb_regexp(" + s.arg(throughArray) + ", xp.encoded)"
	}
	var test string
	switch p.op {
	case "~":
		test = "pdb_regexp(" + s.arg(p.v.Text) + ", pdb_json_text(xl.value))"
	default:
		test = "pdb_json_key(xl.value) " + p.op + " " + s.arg(sqlfunc.Key(canonical(p.v)))
	}
	return factsetNode + " IN (SELECT xl.node_id FROM fact_path xp JOIN fact_leaf xl ON xl.path_id = xp.id WHERE " + paths + " AND " + test + ")"
}

func (p ofFact) sql(s *scope) string {
	in := s.use(p.node) + " IN "
	text := canonical(p.v)
	switch {
	case p.op == "=" && p.v.Kind < ast.Array:
		return in + s.leaves([]string{p.name}, p.v)
	case p.op == "=":
		return in + s.facts(p.name, "pdb_json_contains(xf.value, "+s.arg(text)+")")
	case p.op == "~":
		return in + s.facts(p.name, "pdb_regexp("+s.arg(p.v.Text)+", pdb_json_text(xf.value))")
	}
	return in + s.facts(p.name, "pdb_json_key(xf.value) "+p.op+" "+s.arg(sqlfunc.Key(text)))
}

func (p ofParameter) sql(s *scope) string {
	doc := s.use("coalesce(rb.parameters, '{}')")
	path := s.arg(string(ast.List(ast.Str(p.name)).JSON()))
	if p.op == "~" {
		return "ifnull(pdb_regexp(" + s.arg(p.text) + ", pdb_json_path(" + doc + ", " + path + ")), 0)"
	}
	// Both texts are canonical, so the member occurs literally: instr spares most rows the parsing.
	member := canonical(ast.Str(p.name)) + ":" + p.text
	return "(instr(" + doc + ", " + s.arg(member) + ") > 0 AND pdb_json_path(" + doc + ", " + path + ") IS " + s.arg(p.text) + ")"
}
