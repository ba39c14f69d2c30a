package plan

import (
	"encoding/json"
	"errors"
	"fmt"
)

// Kinds of errors that plans end with.
const (
	KindRunFailure     = "bolt/run-failure"
	KindApplyFailure   = "bolt/apply-failure"
	KindPlanFailure    = "bolt/plan-failure"
	KindEvaluation     = "bolt/evaluation-error"
	KindInvalidPlan    = "bolt/invalid-plan"
	KindInvalidResult  = "bolt/invalid-plan-result"
	KindValidation     = "bolt/validation-error"
	KindUnknownPlan    = "bolt/unknown-plan"
	KindActionRefused  = "bolt/action-refused"
	kindParameterError = "bolt/plan-parameter-error"
)

// LoadError says where a text is not a plan.
type LoadError struct {
	Plan         string
	Line, Column int    // from 1; 0: the text as a whole
	Where        string // "steps[2] (restart)", "parameters.nodes"; "": the plan
	Msg          string
}

func (e *LoadError) Error() string {
	text := "plan " + e.Plan
	if e.Line > 0 {
		text += fmt.Sprintf(", line %d", e.Line)
		if e.Column > 0 {
			text += fmt.Sprintf(", column %d", e.Column)
		}
	}
	if e.Where != "" {
		text += ": " + e.Where
	}
	return text + ": " + e.Msg
}

// Error is what a plan fails with.
type Error struct {
	Kind      string
	Msg       string
	IssueCode string // "": none
	Details   map[string]any
}

func (e *Error) Error() string { return e.Msg }

// data is the error as Bolt writes it.
func (e *Error) data() map[string]any {
	details := e.Details
	if details == nil {
		details = map[string]any{}
	}
	data := map[string]any{"kind": e.Kind, "msg": e.Msg, "details": Data(details)}
	if e.IssueCode != "" {
		data["issue_code"] = e.IssueCode
	}
	return data
}

// asError reads the _error of a result.
func asError(v any) *Error {
	hash, ok := v.(map[string]any)
	if !ok {
		return &Error{Kind: "bolt/error", Msg: text(v)}
	}
	e := &Error{Kind: text(hash["kind"]), Msg: text(hash["msg"]), IssueCode: text(hash["issue_code"])}
	e.Details, _ = hash["details"].(map[string]any)
	return e
}

// ErrorOf is what a plan that ended with err says of it.
func ErrorOf(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return &Error{Kind: KindPlanFailure, Msg: err.Error()}
}

// runFailure is the error of a step that failed on some targets.
func runFailure(k Kind, object string, set *ResultSet) *Error {
	kind, action := KindRunFailure, k.function()
	if k == Resources {
		kind, object = KindApplyFailure, "catalog"
	}
	n, plural := len(set.part(false).Results), "s"
	if n == 1 {
		plural = ""
	}
	return &Error{Kind: kind, Msg: fmt.Sprintf("%s '%s' failed on %d target%s", action, object, n, plural),
		Details: map[string]any{"action": action, "object": object, "result_set": set}}
}

// badValue is the error of an expression that cannot have a value.
func badValue(line int, format string, args ...any) *Error {
	return &Error{Kind: KindEvaluation, Msg: fmt.Sprintf(format, args...), Details: map[string]any{"line": json.Number(fmt.Sprint(line))}}
}
