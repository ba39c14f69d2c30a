package winrm

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path"
	"strings"

	"dalang/orchestrator/agentless"
	"dalang/orchestrator/job"
	"dalang/orchestrator/task"
)

// TransportConfig is what NewTransport needs: all but MaxOutput and Logger.
type TransportConfig struct {
	// Target tells how to reach a node of a job, with its secrets.
	Target func(ctx context.Context, jobID int64, certname string) (Target, error)
	// Open reads a file of a task.
	Open      func(ctx context.Context, f task.File) (io.ReadCloser, error)
	Sink      job.Sink
	MaxOutput int // of each of stdout and stderr, in bytes; default 8 MiB
	Logger    *slog.Logger
}

// NewTransport makes the job.Transport "winrm". It connects to nobody.
func NewTransport(cfg TransportConfig) (*agentless.Transport, error) {
	if cfg.Target == nil {
		return nil, errors.New("winrm: targets are required")
	}
	if cfg.MaxOutput <= 0 {
		cfg.MaxOutput = 8 << 20
	}
	return agentless.New(agentless.Config{Name: "winrm", Features: []string{"powershell"}, Runner: runner{cfg}, Open: cfg.Open, Sink: cfg.Sink, Logger: cfg.Logger})
}

// runner is an agentless.Runner.
type runner struct{ cfg TransportConfig }

func (r runner) open(ctx context.Context, jobID int64, certname string) (*client, error) {
	t, err := r.cfg.Target(ctx, jobID, certname)
	if err == nil {
		err = t.Check()
	}
	if err != nil {
		return nil, agentless.Failed(agentless.KindConnect, agentless.CodeConnect, "There is no connection for %s: %v", certname, err)
	}
	return newClient(t.withDefaults(), r.cfg.MaxOutput)
}

// Clean is agentless.Runner's.
func (r runner) Clean(ctx context.Context, jobID int64, certname, id string) error {
	c, err := r.open(ctx, jobID, certname)
	if err != nil {
		return err
	}
	defer c.close()
	return c.clean(ctx, id)
}

// Run is agentless.Runner's.
func (r runner) Run(ctx context.Context, jobID int64, certname string, j agentless.Job) (agentless.Outcome, error) {
	if len(j.Uploads) > 0 {
		return agentless.Outcome{}, agentless.Failed(agentless.KindFile, agentless.CodeWrite, "Files and directories cannot be uploaded over WinRM: %s", certname)
	}
	c, err := r.open(ctx, jobID, certname)
	if err != nil {
		return agentless.Outcome{}, err
	}
	defer c.close()
	return c.do(ctx, j)
}

// clean has its own time: what it does has to be done.
func (c *client) clean(ctx context.Context, id string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
	defer cancel()
	out, err := c.run(ctx, powershell(removeDir(c.target.TmpDir, id)), nil)
	if err == nil && out.exit != 0 {
		err = fmt.Errorf("delete dalang-%s on %s: %s", id, c.target.Host, strings.TrimSpace(string(out.stderr)))
	}
	return err
}

// late is why ctx ended, if that is what err says.
func late(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return context.Cause(ctx)
	}
	return err
}

// do makes the directory, runs what is to run, and deletes the directory. The
// job's time is that of what is to run.
func (c *client) do(ctx context.Context, j agentless.Job) (out agentless.Outcome, err error) {
	before, prepared := context.WithTimeoutCause(ctx, prepareTime, agentless.Failed(agentless.KindConnect, agentless.CodeConnect,
		"%s did not take what the run needs within %s", c.target.Host, prepareTime))
	defer prepared()
	made, err := c.run(before, powershell(makeDir(c.target.TmpDir, j.ID)), nil)
	if err != nil {
		return out, late(before, err)
	}
	dir := strings.TrimSpace(string(made.stdout))
	if made.exit != 0 || dir == "" {
		return out, agentless.Failed(agentless.KindFile, agentless.CodeTmpDir, "Could not make a temporary directory on %s: %s", c.target.Host, strings.TrimSpace(string(made.stderr)))
	}
	defer func() {
		if cleanErr := c.clean(ctx, j.ID); cleanErr != nil {
			out.Left = dir
		}
	}()
	if err := c.putAll(before, dir, j); err != nil {
		return out, late(before, err)
	}
	if j.Began != nil {
		j.Began()
	}
	limited := ctx
	if j.Timeout > 0 {
		var cancel context.CancelFunc
		limited, cancel = context.WithTimeoutCause(ctx, j.Timeout, agentless.TimedOut(c.target.Host, j.Timeout))
		defer cancel()
	}
	ran, err := c.run(limited, runWrapper(dir), nil)
	if err != nil {
		return out, late(limited, err)
	}
	return agentless.Outcome{Stdout: ran.stdout, Stderr: ran.stderr, ExitCode: ran.exit}, nil
}

// putAll puts the job's files, its input and the wrapper into the directory.
func (c *client) putAll(ctx context.Context, dir string, j agentless.Job) error {
	w := &wrapped{env: j.Env, command: j.Command, arguments: j.Arguments}
	for i, f := range j.Files {
		r, err := f.Open(ctx)
		if err != nil {
			return agentless.Failed(agentless.KindFile, agentless.CodeWrite, "Could not read %s: %v", f.Name, err)
		}
		content, err := io.ReadAll(r)
		if closeErr := r.Close(); err == nil {
			err = closeErr
		}
		if err != nil {
			return agentless.Failed(agentless.KindFile, agentless.CodeWrite, "Could not read %s: %v", f.Name, err)
		}
		if err := c.put(ctx, join(dir, f.Name), content); err != nil {
			return err
		}
		if i == 0 && j.Command == "" {
			program, before, ok := c.target.program(f.Name)
			if !ok {
				return agentless.Failed(agentless.KindFile, agentless.CodeWrite,
					"Nothing is known to run files that end with %q on %s: name the extension among the target's extensions or interpreters", path.Ext(f.Name), c.target.Host)
			}
			w.file, w.program = join(dir, f.Name), program
			if len(before) > 0 {
				w.file, w.arguments = before[0], append(append(before[1:], join(dir, f.Name)), j.Arguments...)
			}
		}
	}
	stdin := j.Stdin
	if j.Prepare != nil {
		in, err := j.Prepare(dir)
		if err != nil {
			return agentless.Failed(agentless.KindFile, agentless.CodeWrite, "%v", err)
		}
		stdin, w.env = in.Stdin, in.Env
	}
	if j.Named != nil {
		named, err := task.Marshal(j.Named(dir))
		if err != nil {
			return agentless.Failed(agentless.KindFile, agentless.CodeWrite, "%v", err)
		}
		w.namedFile = join(dir, "arguments.json")
		if err := c.put(ctx, w.namedFile, named); err != nil {
			return err
		}
	}
	if stdin != nil {
		w.stdinFile = join(dir, "input.json")
		if err := c.put(ctx, w.stdinFile, stdin); err != nil {
			return err
		}
	}
	return c.put(ctx, join(dir, "wrapper.ps1"), []byte(w.script()))
}

// put writes a file.
func (c *client) put(ctx context.Context, file string, content []byte) error {
	wrote, err := c.run(ctx, powershell(putFile(file)), []byte(base64.StdEncoding.EncodeToString(content)))
	if err == nil && wrote.exit != 0 {
		err = agentless.Failed(agentless.KindFile, agentless.CodeWrite, "Could not write %s on %s: %s", file, c.target.Host, strings.TrimSpace(string(wrote.stderr)))
	}
	return err
}
