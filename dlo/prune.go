package dlo

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"
)

// PruneRequest says which letters to delete for good. Of those selected (all,
// when only KeepBytes or OlderThan says something):
//   - with OlderThan, those that are older
//   - with KeepBytes, the oldest, until the bodies left have at most so many bytes
//   - with both, what either says; with neither, all
type PruneRequest struct {
	Selection
	KeepBytes *int64 `json:"keep_bytes,omitempty"`
	DryRun    bool   `json:"dry_run,omitempty"` // only tell what would happen
}

// PruneResult tells what was deleted; would be, in a dry run.
type PruneResult struct {
	Pruned      int   `json:"pruned"`
	PrunedBytes int64 `json:"pruned_bytes"`
	Kept        int   `json:"kept"` // letters left in the office
	KeptBytes   int64 `json:"kept_bytes"`
	Skipped     int   `json:"skipped"` // somebody else has them
	DryRun      bool  `json:"dry_run"`
}

// Prune deletes letters.
func (o *Office) Prune(ctx context.Context, req PruneRequest) (PruneResult, error) {
	if req.KeepBytes != nil && *req.KeepBytes < 0 {
		return PruneResult{}, inputErrorf("keep_bytes cannot be negative")
	}
	older := req.OlderThan
	if older > 0 || req.KeepBytes != nil {
		req.OlderThan = 0
		req.All = req.All || req.Selection.Empty()
	}
	list, err := o.selected(ctx, req.Selection)
	if err != nil {
		return PruneResult{}, err
	}
	everything := older == 0 && req.KeepBytes == nil
	doomed := o.doomed(list, everything, older, req.KeepBytes)
	return o.delete(ctx, doomed, "request", req.DryRun)
}

// doomed chooses by age and by bytes from letters; oldest first.
func (o *Office) doomed(list []*letter, everything bool, older Age, keep *int64) []*letter {
	o.mu.Lock()
	defer o.mu.Unlock()
	slices.SortFunc(list, byDiscarding)
	if everything {
		return list
	}
	n := 0
	if older > 0 {
		limit := o.cfg.Now().Add(-older.Duration())
		for n < len(list) && list[n].discarded.Before(limit) {
			n++
		}
	}
	if keep != nil {
		var left int64
		for _, l := range list[n:] {
			left += l.size
		}
		for ; n < len(list) && left > *keep; n++ {
			left -= list[n].size
		}
	}
	return list[:n]
}

// delete deletes letters and says so in the log.
func (o *Office) delete(ctx context.Context, list []*letter, why string, dry bool) (PruneResult, error) {
	res := PruneResult{DryRun: dry}
	folders := map[string]bool{}
	defer func() { o.syncFolders(folders) }()
	var err error
	for _, l := range list {
		if err = ctx.Err(); err != nil {
			break
		}
		var size int64
		if size, err = o.deleteOne(l, why, dry); errors.Is(err, ErrBusy) || errors.Is(err, ErrNotFound) {
			res.Skipped++
			err = nil
			continue
		} else if err != nil {
			break
		}
		folders[o.folder(l)] = !dry
		res.Pruned++
		res.PrunedBytes += size
	}
	if dry {
		clear(folders)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, l := range o.order {
		res.Kept++
		res.KeptBytes += l.size
	}
	if dry {
		res.Kept -= res.Pruned
		res.KeptBytes -= res.PrunedBytes
	}
	if err != nil {
		err = fmt.Errorf("pruning stopped after %d of %d letters: %w", res.Pruned, len(list), err)
	}
	return res, err
}

func (o *Office) deleteOne(l *letter, why string, dry bool) (size int64, err error) {
	if err := o.seize(l); err != nil {
		return 0, err
	}
	defer o.release(l)
	s := o.describe(l)
	if dry {
		return s.Size, nil
	}
	if err := o.removeFiles(l); err != nil {
		return 0, fmt.Errorf("delete letter %s: %w", s.UUID, err)
	}
	o.drop(l)
	o.metrics.pruned.WithLabelValues(string(s.Command), s.Cause).Inc()
	o.cfg.Logger.Info("letter pruned", slog.String("reason", why), slog.Any("uuid", s.UUID),
		slog.String("command", string(s.Command)), slog.Int("version", s.Version),
		slog.String("certname", s.Certname), slog.String("cause", s.Cause),
		slog.Any("discarded_at", s.DiscardedAt.Time), slog.Int64("bytes", s.Size), slog.String("file", s.File))
	return s.Size, nil
}

// enforce applies quota and retention to our own letters; imported ones are
// somebody else's.
func (o *Office) enforce(ctx context.Context) {
	if o.cfg.MaxAge == 0 && o.cfg.MaxBytes == 0 {
		return
	}
	o.mu.Lock()
	full := o.cfg.MaxBytes > 0 && o.bytes > o.cfg.MaxBytes
	own := o.matching(func(l *letter) bool { return !l.imported && (full || o.cfg.MaxAge > 0) })
	o.mu.Unlock()
	if o.cfg.MaxAge > 0 {
		aged := o.doomed(own, false, Age(o.cfg.MaxAge), nil)
		o.enforced(o.delete(ctx, aged, "max-age", false))
		own = own[len(aged):]
	}
	if full {
		o.enforced(o.delete(ctx, o.doomed(own, false, 0, &o.cfg.MaxBytes), "max-bytes", false))
	}
}

func (o *Office) enforced(res PruneResult, err error) {
	if err != nil && !errors.Is(err, context.Canceled) {
		o.cfg.Logger.Error("the dead letter office could not be pruned", "error", err)
	}
	if res.Pruned > 0 {
		o.cfg.Logger.Warn("the dead letter office was pruned", "letters", res.Pruned, "bytes", res.PrunedBytes,
			"kept", res.Kept, "kept_bytes", res.KeptBytes)
	}
}

func isGone(err error) bool { return errors.Is(err, fs.ErrNotExist) }
