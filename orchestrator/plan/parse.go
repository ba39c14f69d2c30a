package plan

import (
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dlclark/regexp2"
)

// maxDepth is how deep expressions and values may nest.
const maxDepth = 100

// regexTime is how long one match may take.
const regexTime = 250 * time.Millisecond

// parser reads one expression, a token ahead. Mistakes are panics with a
// *syntaxError.
type parser struct {
	lex   *lexer
	ahead token
	depth int
	base  int // line of the expression's first line in the plan
	known func(name string) bool
	local []string // variables of blocks and lambdas
	// inside a text, which is read ahead: a variable that is not known there may
	// get its value by what stands before the text, so it is looked up later.
	inside int
	later  []token
}

// parse runs f over a source and turns a mistake into an error.
func parse(source string, base int, known func(string) bool, f func(p *parser) expr) (e expr, err error) {
	p := &parser{base: base, known: known}
	p.lex = &lexer{p: p, source: source}
	defer func() {
		if failed := recover(); failed != nil {
			s, ok := failed.(*syntaxError)
			if !ok {
				panic(failed)
			}
			err = &located{base + s.line, s.msg}
		}
	}()
	e = f(p)
	p.settle()
	return e, nil
}

// located is a mistake at a line of the plan.
type located struct {
	line int
	msg  string
}

func (e *located) Error() string { return e.msg }

// parseCode reads a block.
func parseCode(source string, base int, known func(string) bool) (expr, error) {
	return parse(source, base, known, func(p *parser) expr {
		p.advance()
		e := p.block("")
		if p.ahead.kind != tokEnd {
			fail(p.ahead.line, "%s is not expected here", p.ahead)
		}
		return e
	})
}

// parseText reads a text with expressions in it.
func parseText(source string, base int, known func(string) bool) (expr, error) {
	return parse(source, base, known, func(p *parser) expr {
		return joined(p.lex.interpolated(false))
	})
}

// joined is a text of parts.
func joined(parts []expr) expr {
	switch len(parts) {
	case 0:
		return literal{""}
	case 1:
		if l, ok := parts[0].(literal); ok {
			return literal{text(l.value)}
		}
	}
	return concat(parts)
}

func (p *parser) advance() token {
	p.settle()
	t := p.ahead
	p.ahead = p.lex.next()
	return t
}

func (p *parser) expect(text string) {
	if !p.ahead.is(text) {
		fail(p.ahead.line, "%s expected, and there is %s", text, p.ahead)
	}
	p.advance()
}

// block reads statements up to end, a closing bracket that is left ahead.
func (p *parser) block(end string) expr {
	locals := len(p.local)
	defer func() { p.local = p.local[:locals] }()
	var b block
	for p.ahead.kind != tokEnd && (end == "" || !p.ahead.is(end)) {
		var s statement
		if p.ahead.kind == tokVar && p.lex.assigns() {
			t := p.advance()
			if slices.Contains(p.local, t.text) || p.known(t.text) {
				fail(t.line, "$%s has a value already", t.text)
			}
			p.expect("=")
			s.name = t.text
		}
		s.value = p.expr(0)
		if s.name != "" {
			p.local = append(p.local, s.name)
		}
		b = append(b, s)
	}
	switch {
	case len(b) == 0:
		fail(p.ahead.line, "an expression expected, and there is %s", p.ahead)
	case b[len(b)-1].name != "":
		fail(p.ahead.line, "a block must end with an expression: that is its value")
	case len(b) == 1:
		return b[0].value
	}
	return b
}

// power is how strongly a binary operator binds; 0: it is none.
func power(t token) int {
	if t.kind == tokName {
		switch t.text {
		case "or":
			return 1
		case "and":
			return 2
		case "in":
			return 8
		}
		return 0
	}
	if t.kind != tokPunct {
		return 0
	}
	switch t.text {
	case "<", "<=", ">", ">=":
		return 3
	case "==", "!=":
		return 4
	case "+", "-":
		return 5
	case "*", "/", "%":
		return 6
	case "=~", "!~":
		return 7
	}
	return 0
}

// expr reads operators that bind more strongly than low.
func (p *parser) expr(low int) expr {
	p.depth++
	defer func() { p.depth-- }()
	if p.depth > maxDepth {
		fail(p.ahead.line, "expressions nest deeper than %d", maxDepth)
	}
	left := p.unary()
	for {
		binds := power(p.ahead)
		if binds <= low {
			return left
		}
		op := p.advance()
		left = binary{op.text, p.base + op.line, left, p.expr(binds)}
	}
}

func (p *parser) unary() expr {
	if p.ahead.is("!") || p.ahead.is("-") {
		op := p.advance()
		p.depth++
		defer func() { p.depth-- }()
		if p.depth > maxDepth {
			fail(op.line, "expressions nest deeper than %d", maxDepth)
		}
		return unary{op.text, p.base + op.line, p.unary()}
	}
	return p.postfix(p.primary())
}

// postfix reads indexes and calls behind a value.
func (p *parser) postfix(e expr) expr {
	for {
		switch line := p.base + p.ahead.line; {
		case p.ahead.is("[") && p.ahead.glued:
			p.advance()
			args := p.list("]")
			if len(args) == 0 || len(args) > 2 {
				fail(line-p.base, "an index, or an index and a length, expected within []")
			}
			e = index{line, e, args}
		case p.ahead.is("."):
			p.advance()
			if p.ahead.kind != tokName {
				fail(p.ahead.line, "the name of a function expected behind the point, and there is %s", p.ahead)
			}
			name := p.advance()
			args := []expr{e}
			if p.ahead.is("(") && p.ahead.glued {
				p.advance()
				args = append(args, p.list(")")...)
			}
			e = p.call(name, args, true)
		default:
			return e
		}
	}
}

// list reads expressions with commas between them, and the bracket behind them.
func (p *parser) list(end string) []expr {
	var list []expr
	for !p.ahead.is(end) {
		list = append(list, p.expr(0))
		if !p.ahead.is(",") {
			break
		}
		p.advance()
	}
	p.expect(end)
	return list
}

func keyword(name string) bool {
	switch name {
	case "true", "false", "undef", "default", "if", "else", "elsif", "unless", "case", "function", "class", "define", "node", "type", "import",
		"inherits", "and", "or", "in":
		return true
	}
	return false
}

func (p *parser) primary() expr {
	switch t := p.ahead; t.kind {
	case tokVar:
		return p.variable(p.advance())
	case tokNumber:
		p.advance()
		return literal{numeral(t)}
	case tokText:
		p.advance()
		return literal{t.text}
	case tokQuoted:
		p.advance()
		return joined(t.parts)
	case tokRegex:
		p.advance()
		return literal{expression(t.text, t.line)}
	case tokName:
		return p.named(p.advance())
	default:
		return p.bracketed(t)
	}
}

// variable is a variable that has a value.
func (p *parser) variable(t token) expr {
	if !slices.Contains(p.local, t.text) && !p.known(t.text) {
		if p.inside == 0 {
			fail(t.line, "there is no variable $%s here: it is neither a parameter nor the name of an earlier step", t.text)
		}
		p.later = append(p.later, t)
	}
	return variable{p.base + t.line, t.text}
}

// settle looks up the variables of the text that was read ahead.
func (p *parser) settle() {
	if p.inside > 0 {
		return
	}
	for _, t := range p.later {
		p.variable(t)
	}
	p.later = nil
}

func (p *parser) named(t token) expr {
	switch t.text {
	case "true", "false":
		return literal{t.text == "true"}
	case "undef":
		return literal{nil}
	case "default":
		return literal{"default"}
	}
	if keyword(t.text) {
		fail(t.line, "'%s' is not a part of the Puppet language that YAML plans have here; a plan in the Puppet language has it", t.text)
	}
	if !p.ahead.is("(") {
		if t.text[0] >= 'A' && t.text[0] <= 'Z' {
			fail(t.line, "the type %s cannot be used in an expression here", t.text)
		}
		fail(t.line, "'%s' is neither a variable ($%[1]s) nor a text ('%[1]s') nor called (%[1]s(…))", t.text)
	}
	p.advance()
	return p.call(t, p.list(")"), false)
}

func (p *parser) bracketed(t token) expr {
	switch {
	case t.is("("):
		p.advance()
		e := p.expr(0)
		p.expect(")")
		return e
	case t.is("["):
		p.advance()
		return list(p.list("]"))
	case t.is("{"):
		p.advance()
		h := hash{}
		for !p.ahead.is("}") {
			k := p.expr(0)
			p.expect("=>")
			h = append(h, [2]expr{k, p.expr(0)})
			if !p.ahead.is(",") {
				break
			}
			p.advance()
		}
		p.expect("}")
		return h
	}
	fail(t.line, "an expression expected, and there is %s", t)
	return nil
}

// lambda reads |$a, $b| { … }, if there is one.
func (p *parser) lambda() *lambda {
	if !p.ahead.is("|") {
		return nil
	}
	p.advance()
	l := &lambda{}
	for !p.ahead.is("|") {
		if p.ahead.kind != tokVar {
			fail(p.ahead.line, "a variable expected between | and |, and there is %s", p.ahead)
		}
		l.names = append(l.names, p.advance().text)
		if !p.ahead.is(",") {
			break
		}
		p.advance()
	}
	p.expect("|")
	locals := len(p.local)
	p.local = append(p.local, l.names...) // before what follows { is read
	p.expect("{")
	l.body = p.block("}")
	p.local = p.local[:locals]
	p.expect("}")
	return l
}

// numeral reads a number of the Puppet language.
func numeral(t token) json.Number {
	if n, err := strconv.ParseInt(t.text, 0, 64); err == nil && !strings.ContainsAny(t.text, "_bBoO") {
		return json.Number(strconv.FormatInt(n, 10))
	} else if errors.Is(err, strconv.ErrRange) {
		fail(t.line, "%s is larger than an integer can be", t.text)
	}
	f, err := strconv.ParseFloat(t.text, 64)
	if err != nil || strings.ContainsAny(t.text, "_xXpPnNiI") || !strings.ContainsAny(t.text, ".eE") {
		fail(t.line, "%s is not a number", t.text)
	}
	return decimal(f)
}

// expression reads a regular expression as Ruby has it: ^ and $ are of lines,
// \h is a hexadecimal digit.
func expression(source string, line int) *regex {
	pattern := strings.NewReplacer(`\\`, `\\`, `\/`, `/`, `\h`, `[0-9a-fA-F]`).Replace(source)
	re, err := regexp2.Compile(pattern, regexp2.Multiline)
	if err != nil {
		fail(line, "the regular expression /%s/ cannot be read: %v", source, err)
	}
	re.MatchTimeout = regexTime
	return &regex{source, re}
}
