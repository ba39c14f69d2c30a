package agent

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/uuid"

	"dalang/orchestrator/agent/action"
	"dalang/orchestrator/pcp"
)

// executionError is the kind of outcomes that are no results.
const executionError = "puppetlabs.pxp-agent/execution-error"

// wire is the data of a response.
type wire struct {
	Transaction string `json:"transaction_id"`
	ID          string `json:"id,omitempty"`          // of an rpc_error_message
	Description string `json:"description,omitempty"` // likewise
	Results     any    `json:"results,omitempty"`
}

func response(transaction string, results any) wire {
	return wire{Transaction: transaction, Results: results}
}

func rpcError(transaction, request, description string) wire {
	return wire{Transaction: transaction, ID: request, Description: description}
}

// id is the key of a transaction in running and untold.
func (a *Agent) id(e entry) string { return filepath.Base(string(e)) }

// status answers a status query.
func (a *Agent) status(transaction string) map[string]any {
	results := map[string]any{"transaction_id": transaction, "status": "unknown"}
	if len(transaction) != 36 || uuid.Validate(transaction) != nil {
		return results
	}
	id := strings.ToLower(transaction)
	e := a.spool.entry(id)
	alive := a.alive(id) // before we look for the result: it may end meanwhile
	r, err := e.result()
	switch {
	case err == nil:
		describe(results, r)
	case !errors.Is(err, os.ErrNotExist):
		describe(results, action.Result{ExitCode: 1, Error: err.Error()})
	case alive:
		results["status"] = "running"
	case e.known():
		// Its result could not be spooled, or its directory cannot be read.
		describe(results, action.Result{ExitCode: 1, Error: "its process ended without a result"})
	}
	return results
}

// describe writes a result into the answer of a status query.
func describe(results map[string]any, r action.Result) {
	results["status"] = "failure"
	if r.ExitCode == 0 && r.Error == "" {
		results["status"] = "success"
	}
	results["exitcode"] = r.ExitCode
	stdout := r.Stdout
	if r.Error != "" {
		text, err := json.Marshal(map[string]any{"_error": map[string]any{"kind": executionError, "msg": r.Error, "details": map[string]any{}}})
		if err != nil { // of strings: never
			panic(err)
		}
		stdout = string(text)
	}
	if stdout != "" {
		results["stdout"] = stdout
	}
	if r.Stderr != "" {
		results["stderr"] = r.Stderr
	}
}

// tell sends the outcomes of transactions that have ended, as they end.
func (s *session) tell(ctx context.Context) error {
	for {
		for _, id := range s.a.toTell() {
			if s.skips(id) {
				continue
			}
			if ctx.Err() != nil {
				return nil
			}
			if err := s.tellOne(id); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-s.a.wake:
		}
	}
}

// skips tells whether nobody took the outcome of a transaction here.
func (s *session) skips(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.declined[id]
}

func (a *Agent) toTell() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Sorted(maps.Keys(a.untold))
}

// tellOne sends one outcome. It is marked afterwards: a crash in between has it
// told twice, which does less harm than never.
func (s *session) tellOne(id string) error {
	e := s.a.spool.entry(id)
	rec, err := e.request()
	if err != nil {
		s.a.log.Error("an outcome cannot be told", "transaction", id, "error", err)
		s.a.forget(id)
		return nil
	}
	r, err := e.result()
	if err != nil {
		r = action.Result{ExitCode: 1, Error: "its result cannot be read: " + err.Error()}
	}
	kind, data := pcp.NonBlockingResponse, response(rec.Transaction, nil)
	if r.Error == "" {
		data.Results = r.Results()
	} else {
		kind, data = pcp.RPCError, rpcError(rec.Transaction, rec.Request, r.Error)
	}
	message, frame, err := s.pack(rec.Requester, rec.Request, kind, data)
	if err != nil {
		return err
	}
	s.mu.Lock()
	if len(s.told) >= maxTold {
		clear(s.told)
	}
	s.told[message] = id
	s.mu.Unlock()
	if err := s.write(frame); err != nil {
		return err
	}
	s.markTold(message, id)
	s.a.log.Info("an outcome has been told", "transaction", id, "to", rec.Requester, "type", kind)
	return nil
}

// markTold notes that an outcome was sent, unless it has come back already.
func (s *session) markTold(message, id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, still := s.told[message]; !still {
		return
	}
	s.a.forget(id)
	if err := s.a.spool.entry(id).tell(); err != nil {
		s.a.log.Warn("an outcome will be told again after a restart", "transaction", id, "error", err)
	}
}

func (a *Agent) forget(id string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.untold, id)
}
