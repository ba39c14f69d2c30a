// Package conformance asks the real binary every question whose answer was
// recorded from a real PuppetDB.
package conformance

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"dalang/cmd/internal/dalangtest"
)

const data = "../../../testdata/conformance"

// deliberate differences: docs/compatibility.md.
var deliberate = []string{
	"commands-pdb-cmd-v1-3903e5a",                                   // a wrong checksum is refused
	"commands-pdb-cmd-v1-command-replace-facts-version-5-p-9a092ab", // a wrong checksum is refused
	"pql-errors-catalog-inputs-f56b648",                             // PQL may name every entity
}

// TestRecordedAnswers loads the corpus and asks all cases, with the settings
// that testdata/conformance/README.md asks for. The runner needs Python 3.
func TestRecordedAnswers(t *testing.T) {
	if testing.Short() {
		t.Skip("takes half a minute")
	}
	python, err := exec.LookPath("python3")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("python3 is not installed: the recorded questions were not asked")
		}
		t.Skip("python3 is not installed")
	}
	server := dalangtest.New(t, dalangtest.Build(t), "--log-level", "error",
		"--set", "database.node-ttl=0s", "--set", "database.node-purge-ttl=0s", "--set", "database.report-ttl=7300d",
		"--set", "database.resource-events-ttl=7300d", "--set", "database.gc-interval=20000")
	server.Start(t)
	defer server.Stop(t)

	cases, err := filepath.Glob(filepath.Join(data, "cases-*.jsonl"))
	require.NoError(t, err)
	require.NotEmpty(t, cases)
	args := []string{filepath.Join(data, "run.py"), "--url", server.URL(""), "-v",
		"--load", "../../../testdata/corpus/agents.jsonl", "../../../testdata/corpus/edge.jsonl"}
	out, err := exec.CommandContext(t.Context(), python, append(args, cases...)...).CombinedOutput()
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit, "the deliberate differences are no failures any more?\n%s", out)
	require.Equal(t, 1, exit.ExitCode(), "%s", out)
	var failed []string
	for _, m := range regexp.MustCompile(`(?m)^FAIL (\S+)`).FindAllStringSubmatch(string(out), -1) {
		failed = append(failed, m[1])
	}
	require.ElementsMatch(t, deliberate, failed, "%s", out)
	require.Regexp(t, `\n[0-9]{4,} passed, 3 failed\n$`, string(out), "fewer cases than there are")
}
