package agent

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"testing"

	"go.uber.org/goleak"
)

// TestMain is also the worker, and an agent in a process of its own:
//
//	<test binary> agent worker
//	<test binary> agent serve <file with the Config as JSON>
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "agent" {
		if os.Args[2] == "worker" {
			os.Exit(Work(os.Stdin, os.Stderr))
		}
		os.Exit(serve(os.Args[3]))
	}
	goleak.VerifyTestMain(m)
}

func serve(path string) int {
	var cfg Config
	text, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(text, &cfg)
	}
	var a *Agent
	if err == nil {
		cfg.Logger = slog.New(slog.NewTextHandler(os.Stderr, nil))
		a, err = New(cfg)
	}
	if err == nil {
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
		defer stop()
		err = a.Run(ctx)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}
