package ssh

import (
	"testing"

	"go.uber.org/goleak"

	"dalang/orchestrator/ssh/sshtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// server is an SSH server that runs commands with this machine's shell.
type server struct{ *sshtest.Server }

func serve(t *testing.T, env ...string) server {
	t.Helper()
	return server{sshtest.Serve(t, env...)}
}

func (s server) target() Target {
	return Target{Host: "127.0.0.1", Port: s.Port, User: "admin", Password: "login", TmpDir: s.Home}
}
