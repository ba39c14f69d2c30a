package planjob

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"dalang/orchestrator"
	"dalang/orchestrator/job"
	"dalang/orchestrator/plan"
)

// Why plans end that did not end by themselves.
const (
	kindTimeout = job.Prefix + "plan-timeout"
	// endRetry is how long to wait until the end of a plan is tried again that
	// could not be stored.
	endRetry = time.Second
)

var (
	errDown    = errors.New("plans cannot be run: the server is starting or stopping")
	errStopped = fmt.Errorf("planjob: %w", context.Canceled) // told apart by identity
)

// Service runs plans. Its methods are safe for concurrent use.
type Service struct {
	cfg     Config
	db      Database
	log     *slog.Logger
	metrics *metrics
	slots   chan struct{}

	mu     sync.Mutex
	life   context.Context // of Run; nil: it does not run
	active map[int64]context.CancelCauseFunc
	plans  sync.WaitGroup // those in active
}

// New makes a service that Run brings up.
func New(cfg Config) (*Service, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Service{cfg: cfg, db: cfg.Database, log: cfg.Logger, slots: make(chan struct{}, cfg.Plans), active: map[int64]context.CancelCauseFunc{}}
	s.metrics = newMetrics(cfg.Registerer, s)
	return s, nil
}

// interrupted is the result of plans that the end of the server cut short.
func interrupted() *plan.Error {
	return &plan.Error{Kind: job.KindInterrupted, Msg: "The plan was interrupted: the server that ran it ended"}
}

// Run runs plans until ctx ends, and then ends them. It begins with ending
// those that the last life of the server left; that these cannot be ended is
// its only error.
func (s *Service) Run(ctx context.Context) error {
	result, err := plan.JSON(interrupted())
	if err != nil {
		return err
	}
	left, err := s.db.InterruptPlanJobs(ctx, result)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	if len(left) > 0 {
		s.log.LogAttrs(ctx, slog.LevelWarn, "plans were interrupted by the end of the last server", slog.Any("plan_jobs", left))
	}
	s.mu.Lock()
	s.life = ctx
	s.mu.Unlock()
	s.prune(ctx)
	s.mu.Lock()
	s.life = nil
	s.mu.Unlock()
	s.plans.Wait()
	return nil
}

// prune forgets old plan jobs, now and every hour, until ctx ends.
func (s *Service) prune(ctx context.Context) {
	ticker := time.NewTicker(time.Hour)
	defer ticker.Stop()
	for ctx.Err() == nil {
		n, err := s.db.PrunePlanJobs(ctx, s.cfg.Now().Add(-s.cfg.PruneAfter))
		switch {
		case err != nil && ctx.Err() == nil:
			s.log.LogAttrs(ctx, slog.LevelError, "old plan jobs cannot be deleted", slog.Any("error", err))
		case n > 0:
			s.log.LogAttrs(ctx, slog.LevelInfo, "old plan jobs were deleted", slog.Int64("plan_jobs", n))
		}
		s.pruneDownloads(ctx)
		select {
		case <-ctx.Done():
		case <-ticker.C:
		}
	}
}

// runnable is a plan that can be run: it gives its value, or its error.
type runnable func(ctx context.Context, h *host) (json.RawMessage, error)

// begin stores a plan job and runs it.
func (s *Service) begin(ctx context.Context, who orchestrator.Subject, r *Request, p *job.PlanJob, run runnable) (int64, error) {
	s.mu.Lock()
	life := s.life
	if life != nil {
		s.plans.Add(1) // before Run can wait
	}
	s.mu.Unlock()
	if life == nil {
		return 0, job.Unavailable(errDown)
	}
	made, err := s.db.CreatePlanJob(ctx, p, r.Firing)
	if err != nil {
		s.plans.Done()
		return 0, err
	}
	timeout := r.Timeout
	if timeout <= 0 {
		timeout = s.cfg.Timeout
	}
	stoppable, cancel := context.WithCancelCause(life)
	limited, free := context.WithTimeoutCause(stoppable, timeout, &plan.Error{Kind: kindTimeout,
		Msg: fmt.Sprintf("The plan did not end within %d seconds", int64(timeout/time.Second))})
	s.mu.Lock()
	s.active[made.ID] = cancel
	s.mu.Unlock()
	h := &host{Service: s, who: granted{who}, job: made}
	go func() {
		defer s.plans.Done()
		defer func() {
			s.mu.Lock()
			delete(s.active, made.ID)
			s.mu.Unlock()
			free()
			cancel(nil)
		}()
		s.carry(limited, h, run)
	}()
	return made.ID, nil
}

// carry waits for a slot, runs the plan, and ends its job.
func (s *Service) carry(ctx context.Context, h *host, run runnable) {
	id := h.job.ID
	var result json.RawMessage
	var err error
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
		var begun bool
		if begun, err = s.db.BeginPlanJob(ctx, id); err == nil && !begun {
			return // somebody ended it
		}
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err == nil {
		result, err = run(ctx, h)
	}
	state := job.PlanSuccess
	if err != nil {
		state = job.PlanFailure
		var told error
		if result, told = plan.JSON(s.reason(ctx, id, err)); told != nil {
			result = json.RawMessage(`{"kind":"bolt/plan-failure","msg":"The plan failed, and its error cannot be written","details":{}}`)
		}
	}
	s.end(context.WithoutCancel(ctx), id, state, result)
}

// reason is the error that a plan shows.
func (s *Service) reason(ctx context.Context, id int64, err error) *plan.Error {
	var timeout *plan.Error
	switch cause := context.Cause(ctx); {
	case ctx.Err() == nil:
	case cause == errStopped:
		return &plan.Error{Kind: plan.KindPlanFailure, Msg: "The plan was stopped", Details: map[string]any{"plan_job": fmt.Sprint(id)}}
	case errors.As(cause, &timeout):
		return timeout
	default:
		return interrupted()
	}
	var known *job.Error
	if errors.As(err, &known) {
		return &plan.Error{Kind: known.Kind, Msg: known.Msg, Details: known.Details}
	}
	e := plan.ErrorOf(err)
	if e.Kind == plan.KindPlanFailure {
		s.log.LogAttrs(ctx, slog.LevelError, "a plan failed", slog.Int64("plan_job", id), slog.Any("error", err))
	}
	return e
}

// end stores the end of a plan; as long as the server lives it tries again.
// What is not stored then is ended by the next life.
func (s *Service) end(ctx context.Context, id int64, state job.PlanState, result json.RawMessage) {
	for {
		ended, err := s.db.EndPlanJob(ctx, id, state, result)
		if err == nil {
			if ended {
				s.metrics.ended.WithLabelValues(string(state)).Inc()
				s.metrics.events.Inc()
				s.log.LogAttrs(ctx, slog.LevelInfo, "plan ended", slog.Int64("plan_job", id), slog.String("state", string(state)))
			}
			return
		}
		s.log.LogAttrs(ctx, slog.LevelError, "the end of a plan cannot be stored", slog.Int64("plan_job", id), slog.Any("error", err))
		s.mu.Lock()
		life := s.life
		s.mu.Unlock()
		if life == nil {
			return
		}
		timer := time.NewTimer(endRetry)
		select {
		case <-life.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
	}
}

// Stop interrupts a plan, any number of times: no step of it begins any more,
// the job that it waits for goes on, and it fails. One that has ended stays as
// it is. An unknown one is job.UnknownPlanJob.
func (s *Service) Stop(ctx context.Context, who orchestrator.Subject, id int64) error {
	p, err := s.db.PlanJob(ctx, id)
	if err != nil || p.State.Terminal() {
		return err
	}
	s.audit(ctx, "plan stopped", who, p)
	s.mu.Lock()
	cancel := s.active[id]
	s.mu.Unlock()
	if cancel != nil {
		cancel(errStopped)
		return nil
	}
	if !p.External { // it is about to end
		return nil
	}
	result, err := plan.JSON(&plan.Error{Kind: plan.KindPlanFailure, Msg: "The plan was stopped", Details: map[string]any{"plan_job": fmt.Sprint(id)}})
	if err != nil {
		return err
	}
	_, err = s.db.EndPlanJob(ctx, id, job.PlanFailure, result)
	return err
}

// audit tells the log who did what.
func (s *Service) audit(ctx context.Context, what string, who orchestrator.Subject, p *job.PlanJob) {
	s.log.LogAttrs(ctx, slog.LevelInfo, what, slog.Int64("plan_job", p.ID), slog.String("by", login(who)), slog.String("plan", p.Plan),
		slog.String("environment", p.Environment))
}

// login is the login of who commands; the server itself has none.
func login(who orchestrator.Subject) string {
	if who == nil {
		return ""
	}
	var owner struct{ Login string }
	if json.Unmarshal(who.Owner(), &owner) != nil {
		return ""
	}
	return owner.Login
}

// granted may do everything, as somebody: what is in a plan needs no
// permissions but the plan's.
type granted struct{ orchestrator.Subject }

// May is always true.
func (granted) May(_, _, _ string) bool { return true }
