package queue

import (
	"errors"
	"fmt"
	"syscall"
)

// ErrClosed is answered by a queue after Close.
var ErrClosed = errors.New("the command queue is closed")

// DiskError says that the disk refused; no command is at fault. From then on
// the queue accepts nothing until Probe succeeds.
type DiskError struct {
	Op   string // what was being done: create, write, sync, close, move, sync directory, …
	Err  error
	Full bool // no space or no quota left
}

func (e *DiskError) Error() string {
	if e.Full {
		return fmt.Sprintf("the disk of the command queue is full (%s): %v", e.Op, e.Err)
	}
	return fmt.Sprintf("the command queue's disk failed (%s): %v", e.Op, e.Err)
}

func (e *DiskError) Unwrap() error { return e.Err }

func diskError(op string, err error) *DiskError {
	full := errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
	return &DiskError{Op: op, Err: err, Full: full}
}
