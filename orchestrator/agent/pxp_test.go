package agent

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"dalang/orchestrator/agent/pki/pkitest"
	"dalang/orchestrator/broker"
	"dalang/orchestrator/job"
	"dalang/orchestrator/pxp"
)

// sink is the engine's end of a controller.
type sink chan string

func (s sink) Provisional(_ string, tx uuid.UUID) { s <- "provisional " + tx.String() }
func (s sink) Result(_ string, tx uuid.UUID, o job.Outcome) {
	s <- fmt.Sprintf("%s %s %s%v", o.State, tx, o.Stdout, o.Err)
}
func (s sink) Error(_ string, tx uuid.UUID, err error) { s <- fmt.Sprintf("error %s %v", tx, err) }
func (s sink) Presence(_ string, connected bool)       { s <- fmt.Sprintf("presence %t", connected) }

func (s sink) next(t *testing.T) string {
	t.Helper()
	select {
	case told := <-s:
		return told
	case <-time.After(20 * time.Second):
		t.Fatal("the engine is told nothing")
		return ""
	}
}

// world is our own broker and controller, and the agent in a process.
type world struct {
	*setting
	sink       sink
	controller *pxp.Controller
	agent      *agentProcess
	puppet     string // directory of the scripted one
}

func newWorld(t *testing.T, poll time.Duration) *world {
	w := &world{setting: &setting{ca: pkitest.New(t)}, sink: make(sink, 1000), puppet: scriptedPuppet(t)}
	w.node = w.ca.Issue("node.example.com")
	b, err := broker.New(broker.Config{Name: "server.example.com"})
	require.NoError(t, err)
	w.controller, err = pxp.New(pxp.Config{Broker: b, Sink: w.sink, PollFirst: poll, PollMost: poll})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	over := make(chan error, 2)
	go func() { over <- b.Run(ctx) }()
	go func() { over <- w.controller.Run(ctx) }()
	require.Eventually(t, b.Running, 10*time.Second, time.Millisecond)
	server := httptest.NewUnstartedServer(b)
	server.TLS = w.ca.Server(w.ca.Issue("server.example.com"))
	server.StartTLS()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-over)
		require.NoError(t, <-over)
		server.Close()
	})
	w.broker = &fakeBroker{url: "wss" + strings.TrimPrefix(server.URL, "https")}
	cfg := w.config(t)
	cfg.Settings.Puppet = filepath.Join(w.puppet, "puppet")
	w.agent = w.process(t, cfg)
	w.agent.start()
	require.Equal(t, "presence true", w.sink.next(t))
	return w
}

func runOf(module string, params any) job.Request {
	text, err := json.Marshal(params)
	if err != nil {
		panic(err)
	}
	return job.Request{TransactionID: uuid.New(), Certname: "node.example.com", Module: module, Action: "run", Params: text, NotifyOutcome: true}
}

// TestController: what the engine hears of this agent through our broker and
// controller, whether the outcome is told or asked for.
func TestController(t *testing.T) {
	w := newWorld(t, time.Hour)
	require.NoError(t, os.WriteFile(w.puppet+"/go", nil, 0o600))
	for name, c := range map[string]struct {
		request job.Request
		want    string // with the transaction for %s
	}{
		"puppet":        {runOf("pxp-module-puppet", map[string]any{"flags": []string{"--noop"}, "job": "81"}), "finished %s <nil>"},
		"bad flags":     {runOf("pxp-module-puppet", map[string]any{"flags": []string{"--server"}}), "errored %s flags: --server is not permitted"},
		"command":       {runOf("command", map[string]any{"command": "echo out"}), "finished %s out\n<nil>"},
		"command fails": {runOf("command", map[string]any{"command": "echo out; exit 3"}), "failed %s out\n<nil>"},
	} {
		t.Run(name, func(t *testing.T) {
			tx, ctx := c.request.TransactionID, context.Background()
			require.NoError(t, w.controller.Start(ctx, c.request))
			require.Equal(t, "provisional "+tx.String(), w.sink.next(t))
			want := fmt.Sprintf(c.want, tx)
			require.Equal(t, want, w.sink.next(t))
			require.NoError(t, w.controller.Query(ctx, c.request))
			require.Equal(t, want, w.sink.next(t))
		})
	}
	require.NoError(t, w.controller.Query(context.Background(), runOf("command", nil)))
	require.Contains(t, w.sink.next(t), job.ErrUnknownTransaction.Error())
	late := runOf("command", map[string]any{"command": "sleep 60"})
	late.Timeout = 100 * time.Millisecond
	require.NoError(t, w.controller.Start(context.Background(), late))
	require.Equal(t, "provisional "+late.TransactionID.String(), w.sink.next(t))
	require.Contains(t, w.sink.next(t), "it ran longer than 100ms and was killed")
}

// TestControllerAgentDies: the agent is gone during a run; the engine hears of
// its end, once, from the next one. Puppet ran once.
func TestControllerAgentDies(t *testing.T) {
	w := newWorld(t, time.Hour)
	r := runOf("pxp-module-puppet", map[string]any{"flags": []string{}, "job": "81"})
	require.NoError(t, w.controller.Start(context.Background(), r))
	require.Equal(t, "provisional "+r.TransactionID.String(), w.sink.next(t))
	require.Eventually(t, func() bool { return len(lines(t, w.puppet+"/runs")) == 1 }, 20*time.Second, 5*time.Millisecond)
	w.agent.kill()
	require.Equal(t, "presence false", w.sink.next(t))
	w.agent.start()
	require.Equal(t, "presence true", w.sink.next(t))
	require.NoError(t, os.WriteFile(w.puppet+"/go", nil, 0o600))
	told := w.sink.next(t)
	if strings.HasPrefix(told, "provisional") { // the controller asks anew who is back
		told = w.sink.next(t)
	}
	require.Equal(t, "finished "+r.TransactionID.String()+" <nil>", told)
	require.Len(t, lines(t, w.puppet+"/runs"), 1)
	require.Empty(t, w.sink)
}
