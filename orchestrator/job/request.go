package job

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/google/uuid"
)

// Request is what a transport hands to an agent.
type Request struct {
	TransactionID  uuid.UUID
	JobID          int64
	Certname       string
	Module, Action string          // pxp-module-puppet run, task run, …
	Params         json.RawMessage // an object
	NotifyOutcome  bool
	Timeout        time.Duration // of the run; transports and agents that can end it then, the engine gives it up
	// Receive, if it is there, has what a command wrote, and answers the outcome
	// instead: transports make no Results of Stdout, which may be large, and give
	// Receive the outcome, once, before they tell the sink. It takes its time, so
	// nobody else may have to wait for it, and ends early with ctx: then nobody
	// wants what it answers.
	Receive func(context.Context, Outcome) Outcome
}

// Outcome is how a run ended.
type Outcome struct {
	State    State // Finished, Failed or Errored
	ExitCode int
	Stdout   string
	Stderr   string
	// Results is the module's answer, an object: of a Puppet run
	// pxp-module-puppet's (transaction_uuid, status, metrics, environment, …),
	// of a task what the node's result is to show. nil: none.
	Results json.RawMessage
	Err     error // of Errored: why; an *Error keeps its kind
}

// What a transport says of a transaction.
var (
	// ErrNotConnected: the agent is not there; nothing was sent.
	ErrNotConnected = errors.New("not connected")
	// ErrUnknownTransaction: the agent answers that it never saw it.
	ErrUnknownTransaction = errors.New("the agent does not know the transaction")
)

// Transport carries requests to agents. Its methods are called by one
// goroutine of the engine, Connected by any; none waits for an agent. Whatever
// the agent says comes to the Sink, from any goroutine, also during the call.
type Transport interface {
	// Name is what nodes carry as their transport: pcp, ssh, winrm.
	Name() string
	// Connected tells whether Start has a chance. It is a look into memory. A
	// transport that dials by itself says true.
	Connected(certname string) bool
	// Start hands a request over. ErrNotConnected: nothing was sent. Any other
	// error: it cannot be sent at all, and the node errs. After nil the
	// transport asks for the status by itself and reports each of
	// Provisional and Result or Error; it also does so when the agent goes and
	// comes back. A transaction that it knows already is not sent twice
	// unless the agent has not confirmed it.
	Start(ctx context.Context, r Request) error
	// Query takes up a transaction of an earlier life of the server: it asks
	// the agent, and reports Provisional if it runs, Result if it has ended,
	// ErrUnknownTransaction to Error if the agent never saw it.
	// ErrNotConnected: ask again when the agent is there.
	Query(ctx context.Context, r Request) error
	// Stop forgets a transaction: nobody wants its outcome any more. Where the
	// transport can, it ends the run.
	Stop(ctx context.Context, r Request) error
}

// Sink takes what agents say. Its methods never block and are safe for
// concurrent use. What they are told more than once, or of a transaction that
// is over, does no harm.
type Sink interface {
	// Provisional: the agent has taken the request, or says that it runs.
	Provisional(certname string, transaction uuid.UUID)
	// Result: the run has ended.
	Result(certname string, transaction uuid.UUID, o Outcome)
	// Error: there will be no result: ErrUnknownTransaction,
	// ErrNotConnected (it was not sent after all), or why the node errs.
	Error(certname string, transaction uuid.UUID, err error)
	// Presence: an agent has connected or gone.
	Presence(certname string, connected bool)
}
