package ssh

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh/knownhosts"

	"dalang/orchestrator/agentless"
)

func text(name, content string) File {
	return File{Name: name, Open: func(context.Context) (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(content)), nil }}
}

// empty checks that nothing is left on the target.
func empty(t *testing.T, s server) {
	t.Helper()
	left, err := filepath.Glob(filepath.Join(s.Home, "dalang-*"))
	require.NoError(t, err)
	require.Empty(t, left)
}

const script = "#!/bin/sh\n" + `echo "out $PT_word $1"; cat; echo err >&2; ls "$(dirname "$0")/../files" 2>/dev/null; exit 3` + "\n"

func TestRun(t *testing.T) {
	for _, c := range []struct {
		name   string
		env    []string
		change func(*Target, server)
	}{
		{"password", nil, nil},
		{"keyboard-interactive", nil, func(target *Target, _ server) { target.User = "pam" }},
		{"key", nil, func(target *Target, s server) { target.Password, target.PrivateKey = "", s.UserKey }},
		{"sudo without a password", nil, func(target *Target, _ server) { target.RunAs = "root" }},
		{"sudo with a password", []string{"SUDO_FAKE=password"}, func(target *Target, _ server) { target.RunAs, target.SudoPassword = "root", "s3cret pass" }},
		{"sudo that wants a terminal", []string{"SUDO_FAKE=requiretty"}, func(target *Target, _ server) { target.RunAs = "root" }},
		{"a command of its own", nil, func(target *Target, _ server) { target.RunAs, target.RunAsCommand = "root", []string{"sudo", "-u"} }},
	} {
		for _, tty := range []bool{false, true} {
			if !tty && slices.Contains(c.env, "SUDO_FAKE=requiretty") {
				continue
			}
			t.Run(fmt.Sprintf("%s, tty %v", c.name, tty), func(t *testing.T) {
				s := serve(t, c.env...)
				target := s.target()
				target.TTY = tty
				if c.change != nil {
					c.change(&target, s)
				}
				began := false
				out, err := Run(t.Context(), Config{}, target, Job{ID: "1", Files: []File{text("m/tasks/x.sh", script), text("m/files/a", "A")},
					Arguments: []string{"it's"}, Env: []string{"PT_word=h'u;sh"}, Stdin: []byte(`{"password":"hush"}`), Timeout: time.Minute,
					Began: func() { began = true }})
				require.NoError(t, err)
				want := "out h'u;sh it's\n" + `{"password":"hush"}`
				if tty {
					require.Equal(t, want+"\nerr\na\n", string(out.Stdout))
				} else {
					require.Equal(t, want+"a\n", string(out.Stdout))
					require.Equal(t, "err\n", string(out.Stderr))
				}
				require.Equal(t, 3, out.ExitCode)
				require.Empty(t, out.Left)
				require.True(t, began)
				empty(t, s)
				for _, line := range s.Asked() {
					require.NotContains(t, line, "hush", "nothing secret is in a command line")
					require.NotContains(t, line, "h'u;sh")
					require.NotContains(t, line, "s3cret")
					require.NotContains(t, line, "login")
				}
			})
		}
	}
}

func TestRunCommand(t *testing.T) {
	s := serve(t)
	out, err := Run(t.Context(), Config{}, s.target(), Job{ID: "1", Command: "echo 'a  b' | tr a c; false"})
	require.NoError(t, err)
	require.Equal(t, Outcome{Stdout: []byte("c  b\n"), ExitCode: 1}, out)
	target := s.target()
	target.Interpreters = map[string]string{"py": "sh"}
	out, err = Run(t.Context(), Config{}, target, Job{ID: "2", Files: []File{text("x.py", "echo interpreted")}})
	require.NoError(t, err)
	require.Equal(t, "interpreted\n", string(out.Stdout))
	empty(t, s)
}

func TestRunErrors(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, closed.Close())
	for _, c := range []struct {
		name   string
		env    []string
		change func(*Target, server)
		code   string
		msg    string
	}{
		{"wrong password", nil, func(target *Target, _ server) { target.Password = "wrong-pass" }, "AUTH_ERROR", "Authentication failed for user admin@127.0.0.1"},
		{"unreadable key", nil, func(target *Target, _ server) { target.PrivateKey = "hush-key" }, "AUTH_ERROR", "cannot be read"},
		{"nobody there", nil, func(target *Target, _ server) { target.Port = closed.Addr().(*net.TCPAddr).Port }, "CONNECT_ERROR", "Failed to connect"},
		{"no user", nil, func(target *Target, _ server) { target.User = "" }, "CONNECT_ERROR", "needs a user"},
		{"no temporary directory", nil, func(target *Target, _ server) { target.TmpDir = "/nonexistent" }, "TMPDIR_ERROR", "Could not make a temporary directory"},
		{"sudo denied", []string{"SUDO_FAKE=denied"}, func(target *Target, _ server) { target.RunAs = "root" }, "SUDO_DENIED", "not allowed to run commands as root"},
		{"sudo broken", []string{"SUDO_FAKE=broken"}, func(target *Target, _ server) { target.RunAs = "ghost" }, "SUDO_DENIED", "unknown user ghost"},
		{"sudo broken, on a terminal", []string{"SUDO_FAKE=broken"}, func(target *Target, _ server) { target.RunAs, target.TTY = "ghost", true }, "SUDO_DENIED", "unknown user ghost"},
		{"sudo wants a terminal", []string{"SUDO_FAKE=requiretty"}, func(target *Target, _ server) { target.RunAs = "root" }, "SUDO_DENIED", "you must have a tty"},
		{"no temporary directory, on a terminal", nil, func(target *Target, _ server) { target.TmpDir, target.RunAs, target.TTY = "/nonexistent", "root", true }, "TMPDIR_ERROR", "No such file"},
		{"sudo wants a password", []string{"SUDO_FAKE=password"}, func(target *Target, s server) {
			target.RunAs, target.Password, target.PrivateKey = "root", "", s.UserKey
		}, "NO_PASSWORD", "needs a password"},
		{"sudo's password is wrong", []string{"SUDO_FAKE=password"}, func(target *Target, _ server) { target.RunAs, target.SudoPassword = "root", "wrong-pass" }, "BAD_PASSWORD", "was not accepted"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := serve(t, c.env...)
			target := s.target()
			c.change(&target, s)
			out, err := Run(t.Context(), Config{}, target, Job{ID: "1", Command: "touch ran"})
			require.Empty(t, out.Left)
			var e *Error
			require.ErrorAs(t, err, &e)
			require.Equal(t, c.code, e.Code)
			require.Contains(t, e.Msg, c.msg)
			require.NotContains(t, e.Msg, "wrong-pass")
			require.NotContains(t, e.Msg, "hush-key")
			require.NoFileExists(t, filepath.Join(s.Home, "ran"))
			empty(t, s)
		})
	}
}

func TestHostKeys(t *testing.T) {
	s, other := serve(t), serve(t)
	file := filepath.Join(t.TempDir(), "known_hosts")
	address := fmt.Sprintf("[127.0.0.1]:%d", s.Port)
	target := s.target()
	target.HostKeyCheck = true
	for _, c := range []struct {
		line string
		msg  string
	}{
		{"", "is not known"},
		{knownhosts.Line([]string{address}, other.Key.PublicKey()), "is not the one that is known"},
		{knownhosts.Line([]string{address}, s.Key.PublicKey()), ""},
	} {
		require.NoError(t, os.WriteFile(file, []byte(c.line+"\n"), 0o600))
		_, err := Run(t.Context(), Config{KnownHosts: []string{file}}, target, Job{ID: "1", Command: "true"})
		if c.msg == "" {
			require.NoError(t, err)
			continue
		}
		var e *Error
		require.ErrorAs(t, err, &e)
		require.Equal(t, "HOST_KEY_ERROR", e.Code)
		require.Contains(t, e.Msg, c.msg)
	}
}

// slow begins processes that would outlive the shell, tells that it runs, and waits.
const slow = `sleep 1000 & echo $! > "$HOME/child"; echo $$ > "$HOME/began"; wait`

// gone waits until a process of the target has ended.
func gone(t *testing.T, pidFile string) {
	t.Helper()
	pid, err := os.ReadFile(pidFile)
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		stat, err := os.ReadFile("/proc/" + strings.TrimSpace(string(pid)) + "/stat")
		return err != nil || strings.Contains(string(stat), ") Z ")
	}, 10*time.Second, 10*time.Millisecond)
}

func TestTimeoutEndsEverything(t *testing.T) {
	s := serve(t)
	_, err := Run(t.Context(), Config{}, s.target(), Job{ID: "1", Command: slow, Timeout: 2 * time.Second})
	var e *Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, agentless.KindTimeout, e.Kind)
	require.Equal(t, "Task execution on 127.0.0.1 timed out after 2 seconds", e.Msg)
	gone(t, filepath.Join(s.Home, "child"))
	empty(t, s)
}

// TestTimeoutOfTheRun: what is done before a run and after it is not its time,
// and a result that came is not thrown away.
func TestTimeoutOfTheRun(t *testing.T) {
	t.Parallel()
	bin := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(bin, "rm"), []byte("#!/bin/sh\nsleep 1.5\nexec /bin/rm \"$@\"\n"), 0o755))
	s := serve(t, "PATH="+bin+":"+os.Getenv("PATH"))
	j := Job{ID: "1", Timeout: 2500 * time.Millisecond, Files: []File{{Name: "x.sh", Open: func(ctx context.Context) (io.ReadCloser, error) {
		end, is := ctx.Deadline()
		require.True(t, is, "it has an end")
		require.Greater(t, time.Until(end), 30*time.Minute)
		return io.NopCloser(strings.NewReader("#!/bin/sh\necho done\n")), nil
	}}}}
	out, err := Run(t.Context(), Config{}, s.target(), j)
	require.NoError(t, err, "cleaning takes longer than the run may")
	require.Equal(t, "done\n", string(out.Stdout))
	empty(t, s)
}

// TestPreparationEnds: a target that takes its time before the run has its limit.
func TestPreparationEnds(t *testing.T) {
	s := serve(t)
	stands := File{Name: "x", Open: func(ctx context.Context) (io.ReadCloser, error) {
		return io.NopCloser(readerFunc(func([]byte) (int, error) { <-ctx.Done(); return 0, ctx.Err() })), nil
	}}
	trickles := File{Name: "x", Open: func(context.Context) (io.ReadCloser, error) {
		return io.NopCloser(readerFunc(func(p []byte) (int, error) { return len(p), nil })), nil
	}}
	for _, c := range []struct {
		name string
		cfg  Config
		job  Job
		code string
		msg  string
	}{
		{"stands still", Config{stallTime: 200 * time.Millisecond}, Job{ID: "1", Files: []File{stands}}, "CONNECT_ERROR", "What is done before the run on 127.0.0.1 stood still for 0.2 seconds"},
		{"without an end", Config{prepareTime: time.Second}, Job{ID: "2", Files: []File{trickles}}, "CONNECT_ERROR", "127.0.0.1 did not take what the run needs within 1 seconds"},
		{"an upload", Config{}, Job{ID: "3", Files: []File{trickles}, Uploads: []agentless.Upload{{File: "x", Destination: filepath.Join(s.Home, "to")}}, Timeout: time.Second},
			"INTERRUPTED", "Task execution on 127.0.0.1 timed out after 1 seconds"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Run(t.Context(), c.cfg, s.target(), c.job)
			var e *Error
			require.ErrorAs(t, err, &e)
			require.Equal(t, c.code, e.Code)
			require.Equal(t, c.msg, e.Msg)
			empty(t, s)
			require.NoFileExists(t, filepath.Join(s.Home, "to"))
		})
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func TestTooMuchOutput(t *testing.T) {
	s := serve(t)
	_, err := Run(t.Context(), Config{MaxOutput: 1000}, s.target(), Job{ID: "1", Command: "yes"})
	var e *Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, "OUTPUT_ERROR", e.Code)
	empty(t, s)
}

// TestClean: what a server that died left behind is ended and deleted later.
func TestClean(t *testing.T) {
	s := serve(t)
	done := make(chan error, 1)
	go func() {
		h, err := open(context.Background(), Config{}, s.target())
		if err == nil {
			_, err = h.do(context.Background(), Job{ID: "1", Command: slow})
			h.client.Close()
		}
		done <- err
	}()
	require.Eventually(t, func() bool {
		_, err := os.Stat(filepath.Join(s.Home, "began"))
		return err == nil
	}, 10*time.Second, 10*time.Millisecond)
	s.HangUp()
	require.Error(t, <-done)
	require.DirExists(t, filepath.Join(s.Home, "dalang-1"))
	require.NoError(t, Clean(t.Context(), Config{}, s.target(), "1"))
	gone(t, filepath.Join(s.Home, "child"))
	empty(t, s)
	require.NoError(t, Clean(t.Context(), Config{}, s.target(), "nosuch"), "nothing to do is fine")
}

func TestQuote(t *testing.T) {
	for in, want := range map[string]string{"": "''", "a/b-c.d": "a/b-c.d", "it's": `'it'\''s'`, "$x `y`": "'$x `y`'", "a\nb": "'a\nb'"} {
		require.Equal(t, want, quote(in))
	}
}
