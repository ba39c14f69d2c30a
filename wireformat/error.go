package wireformat

import "strings"

// Cause classes of an undecodable command. Each is the command's own fault.
const (
	CauseEncoding   = "encoding"   // labelled gzip but not gzip, truncated, or corrupt
	CauseTooLarge   = "too-large"  // decompresses to more than the cap
	CauseParse      = "parse"      // not JSON
	CauseValidation = "validation" // JSON, but not this command's wire format
	CauseVersion    = "version"    // a version of the command that nobody knows
)

// Problem is one thing wrong with a payload.
type Problem struct {
	Path    string `json:"path"`    // JSON path, such as $.resources[3].tags[0]
	Message string `json:"message"` // the rule that is broken
}

// Error says why a body is not a payload. It is always the command's own
// fault: trying again cannot help.
type Error struct {
	Cause    string // one of the Cause constants
	Message  string // one line, in upstream's words where upstream has them
	Problems []Problem
	Err      error // underlying error, may be nil
}

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Message)
	for i, p := range e.Problems {
		if i == 3 && len(e.Problems) > 4 {
			b.WriteString("; …")
			break
		}
		b.WriteString("; " + p.Path + ": " + p.Message)
	}
	return b.String()
}

func (e *Error) Unwrap() error { return e.Err }
