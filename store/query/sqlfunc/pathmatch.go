package sqlfunc

import (
	"strings"

	"dalang/store/query/ast"
)

// PathMatcher is the operator ~>: a path of as many elements, each of which
// fits. Its text is a JSON array: first a boolean, whether a pattern has to
// cover the whole element (as for fact paths) or a part is enough (as for
// fact contents); then the patterns. An integer fits indexes only, a string of
// digits alone keys only; any other string is a regular expression for both.
// Where a part is enough, that is so for integers as well: 1 fits 10.
type PathMatcher []pathPattern

type pathPattern struct {
	exact string // the element's JSON text; or
	re    *Regexp
	kinds string // of elements that fit: k(eys), i(ndexes)
}

// NewPathMatcher reads the text of a PathMatcher. A bad pattern is a *RegexpError.
func NewPathMatcher(text string) (PathMatcher, error) {
	v, err := ast.Read(text)
	if err != nil {
		return nil, err
	}
	var m PathMatcher
	whole := false
	for i, x := range v.Items {
		if i == 0 {
			whole = x.Flag
			continue
		}
		kinds := "ki"
		switch {
		case x.Kind == ast.Number:
			kinds = "i"
		case x.Text != "" && strings.Trim(x.Text, "0123456789") == "":
			kinds = "k"
		}
		if whole && kinds != "ki" {
			m = append(m, pathPattern{exact: string(x.JSON())})
			continue
		}
		re, err := CompileRegexp(x.Text)
		if err == nil && whole {
			re, err = CompileRegexp(`^(?:` + x.Text + `)$`)
		}
		if err != nil {
			return nil, err
		}
		m = append(m, pathPattern{re: re, kinds: kinds})
	}
	return m, nil
}

// Match tells whether the path, a JSON array, fits.
func (m PathMatcher) Match(path string) (fits bool, err error) {
	i := 0
	fits = true
	each(path, func(_, v doc) bool {
		if i >= len(m) {
			fits = false
			return false
		}
		switch p := m[i]; {
		case p.re == nil:
			fits = p.exact == v
		case strings.Contains(p.kinds, elementKind(v)):
			fits, err = p.re.Match(unquote(v))
		default:
			fits = false
		}
		i++
		return fits && err == nil
	})
	return fits && i == len(m), err
}

func elementKind(v doc) string {
	if kindOf(v) == kNumber {
		return "i"
	}
	return "k"
}
