package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/coder/websocket"
	fastjson "github.com/go-json-experiment/json"
	"github.com/google/uuid"

	"dalang/orchestrator/agent/action"
	"dalang/orchestrator/pcp"
)

// session is one connection to a broker.
type session struct {
	a      *Agent
	conn   *websocket.Conn
	runCtx context.Context // ends with the agent, not with the connection

	mu       sync.Mutex        // guards all below, and that told agrees with the spool
	told     map[string]string // transactions by id of the message that told them
	declined map[string]bool   // transactions that nobody took: not told again here
	dead     error             // why we gave the connection up
}

// request is the data of a request of either kind.
type request struct {
	Transaction string          `json:"transaction_id"`
	Notify      *bool           `json:"notify_outcome"`
	Module      string          `json:"module"`
	Action      string          `json:"action"`
	Params      json.RawMessage `json:"params"`
}

// handle answers one message. An error ends the session.
func (s *session) handle(m *pcp.Message) error {
	switch m.Type {
	case pcp.BlockingRequest, pcp.NonBlockingRequest:
	case pcp.ErrorMessage:
		s.refused(m)
		return nil
	default:
		s.a.log.Debug("a message of no interest", "type", m.Type, "sender", m.Sender)
		return nil
	}
	if !s.a.obeys(m.Sender) {
		s.a.log.Warn("a request of somebody who may not ask", "sender", m.Sender, "request", m.ID)
		return nil
	}
	blocking := m.Type == pcp.BlockingRequest
	r, err := parseRequest(m.Data, blocking)
	if err != nil {
		s.a.log.Warn("a request is invalid", "sender", m.Sender, "request", m.ID, "error", err)
		answer := pcp.NewError(m.Sender, m.ID, err.Error())
		answer.Sender = "" // ours
		return s.send(answer)
	}
	if blocking {
		err = s.blocking(m, r)
	} else {
		err = s.nonBlocking(m, r)
	}
	var no *refusal
	if !errors.As(err, &no) {
		return err
	}
	s.a.log.Warn("a request is refused", "sender", m.Sender, "transaction", r.Transaction, "module", r.Module, "action", r.Action, "reason", no.text)
	return s.answer(m, pcp.RPCError, rpcError(r.Transaction, m.ID, no.text))
}

// refusal is what an rpc_error_message says.
type refusal struct{ text string }

func (r *refusal) Error() string { return r.text }

func refuse(format string, args ...any) error { return &refusal{fmt.Sprintf(format, args...)} }

// obeys tells whether a peer may ask. The broker has made sure of who it is.
func (a *Agent) obeys(sender string) bool {
	uri, err := pcp.ParseURI(sender)
	return err == nil && (len(a.cfg.Controllers) == 0 || slices.Contains(a.cfg.Controllers, uri.Certname))
}

// maxTransaction bounds the ids of blocking requests, which are sent back.
const maxTransaction = 256

// parseRequest reads the data of a request. Controllers may give blocking ones
// any id; others name directories.
func parseRequest(data json.RawMessage, blocking bool) (*request, error) {
	var r request
	if err := fastjson.Unmarshal(data, &r, fastjson.RejectUnknownMembers(true)); err != nil {
		return nil, fmt.Errorf("invalid request: %w", err)
	}
	var errs []error
	switch {
	case r.Transaction == "":
		errs = append(errs, errors.New("transaction_id is missing"))
	case blocking && len(r.Transaction) > maxTransaction:
		errs = append(errs, fmt.Errorf("transaction_id is longer than %d bytes", maxTransaction))
	case !blocking && (len(r.Transaction) != 36 || uuid.Validate(r.Transaction) != nil):
		errs = append(errs, fmt.Errorf("transaction_id %.80q is no UUID", r.Transaction))
	}
	if r.Module == "" {
		errs = append(errs, errors.New("module is missing"))
	}
	if r.Action == "" {
		errs = append(errs, errors.New("action is missing"))
	}
	switch {
	case blocking && r.Notify != nil:
		errs = append(errs, errors.New("notify_outcome is for non-blocking requests"))
	case !blocking && r.Notify == nil:
		errs = append(errs, errors.New("notify_outcome is missing"))
	}
	if errs != nil {
		return nil, fmt.Errorf("invalid request: %w", errors.Join(errs...))
	}
	return &r, nil
}

// blocking runs what needs no process.
func (s *session) blocking(m *pcp.Message, r *request) error {
	var results any
	switch r.Module + " " + r.Action {
	case "ping ping":
		results = map[string]any{"request_hops": []any{}}
	case "echo echo":
		var p struct {
			Argument *string `json:"argument"`
		}
		if fastjson.Unmarshal(r.Params, &p) != nil || p.Argument == nil {
			return refuse("invalid input for blocking 'echo echo' request: argument must be a string")
		}
		results = map[string]any{"outcome": *p.Argument}
	case "status query":
		var p struct {
			Transaction string `json:"transaction_id"`
		}
		if fastjson.Unmarshal(r.Params, &p) != nil || p.Transaction == "" {
			return refuse("invalid input for blocking 'status query' request: transaction_id must be a string")
		}
		results = s.a.status(p.Transaction)
	default:
		if err := s.a.find(r); err != nil {
			return err
		}
		return refuse("the module '%s' supports only non-blocking PXP requests", r.Module)
	}
	return s.answer(m, pcp.BlockingResponse, response(r.Transaction, results))
}

// blockingAction is the one action of the modules that are answered at once.
func blockingAction(module string) string {
	switch module {
	case "ping", "echo":
		return module
	case "status":
		return "query"
	}
	return ""
}

// find refuses unknown modules and actions, and those that are switched off.
func (a *Agent) find(r *request) error {
	switch name := blockingAction(r.Module); name {
	case "":
	case r.Action:
		return refuse("the module '%s' supports only blocking PXP requests", r.Module)
	default:
		return refuse("unknown action '%.80s' for module '%s'", r.Action, r.Module)
	}
	if _, err := action.Find(r.Module, r.Action); err != nil {
		return refuse("%v", err)
	}
	if !slices.Contains(a.cfg.Modules, r.Module) {
		return refuse("the module '%s' is not enabled on this node", r.Module)
	}
	return nil
}

// nonBlocking starts a transaction, unless it is known.
func (s *session) nonBlocking(m *pcp.Message, r *request) error {
	if err := s.a.find(r); err != nil {
		return err
	}
	act, err := action.Find(r.Module, r.Action)
	if err != nil {
		return refuse("%v", err)
	}
	if err := act.Check(r.Params); err != nil {
		return refuse("invalid input for non-blocking '%s %s' request: %v", r.Module, r.Action, err)
	}
	follow, err := s.a.start(s.runCtx, m, r)
	if err != nil {
		return refuse("failed to start action task: %v", err)
	}
	defer follow() // how it ended is told after it is confirmed
	return s.answer(m, pcp.ProvisionalResponse, response(r.Transaction, nil))
}

// start takes a transaction on, and answers what then watches it. It runs in the
// session's reader alone, so that no two requests come at a time.
func (a *Agent) start(ctx context.Context, m *pcp.Message, r *request) (follow func(), err error) {
	if !a.spool.entry(r.Transaction).known() && a.runs() >= a.cfg.MaxRuns {
		return nil, fmt.Errorf("%d runs are under way, and no more are allowed", a.cfg.MaxRuns)
	}
	rec := record{
		Transaction: r.Transaction, Module: r.Module, Action: r.Action, Requester: m.Sender, Request: m.ID,
		Notify: *r.Notify, Accepted: a.cfg.Now().UTC().Truncate(time.Millisecond),
	}
	e, err := a.spool.accept(rec)
	if errors.Is(err, errKnown) {
		a.log.Info("a transaction is asked for again", "transaction", r.Transaction, "sender", m.Sender)
		return func() {}, nil
	}
	var pid int
	if err == nil {
		pid, err = a.launch(e, action.Order{Transaction: r.Transaction, Module: r.Module, Action: r.Action, Params: r.Params, Settings: a.cfg.Settings})
	}
	if err != nil {
		if e.known() { // nothing runs
			err = errors.Join(err, a.spool.remove(e))
		}
		return nil, err
	}
	begun(ctx, e, pid)
	a.log.Info("a run has begun", "transaction", r.Transaction, "module", r.Module, "action", r.Action, "sender", m.Sender, "pid", pid)
	return func() { a.follow(ctx, a.id(e), pid) }, nil
}

// maxTold bounds what a session remembers of the outcomes that it has told.
const maxTold = 1000

// refused is an error_message; perhaps of an outcome that nobody got, which then
// is told with the next connection.
func (s *session) refused(m *pcp.Message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	id, ours := s.told[m.InReplyTo]
	s.a.log.Warn("the broker says that something went wrong", "text", m.ErrorText(), "in_reply_to", m.InReplyTo, "transaction", id)
	if !ours {
		return
	}
	delete(s.told, m.InReplyTo)
	s.declined[id] = true
	if e := s.a.spool.entry(id); e.has(toldFile) {
		if err := e.untell(); err != nil {
			s.a.log.Warn("an outcome is not told again", "transaction", id, "error", err)
			return
		}
	}
	s.a.mu.Lock()
	defer s.a.mu.Unlock()
	s.a.untold[id] = true
}

// answer sends data to who has sent m.
func (s *session) answer(m *pcp.Message, kind string, data wire) error {
	_, frame, err := s.pack(m.Sender, m.ID, kind, data)
	if err != nil {
		return err
	}
	return s.write(frame)
}

// pack makes the frame of a message about a request and answers the message's
// id. What is too large is told instead.
func (s *session) pack(target, request, kind string, data wire) (id string, frame []byte, err error) {
	m, err := pcp.New(kind, target, data)
	if err != nil {
		return "", nil, err
	}
	if frame, err = pcp.V2.Encode(m); err != nil {
		return "", nil, err
	}
	size := len(frame)
	if size <= s.a.cfg.MaxMessage {
		return m.ID, frame, nil
	}
	text := fmt.Sprintf("Message size: %d exceeded; at most %d bytes can be sent", size, s.a.cfg.MaxMessage)
	if m, err = pcp.New(pcp.RPCError, target, rpcError(data.Transaction, request, text)); err != nil {
		return "", nil, err
	}
	frame, err = pcp.V2.Encode(m)
	return m.ID, frame, err
}
