package queue

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// FS is all that the queue and the dead letter office ask of a disk. Paths
// are absolute or relative to the process, with the separators of the system.
//
// Methods may be called from many goroutines. Every error wraps the cause, so
// that errors.Is(err, fs.ErrNotExist), fs.ErrExist and syscall.ENOSPC work.
// Nothing is durable before a Sync or SyncDir that began after it returned
// nil. After a failed Sync or SyncDir nobody may assume anything about what it
// was to make durable; calling it again and getting nil proves nothing.
type FS interface {
	// MkdirAll makes a directory and its missing parents, and syncs every
	// directory in which it made one. An existing directory is no error. After
	// an error, what could not be synced is not there, if that can be helped.
	MkdirAll(path string) error
	// Create makes a new file for writing; fs.ErrExist when the name is taken.
	Create(path string) (File, error)
	// Open opens a file for reading.
	Open(path string) (io.ReadCloser, error)
	// Move gives a file another name, in one step, and never replaces: it
	// answers fs.ErrExist when the new name is taken. Durable after SyncDir of
	// both directories. Both names lie on one file system.
	Move(oldPath, newPath string) error
	// Replace gives a file another name, in one step; a file that bears the
	// new name already is gone afterwards.
	Replace(oldPath, newPath string) error
	// Remove takes a file's name away.
	Remove(path string) error
	// SyncDir makes the names in a directory durable.
	SyncDir(path string) error
	// ReadDir lists the names in a directory, in no order, without looking at
	// the files.
	ReadDir(path string) ([]string, error)
	// Stat tells what a name stands for.
	Stat(path string) (Info, error)
	// Lock takes a file (made when missing) for this process alone until the
	// returned closer is closed or the process ends. It does not wait: when
	// another holds it, the error is ErrLocked.
	Lock(path string) (io.Closer, error)
}

// File is a file being written. It is not safe for concurrent use.
type File interface {
	io.WriteCloser
	// Sync makes the content durable; the name needs SyncDir.
	Sync() error
}

// Info is what Stat tells of a name.
type Info struct {
	Size     int64
	Modified time.Time
	Dir      bool
}

// ErrLocked says that another process (or another Queue) has the directory.
var ErrLocked = errors.New("in use by another process")

// OS is the real disk.
func OS() FS { return osFS{} }

type osFS struct{}

func (osFS) MkdirAll(path string) error {
	var missing []string
	for dir := filepath.Clean(path); ; dir = filepath.Dir(dir) {
		if st, err := os.Stat(dir); err == nil {
			if !st.IsDir() {
				return &os.PathError{Op: "mkdir", Path: dir, Err: syscall.ENOTDIR}
			}
			break
		} else if !errors.Is(err, os.ErrNotExist) {
			return err
		}
		missing = append(missing, dir)
	}
	for i := len(missing) - 1; i >= 0; i-- {
		if err := os.Mkdir(missing[i], 0o750); err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
		if err := (osFS{}).SyncDir(filepath.Dir(missing[i])); err != nil {
			os.Remove(missing[i]) // so that the next call makes and syncs it
			return err
		}
	}
	return nil
}

func (osFS) Create(path string) (File, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o640)
	if err != nil {
		return nil, err // not f: a nil *os.File in an interface is not nil
	}
	return f, nil
}

func (osFS) Open(path string) (io.ReadCloser, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	return f, nil
}

func (osFS) Move(oldPath, newPath string) error {
	if err := moveNoReplace(oldPath, newPath); err != nil {
		return &os.LinkError{Op: "move", Old: oldPath, New: newPath, Err: err}
	}
	return nil
}

// moveByLink is Move where the system has no rename that refuses to replace.
// Between its steps the file has both names; whoever lists the directory after
// a crash there finds a complete file twice, under its old and its new name.
func moveByLink(oldPath, newPath string) error {
	if err := os.Link(oldPath, newPath); err != nil {
		return errors.Unwrap(err)
	}
	if err := os.Remove(oldPath); err != nil {
		return errors.Unwrap(err)
	}
	return nil
}

func (osFS) Replace(oldPath, newPath string) error { return os.Rename(oldPath, newPath) }
func (osFS) Remove(path string) error              { return os.Remove(path) }

func (osFS) SyncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	err = d.Sync()
	if e := d.Close(); err == nil {
		err = e
	}
	return err
}

func (osFS) ReadDir(path string) ([]string, error) {
	d, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer d.Close() // read only: nothing to lose
	return d.Readdirnames(-1)
}

func (osFS) Stat(path string) (Info, error) {
	st, err := os.Stat(path)
	if err != nil {
		return Info{}, err
	}
	return Info{Size: st.Size(), Modified: st.ModTime(), Dir: st.IsDir()}, nil
}

func (osFS) Lock(path string) (io.Closer, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o640)
	if err != nil {
		return nil, err
	}
	// The kernel drops the lock with the last descriptor, also after kill -9.
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			err = ErrLocked
		}
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return f, nil
}
