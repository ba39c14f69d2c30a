package faultfs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"dalang/commands/queue"
)

// Op is one operation on the disk.
type Op struct {
	N    int    // counted from 1, from New or Reset
	Kind string // mkdir, create, open, write, sync, close, move, replace, remove, syncdir, readdir, stat, lock
	Path string
	To   string // of a move or replace
	Size int    // of a write
}

func (o Op) String() string {
	switch o.Kind {
	case "move", "replace":
		return o.Kind + " " + o.Path + " to " + o.To
	case "write":
		return fmt.Sprintf("%s %s (%d bytes)", o.Kind, o.Path, o.Size)
	}
	return o.Kind + " " + o.Path
}

// Fault is an error with a side effect: the operation is done, or partly, and
// fails all the same. Any other error of a hook means that nothing was done.
type Fault struct {
	Err  error
	Done bool // the operation took effect
	Keep int  // bytes that a failing write writes
}

func (f *Fault) Error() string { return f.Err.Error() }
func (f *Fault) Unwrap() error { return f.Err }

// FS is the disk. It is safe for concurrent use.
type FS struct {
	mu     sync.Mutex
	root   *dir
	locked map[string]bool
	log    []string
	n      int
	before func(Op) error
}

var _ queue.FS = (*FS)(nil)

// New makes an empty disk.
func New() *FS { return &FS{root: newDir(), locked: map[string]bool{}} }

// Before sets a function that is called before each operation, while nothing
// is locked: it may take a Crash. Its error fails the operation; nil lets it be.
func (f *FS) Before(hook func(Op) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.before = hook
}

// FailAt fails the n-th operation from now, counted from 1, and no other.
func (f *FS) FailAt(n int, err error) {
	f.Reset()
	f.Before(func(o Op) error {
		if o.N == n {
			return err
		}
		return nil
	})
}

// Reset forgets the log, the count and the hook.
func (f *FS) Reset() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.log, f.n, f.before = nil, 0, nil
}

// Log is the operations since New or Reset, one a line, failed ones with
// their error.
func (f *FS) Log() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.log)
}

// Count is how many operations of a kind there were since New or Reset; of all
// when kind is empty.
func (f *FS) Count(kind string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	if kind == "" {
		return f.n
	}
	n := 0
	for _, line := range f.log {
		if strings.HasPrefix(line, kind+" ") {
			n++
		}
	}
	return n
}

// do is every operation: it is counted, asked about, done and logged.
func (f *FS) do(o Op, act func() error) error {
	f.mu.Lock()
	f.n++
	o.N = f.n
	hook := f.before
	f.mu.Unlock()
	var err error
	if hook != nil {
		err = hook(o)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case err == nil:
		err = act()
	case !refused(err):
		_ = act() // its own failure is not what the caller hears
	}
	if err != nil {
		f.log = append(f.log, o.String()+": "+err.Error())
		return &fs.PathError{Op: o.Kind, Path: o.Path, Err: err}
	}
	f.log = append(f.log, o.String())
	return nil
}

// refused tells whether an error came from the hook and nothing was done.
func refused(err error) bool {
	var fault *Fault
	return err != nil && !(errors.As(err, &fault) && fault.Done)
}

// MkdirAll makes and syncs one directory after the other, as queue.OS does.
func (f *FS) MkdirAll(path string) error {
	var missing []string
	for p := filepath.Clean(path); ; p = filepath.Dir(p) {
		f.mu.Lock()
		n, err := f.find(p)
		f.mu.Unlock()
		if err == nil {
			if _, ok := n.(*dir); !ok {
				return &fs.PathError{Op: "mkdir", Path: p, Err: syscall.ENOTDIR}
			}
			break
		}
		missing = append(missing, p)
	}
	slices.Reverse(missing)
	for _, p := range missing {
		err := f.do(Op{Kind: "mkdir", Path: p}, func() error { return f.add(p, newDir()) })
		if err != nil {
			return err
		}
		if err := f.SyncDir(filepath.Dir(p)); err != nil {
			_ = f.Remove(p)
			return err
		}
	}
	return nil
}

// Create makes a new file.
func (f *FS) Create(path string) (queue.File, error) {
	n := &file{modified: time.Now()}
	if err := f.do(Op{Kind: "create", Path: path}, func() error { return f.add(path, n) }); err != nil {
		return nil, err
	}
	return &writing{f, path, n}, nil
}

// Open opens a file for reading; what is written later is not seen.
func (f *FS) Open(path string) (io.ReadCloser, error) {
	var text []byte
	err := f.do(Op{Kind: "open", Path: path}, func() error {
		n, err := f.find(path)
		if err != nil {
			return err
		}
		body, ok := n.(*file)
		if !ok {
			return syscall.EISDIR
		}
		text = bytes.Clone(body.data)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return io.NopCloser(bytes.NewReader(text)), nil
}

// Move renames and never replaces.
func (f *FS) Move(oldPath, newPath string) error { return f.rename("move", oldPath, newPath) }

// Replace renames.
func (f *FS) Replace(oldPath, newPath string) error { return f.rename("replace", oldPath, newPath) }

func (f *FS) rename(kind, oldPath, newPath string) error {
	return f.do(Op{Kind: kind, Path: oldPath, To: newPath}, func() error {
		n, err := f.find(oldPath)
		if err != nil {
			return err
		}
		if _, err := f.find(newPath); err == nil && kind == "move" {
			return fs.ErrExist
		}
		from, oldName, err := f.parent(oldPath)
		if err != nil {
			return err
		}
		to, newName, err := f.parent(newPath)
		if err != nil {
			return err
		}
		if from == to {
			from.change(step{remove: oldName, add: newName, node: n})
			return nil
		}
		to.change(step{add: newName, node: n})
		from.change(step{remove: oldName})
		return nil
	})
}

// Remove takes a name away, also of an empty directory.
func (f *FS) Remove(path string) error {
	return f.do(Op{Kind: "remove", Path: path}, func() error {
		n, err := f.find(path)
		if err != nil {
			return err
		}
		if d, ok := n.(*dir); ok && len(d.live) > 0 {
			return syscall.ENOTEMPTY
		}
		d, name, err := f.parent(path)
		if err != nil {
			return err
		}
		d.change(step{remove: name})
		return nil
	})
}

// SyncDir makes the changes of a directory certain.
func (f *FS) SyncDir(path string) error {
	err := f.do(Op{Kind: "syncdir", Path: path}, func() error {
		d, err := f.directory(path)
		if err != nil {
			return err
		}
		d.settle(certain)
		return nil
	})
	if refused(err) {
		f.mu.Lock()
		defer f.mu.Unlock()
		if d, e := f.directory(path); e == nil {
			d.settle(doubtful)
		}
	}
	return err
}

// ReadDir lists a directory, sorted.
func (f *FS) ReadDir(path string) (names []string, err error) {
	err = f.do(Op{Kind: "readdir", Path: path}, func() error {
		d, err := f.directory(path)
		if err != nil {
			return err
		}
		for name := range d.live {
			names = append(names, name)
		}
		slices.Sort(names)
		return nil
	})
	return names, err
}

// Stat tells what a name stands for.
func (f *FS) Stat(path string) (info queue.Info, err error) {
	err = f.do(Op{Kind: "stat", Path: path}, func() error {
		n, err := f.find(path)
		if err != nil {
			return err
		}
		if body, ok := n.(*file); ok {
			info = queue.Info{Size: int64(len(body.data)), Modified: body.modified}
		} else {
			info.Dir = true
		}
		return nil
	})
	return info, err
}

// Lock takes a file until it is closed; a crash or kill gives it free.
func (f *FS) Lock(path string) (io.Closer, error) {
	err := f.do(Op{Kind: "lock", Path: path}, func() error {
		if f.locked[path] {
			return queue.ErrLocked
		}
		if _, err := f.find(path); err != nil {
			if err := f.add(path, &file{}); err != nil {
				return err
			}
		}
		f.locked[path] = true
		return nil
	})
	release := unlock(func() error {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.locked, path)
		return nil
	})
	if err == nil {
		return release, nil
	}
	if !errors.Is(err, queue.ErrLocked) {
		_ = release() // done or not: the caller has nothing to close
	}
	return nil, err
}

type unlock func() error

func (u unlock) Close() error { return u() }

// writing is a queue.File.
type writing struct {
	f    *FS
	path string
	body *file
}

func (w *writing) Write(p []byte) (n int, err error) {
	err = w.f.do(Op{Kind: "write", Path: w.path, Size: len(p)}, func() error {
		w.body.data = append(w.body.data, p...)
		return nil
	})
	if err == nil {
		return len(p), nil
	}
	var fault *Fault
	if errors.As(err, &fault) && !fault.Done {
		n = min(fault.Keep, len(p))
		w.f.mu.Lock()
		w.body.data = append(w.body.data, p[:n]...)
		w.f.mu.Unlock()
	}
	return n, err
}

func (w *writing) Sync() error {
	err := w.f.do(Op{Kind: "sync", Path: w.path}, func() error {
		if !w.body.doubt {
			w.body.safe = bytes.Clone(w.body.data)
		}
		return nil
	})
	if refused(err) {
		w.f.mu.Lock()
		defer w.f.mu.Unlock()
		w.body.doubt = true
	}
	return err
}

func (w *writing) Close() error {
	return w.f.do(Op{Kind: "close", Path: w.path}, func() error { return nil })
}
