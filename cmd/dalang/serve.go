package main

import (
	"context"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"dalang/cmd/internal/config"
)

func newServeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Serve the APIs of PuppetDB",
		Long: `Serve the APIs of PuppetDB, by default on http://127.0.0.1:8080 with all data
under ./data. The configuration may be PuppetDB's own conf.d; the environment
(DALANG_*) overrides it, and flags override both. 'dalang config show' tells
what is in effect.

SIGINT or SIGTERM stops the server in order; a second one stops it at once.
SIGHUP reads the allowlists again; certificates are read again by themselves.`,
		Args: usageArgs(cobra.NoArgs),
	}
	s := addSettings(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		loaded, err := s.load(cmd.Flags())
		if err != nil {
			return err
		}
		logger := newLogger(cmd.ErrOrStderr(), &loaded.Config)
		for _, warning := range loaded.Warnings {
			logger.Warn("configuration", "warning", warning)
		}
		ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		context.AfterFunc(ctx, stop) // a second signal kills
		a, err := newApp(&loaded.Config, logger)
		if err != nil {
			return err
		}
		defer reloadOnHangup(a, logger)()
		return a.Run(ctx)
	}
	return cmd
}

// reloadOnHangup has SIGHUP read the allowlists again, until stop is called.
func reloadOnHangup(a *app, logger *slog.Logger) (stop func()) {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	go func() {
		for range hangups {
			if err := a.reload(); err != nil {
				logger.Error("allowlists not read; the old ones stay in force", "error", err)
				continue
			}
			logger.Info("allowlists read again")
		}
	}()
	return func() {
		signal.Stop(hangups)
		close(hangups)
	}
}

// newLogger makes the program's log.
func newLogger(w io.Writer, c *config.Config) *slog.Logger {
	options := &slog.HandlerOptions{Level: c.LogLevel()}
	if c.Log.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}
