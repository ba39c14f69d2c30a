package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/google/uuid"

	"dalang/commands"
	"dalang/commands/queue"
	"dalang/dlo"
)

// deadLetterOffice is an office to work with: that of a running server
// (*dloclient.Client), or that of a data directory at rest (*stopped).
type deadLetterOffice interface {
	List(ctx context.Context, f dlo.Filter, p dlo.Page) (dlo.Listing, error)
	Stats(ctx context.Context, f dlo.Filter) (dlo.Stats, error)
	Get(ctx context.Context, id string) (dlo.Diagnosis, error)
	// Body opens the decompressed body, RawBody the body as it was received.
	Body(ctx context.Context, id string) (io.ReadCloser, error)
	RawBody(ctx context.Context, id string) (io.ReadCloser, error)
	// Replace answers, with replay, the uuid that the command got.
	Replace(ctx context.Context, id string, body []byte, force, replay bool) (dlo.Summary, *uuid.UUID, error)
	Replay(ctx context.Context, req dlo.ReplayRequest, progress func(dlo.Progress)) (dlo.ReplayResult, error)
	Prune(ctx context.Context, req dlo.PruneRequest) (dlo.PruneResult, error)
	Export(ctx context.Context, s dlo.Selection, w io.Writer) error
	Close() error
}

// stopped is the office of a data directory that no server works with. It
// holds the queue's lock, so that none can start meanwhile.
type stopped struct {
	*dlo.Office
	queue *queue.Queue
	now   func() time.Time
}

func openStopped(data string, now func() time.Time) (*stopped, error) {
	spool, letters := filepath.Join(data, "stockpile"), filepath.Join(data, "mq")
	_, spoolErr := os.Stat(spool)
	_, lettersErr := os.Stat(letters)
	switch {
	case spoolErr == nil || lettersErr == nil:
	case errors.Is(spoolErr, fs.ErrNotExist):
		return nil, fmt.Errorf("%s is not a data directory: it has neither stockpile nor mq", data)
	default:
		return nil, fmt.Errorf("data directory: %w", spoolErr)
	}
	q, _, err := queue.Open(queue.Config{Dir: filepath.Join(spool, "cmd")})
	if errors.Is(err, queue.ErrLocked) {
		return nil, fmt.Errorf("a server is running on %s; leave out --data to ask it (at %s, or --server URL)", data, defaultServer)
	}
	if err != nil {
		return nil, err
	}
	office, err := dlo.Open(dlo.Config{
		Dir: filepath.Join(letters, "discarded"), Imported: filepath.Join(spool, "discard"),
		UUID: q.UUID, Version: buildInfo().Version, Now: now,
	})
	if err != nil {
		q.Close() // the first error is the one to tell
		return nil, err
	}
	return &stopped{Office: office, queue: q, now: now}, nil
}

// Close lets a server start.
func (s *stopped) Close() error { return s.queue.Close() }

// Enqueue puts a command into the queue, where a server will find it.
func (s *stopped) Enqueue(ctx context.Context, in commands.Submission) (uuid.UUID, error) {
	m := queue.NewMeta(in.Command, in.Version, in.Certname, s.now(), in.Producer, in.Gzip)
	e, err := s.queue.Put(ctx, m, in.Body)
	return e.UUID, err
}

// Replay puts letters back into the queue.
func (s *stopped) Replay(ctx context.Context, req dlo.ReplayRequest, progress func(dlo.Progress)) (dlo.ReplayResult, error) {
	return s.Office.Replay(ctx, req, s, progress)
}

// Replace changes a letter's body and, with replay, puts it back into the queue.
func (s *stopped) Replace(ctx context.Context, id string, body []byte, force, replay bool) (dlo.Summary, *uuid.UUID, error) {
	sum, err := s.Office.Replace(ctx, id, body, force)
	if err != nil || !replay {
		return sum, nil, err
	}
	var last dlo.Progress
	req := dlo.ReplayRequest{Selection: dlo.Selection{IDs: []string{sum.UUID.String()}}, Force: force}
	if _, err = s.Replay(ctx, req, func(p dlo.Progress) { last = p }); err == nil && last.NewUUID == nil {
		err = fmt.Errorf("the letter was edited, but not replayed: %s", last.Error)
	}
	return sum, last.NewUUID, err
}

// Export writes letters to w as a gzipped tar.
func (s *stopped) Export(ctx context.Context, sel dlo.Selection, w io.Writer) error {
	sel.All = sel.All || sel.Empty()
	_, err := s.Office.Export(ctx, sel, w)
	return err
}
