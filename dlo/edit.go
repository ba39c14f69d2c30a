package dlo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/klauspost/compress/gzip"

	"dalang/wireformat"
)

// MaxBody is how many decompressed bytes a command may have.
func (o *Office) MaxBody() int64 { return o.cfg.MaxBody }

// Replace puts another body, plain JSON, in the place of a letter's. One that
// would fail again is refused with a *wireformat.Error, unless force is set;
// then the diagnosis tells what is wrong with the new one.
func (o *Office) Replace(ctx context.Context, id string, body []byte, force bool) (Summary, error) {
	if _, err := o.lookup(ctx, id); err != nil {
		return Summary{}, err
	}
	l, err := o.claim(id)
	if err != nil {
		return Summary{}, err
	}
	defer o.release(l)
	if int64(len(body)) > o.cfg.MaxBody {
		return Summary{}, &wireformat.Error{Cause: wireformat.CauseTooLarge,
			Message: fmt.Sprintf("the body has %d bytes, more than the %d that a command may have", len(body), o.cfg.MaxBody)}
	}
	d := o.readOrGuess(l)
	payload, err := wireformat.Decode(l.meta.Command, l.meta.Version, l.meta.Received, body)
	var bad *wireformat.Error
	switch {
	case err == nil:
		if payload.Node() != "" {
			d.Certname = payload.Node()
		}
	case errors.As(err, &bad) && force:
		d.Cause, d.Message = bad.Cause, bad.Message
		d.setProblems(bad.Problems)
	default:
		return Summary{}, err
	}
	return o.replace(l, d, body)
}

// replace writes the body under the old name, hence as gzip if it was, and
// then the diagnosis. The caller has the letter claimed.
func (o *Office) replace(l *letter, d Diagnosis, body []byte) (Summary, error) {
	if l.meta.Gzip {
		var packed bytes.Buffer
		z := gzip.NewWriter(&packed)
		_, err := z.Write(body)
		if err = errors.Join(err, z.Close()); err != nil {
			return Summary{}, fmt.Errorf("compress body: %w", err)
		}
		body = packed.Bytes()
	}
	if err := o.writeFile(o.bodyPath(l), body); err != nil {
		return Summary{}, fmt.Errorf("write body: %w", err)
	}
	edited := stamp(o.cfg.Now())
	d.EditedAt, d.Size, d.DalangVersion = &edited, int64(len(body)), o.cfg.Version
	if err := o.writeDiagnosis(l, d); err != nil { // syncs the body's name too
		return Summary{}, fmt.Errorf("write diagnosis: %w", err)
	}
	o.renote(l, d, false)
	o.cfg.Logger.Info("letter edited", slog.Any("uuid", d.UUID), slog.String("command", string(d.Command)),
		slog.String("certname", d.Certname), slog.String("cause", d.Cause), slog.String("file", d.File))
	return o.describe(l), nil
}
