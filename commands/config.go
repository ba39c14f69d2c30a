package commands

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"dalang/commands/outcome"
	"dalang/commands/queue"
)

// Store is where commands are applied.
type Store interface {
	// Apply takes a batch in, in order, and answers one Result per Change. A
	// Result with an error stands for a change that left no trace. A non-nil
	// error says that nothing of the batch was committed and that the world is
	// at fault. Called by one goroutine at a time.
	Apply(ctx context.Context, batch []outcome.Change) ([]outcome.Result, error)
	// Probe tells whether Apply has a chance. Cheap.
	Probe(ctx context.Context) error
}

// DeadLetters takes in what cannot be applied.
type DeadLetters interface {
	// Discard returns nil when the letter's body and diagnosis are durable and
	// the body has left BodyPath. It may be called again for a letter that a
	// crash or an error interrupted. Called by many goroutines.
	Discard(ctx context.Context, l Letter) error
}

// Config says what a Processor works with. The first three are required.
type Config struct {
	Queue       *queue.Queue
	Store       Store
	DeadLetters DeadLetters

	Threads       int   // commands decoded at a time; default: all cores
	Verifiers     int   // bodies whose checksum is computed at a time; default: all cores
	MaxQueued     int   // commands that may wait; default 1,000,000
	BatchCommands int   // commands per transaction; default 64
	BatchBytes    int64 // decompressed bytes per transaction, and decoded ahead of it; default 8 MiB
	// BatchWait is how long a transaction waits for commands that are being
	// received or decoded; default 50 ms. A command that is alone does not wait.
	BatchWait  time.Duration
	CacheBytes int64 // decompressed bodies kept for the workers; default 16 MiB; < 0: none
	MaxBody    int64 // decompressed bytes that a command may have; default 128 MiB
	// RejectLarge refuses a body over MaxBody at acceptance where that shows
	// there, instead of taking it in for the dead letter office.
	RejectLarge bool
	// VerifyChecksum refuses bodies that do not match their checksum.
	VerifyChecksum bool

	RememberFor   time.Duration // how long Status knows a finished command; default 1 h; < 0: not at all
	RememberCount int           // and how many at most; default 10,000

	DrainTime time.Duration // for work in flight at the end of Run; default 10 s

	Logger     *slog.Logger          // nil: silent
	Registerer prometheus.Registerer // nil: metrics are kept, not registered
	Now        func() time.Time      // nil: time.Now
}

func (c *Config) applyDefaults() error {
	if c.Queue == nil || c.Store == nil || c.DeadLetters == nil {
		return errors.New("commands: Config.Queue, Store and DeadLetters are required")
	}
	defaultTo(&c.Threads, runtime.GOMAXPROCS(0))
	defaultTo(&c.Verifiers, runtime.GOMAXPROCS(0))
	defaultTo(&c.MaxQueued, 1_000_000)
	defaultTo(&c.BatchCommands, 64)
	defaultTo(&c.BatchBytes, 8<<20)
	defaultTo(&c.BatchWait, 50*time.Millisecond)
	defaultTo(&c.CacheBytes, 16<<20)
	defaultTo(&c.MaxBody, 128<<20)
	defaultTo(&c.RememberFor, time.Hour)
	defaultTo(&c.RememberCount, 10_000)
	defaultTo(&c.DrainTime, 10*time.Second)
	if c.Threads < 0 || c.Verifiers < 0 || c.MaxQueued < 0 || c.BatchCommands < 0 || c.BatchBytes < 0 || c.MaxBody < 0 ||
		c.RememberCount < 0 || c.DrainTime < 0 {
		return errors.New("commands: a negative number in Config")
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return nil
}

func defaultTo[T int | int64 | time.Duration](field *T, value T) {
	if *field == 0 {
		*field = value
	}
}
