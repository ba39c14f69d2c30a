package sqlfunc

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/dlclark/regexp2"
)

// RegexpError says why PostgreSQL would refuse a pattern, in its words.
type RegexpError struct{ Reason string }

func (e *RegexpError) Error() string {
	return "ERROR: invalid regular expression: " + e.Reason
}

// matchTimeout bounds one match of a pattern that may backtrack.
const matchTimeout = 250 * time.Millisecond

// Regexp is a compiled PostgreSQL regular expression. It is safe for
// concurrent use.
type Regexp struct {
	literal *string // of ***=: no expression at all
	linear  *regexp.Regexp
	// back matches what linear cannot express: look-around, back-references
	// and the edges of words.
	back *regexp2.Regexp
}

// CompileRegexp compiles a pattern in PostgreSQL's syntax (advanced regular
// expressions). An error is a *RegexpError.
func CompileRegexp(pattern string) (*Regexp, error) {
	tr, err := translate(pattern)
	if err != nil {
		return nil, err
	}
	if tr.literal != nil {
		return &Regexp{literal: tr.literal}, nil
	}
	if !tr.backtracks {
		// A repetition that is too large for the linear engine falls through.
		if re, err := regexp.Compile(tr.text); err == nil {
			return &Regexp{linear: re}, nil
		}
	}
	re, err := regexp2.Compile(tr.text, regexp2.None)
	if err != nil {
		return nil, &RegexpError{"quantifier operand invalid"}
	}
	re.MatchTimeout = matchTimeout
	return &Regexp{back: re}, nil
}

// errMatch hides the pattern's text, which the engine repeats.
var errMatch = errors.New("the regular expression takes too long to match")

// TookTooLong tells whether a statement failed because a match ran into its
// limit of time: the database hands on the text of an error alone.
func TookTooLong(err error) bool { return strings.HasSuffix(err.Error(), errMatch.Error()) }

// Match tells whether the text holds a match.
func (r *Regexp) Match(text string) (bool, error) {
	switch {
	case r.literal != nil:
		return containsText(text, *r.literal), nil
	case r.linear != nil:
		return r.linear.MatchString(text), nil
	}
	ok, err := r.back.MatchString(text)
	if err != nil {
		return false, fmt.Errorf("match: %w", errMatch)
	}
	return ok, nil
}
