package task

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Kinds of errors in results, as Bolt has them.
const (
	KindTaskError    = "puppetlabs.tasks/task-error"
	KindInvalidError = "bolt/invalid-task-error"
	KindUnnamedError = "bolt/error"
)

// noExec is what a shell answers for a file that it may not run.
const noExec = 126

// Result makes the result of a run: an object, and whether the task failed.
// stdout and stderr are what it wrote. A key _sensitive is masked.
func Result(stdout, stderr []byte, exitCode int) (result json.RawMessage, failed bool) {
	if !utf8.Valid(stdout) {
		return marshal(map[string]any{"_error": taskError("The task wrote bytes to its standard output that are not UTF-8", exitCode)}), true
	}
	fields := map[string]json.RawMessage{}
	if err := json.Unmarshal(stdout, &fields); err != nil || fields == nil {
		fields = map[string]json.RawMessage{"_output": marshal(string(stdout))}
	}
	if _, secret := fields["_sensitive"]; secret {
		fields["_sensitive"] = marshal("Sensitive [value redacted]")
	}
	given, has := fields["_error"]
	switch {
	case has:
		fields["_error"] = completed(given)
	case exitCode != 0:
		fields["_error"] = marshal(taskError(exitMessage(stdout, stderr, exitCode), exitCode))
		has = true
	}
	return marshal(fields), has
}

func taskError(msg string, exitCode int) map[string]any {
	return map[string]any{"kind": KindTaskError, "issue_code": "TASK_ERROR", "msg": msg, "details": map[string]any{"exit_code": exitCode}}
}

func exitMessage(stdout, stderr []byte, exitCode int) string {
	msg := fmt.Sprintf("The task failed with exit code %d", exitCode)
	switch {
	case len(bytes.TrimSpace(stdout)) > 0:
	case len(bytes.TrimSpace(stderr)) > 0:
		msg += " and no stdout, but stderr contained:\n" + strings.ToValidUTF8(string(stderr), "\uFFFD")
	default:
		msg += " and no output"
	}
	if exitCode == noExec {
		msg += "\nThe file could not be executed. Is its directory on a file system that is mounted noexec? Then set tmpdir."
	}
	return msg
}

// completed makes an error of a task whole: kind, msg and details.
func completed(given json.RawMessage) json.RawMessage {
	var fields map[string]json.RawMessage
	var msg string
	if json.Unmarshal(given, &fields) != nil || fields == nil || json.Unmarshal(fields["msg"], &msg) != nil {
		return marshal(map[string]any{"kind": KindInvalidError, "msg": "The task answered an _error that is not an object with a msg",
			"details": map[string]any{"original_error": given}})
	}
	if _, ok := fields["kind"]; !ok {
		fields["kind"] = marshal(KindUnnamedError)
	}
	if _, ok := fields["details"]; !ok {
		fields["details"] = marshal(map[string]any{})
	}
	return marshal(fields)
}

// marshal writes values that cannot fail to be written.
func marshal(v any) json.RawMessage {
	text, err := Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("task: write %T: %v", v, err))
	}
	return text
}

// KindCommandError is of commands and scripts that exit with another code than 0.
const KindCommandError = "puppetlabs.tasks/command-error"

// CommandResult makes the result of a command or a script, and whether it failed.
func CommandResult(stdout, stderr []byte, exitCode int) (result json.RawMessage, failed bool) {
	fields := map[string]any{"stdout": strings.ToValidUTF8(string(stdout), "\uFFFD"), "stderr": strings.ToValidUTF8(string(stderr), "\uFFFD"),
		"exit_code": exitCode}
	if exitCode != 0 {
		fields["_error"] = map[string]any{"kind": KindCommandError, "issue_code": "COMMAND_ERROR",
			"msg": fmt.Sprintf("The command failed with exit code %d", exitCode), "details": map[string]any{"exit_code": exitCode}}
	}
	return marshal(fields), exitCode != 0
}
