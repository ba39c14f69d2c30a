package commands

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"dalang/commands/queue"
)

// Enqueue makes a command durable and answers the uuid that Status knows it
// by. Its errors mean that nothing was queued: *ChecksumError, *FullError,
// *UnavailableError, ErrShutdown, *wireformat.Error for a body that is too
// large, or whatever reading the body failed with.
func (p *Processor) Enqueue(ctx context.Context, s Submission) (uuid.UUID, error) {
	return p.enqueue(ctx, s, nil)
}

// EnqueueAndWait enqueues and waits for the end of the first try.
func (p *Processor) EnqueueAndWait(ctx context.Context, s Submission, timeout time.Duration) (uuid.UUID, Waited, error) {
	done := make(chan Waited, 1)
	id, err := p.enqueue(ctx, s, done)
	if err != nil {
		return id, Waited{}, err
	}
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case w := <-done:
		return id, w, nil
	case <-timer.C:
	case <-ctx.Done():
	}
	return id, Waited{TimedOut: true}, nil
}

func (p *Processor) enqueue(ctx context.Context, s Submission, done chan<- Waited) (uuid.UUID, error) {
	if p.closing.Load() {
		return uuid.UUID{}, ErrShutdown
	}
	if depth := p.Depth(); depth >= p.cfg.MaxQueued {
		return uuid.UUID{}, &FullError{Queued: depth, RetryAfter: 10 * time.Second}
	}
	p.coming.Add(1)
	defer p.coming.Add(-1)
	meta := queue.NewMeta(s.Command, s.Version, s.Certname, p.cfg.Now(), s.Producer, s.Gzip)
	body := &submittedBody{Submission: s, processor: p}
	entry, err := p.cfg.Queue.Put(ctx, meta, body)
	if err != nil {
		p.buffers.put(body.plain)
		var disk *queue.DiskError
		if errors.As(err, &disk) || errors.Is(err, queue.ErrClosed) {
			return uuid.UUID{}, &UnavailableError{err}
		}
		return uuid.UUID{}, err
	}
	if body.plain != nil && !p.cache.put(entry.UUID, body.plain) {
		p.buffers.put(body.plain)
	}
	it := &item{entry: entry, certname: s.Certname, client: s.Client}
	if done != nil {
		it.waiters = append(it.waiters, done)
	}
	command, version := string(meta.Command), versionLabel(meta)
	p.metrics.received.WithLabelValues(command, version).Inc()
	p.metrics.queued.WithLabelValues(command, version).Inc()
	p.metrics.size.WithLabelValues(command, version).Observe(float64(entry.Size))
	p.pending.add(it)
	p.cfg.Logger.LogAttrs(ctx, slog.LevelDebug, "command enqueued", slog.String("uuid", entry.UUID.String()), slog.Uint64("id", entry.ID),
		slog.String("command", command), slog.Int("version", meta.Version), slog.String("certname", s.Certname), slog.String("client", s.Client))
	return entry.UUID, nil
}
