package server

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"dalang/server/pdb"
)

// table is a Router made of a map.
type table map[string]func(http.ResponseWriter, *http.Request) error

func (t table) Routes() []pdb.Route {
	var routes []pdb.Route
	for path, handle := range t {
		routes = append(routes, pdb.Route{Path: path, Handle: handle})
	}
	return routes
}

func TestCleartextOnlyOnLoopback(t *testing.T) {
	for _, addr := range []string{"0.0.0.0:0", ":0", "[::]:0", "192.0.2.1:0"} {
		s, err := New(Config{Listen: addr})
		require.NoError(t, err)
		require.ErrorContains(t, s.Listen(), "allow-cleartext = true", addr)
	}
	for addr, allow := range map[string]bool{"127.0.0.1:0": false, "localhost:0": false, "0.0.0.0:0": true} {
		s, err := New(Config{Listen: addr, AllowCleartext: allow})
		require.NoError(t, err)
		require.NoError(t, s.Listen(), addr)
		require.NoError(t, s.listeners[0].socket.Close())
	}
	_, err := New(Config{})
	require.ErrorContains(t, err, "neither")
}

func TestMaintenance(t *testing.T) {
	b := setup(t, nil)
	b.maintenance.Enter()
	res := b.do("GET", "/pdb/meta/v1/version", "")
	require.Equal(t, 503, res.StatusCode)
	require.Equal(t, "PuppetDB is currently down. Try again later.", text(t, res))
	require.Empty(t, res.Header.Get("Content-Type"))
	require.Equal(t, 503, b.do("POST", facts, "{}").StatusCode)
	for range 2 { // a problem that is shared stays as it is
		res = b.do("GET", "/orchestrator/v1/jobs", "")
		require.Equal(t, 503, res.StatusCode)
		require.Equal(t, `{"kind":"puppetlabs.orchestrator/unknown-error","msg":"The orchestrator is starting. Try again later.","details":{}}`+"\n", text(t, res))
	}
	res = b.do("GET", "/status/v1/simple", "")
	require.Equal(t, 503, res.StatusCode)
	require.Equal(t, "starting", text(t, res))
	require.Equal(t, 200, b.do("GET", "/metrics", "").StatusCode)
	b.maintenance.Leave()
	require.Equal(t, 200, b.do("GET", "/pdb/meta/v1/version", "").StatusCode)
}

func TestMountReplacesTheRoutes(t *testing.T) {
	b := setup(t, nil)
	b.Mount(Handlers{})
	require.Equal(t, 404, b.do("GET", "/pdb/meta/v1/version", "").StatusCode)
	b.Mount(Handlers{Meta: pdb.NewMeta("1.2.3", nil)})
	require.Equal(t, "{\n  \"version\" : \"1.2.3\"\n}", text(t, b.do("GET", "/pdb/meta/v1/version", "")))
}

func TestUnroutedPaths(t *testing.T) {
	b := setup(t, nil)
	for _, tt := range [][2]string{
		{"GET", "/pdb"}, {"GET", "/pdb/"}, {"GET", "/pdb/cmd/v1/x/y"}, {"GET", "/pdb/admin/v1/cmd"}, {"GET", "/nowhere"},
		{"POST", "/pdb/cmd/v1/?command=replace_facts&version=5&certname=n"}, {"PUT", "/metrics"}, {"GET", "//pdb/meta/v1/version"},
	} {
		if tt[1] == "/pdb/cmd/v1/x/y" {
			tt[1] += "?command=replace_facts&version=5&certname=n"
		}
		res := b.do(tt[0], tt[1], "")
		require.Equal(t, 404, res.StatusCode, tt[1])
		require.Equal(t, "Not Found", text(t, res))
		require.Equal(t, "text/html;charset=utf-8", res.Header.Get("Content-Type"))
	}
	require.Contains(t, text(t, b.do("GET", "/pdb/dashboard/index.html", "")), "/pdb/query/v4")
	res := b.do("GET", "/", "")
	require.Equal(t, 302, res.StatusCode)
	require.Equal(t, "/pdb/dashboard/index.html", res.Header.Get("Location"))
}

// TestVary: caches keep apart what differs by these headers.
func TestVary(t *testing.T) {
	b := setup(t, nil)
	for path, want := range map[string]string{"/pdb/meta/v1/version": "Accept-Encoding, User-Agent", "/pdb/none": "Accept-Encoding, User-Agent", "/status/v1/simple": "Accept-Encoding"} {
		require.Equal(t, []string{want}, b.do("GET", path, "", "Accept-Encoding", "gzip").Header.Values("Vary"), path)
	}
}

// syncBuffer is a log that several goroutines write.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) lines(t *testing.T) []map[string]any {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	var lines []map[string]any
	for _, line := range strings.Split(strings.TrimSpace(s.b.String()), "\n") {
		var m map[string]any
		require.NoError(t, json.Unmarshal([]byte(line), &m))
		lines = append(lines, m)
	}
	return lines
}

func TestOneEventPerRequest(t *testing.T) {
	log := &syncBuffer{}
	b := setup(t, func(c *Config, _ *pdb.CommandsConfig) { c.Logger = slog.New(slog.NewJSONHandler(log, nil)) })
	res := b.do("POST", facts, `{"secret":"payload"}`, "X-Request-Id", "abc")
	require.Equal(t, "abc", res.Header.Get("X-Request-Id"))
	require.Equal(t, "test", res.Header.Get("X-Dalang-Version"))
	b.processor.err = errors.New("disk on fire")
	require.NotEqual(t, "a b", b.do("POST", facts, "{}", "X-Request-Id", "a b").Header.Get("X-Request-Id"))
	lines := log.lines(t)
	require.Len(t, lines, 2)
	for k, v := range map[string]any{"msg": "request", "request_id": "abc", "status": 200.0, "method": "POST",
		"path": "/pdb/cmd/v1", "certname": "n1", "command": "replace facts"} {
		require.Equal(t, v, lines[0][k], k)
	}
	require.Contains(t, lines[0], "command_uuid")
	require.Contains(t, lines[0], "ms")
	require.Equal(t, "disk on fire", lines[1]["error"], "told once")
	require.Equal(t, "WARN", lines[1]["level"])
	require.NotContains(t, fmt.Sprint(lines), "secret")
	require.Equal(t, 1.0, testutil.ToFloat64(b.metrics.requests.WithLabelValues("/pdb/cmd/v1", "POST", "200")))
	require.Equal(t, 1.0, testutil.ToFloat64(b.metrics.requests.WithLabelValues("/pdb/cmd/v1", "POST", "500")))
}

// TestPollsAreQuiet: who waits for the start asks again and again.
func TestPollsAreQuiet(t *testing.T) {
	log := &syncBuffer{}
	b := setup(t, func(c *Config, _ *pdb.CommandsConfig) {
		c.Logger = slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	b.maintenance.Enter()
	for _, path := range []string{"/status/v1/simple", "/status/v1/services", "/pdb/meta/v1/version"} {
		require.Equal(t, 503, b.do("GET", path, "").StatusCode)
	}
	b.maintenance.Leave()
	require.Equal(t, 200, b.do("GET", "/status/v1/simple", "").StatusCode)
	var levels []any
	for _, line := range log.lines(t) {
		levels = append(levels, line["level"])
	}
	require.Equal(t, []any{"DEBUG", "DEBUG", "WARN", "INFO"}, levels)
}

func TestPanicsAndBrokenAnswers(t *testing.T) {
	log := &syncBuffer{}
	b := setup(t, func(c *Config, _ *pdb.CommandsConfig) {
		c.Logger = slog.New(slog.NewJSONHandler(log, nil))
		c.Handlers.More = []Router{table{
			"/panic": func(http.ResponseWriter, *http.Request) error { panic("oops") },
			"/late-panic": func(w http.ResponseWriter, _ *http.Request) error {
				_, _ = io.WriteString(w, "[1,")
				panic("oops")
			},
			"/late-error": func(w http.ResponseWriter, _ *http.Request) error {
				_, _ = io.WriteString(w, "[1,")
				return errors.New("too late")
			},
		}}
	})
	b.start(t)
	tr := &http.Transport{DisableKeepAlives: true} // else it asks again
	defer tr.CloseIdleConnections()
	client := &http.Client{Transport: tr}
	base := "http://" + b.Addr().String()
	status, body := fetch(t, client, base+"/panic")
	require.Equal(t, 500, status)
	require.Equal(t, "An unexpected error occurred", body)
	for _, path := range []string{"/late-panic", "/late-error"} {
		for _, encoding := range []string{"identity", "gzip"} {
			r, err := http.NewRequest("GET", base+path, nil)
			require.NoError(t, err)
			r.Header.Set("Accept-Encoding", encoding)
			res, err := client.Do(r)
			if err == nil {
				_, err = io.ReadAll(res.Body)
				require.NoError(t, res.Body.Close())
			}
			require.Error(t, err, "a part must not look like the whole: %s %s", path, encoding)
		}
	}
	stacks := 0
	for _, line := range log.lines(t) {
		if line["stack"] != nil {
			stacks++
			require.Contains(t, line["stack"], "server_test.go")
		}
	}
	require.Equal(t, 3, stacks)
}

func TestHeaderLimits(t *testing.T) {
	b := setup(t, nil)
	b.start(t)
	tests := []struct {
		name, request string
		status        int
	}{
		{"small", "GET /pdb/meta/v1/version HTTP/1.1\r\nHost: x\r\n\r\n", 200},
		{"large header", "GET /pdb/meta/v1/version HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("a", 8192) + "\r\n\r\n", 431},
		{"huge header", "GET /pdb/meta/v1/version HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("a", 1<<16) + "\r\n\r\n", 431},
		{"long address", "GET /pdb/meta/v1/version?" + strings.Repeat("a", 8192) + " HTTP/1.1\r\nHost: x\r\n\r\n", 414},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			conn, err := net.Dial("tcp", b.Addr().String())
			require.NoError(t, err)
			defer conn.Close()
			go func() { _, _ = io.WriteString(conn, tt.request) }()
			res, err := http.ReadResponse(bufio.NewReader(conn), nil)
			require.NoError(t, err)
			require.Equal(t, tt.status, res.StatusCode)
		})
	}
}

func TestStalledBodyIsGivenUp(t *testing.T) {
	b := setup(t, func(c *Config, _ *pdb.CommandsConfig) { c.StallTimeout = 50 * time.Millisecond })
	b.start(t)
	conn, err := net.Dial("tcp", b.Addr().String())
	require.NoError(t, err)
	defer conn.Close()
	_, err = io.WriteString(conn, "POST "+facts+" HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
	require.NoError(t, err)
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	require.Equal(t, 408, res.StatusCode)
	require.Empty(t, b.processor.got)
}

func TestWaitingLongerThanTheStallTimeout(t *testing.T) {
	b := setup(t, func(c *Config, _ *pdb.CommandsConfig) { c.StallTimeout = 30 * time.Millisecond })
	b.processor.block = make(chan struct{})
	b.start(t)
	release := time.AfterFunc(150*time.Millisecond, func() { close(b.processor.block) })
	defer release.Stop()
	res, err := http.Post("http://"+b.Addr().String()+facts+"&secondsToWaitForCompletion=5", "application/json", strings.NewReader("{}"))
	require.NoError(t, err)
	defer http.DefaultClient.CloseIdleConnections()
	require.Equal(t, 200, res.StatusCode, text(t, res))
}

func TestShutdown(t *testing.T) {
	for _, patient := range []bool{true, false} {
		t.Run(fmt.Sprint("patient ", patient), func(t *testing.T) {
			b := setup(t, func(c *Config, _ *pdb.CommandsConfig) {
				if !patient {
					c.ShutdownTimeout = 20 * time.Millisecond
				}
			})
			b.processor.block = make(chan struct{})
			require.NoError(t, b.Listen())
			ctx, cancel := context.WithCancel(context.Background())
			done := make(chan error, 1)
			go func() { done <- b.Run(ctx) }()
			conn, err := net.Dial("tcp", b.Addr().String())
			require.NoError(t, err)
			defer conn.Close()
			// The body's end comes only once the server is stopping, so that the
			// request is surely in flight.
			_, err = io.WriteString(conn, "POST "+facts+" HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
			require.NoError(t, err)
			in := bufio.NewReader(conn)
			res, err := http.ReadResponse(in, nil)
			require.NoError(t, err)
			require.Equal(t, 100, res.StatusCode)
			cancel()
			_, err = io.WriteString(conn, "{}")
			require.NoError(t, err)
			if patient {
				close(b.processor.block)
			}
			res, err = http.ReadResponse(in, nil)
			require.NoError(t, err)
			if patient {
				require.Equal(t, 200, res.StatusCode)
			} else {
				require.Equal(t, 503, res.StatusCode)
				require.Equal(t, "Refusing request; PuppetDB is shutting down", text(t, res))
			}
			require.NoError(t, <-done)
			_, err = net.Dial("tcp", b.Addr().String())
			require.Error(t, err)
		})
	}
}

func TestRunFailsWhenTheAddressIsTaken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	s, err := New(Config{Listen: l.Addr().String()})
	require.NoError(t, err)
	require.ErrorContains(t, s.Run(context.Background()), "address already in use")
}

func TestEveryRouteIsDocumented(t *testing.T) {
	b := setup(t, nil)
	for _, r := range Table(b.cfg.Handlers) {
		require.NotEmpty(t, r.Doc, r.Path)
		require.NotNil(t, r.Handle, r.Path)
	}
}
