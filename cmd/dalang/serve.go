package main

import (
	"log/slog"
	"os"

	"github.com/spf13/cobra"
)

func newServeCommand() *cobra.Command {
	s := defaultSettings()
	var format, level string
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the server",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			logger, err := newLogger(format, level)
			if err != nil {
				return err
			}
			s.Logger = logger
			app, err := newApp(s)
			if err != nil {
				return err
			}
			return app.Run(cmd.Context())
		},
	}
	f := cmd.Flags()
	f.StringVar(&s.Data, "data", s.Data, "directory of everything that is kept")
	f.StringVar(&s.Listen, "listen", s.Listen, "cleartext address")
	f.StringVar(&s.TLS.Listen, "tls-listen", "", "TLS address")
	f.StringVar(&s.TLS.Cert, "tls-cert", "", "certificate, PEM")
	f.StringVar(&s.TLS.Key, "tls-key", "", "private key, PEM")
	f.StringVar(&s.TLS.CA, "tls-ca", "", "authority that signs client certificates, PEM")
	f.StringVar(&format, "log-format", "text", "text or json")
	f.StringVar(&level, "log-level", "info", "debug, info, warn or error")
	return cmd
}

func newLogger(format, level string) (*slog.Logger, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return nil, err
	}
	options := &slog.HandlerOptions{Level: l}
	if format == "json" {
		return slog.New(slog.NewJSONHandler(os.Stderr, options)), nil
	}
	return slog.New(slog.NewTextHandler(os.Stderr, options)), nil
}
