package secret_test

import (
	"bytes"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"dalang/orchestrator/secret"
)

func TestSeal(t *testing.T) {
	dir := t.TempDir()
	k, err := secret.Open(dir)
	require.NoError(t, err)
	plain := []byte(`{"password":"hunter2"}`)
	sealed := k.Seal("connection", plain)
	require.NotContains(t, string(sealed), "hunter2")
	require.NotEqual(t, sealed, k.Seal("connection", plain), "no two are the same")

	again, err := secret.Open(dir)
	require.NoError(t, err)
	opened, err := again.Open("connection", sealed)
	require.NoError(t, err)
	require.Equal(t, plain, opened)

	_, err = k.Open("params", sealed)
	require.ErrorIs(t, err, secret.ErrSealed, "another purpose")
	for i := range sealed {
		changed := bytes.Clone(sealed)
		changed[i] ^= 1
		_, err = k.Open("connection", changed)
		require.ErrorIs(t, err, secret.ErrSealed, "byte %d", i)
		_, err = k.Open("connection", sealed[:i])
		require.ErrorIs(t, err, secret.ErrSealed, "%d bytes", i)
	}
	other, err := secret.Open(t.TempDir())
	require.NoError(t, err)
	_, err = other.Open("connection", sealed)
	require.ErrorIs(t, err, secret.ErrSealed, "another key")
}

func TestKeyFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "secret.key")
	var group sync.WaitGroup
	keepers := make([]*secret.Keeper, 8)
	for i := range keepers {
		group.Go(func() {
			k, err := secret.Open(dir)
			if err != nil {
				t.Error(err)
			}
			keepers[i] = k
		})
	}
	group.Wait()
	sealed := keepers[0].Seal("x", []byte("y"))
	for _, k := range keepers {
		_, err := k.Open("x", sealed)
		require.NoError(t, err, "all have the same key")
	}
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	files, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, files, 1, "nothing else is left")

	require.NoError(t, os.Chmod(path, 0o640))
	_, err = secret.Open(dir)
	require.ErrorContains(t, err, "chmod 600")
	require.NoError(t, os.Chmod(path, 0o600))
	require.NoError(t, os.WriteFile(path, []byte("short"), 0o600))
	_, err = secret.Open(dir)
	require.ErrorContains(t, err, "5 bytes, not 32")
	_, err = secret.Open(filepath.Join(dir, "nowhere"))
	require.Error(t, err)
}
