package plan

import "strings"

// double reads a text in double quotes within an expression.
func (l *lexer) double() []expr {
	l.at++
	parts := l.interpolated(true)
	return parts
}

// interpolated reads text with $name and ${expression} in it: up to the double
// quote that ends it, with escapes before, or all that is left.
func (l *lexer) interpolated(quoted bool) []expr {
	begin := l.line
	var parts []expr
	var b strings.Builder
	flush := func() {
		if b.Len() > 0 {
			parts = append(parts, literal{b.String()})
			b.Reset()
		}
	}
	for l.at < len(l.source) {
		rest := l.source[l.at:]
		switch c := rest[0]; {
		case quoted && c == '"':
			l.at++
			flush()
			return parts
		case quoted && c == '\\' && len(rest) > 1:
			b.WriteString(escaped(rest[1]))
			l.at += 2
		case strings.HasPrefix(rest, "${"):
			flush()
			l.at += 2
			parts = append(parts, l.braces())
		case c == '$' && len(rest) > 1 && isLower(rest[1]):
			flush()
			name := l.variable(rest)
			l.p.inside++
			parts = append(parts, l.p.variable(token{kind: tokVar, text: name, line: l.line}))
			l.p.inside--
			l.at += 1 + len(name)
		default:
			if c == '\n' {
				l.line++
			}
			b.WriteByte(c)
			l.at++
		}
	}
	if quoted {
		fail(begin, "the text in double quotes does not end")
	}
	flush()
	return parts
}

// escaped is what a backslash and a character stand for.
func escaped(c byte) string {
	switch c {
	case 'n':
		return "\n"
	case 't':
		return "\t"
	case 'r':
		return "\r"
	case 's':
		return " "
	case '\\', '"', '\'', '$':
		return string(c)
	}
	return "\\" + string(c)
}

// braces reads the expression of ${…}. A word at its beginning that is not
// called is a variable.
func (l *lexer) braces() expr {
	p := l.p
	ahead := p.ahead // stays what it is for those who read the text around
	p.inside++
	p.depth++
	if p.depth > maxDepth {
		fail(l.line, "expressions nest deeper than %d", maxDepth)
	}
	l.prev = token{}
	p.ahead = l.next()
	if p.ahead.is("}") {
		fail(l.line, "${} holds no expression")
	}
	if t := p.ahead; t.kind == tokName && !keyword(t.text) && !strings.HasPrefix(l.source[l.at:], "(") {
		p.ahead.kind, l.prev.kind = tokVar, tokVar
	}
	e := p.expr(0)
	if !p.ahead.is("}") {
		fail(p.ahead.line, "} expected at the end of ${…, and there is %s", p.ahead)
	}
	// That } was read ahead, so the text goes on where the lexer is.
	p.ahead = ahead
	p.depth--
	p.inside--
	return e
}
