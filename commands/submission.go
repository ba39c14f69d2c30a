package commands

import (
	"io"
	"time"

	"dalang/commands/queue"
	"dalang/wireformat"
)

// Submission is one command as a client hands it in. Its parameters have been
// checked; its body is read once and not parsed.
type Submission struct {
	Command  wireformat.Command
	Version  int
	Certname string
	Producer time.Time // producer-timestamp parameter; zero: none
	Checksum string    // hex; "": none
	Gzip     bool      // Body is gzipped
	Body     io.Reader // its errors come back wrapped
	Client   string    // common name or address of the submitter
}

// Waited is what EnqueueAndWait saw in its time.
type Waited struct {
	TimedOut  bool
	Processed bool // the first attempt is over, well or not
	// Err is what the first attempt failed with: the command is in the dead
	// letter office, or will be tried again.
	Err error
	// Stack tells more about Err, a line each; nil without Err.
	Stack []string
}

// Letter is a command on its way to the dead letter office.
type Letter struct {
	Entry queue.Entry
	// BodyPath is where the untouched body lies. Discard moves it away.
	BodyPath string
	Certname string // of the payload, else of the submission, else of the file name
	Client   string // who submitted it; "" after a restart
	Cause    string // one of the Cause constants of wireformat and outcome
	Message  string // one line
	Problems []wireformat.Problem
	Attempts []queue.Attempt // every failed try, the last one included
	Stack    string          // of a panic; else ""
}
