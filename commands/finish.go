package commands

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"time"

	"dalang/commands/queue"
	"dalang/wireformat"
)

// finish ends a command in peace: it leaves the queue, whoever waits is told,
// and the log has one line.
func (p *Processor) finish(ctx context.Context, it *item, began time.Time, state State, hash, puppet string) {
	if err := p.cfg.Queue.Ack(it.entry); err != nil {
		// It is in the store; should it come back after a restart, it changes nothing.
		p.cfg.Logger.LogAttrs(ctx, slog.LevelError, "processed command stays on disk", append(p.describe(it), slog.Any("error", err))...)
	}
	attrs := append(p.describe(it), slog.String("outcome", string(state)), slog.Float64("duration_ms", millis(time.Since(began))))
	if hash != "" {
		attrs = append(attrs, slog.String("hash", hash))
	}
	if puppet != "" {
		attrs = append(attrs, slog.String("puppet_version", puppet))
	}
	if !it.entry.Meta.Producer.IsZero() {
		attrs = append(attrs, slog.Time("producer_timestamp", it.entry.Meta.Producer))
	}
	p.cfg.Logger.LogAttrs(ctx, slog.LevelInfo, "command processed", attrs...)
	m := it.entry.Meta
	p.metrics.processing.WithLabelValues(string(m.Command), versionLabel(m)).Observe(seconds(time.Since(began)))
	p.leave(it, state, "", Waited{Processed: true})
}

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// puppetVersion is logged with reports.
func puppetVersion(payload wireformat.Payload) string {
	if r, ok := payload.(*wireformat.Report); ok {
		return r.PuppetVersion
	}
	return ""
}

// leave takes a command out of the queue in memory and remembers its end.
func (p *Processor) leave(it *item, state State, failure string, w Waited) {
	m := it.entry.Meta
	s := it.status()
	s.State, s.Finished = state, timestampOrNil(p.cfg.Now())
	if failure != "" {
		s.Error = &failure
	}
	p.finished.add(s, p.cfg.RememberCount) // before it leaves the queue: somebody always knows it
	waiters := p.pending.remove(it)
	command, version := string(m.Command), versionLabel(m)
	p.metrics.queued.WithLabelValues(command, version).Dec()
	p.metrics.finished.WithLabelValues(command, version, string(state)).Inc()
	p.metrics.attempts.WithLabelValues(command, version).Observe(float64(max(it.tries-1, 0)))
	tell(waiters, w)
}

// notify tells whoever waits how the first try ended.
func (p *Processor) notify(it *item, w Waited) { tell(p.pending.notified(it), w) }

func tell(waiters []chan<- Waited, w Waited) {
	for _, c := range waiters {
		c <- w // has room for the one message it gets
	}
}

// discard puts a command into the dead letter office. While that cannot be
// written the command stays where it is: then it is the world's fault.
func (p *Processor) discard(ctx, flight context.Context, it *item, began time.Time, cause string, err error) {
	letter := p.letter(it, cause, err)
	if failed := p.cfg.DeadLetters.Discard(flight, letter); failed != nil {
		p.retry(ctx, it, errors.Join(errors.New("the dead letter office did not take the command"), failed))
		return
	}
	p.cfg.Queue.Moved(it.entry)
	p.cfg.Logger.LogAttrs(ctx, slog.LevelError, "command discarded", append(p.describe(it), slog.String("cause", cause),
		slog.String("error", letter.Message), slog.Float64("duration_ms", millis(time.Since(began))))...)
	w := Waited{Processed: true, Err: err, Stack: []string{letter.Message}}
	for _, problem := range letter.Problems {
		w.Stack = append(w.Stack, problem.Path+": "+problem.Message)
	}
	if letter.Stack != "" {
		w.Stack = append(w.Stack, strings.Split(strings.TrimSpace(letter.Stack), "\n")...)
	}
	p.leave(it, StateDiscarded, letter.Message, w)
}

func (p *Processor) letter(it *item, cause string, err error) Letter {
	l := Letter{
		Entry: it.entry, BodyPath: p.cfg.Queue.Path(it.entry), Certname: it.certname, Client: it.client,
		Cause: cause, Message: err.Error(), Attempts: it.attempts,
	}
	if l.Certname == "" {
		l.Certname = it.entry.Meta.Certid
	}
	var bad *wireformat.Error
	if errors.As(err, &bad) {
		l.Problems = bad.Problems
	}
	var bug *panicked
	if errors.As(err, &bug) {
		l.Stack = bug.stack
	}
	if l.Attempts == nil {
		// Of an earlier run of the program; without them a letter is a letter too.
		l.Attempts, _ = p.cfg.Queue.Attempts(it.entry)
	}
	l.Attempts = append(l.Attempts[:len(l.Attempts):len(l.Attempts)], queue.Attempt{At: p.cfg.Now(), Error: l.Message})
	return l
}
