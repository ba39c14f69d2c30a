package queue

import (
	"errors"

	"golang.org/x/sys/unix"
)

// moveNoReplace renames in one step and answers EEXIST rather than replace.
func moveNoReplace(oldPath, newPath string) error {
	err := unix.Renameat2(unix.AT_FDCWD, oldPath, unix.AT_FDCWD, newPath, unix.RENAME_NOREPLACE)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.ENOTSUP) {
		return moveByLink(oldPath, newPath) // a file system that does not know the flag
	}
	return err
}
