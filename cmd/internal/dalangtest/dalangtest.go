// Package dalangtest runs the real binary for tests that look at it from the
// outside: over HTTP, with signals, on a data directory that outlives it.
package dalangtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Build builds the program into a directory of the test's and returns its path.
func Build(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "dalang")
	out, err := exec.Command("go", "build", "-o", path, "dalang/cmd/dalang").CombinedOutput()
	require.NoError(t, err, "%s", out)
	return path
}

// FreeAddress returns a loopback address that nobody listens on, below the
// ports that Linux gives to whoever does not care: a server that is started
// again finds its own free.
func FreeAddress(t *testing.T) string {
	t.Helper()
	for range 1000 {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 10_000+rand.IntN(22_000)))
		if err != nil {
			continue
		}
		defer l.Close()
		return l.Addr().String()
	}
	require.FailNow(t, "no port is free")
	return ""
}

// Server is a `dalang serve` that can be started, killed and stopped again
// and again on the same data directory and address.
type Server struct {
	Data    string   // data directory
	Address string   // plain listener, host:port
	Args    []string // further arguments of serve

	binary string
	cmd    *exec.Cmd
	log    *buffer
}

// New prepares a server on fresh directories; args are added to its command line.
func New(t *testing.T, binary string, args ...string) *Server {
	t.Helper()
	return &Server{Data: filepath.Join(t.TempDir(), "data"), Address: FreeAddress(t), Args: args, binary: binary}
}

// Binary is the program.
func (s *Server) Binary() string { return s.binary }

// URL is the plain URL of path.
func (s *Server) URL(path string) string { return "http://" + s.Address + path }

// Log is what the present run has printed so far.
func (s *Server) Log() string { return s.log.String() }

// PID is the process id of the present run.
func (s *Server) PID() int { return s.cmd.Process.Pid }

// Start starts the server, returns at its first 200 and says how long that took.
func (s *Server) Start(t *testing.T) time.Duration {
	t.Helper()
	s.log = &buffer{}
	args := append([]string{"serve", "--data", s.Data, "--listen", s.Address}, s.Args...)
	s.cmd = exec.Command(s.binary, args...)
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	begin := time.Now()
	require.NoError(t, s.cmd.Start())
	for {
		res, err := http.Get(s.URL("/status/v1/simple"))
		if err == nil {
			res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return time.Since(begin)
			}
		}
		if time.Since(begin) > 20*time.Second {
			_ = s.cmd.Process.Kill()
			t.Fatalf("the server did not come up:\n%s", s.log)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// Kill is kill -9.
func (s *Server) Kill(t *testing.T) {
	t.Helper()
	require.NoError(t, s.cmd.Process.Signal(syscall.SIGKILL))
	var exit *exec.ExitError
	if err := s.cmd.Wait(); err != nil {
		require.True(t, errors.As(err, &exit), "%v", err)
	}
	status, _ := s.cmd.ProcessState.Sys().(syscall.WaitStatus)
	require.Equal(t, syscall.SIGKILL, status.Signal(), "the server ended by itself:\n%s", s.log)
	s.cmd = nil
}

// Stop ends the server as an operator would; it must end cleanly.
func (s *Server) Stop(t *testing.T) {
	t.Helper()
	if s.cmd == nil {
		return
	}
	require.NoError(t, s.cmd.Process.Signal(os.Interrupt))
	require.NoError(t, s.cmd.Wait(), "unclean stop:\n%s", s.log)
	s.cmd = nil
}

// Get returns status and body of GET path with the query parameter query, if any.
func (s *Server) Get(t *testing.T, path, query string) (status int, body []byte) {
	t.Helper()
	target := s.URL(path)
	if query != "" {
		target += "?query=" + url.QueryEscape(query)
	}
	res, err := http.Get(target)
	require.NoError(t, err)
	defer res.Body.Close()
	body, err = io.ReadAll(res.Body)
	require.NoError(t, err)
	return res.StatusCode, body
}

// Decode gets path, which must answer 200, and decodes the body.
func (s *Server) Decode(t *testing.T, path, query string, into any) {
	t.Helper()
	status, body := s.Get(t, path, query)
	require.Equal(t, http.StatusOK, status, "%s: %s", path, body)
	require.NoError(t, json.Unmarshal(body, into), "%s: %s", path, body)
}

// QueueDepth is the number of commands that wait or are in work.
func (s *Server) QueueDepth(t *testing.T) int {
	t.Helper()
	var services map[string]struct {
		Status struct {
			QueueDepth *int `json:"queue_depth"`
		} `json:"status"`
	}
	_, body := s.Get(t, "/status/v1/services", "") // 503 while the database recovers
	require.NoError(t, json.Unmarshal(body, &services), "%s", body)
	depth := services["puppetdb-status"].Status.QueueDepth
	require.NotNil(t, depth, "the status names no queue_depth")
	return *depth
}

// Drain waits until nothing is queued.
func (s *Server) Drain(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool { return s.QueueDepth(t) == 0 },
		time.Minute, 10*time.Millisecond, "the queue did not drain")
}

// buffer is a bytes.Buffer that a running command may write to.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
