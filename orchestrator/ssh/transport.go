package ssh

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"time"

	"dalang/orchestrator/agentless"
	"dalang/orchestrator/job"
	"dalang/orchestrator/task"
)

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

// NewTransport makes the job.Transport "ssh". It connects to nobody.
func NewTransport(cfg TransportConfig) (*agentless.Transport, error) {
	if cfg.Target == nil {
		return nil, errors.New("ssh: targets are required")
	}
	return agentless.New(agentless.Config{Name: "ssh", Features: []string{"shell"}, Runner: runner{cfg}, Open: cfg.Open, Sink: cfg.Sink, Logger: cfg.Logger})
}

// runner is an agentless.Runner.
type runner struct{ cfg TransportConfig }

func (r runner) target(ctx context.Context, jobID int64, certname string) (Target, error) {
	t, err := r.cfg.Target(ctx, jobID, certname)
	if err != nil {
		return t, agentless.Failed(agentless.KindConnect, agentless.CodeConnect, "There is no connection for %s: %v", certname, err)
	}
	return t, nil
}

// Run is agentless.Runner's.
func (r runner) Run(ctx context.Context, jobID int64, certname string, j Job) (Outcome, error) {
	t, err := r.target(ctx, jobID, certname)
	if err != nil {
		return Outcome{}, err
	}
	return Run(ctx, r.cfg.Config, t, j)
}

// Clean is agentless.Runner's. Nobody waits for a slot meanwhile: it has time.
func (r runner) Clean(ctx context.Context, jobID int64, certname, id string) error {
	t, err := r.target(ctx, jobID, certname)
	if err != nil {
		return err
	}
	cfg := r.cfg.Config
	cfg.cleanTime = time.Minute
	return Clean(ctx, cfg, t, id)
}
