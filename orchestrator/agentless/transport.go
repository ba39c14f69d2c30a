package agentless

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path"
	"slices"
	"sync"

	"github.com/google/uuid"

	"dalang/orchestrator/job"
	"dalang/orchestrator/task"
)

// KindRestarted is the kind of the error of a run that was under way when the
// server ended.
const KindRestarted = job.Prefix + "orchestrator-restarted"

// kindFailure is the kind of the error of what cannot be done at all.
const kindFailure = job.Prefix + "execution-failure"

// Config is what New needs: all but Logger.
type Config struct {
	Name     string   // of the transport
	Features []string // of its targets
	Runner   Runner
	// Open reads a file of a task.
	Open   func(ctx context.Context, f task.File) (io.ReadCloser, error)
	Sink   job.Sink
	Logger *slog.Logger
}

// Transport is a job.Transport. It knows the requests of the PXP modules task,
// command, script, and, where there is a shell, file, by the same parameters
// (orchestrator.md §7.2, §7.3).
type Transport struct {
	cfg Config

	mu      sync.Mutex
	closed  bool
	running map[uuid.UUID]context.CancelFunc
	all     sync.WaitGroup
	cleaned chan struct{} // has room for those that are being cleaned up after
}

// cleansAtOnce is after how many runs of an earlier life is cleaned up at a time.
const cleansAtOnce = 30

// New connects to nobody.
func New(cfg Config) (*Transport, error) {
	if cfg.Name == "" || cfg.Runner == nil || cfg.Open == nil || cfg.Sink == nil {
		return nil, errors.New("agentless: a name, a runner, files and a sink are required")
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Transport{cfg: cfg, running: map[uuid.UUID]context.CancelFunc{},
		cleaned: make(chan struct{}, cleansAtOnce)}, nil
}

// Name is job.Transport's.
func (t *Transport) Name() string { return t.cfg.Name }

// Connected is job.Transport's: whether a target is there shows when it is dialled.
func (t *Transport) Connected(string) bool { return true }

// Start is job.Transport's.
func (t *Transport) Start(_ context.Context, r job.Request) error {
	spec, err := t.read(r)
	if err != nil {
		return err
	}
	return t.begin(r, func(ctx context.Context) { t.run(ctx, r, spec) })
}

// Query is job.Transport's. What a server that died left behind is ended and
// deleted; the run has erred.
func (t *Transport) Query(_ context.Context, r job.Request) error {
	return t.begin(r, func(ctx context.Context) {
		select {
		case t.cleaned <- struct{}{}:
			defer func() { <-t.cleaned }()
		case <-ctx.Done():
			return // the next life asks again
		}
		left := "what it left on the target was deleted"
		if err := t.cfg.Runner.Clean(ctx, r.JobID, r.Certname, r.TransactionID.String()); err != nil {
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
	j := Job{ID: r.TransactionID.String(), Uploads: s.uploads, Command: s.command, Arguments: s.arguments, Timeout: r.Timeout,
		Began: func() { t.cfg.Sink.Provisional(r.Certname, r.TransactionID) }}
	for _, f := range s.files {
		j.Files = append(j.Files, File{f.name, func(ctx context.Context) (io.ReadCloser, error) { return t.cfg.Open(ctx, f.file) }})
	}
	switch {
	case s.input == nil:
	case s.method == task.PowerShell:
		j.Named = s.named
	default:
		j.Prepare = func(dir string) (task.Input, error) { return task.MakeInput(s.method, s.named(dir)) }
	}
	out, err := t.cfg.Runner.Run(ctx, r.JobID, r.Certname, j)
	if out.Left != "" {
		t.cfg.Logger.LogAttrs(ctx, slog.LevelWarn, "a directory was left on a target", slog.String("certname", r.Certname),
			slog.String("directory", out.Left), slog.String("transaction", j.ID))
	}
	if err != nil {
		told := nodeError(r.Certname, err)
		if out.Left != "" {
			told.Msg += "; its directory on the target, " + out.Left + ", could not be deleted"
			told.Details["directory"] = out.Left
		}
		t.cfg.Sink.Error(r.Certname, r.TransactionID, told)
		return
	}
	outcome := job.Outcome{State: job.Finished, ExitCode: out.ExitCode, Stdout: string(out.Stdout), Stderr: string(out.Stderr)}
	if r.Receive != nil {
		t.cfg.Sink.Result(r.Certname, r.TransactionID, r.Receive(ctx, outcome))
		return
	}
	failed := false
	if s.input != nil || s.uploads != nil {
		outcome.Results, failed = task.Result(out.Stdout, out.Stderr, out.ExitCode)
	} else {
		outcome.Results, failed = task.CommandResult(out.Stdout, out.Stderr, out.ExitCode)
	}
	if failed {
		outcome.State = job.Failed
	}
	t.cfg.Sink.Result(r.Certname, r.TransactionID, outcome)
}

func nodeError(certname string, err error) *job.Error {
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
	uploads   []Upload
	command   string
	files     []placed // the first one runs
	arguments []string
	input     map[string]any // of a task; else nil
	method    string
	installed bool // the task wants to know where its files are
}

// named are the task's arguments in a run's directory.
func (s *spec) named(dir string) map[string]any {
	if s.installed {
		s.input["_installdir"] = dir
	}
	return s.input
}

// placed is a file and its name in the run's directory.
type placed struct {
	name string
	file task.File
}

// read makes sense of a request's parameters.
func (t *Transport) read(r job.Request) (*spec, error) {
	if r.Receive != nil && !slices.Contains(t.cfg.Features, "shell") {
		return nil, job.NodeError(KindFile, r.Certname, "Files and directories cannot be downloaded over %s: %s", t.cfg.Name, r.Certname)
	}
	switch r.Module + " " + r.Action {
	case "task run":
		return t.readTask(r.Params)
	case "command run":
		var p struct{ Command string }
		if err := json.Unmarshal(r.Params, &p); err != nil || p.Command == "" {
			return nil, errors.New("the request has no command")
		}
		return &spec{command: p.Command}, nil
	case "script run":
		var p struct {
			Script    task.File
			Arguments []string
		}
		if err := json.Unmarshal(r.Params, &p); err != nil || p.Script.Filename == "" {
			return nil, errors.New("the request has no script")
		}
		return &spec{files: []placed{{path.Base(p.Script.Filename), p.Script}}, arguments: p.Arguments}, nil
	case "apply apply":
		return nil, job.NodeError(kindFailure, r.Certname, "Resources cannot be applied over %s: that takes an agent on %s; nothing was run there", t.cfg.Name, r.Certname)
	}
	if r.Module == "file" && r.Action == "download" && slices.Contains(t.cfg.Features, "shell") {
		return readUpload(r.Params)
	}
	return nil, fmt.Errorf("%s %s cannot be done over %s", r.Module, r.Action, t.cfg.Name)
}

func (t *Transport) readTask(params json.RawMessage) (*spec, error) {
	var p struct {
		Task     string          `json:"task"`
		Input    json.RawMessage `json:"input"`
		Files    []task.File     `json:"files"`
		Metadata json.RawMessage `json:"metadata"`
	}
	if err := json.Unmarshal(params, &p); err != nil || p.Task == "" {
		return nil, errors.New("the request has no task")
	}
	m, err := task.Parse(p.Metadata)
	if err != nil {
		return nil, fmt.Errorf("the task %s: %w", p.Task, err)
	}
	e, err := (&task.Task{Name: p.Task, Metadata: m, Files: p.Files}).Executable(t.cfg.Features)
	if err != nil {
		return nil, err
	}
	s := &spec{method: e.InputMethod, installed: len(e.Shared) > 0}
	if s.input, err = task.Object(p.Input); err != nil {
		return nil, fmt.Errorf("the task %s: its input: %w", p.Task, err)
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
