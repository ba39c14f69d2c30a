package schedule

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"dalang/orchestrator/job"
	"dalang/orchestrator/rbac"
)

// Kind is how entries of a type are looked at and run. Errors are *job.Error
// where the entry is to blame.
type Kind struct {
	// Run starts the job of a firing and answers its id. It checks what who may
	// do, and sees to it that the job's creation settles the firing; if that is
	// settled already, it is job.ErrSettled.
	Run func(ctx context.Context, who *rbac.Subject, o Order) (int64, error)
	// May is an error unless who may run now what the entry is to run later.
	May func(ctx context.Context, who Subject, e *Entry) error
	// Check refuses what can never run, and answers of e.Secret what may be
	// shown. nil: inputs hold no secrets.
	Check func(ctx context.Context, e *Entry) (shown json.RawMessage, err error)
	// Verify refuses an entry without secrets that can never run. nil: none is.
	Verify func(e *Entry) error
}

// Order is what a firing starts.
type Order struct {
	Firing      int64
	Entry       int64
	Environment string
	Description string
	Input       json.RawMessage // with its secrets
	Hidden      []string        // params that were secrets when the entry was made, and still are
	Userdata    json.RawMessage
}

// sealed is the purpose of what is sealed.
const sealed = "scheduled job"

// check refuses an entry that can never run; a Secret that is set is sealed.
func (s *Scheduler) check(ctx context.Context, e *Entry) error {
	kind := s.cfg.Kinds[e.Type]
	if kind.Verify != nil {
		if err := kind.Verify(e); err != nil {
			return err
		}
	}
	if kind.Check == nil || e.Secret == nil {
		return nil
	}
	shown, err := kind.Check(ctx, e)
	if err != nil {
		return err
	}
	e.Input, e.Sealed, e.Secret, e.Hidden = shown, s.cfg.Secrets.Seal(sealed, e.Secret), nil, nil
	return nil
}

// hidden are the params that an entry's input does not show. They are secrets
// also for what its task or plan says of them later.
func hidden(e *Entry) []string {
	var shown struct {
		Sensitive []string `json:"sensitive_parameters"`
	}
	_ = json.Unmarshal(e.Input, &shown) // what it is otherwise has none
	return shown.Sensitive
}

// joined are all names of two lists, sorted.
func joined(a, b []string) []string {
	return slices.Compact(slices.Sorted(slices.Values(slices.Concat(a, b))))
}

// open is an entry's input with its secrets.
func (s *Scheduler) open(e *Entry) (json.RawMessage, error) {
	if e.Sealed == nil {
		return e.Input, nil
	}
	input, err := s.cfg.Secrets.Open(sealed, e.Sealed)
	if err != nil {
		return nil, fmt.Errorf("input of scheduled job %d: %w", e.ID, err)
	}
	return input, nil
}

// mayRun is an error unless who may run now what an entry is to run later. It
// is asked again, of the owner, whenever the entry fires.
func (s *Scheduler) mayRun(ctx context.Context, who Subject, e *Entry) error {
	input := e.Input
	if e.Secret != nil {
		input = e.Secret
	}
	var members struct {
		Scope struct {
			Group string `json:"node_group"`
		}
	}
	if err := json.Unmarshal(input, &members); err != nil {
		return fmt.Errorf("input of a schedule: %w", err)
	}
	if group := members.Scope.Group; group != "" {
		if err := permitted(who, "node_groups", "view", group); err != nil {
			return err
		}
	}
	return s.cfg.Kinds[e.Type].May(ctx, who, e)
}

// permitted is an error unless who has a permission.
func permitted(who interface {
	May(objectType, action, instance string) bool
}, objectType, action, instance string) error {
	if who.May(objectType, action, instance) {
		return nil
	}
	return job.NotPermitted(map[string]any{"object_type": objectType, "action": action, "instance": instance},
		"You are not permitted to do this: it needs %s:%s:%s", objectType, action, instance)
}
