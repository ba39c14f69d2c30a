package ssh

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestCleanWaits: a command of a connection that broke may come late. What it
// makes is deleted as well.
func TestCleanWaits(t *testing.T) {
	s := serve(t)
	dir := filepath.Join(s.Home, "dalang-late")
	late := exec.Command("sh", "-c", "sleep 1; mkdir '"+dir+"'; :")
	require.NoError(t, late.Start())
	require.NoError(t, Clean(t.Context(), Config{}, s.target(), "late"))
	require.NoDirExists(t, dir)
	require.NoError(t, late.Wait())
	_, err := os.Stat(dir)
	require.ErrorIs(t, err, os.ErrNotExist, "it was cleaned before the command had ended")
}

// TestCleanAgain: a connection that breaks over cleaning up is made anew.
func TestCleanAgain(t *testing.T) {
	s := serve(t)
	dir := filepath.Join(s.Home, "dalang-late")
	require.NoError(t, os.Mkdir(dir, 0o700))
	late := exec.Command("sh", "-c", "sleep 2; : '"+dir+"'") // keeps the first attempt waiting
	require.NoError(t, late.Start())
	go func() {
		for len(s.Asked()) == 0 {
			time.Sleep(time.Millisecond)
		}
		s.HangUp()
	}()
	require.NoError(t, Clean(t.Context(), Config{}, s.target(), "late"))
	require.NoError(t, late.Wait())
	require.Len(t, s.Asked(), 2)
	require.NoDirExists(t, dir)
}
