package classifier

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"dalang/orchestrator/job"
)

// ErrDuplicate is what a Store says of a name that another group of the same
// environment has.
var ErrDuplicate = errors.New("the name is taken")

func refused(status int, kind string, details map[string]any, format string, args ...any) *job.Error {
	return &job.Error{Kind: kind, Msg: fmt.Sprintf(format, args...), Details: details, Status: status}
}

// violation: the request is JSON, but not of the form that it must be of.
func violation(format string, args ...any) *job.Error {
	return refused(http.StatusBadRequest, "schema-violation", nil, format, args...)
}

// BadRule says what is wrong with a rule that ParseRule has refused.
func BadRule(err error) *job.Error {
	var unsupported *UnsupportedError
	if errors.As(err, &unsupported) {
		return refused(http.StatusUnprocessableEntity, "untranslatable-rule", map[string]any{"pattern": unsupported.Pattern}, "In the rule, %v", err)
	}
	return violation("%v", err)
}

// Untranslatable: no query says what the rule says.
func Untranslatable(err error, r *Rule) *job.Error {
	return refused(http.StatusUnprocessableEntity, "untranslatable-rule", map[string]any{"rule": r}, "The rule cannot be translated: %v", err)
}

// MalformedUUID: what should be a group's id is none.
func MalformedUUID(given string) *job.Error {
	return refused(http.StatusBadRequest, "malformed-uuid", map[string]any{"uuid": given}, "%.80q is not a UUID in lower case", given)
}

// NotFound: there is no such group.
func NotFound(id string) *job.Error {
	return refused(http.StatusNotFound, "not-found", map[string]any{"id": id}, "The group %s could not be found", id)
}

func unique(g *Group) *job.Error {
	return refused(http.StatusUnprocessableEntity, "uniqueness-violation",
		map[string]any{"conflict": map[string]any{"name": g.Name, "environment": g.Environment}},
		"There is a group %q in the environment %s already", g.Name, g.Environment)
}

func missingParent(id string) *job.Error {
	return refused(http.StatusUnprocessableEntity, "missing-parent", map[string]any{"parent": id}, "The parent group %s does not exist", id)
}

func cycle(names []string) *job.Error {
	return refused(http.StatusUnprocessableEntity, "inheritance-cycle", map[string]any{"groups": names}, "The groups would be above each other in a circle: %s", strings.Join(names, ", "))
}

func childrenPresent(g *Group, children []string) *job.Error {
	return refused(http.StatusUnprocessableEntity, "children-present", map[string]any{"group": g.Name, "children": children},
		"The group %q cannot be deleted: the groups %v are below it", g.Name, children)
}

func rootFixed(what string) *job.Error {
	return refused(http.StatusUnprocessableEntity, "root-group-edit", nil, "The group that all others are below %s", what)
}

func conflictingSerial(g *Group, seen int64) *job.Error {
	return refused(http.StatusConflict, "conflict", map[string]any{"serial_number": g.Serial, "submitted": seen},
		"The group %q was changed by somebody else: its serial_number is %d and not %d", g.Name, g.Serial, seen)
}
