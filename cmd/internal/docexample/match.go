package docexample

import (
	"regexp"
	"strings"
)

// bindings say what the uuids of a page stand for, as the program gave them
// out, and which times are meant as they are.
type bindings struct {
	names map[string]string // a page's uuid, or the beginning of one → the program's
	given map[string]bool   // times in commands

	token *regexp.Regexp
}

const (
	uuidForm = `[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`
	timeForm = `\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z| UTC|[+-]\d\d:\d\d)?`
)

func newBindings() *bindings {
	return &bindings{
		names: map[string]string{}, given: map[string]bool{},
		token: regexp.MustCompile(`(?m)^[ \t]*…\n|…|\b` + uuidForm + `\b|\b` + timeForm + `|\b[0-9a-f]{8}\b|\b\ds\b`),
	}
}

// short tells whether s is the beginning of a uuid and not just a number or
// a word.
func short(s string) bool {
	return len(s) == 8 && strings.ContainsAny(s, "0123456789") && strings.ContainsAny(s, "abcdef")
}

// command is a page's command with what its uuids stand for.
func (b *bindings) command(text string) string {
	return b.token.ReplaceAllStringFunc(text, func(t string) string {
		if name, ok := b.lookup(t); ok {
			return name
		}
		b.given[t] = true
		return t
	})
}

// lookup finds what a uuid or the beginning of one stands for.
func (b *bindings) lookup(t string) (string, bool) {
	if name, ok := b.names[t]; ok {
		return name, true
	}
	if !short(t) {
		return "", false
	}
	for page, name := range b.names {
		if strings.HasPrefix(page, t) && len(name) > 8 {
			return name[:8], true
		}
	}
	return "", false
}

// match compares what a page says is printed with what is, and remembers what
// the uuids in it stand for.
func (b *bindings) match(want, got string) bool {
	want, got = trim(want)+"\n", trim(got)+"\n"
	var pattern strings.Builder
	var names []string // that the groups of the pattern bind
	pattern.WriteString(`\A`)
	at := 0
	for _, span := range b.token.FindAllStringIndex(want, -1) {
		pattern.WriteString(regexp.QuoteMeta(want[at:span[0]]))
		at = span[1]
		token := want[span[0]:span[1]]
		form, binds := b.form(token)
		pattern.WriteString(form)
		if binds {
			names = append(names, token)
		}
	}
	pattern.WriteString(regexp.QuoteMeta(want[at:]))
	pattern.WriteString(`\z`)
	groups := regexp.MustCompile(pattern.String()).FindStringSubmatch(got)
	if groups == nil {
		return false
	}
	bound := map[string]string{}
	for i, name := range names {
		if other, ok := bound[name]; ok && other != groups[i+1] {
			return false // one name for two things
		}
		bound[name] = groups[i+1]
	}
	for name, is := range bound {
		b.names[name] = is
	}
	return true
}

// form is the pattern of what a token of a page stands for; binds tells that
// it is a group.
func (b *bindings) form(token string) (form string, binds bool) {
	switch {
	case token == "…":
		return `[^\n]*?`, false
	case strings.HasSuffix(token, "\n"):
		return `(?:[^\n]*\n)*?`, false
	case b.given[token]:
		return regexp.QuoteMeta(token), false
	}
	if name, ok := b.lookup(token); ok {
		return regexp.QuoteMeta(name), false
	}
	switch {
	case len(token) == 36 && strings.Count(token, "-") == 4:
		if begin, ok := b.lookup(token[:8]); ok {
			return `(` + begin + uuidForm[len(`[0-9a-f]{8}`):] + `)`, true
		}
		return `(` + uuidForm + `)`, true
	case short(token):
		return `([0-9a-f]{8})`, true
	case len(token) == 2:
		return `\ds`, false
	case strings.ContainsAny(token, "T :"):
		return timeLike(token), false
	}
	return regexp.QuoteMeta(token), false // a number of eight digits
}

// timeLike matches all times of the same form.
func timeLike(t string) string {
	return regexp.MustCompile(`\d`).ReplaceAllLiteralString(regexp.QuoteMeta(t), `\d`)
}

// trim drops white space at the ends of lines, and blank lines at the end. What
// is no UTF-8 becomes U+FFFD.
func trim(text string) string {
	lines := strings.Split(strings.ToValidUTF8(text, "\uFFFD"), "\n")
	for i, line := range lines {
		lines[i] = strings.TrimRight(line, " \t\r")
	}
	return strings.TrimRight(strings.Join(lines, "\n"), "\n")
}
