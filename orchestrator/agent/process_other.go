//go:build !linux

package agent

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

func self() string {
	name, err := os.Executable()
	if err != nil {
		return os.Args[0]
	}
	return name
}

// identify knows no more than the pid here: a process that got the pid of an
// ended one is taken for it.
func identify(pid int) (process, error) {
	if errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
		return process{}, fmt.Errorf("process %d: %w", pid, os.ErrNotExist)
	}
	return process{PID: pid}, nil
}

func (p process) alive() bool {
	_, err := identify(p.PID)
	return err == nil
}

// memoryFile is a file on disk here, without a name.
func memoryFile(data []byte) (*os.File, error) {
	f, err := os.CreateTemp("", "order-")
	if err != nil {
		return nil, err
	}
	_, err = f.Write(data)
	_, seek := f.Seek(0, 0)
	if err := errors.Join(os.Remove(f.Name()), err, seek); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}
