package query

import (
	"regexp"
	"strconv"
	"strings"

	"dalang/store/query/ast"
)

// dotted is the way into a Document that a dotted field names, such as
// facts.os.family or parameters."a.b"[0]. Spec query.md §3.5.
type dotted struct {
	text string // as written: the name of the column
	top  string // the field
	segs []segment
}

type segment struct {
	key   string
	index int // -1: none
	match string
}

var (
	dottedTop   = regexp.MustCompile(`^[A-Za-z][_0-9A-Za-z]*\??$`)
	indexedName = regexp.MustCompile(`^(?s)(.*)\[(\d{1,9})\]$`)
)

// lineEnds are what the dot in upstream's pattern of dotted names does not match.
const lineEnds = "\n\r\u0085\u2028\u2029"

// parseDotted takes a dotted name apart. ok is false when it is none.
func parseDotted(name string) (d *dotted, ok bool) {
	top, rest, found := strings.Cut(name, ".")
	if !found || !dottedTop.MatchString(top) || strings.ContainsAny(rest, lineEnds) {
		return nil, false
	}
	d = &dotted{text: name, top: top}
	for more := true; more; {
		var s segment
		s, rest, more, ok = nextSegment(rest)
		if !ok {
			return nil, false
		}
		d.segs = append(d.segs, s)
	}
	return d, true
}

// badSegment is the place, counted from one, of the dot behind which a name
// that parseDotted refuses has no segment.
func badSegment(name string) int {
	top, rest, _ := strings.Cut(name, ".")
	at := len([]rune(top)) + 1
	for {
		_, after, _, ok := nextSegment(rest)
		if !ok || after == rest {
			return at
		}
		at += len([]rune(rest)) - len([]rune(after))
		rest = after
	}
}

func nextSegment(rest string) (s segment, after string, more, ok bool) {
	s.index = -1
	end := -1
	switch {
	case strings.HasPrefix(rest, `"`):
		for i := 1; i < len(rest); i++ {
			if rest[i] == '"' && rest[i-1] != '\\' && (i+1 == len(rest) || rest[i+1] == '.') {
				end = i + 1
				break
			}
		}
	case strings.HasPrefix(rest, "match("):
		for i := 6; i < len(rest); i++ {
			if rest[i] == ')' && (i+1 == len(rest) || rest[i+1] == '.') {
				end = i + 1
				break
			}
		}
	}
	quotedOrMatch := end >= 0
	if !quotedOrMatch {
		if end = strings.IndexByte(rest, '.'); end < 0 {
			end = len(rest)
		}
	}
	text := rest[:end]
	if end < len(rest) {
		after, more = rest[end+1:], true
	}
	switch {
	case text == "":
		return s, "", false, false
	case quotedOrMatch && text[0] == 'm':
		s.match = strings.TrimSuffix(strings.TrimPrefix(text, "match("), ")")
		s.match = strings.TrimSuffix(strings.TrimPrefix(s.match, `"`), `"`)
		return s, after, more, true
	case quotedOrMatch:
		text = text[1 : len(text)-1]
	}
	s.key = text
	if m := indexedName.FindStringSubmatch(text); m != nil {
		s.key = m[1]
		s.index, _ = strconv.Atoi(m[2])
	}
	return s, after, more, true
}

func allDigits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

// indexed tells whether an index [n] occurs, digits whether a segment of
// digits does, matches whether match() does.
func (d *dotted) indexed() bool {
	for _, s := range d.segs {
		if s.index >= 0 {
			return true
		}
	}
	return false
}

func (d *dotted) digits() bool {
	for _, s := range d.segs {
		if allDigits(s.key) {
			return true
		}
	}
	return false
}

func (d *dotted) matches() bool {
	for _, s := range d.segs {
		if s.match != "" {
			return true
		}
	}
	return false
}

// whole is the same way without indexes.
func (d *dotted) whole() *dotted {
	c := *d
	c.segs = nil
	for _, s := range d.segs {
		c.segs = append(c.segs, segment{key: s.key, index: -1})
	}
	return &c
}

// ofFacts tells whether the document is the facts of a node, which is not
// stored as one text; then the path starts with the fact's name.
func (d *dotted) ofFacts() bool { return d.top == "facts" || d.top == "trusted" }

// split gives the fact that holds the place (only of facts) and the rest of the way.
func (d *dotted) split() (fact string, rest []segment) {
	switch {
	case d.top == "trusted":
		return "trusted", d.segs
	case d.top == "facts" && d.segs[0].index >= 0:
		return d.segs[0].key, append([]segment{{index: d.segs[0].index, key: ""}}, d.segs[1:]...)
	case d.top == "facts":
		return d.segs[0].key, d.segs[1:]
	}
	return "", d.segs
}

// keys are the segments as keys of objects.
func keys(segs []segment) []string {
	out := make([]string, len(segs))
	for i, s := range segs {
		out[i] = s.key
	}
	return out
}

// pathText is the text of a sqlfunc.Path.
func pathText(segs []segment) string {
	list := ast.List()
	for i, s := range segs {
		bareIndex := i == 0 && s.key == "" && s.index >= 0
		switch {
		case bareIndex:
		case allDigits(s.key):
			list.Items = append(list.Items, ast.List(ast.Str(s.key)))
		default:
			list.Items = append(list.Items, ast.Str(s.key))
		}
		if s.index >= 0 {
			list.Items = append(list.Items, ast.Int(int64(s.index)))
		}
	}
	return string(list.JSON())
}

// nested wraps a JSON value into objects: a, b and v become {"a":{"b":v}}.
func nested(path []string, v []byte) string {
	var b []byte
	for _, k := range path {
		b = append(b, '{')
		b = ast.AppendString(b, k)
		b = append(b, ':')
	}
	b = append(b, v...)
	return string(b) + strings.Repeat("}", len(path))
}
