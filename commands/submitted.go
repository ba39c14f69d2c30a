package commands

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"dalang/commands/queue"
	"dalang/wireformat"
	"dalang/wireformat/gunzip"
)

// submittedBody writes a body to the queue's file as it came and, if there is
// a checksum, decompresses and hashes it on the way.
type submittedBody struct {
	Submission
	processor *Processor
	whole     []byte // the body as it came, if it is not large
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

// maxWhole is the largest body that is read before it waits for its turn.
const maxWhole = 1 << 20

// ownTurn waits until fewer than Verifiers bodies are decompressed and hashed.
// Otherwise a burst of submissions would take the processor from the workers,
// and what it decompressed would be forgotten before its turn comes. Nobody
// waits for a slow client: the body is read first, and one that is larger
// than most, or than there is room for, goes on without waiting.
func (b *submittedBody) ownTurn() (leave func(), err error) {
	p := b.processor
	start := p.buffers.get()
	limit := cap(start)
	if p.cache.room(maxWhole) {
		limit = maxWhole
	}
	start, whole, err := wireformat.ReadStart(b.Body, start, limit)
	if err != nil {
		p.buffers.put(start)
		return nil, err
	}
	if !whole {
		b.Body = io.MultiReader(bytes.NewReader(start), b.Body)
		return func() { p.buffers.put(start) }, nil
	}
	b.whole = start
	b.Body = bytes.NewReader(start)
	p.verify <- struct{}{}
	return func() {
		<-p.verify
		p.buffers.put(start)
	}, nil
}

// digest reads the plain body through the digest, keeping it if there is room.
func (b *submittedBody) digest(tee io.Reader, digest *wireformat.Digest) error {
	buf := b.processor.buffers.get()
	plain := tee
	if b.Gzip {
		if buf = b.decode(buf); b.plain != nil {
			_, _ = digest.Write(b.plain)
			return nil
		}
		gz := wireformat.Gunzip(tee)
		defer gz.Close()
		plain = gz
	}
	buf, err := b.readInto(buf, plain, digest)
	if err != nil || buf == nil {
		b.processor.buffers.put(buf)
		return err
	}
	b.plain = buf
	return nil
}

// decode makes b.plain in buf at once, if the whole body is in memory and its
// plain form fits there; else reading the body tells the rest. It answers the
// memory to go on with.
func (b *submittedBody) decode(buf []byte) []byte {
	size, ok := gunzip.Size(b.whole)
	if !ok || int64(size) > b.processor.cfg.MaxBody {
		return buf
	}
	if need := size + gunzip.Slack; cap(buf) < need {
		if !b.processor.cache.room(int64(need)) {
			return buf
		}
		b.processor.buffers.put(buf)
		buf = make([]byte, 0, need)
	}
	if plain, _, err := gunzip.Member(buf, b.whole); err == nil {
		b.plain = plain
	}
	return buf
}

// readInto reads plain through the digest. It answers what it read, nil if
// there was no room to keep it; after an error, only memory to give back.
func (b *submittedBody) readInto(buf []byte, plain io.Reader, digest *wireformat.Digest) ([]byte, error) {
	p := b.processor
	keep := true
	var total int64
	for {
		if len(buf) == cap(buf) {
			if keep && p.cache.room(2*int64(cap(buf))) {
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
		if total > p.cfg.MaxBody {
			return buf, &wireformat.Error{Cause: wireformat.CauseTooLarge,
				Message: fmt.Sprintf("the command is larger than the limit of %d bytes", p.cfg.MaxBody)}
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return buf, err
		}
	}
	if keep {
		return buf, nil
	}
	p.buffers.put(buf)
	return nil, nil
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
