package pdb

import (
	"context"
	"io"
	"log/slog"
	"math"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/gorilla/mux"
	"github.com/prometheus/client_golang/prometheus"

	"dalang/commands"
	"dalang/commands/outcome"
)

// Processor takes commands in. *commands.Processor is one. All methods may be
// called by many goroutines at once.
type Processor interface {
	// Enqueue returns once the command is durable. Its errors mean that
	// nothing was queued.
	Enqueue(ctx context.Context, s commands.Submission) (uuid.UUID, error)
	// EnqueueAndWait is Enqueue, and then waits for the first result of the
	// command, or for the timeout. Its error is Enqueue's.
	EnqueueAndWait(ctx context.Context, s commands.Submission, timeout time.Duration) (uuid.UUID, commands.Waited, error)
	// Status tells what is known about a command, false when nothing is.
	Status(id uuid.UUID) (commands.Status, bool)
}

// CommandsConfig is what NewCommands needs. Only Processor is required.
type CommandsConfig struct {
	Processor Processor
	// Discarded looks a command up in the dead letter office. Nil: nobody to
	// ask.
	Discarded func(id uuid.UUID) (commands.Status, bool)
	// Replayed tells under which uuid a letter of the dead letter office was
	// submitted again. Nil: nobody to ask.
	Replayed func(id uuid.UUID) (uuid.UUID, bool)
	// RejectLarge answers 413 to commands of more than MaxCommandSize bytes as
	// they come over the wire (reject-large-commands, max-command-size).
	RejectLarge    bool
	MaxCommandSize int64
	// MaxOldFormat bounds a body in the old format: it is held in RAM.
	// Default 64 MiB.
	MaxOldFormat int64
	// MaxWait bounds secondsToWaitForCompletion. Default one hour.
	MaxWait    time.Duration
	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

// Commands answers /pdb/cmd/v1 (spec commands.md §1).
type Commands struct {
	cfg     CommandsConfig
	metrics commandMetrics
}

// commandMetrics is what the front end alone knows about submissions.
type commandMetrics struct {
	// size is the bytes of a command as its headers announce them
	// (X-Uncompressed-Length, else Content-Length), refused ones included.
	size *prometheus.HistogramVec
	// refused counts submissions that were answered with an error, by status.
	refused *prometheus.CounterVec
}

// NewCommands checks the configuration and fills in defaults.
func NewCommands(cfg CommandsConfig) *Commands {
	if cfg.Processor == nil {
		panic("pdb: Commands need a Processor")
	}
	if cfg.MaxOldFormat == 0 {
		cfg.MaxOldFormat = 64 << 20
	}
	if cfg.MaxWait == 0 {
		cfg.MaxWait = time.Hour
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	c := &Commands{cfg: cfg, metrics: commandMetrics{
		size: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "dalang_http_command_size_bytes",
			Help:    "Size of submitted commands as their headers announce it.",
			Buckets: prometheus.ExponentialBuckets(256, 4, 10),
		}, []string{"command", "version"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "dalang_http_commands_refused_total",
			Help: "Submissions that were not accepted, by status.",
		}, []string{"code"}),
	}}
	if cfg.Registerer != nil {
		cfg.Registerer.MustRegister(c.metrics.size, c.metrics.refused)
	}
	return c
}

// Submit takes a command in. It serves any method, and any path below
// /pdb/cmd: upstream validates before it routes, so that a bad submission to
// /pdb/cmd/v2 is told about its parameters and a good one that nobody is there.
func (c *Commands) Submit(w http.ResponseWriter, r *http.Request) error {
	sub, wait, err := c.read(r)
	if err != nil {
		c.metrics.refused.WithLabelValues(strconv.Itoa(statusOf(err))).Inc()
		drain(r)
		return err
	}
	if r.URL.Path != "/pdb/cmd/v1" {
		return NotFound()
	}
	Note(r.Context(), slog.String("command", string(sub.Command)), slog.Int("command_version", sub.Version),
		slog.String("certname", sub.Certname))
	if wait > 0 {
		return c.submitAndWait(w, r, sub, wait)
	}
	id, err := c.cfg.Processor.Enqueue(r.Context(), sub)
	if err != nil {
		drain(r)
		return err
	}
	Note(r.Context(), slog.String("command_uuid", id.String()))
	return WriteJSON(w, http.StatusOK, struct {
		UUID string `json:"uuid"`
	}{id.String()})
}

// waited is the answer to a blocking submission.
type waited struct {
	UUID       string   `json:"uuid"`
	Processed  bool     `json:"processed"`
	TimedOut   bool     `json:"timed_out"`
	Error      *string  `json:"error,omitempty"`
	Exception  *string  `json:"exception,omitempty"`
	StackTrace []string `json:"stack_trace,omitempty"`
}

// submitAndWait answers 200 when the command was applied in time, else 503.
func (c *Commands) submitAndWait(w http.ResponseWriter, r *http.Request, sub commands.Submission, wait time.Duration) error {
	id, result, err := c.cfg.Processor.EnqueueAndWait(r.Context(), sub, wait)
	if err != nil {
		drain(r)
		return err
	}
	Note(r.Context(), slog.String("command_uuid", id.String()))
	answer := waited{UUID: id.String(), Processed: result.Processed, TimedOut: result.TimedOut}
	status := http.StatusOK
	if result.Err != nil {
		text, class := result.Err.Error(), exceptionOf(result.Err)
		answer.Error, answer.Exception = &text, &class
		// An array of at least one string: clients join it.
		if answer.StackTrace = result.Stack; len(answer.StackTrace) == 0 {
			answer.StackTrace = problemLines(result.Err)
		}
		status = http.StatusServiceUnavailable
	}
	if result.TimedOut || !result.Processed {
		status = http.StatusServiceUnavailable
	}
	return WriteJSON(w, status, answer)
}

// exceptionOf is the class of a failure: its cause when the command is at
// fault, "retry" when the world is and the command will be tried again.
func exceptionOf(err error) string {
	if cause, fatal := outcome.IsFatal(err); fatal {
		return cause
	}
	return "retry"
}

// Lookup answers what is known about one command. Of one that was discarded
// and then replayed, it is what is known of the replayed one.
func (c *Commands) Lookup(w http.ResponseWriter, r *http.Request) error {
	id := mux.Vars(r)["uuid"]
	asked, err := uuid.Parse(id)
	if err == nil {
		last, replayed := asked, false
		if c.cfg.Replayed != nil {
			if as, ok := c.cfg.Replayed(asked); ok {
				last, replayed = as, true
			}
		}
		switch st, ok := c.status(last); {
		case ok && replayed:
			st.UUID = asked
			return WriteJSON(w, http.StatusOK, struct {
				commands.Status
				ReplayedAs uuid.UUID `json:"replayed_as"`
			}{st, last})
		case ok:
			return WriteJSON(w, http.StatusOK, st)
		}
	}
	return JSONf(http.StatusNotFound, "No information is known about command %s", id)
}

// status asks the processor, then the dead letter office.
func (c *Commands) status(id uuid.UUID) (commands.Status, bool) {
	st, ok := c.cfg.Processor.Status(id)
	if !ok && c.cfg.Discarded != nil {
		st, ok = c.cfg.Discarded(id)
	}
	return st, ok
}

// client names the other side: the certificate's CN, else its address.
func client(r *http.Request) string {
	if r.TLS != nil && len(r.TLS.PeerCertificates) > 0 {
		if cn := r.TLS.PeerCertificates[0].Subject.CommonName; cn != "" {
			return cn
		}
	}
	if host, _, err := net.SplitHostPort(r.RemoteAddr); err == nil {
		return host
	}
	return r.RemoteAddr
}

// waitTime turns secondsToWaitForCompletion into a duration: zero when the
// client need not wait. Upstream answers 500 to what Java cannot parse.
func (c *Commands) waitTime(text string) (time.Duration, error) {
	seconds, message := javaDouble(text)
	if message != "" {
		return 0, Textf(http.StatusInternalServerError, "%s", message)
	}
	switch {
	case math.IsNaN(seconds) || seconds <= 0:
		return 0, nil
	case seconds >= c.cfg.MaxWait.Seconds():
		return c.cfg.MaxWait, nil
	}
	// A positive wait must stay one, be it shorter than a nanosecond.
	return max(time.Duration(seconds*float64(time.Second)), 1), nil
}

// drain reads what the client still sends: a Ruby client that finds the
// connection closed under its upload reports a broken pipe, not our answer.
// Bounded, in case somebody uploads for ever.
func drain(r *http.Request) {
	const most = 256 << 20
	if r.Body != nil {
		_, _ = io.CopyN(io.Discard, r.Body, most)
	}
}

// problemLines is the stack trace of a command that is itself at fault: one
// line per problem.
func problemLines(err error) []string {
	lines := []string{err.Error()}
	if we, ok := asWireError(err); ok {
		for _, p := range we.Problems {
			lines = append(lines, p.Path+": "+p.Message)
		}
	}
	return lines
}
