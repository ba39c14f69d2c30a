// Package memory holds the real binary to what it promises of its memory.
package memory

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"dalang/cmd/internal/dalangtest"
	"dalang/store/query/conformance"
)

const corpus = "../../../testdata/corpus/agents.jsonl"

// command is a recorded command.
type command struct {
	Command  string `json:"command"`
	Version  int    `json:"version"`
	Certname string `json:"certname"`
	Body     string `json:"body"`
}

// model are the facts and the catalog of one recorded node, of which the
// tests make as many nodes as they want.
func model(t *testing.T) (list []command) {
	t.Helper()
	all, err := conformance.Lines[command](corpus)
	require.NoError(t, err)
	seen := map[string]bool{}
	for _, c := range all {
		if kind := strings.ReplaceAll(c.Command, "_", " "); c.Certname == "web1.example.com" && strings.HasPrefix(kind, "replace") && !seen[kind] {
			seen[kind] = true
			list = append(list, c)
		}
	}
	require.GreaterOrEqual(t, len(list), 2)
	return list
}

// load gives the server the nodes from first to last.
func load(t *testing.T, server *dalangtest.Server, first, last int) {
	t.Helper()
	commands := model(t)
	var clients errgroup.Group
	clients.SetLimit(8)
	for n := first; n < last; n++ {
		clients.Go(func() error {
			for _, c := range commands {
				if err := submit(server, c, fmt.Sprintf("web1-%04d.example.com", n)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	require.NoError(t, clients.Wait())
	server.Drain(t)
}

// submit sends a command as that of another node.
func submit(server *dalangtest.Server, c command, certname string) error {
	params := url.Values{"command": {strings.ReplaceAll(c.Command, " ", "_")}, "version": {strconv.Itoa(c.Version)}, "certname": {certname}}
	body := strings.ReplaceAll(c.Body, c.Certname, certname)
	res, err := http.Post(server.URL("/pdb/cmd/v1?"+params.Encode()), "application/json", strings.NewReader(body))
	if err != nil {
		return err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s of %s: %d %s", c.Command, certname, res.StatusCode, answer)
	}
	return err
}

// peak is the most memory, in bytes, that the server's process has held.
func peak(t *testing.T, server *dalangtest.Server) int64 {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", server.PID()))
	if err != nil {
		t.Skip("no /proc")
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kb, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
			require.NoError(t, err)
			return kb << 10
		}
	}
	t.Skip("no VmHWM")
	return 0
}

// dump reads all of an entity and returns how many bytes that were.
func dump(t *testing.T, server *dalangtest.Server, path string, read io.Writer) int64 {
	t.Helper()
	res, err := http.Get(server.URL(path))
	require.NoError(t, err)
	defer res.Body.Close()
	require.Equal(t, http.StatusOK, res.StatusCode, path)
	n, err := io.Copy(read, res.Body)
	require.NoError(t, err, path)
	return n
}

// TestDumpsKeepMemoryFlat: whoever asks for everything costs no more memory
// when there is eight times as much of it.
func TestDumpsKeepMemoryFlat(t *testing.T) {
	if testing.Short() {
		t.Skip("loads hundreds of nodes")
	}
	server := dalangtest.New(t, dalangtest.Build(t), "--log-level", "error")
	dumps := []string{"/pdb/query/v4/facts", "/pdb/query/v4/resources", "/pdb/query/v4/fact-contents", "/pdb/query/v4/edges",
		"/pdb/query/v4/factsets", "/pdb/query/v4/inventory", "/pdb/query/v4?query=resources%7Border+by+title%7D", "/pdb/query/v4/resources?include_total=true"}
	measure := func() (held int64, size map[string]int64) {
		server.Stop(t)
		server.Start(t) // what loading took is not asked for
		size = map[string]int64{}
		for _, path := range dumps {
			size[path] = dump(t, server, path, io.Discard)
		}
		return peak(t, server), size
	}
	server.Start(t)
	defer server.Stop(t)
	const few, many = 20, 160
	load(t, server, 0, few)
	base, small := measure()
	load(t, server, few, many)
	held, large := measure()
	total := int64(0)
	for _, path := range dumps {
		require.InEpsilon(t, many/few, float64(large[path])/float64(small[path]), .05, path)
		total += large[path] - small[path]
	}
	t.Logf("%d MiB of memory for %d nodes; %d MiB for %d, whose answers are %d MiB longer", base>>20, few, held>>20, many, total>>20)
	require.Greater(t, total, int64(50<<20), "too little to show anything")
	require.Less(t, held-base, int64(20<<20))

	t.Run("a dump ends when its client goes away", func(t *testing.T) { goAway(t, server, many) })
}

// goAway leaves many dumps after their first byte.
func goAway(t *testing.T, server *dalangtest.Server, nodes int) {
	for range 20 {
		res, err := http.Get(server.URL("/pdb/query/v4/resources"))
		require.NoError(t, err)
		row, err := bufio.NewReader(res.Body).Peek(1)
		require.NoError(t, err)
		require.Equal(t, "[", string(row))
		require.NoError(t, res.Body.Close()) // the connection breaks: there is much more to read
	}
	running := func() string {
		var b bytes.Buffer
		dump(t, server, "/metrics", &b)
		for line := range strings.Lines(b.String()) {
			if rest, ok := strings.CutPrefix(line, "dalang_queries_running "); ok {
				return strings.TrimSpace(rest)
			}
		}
		return "missing"
	}
	require.Eventually(t, func() bool { return running() == "0" }, 5*time.Second, 10*time.Millisecond)
	var left []json.RawMessage
	server.Decode(t, "/pdb/query/v4/nodes", "", &left)
	require.Len(t, left, nodes)
}
