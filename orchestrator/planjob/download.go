package planjob

import (
	"context"
	"errors"
	"log/slog"

	"dalang/orchestrator/download"
	"dalang/orchestrator/job"
	"dalang/orchestrator/plan"
)

// Downloads has the files that plans get from nodes.
type Downloads interface {
	// Prune deletes those of plan jobs that are not known any more.
	Prune(ctx context.Context, known func(ctx context.Context, planJob int64) (bool, error)) (int, error)
}

// download makes the parameters of a command whose output is a file, and adds to
// what the job shows.
func (h *host) download(a *plan.Action, shown map[string]any) (map[string]any, error) {
	if h.cfg.Downloads == nil {
		return nil, &plan.Error{Kind: plan.KindActionRefused, Msg: "Files cannot be downloaded: this server has no place for them"}
	}
	shown["download"], shown["destination"] = a.Object, a.Destination
	return map[string]any{"command": download.Command(a.Object), "download": job.Download{Source: a.Object, Destination: a.Destination}}, nil
}

// pruneDownloads deletes the files of plan jobs that are gone, also of those whose
// files a crash left.
func (s *Service) pruneDownloads(ctx context.Context) {
	if s.cfg.Downloads == nil {
		return
	}
	n, err := s.cfg.Downloads.Prune(ctx, func(ctx context.Context, id int64) (bool, error) {
		_, err := s.db.PlanJob(ctx, id)
		if errors.Is(err, job.UnknownPlanJob(0)) {
			return false, nil
		}
		return true, err
	})
	switch {
	case err != nil && ctx.Err() == nil:
		s.log.LogAttrs(ctx, slog.LevelError, "downloads of old plan jobs cannot be deleted", slog.Any("error", err))
	case n > 0:
		s.log.LogAttrs(ctx, slog.LevelInfo, "downloads of old plan jobs were deleted", slog.Int("plan_jobs", n))
	}
}
