package commands

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"runtime/debug"
	"time"

	"dalang/commands/outcome"
	"dalang/wireformat"
)

// work is a command on its way from a worker to the committer.
type work struct {
	item    *item
	payload wireformat.Payload
	bytes   int64  // taken from Processor.ahead
	body    []byte // the buffer that payload still needs
	began   time.Time
}

// panicked is a panic that became an error, with its stack.
type panicked struct {
	value any
	stack string
}

func (e *panicked) Error() string { return fmt.Sprintf("panic: %v", e.value) }

// workLoop decodes commands, one at a time, until ctx ends.
func (p *Processor) workLoop(ctx, flight context.Context) {
	for {
		it, ok := p.pending.next(ctx, p.cfg.Now)
		if !ok {
			return
		}
		p.coming.Add(1)
		p.work(ctx, flight, it)
		p.coming.Add(-1)
	}
}

// work decodes one command and hands it to the committer, or ends it.
func (p *Processor) work(ctx, flight context.Context, it *item) {
	began := time.Now()
	if it.tries == 1 {
		m := it.entry.Meta
		p.metrics.queueTime.WithLabelValues(string(m.Command), versionLabel(m)).Observe(seconds(p.cfg.Now().Sub(m.Received)))
	}
	body, err := p.body(it)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		p.vanished(flight, it)
		return
	case err != nil:
		p.endOrRetry(ctx, flight, it, began, err)
		return
	}
	size := min(max(int64(len(body)), 1), p.cfg.BatchBytes)
	if err := p.ahead.Acquire(flight, size); err != nil {
		p.buffers.put(body)
		return // the end: the command stays in the queue
	}
	payload, err := p.decode(it, body)
	w := &work{item: it, payload: payload, bytes: size, body: body, began: began}
	if c, ok := payload.(*wireformat.Catalog); err != nil || !ok || !c.Unread() {
		p.buffers.put(body)
		w.body = nil
	}
	if err == nil && !p.pending.isObsolete(it) {
		select {
		case p.decoded <- w:
		case <-flight.Done():
			p.release(w)
		}
		return
	}
	p.release(w)
	if err != nil {
		p.endOrRetry(ctx, flight, it, began, err)
		return
	}
	p.pending.named(it, payload.Node())
	p.finish(flight, it, began, StateSuperseded, "", "")
}

// release gives back what a command took on its way to the store.
func (p *Processor) release(w *work) {
	p.ahead.Release(w.bytes)
	if w.body != nil {
		p.buffers.put(w.body)
	}
}

// body is the plain body, from the cache or the queue.
func (p *Processor) body(it *item) ([]byte, error) {
	if body, ok := p.cache.take(it.entry.UUID); ok {
		p.metrics.cacheHits.Inc()
		return body, nil
	}
	p.metrics.cacheMiss.Inc()
	r, err := p.cfg.Queue.Body(it.entry)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return wireformat.Inflate(r, it.entry.Meta.Gzip, p.cfg.MaxBody, p.buffers.get())
}

// decode makes a payload of a body. A panic is the command's fault, for the
// next try would end the same way.
func (p *Processor) decode(it *item, body []byte) (payload wireformat.Payload, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = outcome.Fatal(outcome.CausePanic, &panicked{v, string(debug.Stack())})
		}
	}()
	m := it.entry.Meta
	if m.Command == wireformat.ReplaceCatalog {
		return p.texts.Decode(m.Certid, m.Version, m.Received, body)
	}
	return wireformat.Decode(m.Command, m.Version, m.Received, body)
}

// vanished drops a command whose file somebody else has taken away.
func (p *Processor) vanished(ctx context.Context, it *item) {
	p.cfg.Logger.LogAttrs(ctx, slog.LevelError, "command has disappeared from the queue", p.describe(it)...)
	p.cfg.Queue.Moved(it.entry)
	p.leave(it, StateDiscarded, "the command's file has disappeared from the queue", Waited{Processed: true, Err: fs.ErrNotExist})
}

// endOrRetry deals with a failed try, by whose fault it was.
func (p *Processor) endOrRetry(ctx, flight context.Context, it *item, began time.Time, err error) {
	if cause, fatal := outcome.IsFatal(err); fatal {
		p.discard(ctx, flight, it, began, cause, err)
		return
	}
	p.retry(ctx, it, err)
}

// retry gives a command another try after a pause, for as long as it takes.
// Only its certname waits meanwhile.
func (p *Processor) retry(ctx context.Context, it *item, err error) {
	attempts := p.noteFailure(ctx, it, err)
	p.notify(it, Waited{Processed: true, Err: err, Stack: []string{err.Error()}})
	time.AfterFunc(pause(attempts), func() { p.pending.again(it) })
}

// noteFailure records a failed try beside the command and in the log, and
// says how many there were.
func (p *Processor) noteFailure(ctx context.Context, it *item, err error) int {
	if it.attempts == nil {
		it.attempts, _ = p.cfg.Queue.Attempts(it.entry) // of an earlier run of the program
	}
	attempts := p.pending.failed(it, p.cfg.Now(), err.Error())
	if saveErr := p.cfg.Queue.SaveAttempts(it.entry, attempts); saveErr != nil {
		p.cfg.Logger.LogAttrs(ctx, slog.LevelWarn, "attempts not saved", append(p.describe(it), slog.Any("error", saveErr))...)
	}
	m := it.entry.Meta
	p.metrics.retries.WithLabelValues(string(m.Command), versionLabel(m)).Inc()
	p.cfg.Logger.LogAttrs(ctx, slog.LevelError, "command will be retried",
		append(p.describe(it), slog.Int("attempt", it.tries), slog.Any("error", err))...)
	return it.tries
}
