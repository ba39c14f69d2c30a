package action

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

var errLocked = errors.New("another Puppet run did not end in time")

// puppetLock is the lock of Puppet's own runs. It holds the pid of a process
// that Puppet takes for one of its own, and counts only as long as that lives: so
// it is of the Puppet that applies a catalog, and a crash of ours leaves nothing.
type puppetLock struct {
	path string
	mine string // the pid in it, while it is ours
}

// take waits for the lock, at most so long, and takes it for a process.
func (l *puppetLock) take(ctx context.Context, pid int, wait time.Duration) error {
	mine := strconv.Itoa(pid)
	tick := time.NewTicker(lockPoll)
	defer tick.Stop()
	for deadline := time.Now().Add(wait); ; {
		err := l.link(mine)
		switch {
		case err == nil:
			l.mine = mine
			return nil
		case !errors.Is(err, os.ErrExist):
			return fmt.Errorf("lock of Puppet: %w", err)
		case !puppetHolds(l.path):
			if err := l.clear(); err != nil {
				return fmt.Errorf("lock of Puppet: %w", err)
			}
			continue
		}
		select {
		case <-ctx.Done():
			return errLocked
		case now := <-tick.C:
			if now.After(deadline) {
				return errLocked
			}
		}
	}
}

// link makes the lock appear with its content: Puppet takes an empty one for
// stale. Its error is os.ErrExist if there is one.
func (l *puppetLock) link(content string) error {
	if err := os.MkdirAll(filepath.Dir(l.path), execMode); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(l.path), ".dalang-lock-")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // the link stays
	_, err = f.WriteString(content)
	if err := errors.Join(err, f.Chmod(0o644), f.Close()); err != nil {
		return err
	}
	return os.Link(f.Name(), l.path)
}

// clear removes a lock that is stale.
func (l *puppetLock) clear() error {
	return l.remove(func() bool { return exists(l.path) && !puppetHolds(l.path) })
}

func (l *puppetLock) release() {
	if l.mine == "" {
		return
	}
	_ = l.remove(func() bool { // it is stale anyway
		content, err := os.ReadFile(l.path)
		return err == nil && string(content) == l.mine
	})
}

// remove removes the lock if that is still to be done. One of us does so at a
// time: a second one would remove what another has taken since it looked.
func (l *puppetLock) remove(due func() bool) error {
	dir, err := os.Open(filepath.Dir(l.path))
	if err != nil {
		return err
	}
	defer dir.Close() // which unlocks it
	if err := syscall.Flock(int(dir.Fd()), syscall.LOCK_EX); err != nil || !due() {
		return err
	}
	if err := os.Remove(l.path); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// puppetHolds tells whether a living Puppet has a lock, as Puppet itself tells:
// a lock without a pid, or with that of another program, is stale.
func puppetHolds(path string) bool {
	content, err := os.ReadFile(path)
	if err != nil {
		return false
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(content)))
	if err != nil || pid <= 0 || !held(path) {
		return false
	}
	command, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return err != nil || bytes.Contains(command, []byte("puppet"))
}
