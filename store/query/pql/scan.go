package pql

import (
	"regexp"
	"strconv"
	"strings"

	"dalang/store/query/ast"
)

// The tokens that a single expression describes. They match at the start.
var (
	word       = regexp.MustCompile(`^[A-Za-z0-9_]+\??`)
	quoted     = regexp.MustCompile(`^".*?"[.\s]`) // the last character is looked at only
	plain      = regexp.MustCompile(`^[^\s.",\[\]!<=>~]+(\[\d+\])?`)
	matching   = regexp.MustCompile(`^match\(.*?\)`)
	numeral    = regexp.MustCompile(`^-?\d+(\.\d+([eE][+-]?\d+)?)?`)
	whole      = regexp.MustCompile(`^-?\d+`)
	singleText = regexp.MustCompile(`^'((?s:[^'\\]|\\.)*)'`)
	doubleText = regexp.MustCompile(`^"((?s:[^"\\]|\\.)*)"`)
)

// field takes the name of a field, dots and all.
func (p *parser) field() (ast.Value, bool) {
	at := p.pos
	for _, doc := range []string{"facts", "trusted", "parameters"} {
		if strings.HasPrefix(p.src[p.pos:], doc+".") {
			p.pos += len(doc)
			for strings.HasPrefix(p.src[p.pos:], ".") {
				if !p.segment() {
					return ast.Value{}, false
				}
			}
			return str(p.src[at:p.pos], at), true
		}
	}
	w := word.FindString(p.src[p.pos:])
	if w == "" {
		return ast.Value{}, p.miss("a field")
	}
	p.pos += len(w)
	return str(w, at), true
}

func (p *parser) segment() bool {
	p.pos++
	rest := p.src[p.pos:]
	switch {
	case matching.MatchString(rest) && strings.HasPrefix(rest, "match("):
		p.pos += len(matching.FindString(rest))
	case quoted.MatchString(rest):
		p.pos += len(quoted.FindString(rest)) - 1
	case plain.MatchString(rest):
		p.pos += len(plain.FindString(rest))
	default:
		return p.miss("a part of a path")
	}
	return true
}

// literal takes any value.
func (p *parser) literal() (v ast.Value, ok bool) {
	for _, w := range []string{"true", "false"} {
		if p.try(func() bool { return p.text(w) }) {
			return ast.Boolean(w == "true"), true
		}
	}
	if p.try(func() bool { return p.text("[") }) {
		return p.listEnd(p.literal)
	}
	return p.ordered()
}

// ordered takes what can be greater or less: a number or a string.
func (p *parser) ordered() (v ast.Value, ok bool) {
	if p.try(func() bool { v, ok = p.number(); return ok }) || p.problem == nil && p.try(func() bool { v, ok = p.str(); return ok }) {
		return v, true
	}
	return v, false
}

func (p *parser) number() (ast.Value, bool) {
	text := numeral.FindString(p.src[p.pos:])
	if text == "" {
		return ast.Value{}, p.miss("a number")
	}
	if !strings.Contains(text, ".") {
		return p.integer()
	}
	v := ast.Value{Kind: ast.Number, Pos: p.pos, Text: trimZeros(text)}
	p.pos += len(text)
	return v, true
}

// trimZeros makes a number one that JSON allows: 007 is 7.
func trimZeros(s string) string {
	digits, minus := strings.CutPrefix(s, "-")
	for len(digits) > 1 && digits[0] == '0' && digits[1] >= '0' && digits[1] <= '9' {
		digits = digits[1:]
	}
	if minus {
		return "-" + digits
	}
	return digits
}

// integer takes an integer, which must fit in 64 bits.
func (p *parser) integer() (ast.Value, bool) {
	text := whole.FindString(p.src[p.pos:])
	if text == "" {
		return ast.Value{}, p.miss("an integer")
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return ast.Value{}, p.fail(p.pos, "For input string: %q", text)
	}
	v := ast.Int(n)
	v.Pos = p.pos
	p.pos += len(text)
	return v, true
}

// str takes a string. Single quotes keep backslashes, double quotes are JSON.
func (p *parser) str() (ast.Value, bool) {
	rest := p.src[p.pos:]
	if m := singleText.FindStringSubmatch(rest); m != nil {
		v := str(strings.ReplaceAll(m[1], `\'`, `'`), p.pos)
		p.pos += len(m[0])
		return v, true
	}
	m := doubleText.FindStringSubmatch(rest)
	if m == nil && rest != "" && (rest[0] == '\'' || rest[0] == '"') {
		at := p.pos
		p.pos, p.unclosed = len(p.src), at
		p.miss(rest[:1])
		p.pos = at
		return ast.Value{}, false
	}
	if m == nil {
		p.miss(`"`)
		return ast.Value{}, p.miss("'")
	}
	v, err := ast.Read(`"` + escapeControls(m[1]) + `"`)
	if err != nil {
		return ast.Value{}, p.fail(p.pos, "%s: a backslash in double quotes starts an escape of JSON; write it twice, or use single quotes", strings.TrimSpace(lastLine(err.Error())))
	}
	v.Pos = p.pos
	p.pos += len(m[0])
	return v, true
}

func lastLine(s string) string { return s[strings.LastIndexByte(strings.TrimSpace(s), '\n')+1:] }

// escapeControls lets line breaks and tabs stand for themselves, which JSON forbids.
func escapeControls(s string) string {
	if strings.IndexFunc(s, func(r rune) bool { return r < 0x20 }) < 0 {
		return s
	}
	var b strings.Builder
	const hex = "0123456789abcdef"
	for _, r := range s {
		if r < 0x20 {
			b.WriteString(`\u00` + string(hex[r>>4]) + string(hex[r&15]))
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}
