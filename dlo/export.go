package dlo

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"path/filepath"

	"github.com/klauspost/compress/gzip"
)

// Export writes the chosen letters as a gzipped tar: the files as they lie,
// in order of acceptance, below <command>/ (imported/ for PuppetDB's). A letter
// that goes meanwhile is left out. It returns the number of letters written.
func (o *Office) Export(ctx context.Context, s Selection, w io.Writer) (int, error) {
	list, err := o.selected(ctx, s)
	if err != nil {
		return 0, err
	}
	z := gzip.NewWriter(w)
	t := tar.NewWriter(z)
	n := 0
	for _, l := range list {
		if err := ctx.Err(); err != nil {
			return n, err
		}
		ok, err := o.exportLetter(t, l)
		if err != nil {
			return n, fmt.Errorf("export letter %s: %w", l.name(), err)
		}
		if ok {
			n++
		}
	}
	if err := errors.Join(t.Close(), z.Close()); err != nil {
		return n, fmt.Errorf("export letters: %w", err)
	}
	return n, nil
}

func (o *Office) exportLetter(t *tar.Writer, l *letter) (bool, error) {
	folder := directory(l.meta.Command)
	if l.imported {
		folder = "imported"
	}
	ok, err := o.exportBody(t, path.Join(folder, l.name()), o.bodyPath(l))
	if err != nil || !ok {
		return false, err
	}
	for _, file := range []string{o.diagnosisPath(l), o.textPath(l)} {
		text, err := o.readFile(file)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return false, err
		}
		if err := o.exportFile(t, path.Join(folder, filepath.Base(file)), int64(len(text)), bytes.NewReader(text)); err != nil {
			return false, err
		}
	}
	return true, nil
}

func (o *Office) exportBody(t *tar.Writer, name, file string) (bool, error) {
	body, err := o.cfg.FS.Open(file)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer body.Close() // read only: nothing to lose
	st, err := o.cfg.FS.Stat(file)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, o.exportFile(t, name, st.Size, body)
}

func (o *Office) exportFile(t *tar.Writer, name string, size int64, r io.Reader) error {
	h := &tar.Header{Name: name, Mode: 0o640, Size: size, ModTime: o.cfg.Now(), Format: tar.FormatPAX}
	if err := t.WriteHeader(h); err != nil {
		return err
	}
	_, err := io.Copy(t, r)
	return err
}
