package difffuzz

import (
	"fmt"
	"strconv"
	"strings"

	"dalang/store/query"
	"dalang/store/query/ast"
)

// value is one that the field may have, mostly one that it has somewhere.
func (g *generator) value(e *query.EntityInfo, f query.FieldInfo) ast.Value {
	name := e.Name + "." + f.Name
	if f.Name == "tag" {
		name = e.Name + ".tags"
	}
	pool := g.v.of[name]
	if len(pool) > 0 && g.chance(85) && !g.v.volatile[name] {
		v := pick(g.Rand, pool)
		switch f.Type {
		case query.Tags, query.Pairs:
			for v.Kind == ast.Array && len(v.Items) > 0 {
				v = pick(g.Rand, v.Items)
			}
			if v.Kind != ast.String {
				return ast.Str("x")
			}
			if f.Name == "tag" && g.chance(20) {
				return ast.Str(strings.ToUpper(v.Text))
			}
		case query.Value:
			return g.near(v)
		case query.Time:
			return g.time(v.Text)
		case query.Int:
			if v.Kind == ast.Number {
				return g.near(v)
			}
		}
		if v.Kind != ast.Null {
			return v
		}
	}
	return g.invented(f)
}

// invented is a value of the field's type that it need not have.
func (g *generator) invented(f query.FieldInfo) ast.Value {
	switch f.Type {
	case query.Int:
		return g.number()
	case query.Bool, query.Flag:
		return ast.Boolean(g.chance(50))
	case query.Time:
		return ast.Str(pick(g.Rand, []string{"2000-01-01", "2040-01-01T00:00:00Z", "1999-12-31T23:59:59.999+01:00", "2041"}))
	case query.Stamp:
		return ast.Value{}
	case query.Value, query.Encoded:
		return pick(g.Rand, []ast.Value{g.number(), ast.Str("x"), ast.Boolean(true), ast.Value{}, ast.List(), ast.List(ast.Str("a")), {Kind: ast.Object}})
	case query.Path, query.LeafPath:
		return ast.List(ast.Str("os"), ast.Str("family"))
	}
	return ast.Str(pick(g.Rand, []string{"x", "", "web1.example.com", "production", "Class", "true", "1", "é", "%", "a'b", `a"b`, `a\b`, "any"}))
}

func (g *generator) number() ast.Value {
	if pool := g.v.of["fact_contents.value"]; g.chance(50) && len(pool) > 0 {
		if v := pick(g.Rand, pool); v.Kind == ast.Number {
			return v
		}
	}
	return ast.Value{Kind: ast.Number, Text: pick(g.Rand, []string{"0", "1", "2", "10", "-1", "42", "42.0", "3.14", "1.5e3", "100", "1000000", "9007199254740993", "12345678901"})}
}

// near is a value or one beside it.
func (g *generator) near(v ast.Value) ast.Value {
	switch {
	case v.Kind == ast.Number && g.chance(30):
		if n, err := strconv.ParseInt(v.Text, 10, 64); err == nil {
			return pick(g.Rand, []ast.Value{ast.Int(n + 1), ast.Int(n - 1), {Kind: ast.Number, Text: v.Text + ".0"}, {Kind: ast.Number, Text: v.Text + ".5"}, ast.Str(v.Text)})
		}
	case v.Kind == ast.String && g.chance(10):
		if _, err := strconv.ParseInt(v.Text, 10, 32); err == nil && v.Text[0] != '0' {
			return ast.Value{Kind: ast.Number, Text: v.Text}
		}
	case v.Kind >= ast.Array && len(v.Items) > 1 && g.chance(40): // a part
		c := copied(v)
		i := g.IntN(len(c.Items))
		c.Items = append(c.Items[:i], c.Items[i+1:]...)
		if v.Kind == ast.Object {
			c.Keys = append(c.Keys[:i], c.Keys[i+1:]...)
		}
		return c
	}
	return v
}

// time spells a time in one of many formats, or moves it.
func (g *generator) time(s string) ast.Value {
	if len(s) != len("2006-01-02T15:04:05.000Z") {
		return ast.Str("2020-01-01")
	}
	day, clock := s[:10], s[11:19]
	return ast.Str(pick(g.Rand, []string{s, s, s, day, s[:16], s[:19] + "Z", day + "T" + clock + "+00:00", day + " " + clock, s[:7], s[:4], day + "T" + clock + ".9999Z",
		strings.ReplaceAll(day, "-", ""), day + "T" + clock + "-0330"}))
}

func (g *generator) oddValue() ast.Value {
	return pick(g.Rand, []ast.Value{{}, ast.Boolean(true), ast.Boolean(false), ast.Int(5), {Kind: ast.Number, Text: "1.5"}, {Kind: ast.Number, Text: "1e400"}, ast.Str("5"), ast.Str(""), ast.Str("2026"),
		ast.Str("x\x00y"), ast.List(), ast.List(ast.Str("a"), ast.Int(1)), ast.List(ast.List()), {Kind: ast.Object}, {Kind: ast.Object, Keys: []string{"a"}, Items: []ast.Value{ast.Int(1)}},
		{Kind: ast.Number, Text: "123456789012345678901234567890"}, ast.Str(strings.Repeat("x", 300))})
}

// regexFor is a pattern that some values of the field may match.
func (g *generator) regexFor(e *query.EntityInfo, f query.FieldInfo) ast.Value {
	v := g.value(e, f)
	if v.Kind == ast.String {
		return g.pattern(v.Text)
	}
	return g.pattern(string(v.JSON()))
}

// pattern makes a regular expression of a text.
func (g *generator) pattern(s string) ast.Value {
	runes := []rune(s)
	if len(runes) > 40 {
		runes = runes[:40]
	}
	if len(runes) > 2 {
		i := g.IntN(len(runes) - 1)
		runes = runes[i:min(len(runes), i+1+g.IntN(12))]
	}
	var b strings.Builder
	if g.chance(20) {
		b.WriteString(pick(g.Rand, []string{"^", "(?i)", `\m`, ".*", `\A`, `(?n)^`, `\y`}))
	}
	for _, c := range runes {
		switch {
		case strings.ContainsRune(`.*+?()[]{}|^$\`, c):
			b.WriteString(pick(g.Rand, []string{`\` + string(c), "."}))
		case g.chance(85):
			b.WriteRune(c)
		default:
			b.WriteString(pick(g.Rand, []string{".", ".+", ".*", "[^x]", "[a-z]+", "[0-9]", `\d`, `\w`, `\w+`, `\S`, "(a|.)", "[[:alpha:]]", ".{1,3}", `(.)\1?`, `[^\s]`, `(?:.)`, `.?`, `\W?`}))
		}
	}
	if g.chance(15) {
		b.WriteString(pick(g.Rand, []string{"$", "|x", `\M`, "(?!x)", `\Z`, "*", "?"}))
	}
	if b.Len() == 0 {
		return ast.Str(".")
	}
	return ast.Str(b.String())
}

// pathPattern makes the argument of ~> of a path.
func (g *generator) pathPattern(path ast.Value) ast.Value {
	if path.Kind != ast.Array {
		return ast.List(ast.Str(".*"))
	}
	out := ast.List()
	for _, x := range path.Items {
		switch {
		case x.Kind != ast.String && g.chance(60):
			out.Items = append(out.Items, x)
		case x.Kind != ast.String:
			out.Items = append(out.Items, ast.Str(pick(g.Rand, []string{".*", `\d`, "[0-9]+", x.Text})))
		case g.chance(50):
			out.Items = append(out.Items, x)
		default:
			out.Items = append(out.Items, pick(g.Rand, []ast.Value{ast.Str(".*"), ast.Str(".+"), g.pattern(x.Text), ast.Str("^" + x.Text[:1])}))
		}
	}
	return out
}

// dotted is a place within one of the entity's documents, or "". For
// conditions, indexes and match() are possible.
func (g *generator) dotted(e *query.EntityInfo, condition bool) string {
	var p []string
	top := ""
	switch e.Name {
	case "inventory":
		p = pick(g.Rand, g.v.facts)
		top = "facts"
		if p[0] == "trusted" && len(p) > 1 && g.chance(50) {
			top, p = "trusted", p[1:]
		}
	case "resources":
		p, top = pick(g.Rand, g.v.params), "parameters"
	default:
		return ""
	}
	for _, s := range p {
		if !condition && strings.HasSuffix(s, "]") {
			return ""
		}
		switch {
		case s == "" || strings.HasSuffix(s, `\`):
			return ""
		case condition && top != "parameters" && g.chance(3):
			s = fmt.Sprintf("match(%q)", pick(g.Rand, []string{".*", s, "^" + s[:1]}))
		case strings.Contains(s, ".") || g.chance(5):
			s = `"` + s + `"`
		}
		top += "." + s
	}
	if len(top) > 60 && !condition {
		return ""
	}
	return top
}

// documentValue is a value found at a place; without one, any value of the
// document of a dotted field.
func (g *generator) documentValue(field string, at []string) ast.Value {
	if at == nil && strings.HasPrefix(field, "parameters") || strings.HasPrefix(field, "resources.") {
		docs := g.v.of["resources.parameters"]
		for range 30 {
			v := pick(g.Rand, docs)
			for i, k := range v.Keys {
				if at != nil && k == at[0] || at == nil && strings.Contains(field, k) {
					return g.near(v.Items[i])
				}
			}
		}
	}
	last := field[strings.LastIndexByte(field, '.')+1:]
	for range 60 {
		i := g.IntN(len(g.v.leaves))
		if l := g.v.leaves[i]; l.key == last {
			return g.near(l.value)
		}
	}
	return g.near(pick(g.Rand, g.v.of[pick(g.Rand, []string{"facts.value", "fact_contents.value"})]))
}
