package action

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"
	"unicode/utf8"
)

// process is a program to run with limits.
type process struct {
	path     string
	args     []string
	env      []string
	stdin    []byte
	settings *Settings
	timeout  time.Duration // 0: as the settings say
	// output takes what it writes, instead of the result: a file may stay open in
	// what the program leaves behind.
	output *os.File
	// feed, if there is one, writes its standard input instead of stdin, which
	// ends then. With an error the program is killed, and that is the result.
	feed func(ctx context.Context, pid int, in io.Writer) error
}

// DefaultTimeout is how long what is run may take if nobody says.
const DefaultTimeout = time.Hour

// limit is how long something may take for which a request allows so long, 0 if
// it does not say. Settings.Timeout forbids more; without it the request counts.
func (s *Settings) limit(asked time.Duration) time.Duration {
	switch {
	case asked > 0 && (s.Timeout <= 0 || asked < s.Timeout):
		return asked
	case s.Timeout > 0:
		return s.Timeout
	}
	return DefaultTimeout
}

// limited keeps the first bytes of what is written, and takes all of it.
type limited struct {
	kept bytes.Buffer // not embedded: its ReadFrom knows no limit
	left int64
	cut  bool
}

func (l *limited) Write(p []byte) (int, error) {
	keep := min(int64(len(p)), l.left)
	l.cut = l.cut || keep < int64(len(p))
	l.left -= keep
	l.kept.Write(p[:keep])
	return len(p), nil
}

// run waits for the program. What it says that is no UTF-8, too much or too
// late makes the result an error.
func (p *process) run(ctx context.Context) Result {
	limit := p.settings.limit(p.timeout)
	adopt()
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, p.path, p.args...)
	cmd.Env, cmd.Dir = p.env, "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	stdout, stderr := &limited{left: p.settings.MaxOutput}, &limited{left: p.settings.MaxOutput}
	cmd.Stdout, cmd.Stderr = stdout, stderr
	if p.output != nil {
		cmd.Stdout, cmd.Stderr = p.output, p.output
	}
	in, err := p.input(cmd)
	if err != nil {
		return failed("%v", err)
	}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	// Also how long we wait for output of what it leaves behind.
	cmd.WaitDelay = p.settings.Grace
	if err := cmd.Start(); err != nil {
		return failed("%v", startError(p.path, err))
	}
	if in != nil {
		if err := p.feed(ctx, cmd.Process.Pid, in); err != nil && ctx.Err() == nil {
			cancel()
			_ = cmd.Wait() // it was killed
			killAll(cmd.Process.Pid)
			return failed("%v", err)
		}
		_ = in.Close() // who has ended does not mind
	}
	err = cmd.Wait()
	if ctx.Err() != nil {
		killAll(cmd.Process.Pid)
		r := failed("it ran longer than %v and was killed", limit)
		r.Stderr = text(stderr.kept.Bytes())
		return r
	}
	if _, exited := errors.AsType[*exec.ExitError](err); err != nil && !exited && !errors.Is(err, exec.ErrWaitDelay) {
		return failed("%v", err)
	}
	return p.result(exitCode(cmd), stdout, stderr)
}

// input gives the program its standard input; what it answers is to be fed.
func (p *process) input(cmd *exec.Cmd) (io.WriteCloser, error) {
	if p.feed != nil {
		return cmd.StdinPipe()
	}
	cmd.Stdin = bytes.NewReader(p.stdin)
	return nil, nil
}

func (p *process) result(code int, stdout, stderr *limited) Result {
	r := Result{ExitCode: code, Stdout: stdout.kept.String(), Stderr: text(stderr.kept.Bytes())}
	if stderr.cut {
		r.Stderr += fmt.Sprintf("\n(cut after %d bytes)", p.settings.MaxOutput)
	}
	switch {
	case stdout.cut:
		r.Stdout, r.Error = "", fmt.Sprintf("it ended with status %d and wrote more than %d bytes to stdout", code, p.settings.MaxOutput)
	case !utf8.ValidString(r.Stdout):
		r.Stdout, r.Error = "", fmt.Sprintf("it ended with status %d and wrote invalid UTF-8 to stdout", code)
	}
	return r
}

func text(b []byte) string { return string(bytes.ToValidUTF8(b, []byte("\uFFFD"))) }

// exitCode is as shells have it: 128 and the number of a signal.
func exitCode(cmd *exec.Cmd) int {
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal())
	}
	return cmd.ProcessState.ExitCode()
}

// startError names the usual reasons.
func startError(path string, err error) error {
	switch {
	case errors.Is(err, syscall.ENOEXEC):
		return fmt.Errorf("%s cannot be executed: it does not begin with #! and is no program of this machine", path)
	case errors.Is(err, syscall.E2BIG):
		return fmt.Errorf("%s cannot be executed: its input is too large for the environment; let it read standard input", path)
	}
	return fmt.Errorf("cannot be executed: %w", err)
}

// killAll ends the group of a process that was given its time, and what left
// the group.
func killAll(group int) {
	_ = syscall.Kill(-group, syscall.SIGKILL) // nobody left is fine
	for range 10 {                            // those that they start meanwhile
		left := descendants()
		if len(left) == 0 {
			return
		}
		for _, pid := range left {
			_ = syscall.Kill(pid, syscall.SIGKILL) // gone is fine
			_, _ = syscall.Wait4(pid, nil, syscall.WNOHANG, nil)
		}
		time.Sleep(time.Millisecond)
	}
}
