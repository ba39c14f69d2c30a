package difffuzz

import (
	"strings"

	"dalang/store/query/ast"
)

// malformed makes up a query that is not quite one: the text of a good one
// with small changes.
func (g *generator) malformed() *Request {
	g.odd = false
	r := g.root()
	r.PQL, r.Post = g.chance(60), false
	var text string
	if s, ok := printPQL(*r.Query); r.PQL && ok {
		text = s
	} else {
		text = string(r.Query.JSON())
		r.PQL = false
	}
	for range 1 + g.IntN(2) {
		text = g.mutated(text, r.PQL)
	}
	r.Text, r.Query, r.Params, r.Mutated = text, nil, nil, true
	if v, err := ast.Read(text); err == nil && v.Kind == ast.Array && !r.PQL {
		r.Text, r.Query = "", &v // can be reduced by parts, then
	}
	return r
}

func (g *generator) mutated(s string, isPQL bool) string {
	tokens := []string{`"`, `[`, `]`, `,`, ` `, `{`, `}`, `null`, `true`, `1`, `-`, `.`, `\`, "\n", `:`}
	if isPQL {
		tokens = []string{"'", `"`, "[", "]", "{", "}", "(", ")", ",", " ", "  ", "!", "=", "!=", "~", "~>", "<", ">=", " and ", " or ", "and", " in ", "limit 1", " limit 1", "offset 1 ",
			"order by certname", "group by certname", " is null", " is  null", "count()", "nodes", "facts", ".", "1", "-1", "1.5", "true", "false", "?", ";", "\n", "not ", " AND ", "[1]", "'x'"}
	}
	i := g.IntN(len(s) + 1)
	for i > 0 && i < len(s) && s[i]&0xC0 == 0x80 { // never within a character
		i--
	}
	switch g.IntN(4) {
	case 0:
		if i < len(s) && s[i] < 0x80 {
			return s[:i] + s[i+1:]
		}
		return s[:i]
	case 1:
		if at := strings.IndexByte(s[i:], ' '); at >= 0 {
			return s[:i+at] + s[i+at+1:]
		}
	case 2:
		if i < len(s) && s[i] < 0x80 {
			return s[:i] + pick(g.Rand, tokens) + s[i+1:]
		}
	}
	return s[:i] + pick(g.Rand, tokens) + s[i:]
}
