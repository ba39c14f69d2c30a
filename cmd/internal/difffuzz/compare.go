package difffuzz

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"dalang/store/query/conformance"
)

// Pair is Dalang and a real PuppetDB that hold the same.
type Pair struct {
	Local  *Local
	Oracle *Oracle
}

// Difference is what the two answered differently.
type Difference struct {
	Request *Request
	Case    conformance.Case // with the other server's answer
	Got     conformance.Answer
	Text    string // what differs
}

// Compare sends a request to both. It returns nil when the answers are equal,
// or differ in what is excused; and the other server's answer.
func (p *Pair) Compare(r *Request) (d *Difference, theirs conformance.Answer, err error) {
	w := r.wire()
	theirs, err = p.Oracle.Ask(w)
	if err != nil {
		return nil, theirs, err
	}
	ours, err := p.Local.Ask(w)
	if err != nil {
		return nil, theirs, err
	}
	c := r.expected(theirs)
	text := differs(&c, ours)
	if text == "" || excused(r, theirs, ours) != "" {
		return nil, theirs, nil
	}
	if theirs.Status == http.StatusOK { // what must not change an answer does
		plain := r.clone()
		plain.Params = append(plain.Params, Param{"optimize_drop_unused_joins", "false"})
		if theirs, err = p.Oracle.Ask(plain.wire()); err != nil {
			return nil, theirs, err
		}
		if again := plain.expected(theirs); theirs.Status == http.StatusOK && differs(&again, ours) == "" {
			return nil, theirs, nil
		}
	}
	return &Difference{Request: r, Case: c, Got: ours, Text: text}, theirs, nil
}

// differs says how an answer differs from what a case expects; "" is not at all.
func differs(c *conformance.Case, ours conformance.Answer) string {
	if ours.Status >= http.StatusInternalServerError {
		return fmt.Sprintf("status: %d %s", ours.Status, ours.Body)
	}
	if c.Expect.Text != nil && c.Expect.Status == ours.Status {
		return differentTexts(*c.Expect.Text, string(ours.Body))
	}
	hard, _ := c.Compare(ours)
	if hard != nil && c.Expect.Text != nil {
		hard = append(hard, "want "+*c.Expect.Text)
	}
	return strings.Join(hard, "; ")
}

var (
	jsonPlace = regexp.MustCompile(`^(Json parse error at line \d+, column \d+:\n\n[^\n]*\n *\^)\n`)
	fieldList = regexp.MustCompile(`((?:Acceptable fields|Supported columns) are )([^\n]*)`)
	fieldName = regexp.MustCompile(`'[^']*'`)
)

// differentTexts compares two texts of errors.
func differentTexts(want, got string) string {
	want, got = strings.TrimSpace(want), strings.TrimSpace(got)
	got, _, _ = strings.Cut(got, "\n\ndid you mean") // a hint follows upstream's text
	if strings.HasPrefix(want, "PQL parse error") {  // what was expected has no stable order
		want, _, _ = strings.Cut(want, "\n\nExpected")
		got, _, _ = strings.Cut(got, "\n\nExpected")
	}
	if m := jsonPlace.FindString(want); m != "" { // the parser's own words are its version's
		want, got = m, jsonPlace.FindString(got)
	}
	got = sortedFields(got) // their order is that of a hash table of its version
	if sortedFields(want) == got {
		return ""
	}
	for line := range strings.SplitSeq(want, "\n") { // it may tell several mistakes, one a line
		if sortedFields(line) == got {
			return ""
		}
	}
	return fmt.Sprintf("text: want %q, got %q", want, got)
}

func sortedFields(text string) string {
	return fieldList.ReplaceAllStringFunc(text, func(m string) string {
		names := fieldName.FindAllString(m, -1)
		slices.Sort(names)
		return strings.Join(names, " ")
	})
}
