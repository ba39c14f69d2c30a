package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dalang/cmd/internal/config"
	"dalang/store"
)

// manager is the socket of a service manager.
func manager(t *testing.T, name string) *net.UnixConn {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, conn.Close()) })
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(20*time.Second)))
	return conn
}

func heard(t *testing.T, conn *net.UnixConn) string {
	t.Helper()
	text := make([]byte, 100)
	n, err := conn.Read(text)
	require.NoError(t, err)
	return string(text[:n])
}

// TestServeNotifies: ready when the data is open, stopping when asked to.
func TestServeNotifies(t *testing.T) {
	dir := t.TempDir()
	conn := manager(t, filepath.Join(dir, "notify"))
	t.Setenv("NOTIFY_SOCKET", filepath.Join(dir, "notify"))
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	cmd := newRootCommand()
	var log bytes.Buffer
	cmd.SetErr(&log)
	cmd.SetArgs([]string{"serve", "--listen", "127.0.0.1:0", "--data", filepath.Join(dir, "data")})
	done := make(chan error, 1)
	go func() { done <- cmd.ExecuteContext(ctx) }()
	require.Equal(t, notifyReady, heard(t, conn))
	require.FileExists(t, filepath.Join(dir, "data", "dalang.db"))
	stop()
	require.Equal(t, notifyStopping, heard(t, conn))
	require.NoError(t, <-done)
	require.NotContains(t, log.String(), "level=WARN")
}

// TestUnit: what the unit says of the program is true.
func TestUnit(t *testing.T) {
	text, err := os.ReadFile("../../deploy/dalang.service")
	require.NoError(t, err)
	settings := map[string][]string{}
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok && line[0] != '#' {
			settings[key] = append(settings[key], value)
		}
	}
	require.Equal(t, []string{"notify"}, settings["Type"])
	for _, command := range settings["ExecStart"] {
		words := strings.Fields(command)
		require.Equal(t, "/usr/local/bin/dalang", words[0])
		cmd, rest, err := newRootCommand().Find(words[1:])
		require.NoError(t, err)
		require.Equal(t, "serve", cmd.Name())
		require.NoError(t, cmd.ParseFlags(rest))
		require.Empty(t, cmd.Flags().Args())
	}
	usage, newer := exitStatus(&usageError{os.ErrNotExist}), exitStatus(&store.NewerSchemaError{})
	require.Equal(t, []string{fmt.Sprintf("%d %d", usage, newer)}, settings["RestartPreventExitStatus"])
	defaults := config.Default()
	patience := time.Duration(defaults.Dalang.ShutdownTimeout + defaults.Queue.DrainTime)
	stop, err := strconv.Atoi(settings["TimeoutStopSec"][0])
	require.NoError(t, err)
	require.Greater(t, time.Duration(stop)*time.Second, patience)
}

func TestNotify(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	require.NoError(t, notify("x"), "nobody to tell")
	t.Setenv("NOTIFY_SOCKET", filepath.Join(t.TempDir(), "nobody"))
	require.ErrorContains(t, notify("x"), "tell the service manager x: ")
	name := "\x00dalang-" + filepath.Base(t.TempDir()) + t.Name()
	conn := manager(t, name)
	t.Setenv("NOTIFY_SOCKET", "@"+name[1:])
	require.NoError(t, notify("x"))
	require.Equal(t, "x", heard(t, conn), "an abstract socket")
}
