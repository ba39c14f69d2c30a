package agentless

import (
	"context"
	"fmt"
	"io"
	"time"

	"dalang/orchestrator/task"
)

// File is something to put into a run's directory.
type File struct {
	Name string // relative, with slashes
	Open func(context.Context) (io.ReadCloser, error)
}

// Job is what to do on a target.
type Job struct {
	ID string // of the transaction: letters, digits and dashes
	// Uploads are put where they are to be, and nothing else is done. Else
	// Command, a line for the shell, is run; else Files[0].
	Uploads   []Upload
	Command   string
	Files     []File
	Arguments []string // of Files[0]
	Env       []string // NAME=value
	Stdin     []byte
	// Prepare, if there is one, makes Env and Stdin when the run's directory is
	// known.
	Prepare func(dir string) (task.Input, error)
	// Named are the arguments of a PowerShell script that takes them by name; else nil.
	Named   func(dir string) map[string]any
	Timeout time.Duration // 0: none
	// Began is called when the command runs. It may be nil.
	Began func()
}

// Outcome is what a run left.
type Outcome struct {
	Stdout, Stderr []byte
	ExitCode       int
	// Left is the directory on the target that could not be deleted; "": it is gone.
	Left string
}

// Runner runs jobs on targets that it knows by certname.
type Runner interface {
	// Run's errors are *Error, or ctx's; Left counts also then.
	Run(ctx context.Context, jobID int64, certname string, j Job) (Outcome, error)
	// Clean ends and deletes what a run of an earlier life left.
	Clean(ctx context.Context, jobID int64, certname, id string) error
}

// Kinds and issue codes of what goes wrong on the way, as Bolt names them.
const (
	KindConnect  = "puppetlabs.tasks/connect-error"
	KindEscalate = "puppetlabs.tasks/escalate-error"
	KindFile     = "puppetlabs.tasks/task_file_error"
	KindTimeout  = "boltserver/task-timeout"

	CodeAuth    = "AUTH_ERROR"
	CodeHostKey = "HOST_KEY_ERROR"
	CodeConnect = "CONNECT_ERROR"
	CodeTmpDir  = "TMPDIR_ERROR"
	CodeWrite   = "WRITE_ERROR"
	CodeOutput  = "OUTPUT_ERROR"
	CodeTimeout = "INTERRUPTED"
)

// Error is why a run could not be made, or was lost.
type Error struct {
	Kind, Code, Msg string
}

func (e *Error) Error() string { return e.Msg }

// Failed makes an Error.
func Failed(kind, code, format string, args ...any) *Error {
	return &Error{kind, code, fmt.Sprintf(format, args...)}
}

// TimedOut is the error of a run that took too long.
func TimedOut(host string, after time.Duration) *Error {
	return Failed(KindTimeout, CodeTimeout, "Task execution on %s timed out after %g seconds", host, after.Seconds())
}
