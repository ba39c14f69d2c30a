package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/url"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

// planJobInfo is a plan job as the API shows it.
type planJobInfo struct {
	Name    string `json:"name"`
	State   string `json:"state"`
	Options struct {
		Plan        string          `json:"plan_name"`
		Description string          `json:"description"`
		Parameters  json.RawMessage `json:"parameters"`
		Sensitive   []string        `json:"sensitive"`
		Environment string          `json:"environment"`
	} `json:"options"`
	Result   json.RawMessage                     `json:"result"`
	Owner    struct{ Login string }              `json:"owner"`
	Created  time.Time                           `json:"created_timestamp"`
	Finished *time.Time                          `json:"finished_timestamp"`
	Duration *float64                            `json:"duration"`
	Status   map[string][]struct{ State string } `json:"status"`
}

func (p *planJobInfo) ended() bool { return p.State == "success" || p.State == "failure" }

// planEventInfo is an event of a plan job as the API shows it.
type planEventInfo struct {
	Type      string    `json:"type"`
	Timestamp time.Time `json:"timestamp"`
	Details   struct {
		Job     string `json:"job-id"`
		Plan    string `json:"plan"`
		Message string `json:"message"`
	} `json:"details"`
	Message string `json:"message"`
}

// planJobPath is where the API has a plan job.
func planJobPath(name string) string { return "/plan_jobs/" + url.PathEscape(name) }

func (a *jobAPI) planJob(ctx context.Context, name string) (*planJobInfo, error) {
	var p planJobInfo
	err := a.get(ctx, planJobPath(name), nil, &p)
	return &p, err
}

func (a *jobAPI) planEvents(ctx context.Context, name, start string) (events []planEventInfo, next string, err error) {
	var list struct {
		Next  struct{ Event string } `json:"next-events"`
		Items []planEventInfo
	}
	query := url.Values{}
	if start != "" {
		query.Set("start", start)
	}
	err = a.get(ctx, planJobPath(name)+"/events", query, &list)
	return list.Items, list.Next.Event, err
}

func (a *jobAPI) stopPlan(ctx context.Context, name string) error {
	var answer struct{ Name string }
	return a.command(ctx, "stop_plan", map[string]any{"plan_job": name}, &answer)
}

func (c *planCLI) watchCommand() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "watch NUMBER",
		Short: "Follow a plan to its end",
		Long:  `Follow a plan to its end, as 'dalang plan run' does, from the plan's beginning. The exit status is that of 'dalang plan run'.`,
		Args:  onePlanJob,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.with(cmd.Context(), func(ctx context.Context, a *jobAPI) error {
				if _, err := a.planJob(ctx, args[0]); err != nil { // later ones may pass
					return err
				}
				return c.followPlan(ctx, a, args[0], c.newScreen(cmd, output))
			})
		},
	}
	addOutput(cmd, &output)
	return cmd
}

// planFollower follows one plan and the jobs that it makes.
type planFollower struct {
	*follower
	jobs map[string]*follower // those that have not ended, by name
}

// followPlan shows what happens to a plan until it ends. Its error has the exit
// status.
func (c *planCLI) followPlan(ctx context.Context, a *jobAPI, name string, s *screen) error {
	f := &planFollower{&follower{jobCLI: c.jobCLI, api: a, name: name, screen: s, plan: true, interrupt: make(chan os.Signal, 1)}, map[string]*follower{}}
	signal.Notify(f.interrupt, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(f.interrupt)
	p, err := toTheEnd(ctx, f.follower, f.look)
	if err != nil {
		return err
	}
	if s.json {
		err = a.raw(ctx, planJobPath(name), nil, s.out)
	} else {
		err = f.end(p)
	}
	if err != nil {
		return err
	}
	if p.State != "success" {
		return &exitError{statusNodesFailed}
	}
	return nil
}

// look shows what has happened since the last time. The plan is asked for
// first: when it has ended, its events are all there.
func (f *planFollower) look(ctx context.Context) (p *planJobInfo, happened bool, err error) {
	if p, err = f.api.planJob(ctx, f.name); err != nil {
		return nil, false, err
	}
	if !f.screen.begun && !f.screen.json {
		f.screen.begun = true
		f.screen.printf("Plan %s: %s in %s.\n", oneLine(p.Name), oneLine(p.Options.Plan), orDash(p.Options.Environment))
	}
	events, next, err := f.api.planEvents(ctx, f.name, f.next)
	if err != nil {
		return nil, false, err
	}
	f.away, f.next = false, next
	for i := range events {
		e := &events[i]
		// A step begins when those before it have ended: what became of them is
		// shown first.
		if _, err := f.lookAtJobs(ctx); err != nil {
			return nil, false, err
		}
		f.event(e)
	}
	moved, err := f.lookAtJobs(ctx)
	return p, moved || len(events) > 0, err
}

// event shows an event of the plan.
func (f *planFollower) event(e *planEventInfo) {
	if e.Details.Job != "" {
		f.jobs[e.Details.Job] = &follower{jobCLI: f.jobCLI, api: f.api, name: e.Details.Job, screen: f.screen}
	}
	what := ""
	switch e.Type {
	case "out_message":
		for _, line := range strings.Split(strings.TrimRight(e.Details.Message, "\n"), "\n") {
			f.screen.note("%s  %s", e.Timestamp.Local().Format("15:04:05"), line)
		}
		return
	case "plan_finished", "plan_failed": // which the end tells
		return
	default:
		what = e.Message
	}
	f.screen.note("%s  %s", e.Timestamp.Local().Format("15:04:05"), what)
}

// lookAtJobs shows what has happened to the nodes of the plan's jobs.
func (f *planFollower) lookAtJobs(ctx context.Context) (moved bool, err error) {
	for _, name := range slices.Sorted(maps.Keys(f.jobs)) {
		one := f.jobs[name]
		j, err := f.api.job(ctx, name)
		if err != nil {
			return moved, err
		}
		events, next, err := f.api.events(ctx, name, one.next)
		if err != nil {
			return moved, err
		}
		one.next = next
		f.screen.kind = j.Type
		for i := range events {
			if events[i].Details.Node != "" {
				f.screen.event(&events[i])
				moved = true
			}
		}
		if j.ended() {
			delete(f.jobs, name)
		}
	}
	return moved, nil
}

// end shows the plan's result.
func (f *planFollower) end(p *planJobInfo) error {
	took := ""
	if p.Duration != nil {
		took = " in " + seconds(p.Duration)
	}
	word := map[string]string{"success": "succeeded", "failure": "failed"}[p.State]
	f.screen.printf("\n%s", resultText(p))
	_, err := fmt.Fprintf(f.screen.out, "Plan %s %s%s.\n", oneLine(p.Name), word, took)
	return err
}

// resultText is a plan's result for people: what its error says, a text as it
// is, else JSON; nothing where there is none.
func resultText(p *planJobInfo) string {
	var text string
	var failure struct{ Msg, Kind string }
	switch {
	case len(p.Result) == 0 || string(p.Result) == "null":
		return ""
	case p.State == "failure" && json.Unmarshal(p.Result, &failure) == nil && failure.Msg != "":
		return strings.TrimRight(plain(failure.Msg), "\n") + "\n"
	case json.Unmarshal(p.Result, &text) == nil:
		return strings.TrimRight(plain(text), "\n") + "\n"
	}
	var laid bytes.Buffer
	if json.Indent(&laid, p.Result, "", "  ") != nil {
		return plain(string(p.Result)) + "\n"
	}
	return plain(laid.String()) + "\n"
}

// printPlanJob shows a plan that was run.
func (c *planCLI) printPlanJob(w io.Writer, p *planJobInfo) error {
	t := &table{}
	t.add("plan", oneLine(p.Options.Plan))
	t.add("state", oneLine(p.State))
	t.add("environment", orDash(p.Options.Environment))
	t.add("owner", orDash(p.Owner.Login))
	if p.Options.Description != "" {
		t.add("description", oneLine(p.Options.Description))
	}
	t.add("created", p.Created.Local().Format(time.DateTime))
	if p.Finished != nil {
		t.add("finished", p.Finished.Local().Format(time.DateTime)+", after "+seconds(p.Duration))
	}
	t.add("parameters", oneLine(string(p.Options.Parameters)))
	if len(p.Options.Sensitive) > 0 {
		t.add("secret", oneLine(strings.Join(p.Options.Sensitive, ", ")))
	}
	var jobs []string
	names := slices.Collect(maps.Keys(p.Status))
	slices.SortFunc(names, func(a, b string) int { n, _ := strconv.Atoi(a); m, _ := strconv.Atoi(b); return n - m })
	for _, name := range names {
		state := ""
		if spans := p.Status[name]; len(spans) > 0 {
			state = " (" + spans[len(spans)-1].State + ")"
		}
		jobs = append(jobs, name+state)
	}
	if jobs != nil {
		t.add("jobs", oneLine(strings.Join(jobs, ", ")))
	}
	if err := t.print(w, 0); err != nil {
		return err
	}
	if text := resultText(p); text != "" {
		_, err := fmt.Fprintf(w, "\n%s", text)
		return err
	}
	return nil
}
