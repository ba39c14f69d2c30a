package planjob

import (
	"slices"
	"strings"

	"dalang/orchestrator/content"
	"dalang/orchestrator/ptype"
)

// secretParams are those of the params of a plan in the Puppet language that
// are secrets: their type has Sensitive somewhere in it, as with YAML plans.
// Those are, too, that are not found among the plan's parameters.
func secretParams(found *content.Plan, params map[string]any) []string {
	types, known := parameterTypes(string(found.Text))
	var names []string
	for name, v := range params {
		typ, there := types[name]
		if v != nil && (!known || !there || secretType(typ, found.Alias)) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// secretType tells whether a type as it is written is sensitive. One that
// cannot be read is when it only may be.
func secretType(source string, alias func(name string) *ptype.Type) bool {
	if strings.TrimSpace(source) == "" {
		return false
	}
	t, err := ptype.Parse(source)
	if err != nil {
		return strings.Contains(source, "Sensitive")
	}
	if alias != nil {
		t.Alias(alias)
	}
	return t.Sensitive()
}

// parameterTypes are the types of a plan's parameters, by their names, as they
// stand in its text: plan m::name ( [type] $name [= default], … ) { … }. It is
// not known when the text does not go like that.
func parameterTypes(text string) (types map[string]string, known bool) {
	types = map[string]string{}
	s := &source{text: text}
	if !s.header() {
		return nil, false
	}
	if s.next() != "(" { // it takes none
		return types, s.token == "{"
	}
	for typ := ""; ; {
		switch token := s.next(); {
		case token == "":
			return nil, false
		case token == ")":
			return types, true
		case token == ",":
			typ = ""
		case token[0] == '$':
			types[token[1:]] = typ
			if !s.skipDefault() {
				return nil, false
			}
		default:
			if typ += token; token == "[" {
				typ += s.behind()
			}
		}
	}
}

// source reads the tokens of a text in the Puppet language: words, variables,
// texts, regular expressions, and single signs. Comments and blanks are none.
type source struct {
	text  string
	at    int
	token string // the last one
}

// header goes behind the name of the plan.
func (s *source) header() bool {
	for s.next() != "" {
		if s.token == "plan" {
			return s.next() != "" && isWord(s.token[0])
		}
	}
	return false
}

// skipDefault goes to the comma or the bracket behind a parameter, and stays there.
func (s *source) skipDefault() bool {
	for {
		before := s.at
		switch s.next() {
		case "":
			return false
		case ",", ")":
			s.at = before
			return true
		case "(", "[", "{":
			s.behind()
		}
	}
}

// behind goes behind what closes a bracket, and is the text up to there,
// without comments.
func (s *source) behind() string {
	var b strings.Builder
	for depth := 1; depth > 0 && s.next() != ""; {
		b.WriteString(s.token)
		switch s.token {
		case "(", "[", "{":
			depth++
		case ")", "]", "}":
			depth--
		}
	}
	return b.String()
}

func isWord(c byte) bool {
	return c == '_' || c == ':' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// next is the next token, "" at the end.
func (s *source) next() string {
	before := s.token
	s.skip()
	start := s.at
	if start >= len(s.text) {
		s.token = ""
		return ""
	}
	s.at++
	switch c := s.text[start]; {
	case c == '\'' || c == '"':
		s.quoted(c)
	case c == '/' && (before == "[" || before == "," || before == "("): // elsewhere it divides
		s.quoted('/')
	case c == '$' || isWord(c):
		for s.at < len(s.text) && isWord(s.text[s.at]) {
			s.at++
		}
	}
	s.token = s.text[start:s.at]
	return s.token
}

// skip goes over blanks and comments.
func (s *source) skip() {
	for s.at < len(s.text) {
		rest := s.text[s.at:]
		switch {
		case strings.IndexByte(" \t\r\n", rest[0]) >= 0:
			s.at++
		case rest[0] == '#':
			s.at += len(rest)
			if end := strings.IndexByte(rest, '\n'); end >= 0 {
				s.at += end + 1 - len(rest)
			}
		case strings.HasPrefix(rest, "/*"):
			s.at += len(rest)
			if end := strings.Index(rest, "*/"); end >= 0 {
				s.at += end + 2 - len(rest)
			}
		default:
			return
		}
	}
}

// quoted goes behind the closing quote.
func (s *source) quoted(quote byte) {
	for s.at < len(s.text) {
		c := s.text[s.at]
		s.at++
		switch c {
		case '\\':
			s.at = min(s.at+1, len(s.text))
		case quote:
			return
		}
	}
}
