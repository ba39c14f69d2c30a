package client

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/pflag"
)

// DefaultURL is where `dalang serve` listens when nothing is configured.
const DefaultURL = "http://127.0.0.1:8080"

// Flags are the flags that say which server to speak to.
type Flags struct {
	Server        []string
	Cert, Key, CA string
	Token         string // file
	File          string // instead of the client tools' own
}

// AddTo adds the flags to a command's.
func (f *Flags) AddTo(fl *pflag.FlagSet) {
	fl.StringSliceVar(&f.Server, "server", nil, "`URL` of the running server; of several, the first that can be reached (environment: DALANG_SERVER)")
	fl.StringVar(&f.Cert, "cert", "", "client certificate, PEM `file`")
	fl.StringVar(&f.Key, "key", "", "key of the client certificate, PEM `file`")
	fl.StringVar(&f.CA, "ca", "", "CA that vouches for the server, PEM `file`")
	fl.StringVar(&f.Token, "token", "", "`file` with a token (environment: DALANG_TOKEN, the token itself)")
	fl.StringVar(&f.File, "client-config", "", "`file` to read instead of ~/.puppetlabs/client-tools/puppetdb.conf: one like that, or the termini's puppetdb.conf")
}

// Options are where Load looks.
type Options struct {
	Flags  Flags
	Getenv func(string) string // nil: os.Getenv
	// Root is put before absolute paths of files, for tests.
	Root string
}

// Settings are a Config and where it comes from.
type Settings struct {
	Config
	Origin string   // of the URLs, for messages: "--server", "DALANG_SERVER", a file, "the default"
	Notes  []string // files that were left out, and why
}

// Load finds out which server to speak to; the package's comment says how. A
// file that is named but not there, or that cannot be understood, is an error.
func Load(o Options) (Settings, error) {
	if o.Getenv == nil {
		o.Getenv = os.Getenv
	}
	f := o.Flags
	s := Settings{Config: Config{URLs: f.Server, Cert: f.Cert, Key: f.Key, CA: f.CA, Token: o.Getenv("DALANG_TOKEN")}, Origin: "--server"}
	if len(s.URLs) == 0 {
		s.URLs, s.Origin = split(o.Getenv("DALANG_SERVER")), "DALANG_SERVER"
	}
	if f.Token != "" {
		token, err := readToken(f.Token)
		if err != nil {
			return s, err
		}
		s.Token = token
	}
	if err := o.files(&s); err != nil {
		return s, err
	}
	if len(s.URLs) == 0 {
		s.URLs, s.Origin = []string{DefaultURL}, "the default"
	}
	return s, nil
}

// files adds what files say.
func (o Options) files(s *Settings) error {
	if o.Flags.File != "" {
		return o.addFile(s, o.Flags.File)
	}
	for _, path := range o.clientTools() {
		if err := addClientTools(s, path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if len(s.URLs) > 0 {
		return nil
	}
	return o.termini(s)
}

// clientTools are the files of puppet-query and its kin, the user's first.
func (o Options) clientTools() []string {
	const name = "client-tools/puppetdb.conf"
	list := []string{o.Root + "/etc/puppetlabs/" + name}
	if home := o.Getenv("HOME"); home != "" {
		list = append([]string{filepath.Join(home, ".puppetlabs", name)}, list...)
	}
	return list
}

// add fills in what s lacks.
func (s *Settings) add(urls []string, cert, key, ca, origin string) {
	if len(s.URLs) == 0 && len(urls) > 0 {
		s.URLs, s.Origin = urls, origin
	}
	if s.Cert == "" && s.Key == "" {
		s.Cert, s.Key = cert, key
	}
	if s.CA == "" {
		s.CA = ca
	}
}

// named tells whether somebody named the servers, not a file.
func (s *Settings) named() bool {
	return len(s.URLs) > 0 && (s.Origin == "--server" || s.Origin == "DALANG_SERVER")
}

// cleartext tells whether a token could not be sent to all servers.
func (s *Settings) cleartext() bool {
	for _, text := range s.URLs {
		if u, err := url.Parse(text); err != nil || !private(u) {
			return true
		}
	}
	return false
}

func readToken(path string) (string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("read token: %w", err)
	}
	token := strings.TrimSpace(string(text))
	if token == "" || strings.ContainsAny(token, "\r\n") {
		return "", fmt.Errorf("read token: %s holds no token, which is one line", path)
	}
	return token, nil
}

// split reads a list with commas.
func split(text string) []string {
	var out []string
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part != "" {
			out = append(out, part)
		}
	}
	return out
}
