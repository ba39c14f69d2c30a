package dlo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/google/uuid"

	"dalang/commands"
	"dalang/wireformat"
)

// Submitter takes commands in, as clients' are.
type Submitter interface {
	// Enqueue returns nil when the command is durable in the queue.
	// *commands.FullError asks to come back later; *wireformat.Error says that
	// the command is at fault; every other error ends the replay.
	Enqueue(ctx context.Context, s commands.Submission) (uuid.UUID, error)
}

// ReplayRequest says what to replay and how.
type ReplayRequest struct {
	Selection
	DryRun bool    `json:"dry_run,omitempty"` // only tell what would happen
	Force  bool    `json:"force,omitempty"`   // submit also what would fail again
	Rate   float64 `json:"rate,omitempty"`    // letters a second; 0: as fast as they go
}

// Progress tells of one letter of a replay.
type Progress struct {
	Done     int                `json:"done"` // letters dealt with, this one included
	Total    int                `json:"total"`
	UUID     uuid.UUID          `json:"uuid"`
	NewUUID  *uuid.UUID         `json:"new_uuid,omitempty"` // under which it was submitted
	Command  wireformat.Command `json:"command"`
	Version  int                `json:"version"`
	Certname string             `json:"certname"`
	// Error is why the letter stays, or, in a dry run, would stay.
	Error    string               `json:"error,omitempty"`
	Problems []wireformat.Problem `json:"problems,omitempty"`
}

// ReplayResult sums a replay up.
type ReplayResult struct {
	Selected int  `json:"selected"`
	Replayed int  `json:"replayed"` // submitted, and gone from the office; would be, in a dry run
	Failing  int  `json:"failing"`  // stay: they would fail again
	Skipped  int  `json:"skipped"`  // somebody else has them, or had
	DryRun   bool `json:"dry_run"`
}

// ReplayEvent is one line of what the API answers to a replay: a letter, or at
// the end the result, with an error when something stopped the replay.
type ReplayEvent struct {
	Letter *Progress     `json:"letter,omitempty"`
	Result *ReplayResult `json:"result,omitempty"`
	Error  string        `json:"error,omitempty"`
}

// Replay submits letters again, in order of acceptance. A letter leaves when
// its command is durable in the queue; one that would still fail stays, and
// the replay goes on. When it is interrupted (by ctx, the disk or the queue) the
// letters that are left stay: repeat it. progress, which may be nil, is called
// for every letter, by one goroutine.
func (o *Office) Replay(ctx context.Context, req ReplayRequest, to Submitter, progress func(Progress)) (ReplayResult, error) {
	res := ReplayResult{DryRun: req.DryRun}
	if req.Rate < 0 {
		return res, inputErrorf("the rate cannot be negative")
	}
	list, err := o.selected(ctx, req.Selection)
	if err != nil {
		return res, err
	}
	res.Selected = len(list)
	r := &replay{o: o, req: req, to: to, folders: map[string]bool{}}
	defer r.sync()
	pace := newPacer(req.Rate)
	defer pace.stop()
	for i, l := range list {
		if err := pace.wait(ctx); err != nil {
			return res, fmt.Errorf("replay interrupted after %d of %d letters: %w", i, len(list), err)
		}
		p, err := r.one(ctx, l, &res)
		if err != nil {
			return res, fmt.Errorf("replay stopped after %d of %d letters: %w", i, len(list), err)
		}
		p.Done, p.Total = i+1, len(list)
		if progress != nil {
			progress(p)
		}
	}
	return res, nil
}

type replay struct {
	o       *Office
	req     ReplayRequest
	to      Submitter
	folders map[string]bool // that letters have left
}

// one deals with one letter. An error ends the replay.
func (r *replay) one(ctx context.Context, l *letter, res *ReplayResult) (Progress, error) {
	p := r.o.progress(l)
	if err := r.o.seize(l); err != nil {
		res.Skipped++
		p.Error = err.Error()
		return p, nil
	}
	defer r.o.release(l)
	var id uuid.UUID
	var err error
	if r.req.DryRun || !r.req.Force {
		err = r.o.check(l)
	}
	if err == nil && !r.req.DryRun {
		id, err = r.submit(ctx, l, p.Certname)
	}
	var bad *wireformat.Error
	switch {
	case errors.As(err, &bad):
		res.Failing++
		p.Error, p.Problems = bad.Message, bad.Problems
		return p, nil
	case errors.Is(err, ErrNotFound):
		res.Skipped++
		p.Error = err.Error()
		return p, nil
	case err != nil:
		return p, err
	}
	res.Replayed++
	if r.req.DryRun {
		return p, nil
	}
	p.NewUUID = &id
	return p, r.leave(l, id)
}

// submit waits while the queue is full.
func (r *replay) submit(ctx context.Context, l *letter, certname string) (uuid.UUID, error) {
	client := r.o.client(l)
	for {
		body, err := r.o.open(l)
		if err != nil {
			return uuid.Nil, err
		}
		id, err := r.to.Enqueue(ctx, commands.Submission{
			Command: l.meta.Command, Version: l.meta.Version, Certname: certname,
			Producer: l.meta.Producer, Gzip: l.meta.Gzip, Body: body, Client: client,
		})
		body.Close() // read only: nothing to lose
		var full *commands.FullError
		if !errors.As(err, &full) {
			return id, err
		}
		select {
		case <-time.After(max(full.RetryAfter, 50*time.Millisecond)):
		case <-ctx.Done():
			return uuid.Nil, ctx.Err()
		}
	}
}

// leave lets a letter go whose command is in the queue as id.
func (r *replay) leave(l *letter, id uuid.UUID) error {
	o := r.o
	s := o.describe(l)
	if err := o.removeFiles(l); err != nil {
		return fmt.Errorf("the command was submitted as %s, but its letter cannot be removed: %w", id, err)
	}
	r.folders[o.folder(l)] = true
	o.successors.add(s.UUID, id) // before it is gone: somebody always knows the uuid
	o.drop(l)
	o.metrics.replayed.WithLabelValues(string(s.Command), s.Cause).Inc()
	o.cfg.Logger.Info("letter replayed", slog.Any("uuid", s.UUID), slog.Any("new_uuid", id),
		slog.String("command", string(s.Command)), slog.Int("version", s.Version),
		slog.String("certname", s.Certname), slog.String("cause", s.Cause), slog.String("file", s.File))
	return nil
}

// sync makes the removals durable. Failing costs nothing: letters that come
// back after a crash are replayed once more, without effect.
func (r *replay) sync() { r.o.syncFolders(r.folders) }

func (o *Office) syncFolders(folders map[string]bool) {
	for dir := range folders {
		if err := o.cfg.FS.SyncDir(dir); err != nil {
			o.cfg.Logger.Warn("could not sync a directory of the dead letter office", "dir", dir, "error", err)
		}
	}
}

// removeFiles deletes a letter, body first: diagnoses without a body are
// nothing, a body without a diagnosis is a letter. The caller has it claimed.
func (o *Office) removeFiles(l *letter) error {
	if err := o.cfg.FS.Remove(o.bodyPath(l)); err != nil && !isGone(err) {
		return err
	}
	for _, path := range []string{o.diagnosisPath(l), o.textPath(l)} {
		o.discard(filepath.Clean(path))
	}
	return nil
}

// describe, client and progress copy what memory holds of a letter.

func (o *Office) describe(l *letter) Summary {
	o.mu.Lock()
	defer o.mu.Unlock()
	return l.summary()
}

func (o *Office) client(l *letter) string { return o.describe(l).Client }

func (o *Office) progress(l *letter) Progress {
	s := o.describe(l)
	return Progress{UUID: s.UUID, Command: s.Command, Version: s.Version, Certname: s.Certname}
}

// pacer spaces calls out. A zero rate does not wait.
type pacer struct{ tick *time.Ticker }

func newPacer(rate float64) *pacer {
	if rate <= 0 {
		return &pacer{}
	}
	return &pacer{time.NewTicker(max(1, time.Duration(float64(time.Second)/rate)))}
}

func (p *pacer) wait(ctx context.Context) error {
	if err := ctx.Err(); err != nil || p.tick == nil {
		return err
	}
	select {
	case <-p.tick.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (p *pacer) stop() {
	if p.tick != nil {
		p.tick.Stop()
	}
}
