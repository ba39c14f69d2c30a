package apply

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"dalang/orchestrator/task"
)

// Kinds of errors, as Bolt has them.
const (
	KindFailure = "bolt/resource-failure"
	KindInvalid = "bolt/invalid-report"
	KindError   = "bolt/apply-error"
)

// Limits of the message of a failure.
const (
	maxFailures = 20
	maxFailure  = 500 // bytes of one
)

// maxReport is how many bytes a report may have that is read: in memory it takes
// many times as much. Our agents send far less, upstream's what Puppet wrote.
const maxReport = 8 << 20

// Result makes the result of a node, and says whether it failed. params are
// what it was asked for; stdout and stderr what its agent's module wrote.
func Result(params json.RawMessage, certname string, stdout, stderr []byte, exitCode int) (result json.RawMessage, failed bool) {
	value := map[string]any{}
	if len(stdout) > maxReport {
		stdout, stderr = nil, fmt.Appendf(nil, "its report has %d bytes, and no more than %d are taken", len(stdout), maxReport)
	}
	given, is := object(stdout)
	own, refused := given["_error"].(map[string]any)
	var kind, msg string
	switch {
	case refused:
		kind, _ = own["kind"].(string)
		msg, _ = own["msg"].(string)
		if kind, msg = clip(kind), clip(msg); kind == "" {
			kind = KindError
		}
	case !is && (exitCode == 126 || exitCode == 127):
		kind, msg = KindError, "Puppet is not installed on "+certname
	case !is:
		kind, msg = KindError, fmt.Sprintf("Puppet left no report on %s; exit code %d", certname, exitCode)
		if why := strings.TrimSpace(string(stderr)); why != "" {
			msg += ": " + clip(strings.ToValidUTF8(why, "\uFFFD"))
		}
	default:
		report := Shorten(given)
		value["report"] = report
		if output := counts(report); output != "" {
			value["_output"] = output
		}
		kind, msg = judge(params, certname, given)
	}
	if kind != "" {
		value["_error"] = map[string]any{"kind": kind, "msg": msg, "details": map[string]any{}}
	}
	text, err := task.Marshal(value)
	if err != nil { // of what was JSON: never
		panic(fmt.Sprintf("apply: %v", err))
	}
	return text, kind != ""
}

func object(text []byte) (map[string]any, bool) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var made map[string]any
	err := d.Decode(&made)
	return made, err == nil && made != nil
}

// judge tells what is wrong with a report; kind "" is nothing.
func judge(params json.RawMessage, certname string, report map[string]any) (kind, msg string) {
	var missing []string
	for _, key := range []string{"metrics", "resource_statuses", "status"} {
		if _, there := report[key]; !there {
			missing = append(missing, key)
		}
	}
	if missing != nil {
		return KindInvalid, "The report of " + certname + " lacks " + strings.Join(missing, ", ")
	}
	statuses, _ := report["resource_statuses"].(map[string]any)
	if report["status"] == "failed" {
		return KindFailure, "Resources failed to apply for " + certname + failures(report, statuses)
	}
	if unknown := unknownTypes(params, statuses); len(unknown) > 0 && report["left_out"] == nil {
		return KindFailure, fmt.Sprintf("Resources failed to apply for %s\n  it does not know the types %s", certname, strings.Join(unknown, ", "))
	}
	return "", ""
}

// failures are why resources failed, a line each.
func failures(report, statuses map[string]any) string {
	var lines []string
	for _, ref := range sortedKeys(statuses) {
		status, _ := statuses[ref].(map[string]any)
		if status["failed"] != true && status["failed_to_restart"] != true {
			continue
		}
		before := len(lines)
		events, _ := status["events"].([]any)
		for _, e := range events {
			if event, _ := e.(map[string]any); event["status"] == "failure" {
				lines = append(lines, fmt.Sprintf("%s: %v", ref, event["message"]))
			}
		}
		if len(lines) == before {
			lines = append(lines, ref+" failed")
		}
	}
	if lines == nil { // nothing was applied, and the log says why
		entries, _ := report["logs"].([]any)
		for _, e := range entries {
			if entry, _ := e.(map[string]any); failure(e) {
				lines = append(lines, fmt.Sprint(entry["message"]))
			}
		}
	}
	if len(lines) > maxFailures {
		lines = append(lines[:maxFailures], fmt.Sprintf("and %d more", len(lines)-maxFailures))
	}
	var b strings.Builder
	for _, line := range lines {
		if len(line) > maxFailure {
			line = strings.ToValidUTF8(line[:maxFailure], "") + "…"
		}
		b.WriteString("\n  " + line)
	}
	return b.String()
}

// unknownTypes are those of the catalog of which a report has no resource:
// older Puppets pass over what they do not know. Titles are not looked at:
// types may change them.
func unknownTypes(params json.RawMessage, statuses map[string]any) []string {
	var p struct {
		Catalog struct {
			Resources []struct{ Type, Kind string }
		}
	}
	if json.Unmarshal(params, &p) != nil {
		return nil
	}
	known := map[string]bool{}
	for ref := range statuses {
		kind, _, _ := strings.Cut(ref, "[")
		known[strings.ToLower(kind)] = true
	}
	var unknown []string
	for _, r := range p.Catalog.Resources {
		if r.Type != "Stage" && r.Kind == native && !known[strings.ToLower(r.Type)] && !slices.Contains(unknown, r.Type) {
			unknown = append(unknown, r.Type)
		}
	}
	return unknown
}

// counts is the summary of a report's metrics, "" where they have none.
func counts(report map[string]any) string {
	metrics, _ := report["metrics"].(map[string]any)
	group, _ := metrics["resources"].(map[string]any)
	values, _ := group["values"].([]any)
	of := map[string]int{}
	for _, v := range values {
		if triple, _ := v.([]any); len(triple) == 3 {
			if name, is := triple[0].(string); is {
				of[name], _ = number(triple[2])
			}
		}
	}
	if _, there := of["total"]; !there {
		return ""
	}
	return fmt.Sprintf("changed: %d, failed: %d, unchanged: %d skipped: %d, noop: %d", of["changed"], of["failed"],
		of["total"]-of["changed"]-of["failed"]-of["skipped"], of["skipped"], max(0, of["out_of_sync"]-of["changed"]-of["failed"]))
}

// number is a whole number of JSON.
func number(v any) (int, bool) {
	switch v := v.(type) {
	case json.Number:
		n, err := v.Int64()
		return int(n), err == nil
	case int:
		return v, true
	}
	return 0, false
}
