package dlo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"dalang/wireformat"
)

// Filter chooses letters. Its zero value chooses all; fields are joined by and.
type Filter struct {
	// Command is a command's name with spaces, dashes or underscores, or its
	// word in file names: replace facts, replace_facts, facts.
	Command string `json:"command,omitempty"`
	// Certname is a certname, or a pattern of one with * and ?.
	Certname string `json:"certname,omitempty"`
	Cause    string `json:"cause,omitempty"`
	// OlderThan and NewerThan compare the time since the command was discarded.
	OlderThan Age `json:"older_than,omitempty"`
	NewerThan Age `json:"newer_than,omitempty"`
	// Text is looked for in the message, in any letter case.
	Text string `json:"text,omitempty"`
}

// InputError says that a request to the office makes no sense.
type InputError struct{ Message string }

func (e *InputError) Error() string { return e.Message }

func inputErrorf(format string, args ...any) error {
	return &InputError{fmt.Sprintf(format, args...)}
}

// ParseCommand finds a command by any of the spellings that Filter takes.
func ParseCommand(s string) (wireformat.Command, error) {
	if v, ok := wireformat.LookupTag(s); ok {
		return v.Command, nil
	}
	if v, ok := wireformat.Lookup(strings.NewReplacer("-", " ", "_", " ").Replace(s)); ok {
		return v.Command, nil
	}
	var names []string
	for _, v := range wireformat.Commands() {
		names = append(names, string(v.Command))
	}
	return "", inputErrorf("there is no command %q; the commands are: %s", s, strings.Join(names, ", "))
}

// compile makes a test of the filter. The test is to be called under Office.mu.
func (o *Office) compile(f Filter) (func(*letter) bool, error) {
	var command wireformat.Command
	if f.Command != "" {
		var err error
		if command, err = ParseCommand(f.Command); err != nil {
			return nil, err
		}
	}
	certname := globMatcher(f.Certname)
	text := strings.ToLower(f.Text)
	now := o.cfg.Now()
	before, after := now.Add(-f.OlderThan.Duration()), now.Add(-f.NewerThan.Duration())
	return func(l *letter) bool {
		return (command == "" || l.meta.Command == command) &&
			(f.Cause == "" || l.cause == f.Cause) &&
			(f.OlderThan == 0 || l.discarded.Before(before)) &&
			(f.NewerThan == 0 || !l.discarded.Before(after)) &&
			certname(l.certname) &&
			(text == "" || strings.Contains(strings.ToLower(l.message), text))
	}, nil
}

// globMatcher matches whole strings: * is any text, ? any character.
func globMatcher(pattern string) func(string) bool {
	switch {
	case pattern == "":
		return func(string) bool { return true }
	case !strings.ContainsAny(pattern, "*?"):
		return func(s string) bool { return s == pattern }
	}
	quoted := strings.NewReplacer(`\*`, `.*`, `\?`, `.`).Replace(regexp.QuoteMeta(pattern))
	re, err := regexp.Compile(`(?s)\A` + quoted + `\z`)
	if err != nil { // too long for a regular expression: nothing is called that
		return func(string) bool { return false }
	}
	return re.MatchString
}

// Selection chooses letters to act upon. Something must be chosen: an empty
// selection is an error, not everything.
type Selection struct {
	IDs []string `json:"ids,omitempty"` // as Get takes them; the filter narrows them
	All bool     `json:"all,omitempty"`
	Filter
}

// Empty tells whether nothing is chosen.
func (s Selection) Empty() bool { return len(s.IDs) == 0 && !s.All && s.Filter == Filter{} }

// selected returns the chosen letters in order of acceptance.
func (o *Office) selected(ctx context.Context, s Selection) ([]*letter, error) {
	if s.Empty() {
		return nil, inputErrorf("nothing is selected: name ids or a filter, or say all")
	}
	if s.All && (len(s.IDs) > 0 || s.Filter != Filter{}) {
		return nil, inputErrorf("all cannot be narrowed: leave it out, or leave out ids and filters")
	}
	match, err := o.compile(s.Filter)
	if err != nil {
		return nil, err
	}
	if err := o.load(ctx); err != nil {
		return nil, err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(s.IDs) == 0 {
		return o.matching(match), nil
	}
	var list []*letter
	var unknown []error
	for _, id := range s.IDs {
		l, err := o.find(id)
		if err != nil {
			unknown = append(unknown, err)
		} else if match(l) {
			list = append(list, l)
		}
	}
	slices.SortFunc(list, byAcceptance)
	return slices.Compact(list), errors.Join(unknown...)
}

// matching lists letters in order of acceptance; under mu.
func (o *Office) matching(match func(*letter) bool) []*letter {
	var list []*letter
	for _, l := range o.order {
		if match(l) {
			list = append(list, l)
		}
	}
	return list
}

// byDiscarding orders by the time of discarding, ties by acceptance; under mu.
func byDiscarding(a, b *letter) int {
	return cmp.Or(a.discarded.Compare(b.discarded), byAcceptance(a, b))
}
