package commands

import (
	"errors"
	"fmt"
	"time"
)

// ErrShutdown refuses a submission because the processor is ending.
var ErrShutdown = errors.New("Refusing request; PuppetDB is shutting down")

// ChecksumError refuses a submission whose body is not what the submitter
// meant to send. Nothing was queued.
type ChecksumError struct {
	Expected string // as submitted
	Computed string // SHA-1 of the payload; empty when it could not be decompressed
	Err      error  // why it could not be decompressed, or nil
}

func (e *ChecksumError) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("checksum mismatch: expected %s, but the body could not be decompressed: %v", e.Expected, e.Err)
	}
	return fmt.Sprintf("checksum mismatch: expected %s, computed %s", e.Expected, e.Computed)
}

func (e *ChecksumError) Unwrap() error { return e.Err }

// FullError refuses a submission because as many commands as allowed wait.
type FullError struct {
	Queued     int           // commands that wait
	RetryAfter time.Duration // when to come back
}

func (e *FullError) Error() string {
	return fmt.Sprintf("the command queue is full: %d commands are waiting", e.Queued)
}

// UnavailableError refuses a submission because the disk of the queue does not
// take it: it is full, or failed to write or sync.
type UnavailableError struct{ Err error }

func (e *UnavailableError) Error() string { return "commands are not accepted: " + e.Err.Error() }
func (e *UnavailableError) Unwrap() error { return e.Err }
