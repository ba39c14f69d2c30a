package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// screen shows a job that is followed. On a terminal the totals stay below the
// lines of nodes; elsewhere they come at the end only.
type screen struct {
	out         io.Writer
	in          io.Reader
	live        bool // out is a terminal
	interactive bool // and so is in
	json        bool // print only the end, as JSON
	now         func() time.Time

	begun bool
	kind  string // the job's type
	width int    // of names
	shown bool   // the totals are the line under the cursor
}

func (c *jobCLI) newScreen(cmd *cobra.Command, output string) *screen {
	out, in := cmd.OutOrStdout(), cmd.InOrStdin()
	return &screen{out: out, in: in, live: isTerminal(out), interactive: isTerminal(out) && isTerminal(in), json: output == "json", now: c.now}
}

func (s *screen) printf(format string, args ...any) {
	s.clear()
	fmt.Fprintf(s.out, format, args...) // who reads it may be gone; the job is not
}

// clear takes the totals away.
func (s *screen) clear() {
	if s.shown {
		fmt.Fprint(s.out, "\r\x1b[K")
		s.shown = false
	}
}

// begin shows what the job is.
func (s *screen) begin(j *jobInfo) {
	s.kind = j.Type
	if s.json || s.begun {
		return
	}
	s.begun = true
	where := ""
	if j.Environment.Name != "" {
		where = " in " + oneLine(j.Environment.Name)
	}
	s.printf("Job %s: %s on %s%s.\n", oneLine(j.Name), j.what(), counted(j.NodeCount, "node"), where)
}

// event shows what happened to a node.
func (s *screen) event(e *eventInfo) {
	if s.json {
		return
	}
	word := strings.TrimPrefix(strings.TrimPrefix(e.Type, "node_"), "job_")
	at := e.Timestamp.Local().Format("15:04:05")
	if e.Details.Node == "" {
		if e.Type != "job_finished" { // which the end tells
			s.printf("%s  %s\n", at, oneLine(e.Message))
		}
		return
	}
	name := oneLine(e.Details.Node)
	s.width = max(s.width, len(name))
	what := ""
	switch {
	case e.Type == "node_running":
	case s.kind != deployType && (word == "finished" || word == "failed"):
		what = brief(e.Details.Detail.raw)
	case e.Details.Detail.Metrics != nil:
		what = changes(e.Details.Detail.Metrics, e.Details.Detail.Noop)
	case e.Details.Detail.Msg != "":
		what = e.Details.Detail.Msg
	}
	s.printf("%s\n", strings.TrimRight(fmt.Sprintf("%s  %-*s  %-8s  %s", at, s.width, name, word, oneLine(what)), " "))
}

// changes is what a run did, in a few words.
func changes(m map[string]int64, noop bool) string {
	verb := "changed"
	n := m["changed"]
	if noop {
		verb, n = "would change", m["out_of_sync"]
	}
	text := fmt.Sprintf("%d of %d %s", n, m["total"], verb)
	for _, kind := range []string{"failed", "skipped"} {
		if m[kind] > 0 {
			text += fmt.Sprintf(", %d %s", m[kind], kind)
		}
	}
	return text
}

// totals shows how far the job is, on a terminal.
func (s *screen) totals(j *jobInfo) {
	if !s.live || s.json || j.ended() {
		return
	}
	s.clear()
	since := ""
	if j.Created != nil {
		since = "  " + s.now().Sub(*j.Created).Round(time.Second).String()
	}
	open := j.NodeStates["new"] + j.NodeStates["ready"] + j.NodeStates["running"]
	line := fmt.Sprintf("%s %d/%d  %s%s", bar(j.NodeCount-open, j.NodeCount), j.NodeCount-open, j.NodeCount, states(j.NodeStates), since)
	fmt.Fprint(s.out, fit(line, max(width(s.out)-1, 0)))
	s.shown = true
}

// bar is how much is done, in 20 characters.
func bar(done, of int) string {
	const cells = 20
	n := 0
	if of > 0 {
		n = done * cells / of
	}
	return "[" + strings.Repeat("=", n) + strings.Repeat(" ", cells-n) + "]"
}

// states is how many nodes are in which state, in the order of a run's life.
func states(counts map[string]int) string {
	var parts []string
	for _, state := range []string{"new", "ready", "running", "finished", "failed", "errored", "skipped", "stopped"} {
		if n := counts[state]; n > 0 {
			parts = append(parts, fmt.Sprintf("%s %s", groups(n), state))
		}
	}
	return strings.Join(parts, ", ")
}

// note says something beside the job; empty: an end of a line.
func (s *screen) note(format string, args ...any) {
	if !s.json {
		s.printf("%s\n", oneLine(fmt.Sprintf(format, args...)))
	}
}

// ask asks somebody at the terminal.
func (s *screen) ask(format string, args ...any) {
	if s.live {
		fmt.Fprintln(s.out) // behind the ^C
		s.shown = false
	}
	s.printf(format, args...)
}

// end shows what became of the job and of each node.
func (s *screen) end(j *jobInfo, nodes []nodeInfo) error {
	if s.json {
		return printJSON(s.out, struct {
			*jobInfo
			Items []nodeInfo `json:"nodes"`
		}{j, nodes})
	}
	s.printf("\n")
	if err := s.results(j, nodes); err != nil {
		return err
	}
	took := ""
	if j.Created != nil && j.Finished != nil { // with the time that it waited before the first node ran
		took = " in " + j.Finished.Sub(*j.Created).Round(time.Second).String()
	}
	_, err := fmt.Fprintf(s.out, "\nJob %s %s%s: %s.\n", oneLine(j.Name), oneLine(j.State), took, states(j.NodeStates))
	return err
}

// results shows the nodes: a table, or, of a task on a few, all that it wrote.
func (s *screen) results(j *jobInfo, nodes []nodeInfo) error {
	switch {
	case j.Type == deployType:
		return nodeTable(nodes, false).print(s.out, width(s.out))
	case len(nodes) > manyResults:
		return resultTable(nodes).print(s.out, width(s.out))
	}
	return printResults(s.out, nodes)
}

// nodeTable is the nodes of a deploy.
func nodeTable(nodes []nodeInfo, links bool) *table {
	t := &table{right: map[int]bool{2: true, 3: true, 4: true, 5: true, 6: true}}
	last := "MESSAGE"
	if links {
		last = "REPORT OR MESSAGE"
	}
	t.add("NODE", "STATE", "TIME", "CHANGED", "FAILED", "SKIPPED", "TOTAL", last)
	for i := range nodes {
		n := &nodes[i]
		state := oneLine(n.State)
		if n.noop() {
			state += " (noop)"
		}
		row := []string{oneLine(n.Name), state, seconds(n.Duration)}
		for _, key := range []string{"changed", "failed", "skipped", "total"} {
			cell := ""
			if v, ok := n.Details.Metrics[key]; ok {
				cell = groups(int(v))
			}
			row = append(row, cell)
		}
		t.add(append(row, remark(n, links))...)
	}
	return t
}

// remark is what there is to say of a node beside numbers.
func remark(n *nodeInfo, links bool) string {
	switch {
	case links && n.Details.ReportURL != "":
		return oneLine(n.Details.ReportURL)
	case n.Details.Detail.Msg != "":
		return oneLine(n.Details.Detail.Msg)
	case n.State == "finished" || n.Message == "":
		return ""
	}
	return oneLine(n.Message)
}

func seconds(d *float64) string {
	if d == nil {
		return ""
	}
	return time.Duration(*d * float64(time.Second)).Round(100 * time.Millisecond).String()
}
