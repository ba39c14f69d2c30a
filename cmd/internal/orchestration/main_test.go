package orchestration

import (
	"fmt"
	"os"
	"testing"
)

// What this program is to be instead of the tests, when it is set: a puppet of
// the node in a directory, or the agents of several.
const (
	puppetOf = "ORCHESTRATION_PUPPET"
	agentsOf = "ORCHESTRATION_AGENTS"
)

func TestMain(m *testing.M) {
	var err error
	switch {
	case os.Getenv(puppetOf) != "":
		err = runPuppet(os.Getenv(puppetOf), os.Args[1:])
	case os.Getenv(agentsOf) != "":
		err = runAgents(os.Getenv(agentsOf))
	default:
		os.Exit(m.Run())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "Error:", err)
		os.Exit(1)
	}
}
