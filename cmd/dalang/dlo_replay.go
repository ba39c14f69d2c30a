package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"dalang/dlo"
)

func (c *dloCLI) replayCommand() *cobra.Command {
	var req dlo.ReplayRequest
	rate := rateFlag{&req.Rate}
	cmd := &cobra.Command{
		Use:   "replay {ID... | --cause CAUSE | --all}",
		Short: "Submit letters again",
		Long: `Submit letters again, in the order in which they were accepted.

Each is checked first. One that would be taken in now is put into the queue, and
leaves the dead letter office when it is safely there. One that would fail again
stays; --force submits it all the same. Interrupting does no harm: what is left can
be replayed later.

The exit status is 0 when all letters were submitted (or, with --dry-run, when they
could be checked).`,
		Example: `  dalang dlo replay 1f7ad47d
  dalang dlo replay --cause validation --dry-run
  dalang dlo replay --all --rate 50/s`,
		ValidArgsFunction: c.completeIDs,
		RunE: func(cmd *cobra.Command, args []string) error {
			req.IDs = args
			if req.Selection.Empty() {
				return &usageError{errors.New("nothing is selected: name letters, or a filter such as --cause, or say --all")}
			}
			return c.with(cmd.Context(), func(ctx context.Context, office deadLetterOffice) error {
				return c.replay(ctx, office, req, cmd.OutOrStdout(), cmd.ErrOrStderr())
			})
		},
	}
	c.filterFlags(cmd, &req.Filter)
	cmd.Flags().BoolVar(&req.All, "all", false, "all letters")
	cmd.Flags().BoolVar(&req.DryRun, "dry-run", false, "only tell which letters would be taken in")
	cmd.Flags().BoolVar(&req.Force, "force", false, "submit also what would fail again")
	cmd.Flags().Var(rate, "rate", "at most so many letters per second: 50/s, 0.5/s")
	_ = cmd.RegisterFlagCompletionFunc("rate", cobra.NoFileCompletions)
	return cmd
}

// rateFlag is a number of letters per second, with or without "/s".
type rateFlag struct{ rate *float64 }

func (r rateFlag) String() string {
	if r.rate == nil || *r.rate == 0 {
		return ""
	}
	return strconv.FormatFloat(*r.rate, 'g', -1, 64) + "/s"
}

func (r rateFlag) Type() string { return "N/s" }

func (r rateFlag) Set(s string) error {
	n, err := strconv.ParseFloat(strings.TrimSuffix(s, "/s"), 64)
	if err != nil || !(n > 0 && n < 1e9) {
		return fmt.Errorf("%q is not a rate: write it like 50/s", s)
	}
	*r.rate = n
	return nil
}

func (c *dloCLI) replay(ctx context.Context, office deadLetterOffice, req dlo.ReplayRequest, out, tty io.Writer) error {
	p := &replayPrinter{out: out, dry: req.DryRun, now: c.now, start: c.now()}
	if isTerminal(tty) && isTerminal(out) {
		p.bar = tty
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	res, err := office.Replay(ctx, req, p.letter)
	p.clear()
	if p.err != nil {
		return p.err
	}
	if err == nil {
		return summarise(out, res)
	}
	if p.replayed > 0 {
		_, _ = fmt.Fprintf(out, "%s replayed before it stopped.\n", counted(p.replayed, "letter"))
	}
	if ctx.Err() != nil {
		return errors.New("interrupted; what is left can be replayed later")
	}
	return err
}

// summarise says how a replay ended; letters that stay make it an error.
func summarise(out io.Writer, res dlo.ReplayResult) error {
	if res.Selected == 0 {
		_, err := fmt.Fprintln(out, "No letter matches.")
		return err
	}
	did, fail := "replayed", "would fail again and stay"
	if res.DryRun {
		did, fail = "would be taken in", "would fail again"
	}
	text := fmt.Sprintf("%s of %s %s", groups(res.Replayed), counted(res.Selected, "letter"), did)
	if res.Failing > 0 {
		text += fmt.Sprintf("; %s %s", groups(res.Failing), fail)
	}
	if res.Skipped > 0 {
		text += fmt.Sprintf("; %s somebody else was working with", groups(res.Skipped))
	}
	if _, err := fmt.Fprintln(out, text+"."); err != nil {
		return err
	}
	if res.Replayed < res.Selected && !res.DryRun {
		return errors.New("not all letters were replayed")
	}
	return nil
}

// replayPrinter tells of a replay: a line for each letter, or on a terminal a
// bar with lines above it for the letters that stay.
type replayPrinter struct {
	out   io.Writer
	bar   io.Writer // nil: no terminal
	dry   bool
	now   func() time.Time
	start time.Time
	drawn time.Time

	replayed int
	err      error // of out
}

func (p *replayPrinter) letter(l dlo.Progress) {
	if p.err != nil {
		return
	}
	if l.NewUUID != nil {
		p.replayed++
	}
	if p.bar == nil || l.Error != "" {
		p.clear()
		_, p.err = fmt.Fprintln(p.out, p.line(l))
	}
	if p.bar != nil && (l.Done == l.Total || p.now().Sub(p.drawn) >= 100*time.Millisecond) {
		p.drawn = p.now()
		_, _ = io.WriteString(p.bar, "\r\x1b[K"+fit(progressBar(l.Done, l.Total, p.drawn.Sub(p.start)), width(p.bar)-1))
	}
}

func (p *replayPrinter) clear() {
	if p.bar != nil {
		_, _ = io.WriteString(p.bar, "\r\x1b[K")
	}
}

// line is what is said of one letter.
func (p *replayPrinter) line(l dlo.Progress) string {
	verb := "replayed"
	switch {
	case l.Error != "" && p.dry:
		verb = "fails"
	case l.Error != "":
		verb = "stays"
	case p.dry:
		verb = "good"
	}
	digits := len(strconv.Itoa(l.Total))
	s := fmt.Sprintf("%*d/%d  %-8s  %s  %s %d  %s", digits, l.Done, l.Total, verb, l.UUID.String()[:8], l.Command, l.Version, oneLine(l.Certname))
	switch {
	case l.Error != "":
		s += ": " + oneLine(l.Error)
		for i, q := range l.Problems {
			if i == 3 {
				s += fmt.Sprintf("\n%*s  and %d more", 2*digits+1, "", len(l.Problems)-i)
				break
			}
			s += fmt.Sprintf("\n%*s  %s: %s", 2*digits+1, "", oneLine(q.Path), oneLine(q.Message))
		}
	case l.NewUUID != nil:
		s += " as " + l.NewUUID.String()
	}
	return s
}

// progressBar draws: [=====>     ]  12/40  30%  8.1/s  4s left
func progressBar(done, total int, took time.Duration) string {
	const cells = 30
	full := cells * done / max(total, 1)
	bar := strings.Repeat("=", full)
	if full < cells {
		bar += ">" + strings.Repeat(" ", cells-full-1)
	}
	s := fmt.Sprintf("[%s]  %s/%s  %d%%", bar, groups(done), groups(total), 100*done/max(total, 1))
	if took < time.Second {
		return s
	}
	rate := float64(done) / took.Seconds()
	s += fmt.Sprintf("  %.1f/s", rate)
	if done < total && rate > 0 {
		s += "  " + humanAge(time.Duration(float64(total-done)/rate*float64(time.Second))) + " left"
	}
	return s
}

// short is the beginning of a uuid, for texts about one letter.
func short(id uuid.UUID) string { return id.String()[:8] }
