package agent

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"dalang/orchestrator/agent/action"
	"dalang/orchestrator/agent/pki/pkitest"
	"dalang/orchestrator/pcp"
)

func (s *setting) config(t *testing.T) Config {
	return Config{
		Brokers: []string{s.broker.url}, Data: t.TempDir(), Settings: action.Settings{Files: s.node, Grace: time.Second, RetryPause: time.Millisecond},
		Pause: 10 * time.Millisecond, MaxPause: 50 * time.Millisecond, Logger: slog.New(slog.NewTextHandler(t.Output(), nil)),
	}
}

// run starts an agent and answers what stops it.
func run(t *testing.T, cfg Config) (stop func()) {
	t.Helper()
	a, err := New(cfg)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		require.NoError(t, <-done)
	}
	t.Cleanup(stop)
	return stop
}

func start(t *testing.T, change func(*Config)) *fakeBroker {
	t.Helper()
	s := set(t)
	cfg := s.config(t)
	if change != nil {
		change(&cfg)
	}
	run(t, cfg)
	s.broker.join()
	return s.broker
}

func TestBlocking(t *testing.T) {
	b := start(t, func(c *Config) { c.Modules = []string{"command", "task"} })
	require.Equal(t, []string{"/pcp2/agent"}, b.paths)
	require.Equal(t, []string{"node.example.com"}, b.names)
	type m = map[string]any
	for name, c := range map[string]struct {
		module, action string
		params         any
		results, wrong string
	}{
		"ping":             {"ping", "ping", m{"sender_timestamp": "x"}, `{"request_hops":[]}`, ""},
		"ping alone":       {"ping", "ping", nil, `{"request_hops":[]}`, ""},
		"echo":             {"echo", "echo", m{"argument": "hé"}, `{"outcome":"hé"}`, ""},
		"echo of nothing":  {"echo", "echo", m{}, "", "argument must be a string"},
		"status":           {"status", "query", m{"transaction_id": "0d0a1b2c-3d4e-4f50-8192-a3b4c5d6e7f8"}, `{"transaction_id":"0d0a1b2c-3d4e-4f50-8192-a3b4c5d6e7f8","status":"unknown"}`, ""},
		"status elsewhere": {"status", "query", m{"transaction_id": "../../../etc"}, `{"transaction_id":"../../../etc","status":"unknown"}`, ""},
		"status of what":   {"status", "query", m{}, "", "transaction_id must be a string"},
		"unknown module":   {"nope", "run", nil, "", "unknown module: nope"},
		"unknown action":   {"task", "walk", nil, "", "unknown action 'walk' for module 'task'"},
		"unknown of ours":  {"status", "status", nil, "", "unknown action 'status' for module 'status'"},
		"non-blocking":     {"task", "run", nil, "", "the module 'task' supports only non-blocking PXP requests"},
		"switched off":     {"script", "run", nil, "", "the module 'script' is not enabled on this node"},
	} {
		t.Run(name, func(t *testing.T) {
			results, refusal := b.blocking(c.module, c.action, c.params)
			if c.wrong != "" {
				require.Contains(t, refusal, c.wrong)
				return
			}
			require.Empty(t, refusal)
			require.JSONEq(t, c.results, results)
		})
	}
}

func TestInvalidRequests(t *testing.T) {
	b := start(t, nil)
	const tx = `"transaction_id":"0d0a1b2c-3d4e-4f50-8192-a3b4c5d6e7f8"`
	for data, wrong := range map[string]string{
		`{` + tx + `,"module":"ping"}`: "action is missing",
		`{` + tx + `,"action":"ping"}`: "module is missing",
		`{"transaction_id":"` + strings.Repeat("7", 257) + `","module":"ping","action":"ping"}`: "transaction_id is longer than 256 bytes",
		`{"module":"ping","action":"ping"}`:                                                     "transaction_id is missing",
		`{` + tx + `,"module":"ping","action":"ping","notify_outcome":true}`:                    "notify_outcome is for non-blocking",
		`{` + tx + `,"module":"ping","action":"ping","more":1}`:                                 "more",
		`{` + tx + `,"Module":"ping","action":"ping"}`:                                          "Module",
		`[]`:  "invalid request",
		`"x"`: "invalid request",
	} {
		id := b.send(pcp.BlockingRequest, json.RawMessage(data))
		m := b.next(pcp.ErrorMessage)
		require.Contains(t, m.ErrorText(), wrong, data)
		require.Equal(t, id, m.InReplyTo)
		require.Equal(t, controller, m.Target)
		require.Empty(t, m.Sender, "the broker fills it in")
	}
	b.send(pcp.NonBlockingRequest, json.RawMessage(`{`+tx+`,"module":"command","action":"run","params":{"command":"true"}}`))
	require.Contains(t, b.next(pcp.ErrorMessage).ErrorText(), "notify_outcome is missing")
	b.send(pcp.NonBlockingRequest, json.RawMessage(`{"transaction_id":"7","module":"command","action":"run","notify_outcome":true,"params":{"command":"true"}}`))
	require.Contains(t, b.next(pcp.ErrorMessage).ErrorText(), `transaction_id "7" is no UUID`)
	b.send(pcp.BlockingRequest, json.RawMessage(`{"transaction_id":"7","module":"ping","action":"ping"}`))
	require.JSONEq(t, `{"transaction_id":"7","results":{"request_hops":[]}}`, string(b.next(pcp.BlockingResponse).Data), "its id is the controller's own affair")

	refused := func(data string) string {
		b.send(pcp.NonBlockingRequest, json.RawMessage(`{`+tx+`,"notify_outcome":true,`+data+`}`))
		var answer wire
		require.NoError(t, json.Unmarshal(b.next(pcp.RPCError).Data, &answer))
		return answer.Description
	}
	require.Equal(t, "the module 'ping' supports only blocking PXP requests", refused(`"module":"ping","action":"ping"`))
	require.Equal(t, "the module 'status' supports only blocking PXP requests", refused(`"module":"status","action":"query","params":{}`))
	require.Equal(t, "unknown module: nope", refused(`"module":"nope","action":"run"`))
	require.Equal(t, "invalid input for non-blocking 'pxp-module-puppet run' request: flags is missing", refused(`"module":"pxp-module-puppet","action":"run","params":{}`))
	require.Equal(t, "unknown", b.status("0d0a1b2c-3d4e-4f50-8192-a3b4c5d6e7f8")["status"], "refused is not known")

	// Junk is nobody's message: the connection outlives it.
	require.NoError(t, b.current().Write(context.Background(), websocket.MessageText, []byte("junk")))
	require.NoError(t, b.current().Write(context.Background(), websocket.MessageBinary, []byte{1}))
	b.send("http://puppetlabs.com/inventory_update", nil)
	b.sendMessage(&pcp.Message{ID: uuid.NewString(), Type: pcp.BlockingRequest, Data: json.RawMessage(`{}`)}) // without sender
	b.quiet()
}

// TestControllers: where the configuration names them, others are not heard.
func TestControllers(t *testing.T) {
	b := start(t, func(c *Config) { c.Controllers = []string{"other.example.com"} })
	b.send(pcp.BlockingRequest, map[string]any{"transaction_id": uuid.NewString(), "module": "ping", "action": "ping"})
	m, err := pcp.New(pcp.BlockingRequest, "", map[string]any{"transaction_id": uuid.NewString(), "module": "ping", "action": "ping"})
	require.NoError(t, err)
	m.Sender = "pcp://other.example.com/orchestrator"
	b.sendMessage(m)
	require.Equal(t, m.Sender, b.next(pcp.BlockingResponse).Target)
	require.Empty(t, b.came)
}

func TestCommandRun(t *testing.T) {
	b, dir := start(t, nil), t.TempDir()
	tx := uuid.NewString()
	b.command(tx, "echo x >> "+dir+"/ran; while [ ! -e "+dir+"/go ]; do sleep 0.01; done; echo out; exit 3")
	require.JSONEq(t, `{"transaction_id":"`+tx+`"}`, string(b.next(pcp.ProvisionalResponse).Data))
	require.Equal(t, "running", b.status(tx)["status"])
	// Asked again, also in other letters: the same answer, and no second run.
	b.command(tx, "echo again >> "+dir+"/ran")
	b.next(pcp.ProvisionalResponse)
	b.command(strings.ToUpper(tx), "echo again >> "+dir+"/ran")
	b.next(pcp.ProvisionalResponse)
	require.NoError(t, os.WriteFile(dir+"/go", nil, 0o600))
	m := b.next(pcp.NonBlockingResponse)
	require.JSONEq(t, `{"transaction_id":"`+tx+`","results":{"exitcode":3,"stdout":"out\n"}}`, string(m.Data))
	require.Equal(t, controller, m.Target)
	require.Equal(t, map[string]any{"transaction_id": tx, "status": "failure", "exitcode": 3.0, "stdout": "out\n"}, b.status(tx))
	b.command(tx, "echo again >> "+dir+"/ran")
	b.next(pcp.ProvisionalResponse)
	b.quiet()
	ran, err := os.ReadFile(dir + "/ran")
	require.NoError(t, err)
	require.Equal(t, "x\n", string(ran))
}

// TestConfirmedIsKept: what is confirmed has been taken on by its process. A
// killed agent forgets what has not.
func TestConfirmedIsKept(t *testing.T) {
	s := set(t)
	cfg := s.config(t)
	run(t, cfg)
	s.broker.join()
	for range 5 {
		tx := uuid.NewString()
		s.broker.command(tx, "true")
		s.broker.next(pcp.ProvisionalResponse)
		require.FileExists(t, filepath.Join(cfg.Data, "spool", tx, claimFile))
		s.broker.next(pcp.NonBlockingResponse)
	}
}

func TestOutcomes(t *testing.T) {
	data := t.TempDir()
	b := start(t, func(c *Config) { c.Data, c.MaxMessage, c.Settings.Timeout = data, 2000, time.Second })
	tx := uuid.NewString()
	id := b.command(tx, "sleep 60")
	b.next(pcp.ProvisionalResponse)
	require.JSONEq(t, `{"transaction_id":"`+tx+`","id":"`+id+`","description":"it ran longer than 1s and was killed"}`, string(b.next(pcp.RPCError).Data))
	require.Equal(t, map[string]any{"transaction_id": tx, "status": "failure", "exitcode": 1.0,
		"stdout": `{"_error":{"details":{},"kind":"puppetlabs.pxp-agent/execution-error","msg":"it ran longer than 1s and was killed"}}`}, b.status(tx))

	large := uuid.NewString()
	b.command(large, "head -c 3000 /dev/zero | tr '\\0' x")
	b.next(pcp.ProvisionalResponse)
	require.Contains(t, string(b.next(pcp.RPCError).Data), "Message size: ")
	_, refusal := b.blocking("status", "query", map[string]any{"transaction_id": large})
	require.Contains(t, refusal, "exceeded; at most 2000 bytes can be sent")

	silent := uuid.NewString()
	b.send(pcp.NonBlockingRequest, map[string]any{
		"transaction_id": silent, "notify_outcome": false, "module": "command", "action": "run", "params": map[string]any{"command": "true"}})
	b.next(pcp.ProvisionalResponse)
	require.Eventually(t, func() bool { return b.status(silent)["status"] == "success" }, 10*time.Second, 10*time.Millisecond)
	b.quiet()

	// A worker that is killed leaves an outcome too.
	killed := uuid.NewString()
	b.command(killed, "kill -9 $PPID")
	b.next(pcp.ProvisionalResponse)
	require.Contains(t, string(b.next(pcp.RPCError).Data), "its process ended without a result")
	require.Equal(t, "failure", b.status(killed)["status"])

	// Nothing of the request's params is on disk.
	secret := uuid.NewString()
	b.command(secret, "true # sesame")
	b.next(pcp.ProvisionalResponse)
	b.next(pcp.NonBlockingResponse)
	require.NoError(t, filepath.WalkDir(data, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			content, err := os.ReadFile(path)
			require.NoError(t, err)
			require.NotContains(t, string(content), "sesame", path)
			info, err := d.Info()
			require.NoError(t, err)
			require.Zero(t, info.Mode().Perm()&0o077, path)
		}
		return err
	}))
}

func TestMaxRuns(t *testing.T) {
	b := start(t, func(c *Config) { c.MaxRuns = 1 })
	stop := filepath.Join(t.TempDir(), "stop")
	first, second := uuid.NewString(), uuid.NewString()
	b.command(first, "while [ ! -e "+stop+" ]; do sleep 0.01; done")
	b.next(pcp.ProvisionalResponse)
	b.command(second, "true")
	require.Contains(t, string(b.next(pcp.RPCError).Data), "1 runs are under way")
	b.command(first, "true")
	b.next(pcp.ProvisionalResponse)
	require.NoError(t, os.WriteFile(stop, nil, 0o600))
	b.next(pcp.NonBlockingResponse)
	b.command(second, "true")
	b.next(pcp.ProvisionalResponse)
	b.next(pcp.NonBlockingResponse)
}

// TestUnstartable: a worker that cannot be started, or ends before it begins.
func TestUnstartable(t *testing.T) {
	b := start(t, func(c *Config) { c.Worker = []string{"/no/such/program"} })
	tx := uuid.NewString()
	b.command(tx, "true")
	require.Contains(t, string(b.next(pcp.RPCError).Data), "failed to start action task: start the process")
	require.Equal(t, "unknown", b.status(tx)["status"])

	b = start(t, func(c *Config) { c.Worker = []string{"/bin/false"} })
	b.command(tx, "true")
	b.next(pcp.ProvisionalResponse)
	require.Contains(t, string(b.next(pcp.RPCError).Data), "its process could not be started")
	require.Equal(t, "failure", b.status(tx)["status"])
}

// TestReconnect: what ended meanwhile is told with the next connection, once.
func TestReconnect(t *testing.T) {
	b, dir := start(t, nil), t.TempDir()
	tx := uuid.NewString()
	b.command(tx, "while [ ! -e "+dir+"/go ]; do sleep 0.01; done; touch "+dir+"/done")
	b.next(pcp.ProvisionalResponse)
	b.refuse(true)
	b.drop()
	require.NoError(t, os.WriteFile(dir+"/go", nil, 0o600))
	require.Eventually(t, func() bool { _, err := os.Stat(dir + "/done"); return err == nil }, 10*time.Second, 5*time.Millisecond)
	b.refuse(false)
	b.join()
	require.Contains(t, string(b.next(pcp.NonBlockingResponse).Data), tx)
	b.quiet()
	b.drop()
	b.join()
	b.quiet()
}

// TestUndelivered: the broker could not hand an outcome on, and says so; it is
// told with the next connection.
func TestUndelivered(t *testing.T) {
	b := start(t, nil)
	tx := "00000000-0000-4000-8000-000000000001" // comes first of what is to be told
	b.command(tx, "echo x")
	b.next(pcp.ProvisionalResponse)
	m := b.next(pcp.NonBlockingResponse)
	b.sendMessage(pcp.NewError("pcp://node.example.com/agent", m.ID, "Not connected."))
	b.sendMessage(pcp.NewError("pcp://node.example.com/agent", uuid.NewString(), "Not connected."))
	b.quiet()
	// Other outcomes do not bring it up again here.
	other := uuid.NewString()
	b.command(other, "echo y")
	b.next(pcp.ProvisionalResponse)
	require.Contains(t, string(b.next(pcp.NonBlockingResponse).Data), other)
	b.quiet()
	b.drop()
	b.join()
	require.Contains(t, string(b.next(pcp.NonBlockingResponse).Data), tx)
	b.quiet()
}

// TestSuperseded: two agents with one certificate do not throw each other out
// as fast as they can.
func TestSuperseded(t *testing.T) {
	b := start(t, func(c *Config) { c.Pause, c.MaxPause = time.Millisecond, 400*time.Millisecond })
	b.quiet()
	at := time.Now()
	_ = b.current().Close(superseded, "superseded")
	b.join()
	require.GreaterOrEqual(t, time.Since(at), 200*time.Millisecond)
	b.drop()
	b.join()
	b.quiet()
}

// TestFailover: brokers are tried in turn.
func TestFailover(t *testing.T) {
	s := set(t)
	second := s.newBroker(t, s.ca.Issue("second.example.com"))
	stranger := (&setting{ca: pkitest.New(t)})
	evil := stranger.newBroker(t, stranger.ca.Issue("server.example.com"))
	cfg := s.config(t)
	s.broker.refuse(true)
	cfg.Brokers = []string{evil.url, s.broker.url, second.url}
	run(t, cfg)
	second.join()
	second.quiet()
	s.broker.refuse(false)
	second.refuse(true)
	second.drop()
	s.broker.join()
	s.broker.quiet()
	require.Empty(t, evil.names, "a server of another CA never gets as far as a request")

	// A revoked server is none.
	s.ca.Revoke(s.ca.Issue("x"))
	s.broker.drop()
	s.broker.join()
}

func TestPings(t *testing.T) {
	s := set(t)
	cfg := s.config(t)
	cfg.Ping, cfg.Pong = 5*time.Millisecond, 50*time.Millisecond
	status := make(chan string, 100)
	cfg.Status = func(text string) { status <- text }
	// A broker that takes connections and says nothing more.
	mute := s.newBroker(t, s.ca.Issue("mute"))
	mute.server.Config.Handler = muteHandler{mute}
	cfg.Brokers = []string{mute.url}
	run(t, cfg)
	require.Equal(t, "connected to "+mute.url+"/pcp2/agent", <-status)
	require.Contains(t, <-status, "the broker does not answer pings")
	require.Equal(t, "connected to "+mute.url+"/pcp2/agent", <-status)
}

func TestSpread(t *testing.T) {
	for _, c := range []struct {
		rounds int
		random float64
		want   time.Duration
	}{
		{0, 0, 500 * time.Millisecond}, {0, 0.5, time.Second}, {1, 0.5, 2 * time.Second}, {4, 0.5, 16 * time.Second},
		{5, 0.5, 30 * time.Second}, {5, 1, 45 * time.Second}, {1000, 0, 15 * time.Second},
	} {
		require.Equal(t, c.want, spread(time.Second, 30*time.Second, c.rounds, c.random), fmt.Sprint(c))
	}
}

func TestConfig(t *testing.T) {
	files := pkitest.New(t).Issue("node")
	good := func() Config {
		return Config{Brokers: []string{"wss://a:8142"}, Data: t.TempDir(), Settings: action.Settings{Files: files}}
	}
	for in, want := range map[string]string{
		"wss://a:8142": "wss://a:8142/pcp2/agent", "wss://a:8142/": "wss://a:8142/pcp2/agent", "wss://a:8142/pcp2": "wss://a:8142/pcp2/agent",
		"wss://a:8142/pcp2/": "wss://a:8142/pcp2/agent", "wss://a/pcp2/node": "wss://a/pcp2/node",
	} {
		cfg := good()
		cfg.Brokers = []string{in}
		a, err := New(cfg)
		require.NoError(t, err)
		require.Equal(t, want, a.cfg.Brokers[0])
	}
	for name, c := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"no broker":      {func(c *Config) { c.Brokers = nil }, "no brokers"},
		"cleartext":      {func(c *Config) { c.Brokers = []string{"ws://a/pcp2/"} }, "want wss://"},
		"version 1":      {func(c *Config) { c.Brokers = []string{"wss://a/pcp/"} }, "version 2 only"},
		"no data":        {func(c *Config) { c.Data = "" }, "no data directory"},
		"unknown module": {func(c *Config) { c.Modules = []string{"tusk"} }, `unknown module "tusk"; there are apply, command, file, pxp-module-puppet, script, task`},
		"no files":       {func(c *Config) { c.Settings.Files.Key = "" }, "no certificate, key or CA"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := good()
			c.change(&cfg)
			_, err := New(cfg)
			require.ErrorContains(t, err, c.want)
		})
	}
}

// TestLock: a second agent on the same data stays out.
func TestLock(t *testing.T) {
	s := set(t)
	cfg := s.config(t)
	stop := run(t, cfg)
	s.broker.join()
	cfg.LockPatience = 30 * time.Millisecond
	second, err := New(cfg)
	require.NoError(t, err)
	require.ErrorContains(t, second.Run(t.Context()), "is another agent running?")
	stop()
	run(t, cfg)
	s.broker.join()
}

func FuzzRequest(f *testing.F) {
	f.Add([]byte(`{"transaction_id":"0d0a1b2c-3d4e-4f50-8192-a3b4c5d6e7f8","module":"ping","action":"ping","params":{"a":1}}`), true)
	f.Add([]byte(`{"transaction_id":"0d0a1b2c-3d4e-4f50-8192-a3b4c5d6e7f8","module":"task","action":"run","notify_outcome":true}`), false)
	f.Fuzz(func(t *testing.T, data []byte, blocking bool) {
		r, err := parseRequest(data, blocking)
		if err != nil {
			return
		}
		require.NoError(t, uuid.Validate(r.Transaction))
		require.Equal(t, filepath.Base(r.Transaction), r.Transaction)
		require.Equal(t, blocking, r.Notify == nil)
		if act, err := action.Find(r.Module, r.Action); err == nil {
			_ = act.Check(r.Params)
		}
	})
}
