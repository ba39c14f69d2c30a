//go:build acceptance

package acceptance

import (
	"encoding/json"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"dalang/cmd/internal/dalangtest"
)

// record writes anew what clients get, of the real PuppetDB at this URL. It
// must hold the recorded corpus and nothing else, with the settings that
// testdata/conformance/README.md asks for, and allow /metrics to everybody.
var record = flag.String("record", "", "URL of a real PuppetDB whose answers to keep")

// answers are the lines that a script prints.
const answers = "testdata/clients.jsonl"

// TestClients: Debian's pypuppetdb, cumin and octocatalog-diff get of the
// recorded corpus what they get of a real PuppetDB, whatever they ask.
func TestClients(t *testing.T) {
	installed(t, "/usr/lib/python3/dist-packages/pypuppetdb", "python3-pypuppetdb")
	installed(t, "/usr/lib/python3/dist-packages/cumin", "cumin")
	installed(t, "/usr/lib/ruby/vendor_ruby/octocatalog-diff", "octocatalog-diff")
	if *record != "" {
		require.NoError(t, os.WriteFile(answers, []byte(strings.Join(ask(t, *record), "\n")+"\n"), 0o644))
	}
	server := dalangtest.New(t, dalangtest.Build(t), "--log-level", "error",
		"--set", "database.node-ttl=0s", "--set", "database.node-purge-ttl=0s", "--set", "database.report-ttl=7300d",
		"--set", "database.resource-events-ttl=7300d", "--set", "database.gc-interval=20000")
	server.Start(t)
	defer server.Stop(t)
	corpus := filepath.Join("..", "..", "..", "testdata", "corpus")
	run(t, "/usr/bin/python3", "../../../testdata/conformance/run.py", "--url", server.URL(""),
		"--load", filepath.Join(corpus, "agents.jsonl"), filepath.Join(corpus, "edge.jsonl"), os.DevNull)

	content, err := os.ReadFile(answers)
	require.NoError(t, err)
	want := strings.Split(strings.TrimSpace(string(content)), "\n")
	require.Greater(t, len(want), 380)
	got := ask(t, server.URL(""))
	require.Len(t, got, len(want))
	for i := range want {
		if want[i] != got[i] {
			var line struct{ Call string }
			require.NoError(t, json.Unmarshal([]byte(want[i]), &line))
			t.Errorf("not what a real PuppetDB gives:\nwant %s\ngot  %s\nsee it with: testdata/clients.py URL %q", want[i], got[i], line.Call)
		}
	}
}

// ask runs all clients against the server at url.
func ask(t *testing.T, url string) []string {
	t.Helper()
	lines := run(t, "/usr/bin/python3", "testdata/clients.py", url)
	return append(lines, run(t, "ruby", "testdata/clients.rb", url)...)
}

// run runs a command, which must succeed, and returns the lines that it prints.
func run(t *testing.T, name string, args ...string) []string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	var complaints strings.Builder
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	require.NoError(t, err, "%s %v:\n%s%s", name, args, out, &complaints)
	return strings.Split(strings.TrimSpace(string(out)), "\n")
}
