package queue_test

import (
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"dalang/commands/queue"
	"dalang/commands/queue/faultfs"
)

// bodies counts the commands' files on a disk.
func bodies(disk *faultfs.FS) (n int) {
	for path := range disk.Files() {
		if strings.HasPrefix(path, dir+"/q/") {
			n++
		}
	}
	return n
}

// lazily opens a queue that removes a second after the first Ack.
func lazily(t *testing.T, disk *faultfs.FS) *queue.Queue {
	t.Helper()
	q, _, err := queue.Open(queue.Config{Dir: dir, FS: disk, RemoveAfter: time.Second})
	require.NoError(t, err)
	return q
}

// TestRemovesTogether: files of commands that are done stay a while, and go
// together, with their attempts; each group has its own time.
func TestRemovesTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := faultfs.New()
		q := lazily(t, disk)
		var entries []queue.Entry
		for i := range 4 {
			entries = append(entries, mustPut(t, q, i))
		}
		require.NoError(t, q.SaveAttempts(entries[0], attempts("no")))
		require.NoError(t, q.Ack(entries[0]))
		time.Sleep(900 * time.Millisecond)
		require.NoError(t, q.Ack(entries[1]))
		require.Equal(t, 4, bodies(disk))
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
		require.Equal(t, 2, bodies(disk))
		require.NotContains(t, strings.Join(keys(disk.Files()), " "), "/attempts/0-")
		require.NoError(t, q.Ack(entries[2]))
		time.Sleep(time.Second)
		synctest.Wait()
		require.Equal(t, 1, bodies(disk))
		require.NoError(t, q.Close())
	})
}

// TestCloseRemoves: after a proper end nothing comes back; after a kill what
// was not removed yet does, whole.
func TestCloseRemoves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := faultfs.New()
		q := lazily(t, disk)
		known := newPromised()
		for i := range 3 {
			e := mustPut(t, q, i)
			_, text := command(i)
			known.accepted(e, text)
			known.leaving(e)
			require.NoError(t, q.Ack(e))
		}
		killed := disk.Kill()
		require.NoError(t, q.Close())
		require.Zero(t, bodies(disk))
		require.Equal(t, 3, bodies(killed))
		known.check(t, killed, nil, "killed")
	})
}

// TestManyAreRemovedEarly: what waits for its removal is bounded.
func TestManyAreRemovedEarly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := faultfs.New()
		q := lazily(t, disk)
		for i := range 5000 {
			require.NoError(t, q.Ack(mustPut(t, q, i)))
		}
		require.Equal(t, 5000-4096, bodies(disk))
		require.NoError(t, q.Close())
	})
}

// TestRemovalRefused: a disk that refuses a later removal stops acceptance as
// one that refuses Ack does.
func TestRemovalRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := faultfs.New()
		q := lazily(t, disk)
		e := mustPut(t, q, 0)
		disk.Before(func(o faultfs.Op) error {
			if o.Kind == "remove" {
				return syscall.EROFS
			}
			return nil
		})
		require.NoError(t, q.Ack(e))
		require.NoError(t, q.Available())
		time.Sleep(time.Second)
		synctest.Wait()
		require.ErrorIs(t, q.Available(), syscall.EROFS)
		require.NoError(t, q.Close())
	})
}

func keys(m map[string]string) (names []string) {
	for name := range m {
		names = append(names, name)
	}
	return names
}
