package crash

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dalang/cmd/internal/dalangtest"
)

// TestFullDisk fills the disk under a running server. It must refuse what it
// cannot keep, never lose what it accepted, and recover by itself when there
// is room again. The small disk is a tmpfs, which takes root to mount.
func TestFullDisk(t *testing.T) {
	disk := t.TempDir()
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=32m"); err != nil {
		t.Skipf("no small disk to be had: %v", err)
	}
	t.Cleanup(func() { require.NoError(t, syscall.Unmount(disk, syscall.MNT_DETACH)) })
	v := dalangtest.New(t, dalangtest.Build(t))
	v.Data = filepath.Join(disk, "data")
	v.Start(t)
	defer v.Stop(t)
	c := &clients{v: v, nodes: map[string]*promise{}}
	node := &promise{}
	c.nodes["disk.example.com"] = node
	n := 0
	submit := func() bool {
		n++
		version := fmt.Sprintf("disk-%d", n)
		at := time.Date(2026, 1, 1, 0, 0, n, 0, time.UTC).Format("2006-01-02T15:04:05.000Z")
		ok, _ := c.post(context.Background(), http.DefaultClient, "store_report", 8, "disk.example.com", at, reportBody("disk.example.com", version, at))
		if ok {
			node.reports = append(node.reports, version)
		}
		return ok
	}
	for range 20 {
		require.True(t, submit())
	}
	filler := filepath.Join(disk, "filler")
	fill(t, filler)
	refused := 0
	for range 200 {
		if !submit() {
			refused++
		}
	}
	require.Positive(t, refused, "a full disk must be told, not hidden")
	status, body := v.Get(t, "/status/v1/services", "")
	require.Contains(t, []int{http.StatusOK, http.StatusServiceUnavailable}, status)
	require.Contains(t, string(body), "no space left on device")

	require.NoError(t, os.Remove(filler))
	require.Eventually(t, submit, 30*time.Second, 100*time.Millisecond, "the server did not recover")
	v.Drain(t)
	verify(t, v, c)
	t.Logf("%d accepted, %d refused", len(node.reports), refused)
}

// fill writes until the disk is full.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	require.NoError(t, err)
	defer f.Close()
	for size := 1 << 20; size >= 1; {
		if _, err := f.Write(make([]byte, size)); err != nil {
			require.ErrorIs(t, err, syscall.ENOSPC)
			size /= 2
		}
	}
}
