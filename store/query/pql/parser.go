package pql

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"dalang/store/query/ast"
)

// Error says where a text stops being PQL.
type Error struct {
	Line, Column int // 1-based
	Source       string
	Expected     []string // what could have stood there
	Hint         string   // more help, or ""
	Problem      string   // what is wrong, when it is not the grammar
}

func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "PQL parse error at line %d, column %d:\n\n", e.Line, e.Column)
	line := strings.Split(e.Source, "\n")[e.Line-1]
	fmt.Fprintf(&b, "%s\n%s^\n\n", line, strings.Repeat(" ", e.Column-1))
	switch {
	case e.Problem != "":
		b.WriteString(e.Problem + "\n")
	case len(e.Expected) == 1:
		b.WriteString("Expected:\n" + e.Expected[0] + "\n")
	default:
		b.WriteString("Expected one of:\n\n" + strings.Join(e.Expected, "\n") + "\n")
	}
	if e.Hint != "" {
		b.WriteString("\n" + e.Hint + "\n")
	}
	return b.String()
}

// entities are the words that a query or an implicit subquery starts with.
func entities() []string {
	return []string{"catalog_input_contents", "catalog_inputs", "catalogs", "edges", "environments", "events",
		"fact_contents", "fact_names", "fact_paths", "facts", "factsets", "inventory", "nodes", "package_inventory", "packages", "producers", "reports", "resources"}
}

// maxDepth bounds the nesting of a query.
const maxDepth = 100

type parser struct {
	src   string
	pos   int
	depth int

	far      int // the furthest place where something was missing
	expected []string
	named    [2]int // where the entity that was taken last begins and ends
	unclosed int    // where a string begins that has no end; -1: none
	problem  *Error // wrong in a way that no alternative can help
}

// Parse turns a query into AST.
func Parse(src string) (ast.Value, error) {
	src = strings.ToValidUTF8(src, "\uFFFD")
	p := &parser{src: src, far: -1, unclosed: -1}
	p.space()
	v, ok := p.from(true)
	if ok {
		p.space()
		if p.pos == len(src) {
			return v, nil
		}
		p.miss("end-of-string")
	}
	if p.problem != nil {
		return ast.Value{}, p.problem
	}
	slices.Sort(p.expected)
	e := p.at(p.far)
	e.Expected = slices.Compact(p.expected)
	e.Hint = p.hint()
	return ast.Value{}, e
}

// at is an error at an offset.
func (p *parser) at(pos int) *Error {
	pos = min(max(pos, 0), len(p.src))
	before := p.src[:pos]
	start := strings.LastIndexByte(before, '\n') + 1
	return &Error{Line: 1 + strings.Count(before, "\n"), Column: 1 + utf8.RuneCountInString(before[start:]), Source: p.src}
}

// miss notes what was not found here; it is always false.
func (p *parser) miss(what string) bool {
	switch {
	case p.pos > p.far:
		p.far, p.expected = p.pos, []string{what}
	case p.pos == p.far:
		p.expected = append(p.expected, what)
	}
	return false
}

// fail notes a mistake that ends parsing.
func (p *parser) fail(pos int, format string, args ...any) bool {
	if p.problem == nil {
		p.problem = p.at(pos)
		p.problem.Problem = fmt.Sprintf(format, args...)
	}
	return false
}

// try goes back when f fails.
func (p *parser) try(f func() bool) bool {
	at := p.pos
	if p.problem == nil && f() {
		return true
	}
	p.pos = at
	return false
}

func (p *parser) space() bool {
	for p.pos < len(p.src) && strings.IndexByte(" \t\n\r\f\v", p.src[p.pos]) >= 0 {
		p.pos++
	}
	return true
}

// blank takes white space that must be there.
func (p *parser) blank() bool {
	at := p.pos
	p.space()
	return p.pos > at || p.miss("white space")
}

// text takes exactly this text.
func (p *parser) text(s string) bool {
	if strings.HasPrefix(p.src[p.pos:], s) {
		p.pos += len(s)
		return true
	}
	return p.miss(s)
}
