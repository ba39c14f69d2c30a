package pxp

import (
	"errors"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"dalang/orchestrator/broker"
	"dalang/orchestrator/job"
	"dalang/orchestrator/pcp"
)

// Broker is what a controller wants of one.
type Broker interface {
	// Attach makes l a peer and answers its URI.
	Attach(clientType string, l broker.Local) string
	// Send delivers a message, or answers broker.ErrNotConnected or
	// broker.ErrTooLarge. It does not wait for the peer.
	Send(m *pcp.Message) error
	// Find looks for a connection.
	Find(peer pcp.URI) (broker.Entry, bool)
}

// Config is how a controller works. Broker and Sink are required.
type Config struct {
	Broker Broker
	Sink   job.Sink // the engine

	Confirm   time.Duration // how long an agent may take to confirm a request; default 30 s
	PollFirst time.Duration // from the confirmation to the first question for the status; default 5 s
	PollMost  time.Duration // the longest time between questions; default 1 min
	Answer    time.Duration // how long an agent may take to answer a question; default 12 s
	Misses    int           // questions in a row without an answer that end a transaction; default 35

	Logger     *slog.Logger
	Registerer prometheus.Registerer
	// Random gives numbers in [0,1) for jitter. Default math/rand/v2's.
	Random func() float64
}

func (c Config) withDefaults() (Config, error) {
	if c.Broker == nil || c.Sink == nil {
		return c, errors.New("pxp: Broker and Sink are required")
	}
	for _, d := range []struct {
		value   *time.Duration
		usually time.Duration
	}{{&c.Confirm, 30 * time.Second}, {&c.PollFirst, 5 * time.Second}, {&c.PollMost, time.Minute}, {&c.Answer, 12 * time.Second}} {
		if *d.value <= 0 {
			*d.value = d.usually
		}
	}
	if c.Misses <= 0 {
		c.Misses = 35
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Random == nil {
		c.Random = rand.Float64
	}
	return c, nil
}
