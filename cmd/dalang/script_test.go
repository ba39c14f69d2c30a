package main

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"dalang": main})
}

// TestScripts runs testdata/script/*.txtar against the program. Each script
// has a free loopback address in $ADDR and another in $ADDR2, and the command
// await: see await.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:           "testdata/script",
		UpdateScripts: *update,
		Setup: func(env *testscript.Env) error {
			for _, name := range []string{"ADDR", "ADDR2"} {
				l, err := net.Listen("tcp", "127.0.0.1:0")
				if err != nil {
					return err
				}
				env.Setenv(name, l.Addr().String())
				if err := l.Close(); err != nil {
					return err
				}
			}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"await": await},
	})
}

// await URL [TEXT] gets URL until it answers 200 with TEXT in its body.
func await(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 || len(args) > 2 {
		ts.Fatalf("usage: await URL [TEXT]")
	}
	last := ""
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		res, err := http.Get(args[0])
		if err != nil {
			last = err.Error()
			continue
		}
		var body bytes.Buffer
		_, err = body.ReadFrom(res.Body)
		_ = res.Body.Close()
		last = fmt.Sprintf("%s\n%s", res.Status, body.String())
		if err == nil && res.StatusCode == http.StatusOK && (len(args) == 1 || bytes.Contains(body.Bytes(), []byte(args[1]))) {
			_, _ = fmt.Fprint(ts.Stdout(), body.String())
			return
		}
	}
	ts.Fatalf("%s never answered that: %s", args[0], last)
}

// TestExitStatus: what a service manager looks at.
func TestExitStatus(t *testing.T) {
	if got := exitStatus(os.ErrNotExist); got != 1 {
		t.Errorf("status %d", got)
	}
	if got := exitStatus(fmt.Errorf("wrapped: %w", &usageError{os.ErrNotExist})); got != 2 {
		t.Errorf("status %d", got)
	}
}
