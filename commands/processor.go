// Package commands is the life of a command after acceptance.
package commands

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"dalang/commands/queue"
)

// Processor takes commands in, keeps them in a queue and brings them into the
// store. Its methods may be called from many goroutines.
type Processor struct {
	cfg Config
}

// New makes a processor of a queue that holds loaded, as queue.Open listed it.
// It accepts at once; Run works.
func New(cfg Config, loaded []queue.Entry) (*Processor, error) {
	if err := cfg.applyDefaults(); err != nil {
		return nil, err
	}
	return &Processor{cfg: cfg}, nil
}

// Run brings commands into the store until ctx ends, and returns when what
// was in flight then is settled, or DrainTime is over.
func (p *Processor) Run(ctx context.Context) error { return errors.ErrUnsupported }

// Enqueue makes a command durable and answers the uuid that Status knows it by.
func (p *Processor) Enqueue(ctx context.Context, s Submission) (uuid.UUID, error) {
	return uuid.UUID{}, errors.ErrUnsupported
}

// EnqueueAndWait enqueues and waits for the end of the first attempt.
func (p *Processor) EnqueueAndWait(ctx context.Context, s Submission, timeout time.Duration) (uuid.UUID, Waited, error) {
	return uuid.UUID{}, Waited{}, errors.ErrUnsupported
}

// Status tells what is known of a command.
func (p *Processor) Status(id uuid.UUID) (Status, bool) { return Status{}, false }

// Depth is the number of commands that have not left the queue.
func (p *Processor) Depth() int { return 0 }

// OldestQueued tells when the oldest command in the queue was received.
func (p *Processor) OldestQueued() (time.Time, bool) { return time.Time{}, false }

// StoreErr tells what the last access of the store failed with; nil: it worked.
func (p *Processor) StoreErr() error { return nil }
