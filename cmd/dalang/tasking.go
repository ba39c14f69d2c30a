package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"path/filepath"
	"sync"
	"time"

	"dalang/orchestrator/agentless"
	"dalang/orchestrator/content"
	"dalang/orchestrator/download"
	"dalang/orchestrator/job"
	"dalang/orchestrator/secret"
	"dalang/orchestrator/task"
	"dalang/server/orch"
	"dalang/store"
)

// tasking is what tasks and plans need: where they come from, and how nodes
// without an agent are reached.
type tasking struct {
	content     content.Source
	files       http.Handler // nil: agents get files from a Puppet Server
	secrets     *secret.Keeper
	downloads   *download.Keeper
	remotes     []*agentless.Transport // ssh and winrm
	connections *orch.Connections
}

// newTasking asks nobody and reads nothing but the key; what downloads left
// unfinished is deleted.
func (a *app) newTasking() (*tasking, error) {
	t, c := &tasking{content: nowhere{}}, a.cfg.Orchestrator
	var err error
	if t.secrets, err = secret.Open(a.cfg.Dalang.Data); err != nil {
		return nil, err
	}
	if t.downloads, err = download.New(download.Config{Dir: filepath.Join(a.cfg.Dalang.Data, "downloads"), Logger: a.log}); err != nil {
		return nil, err
	}
	switch {
	case c.PuppetServer != "":
		client, err := puppetClient(a.cfg)
		if err != nil {
			return nil, err
		}
		t.content = content.WithShim(content.NewServer(content.ServerConfig{URL: c.PuppetServer, Client: client}))
	case len(c.EnvironmentPath) > 0:
		s := content.WithShim(content.NewDirectory(content.DirectoryConfig{Path: c.EnvironmentPath, BaseModulePath: c.BaseModulePath, Logger: a.log}))
		t.content, t.files = s, s
	}
	return t, nil
}

// usage is what is kept of usage, brought up to date first unless that was done
// a moment ago.
type usage struct {
	store *store.Store
	now   func() time.Time

	mu    sync.Mutex // held while it is brought up to date: others wait for that
	noted time.Time
}

// usageAge is how old usage may be when somebody asks.
const usageAge = time.Minute

// Usage is orch.Usage's.
func (u *usage) Usage(ctx context.Context, first, last time.Time) ([]job.Usage, error) {
	if err := u.note(ctx); err != nil {
		return nil, err
	}
	return u.store.Usage(ctx, first, last)
}

func (u *usage) note(ctx context.Context) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	now := u.now()
	if age := now.Sub(u.noted); age >= 0 && age < usageAge {
		return nil
	}
	if err := u.store.NoteUsage(ctx, now); err != nil {
		return err
	}
	u.noted = now
	return nil
}

// noteUsage keeps how many nodes there are: now, and whenever an hour begins.
func (a *app) noteUsage(ctx context.Context) error {
	for {
		now := time.Now()
		if err := a.store.NoteUsage(ctx, now); err != nil && ctx.Err() == nil {
			a.log.Error("noting the usage failed", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(now.Truncate(time.Hour).Add(time.Hour).Sub(now)):
		}
	}
}

// nowhere is where tasks come from when nobody said.
type nowhere struct{}

var errNowhere = errors.New("this server does not know where tasks and plans are: neither orchestrator.puppetserver nor orchestrator.environmentpath is set")

func (nowhere) Tasks(context.Context, string) ([]content.Entry, string, error) {
	return nil, "", job.Unavailable(errNowhere)
}

func (nowhere) Task(context.Context, string, string) (*task.Task, error) {
	return nil, job.Unavailable(errNowhere)
}

func (nowhere) Plans(context.Context, string) ([]content.Entry, error) {
	return nil, job.Unavailable(errNowhere)
}

func (nowhere) Plan(context.Context, string, string) (*content.Plan, error) {
	return nil, job.Unavailable(errNowhere)
}

func (nowhere) Open(context.Context, task.File) (io.ReadCloser, error) { return nil, errNowhere }
