package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"dalang/cmd/internal/client"
)

// remote is where the commands about who may do their work: a running server,
// or, for whoever may write a server's data, the data itself.
type remote struct {
	flags client.Flags
	data  string

	load   func(client.Options) (client.Settings, error)
	getenv func(string) string
	now    func() time.Time
	in     io.Reader // passwords and tokens that are not for the command line
}

func newRemote() *remote {
	return &remote{load: client.Load, getenv: os.Getenv, now: time.Now, in: os.Stdin}
}

// whereHelp says, in help texts, who is asked.
const whereHelp = `Asks the server that --server or DALANG_SERVER names, else the one of the client
tools' files or the termini's puppetdb.conf, else ` + client.DefaultURL + `. Shows it the
token of --token, of DALANG_TOKEN, or of ~/.puppetlabs/token, or a client certificate.

With --data it needs neither: it works on the data directory of a server, running or
not, as its administrator. Whoever may write there may do everything anyway.`

// addTo adds the flags to a command and all below it.
func (r *remote) addTo(cmd *cobra.Command) {
	f := cmd.PersistentFlags()
	r.flags.AddTo(f)
	f.StringVar(&r.data, "data", "", "data `directory` of a server, instead of asking the server")
	_ = cmd.RegisterFlagCompletionFunc("server", cobra.NoFileCompletions)
	_ = cmd.MarkPersistentFlagDirname("data")
	cmd.MarkFlagsMutuallyExclusive("server", "data")
}

// with asks the server, or works on the data, that the flags name.
func (r *remote) with(ctx context.Context, f func(context.Context, *accessAPI) error) error {
	if r.data != "" {
		return r.withData(ctx, f)
	}
	s, err := r.load(client.Options{Flags: r.flags})
	if err != nil {
		return &usageError{err}
	}
	if s.Token == "" && s.Cert == "" {
		s.Token = userToken(r.getenv)
	}
	c, err := client.New(s.Config)
	if err != nil {
		return &usageError{fmt.Errorf("%w (settings of %s)", err, s.Origin)}
	}
	defer c.Close() // drops idle connections
	return reachable(accessRefusal(f(ctx, &accessAPI{client: c})))
}

func (r *remote) withData(ctx context.Context, f func(context.Context, *accessAPI) error) error {
	d, err := openAccess(ctx, r.data, r.now)
	if err != nil {
		return err
	}
	err = accessRefusal(f(ctx, &accessAPI{client: d.client, local: true}))
	return errors.Join(err, d.Close())
}

// reachable says what there is to do where no server answers.
func reachable(err error) error {
	var none *client.UnreachableError
	if errors.As(err, &none) {
		return fmt.Errorf("%w; name another with --server URL, or work on its data with --data DIR", err)
	}
	return err
}

// accessRefusal says what helps against a server's refusal.
func accessRefusal(err error) error {
	var refused *client.Error
	if !errors.As(err, &refused) {
		return err
	}
	switch {
	case refused.Kind == "puppetlabs.rbac/user-unauthenticated" && strings.HasPrefix(refused.Message, "Route"):
		return fmt.Errorf("%w: name a token with --token FILE or DALANG_TOKEN, get one with 'dalang token login', "+
			"or work on the server's data with --data DIR", err)
	case refused.Status == 404 && refused.Kind == "":
		return fmt.Errorf("%w: this server knows no tokens, users and roles", err)
	case refused.Status == 400:
		return &usageError{err}
	}
	return err
}

// tokenFile is where puppet-access and `dalang token` leave a token; "" where
// there is no home.
func tokenFile(getenv func(string) string) string {
	home := getenv("HOME")
	if home == "" {
		return ""
	}
	return filepath.Join(home, ".puppetlabs", "token")
}

// userToken is the token in tokenFile, "" if there is none: the server says
// whether it needs one.
func userToken(getenv func(string) string) string {
	path := tokenFile(getenv)
	if path == "" {
		return ""
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

// saveToken writes a token where nobody else can read it, in the place of what
// is there. It answers where.
func saveToken(getenv func(string) string, token string) (string, error) {
	path := tokenFile(getenv)
	if path == "" {
		return "", errors.New("the token was not saved: HOME is not set")
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", fmt.Errorf("save the token: %w", err)
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".token-*") // 0600
	if err != nil {
		return "", fmt.Errorf("save the token: %w", err)
	}
	_, err = f.WriteString(token + "\n")
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return "", errors.Join(fmt.Errorf("save the token: %w", err), os.Remove(f.Name()))
	}
	return path, nil
}
