package dlo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"dalang/wireformat"
)

// check tells what is wrong with a letter today: nil when the command would be
// taken in now, a *wireformat.Error when it is at fault, another error when
// the body cannot be read. A letter that the store refused passes: only the
// store can tell.
func (o *Office) check(l *letter) error {
	f, err := o.open(l)
	if err != nil {
		return err
	}
	defer f.Close() // read only: nothing to lose
	body, err := wireformat.Inflate(f, l.meta.Gzip, o.cfg.MaxBody, nil)
	if err != nil {
		return fmt.Errorf("read letter: %w", err)
	}
	return o.checkBody(l, body)
}

func (o *Office) checkBody(l *letter, body []byte) error {
	_, err := wireformat.Decode(l.meta.Command, l.meta.Version, l.meta.Received, body)
	return err
}

// open opens a letter's body as it lies. A body that has gone is ErrNotFound.
func (o *Office) open(l *letter) (io.ReadCloser, error) {
	f, err := o.cfg.FS.Open(o.bodyPath(l))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: its file %s has been taken away", ErrNotFound, l.name())
	}
	if err != nil {
		return nil, fmt.Errorf("open letter: %w", err)
	}
	return f, nil
}

// diagnose writes the diagnosis that a crash prevented, from what the body
// tells. Only the disk makes it fail.
func (o *Office) diagnose(l *letter) error {
	d := o.blank(l)
	d.DiscardedAt = stamp(o.cfg.Now())
	d.Cause = CauseUnknown
	d.Message = "the reason was lost in a crash, and the body reads well"
	var bad *wireformat.Error
	if err := o.check(l); errors.As(err, &bad) {
		d.Cause, d.Message = bad.Cause, bad.Message
		d.setProblems(bad.Problems)
	} else if err != nil {
		d.Message = "the reason was lost in a crash, and the body cannot be read: " + err.Error()
	}
	if err := o.writeDiagnosis(l, d); err != nil {
		return fmt.Errorf("write a lost diagnosis: %w", err)
	}
	o.mu.Lock()
	l.noted = true
	o.mu.Unlock()
	o.renote(l, d, false)
	o.cfg.Logger.Warn("wrote the diagnosis that a crash prevented", "uuid", d.UUID, "file", d.File, "cause", d.Cause)
	return nil
}

// BodyErrorTrailer is the trailer of an answer whose body holds what could be
// read of a letter's body: why the rest could not.
const BodyErrorTrailer = "X-Dalang-Body-Error"

// Body opens the body of a letter, decompressed. Corrupt bodies fail while
// being read, with a *wireformat.Error.
func (o *Office) Body(ctx context.Context, id string) (io.ReadCloser, error) {
	l, err := o.lookup(ctx, id)
	if err != nil {
		return nil, err
	}
	f, err := o.open(l)
	if err != nil || !l.meta.Gzip {
		return f, err
	}
	return &pair{wireformat.Gunzip(f), f}, nil
}

// RawBody opens the body of a letter as it was received.
func (o *Office) RawBody(ctx context.Context, id string) (io.ReadCloser, error) {
	l, err := o.lookup(ctx, id)
	if err != nil {
		return nil, err
	}
	return o.open(l)
}

// pair is a reader with something to close below it.
type pair struct {
	io.ReadCloser
	below io.Closer
}

func (p *pair) Close() error { return errors.Join(p.ReadCloser.Close(), p.below.Close()) }
