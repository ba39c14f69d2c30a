package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

func (c *scheduleCLI) printSchedules(w io.Writer, list []scheduledInfo, all bool) error {
	t := &table{right: map[int]bool{0: true}}
	t.add("NUMBER", "NEXT (UTC)", "EVERY", "WHAT", "ENVIRONMENT", "OWNER", "LAST RUN", "DESCRIPTION")
	shown, disabled := 0, 0
	for i := range list {
		s := &list[i]
		if !s.Enabled && !all {
			disabled++
			continue
		}
		shown++
		next, every := "-", "-"
		switch {
		case !s.Enabled:
			next = "disabled"
		case s.NextRun != nil:
			next = humanMinute(s.NextRun.Time)
		}
		if d := s.interval(); d != 0 {
			every = spanText(d)
		}
		t.add(oneLine(s.Name), next, every, s.what(), orDash(s.Environment), orDash(s.Owner.Login), s.last(), oneLine(s.Description))
	}
	if err := t.print(w, width(w)); err != nil {
		return err
	}
	more := ""
	if disabled > 0 {
		more = fmt.Sprintf(", and %d disabled: --all", disabled)
	}
	_, err := fmt.Fprintf(w, "\n%s%s.\n", counted(shown, "scheduled job"), more)
	return err
}

// last is what the last run came to, briefly.
func (s *scheduledInfo) last() string {
	switch {
	case s.LastRun == nil:
		return "-"
	case s.LastRun.Job.Error != nil:
		return "refused"
	case strings.Contains(s.LastRun.Job.ID, "/plan_jobs/"):
		return "plan job " + oneLine(s.LastRun.Job.Name)
	}
	return "job " + oneLine(s.LastRun.Job.Name)
}

func (c *scheduleCLI) printSchedule(w io.Writer, s *scheduledInfo) error {
	t := &table{}
	t.add("scheduled job", oneLine(s.Name))
	t.add("what", s.what())
	t.add("environment", orDash(s.Environment))
	t.add("owner", orDash(s.Owner.Login))
	if s.Description != "" {
		t.add("description", oneLine(s.Description))
	}
	t.add("start", momentText(s.Schedule.Start, c.now()))
	t.add("runs", s.every())
	switch {
	case !s.Enabled:
		t.add("next run", "never: it is disabled")
	case s.NextRun == nil:
		t.add("next run", "never: it has run")
	default:
		t.add("next run", momentText(s.NextRun.Time, c.now()))
	}
	if r := s.LastRun; r != nil {
		t.add("last run", momentText(r.Time, c.now())+": "+s.last())
		if r.Job.Error != nil {
			t.add("", oneLine(r.Job.Error.Msg))
			t.add("", oneLine(r.Job.Error.Kind))
		}
	}
	input, err := json.Marshal(s.Input)
	if err != nil {
		return err
	}
	t.add("input", oneLine(string(input)))
	if len(s.Userdata) > 2 { // more than {}
		t.add("userdata", oneLine(string(s.Userdata)))
	}
	return t.print(w, 0)
}
