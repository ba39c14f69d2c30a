// Package outcome is what the life of a command can end in. It is a leaf that
// the store, the processor and the dead letter office share.
//
// There are three ends to an attempt: done, retry (the world's fault: the
// command waits, in order, for as long as it takes) and fatal (the command's
// own fault: it goes to the dead letter office). An error is classified where
// it is born: Fatal marks it; every error that nobody marked is the world's.
package outcome

import (
	"errors"
	"time"

	"dalang/wireformat"
)

// Status is how a command was applied.
type Status string

// What the store answers for a command that it could take in.
const (
	Processed Status = "processed"
	Stale     Status = "stale"
	Duplicate Status = "duplicate"
)

// Change is one decoded command on its way into the store.
type Change struct {
	Payload  wireformat.Payload
	Received time.Time // when the command was accepted; UTC, milliseconds
}

// Result is what became of one Change. Err is nil when Status is set.
type Result struct {
	Status Status
	Hash   string // of the factset, catalog, inputs or report; else empty
	Err    error
}

// Cause classes that the store and the processor add to wireformat's.
const (
	CauseStore = "store" // the database can never hold this
	CausePanic = "panic" // a bug of ours; the stack is kept with the message
)

// FatalError marks an error as the command's own fault.
type FatalError struct {
	Cause string
	Err   error
}

// Fatal marks err as the command's own fault.
func Fatal(cause string, err error) error { return &FatalError{cause, err} }

func (e *FatalError) Error() string { return e.Err.Error() }
func (e *FatalError) Unwrap() error { return e.Err }

// IsFatal tells whether trying again cannot help, and the class of the cause.
func IsFatal(err error) (cause string, fatal bool) {
	var f *FatalError
	if errors.As(err, &f) {
		return f.Cause, true
	}
	var w *wireformat.Error
	if errors.As(err, &w) {
		return w.Cause, true
	}
	return "", false
}
