package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// deployType is the type of jobs that run Puppet; all others have results.
const deployType = "deploy"

// manyResults is how many nodes may each show all that a task wrote.
const manyResults = 20

// what is what the job does, for people.
func (j *jobInfo) what() string {
	var options struct{ Task, Command, Download string }
	_ = json.Unmarshal(j.Options, &options) // what cannot be read is left out
	switch j.Type {
	case deployType, "":
		return "Puppet"
	case "task", "plan_task":
		return "task " + orDash(options.Task)
	}
	if options.Download != "" {
		return "download"
	}
	return oneLine(strings.ReplaceAll(strings.TrimPrefix(j.Type, "plan_"), "_", " "))
}

// answer is a result as people read it: what was written, else the object laid
// out; and what went wrong, "" if nothing did.
func answer(result json.RawMessage) (text, wrong string) {
	var fields map[string]json.RawMessage
	if json.Unmarshal(result, &fields) != nil || fields == nil {
		return "", ""
	}
	var failure struct{ Msg string }
	if _, has := fields["_error"]; has {
		_ = json.Unmarshal(fields["_error"], &failure)
		if wrong = failure.Msg; wrong == "" {
			wrong = "it failed"
		}
		delete(fields, "_error")
	} else if _, kind := fields["kind"]; kind && json.Unmarshal(result, &failure) == nil && failure.Msg != "" && len(fields) <= 3 {
		return "", failure.Msg // the orchestrator's own: it never ran
	}
	var output string
	if json.Unmarshal(fields["_output"], &output) == nil && (len(fields) == 1 || downloaded(fields, output)) {
		return output, wrong
	}
	var std struct{ Stdout, Stderr string }
	if _, command := fields["exit_code"]; command && json.Unmarshal(result, &std) == nil {
		return joined(std.Stdout, std.Stderr), wrong
	}
	if len(fields) == 0 {
		return "", wrong
	}
	compact, err := json.Marshal(fields)
	if err != nil {
		return "", wrong
	}
	var b bytes.Buffer
	if json.Indent(&b, compact, "", "  ") != nil {
		return string(compact), wrong
	}
	return b.String(), wrong
}

// downloaded tells whether it is the result of a download, whose output says it
// all.
func downloaded(fields map[string]json.RawMessage, output string) bool {
	return len(fields) == 2 && fields["path"] != nil && strings.HasPrefix(output, "Downloaded '")
}

func joined(stdout, stderr string) string {
	if stdout != "" && stderr != "" && !strings.HasSuffix(stdout, "\n") {
		stdout += "\n"
	}
	return stdout + stderr
}

// brief is a result in one line.
func brief(result json.RawMessage) string {
	text, wrong := answer(result)
	if wrong != "" {
		return wrong
	}
	var compact bytes.Buffer
	if strings.HasPrefix(text, "{") && json.Compact(&compact, []byte(text)) == nil {
		return compact.String()
	}
	first, _, more := strings.Cut(strings.TrimSpace(text), "\n")
	if more {
		first += " …"
	}
	return first
}

// resultTable is the nodes of a job whose nodes have results.
func resultTable(nodes []nodeInfo) *table {
	t := &table{right: map[int]bool{2: true}}
	t.add("NODE", "STATE", "TIME", "RESULT")
	for i := range nodes {
		n := &nodes[i]
		t.add(oneLine(n.Name), oneLine(n.State), seconds(n.Duration), oneLine(resultOf(n)))
	}
	return t
}

// resultOf is the result of a node in one line, or why there is none.
func resultOf(n *nodeInfo) string {
	if text := brief(n.Result); text != "" {
		return text
	}
	return remark(n, false)
}

// printResults prints all that each node answered.
func printResults(w io.Writer, nodes []nodeInfo) error {
	for i := range nodes {
		n := &nodes[i]
		if _, err := fmt.Fprintln(w, strings.TrimRight(fmt.Sprintf("%s  %s  %s", oneLine(n.Name), oneLine(n.State), seconds(n.Duration)), " ")); err != nil {
			return err
		}
		text, wrong := answer(n.Result)
		if text == "" && wrong == "" {
			wrong = remark(n, false)
		}
		for _, part := range []string{text, wrong} {
			if part == "" {
				continue
			}
			for line := range strings.SplitSeq(strings.TrimRight(part, "\n"), "\n") {
				if _, err := fmt.Fprintln(w, strings.TrimRight("  "+oneLine(line), " ")); err != nil {
					return err
				}
			}
		}
	}
	return nil
}
