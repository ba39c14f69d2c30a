package ssh

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"time"

	"dalang/orchestrator/agentless"
)

// Config is what all runs have in common.
type Config struct {
	KnownHosts []string // files in OpenSSH's form, for targets with HostKeyCheck
	MaxOutput  int      // of each of stdout and stderr, in bytes; default 8 MiB

	prepareTime time.Duration // bounds what is done before a run, once there is a connection; default 1 h
	stallTime   time.Duration // how long that may stand still; default 1 min
	cleanTime   time.Duration // bounds what is done after a run, whatever became of it; default 10 s
}

const (
	defaultMaxOutput   = 8 << 20
	defaultPrepareTime = time.Hour
	defaultStallTime   = time.Minute
	defaultCleanTime   = 10 * time.Second
)

func (c Config) withDefaults() Config {
	if c.MaxOutput <= 0 {
		c.MaxOutput = defaultMaxOutput
	}
	for _, d := range []struct {
		value   *time.Duration
		usually time.Duration
	}{{&c.prepareTime, defaultPrepareTime}, {&c.stallTime, defaultStallTime}, {&c.cleanTime, defaultCleanTime}} {
		if *d.value <= 0 {
			*d.value = d.usually
		}
	}
	return c
}

// Run does a job on a target. Its errors are *Error, or ctx's; Left counts
// also then.
func Run(ctx context.Context, cfg Config, target Target, j Job) (Outcome, error) {
	if err := target.Check(); err != nil {
		return Outcome{}, agentless.Failed(agentless.KindConnect, agentless.CodeConnect, "%v", err)
	}
	h, err := open(ctx, cfg, target)
	if err != nil {
		return Outcome{}, err
	}
	defer h.client.Close()
	out, err := h.do(ctx, j)
	if out.Left != "" && h.again(ctx, j.ID) == nil {
		out.Left = ""
	}
	var known *Error
	if err != nil && ctx.Err() == nil && !errors.As(err, &known) {
		err = agentless.Failed(agentless.KindConnect, agentless.CodeConnect, "%v", err)
	}
	return out, err
}

// again cleans over another connection: the first may have broken.
func (h *host) again(ctx context.Context, id string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), h.cfg.cleanTime)
	defer cancel()
	return Clean(ctx, h.cfg, h.target, id)
}

// Clean ends what a job of an earlier life may have left running on a target,
// and deletes its directory.
func Clean(ctx context.Context, cfg Config, target Target, id string) error {
	for attempt := 1; ; attempt++ {
		start := time.Now()
		err := cleanOnce(ctx, cfg, target, id)
		known, ok := errors.AsType[*Error](err)
		final := ok && (known.Code == agentless.CodeAuth || known.Code == agentless.CodeHostKey || known.Kind == agentless.KindEscalate)
		if err == nil || final || attempt == cleanAttempts || time.Since(start) > cleanSoon {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(cleanPause):
		}
	}
}

func cleanOnce(ctx context.Context, cfg Config, target Target, id string) error {
	h, err := open(ctx, cfg, target)
	if err != nil {
		return err
	}
	defer h.client.Close()
	return h.clean(h.dir(id), true)
}

// How often cleaning up may fail, if it fails soon: connections break.
const (
	cleanAttempts = 3
	cleanSoon     = 5 * time.Second
	cleanPause    = 200 * time.Millisecond
)

func open(ctx context.Context, cfg Config, target Target) (*host, error) {
	target = target.withDefaults()
	client, err := dial(ctx, target, cfg.KnownHosts)
	if err != nil {
		return nil, err
	}
	return &host{client: client, target: target, cfg: cfg.withDefaults()}, nil
}

// dir is a job's directory on the target.
func (h *host) dir(id string) string { return path.Join(h.target.TmpDir, "dalang-"+id) }

// always tells whether everything needs a terminal, and not only the task: that
// is what sudo wants where its rules say requiretty.
func (h *host) always() bool { return h.target.TTY && h.target.RunAs != "" }

// do makes the directory, runs what is to run, and deletes the directory. The
// job's time is that of what is to run; of uploads it is that of all.
func (h *host) do(ctx context.Context, j Job) (out Outcome, err error) {
	limited, cancel := ctx, context.CancelFunc(func() {})
	defer func() { cancel() }()
	limit := func() {
		if j.Timeout > 0 {
			limited, cancel = context.WithTimeoutCause(ctx, j.Timeout, agentless.TimedOut(h.target.Host, j.Timeout))
		}
	}
	if len(j.Uploads) > 0 {
		limit()
	}
	dir := h.dir(j.ID)
	p := h.prepare(limited)
	defer p.over()
	made, err := h.run(p, command{line: "mkdir -m 700 " + quote(dir), tty: h.always()})
	if err != nil {
		if known, ok := errors.AsType[*Error](err); !ok || known.Kind != agentless.KindEscalate {
			out.Left = dir // it may be there
		}
		return out, late(p, err)
	}
	if made.exit != 0 {
		return out, agentless.Failed(agentless.KindFile, agentless.CodeTmpDir, "Could not make a temporary directory on %s: %s", h.target.Host, made.complaint())
	}
	defer func() {
		if cleanErr := h.clean(dir, err != nil); cleanErr != nil {
			out.Left = dir
		}
	}()
	if err := h.fill(p, dir, &j); err != nil {
		return out, late(p, err)
	}
	p.over()
	if j.Began != nil {
		j.Began()
	}
	if len(j.Uploads) == 0 {
		limit()
	}
	c := command{line: "sh " + quote(path.Join(dir, "wrapper.sh")), tty: h.target.TTY}
	if !c.tty && j.Stdin != nil {
		c.stdin = bytes.NewReader(j.Stdin)
	}
	ran, err := h.run(limited, c)
	if err != nil {
		return out, late(limited, err)
	}
	return Outcome{Stdout: ran.stdout, Stderr: ran.stderr, ExitCode: ran.exit}, nil
}

// late is why ctx ended, if that is what err says.
func late(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return context.Cause(ctx)
	}
	return err
}

// preparation is the time before a run. It ends when it takes too long, or
// stands still.
type preparation struct {
	context.Context
	still *time.Timer
	after time.Duration
	over  func()
}

func (h *host) prepare(ctx context.Context) *preparation {
	ctx, cancel := context.WithTimeoutCause(ctx, h.cfg.prepareTime, agentless.Failed(agentless.KindConnect, agentless.CodeConnect,
		"%s did not take what the run needs within %s", h.target.Host, seconds(h.cfg.prepareTime)))
	ctx, stop := context.WithCancelCause(ctx)
	p := &preparation{Context: ctx, after: h.cfg.stallTime}
	p.still = time.AfterFunc(p.after, func() {
		stop(agentless.Failed(agentless.KindConnect, agentless.CodeConnect, "What is done before the run on %s stood still for %s", h.target.Host, seconds(p.after)))
	})
	p.over = func() {
		p.still.Stop()
		cancel()
	}
	return p
}

// moves: it does not stand still.
func (p *preparation) moves() {
	if p.Err() == nil {
		p.still.Reset(p.after)
	}
}

// fill puts into the directory what the run needs.
func (h *host) fill(p *preparation, dir string, j *Job) error {
	if len(j.Uploads) > 0 {
		j.Command = placing(dir, j.ID, j.Uploads)
	}
	for i, f := range j.Files {
		if err := h.put(p, dir, f, i == 0 && j.Command == ""); err != nil {
			return err
		}
	}
	if j.Prepare != nil {
		in, err := j.Prepare(dir)
		if err != nil {
			return agentless.Failed(agentless.KindFile, agentless.CodeWrite, "%v", err)
		}
		j.Stdin, j.Env = in.Stdin, in.Env
	}
	wrapper := File{Name: "wrapper.sh", Open: func(context.Context) (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader(h.wrapper(dir, *j))), nil
	}}
	return h.put(p, dir, wrapper, true)
}

// put writes a file, mode 0600, or 0700 if it is to run.
func (h *host) put(p *preparation, dir string, f File, executable bool) error {
	p.still.Stop() // this is not the target's time
	r, err := f.Open(p)
	p.moves()
	if err != nil {
		return agentless.Failed(agentless.KindFile, agentless.CodeWrite, "Could not read %s: %v", f.Name, err)
	}
	defer r.Close()
	name := path.Join(dir, path.Clean("/"+f.Name))
	source := &failingReader{r: r, moves: p.moves}
	c := command{stdin: source, tty: h.always()}
	read := "cat"
	if c.tty {
		c.stdin, read = &lines{r: source}, fromTerminal
	}
	line := "umask 077; " + read + " > " + quote(name)
	if sub := path.Dir(name); sub != dir {
		line = "umask 077; mkdir -p " + quote(sub) + " && " + read + " > " + quote(name)
	}
	if executable {
		line += " && chmod 700 " + quote(name)
	}
	c.line = line
	wrote, err := h.run(p, c)
	switch {
	case err != nil:
		return err
	case source.err != nil:
		return agentless.Failed(agentless.KindFile, agentless.CodeWrite, "Could not read %s: %v", f.Name, source.err)
	case wrote.exit != 0:
		return agentless.Failed(agentless.KindFile, agentless.CodeWrite, "Could not write %s on %s: %s", name, h.target.Host, wrote.complaint())
	}
	return nil
}

// failingReader remembers that its reader failed, and tells when it is read.
type failingReader struct {
	r     io.Reader
	moves func()
	err   error
}

func (f *failingReader) Read(p []byte) (int, error) {
	n, err := f.r.Read(p)
	f.moves()
	if err != nil && err != io.EOF {
		f.err = err
	}
	return n, err
}

// wrapper is the script that runs the command. It is a file because the values
// of variables and commands are nobody else's business, and it stays, so that clean can tell
// its process from another that got the same number.
func (h *host) wrapper(dir string, j Job) string {
	var b strings.Builder
	fmt.Fprintf(&b, "echo $$ > %s\n", quote(path.Join(dir, "pid")))
	for _, assignment := range j.Env {
		name, value, _ := strings.Cut(assignment, "=")
		fmt.Fprintf(&b, "%s=%s; export %s\n", name, quote(value), name)
	}
	if j.Command != "" {
		b.WriteString("( eval " + quote(j.Command) + " )") // its words are in no process's arguments
	} else {
		file := path.Join(dir, path.Clean("/"+j.Files[0].Name))
		if program := h.interpreter(file); program != "" {
			b.WriteString(program + " ")
		}
		b.WriteString(quote(file))
		for _, a := range j.Arguments {
			b.WriteString(" " + quote(a))
		}
	}
	if h.target.TTY && j.Stdin != nil {
		end := "END_" + rand.Text() // nobody can know it, so it is not in the input
		fmt.Fprintf(&b, " <<'%s'\n%s\n%s", end, j.Stdin, end)
	}
	b.WriteString("\nexit $?\n")
	return b.String()
}

func (h *host) interpreter(file string) string {
	ext := path.Ext(file)
	if ext == "" {
		return ""
	}
	if program := h.target.Interpreters[ext]; program != "" {
		return program
	}
	return h.target.Interpreters[strings.TrimPrefix(ext, ".")]
}

// cleaner ends the processes of the wrapper whose directory is $1, if it still
// runs, and deletes the directory. With $2 it then waits for those of a broken
// connection that are still about to use or even to make the directory, all of
// which have its name in their arguments, and deletes it again.
const cleaner = `d=$1
p=$(cat "$d/pid" 2>/dev/null)
if [ -n "$p" ]; then
  case $(ps -o args= -p "$p" 2>/dev/null) in
  *"$d/wrapper.sh"*)
    g=$(ps -o pgid= -p "$p" | tr -d ' ')
    if [ -n "$g" ] && [ "$g" != "$(ps -o pgid= -p $$ | tr -d ' ')" ]; then
      kill -s TERM -- "-$g" 2>/dev/null
      n=0
      while kill -s 0 -- "-$g" 2>/dev/null && [ $n -lt 20 ]; do sleep 0.1; n=$((n+1)); done
      kill -s KILL -- "-$g" 2>/dev/null
    fi ;;
  esac
fi
rm -rf "$d"
n=0
while [ -n "$2" ] && [ $n -lt 20 ]; do
  case $(ps -eo args= 2>/dev/null | grep -v ` + cleanerName + `) in
  *"$d"*) sleep 0.3; n=$((n+1)) ;;
  *) break ;;
  esac
done
rm -rf "$d"`

// cleanerName tells the cleaner's processes, sudo's included, from others.
const cleanerName = "dalang-clean"

// clean has its own time: what it does has to be done. Thorough is for runs that
// did not come to their end.
func (h *host) clean(dir string, thorough bool) error {
	line := "sh -c " + quote(cleaner) + " " + cleanerName + " " + quote(dir)
	if thorough {
		line += " thorough"
	}
	ctx, cancel := context.WithTimeout(context.Background(), h.cfg.cleanTime)
	defer cancel()
	out, err := h.run(ctx, command{line: line, tty: h.always()})
	if err == nil && out.exit != 0 {
		err = fmt.Errorf("delete %s on %s: %s", dir, h.target.Host, out.complaint())
	}
	return err
}
