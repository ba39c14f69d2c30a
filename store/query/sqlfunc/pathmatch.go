package sqlfunc

import (
	"strconv"

	"dalang/store/query/ast"
)

// PathMatcher is the operator ~>: a path of as many elements, each of which
// fits. Its text is a JSON array: first a boolean, whether a pattern has to
// cover the whole element (as for fact paths) or a part is enough (as for
// fact contents); then the patterns. An integer fits that index; a string is a
// regular expression, except that one of digits alone is a key.
type PathMatcher []pathPattern

type pathPattern struct {
	exact string // the element's JSON text
	re    *Regexp
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
		if _, err := strconv.Atoi(x.Text); x.Kind == ast.Number || err == nil {
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
		m = append(m, pathPattern{re: re})
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
		if p := m[i]; p.re == nil {
			fits = p.exact == v
		} else {
			fits, err = p.re.Match(unquote(v))
		}
		i++
		return fits && err == nil
	})
	return fits && i == len(m), err
}
