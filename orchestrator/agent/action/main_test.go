package action

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// order makes an order with settings that suit tests.
func order(t *testing.T, module, name string, params any) *Order {
	t.Helper()
	text, err := json.Marshal(params)
	require.NoError(t, err)
	return &Order{Module: module, Action: name, Params: text, Settings: Settings{
		Cache: filepath.Join(t.TempDir(), "cache"), Timeout: time.Minute, Grace: 2 * time.Second, MaxOutput: 1 << 20,
		LockWait: 10 * time.Second, RetryPause: time.Millisecond, DownloadPaths: []string{"/puppet/v3/file_content/"},
	}}
}

func do(t *testing.T, o *Order) Result {
	t.Helper()
	return Run(context.Background(), t.TempDir(), o)
}

func write(t *testing.T, path, content string) string {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(t, os.WriteFile(path, []byte(content), 0o755))
	return path
}

func TestFind(t *testing.T) {
	for _, module := range Modules() {
		for name := range modules()[module] {
			_, err := Find(module, name)
			require.NoError(t, err)
		}
	}
	_, err := Find("nope", "run")
	require.EqualError(t, err, "unknown module: nope")
	_, err = Find("task", "walk")
	require.EqualError(t, err, "unknown action 'walk' for module 'task'")
	require.Equal(t, "unknown module: nope", do(t, &Order{Module: "nope"}).Error)
	require.Equal(t, "invalid input: params must be an object", do(t, &Order{Module: "task", Action: "run"}).Error)
}

func TestResults(t *testing.T) {
	require.JSONEq(t, `{"exitcode":0}`, string(Result{}.Results()))
	require.JSONEq(t, `{"exitcode":2,"stdout":"<a>","stderr":"b"}`, string(Result{ExitCode: 2, Stdout: "<a>", Stderr: "b"}.Results()))
	require.Equal(t, `{"a":1}`, string(Result{Stdout: `{"a":1}`, Document: true}.Results()))
}

func TestEnvironment(t *testing.T) {
	got := Environment([]string{
		"PATH=/bin", "HOME=/root", "LC_ALL=C.UTF-8", "TZ=UTC", "https_proxy=x", "NO_PROXY=y",
		"NOTIFY_SOCKET=/run/x", "DALANG_TOKEN=secret", "LD_PRELOAD=evil.so", "RUBYLIB=/x", "INVOCATION_ID=1", "FACTER_x=1",
	})
	require.Equal(t, []string{"PATH=/bin", "HOME=/root", "LC_ALL=C.UTF-8", "TZ=UTC", "https_proxy=x", "NO_PROXY=y"}, got)
	bare := Environment(nil)
	require.Contains(t, lookup(bare, "PATH"), "/usr/bin")
	require.NotEmpty(t, lookup(bare, "HOME"))
}
