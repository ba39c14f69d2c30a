package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"dalang/orchestrator/broker"
	"dalang/orchestrator/broker/brokertest"
	"dalang/orchestrator/pcp"
)

// controllerDouble is the peer in the broker's process.
type controllerDouble struct {
	came    chan *pcp.Message
	present chan bool
}

func (c *controllerDouble) Receive(m *pcp.Message)             { c.came <- m }
func (c *controllerDouble) Presence(_ pcp.URI, connected bool) { c.present <- connected }

func within[T any](t *testing.T, c <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(20 * time.Second):
		t.Fatal("nothing comes")
	}
	return v
}

// writeNode writes the files of a node as Puppet has them.
func writeNode(t *testing.T, ca *brokertest.CA, ssldir string) {
	cert := ca.Issue(t, "node.example.com")
	key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	require.NoError(t, err)
	for name, block := range map[string]*pem.Block{
		"certs/node.example.com.pem":        {Type: "CERTIFICATE", Bytes: cert.Certificate[0]},
		"private_keys/node.example.com.pem": {Type: "PRIVATE KEY", Bytes: key},
		"certs/ca.pem":                      {Type: "CERTIFICATE", Bytes: ca.Cert.Raw},
	} {
		path := filepath.Join(ssldir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(t, os.WriteFile(path, pem.EncodeToMemory(block), 0o600))
	}
	_, err = tls.LoadX509KeyPair(filepath.Join(ssldir, "certs/node.example.com.pem"), filepath.Join(ssldir, "private_keys/node.example.com.pem"))
	require.NoError(t, err)
}

// startAgent starts the program on a node and waits until it is connected.
func startAgent(t *testing.T, program, dir string, log *os.File, c *controllerDouble) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(program, "agent", "-c", dir+"/agent.ini", "--log-format", "json")
	cmd.Env, cmd.Stderr = append(os.Environ(), "NOTIFY_SOCKET="+dir+"/notify"), log
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	require.True(t, within(t, c.present))
	return cmd
}

// commandRequest asks the node to run a command.
func commandRequest(t *testing.T, transaction, command string) *pcp.Message {
	t.Helper()
	m, err := pcp.New(pcp.NonBlockingRequest, "pcp://node.example.com/agent",
		map[string]any{"transaction_id": transaction, "notify_outcome": true, "module": "command", "action": "run", "params": map[string]any{"command": command}})
	require.NoError(t, err)
	m.Sender = "pcp://" + brokertest.Name + "/orchestrator"
	return m
}

// TestAgent: the program itself at the real broker. It says when it is ready, is
// killed during a run, and its next life tells how that ended.
func TestAgent(t *testing.T) {
	c := &controllerDouble{came: make(chan *pcp.Message, 100), present: make(chan bool, 100)}
	ca := brokertest.NewCA(t)
	server := brokertest.Start(t, ca, broker.Config{}, map[string]broker.Local{"orchestrator": c})
	dir := t.TempDir()
	writeNode(t, ca, dir+"/ssl")
	_, port, err := net.SplitHostPort(server.Addr)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(dir+"/agent.ini", []byte("[agent]\nssldir = "+dir+"/ssl\ncertname = node.example.com\ndata = "+dir+"/data\nbrokers = wss://localhost:"+port+"\n"), 0o600))
	program, err := exec.LookPath("dalang")
	require.NoError(t, err)

	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: dir + "/notify", Net: "unixgram"})
	require.NoError(t, err)
	defer manager.Close() // of a test
	log, err := os.Create(dir + "/log")
	require.NoError(t, err)
	defer log.Close() // of a test
	start := func() *exec.Cmd { return startAgent(t, program, dir, log, c) }
	first := start()
	state := make([]byte, 100)
	require.NoError(t, manager.SetReadDeadline(time.Now().Add(20*time.Second)))
	n, err := manager.Read(state)
	require.NoError(t, err)
	require.Equal(t, notifyReady, string(state[:n]))

	tx := uuid.NewString()
	send := func() {
		require.NoError(t, server.Send(commandRequest(t, tx, "echo x >> "+dir+"/ran; env > "+dir+"/env; while [ ! -e "+dir+"/go ]; do sleep 0.01; done; echo out")))
		require.Equal(t, pcp.ProvisionalResponse, within(t, c.came).Type)
	}
	send()
	require.Eventually(t, func() bool { _, err := os.Stat(dir + "/ran"); return err == nil }, 20*time.Second, 5*time.Millisecond)
	require.NoError(t, first.Process.Kill())
	require.Error(t, first.Wait())
	require.False(t, within(t, c.present))

	second := start()
	send() // again: known
	require.NoError(t, os.WriteFile(dir+"/go", nil, 0o600))
	m := within(t, c.came)
	require.Equal(t, pcp.NonBlockingResponse, m.Type)
	require.Equal(t, "pcp://node.example.com/agent", m.Sender)
	var data struct {
		Transaction string          `json:"transaction_id"`
		Results     json.RawMessage `json:"results"`
	}
	require.NoError(t, json.Unmarshal(m.Data, &data))
	require.Equal(t, tx, data.Transaction)
	require.JSONEq(t, `{"exitcode":0,"stdout":"out\n"}`, string(data.Results))
	ran, err := os.ReadFile(dir + "/ran")
	require.NoError(t, err)
	require.Equal(t, "x\n", string(ran))
	env, err := os.ReadFile(dir + "/env")
	require.NoError(t, err)
	require.NotContains(t, string(env), "NOTIFY_SOCKET")

	require.NoError(t, second.Process.Signal(os.Interrupt))
	require.NoError(t, second.Wait(), "an orderly end has status 0")
	require.False(t, within(t, c.present))
	require.Empty(t, c.came)
	text, err := os.ReadFile(dir + "/log")
	require.NoError(t, err)
	require.Equal(t, 1, strings.Count(string(text), "an outcome has been told"))
}
