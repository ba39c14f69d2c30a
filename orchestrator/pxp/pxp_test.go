package pxp_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"dalang/orchestrator/broker"
	"dalang/orchestrator/job"
	"dalang/orchestrator/pcp"
	"dalang/orchestrator/pxp"
)

func TestConfig(t *testing.T) {
	_, err := pxp.New(pxp.Config{})
	require.ErrorContains(t, err, "Broker and Sink are required")
}

// TestRun is a run as it should be.
func TestRun(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		require.Equal(t, "pcp", w.Name())
		require.True(t, w.Connected("a"))
		require.False(t, w.Connected("c"))
		r := run("a")
		m := w.start(r)
		require.Equal(t, pcp.NonBlockingRequest, m.Type)
		require.Equal(t, here, m.Sender)
		require.Equal(t, "pcp://a/agent", m.Target)
		require.JSONEq(t, fmt.Sprintf(`{"transaction_id":%q,"notify_outcome":true,"module":"pxp-module-puppet","action":"run","params":{"flags":[],"job":"7"}}`, r.TransactionID), string(m.Data))
		require.Empty(t, w.takeTold())
		w.confirms(r)
		require.Equal(t, "provisional a", w.takeTold())
		w.confirms(r) // again: no harm
		require.Empty(t, w.takeTold())
		w.ends(r, changed)
		require.Equal(t, "result a finished", w.takeTold())
		require.JSONEq(t, changed, string(w.results[0].Results))
		w.ends(r, changed) // too late
		w.confirms(r)
		w.pass(time.Hour)
		require.Empty(t, w.takeTold())
		require.Empty(t, w.takeSent())
		require.Zero(t, w.open())
	})
}

// TestTimeout: our own agents are told how long a run may take, unless it is
// Puppet's. Upstream's refuses commands with params that it does not know.
func TestTimeout(t *testing.T) {
	for name, c := range map[string]struct{ certname, module, params, want string }{
		"task":            {"a", "task", `{"task":"x","input":{}}`, `{"timeout":90.5,"task":"x","input":{}}`},
		"command":         {"a", "command", ` { "command" : "x" } `, `{"timeout":90.5,"command":"x"}`},
		"script":          {"a", "script", `{"arguments":[]}`, `{"timeout":90.5,"arguments":[]}`},
		"download":        {"a", "file", ` { } `, `{"timeout":90.5}`},
		"catalog":         {"a", "apply", `{"catalog":{}}`, `{"timeout":90.5,"catalog":{}}`},
		"Puppet":          {"a", "pxp-module-puppet", `{"flags":[]}`, `{"flags":[]}`},
		"upstream's":      {"b", "task", `{"task":"x"}`, `{"task":"x"}`},
		"its command":     {"b", "command", `{"command":"x"}`, `{"command":"x"}`},
		"without a limit": {"a", "", `{"command":"x"}`, `{"command":"x"}`},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.own = map[string]bool{"a": true}
				r := run(c.certname)
				r.Module, r.Params, r.Timeout = c.module, json.RawMessage(c.params), 90500*time.Millisecond
				if c.module == "" {
					r.Module, r.Timeout = "command", 0
				}
				require.JSONEq(t, c.want, string(w.start(r).Params))
				w.ends(r, changed)
			})
		})
	}
}

// TestResultFirst: an agent may be done before it has confirmed anything.
func TestResultFirst(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		r := run("a")
		w.start(r)
		w.ends(r, changed)
		require.Equal(t, "result a finished", w.takeTold())
		require.Zero(t, w.open())
	})
}

// TestPolling: when the status is asked for, and how an outcome comes by it.
func TestPolling(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		r := run("a")
		w.start(r)
		w.confirms(r)
		began := time.Now()
		w.takeTold()
		questions := map[uuid.UUID]bool{}
		var asked []float64
		for time.Since(began) < 4*time.Minute {
			w.pass(100 * time.Millisecond)
			for _, q := range w.takeSent() {
				require.Equal(t, pcp.BlockingRequest, q.Type)
				require.Equal(t, "status", q.Module)
				require.Equal(t, "query", q.Action)
				require.Nil(t, q.NotifyOutcome, "blocking requests have none")
				require.JSONEq(t, fmt.Sprintf(`{"transaction_id":%q}`, r.TransactionID), string(q.Params))
				require.False(t, questions[q.TransactionID], "a question has a transaction of its own")
				questions[q.TransactionID] = true
				asked = append(asked, q.at.Sub(began).Seconds())
				w.answers(q, r, `"status":"running"`)
			}
		}
		// Each interval is 1.5 times the last one, from 5 s to 60 s.
		want := []float64{5, 12.5, 23.75, 40.625, 65.9375, 103.90625, 160.859375, 220.859375}
		require.Len(t, asked, len(want))
		for i := range want {
			require.InDelta(t, want[i], asked[i], 1, "question %d", i) // the test answers within 0.1 s
		}
		require.Empty(t, w.takeTold(), "nothing new")
		w.pass(45 * time.Second)
		w.answers(w.one("status"), r, `"status":"success","exitcode":0,"stdout":`+quoted(changed)+`,"stderr":""`)
		require.Equal(t, "result a finished", w.takeTold())
		require.JSONEq(t, changed, string(w.results[0].Results))
		w.pass(time.Hour)
		require.Empty(t, w.takeSent())
		require.Zero(t, w.open())
	})
}

func quoted(s string) string {
	text, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// TestUnanswered: an agent that is connected and does not answer.
func TestUnanswered(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		r := run("a")
		w.start(r)
		w.confirms(r)
		w.takeTold()
		ask := func() (q sent) {
			for range 100 {
				w.pass(time.Second)
				if all := w.takeSent(); len(all) > 0 {
					return all[0]
				}
			}
			require.Fail(t, "no question")
			return q
		}
		for range 34 {
			ask()
		}
		q := ask()
		w.answers(q, r, `"status":"running"`) // the 35th is answered, so they count anew
		for range 10 {
			ask()
		}
		for _, useless := range []string{`"status":"odd"`, `"status":7`, `"transaction_id":"` + uuid.NewString() + `","status":"success"`} {
			w.answers(ask(), r, useless)
		}
		q = ask()
		w.says("a", pcp.RPCError, fmt.Sprintf(`{"transaction_id":%q,"id":%q,"description":"no such module"}`, q.TransactionID, q.ID))
		q = ask()
		m := pcp.NewError(here, q.ID, "cannot be read")
		m.Sender = "pcp://a/agent"
		w.Receive(m)
		w.answers(q, r, `"status":"success"`) // that question is over
		for range 35 - 15 {
			require.Empty(t, w.takeTold())
			ask()
		}
		w.pass(12 * time.Second)
		require.Equal(t, "error a: the agent does not answer 35 questions for the run's status in a row", w.takeTold())
		var e *job.Error
		require.ErrorAs(t, w.errs[0], &e)
		require.Equal(t, "puppetlabs.orchestrator/execution-failure", e.Kind)
		require.Equal(t, "a", e.Details["node"])
		require.Zero(t, w.open())
	})
}

// TestUnconfirmed: a request is sent once more, and then the node errs.
func TestUnconfirmed(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		r := run("a")
		first := w.start(r)
		w.pass(29 * time.Second)
		require.Empty(t, w.takeSent())
		w.pass(time.Second)
		second := w.one(r.Module)
		require.JSONEq(t, string(first.Data), string(second.Data))
		require.NotEqual(t, first.ID, second.ID)
		w.pass(29 * time.Second)
		require.Empty(t, w.takeTold())
		w.pass(time.Second)
		require.Equal(t, "error a: the agent does not confirm the request", w.takeTold())
		w.confirms(r)
		require.Empty(t, w.takeTold())
		require.Zero(t, w.open())
	})
}

// TestRefused: what cannot be sent, and what agents do not take.
func TestRefused(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		require.ErrorIs(t, w.Start(t.Context(), run("c")), job.ErrNotConnected)
		require.ErrorIs(t, w.Query(t.Context(), run("c")), job.ErrNotConnected)
		w.refuses = fmt.Errorf("%w: 40000000 bytes", broker.ErrTooLarge)
		var e *job.Error
		require.ErrorAs(t, w.Start(t.Context(), run("a")), &e)
		require.Contains(t, e.Msg, "the request cannot be sent: the message is larger than the peer takes: 40000000 bytes")
		w.refuses = broker.ErrNotConnected // it has just gone
		require.ErrorIs(t, w.Start(t.Context(), run("a")), job.ErrNotConnected)
		require.ErrorIs(t, w.Query(t.Context(), run("a")), job.ErrNotConnected)
		w.refuses = nil
		require.Zero(t, w.open())
		require.Empty(t, w.takeTold())

		r := run("a")
		m := w.start(r)
		other := r
		other.Certname = "b"
		require.ErrorContains(t, w.Start(t.Context(), other), "is of a, not of b")
		require.NoError(t, w.Stop(t.Context(), other))
		w.says("a", pcp.RPCError, fmt.Sprintf(`{"transaction_id":%q,"id":%q,"description":"unknown module"}`, r.TransactionID, m.ID))
		require.Equal(t, "error a: the agent refused the request: unknown module", w.takeTold())

		r = run("a")
		m = w.start(r)
		refusal := pcp.NewError(here, m.ID, "bad data")
		refusal.Sender = "pcp://a/agent"
		w.Receive(refusal)
		require.Equal(t, "error a: the agent refused the request: bad data", w.takeTold())

		r = run("a")
		w.start(r)
		w.confirms(r)
		w.says("a", pcp.RPCError, fmt.Sprintf(`{"transaction_id":%q,"description":"too large"}`, r.TransactionID))
		require.Equal(t, "provisional a; error a: the agent could not complete the run: too large", w.takeTold())
		require.Zero(t, w.open())
	})
}

// TestForgers: nobody speaks of another node's run, and nonsense does nothing.
func TestForgers(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		r := run("a")
		m := w.start(r)
		forged := r
		forged.Certname = "b"
		w.confirms(forged)
		w.ends(forged, changed)
		w.says("b", pcp.RPCError, fmt.Sprintf(`{"transaction_id":%q,"description":"no"}`, r.TransactionID))
		refusal := pcp.NewError(here, m.ID, "no")
		refusal.Sender = "pcp://b/agent"
		w.Receive(refusal)
		refusal.Sender = "pcp://a/tool" // of the right name, and no agent
		w.Receive(refusal)
		require.Empty(t, w.takeTold())
		w.confirms(r)
		w.pass(5 * time.Second)
		q := w.one("status")
		w.answers(q, forged, `"status":"success"`)
		w.takeTold()
		for _, messageType := range []string{pcp.ProvisionalResponse, pcp.NonBlockingResponse, pcp.BlockingResponse, pcp.RPCError, pcp.BlockingRequest, "x"} {
			for _, data := range []string{`null`, `{}`, `[]`, `7`, `"x"`, `{"transaction_id":""}`, `{"transaction_id":7}`, `{"transaction_id":"` + uuid.NewString() + `"}`, `{"transaction_id":"00000000-0000-0000-0000-000000000000"}`} {
				w.says("a", messageType, data)
			}
			m, err := pcp.New(messageType, here, nil)
			require.NoError(t, err)
			m.Sender = "pcp://a/agent"
			w.Receive(m)
		}
		w.says("a", pcp.ErrorMessage, `"unasked"`)
		require.Empty(t, w.takeTold())
		w.answers(q, r, `"status":"running"`)
		require.Empty(t, w.takeTold())
		require.Equal(t, 1, w.open())
	})
}

// TestPresence: agents that go and come back.
func TestPresence(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		r := run("a")
		w.start(r)
		w.Presence(pcp.URI{Certname: "a", Type: "tool"}, true) // another client of the node
		require.Empty(t, w.takeSent())
		w.Presence(pcp.AgentURI("a"), true) // in the place of its old connection, in which the request may be lost
		require.Equal(t, r.TransactionID, w.one(r.Module).TransactionID)
		w.Presence(pcp.AgentURI("a"), false) // late news: it is back already
		require.Equal(t, "presence a true; presence a false", w.takeTold())
		w.connect("a", false)
		require.Equal(t, "error a: not connected; presence a false", w.takeTold())
		require.ErrorIs(t, w.errs[0], job.ErrNotConnected)
		w.connect("a", true)
		require.Empty(t, w.takeSent(), "the engine decides")
		require.Zero(t, w.open())
		w.takeTold()

		w.start(r) // the same again
		w.confirms(r)
		w.pass(5 * time.Second)
		w.one("status")
		w.connect("a", false)
		require.Equal(t, "provisional a; presence a false", w.takeTold())
		w.pass(time.Hour)
		require.Empty(t, w.takeSent(), "nobody to ask")
		require.Empty(t, w.takeTold(), "and nothing is lost")
		w.connect("a", true)
		q := w.one("status")
		w.Presence(pcp.AgentURI("a"), true)
		require.NotEqual(t, q.TransactionID, w.one("status").TransactionID, "asked again on the new connection")
		w.answers(q, r, `"status":"success"`) // of the old one
		require.Equal(t, "presence a true; presence a true", w.takeTold())
		w.ends(r, changed)
		require.Equal(t, "result a finished", w.takeTold())
	})
}

// TestQuery: runs of the server's last life.
func TestQuery(t *testing.T) {
	for name, c := range map[string]struct{ answer, told string }{
		"ended well":  {`"status":"success","exitcode":0,"stdout":` + quoted(changed), "result a finished"},
		"ended badly": {`"status":"failure","exitcode":1,"stdout":"","stderr":"ruby: not found"`, "result a errored"},
		"runs":        {`"status":"running"`, "provisional a"},
		"never seen":  {`"status":"unknown"`, "error a: the agent does not know the transaction"},
		// Upstream's agent gives a reason where a run's output would be.
		"never seen upstream": {`"status":"unknown","stdout":` + quoted(`{"_error":{"kind":"puppetlabs.pxp-agent/execution-error","details":{},"msg":"found no results directory"}}`),
			"error a: the agent does not know the transaction"},
		"no object":    {`"status":{}`, ""},
		"other status": {`"status":"resting"`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				r := run("a")
				require.NoError(t, w.Query(t.Context(), r))
				w.answers(w.one("status"), r, c.answer)
				require.Equal(t, c.told, w.takeTold())
				w.pass(6 * time.Second)
				switch c.told {
				case "provisional a", "": // it is asked again
					w.answers(w.one("status"), r, `"status":"running"`)
					require.NoError(t, w.Query(t.Context(), r), "the engine wants to know at once")
					w.takeTold()
					w.answers(w.one("status"), r, `"status":"running"`)
					require.Equal(t, "provisional a", w.takeTold())
					w.connect("a", false)
					require.Equal(t, "presence a false", w.takeTold())
					require.NoError(t, w.Stop(t.Context(), r))
				default:
					require.Empty(t, w.takeSent())
				}
				require.Zero(t, w.open())
			})
		})
	}
	inWorld(t, func(t *testing.T, w *world) {
		r := run("a")
		require.NoError(t, w.Query(t.Context(), r))
		q := w.one("status")
		w.pass(12*time.Second + 5*time.Second) // no answer: asked again
		require.NotEqual(t, q.TransactionID, w.one("status").TransactionID)
		w.connect("a", false)
		require.Equal(t, "error a: not connected; presence a false", w.takeTold())
		require.Zero(t, w.open())
	})
}

// TestAgain: what the engine may do at any time.
func TestAgain(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		r := run("a")
		w.start(r)
		w.start(r) // not confirmed: once more
		require.NoError(t, w.Query(t.Context(), r))
		q := w.one("status")
		w.answers(q, r, `"status":"unknown"`) // the request is still on its way
		require.Empty(t, w.takeTold())
		w.pass(30 * time.Second)
		w.one(r.Module)
		w.confirms(r)
		require.NoError(t, w.Start(t.Context(), r)) // confirmed: not sent
		require.Empty(t, w.takeSent())
		require.Equal(t, "provisional a; provisional a", w.takeTold())
		w.pass(5 * time.Second)
		w.answers(w.one("status"), r, `"status":"unknown"`)
		require.Equal(t, "error a: the agent does not know the transaction", w.takeTold(), "it has forgotten")
		w.start(r)
		require.NoError(t, w.Stop(t.Context(), r))
		w.confirms(r)
		w.ends(r, changed)
		w.pass(time.Hour)
		require.Empty(t, w.takeTold())
		require.Zero(t, w.open())
	})
}

// TestEnd: after the end of Run nothing is sent or told.
func TestEnd(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		ctx, cancel := context.WithCancel(t.Context())
		over := make(chan error)
		go func() { over <- w.Controller.Run(ctx) }()
		one, two, three := run("a"), run("b"), run("a")
		w.start(one)
		w.start(two)
		require.NoError(t, w.Query(t.Context(), three))
		w.confirms(two)
		w.takeTold()
		w.takeSent()
		cancel()
		require.NoError(t, <-over)
		synctest.Wait()
		w.ends(one, changed)
		w.ends(two, changed)
		w.pass(time.Hour)
		require.Empty(t, w.takeTold())
		require.Empty(t, w.takeSent())
		require.ErrorIs(t, w.Start(t.Context(), run("a")), job.ErrNotConnected)
		require.Zero(t, w.open())
	})
}
