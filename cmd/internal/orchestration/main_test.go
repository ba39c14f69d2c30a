package orchestration

import (
	"errors"
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
		err = runTests(m)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "Error:", err)
		os.Exit(1)
	}
}

// programDir is where the program is built, until the tests have run.
const programDir = "ORCHESTRATION_PROGRAM"

func runTests(m *testing.M) error {
	dir, err := os.MkdirTemp("", "orchestration")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) // of no use to anybody
	if err := os.Setenv(programDir, dir); err != nil {
		return err
	}
	if m.Run() != 0 {
		return errors.New("tests failed")
	}
	return nil
}
