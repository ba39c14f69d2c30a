package ssh

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path"
	"sync"

	"github.com/google/uuid"

	"dalang/orchestrator/job"
	"dalang/orchestrator/task"
)

// KindRestarted is the kind of the error of a run that was under way when the
// server ended.
const KindRestarted = job.Prefix + "orchestrator-restarted"

// TransportConfig is what NewTransport needs: all but Logger.
type TransportConfig struct {
	Config
	// Target tells how to reach a node of a job, with its secrets.
	Target func(ctx context.Context, jobID int64, certname string) (Target, error)
	// Open reads a file of a task.
	Open   func(ctx context.Context, f task.File) (io.ReadCloser, error)
	Sink   job.Sink
	Logger *slog.Logger
}

// Transport is a job.Transport over SSH. It knows the requests of the PXP
// modules task, command and script, by the same parameters (§7.2, §7.3).
type Transport struct {
	cfg TransportConfig

	mu      sync.Mutex
	closed  bool
	running map[uuid.UUID]context.CancelFunc
	all     sync.WaitGroup
}

// NewTransport connects to nobody.
func NewTransport(cfg TransportConfig) (*Transport, error) {
	if cfg.Target == nil || cfg.Open == nil || cfg.Sink == nil {
		return nil, errors.New("ssh: targets, files and a sink are required")
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Transport{cfg: cfg, running: map[uuid.UUID]context.CancelFunc{}}, nil
}

// Name is job.Transport's.
func (t *Transport) Name() string { return "ssh" }

// Connected is job.Transport's: whether a target is there shows when it is dialled.
func (t *Transport) Connected(string) bool { return true }

// Start is job.Transport's.
func (t *Transport) Start(_ context.Context, r job.Request) error {
	spec, err := read(r)
	if err != nil {
		return err
	}
	return t.begin(r, func(ctx context.Context) { t.run(ctx, r, spec) })
}

// Query is job.Transport's. What a server that died left behind is ended and
// deleted; the run has erred.
func (t *Transport) Query(_ context.Context, r job.Request) error {
	return t.begin(r, func(ctx context.Context) {
		left := "what it left on the target was deleted"
		target, err := t.cfg.Target(ctx, r.JobID, r.Certname)
		if err == nil {
			err = Clean(ctx, t.cfg.Config, target, r.TransactionID.String())
		}
		if err != nil {
			left = fmt.Sprintf("what it left on the target, in a directory named dalang-%s, could not be deleted: %v", r.TransactionID, err)
			t.cfg.Logger.LogAttrs(ctx, slog.LevelWarn, "a run of an earlier life was not cleaned up", slog.String("certname", r.Certname),
				slog.String("transaction", r.TransactionID.String()), slog.Any("error", err))
		}
		t.cfg.Sink.Error(r.Certname, r.TransactionID, job.NodeError(KindRestarted, r.Certname, "The orchestrator was restarted while this ran; %s", left))
	})
}

// Stop is job.Transport's: what runs on the target is ended.
func (t *Transport) Stop(_ context.Context, r job.Request) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if cancel := t.running[r.TransactionID]; cancel != nil {
		cancel()
	}
	return nil
}

// Close ends all runs and waits until their targets are clean.
func (t *Transport) Close() {
	t.mu.Lock()
	t.closed = true
	for _, cancel := range t.running {
		cancel()
	}
	t.mu.Unlock()
	t.all.Wait()
}

// begin does something for a transaction, unless it is being done.
func (t *Transport) begin(r job.Request, do func(context.Context)) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return job.ErrNotConnected
	}
	if _, known := t.running[r.TransactionID]; known {
		return nil
	}
	ctx, cancel := context.WithCancel(context.Background())
	t.running[r.TransactionID] = cancel
	t.all.Go(func() {
		defer func() {
			t.mu.Lock()
			defer t.mu.Unlock()
			cancel()
			delete(t.running, r.TransactionID)
		}()
		do(ctx)
	})
	return nil
}

// run does a request and tells the sink what became of it.
func (t *Transport) run(ctx context.Context, r job.Request, s *spec) {
	target, err := t.cfg.Target(ctx, r.JobID, r.Certname)
	if err != nil {
		t.cfg.Sink.Error(r.Certname, r.TransactionID, job.NodeError(KindConnect, r.Certname, "There is no connection for %s: %v", r.Certname, err))
		return
	}
	j := Job{ID: r.TransactionID.String(), Command: s.command, Arguments: s.arguments, Timeout: r.Timeout,
		Began: func() { t.cfg.Sink.Provisional(r.Certname, r.TransactionID) }}
	for _, f := range s.files {
		j.Files = append(j.Files, File{f.name, func(ctx context.Context) (io.ReadCloser, error) { return t.cfg.Open(ctx, f.file) }})
	}
	if s.input != nil {
		if s.installed {
			s.input["_installdir"] = path.Join(target.withDefaults().TmpDir, "dalang-"+j.ID)
		}
		in, err := task.MakeInput(s.method, s.input)
		if err != nil {
			t.cfg.Sink.Error(r.Certname, r.TransactionID, job.NodeError(task.KindTaskError, r.Certname, "%v", err))
			return
		}
		j.Stdin, j.Env = in.Stdin, in.Env
	}
	out, err := Run(ctx, t.cfg.Config, target, j)
	if out.Left != "" {
		t.cfg.Logger.LogAttrs(ctx, slog.LevelWarn, "a directory was left on a target", slog.String("certname", r.Certname),
			slog.String("directory", out.Left), slog.String("transaction", j.ID))
	}
	if err != nil {
		t.cfg.Sink.Error(r.Certname, r.TransactionID, nodeError(r.Certname, err))
		return
	}
	outcome := job.Outcome{State: job.Finished, ExitCode: out.ExitCode, Stdout: string(out.Stdout), Stderr: string(out.Stderr)}
	failed := false
	if s.input != nil {
		outcome.Results, failed = task.Result(out.Stdout, out.Stderr, out.ExitCode)
	} else {
		outcome.Results, failed = task.CommandResult(out.Stdout, out.Stderr, out.ExitCode)
	}
	if failed {
		outcome.State = job.Failed
	}
	t.cfg.Sink.Result(r.Certname, r.TransactionID, outcome)
}

func nodeError(certname string, err error) error {
	var known *Error
	if errors.As(err, &known) {
		e := job.NodeError(known.Kind, certname, "%s", known.Msg)
		e.Details["issue_code"] = known.Code
		return e
	}
	return job.NodeError(job.Prefix+"force-stopped", certname, "The run on %s was stopped: %v", certname, err)
}

// spec is what a request asks for.
type spec struct {
	command   string
	files     []placed // the first one runs
	arguments []string
	input     map[string]any // of a task; else nil
	method    string
	installed bool // the task wants to know where its files are
}

// placed is a file and its name in the run's directory.
type placed struct {
	name string
	file task.File
}

// features are what targets over SSH have.
func features() []string { return []string{"shell"} }

// read makes sense of a request's parameters.
func read(r job.Request) (*spec, error) {
	switch r.Module + " " + r.Action {
	case "task run":
		return readTask(r.Params)
	case "command run":
		var p struct{ Command string }
		if err := json.Unmarshal(r.Params, &p); err != nil || p.Command == "" {
			return nil, errors.New("ssh: the request has no command")
		}
		return &spec{command: p.Command}, nil
	case "script run":
		var p struct {
			Script    task.File
			Arguments []string
		}
		if err := json.Unmarshal(r.Params, &p); err != nil || p.Script.Filename == "" {
			return nil, errors.New("ssh: the request has no script")
		}
		return &spec{files: []placed{{path.Base(p.Script.Filename), p.Script}}, arguments: p.Arguments}, nil
	}
	return nil, fmt.Errorf("ssh: %s %s cannot be done over ssh", r.Module, r.Action)
}

func readTask(params json.RawMessage) (*spec, error) {
	var p struct {
		Task     string          `json:"task"`
		Input    json.RawMessage `json:"input"`
		Files    []task.File     `json:"files"`
		Metadata json.RawMessage `json:"metadata"`
	}
	if err := json.Unmarshal(params, &p); err != nil || p.Task == "" {
		return nil, errors.New("ssh: the request has no task")
	}
	m, err := task.Parse(p.Metadata)
	if err != nil {
		return nil, fmt.Errorf("ssh: the task %s: %w", p.Task, err)
	}
	e, err := (&task.Task{Name: p.Task, Metadata: m, Files: p.Files}).Executable(features())
	if err != nil {
		return nil, err
	}
	s := &spec{method: e.InputMethod, installed: len(e.Shared) > 0}
	if s.input, err = task.Object(p.Input); err != nil {
		return nil, fmt.Errorf("ssh: the task %s: its input: %w", p.Task, err)
	}
	s.input["_task"] = p.Task
	name := e.File.Filename
	if s.installed {
		module, _ := task.SplitName(p.Task)
		name = path.Join(module, "tasks", name)
	}
	s.files = append(s.files, placed{name, e.File})
	for _, f := range e.Shared {
		if f.Filename != name {
			s.files = append(s.files, placed{f.Filename, f})
		}
	}
	return s, nil
}
