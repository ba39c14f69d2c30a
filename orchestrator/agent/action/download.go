package action

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

type downloadParams struct {
	Files   []downloadFile `json:"files"`
	Timeout seconds        `json:"timeout"`
}

type downloadFile struct {
	URI         *uri   `json:"uri"`
	SHA256      string `json:"sha256"`
	Destination string `json:"destination"`
	Kind        string `json:"kind"`
	LinkSource  string `json:"link_source"`
}

func (d *downloadFile) file() file {
	return file{Filename: filepath.Base(d.Destination), SHA256: d.SHA256, URI: d.URI}
}

func (d *downloadFile) check(where string) error {
	if !filepath.IsAbs(d.Destination) || filepath.Clean(d.Destination) == "/" {
		return fmt.Errorf("%s: destination must be an absolute path", where)
	}
	switch d.Kind {
	case "directory":
		return nil
	case "symlink":
		if d.LinkSource == "" {
			return fmt.Errorf("%s: link_source is missing", where)
		}
		return nil
	case "file":
		f := d.file()
		return f.check(where)
	}
	return fmt.Errorf("%s: kind must be file, directory or symlink", where)
}

func checkDownload(params json.RawMessage) error {
	var p downloadParams
	if err := decode(params, &p); err != nil {
		return err
	}
	var errs []error
	for i := range p.Files {
		errs = append(errs, p.Files[i].check(fmt.Sprintf("files[%d]", i)))
	}
	return errors.Join(append(errs, p.Timeout.check())...)
}

// runDownload puts files, directories and links where the request says, in its
// order, and ends at the first that it cannot.
func runDownload(ctx context.Context, _ string, o *Order) Result {
	var p downloadParams
	if err := decode(o.Params, &p); err != nil {
		return failed("%v", err)
	}
	limit := o.Settings.limit(p.Timeout.duration())
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	fetch := newFetcher(&o.Settings)
	for _, d := range p.Files {
		if err := d.put(ctx, fetch); err != nil {
			if ctx.Err() != nil {
				return failed("%s: it took longer than %v", d.Destination, limit)
			}
			return failed("%s: %v", d.Destination, err)
		}
	}
	return Result{Stdout: "downloaded"}
}

func (d *downloadFile) put(ctx context.Context, fetch *fetcher) error {
	info, err := os.Lstat(d.Destination)
	there := err == nil
	switch d.Kind {
	case "directory":
		if target, err := os.Stat(d.Destination); err == nil && !target.IsDir() {
			return errors.New("it exists and is no directory")
		}
		return os.MkdirAll(d.Destination, execMode)
	case "symlink":
		if there && info.Mode()&os.ModeSymlink == 0 {
			return errors.New("it exists and is no symbolic link")
		}
		if there {
			return nil
		}
		return os.Symlink(d.LinkSource, d.Destination)
	}
	cached, err := fetch.cached(ctx, d.file())
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(d.Destination), execMode); err != nil {
		return err
	}
	return copyFile(cached, d.Destination)
}
