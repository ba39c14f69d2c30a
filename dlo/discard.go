package dlo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"

	"dalang/commands"
	"dalang/commands/queue"
)

// Discard takes a letter in: when it returns nil, body and diagnosis are
// durable and the body has left l.BodyPath. After an error (always the disk's)
// or a crash it may be called again for the same letter. The error wraps
// fs.ErrNotExist when the body is in neither place. See doc.go for the order.
func (o *Office) Discard(ctx context.Context, l commands.Letter) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	in := &letter{id: l.Entry.ID, meta: l.Entry.Meta, read: true, noted: true}
	d := Diagnosis{
		Certname: l.Certname, Client: l.Client, Cause: l.Cause, Message: l.Message,
		Attempts: slices.Clone(l.Attempts), Stack: l.Stack,
		DiscardedAt: stamp(o.cfg.Now()), DalangVersion: o.cfg.Version,
	}
	d.setProblems(l.Problems)
	if len(d.Attempts) == 0 {
		d.Attempts = []queue.Attempt{{At: d.DiscardedAt.Time, Error: l.Message}}
	}
	for i := range d.Attempts {
		d.Attempts[i].At = stamp(d.Attempts[i].At).Time
	}
	done, err := o.takeBody(in, l.BodyPath)
	if err != nil {
		o.giveBack(in, l.BodyPath)
		return fmt.Errorf("move command %s to the dead letter office: %w", l.Entry.UUID, err)
	}
	if done {
		return nil
	}
	e := queue.Entry{ID: in.id, Meta: in.meta, UUID: l.Entry.UUID, Size: l.Entry.Size}
	if st, err := o.cfg.FS.Stat(o.bodyPath(in)); err == nil {
		e.Size = st.Size
	}
	d.fill(e)
	if err := o.writeDiagnosis(in, d); err != nil {
		o.giveBack(in, l.BodyPath)
		return fmt.Errorf("write the diagnosis of command %s: %w", d.UUID, err)
	}
	in.note(d)
	o.add(in)
	o.metrics.discarded.WithLabelValues(string(d.Command), d.Cause).Inc()
	o.cfg.Logger.Debug("letter taken in", slog.Any("uuid", d.UUID), slog.String("command", string(d.Command)),
		slog.Int("version", d.Version), slog.String("certname", d.Certname), slog.String("cause", d.Cause),
		slog.String("error", cut(d.Message, maxMessage)), slog.Int64("bytes", d.Size), slog.String("file", d.File))
	o.wake()
	return nil
}

// wake tells Run that the quota may be exceeded.
func (o *Office) wake() {
	if o.cfg.MaxBytes == 0 {
		return
	}
	select {
	case o.settled <- struct{}{}:
	default: // it has been told
	}
}

// takeBody moves a body here durably. done: the whole letter was here before.
// It changes in.id when another letter has the name.
func (o *Office) takeBody(in *letter, from string) (done bool, err error) {
	if err := o.cfg.FS.MkdirAll(o.folder(in)); err != nil {
		return false, err
	}
	for {
		err := o.move(from, o.bodyPath(in))
		switch {
		case errors.Is(err, fs.ErrExist):
			twin, err := o.sameContent(from, o.bodyPath(in))
			if err != nil {
				return false, err
			}
			if !twin {
				in.id = o.freeID()
				continue
			}
			// A crash brought back the body's place in the queue as well.
			if err := o.cfg.FS.Remove(from); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return false, err
			}
		case errors.Is(err, fs.ErrNotExist):
			if _, e := o.cfg.FS.Stat(o.bodyPath(in)); e != nil {
				return false, err
			}
			if o.holds(in) {
				return true, nil
			}
			// Moved before, but perhaps a sync failed after it, and a second one
			// would prove nothing: make the name anew.
			if err := o.rewrite(o.bodyPath(in)); err != nil {
				return false, err
			}
		case err != nil:
			return false, err
		}
		// Here before there: the body is never in neither.
		if err := o.cfg.FS.SyncDir(o.folder(in)); err != nil {
			return false, err
		}
		return false, o.cfg.FS.SyncDir(filepath.Dir(from))
	}
}

// giveBack returns a body, if it has been moved, to where it came from: it or
// its diagnosis could not be made durable (the disk may be full), and whoever
// tries again looks there. When that fails too, the body stays here, and the
// next Open finds out what is wrong with it.
func (o *Office) giveBack(in *letter, to string) {
	err := o.cfg.FS.Move(o.bodyPath(in), to)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrExist) {
		return // it has not been moved
	}
	if err == nil {
		err = errors.Join(o.cfg.FS.SyncDir(filepath.Dir(to)), o.cfg.FS.SyncDir(o.folder(in)))
	}
	if err != nil {
		o.cfg.Logger.Warn("left a letter without a diagnosis", "file", in.name(), "error", err)
	}
}

// move is a rename, or a durable copy when the queue lies on another file
// system.
func (o *Office) move(from, to string) error {
	err := o.cfg.FS.Move(from, to)
	if !errors.Is(err, syscall.EXDEV) {
		return err
	}
	body, err := o.cfg.FS.Open(from)
	if err != nil {
		return err
	}
	defer body.Close() // read only: nothing to lose
	tmp, err := o.writeTmp(filepath.Dir(to), body)
	if err != nil {
		return err
	}
	if err := o.cfg.FS.Move(tmp, to); err != nil {
		o.discard(tmp)
		return err
	}
	if err := o.cfg.FS.SyncDir(filepath.Dir(to)); err != nil {
		return err
	}
	return o.cfg.FS.Remove(from)
}

// rewrite puts a copy of a file in its place.
func (o *Office) rewrite(path string) error {
	f, err := o.cfg.FS.Open(path)
	if err != nil {
		return err
	}
	defer f.Close() // read only: nothing to lose
	return o.writeFrom(path, f)
}

// holds tells whether the office knows a letter of this name.
func (o *Office) holds(in *letter) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	_, found := slices.BinarySearchFunc(o.order, in, byAcceptance)
	return found
}

// freeID is an id that no letter has.
func (o *Office) freeID() uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	var top uint64
	for _, l := range o.order {
		top = max(top, l.id)
	}
	return top + 1
}

func (o *Office) sameContent(a, b string) (bool, error) {
	fa, err := o.cfg.FS.Open(a)
	if err != nil {
		return false, err
	}
	defer fa.Close() // read only: nothing to lose
	fb, err := o.cfg.FS.Open(b)
	if err != nil {
		return false, err
	}
	defer fb.Close()
	ba, bb := make([]byte, 32<<10), make([]byte, 32<<10)
	for {
		na, errA := io.ReadFull(fa, ba)
		nb, errB := io.ReadFull(fb, bb)
		for _, err := range []error{errA, errB} {
			if err != nil && !ended(err) {
				return false, err
			}
		}
		if !bytes.Equal(ba[:na], bb[:nb]) {
			return false, nil
		}
		if errA != nil { // equal lengths: both have ended
			return true, nil
		}
	}
}

func ended(err error) bool { return err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF) }

// writeDiagnosis puts both diagnoses beside a body, durably. The one for
// programs comes last: where it is, the letter is complete.
func (o *Office) writeDiagnosis(l *letter, d Diagnosis) error {
	text, err := d.encode()
	if err != nil {
		return err
	}
	if !l.imported { // PuppetDB's own text stays
		if err := o.writeFile(o.textPath(l), []byte(d.text())); err != nil {
			return err
		}
	}
	if err := o.writeFile(o.diagnosisPath(l), text); err != nil {
		return err
	}
	return o.cfg.FS.SyncDir(o.folder(l))
}

// writeFile puts a file in place whole, in place of what was there. It is
// durable after a sync of the directory.
func (o *Office) writeFile(path string, content []byte) error {
	return o.writeFrom(path, bytes.NewReader(content))
}

func (o *Office) writeFrom(path string, content io.Reader) error {
	tmp, err := o.writeTmp(filepath.Dir(path), content)
	if err != nil {
		return err
	}
	if err := o.cfg.FS.Replace(tmp, path); err != nil {
		o.discard(tmp)
		return err
	}
	return nil
}

// writeTmp writes and syncs a new file in dir and returns its path.
func (o *Office) writeTmp(dir string, content io.Reader) (string, error) {
	var f queue.File
	var path string
	for {
		path = filepath.Join(dir, tmpPrefix+strconv.FormatUint(o.tmp.Add(1), 10))
		var err error
		if f, err = o.cfg.FS.Create(path); err == nil {
			break
		} else if !errors.Is(err, fs.ErrExist) {
			return "", err
		}
	}
	_, err := io.Copy(f, content)
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err != nil {
		o.discard(path)
		return "", err
	}
	return path, nil
}
