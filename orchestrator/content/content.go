package content

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"regexp"
	"strings"

	"dalang/orchestrator/job"
	"dalang/orchestrator/ptype"
	"dalang/orchestrator/task"
)

// Entry is a task or a plan in a list.
type Entry struct {
	Name        string
	Private     bool
	Description string
}

// Plan is the text of a plan.
type Plan struct {
	Name string
	Ext  string // .yaml or .pp
	Text []byte
	// Alias answers what types that are none of Puppet's are, nil where that is
	// not known. It is for one goroutine.
	Alias func(name string) *ptype.Type
}

// Source has the tasks and plans of environments. Errors are *job.Error of
// kind unknown-environment, unknown-task or unknown-plan, *task.Error for a
// task that is there and is none, job.Unavailable when somebody has to be
// asked and does not answer.
type Source interface {
	// Tasks lists the tasks, by name, private ones too, and the environment's
	// code id, "" if it has none.
	Tasks(ctx context.Context, environment string) (tasks []Entry, codeID string, err error)
	Task(ctx context.Context, environment, name string) (*task.Task, error)
	// Plans lists the plans, by name.
	Plans(ctx context.Context, environment string) ([]Entry, error)
	Plan(ctx context.Context, environment, name string) (*Plan, error)
	// Open reads a file of a task. What is read is checked: at its end there
	// is ErrChanged instead of io.EOF if it is not the file that was listed.
	Open(ctx context.Context, f task.File) (io.ReadCloser, error)
}

// ErrChanged: a file has another content than when it was listed.
var ErrChanged = errors.New("the file has changed since it was listed")

var planPattern = regexp.MustCompile(`\A[a-z][a-z0-9_]*(::[a-z][a-z0-9_]*)*\z`)

// ValidPlan tells whether a name may be a plan's.
func ValidPlan(name string) bool { return planPattern.MatchString(name) }

// unknownTask answers for names that cannot be tasks, too.
func unknownTask(environment, name string) error {
	return job.UnknownTask(environment, name)
}

// fileURI is where a Puppet Server has a file of a module, named as tasks
// name it: module/mount/path.
func fileURI(environment, name string) (task.URI, error) {
	module, rest, _ := strings.Cut(name, "/")
	mount, path, _ := strings.Cut(rest, "/")
	uri := task.URI{Params: map[string]string{"environment": environment}}
	switch mount {
	case "files":
		uri.Path = "/puppet/v3/file_content/modules/" + module + "/" + path
	case "lib":
		uri.Path = "/puppet/v3/file_content/plugins/" + path
	case "scripts", "tasks":
		uri.Path = "/puppet/v3/file_content/" + mount + "/" + module + "/" + path
	default:
		return uri, fmt.Errorf("the file %q is of none of the mounts files, lib, scripts and tasks", name)
	}
	return uri, nil
}

// checkedReader compares what is read with a SHA-256.
type checkedReader struct {
	io.ReadCloser
	sum  hash.Hash
	want string
}

func checked(r io.ReadCloser, want string) io.ReadCloser {
	return &checkedReader{r, sha256.New(), want}
}

func (c *checkedReader) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	_, _ = c.sum.Write(p[:n])
	if err == io.EOF && hex.EncodeToString(c.sum.Sum(nil)) != strings.ToLower(c.want) {
		err = ErrChanged
	}
	return n, err
}
