package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"dalang/cmd/internal/client"
	"dalang/dlo/dloclient"
)

// defaultServer is where `dalang serve` listens when nothing is configured.
const defaultServer = "http://127.0.0.1:8080"

// dloCLI is what the subcommands of `dalang dlo` share.
type dloCLI struct {
	server        string
	cert, key, ca string
	data          string

	now func() time.Time
}

// newDLOCommand makes `dalang dlo`.
func newDLOCommand() *cobra.Command { return (&dloCLI{now: time.Now}).command() }

func (c *dloCLI) command() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "dlo",
		Short: "Work with the dead letter office",
		Long: `Work with the dead letter office: the commands that could not be applied by
their own fault, each with the reason.

Talks to the running server, over HTTP, at ` + defaultServer + ` or where --server
says. With --data it works directly on the data directory of a server that is
stopped.

A letter is named by its uuid (as the submitter was told it), by the beginning of
the uuid, or by the name of its file.`,
	}
	f := cmd.PersistentFlags()
	server := os.Getenv("DALANG_SERVER")
	if server == "" {
		server = defaultServer
	}
	f.StringVar(&c.server, "server", server, "`URL` of the running server (environment: DALANG_SERVER)")
	f.StringVar(&c.cert, "cert", "", "client certificate, PEM `file`")
	f.StringVar(&c.key, "key", "", "key of the client certificate, PEM `file`")
	f.StringVar(&c.ca, "ca", "", "CA that vouches for the server, PEM `file`")
	f.StringVar(&c.data, "data", "", "data `directory` of a server that is stopped")
	cmd.MarkFlagsMutuallyExclusive("server", "data")
	_ = cmd.MarkPersistentFlagDirname("data")
	group(cmd, c.lsCommand(), c.statsCommand(), c.showCommand(), c.replayCommand(), c.editCommand(),
		c.exportCommand(), c.pruneCommand())
	return cmd
}

// open opens the office that the flags name. Close it.
func (c *dloCLI) open() (deadLetterOffice, error) {
	if c.data != "" {
		return openStopped(c.data, c.now)
	}
	carrier, err := client.HTTP(client.Config{URLs: []string{c.server}, Cert: c.cert, Key: c.key, CA: c.ca})
	if err != nil {
		return nil, err
	}
	office, err := dloclient.New(dloclient.Config{URL: c.server, HTTP: carrier})
	if err != nil {
		return nil, err
	}
	return office, nil
}

// with runs f on the office that the flags name, and explains the usual reason
// why there is none.
func (c *dloCLI) with(ctx context.Context, f func(context.Context, deadLetterOffice) error) error {
	office, err := c.open()
	if err != nil {
		return err
	}
	err = f(ctx, office)
	if e := office.Close(); err == nil && e != nil {
		err = e
	}
	var netErr *net.OpError
	if errors.As(err, &netErr) && errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("no server answers at %s; name one with --server URL, "+
			"or work on the data of a stopped one with --data DIR", c.server)
	}
	return err
}

// isTerminal tells whether people look at w, or write at it.
func isTerminal(w any) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// width is that of the terminal behind w; 0: none, do not cut.
func width(w io.Writer) int {
	if f, ok := w.(*os.File); ok {
		if n, _, err := term.GetSize(int(f.Fd())); err == nil {
			return n
		}
	}
	return 0
}
