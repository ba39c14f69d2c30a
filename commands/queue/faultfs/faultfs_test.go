package faultfs_test

import (
	"errors"
	"io"
	"io/fs"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"dalang/commands/queue"
	"dalang/commands/queue/faultfs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// write makes a file whose content is synced or not; its name is not.
func write(t *testing.T, d *faultfs.FS, path, text string, sync bool) {
	f, err := d.Create(path)
	require.NoError(t, err)
	_, err = io.WriteString(f, text)
	require.NoError(t, err)
	if sync {
		require.NoError(t, f.Sync())
	}
	require.NoError(t, f.Close())
}

// outcomes is what crashes may leave of a file: its content, or "-".
func outcomes(d *faultfs.FS, path string) map[string]bool {
	all := map[string]bool{}
	for seed := range uint64(200) {
		text, ok := d.Crash(seed).Files()[path]
		if !ok {
			text = "-"
		}
		all[text] = true
	}
	return all
}

func TestCrash(t *testing.T) {
	d := faultfs.New()
	require.NoError(t, d.MkdirAll("/a"))
	write(t, d, "/a/synced", "x", true)
	require.Equal(t, map[string]bool{"-": true, "x": true}, outcomes(d, "/a/synced"))
	require.NoError(t, d.SyncDir("/a"))
	require.Equal(t, map[string]bool{"x": true}, outcomes(d, "/a/synced"))

	write(t, d, "/a/loose", "xy", false)
	require.NoError(t, d.SyncDir("/a"))
	require.Equal(t, map[string]bool{"": true, "x": true, "xy": true, "\x00\x00": true}, outcomes(d, "/a/loose"))

	require.NoError(t, d.Move("/a/synced", "/a/moved"))
	for seed := range uint64(50) {
		files := d.Crash(seed).Files()
		require.NotEqual(t, files["/a/synced"], files["/a/moved"], "one name, not two or none")
	}
	require.NoError(t, d.Remove("/a/moved"))
	require.NoError(t, d.SyncDir("/a"))
	require.Equal(t, map[string]bool{"-": true}, outcomes(d, "/a/moved"))
	require.Equal(t, map[string]bool{"-": true}, outcomes(d, "/a/synced"))
}

func TestFailedSyncsAreForEver(t *testing.T) {
	d := faultfs.New()
	d.Put("/a/old", "x")
	f, err := d.Create("/a/b")
	require.NoError(t, err)
	_, err = io.WriteString(f, "text")
	require.NoError(t, err)
	d.FailAt(1, syscall.EIO)
	require.ErrorIs(t, f.Sync(), syscall.EIO)
	require.NoError(t, f.Sync())
	require.NoError(t, d.SyncDir("/a"))
	require.Contains(t, outcomes(d, "/a/b"), "")

	write(t, d, "/a/c", "text", true)
	d.FailAt(1, syscall.EIO)
	require.ErrorIs(t, d.SyncDir("/a"), syscall.EIO)
	require.NoError(t, d.SyncDir("/a"))
	require.Equal(t, map[string]bool{"-": true, "text": true}, outcomes(d, "/a/c"))
	require.Equal(t, map[string]bool{"x": true}, outcomes(d, "/a/old"))
}

func TestKill(t *testing.T) {
	d := faultfs.New()
	require.NoError(t, d.MkdirAll("/a"))
	_, err := d.Lock("/a/lock")
	require.NoError(t, err)
	_, err = d.Lock("/a/lock")
	require.ErrorIs(t, err, queue.ErrLocked)
	write(t, d, "/a/b", "text", false)
	k := d.Kill()
	require.Equal(t, "text", k.Files()["/a/b"])
	_, err = k.Lock("/a/lock")
	require.NoError(t, err)
	require.Contains(t, outcomes(k, "/a/b"), "-", "still not certain")
	require.NoError(t, k.Remove("/a/b"))
	require.Contains(t, d.Files(), "/a/b", "a copy")
}

func TestErrors(t *testing.T) {
	d := faultfs.New()
	d.Put("/a/b", "text")
	_, err := d.Create("/a/b")
	require.ErrorIs(t, err, fs.ErrExist)
	_, err = d.Create("/c/b")
	require.ErrorIs(t, err, fs.ErrNotExist)
	d.Put("/a/c", "other")
	require.ErrorIs(t, d.Move("/a/b", "/a/c"), fs.ErrExist)
	require.NoError(t, d.Replace("/a/b", "/a/c"))
	require.ErrorIs(t, d.Remove("/a/b"), fs.ErrNotExist)
	require.ErrorIs(t, d.Remove("/a"), syscall.ENOTEMPTY)
	require.ErrorIs(t, d.MkdirAll("/a/c/d"), syscall.ENOTDIR)
	info, err := d.Stat("/a/c")
	require.NoError(t, err)
	require.Equal(t, int64(4), info.Size)

	f, err := d.Create("/a/part")
	require.NoError(t, err)
	d.FailAt(1, &faultfs.Fault{Err: syscall.ENOSPC, Keep: 3})
	n, err := f.Write([]byte("text"))
	require.ErrorIs(t, err, syscall.ENOSPC)
	require.Equal(t, 3, n)
	require.Equal(t, "tex", d.Files()["/a/part"])
	d.FailAt(2, errors.New("late"))
	require.NoError(t, f.Close())
	require.ErrorContains(t, d.Remove("/a/part"), "late")
	require.Equal(t, []string{"close /a/part", "remove /a/part: late"}, d.Log())
	require.Equal(t, 1, d.Count("remove"))
	require.False(t, strings.Contains(strings.Join(d.Log(), ""), "write"))
}
