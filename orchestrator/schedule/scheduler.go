package schedule

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"dalang/orchestrator/job"
	"dalang/orchestrator/rbac"
)

// Owners tells what users may do now: *rbac.Access.
type Owners interface {
	// Subject is a user as of now. Who is revoked or gone is a *job.Error.
	Subject(ctx context.Context, user uuid.UUID) (*rbac.Subject, error)
}

// Secrets seals what must not be stored in the clear; see package secret.
type Secrets interface {
	Seal(purpose string, plain []byte) []byte
	Open(purpose string, sealed []byte) ([]byte, error)
}

// Config is how a scheduler works. Store and Owners are required, and Secrets
// where a kind has a Check.
type Config struct {
	Store   Store
	Owners  Owners
	Kinds   map[Type]Kind // types that are not there cannot be scheduled
	Secrets Secrets

	Warmup      time.Duration // after the start, before anything fires: agents have to come back first
	Submissions int           // submitted at a time; 0: 4
	Timeout     time.Duration // of one submission; 0: 5 min
	Pause       time.Duration // before what failed is tried again; 0: 10 s
	Patience    time.Duration // how long what is the world's fault is tried again; 0: 15 min
	Look        time.Duration // how soon a jump of the clock is noticed; 0: 15 s

	Logger     *slog.Logger
	Registerer prometheus.Registerer
	Now        func() time.Time
}

func (c Config) withDefaults() (Config, error) {
	if c.Store == nil || c.Owners == nil {
		return c, errors.New("schedule: Store and Owners are required")
	}
	for name, kind := range c.Kinds {
		if kind.Run == nil || kind.May == nil || kind.Check != nil && c.Secrets == nil {
			return c, fmt.Errorf("schedule: %s needs Run and May, and Secrets for its Check", name)
		}
	}
	if c.Submissions <= 0 {
		c.Submissions = 4
	}
	for _, d := range []struct {
		value   *time.Duration
		usually time.Duration
	}{{&c.Timeout, 5 * time.Minute}, {&c.Pause, 10 * time.Second}, {&c.Patience, 15 * time.Minute}, {&c.Look, 15 * time.Second}} {
		if *d.value <= 0 {
			*d.value = d.usually
		}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c, nil
}

// Scheduler fires entries. Its methods may be called at the same time.
type Scheduler struct {
	cfg     Config
	db      Store
	log     *slog.Logger
	metrics *metrics
	wake    chan struct{} // told when entries have changed
}

// New makes a scheduler.
func New(cfg Config) (*Scheduler, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	return &Scheduler{cfg: cfg, db: cfg.Store, log: cfg.Logger, metrics: newMetrics(cfg.Registerer), wake: make(chan struct{}, 1)}, nil
}

// now is what the clock on the wall shows. Without its monotonic reading: that
// would hide its jumps.
func (s *Scheduler) now() time.Time { return s.cfg.Now().Round(0).UTC() }

// pending is a firing that has to be submitted.
type pending struct {
	Firing
	since time.Time // the first attempt of this life; zero: none yet
	at    time.Time // of the next attempt; zero: as soon as there is room
	busy  bool      // it is being submitted
}

// loop is the state of Run.
type loop struct {
	*Scheduler
	open   []*pending
	busy   int
	loaded bool      // the firings that the last life left open are in open
	seen   time.Time // what the clock showed last; zero: next instants have to be looked at
	next   time.Time // when an entry is due; zero: never
	done   chan attempt
}

// attempt is how a submission went.
type attempt struct {
	*pending
	settled bool
}

// Run fires entries until ctx ends, beginning with the firings that the last
// life left open. It waits for the submissions in flight.
func (s *Scheduler) Run(ctx context.Context) error {
	l := &loop{Scheduler: s, done: make(chan attempt, s.cfg.Submissions)}
	timer := time.NewTimer(s.cfg.Warmup)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
	for ctx.Err() == nil {
		timer.Reset(l.turn(ctx))
		select {
		case <-ctx.Done():
		case <-s.wake:
		case <-timer.C:
		case a := <-l.done:
			l.finish(a)
		}
	}
	for l.busy > 0 {
		l.finish(<-l.done)
	}
	return nil
}

// turn claims what is due, submits what there is room for, and tells how long
// nothing else happens by itself.
func (l *loop) turn(ctx context.Context) time.Duration {
	now := l.now()
	if err := l.claim(ctx, now); err != nil {
		if ctx.Err() == nil {
			l.log.LogAttrs(ctx, slog.LevelError, "schedules could not be looked at; they wait", slog.Any("error", err))
		}
		return min(l.cfg.Pause, l.cfg.Look)
	}
	wait := l.cfg.Look
	if !l.next.IsZero() {
		wait = min(wait, l.next.Sub(now))
	}
	for _, p := range l.open {
		switch {
		case p.busy:
		case p.at.After(now):
			wait = min(wait, p.at.Sub(now))
		case l.busy < l.cfg.Submissions:
			l.submit(ctx, p, now)
		}
	}
	l.metrics.open.Set(float64(len(l.open)))
	return max(wait, 0)
}

// claim brings in what has to be submitted.
func (l *loop) claim(ctx context.Context, now time.Time) error {
	if l.seen.IsZero() || now.Before(l.seen) {
		moved, err := l.db.ResumeSchedules(ctx, now)
		if err != nil {
			return err
		}
		if moved > 0 {
			l.log.LogAttrs(ctx, slog.LevelWarn, "the clock went back: schedules go on from where it is",
				slog.Int("schedules", moved), slog.Time("now", now))
		}
	}
	l.seen = now
	claimed, next, err := l.db.ClaimDue(ctx, now)
	if err != nil {
		return err
	}
	l.next = next
	if !l.loaded { // those just claimed are among them
		if claimed, err = l.db.OpenFirings(ctx); err != nil {
			return err
		}
		l.loaded = true
	}
	for _, f := range claimed {
		l.open = append(l.open, &pending{Firing: f})
	}
	return nil
}

// submit submits a firing in a goroutine, which finish ends.
func (l *loop) submit(ctx context.Context, p *pending, now time.Time) {
	if p.since.IsZero() || now.Before(p.since) {
		p.since = now
	}
	p.busy = true
	l.busy++
	last := now.Sub(p.since) >= l.cfg.Patience
	go func() { l.done <- attempt{p, l.fire(ctx, p.Firing, last)} }()
}

// finish takes note of how a submission went.
func (l *loop) finish(a attempt) {
	l.busy--
	a.busy = false
	if a.settled {
		l.open = slices.DeleteFunc(l.open, func(p *pending) bool { return p == a.pending })
		return
	}
	a.at = l.now().Add(l.cfg.Pause)
}

// fire submits a firing, and tells whether that settled it. last: what is the
// world's fault settles it too.
func (s *Scheduler) fire(ctx context.Context, f Firing, last bool) (settled bool) {
	e, err := s.db.ScheduledJob(ctx, f.Entry)
	if errors.Is(err, Unknown(f.Entry)) {
		return true // deleted, and the firing with it
	}
	var id int64
	if err == nil {
		id, err = s.start(ctx, e, f)
	}
	switch {
	case err == nil:
		s.metrics.firings.WithLabelValues(string(e.Type), "started").Inc()
		s.log.LogAttrs(ctx, slog.LevelInfo, "schedule fired", slog.Int64("schedule_id", f.Entry), slog.Int64("firing_id", f.ID), slog.String("type", string(e.Type)),
			slog.String("owner", e.OwnerLogin), slog.Time("due", f.Due), slog.Time("instant", f.Instant), slog.Int64("job_id", id))
		return true
	case errors.Is(err, job.ErrSettled):
		return true
	case ctx.Err() != nil:
		return false // the next life submits it
	}
	var refusal *job.Error
	if !errors.As(err, &refusal) || refusal.Status >= 500 {
		s.log.LogAttrs(ctx, slog.LevelError, "a schedule could not be fired now", slog.Int64("schedule_id", f.Entry), slog.Int64("firing_id", f.ID),
			slog.Bool("given_up", last), slog.Any("error", err))
		if !last {
			return false
		}
		refusal = job.Unavailable(errors.New("the server could not start the job; its log has the reason"))
	}
	return s.refuse(ctx, f, e, refusal)
}

// refuse keeps why a firing started no job.
func (s *Scheduler) refuse(ctx context.Context, f Firing, e *Entry, why *job.Error) (settled bool) {
	if err := s.db.SettleFiring(ctx, f.ID, s.now(), why); err != nil {
		s.log.LogAttrs(ctx, slog.LevelError, "why a schedule was not fired could not be stored", slog.Int64("schedule_id", f.Entry),
			slog.Int64("firing_id", f.ID), slog.Any("error", err))
		return false
	}
	kind, owner := "", ""
	if e != nil {
		kind, owner = string(e.Type), e.OwnerLogin
	}
	s.metrics.firings.WithLabelValues(kind, "refused").Inc()
	s.log.LogAttrs(ctx, slog.LevelWarn, "schedule could not be fired", slog.Int64("schedule_id", f.Entry), slog.Int64("firing_id", f.ID),
		slog.String("owner", owner), slog.Time("due", f.Due), slog.String("kind", why.Kind), slog.String("msg", why.Msg))
	return true
}

// start starts the job of a firing as the entry's owner.
func (s *Scheduler) start(ctx context.Context, e *Entry, f Firing) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	if !e.Enabled {
		return 0, Disabled(e.ID)
	}
	kind, ok := s.cfg.Kinds[e.Type]
	if !ok {
		return 0, s.Supports(e.Type)
	}
	who, err := s.cfg.Owners.Subject(ctx, e.OwnerID)
	var refusal *job.Error
	switch {
	case errors.As(err, &refusal) && refusal.Kind == "not-found":
		return 0, job.NotPermitted(map[string]any{"owner": e.OwnerLogin}, "The owner of the scheduled job, %s, does not exist any more", e.OwnerLogin)
	case err != nil:
		return 0, err
	}
	if err := permitted(who, "orchestrator", "view", "*"); err != nil {
		return 0, err
	}
	input, err := s.open(e)
	if err != nil {
		return 0, err
	}
	return kind.Run(ctx, who, Order{Firing: f.ID, Entry: e.ID, Environment: e.Environment, Description: e.Description, Input: input,
		Hidden: hidden(e), Userdata: e.Userdata})
}
