package ssh

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"dalang/orchestrator/agentless"
)

// host is a connection to a target, and the way to act there.
type host struct {
	client *ssh.Client
	target Target
	cfg    Config
}

// command is one thing to do on a host.
type command struct {
	line  string    // for the shell
	stdin io.Reader // nil: nothing
	tty   bool
}

// output is what a command left.
type output struct {
	stdout, stderr []byte
	exit           int
}

// complaint is what a command that failed wrote; with a terminal it is all in one.
func (o *output) complaint() string {
	return strings.TrimSpace(string(append(append([]byte(nil), o.stderr...), o.stdout...)))
}

// run does a command as the user who is to act. It ends when the command
// does, or ctx does; then the channel is closed, and what runs may go on. Its
// errors are *Error, ctx's, or those of the connection.
func (h *host) run(ctx context.Context, c command) (*output, error) {
	// The library waits for answers without an end: what never answers loses
	// its connection.
	stop := context.AfterFunc(ctx, func() { h.client.Close() })
	session, w, err := h.start(c)
	if !stop() {
		err = ctx.Err()
	}
	if session != nil {
		defer h.shut(session)
		defer w.over()
	}
	if err != nil {
		return nil, err
	}
	// Whatever the other side does: these end with the connection at the latest.
	ended := make(chan error, 1)
	go func() { ended <- session.Wait() }()
	fed := make(chan struct{})
	go func() {
		defer close(fed)
		w.feed(c.stdin)
	}()
	over := func(err error) (*output, error) {
		out, err := w.result(err)
		h.shut(session)
		w.over()
		<-fed // whoever gave the input has it back
		return out, err
	}
	select {
	case err := <-ended:
		return over(err)
	case <-w.aborted:
		return nil, w.bad
	case <-ctx.Done():
	}
	select {
	case err := <-ended: // it came, however late we look
		return over(err)
	default:
		return nil, ctx.Err()
	}
}

// shut closes a session. Where the target does not let that be said, the
// connection is closed whole.
func (h *host) shut(session *ssh.Session) {
	timer := time.AfterFunc(h.cfg.cleanTime, func() { h.client.Close() })
	defer timer.Stop()
	session.Close()
}

// start starts a command. The session is there to be closed also after an error.
func (h *host) start(c command) (*ssh.Session, *watch, error) {
	session, err := h.client.NewSession()
	if err != nil {
		return nil, nil, fmt.Errorf("open a channel to %s: %w", h.target.Host, err)
	}
	w := &watch{host: h, tty: c.tty, ready: make(chan struct{}), aborted: make(chan struct{})}
	if c.tty {
		// No echo, no change of line ends.
		modes := ssh.TerminalModes{ssh.ECHO: 0, ssh.OPOST: 0}
		if err := session.RequestPty("dumb", 50, 200, modes); err != nil {
			return session, w, fmt.Errorf("get a terminal on %s: %w", h.target.Host, err)
		}
	}
	if w.in, err = session.StdinPipe(); err != nil {
		return session, w, fmt.Errorf("open a channel to %s: %w", h.target.Host, err)
	}
	line := c.line
	if h.target.RunAs != "" {
		w.prompt, w.mark = "[sudo via dalang "+rand.Text()+"] ", "dalang-"+rand.Text()
		line = h.escalated(w.prompt, w.mark, line)
	} else {
		w.through = true
		close(w.ready)
	}
	session.Stdout, session.Stderr = w.writer(false), w.writer(true)
	if err := session.Start(line); err != nil {
		return session, w, fmt.Errorf("run a command on %s: %w", h.target.Host, err)
	}
	return session, w, nil
}

// escalated is a command line that does line as the run-as user.
func (h *host) escalated(prompt, mark, line string) string {
	inner := "cd 2>/dev/null || cd /; echo " + mark + " >&2; " + line
	words := []string{"sudo", "-S", "-H", "-u", h.target.RunAs, "-p", prompt}
	if len(h.target.RunAsCommand) > 0 {
		words = append(append([]string{}, h.target.RunAsCommand...), h.target.RunAs)
	}
	words = append(words, "sh", "-c", inner)
	for i := range words {
		words[i] = quote(words[i])
	}
	return strings.Join(words, " ")
}

// watch collects what a command writes, and sees sudo through.
type watch struct {
	host         *host
	in           io.WriteCloser
	tty          bool
	prompt, mark string
	ready        chan struct{} // closed when the command's input may begin, or never
	aborted      chan struct{} // closed when bad is set

	mu             sync.Mutex
	through        bool // sudo is
	answered       bool
	stopped        bool // nobody reads what still comes
	stdout, stderr bytes.Buffer
	bad            *Error
}

// over lets go of what still waits.
func (w *watch) over() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stopped = true
	if !w.through {
		w.through = true
		close(w.ready)
	}
}

// feed writes the command's input when it may begin.
func (w *watch) feed(stdin io.Reader) {
	<-w.ready
	if stdin != nil {
		_, _ = io.Copy(w.in, stdin) // a command need not read all
	}
	if !w.tty { // with a terminal, an end would be a hang-up
		_ = w.in.Close()
	}
}

// abort gives the command up. w.mu is held.
func (w *watch) abort(e *Error) error {
	if w.bad == nil {
		w.bad = e
		close(w.aborted)
	}
	return errEnough
}

type watchWriter struct {
	*watch
	stderr bool
}

func (w *watch) writer(stderr bool) io.Writer { return watchWriter{w, stderr} }

var errEnough = errors.New("no more is wanted")

func (w watchWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stopped || w.bad != nil {
		return 0, errEnough
	}
	to := &w.stdout
	if w.stderr {
		to = &w.watch.stderr
	}
	if to.Len()+len(p) > w.host.cfg.MaxOutput {
		return 0, w.abort(agentless.Failed(agentless.KindFile, agentless.CodeOutput, "The command on %s writes more than %d bytes", w.host.target.Host, w.host.cfg.MaxOutput))
	}
	to.Write(p)
	if !w.through && w.stderr != w.tty { // with a terminal everything comes on stdout
		if err := w.sudo(to); err != nil {
			return 0, w.abort(err)
		}
	}
	return len(p), nil
}

// sudo looks at what came so far, and takes out what is not the command's:
// all before the mark, such as sudo's lecture, its complaints about names of
// hosts, and the end of the line that the password was asked for on.
func (w *watch) sudo(seen *bytes.Buffer) *Error {
	text := seen.String()
	if after, found := cutLine(text, w.mark); found {
		w.through = true
		close(w.ready)
		seen.Reset()
		seen.WriteString(after)
		return nil
	}
	t := w.host.target
	switch {
	case strings.Contains(text, "is not in the sudoers file"), strings.Contains(text, "is not allowed to execute"), strings.Contains(text, "may not run sudo"):
		return agentless.Failed(agentless.KindEscalate, codeDenied, "User %s is not allowed to run commands as %s with sudo on %s", t.User, t.RunAs, t.Host)
	case strings.Contains(text, "Sorry, try again"):
		return agentless.Failed(agentless.KindEscalate, codeBadSudo, "Sudo password for user %s was not accepted on %s", t.User, t.Host)
	case !strings.Contains(text, w.prompt):
		return nil
	case t.SudoPassword == "":
		return agentless.Failed(agentless.KindEscalate, codeNoPass, "Escalation needs a password for %s on %s, and none was given", t.User, t.Host)
	case w.answered:
		if strings.Count(text, w.prompt) > 1 {
			return agentless.Failed(agentless.KindEscalate, codeBadSudo, "Sudo password for user %s was not accepted on %s", t.User, t.Host)
		}
		return nil
	}
	w.answered = true
	go func() { // until there is room for it, or the connection ends
		_, _ = io.WriteString(w.in, t.SudoPassword+"\n")
	}()
	return nil
}

// cutLine is what comes after a line.
func cutLine(text, line string) (after string, found bool) {
	at := strings.Index(text, line)
	if at < 0 {
		return "", false
	}
	rest := text[at+len(line):]
	rest = strings.TrimPrefix(rest, "\r")
	if !strings.HasPrefix(rest, "\n") {
		return "", false // the rest of the line is still to come
	}
	return rest[1:], true
}

// result makes of a session's end what became of the command.
func (w *watch) result(err error) (*output, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := &output{stdout: w.stdout.Bytes(), stderr: w.stderr.Bytes()}
	var exit *ssh.ExitError
	switch {
	case w.bad != nil:
		return nil, w.bad
	case errors.As(err, &exit):
		out.exit = exit.ExitStatus()
		if exit.Signal() != "" {
			out.exit = 128 + signals()[exit.Signal()]
		}
	case err != nil:
		return nil, agentless.Failed(agentless.KindConnect, agentless.CodeConnect, "The connection to %s was lost: %v", w.host.target.Host, err)
	}
	if !w.through && out.exit != 0 {
		return nil, agentless.Failed(agentless.KindEscalate, codeDenied, "Commands cannot be run as %s on %s: %s", w.host.target.RunAs, w.host.target.Host,
			strings.TrimSpace(strings.ReplaceAll(out.complaint(), w.prompt, "")))
	}
	return out, nil
}

// signals are the numbers of the signals that RFC 4254 names.
func signals() map[string]int {
	return map[string]int{"HUP": 1, "INT": 2, "QUIT": 3, "ILL": 4, "ABRT": 6, "FPE": 8, "KILL": 9, "USR1": 10, "SEGV": 11, "USR2": 12,
		"PIPE": 13, "ALRM": 14, "TERM": 15}
}
