package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"dalang/cmd/internal/client"
)

// How long to wait between two looks at a job: a little while things happen,
// longer when they do not.
const (
	lookSoon = 250 * time.Millisecond
	lookLate = 2 * time.Second
	// patience for the reports of nodes that have ended: they come by another way.
	reportLooks = 8
)

func (c *jobCLI) watchCommand() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "watch JOB",
		Short: "Follow a job to its end",
		Long: `Follow a job to its end, as 'dalang job run' does: a line for each node that
begins or ends, from the job's beginning, the totals, and a table at the end. The
exit status is that of 'dalang job run'.`,
		Args:              oneJob,
		ValidArgsFunction: c.completeJob,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.with(cmd.Context(), func(ctx context.Context, a *jobAPI) error {
				if _, err := a.job(ctx, args[0]); err != nil { // later ones may pass
					return err
				}
				return c.follow(ctx, a, args[0], c.newScreen(cmd, output))
			})
		},
	}
	addOutput(cmd, &output)
	return cmd
}

// follower follows one job.
type follower struct {
	*jobCLI
	api    *jobAPI
	name   string
	screen *screen

	plan      bool   // it is a plan job
	next      string // where the next events start
	away      bool   // the server did not answer the last time
	idle      int    // looks since the last event
	absent    int    // nodes whose agents were said to be waited for
	interrupt chan os.Signal
}

// follow shows what happens to a job until it ends. Its error has the exit
// status.
func (c *jobCLI) follow(ctx context.Context, a *jobAPI, name string, s *screen) error {
	f := &follower{jobCLI: c, api: a, name: name, screen: s, interrupt: make(chan os.Signal, 1)}
	signal.Notify(f.interrupt, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(f.interrupt)
	j, err := toTheEnd(ctx, f, f.look)
	if err != nil {
		return err
	}
	nodes, err := f.nodesAtTheEnd(ctx, j)
	if err != nil {
		return err
	}
	if err := s.end(j, nodes); err != nil {
		return err
	}
	switch j.State {
	case "finished":
		return nil
	case "stopped":
		return &exitError{statusStopped}
	}
	return &exitError{statusNodesFailed}
}

// toTheEnd looks again and again, at a job or a plan, until it has ended.
func toTheEnd[J interface{ ended() bool }](ctx context.Context, f *follower, look func(context.Context) (J, bool, error)) (J, error) {
	var none J
	wait := lookSoon
	for {
		j, happened, err := look(ctx)
		switch {
		case err == nil && j.ended():
			return j, nil
		case err != nil && !passing(err):
			return none, err
		case err != nil:
			f.lost(err)
		case happened:
			wait = lookSoon
		}
		if again, err := f.wait(ctx, wait); !again {
			return none, err
		}
		wait = min(wait*3/2, lookLate)
	}
}

// look shows what has happened since the last time. The job is asked for
// first: when it has ended, its events are all there.
func (f *follower) look(ctx context.Context) (j *jobInfo, happened bool, err error) {
	if j, err = f.api.job(ctx, f.name); err != nil {
		return nil, false, err
	}
	f.screen.begin(j)
	events, next, err := f.api.events(ctx, f.name, f.next)
	if err != nil {
		return nil, false, err
	}
	f.away, f.next = false, next
	for i := range events {
		f.screen.event(&events[i])
	}
	if f.idle++; len(events) > 0 {
		f.idle = 0
	}
	f.tellAbsent(ctx, j)
	f.screen.totals(j)
	return j, len(events) > 0, nil
}

// passing tells whether an error is worth another try: the job goes on without
// us, and also when the server starts again.
func passing(err error) bool {
	var refused *client.Error
	if errors.As(err, &refused) {
		return refused.Status >= 500
	}
	return !errors.Is(err, context.Canceled)
}

// lost says once that the server does not answer.
func (f *follower) lost(err error) {
	if !f.away {
		f.screen.note("%v; still trying", err)
	}
	f.away = true
}

// wait waits for the next look, or for what to do about an interruption. It is
// false when the job is not to be followed any more.
func (f *follower) wait(ctx context.Context, d time.Duration) (again bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	waited := make(chan struct{})
	go func() {
		f.pause(ctx, d)
		close(waited)
	}()
	select {
	case <-waited:
		return ctx.Err() == nil, context.Cause(ctx)
	case s := <-f.interrupt:
		cancel()
		<-waited
		return f.interrupted(context.WithoutCancel(ctx), s)
	}
}

// interrupted asks what to do; without somebody to ask, the job goes on alone.
func (f *follower) interrupted(ctx context.Context, s os.Signal) (again bool, err error) {
	what, question := "job", "[s]top: let running nodes end, [f]orce: give them up too"
	if f.plan {
		what, question = "plan", "[s]top: no step begins any more"
	}
	goesOn := fmt.Errorf("%s %s goes on: 'dalang %[1]s watch %[2]s' follows it, 'dalang %[1]s stop %[2]s' stops it", what, f.name)
	if s != os.Interrupt || !f.screen.interactive {
		return false, goesOn
	}
	answers := make(chan string)
	done := make(chan struct{})
	defer close(done)
	go func() {
		// Ends with the next line, at the latest with the program.
		line, err := bufio.NewReader(f.screen.in).ReadString('\n')
		if err != nil {
			line = "leave"
		}
		select {
		case answers <- strings.ToLower(strings.TrimSpace(line)):
		case <-done:
		}
	}()
	f.screen.ask("Stop %s %s? %s, [l]eave it alone, [c]ontinue to follow: ", what, f.name, question)
	select {
	case <-f.interrupt:
		f.screen.note("")
		return false, goesOn
	case answer := <-answers:
		return f.answered(ctx, answer, goesOn)
	}
}

func (f *follower) answered(ctx context.Context, answer string, goesOn error) (again bool, err error) {
	switch answer {
	case "s", "stop", "f", "force":
		if f.plan {
			f.screen.note("Stopping plan %s.", f.name)
			return true, f.api.stopPlan(ctx, f.name)
		}
		if _, err := f.api.stop(ctx, f.name, answer[0] == 'f'); err != nil {
			return false, err
		}
		f.screen.note("Stopping job %s.", f.name)
		return true, nil
	case "l", "leave":
		return false, goesOn
	}
	return true, nil
}

// nodesAtTheEnd are the nodes when their reports have come, or are not coming. A
// server that is away for a moment is asked again.
func (f *follower) nodesAtTheEnd(ctx context.Context, j *jobInfo) ([]nodeInfo, error) {
	for look := 1; ; look++ {
		nodes, err := f.api.nodes(ctx, f.name, nil)
		if err != nil && (look == reportLooks || !passing(err)) {
			return nil, err
		}
		missing := err != nil
		for _, n := range nodes {
			missing = missing || n.Details.ReportURL == "" && (n.State == "finished" || n.State == "failed")
		}
		if !missing || look == reportLooks || j.Type != deployType {
			return nodes, nil
		}
		f.pause(ctx, lookSoon)
	}
}
