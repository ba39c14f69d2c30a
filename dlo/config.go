package dlo

import (
	"crypto/sha1"
	"errors"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"dalang/commands/queue"
)

// Config says where an office is and what it works with.
type Config struct {
	Dir string // required; made when missing. <data>/mq/discarded
	// Imported is a discard directory of PuppetDB's whose letters are listed
	// with the rest; "" or a missing directory: none.
	Imported string

	MaxBytes int64         // bodies over this go, oldest first; 0: no quota
	MaxAge   time.Duration // letters older than this go; 0: kept for ever
	MaxBody  int64         // decompressed bytes a command may have; default 128 MiB

	// RememberReplayed is of how many letters ReplayedAs knows; default 10,000;
	// < 0: none.
	RememberReplayed int

	// UUID tells the uuid under which the queue accepted the command with this
	// file name. nil: one is made up from the name.
	UUID func(name string) uuid.UUID
	// Version of the program, for diagnoses.
	Version string

	FS         queue.FS              // nil: the real disk
	Logger     *slog.Logger          // nil: silent
	Registerer prometheus.Registerer // nil: metrics are kept, not registered
	Now        func() time.Time      // nil: time.Now
}

func (c *Config) applyDefaults() error {
	if c.Dir == "" {
		return errors.New("dlo: Config.Dir is required")
	}
	if c.MaxBytes < 0 || c.MaxAge < 0 || c.MaxBody < 0 {
		return errors.New("dlo: a negative limit in Config")
	}
	if c.MaxBody == 0 {
		c.MaxBody = 128 << 20
	}
	if c.RememberReplayed == 0 {
		c.RememberReplayed = 10_000
	}
	if c.UUID == nil {
		c.UUID = func(name string) uuid.UUID { return uuid.NewHash(sha1.New(), uuid.NameSpaceOID, []byte(name), 5) }
	}
	if c.FS == nil {
		c.FS = queue.OS()
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return nil
}
