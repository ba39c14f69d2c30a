package dalangtest

import (
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Process is a program that runs until the test ends, when it is interrupted
// and must end. If the test fails, it logs what the program printed.
func Process(t *testing.T, binary string, args ...string) *exec.Cmd {
	t.Helper()
	log := &buffer{}
	cmd := exec.Command(binary, args...)
	cmd.Stdout, cmd.Stderr = log, log
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt) // it may have ended
		timer := time.AfterFunc(20*time.Second, func() { _ = cmd.Process.Kill() })
		_ = cmd.Wait() // how it ends is the test's to look at
		timer.Stop()
		if t.Failed() {
			t.Logf("%v:\n%s", cmd.Args, log)
		}
	})
	return cmd
}
