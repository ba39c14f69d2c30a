package brokerbench

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"dalang/cmd/internal/dalangtest"
)

// limit is what the server may take, of the orchestrator's goals.
const limit = 1 << 30

// TestIdleAgents connects as many agents as DALANG_BENCH_AGENTS says, lets them
// be idle and pings as they do, and prints what they cost the server.
func TestIdleAgents(t *testing.T) {
	agents, _ := strconv.Atoi(os.Getenv("DALANG_BENCH_AGENTS"))
	if agents == 0 {
		t.Skip("make bench-broker")
	}
	version := uint16(tls.VersionTLS13)
	if os.Getenv("DALANG_BENCH_TLS12") != "" {
		version = tls.VersionTLS12
	}
	p := newPKI(t)
	pcp := dalangtest.FreeAddress(t)
	s := dalangtest.New(t, dalangtest.Build(t), append(p.files(t), "--pcp-listen", pcp, "--log-level", "warn")...)
	s.Start(t)
	defer s.Kill(t)
	t.Logf("before: %s", look(t, s))
	roots := p.roots()

	began, before := time.Now(), look(t, s)
	conns := make([]*tls.Conn, agents)
	var group errgroup.Group
	group.SetLimit(16)
	for i := range conns {
		cert := p.shared(t, fmt.Sprintf("node%05d.example.com", i))
		group.Go(func() (err error) {
			conns[i], err = connect(pcp, roots, cert, version)
			return err
		})
	}
	require.NoError(t, group.Wait())
	defer func() {
		for _, c := range conns {
			_ = c.Close() // the server goes, too
		}
	}()
	connected := look(t, s)
	require.Equal(t, agents, connected.connections)
	t.Logf("%d connected in %s, %.1f ms of CPU each: %s", agents, time.Since(began).Round(time.Second),
		(connected.cpu-before.cpu).Seconds()*1000/float64(agents), connected)

	// Each pings every two minutes. Longer than a collection of garbage may wait.
	const idle = 250 * time.Second
	began = time.Now()
	for round := 0; time.Since(began) < idle; round++ {
		for i := round % 120; i < agents; i += 120 {
			require.NoError(t, ping(conns[i]))
		}
		time.Sleep(time.Until(began.Add(time.Duration(round+1) * time.Second)))
	}
	at := look(t, s)
	require.Equal(t, agents, at.connections, "all are still there")
	t.Logf("after %s: %s", idle, at)
	t.Logf("%.1f KiB for each, %.1f %% of a processor, %d collections of garbage", float64(at.rss-before.rss)/float64(agents)/1024,
		(at.cpu-connected.cpu).Seconds()/idle.Seconds()*100, at.collections-connected.collections)
	require.Less(t, at.peak, limit)
}

// state is what the server takes.
type state struct {
	rss, peak   int // bytes
	heap, stack int
	collections int
	connections int
	commits     int // transactions of the engine
	cpu         time.Duration
}

func (s state) String() string {
	return fmt.Sprintf("%d connections, RSS %d MiB, peak %d MiB, heap in use %d MiB, stacks %d MiB, %d collections, CPU %s", s.connections, s.rss>>20, s.peak>>20,
		s.heap>>20, s.stack>>20, s.collections, s.cpu)
}

func look(t *testing.T, s *dalangtest.Server) (at state) {
	t.Helper()
	const path = "/proc/%d/%s"
	text, err := os.ReadFile(fmt.Sprintf(path, s.PID(), "status"))
	require.NoError(t, err)
	for _, line := range strings.Split(string(text), "\n") {
		var kib int
		if _, err := fmt.Sscanf(line, "VmRSS: %d kB", &kib); err == nil {
			at.rss = kib << 10
		}
		if _, err := fmt.Sscanf(line, "VmHWM: %d kB", &kib); err == nil {
			at.peak = kib << 10
		}
	}
	text, err = os.ReadFile(fmt.Sprintf(path, s.PID(), "stat"))
	require.NoError(t, err)
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	for _, field := range fields[11:13] { // utime and stime, in hundredths of a second
		n, err := strconv.Atoi(field)
		require.NoError(t, err)
		at.cpu += time.Duration(n) * 10 * time.Millisecond
	}
	_, metrics := s.Get(t, "/metrics", "")
	for lines := bufio.NewScanner(bytes.NewReader(metrics)); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), " ")
		number, _ := strconv.ParseFloat(value, 64)
		switch {
		case strings.HasPrefix(name, "dalang_pcp_connections"):
			at.connections += int(number)
		case name == "go_memstats_heap_inuse_bytes":
			at.heap = int(number)
		case name == "go_memstats_stack_inuse_bytes":
			at.stack = int(number)
		case name == "dalang_orchestrator_commit_seconds_count":
			at.commits = int(number)
		case name == "go_gc_duration_seconds_count":
			at.collections = int(number)
		}
	}
	return at
}
