package commands

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"dalang/commands/queue"
	"dalang/wireformat"
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

// submittedBody writes a body to the queue's file as it came and, if there is
// a checksum, decompresses and hashes it on the way.
type submittedBody struct {
	Submission
	processor *Processor
	plain     []byte // the decompressed body, if it was needed and is not large
}

// Read makes it an io.Reader; the queue calls WriteTo.
func (b *submittedBody) Read(p []byte) (int, error) { return b.Body.Read(p) }

// WriteTo writes the body to w, a queue.Spool.
func (b *submittedBody) WriteTo(w io.Writer) (int64, error) {
	tee := &countingTee{r: b.Body, w: w}
	if b.Checksum == "" || !b.processor.cfg.VerifyChecksum {
		_, err := io.Copy(io.Discard, tee)
		return tee.n, err
	}
	leave, err := b.ownTurn()
	if err != nil {
		return 0, err
	}
	defer leave()
	tee.r = b.Body
	form := wireformat.DigestForm(b.processor.form.Load())
	digest := wireformat.NewDigest(form, b.Command, b.Version, b.Certname)
	err = b.digest(tee, digest)
	var bad *wireformat.Error
	switch {
	case errors.As(err, &bad) && bad.Cause == wireformat.CauseTooLarge:
		if b.processor.cfg.RejectLarge {
			return tee.n, err
		}
		_, err := io.Copy(io.Discard, tee) // on to the dead letter office
		return tee.n, err
	case errors.As(err, &bad):
		return tee.n, &ChecksumError{Expected: b.Checksum, Err: bad}
	case err != nil:
		return tee.n, err
	}
	if _, err := io.Copy(io.Discard, tee); err != nil { // what follows the gzip member
		return tee.n, err
	}
	computed := digest.End()
	if wireformat.SameDigest(b.Checksum, computed) {
		return tee.n, nil
	}
	return tee.n, b.otherForms(w, form.Other(), computed)
}

// otherForms tries what else a right checksum may be computed of; computed is
// what the first form gave.
func (b *submittedBody) otherForms(w io.Writer, form wireformat.DigestForm, computed string) error {
	digest := wireformat.NewDigest(form, b.Command, b.Version, b.Certname)
	if err := b.again(w, digest); err != nil {
		return err
	}
	other := digest.End()
	if wireformat.SameDigest(b.Checksum, other) {
		b.processor.form.Store(int32(form))
		return nil
	}
	if b.plain == nil {
		whole := &bytes.Buffer{}
		if err := b.again(w, whole); err != nil {
			return err
		}
		b.plain = whole.Bytes()
	}
	if sum, err := wireformat.PythonDigest(b.plain); err == nil && wireformat.SameDigest(b.Checksum, sum) {
		return nil
	}
	if form == wireformat.Bare {
		computed = other
	}
	return &ChecksumError{Expected: b.Checksum, Computed: computed}
}

// again writes the plain body to w once more.
func (b *submittedBody) again(spool io.Writer, w io.Writer) error {
	if b.plain != nil {
		_, err := w.Write(b.plain)
		return err
	}
	r, err := spool.(queue.Spool).Reread()
	if err != nil {
		return err
	}
	defer r.Close()
	var plain io.Reader = r
	if b.Gzip {
		gz := wireformat.Gunzip(r)
		defer gz.Close()
		plain = gz
	}
	_, err = io.Copy(w, plain)
	return err
}

// ownTurn waits until fewer than Verifiers bodies are decompressed and hashed.
// Otherwise a burst of submissions would take the processor from the workers,
// and what it decompressed would be forgotten before its turn comes. Nobody
// waits for a slow client: the body is read first, and one that is larger
// than most goes on without waiting.
func (b *submittedBody) ownTurn() (leave func(), err error) {
	start := b.processor.buffers.get()
	n, err := io.ReadFull(b.Body, start[:cap(start)])
	start = start[:n]
	switch err {
	case io.EOF, io.ErrUnexpectedEOF:
		b.Body = bytes.NewReader(start)
	case nil:
		b.Body = io.MultiReader(bytes.NewReader(start), b.Body)
		return func() { b.processor.buffers.put(start) }, nil
	default:
		b.processor.buffers.put(start)
		return nil, err
	}
	b.processor.verify <- struct{}{}
	return func() {
		<-b.processor.verify
		b.processor.buffers.put(start)
	}, nil
}

// digest reads the plain body through the digest, keeping it if there is room.
func (b *submittedBody) digest(tee io.Reader, digest *wireformat.Digest) error {
	plain := tee
	if b.Gzip {
		gz := wireformat.Gunzip(tee)
		defer gz.Close()
		plain = gz
	}
	buf := b.processor.buffers.get()
	keep := true
	var total int64
	for {
		if len(buf) == cap(buf) {
			if keep && b.processor.cache.room(2*int64(cap(buf))) {
				buf = append(buf, 0)[:len(buf)]
			} else {
				keep, buf = false, buf[:0]
			}
		}
		n, err := plain.Read(buf[len(buf):cap(buf)])
		_, _ = digest.Write(buf[len(buf) : len(buf)+n])
		total += int64(n)
		if keep {
			buf = buf[:len(buf)+n]
		}
		if total > b.processor.cfg.MaxBody {
			b.processor.buffers.put(buf)
			return &wireformat.Error{Cause: wireformat.CauseTooLarge,
				Message: fmt.Sprintf("the command is larger than the limit of %d bytes", b.processor.cfg.MaxBody)}
		}
		if err != nil && err != io.EOF {
			b.processor.buffers.put(buf)
			return err
		}
		if err == io.EOF {
			break
		}
	}
	if keep {
		b.plain = buf
	} else {
		b.processor.buffers.put(buf)
	}
	return nil
}

// countingTee writes what is read to w.
type countingTee struct {
	r io.Reader
	w io.Writer
	n int64
}

func (t *countingTee) Read(p []byte) (int, error) {
	n, err := t.r.Read(p)
	if n > 0 {
		written, writeErr := t.w.Write(p[:n])
		t.n += int64(written)
		if writeErr != nil {
			return n, writeErr
		}
	}
	return n, err
}
