package server

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestReload: a new allowlist is in force after Reload; one that cannot be
// read leaves the old one.
func TestReload(t *testing.T) {
	path := filepath.Join(t.TempDir(), "allow")
	require.NoError(t, os.WriteFile(path, []byte("one\n"), 0o600))
	s, err := New(Config{Listen: "127.0.0.1:0", Auth: AuthConfig{Allowlist: path}})
	require.NoError(t, err)
	allowed := func(name string) bool { return s.auth.Load().all.names[name] }
	require.True(t, allowed("one"))
	require.NoError(t, os.WriteFile(path, []byte("two\n"), 0o600))
	require.NoError(t, s.Reload())
	require.False(t, allowed("one"))
	require.True(t, allowed("two"))
	require.NoError(t, os.Remove(path))
	require.Error(t, s.Reload())
	require.True(t, allowed("two"))
}
