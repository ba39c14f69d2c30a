package job

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// Prefix begins the kinds of the orchestrator's own errors.
const Prefix = "puppetlabs.orchestrator/"

// ErrSettled is what the creation of a job fails with whose firing of a schedule
// has a job already, was refused, or must not happen any more.
var ErrSettled = errors.New("the firing of the schedule is settled")

// Error is an error as the API shows it (orchestrator.md §1.3).
type Error struct {
	Kind    string
	Msg     string
	Details map[string]any // nil is shown as {}
	Status  int            // of HTTP; 0 where there is none, as for a node's error
}

func (e *Error) Error() string { return e.Msg }

// Is makes errors of the same kind equal for errors.Is.
func (e *Error) Is(other error) bool {
	var o *Error
	return errors.As(other, &o) && o.Kind == e.Kind
}

func newError(status int, kind string, details map[string]any, format string, args ...any) *Error {
	return &Error{Kind: Prefix + kind, Msg: fmt.Sprintf(format, args...), Details: details, Status: status}
}

// Invalid: the request says something that is not allowed. key is what it says it of, "" for the whole.
func Invalid(key, format string, args ...any) *Error {
	var details map[string]any
	if key != "" {
		details = map[string]any{"key": key}
	}
	return newError(http.StatusBadRequest, "validation-error", details, format, args...)
}

// UnknownEnvironment: nobody knows the environment.
func UnknownEnvironment(name string) *Error {
	return newError(http.StatusNotFound, "unknown-environment", map[string]any{"environment": name}, "Unknown environment %s", name)
}

// EmptyEnvironment: the whole environment has no nodes.
func EmptyEnvironment(name string) *Error {
	return newError(http.StatusBadRequest, "empty-environment", map[string]any{"environment": name}, "The environment %s contains no nodes", name)
}

// EmptyTarget: an explicit scope gives no nodes.
func EmptyTarget(details map[string]any, format string, args ...any) *Error {
	return newError(http.StatusBadRequest, "empty-target", details, format, args...)
}

// NodeGroup: another classifier keeps the node group, and does not answer, or
// gives a rule that cannot be matched; id "" is all groups.
func NodeGroup(status int, id, format string, args ...any) *Error {
	var details map[string]any
	if id != "" {
		details = map[string]any{"node_group": id}
	}
	return newError(status, "node-group-error", details, format, args...)
}

// DependencyCycle: nodes wait for each other; cycle begins and ends with the same node.
func DependencyCycle(cycle []string) *Error {
	return newError(http.StatusBadRequest, "dependency-cycle", map[string]any{"cycle": cycle}, "The nodes of the application depend on each other in a circle: %s", strings.Join(cycle, ", "))
}

// PuppetDB: the query could not be asked.
func PuppetDB(err error) *Error {
	return newError(http.StatusBadRequest, "puppetdb-error", nil, "The query of the scope could not be run: %v", err)
}

// Query: the query is wrong, or may not be asked.
func Query(format string, args ...any) *Error {
	return newError(http.StatusBadRequest, "query-error", nil, format, args...)
}

// UnknownJob: there is no such job.
func UnknownJob(id int64) *Error {
	return newError(http.StatusNotFound, "unknown-job", map[string]any{"job": fmt.Sprint(id)}, "Unknown job %d", id)
}

// UnknownTask: the environment has no such task.
func UnknownTask(environment, name string) *Error {
	return newError(http.StatusNotFound, "unknown-task", map[string]any{"environment": environment, "task": name},
		"Unknown task %s in environment %s", name, environment)
}

// UnknownPlan: the environment has no such plan.
func UnknownPlan(environment, name string) *Error {
	return newError(http.StatusNotFound, "unknown-plan", map[string]any{"environment": environment, "plan": name},
		"Unknown plan %s in environment %s", name, environment)
}

// NotPermitted: the caller may not do it.
func NotPermitted(details map[string]any, format string, args ...any) *Error {
	return newError(http.StatusForbidden, "not-permitted", details, format, args...)
}

// Unavailable: somebody who has to be asked does not answer; it is worth
// another try.
func Unavailable(err error) *Error {
	return newError(http.StatusServiceUnavailable, "unknown-error", nil, "This cannot be decided now: %v", err)
}

// NodeError is why one node erred; it is no answer to a request. kind is the
// whole one, since other programs' errors have other prefixes.
func NodeError(kind, certname, format string, args ...any) *Error {
	return &Error{Kind: kind, Msg: fmt.Sprintf(format, args...), Details: map[string]any{"node": certname}}
}
