// Package environments knows which environments nodes can run in. There are
// three sources (orchestrator.md §4.3):
//
//   - a Puppet Server, which is asked for /puppet/v3/environments
//   - the directories of an environmentpath
//   - what stored facts, catalogs and reports are of
//
// A list shows all of them. Whether an environment is known, so that something
// can run in it, is for the first source that is configured to say: the Puppet
// Server, which has to compile there; the environmentpath where there is none,
// or where it does not answer and never did; what is stored only without both.
//
// What a Puppet Server answers is kept for ten seconds. When it stops
// answering, its last answer counts until it does.
//
// # Applications
//
// Which components the applications of an environment have, and which of them
// consume what others produce, is for the first of these to say that knows
// (§12):
//
//   - the Puppet Server, by /puppet/v3/environment/<name>. Puppet 7 has
//     neither applications nor that path: a server of that version or a later
//     one is not asked
//   - a file, in the form of the server's answer
//   - the stored catalogs
//
// The form is an object:
//
//	{"environment": "production",
//	 "applications": {"Shop[x]": {"Shop::Db[x]": {"produces": ["Sql[x]"], "consumes": [], "node": "db1.example.com"}}}}
//
// Who cannot be read stops the search: a run must not lose its order because
// a file is broken, or a server away that gave one.
package environments

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"dalang/orchestrator/job"
	"dalang/orchestrator/upstream"
)

// Environment is one that nodes can run in.
type Environment struct {
	Name     string
	Settings json.RawMessage // an object, as Puppet Server tells; nil: not known
}

// Config says where environments come from. Seen is required.
type Config struct {
	// Server is a Puppet Server, "https://puppet.example.com:8140"; empty: none.
	Server string
	// Client talks to it, with a certificate that it accepts.
	Client *http.Client
	// Path are directories whose directories are environments.
	Path []string
	// Seen lists the environments that something stored is of, sorted.
	Seen func(context.Context) ([]string, error)
	// Files is a directory with a file <environment>.json for each environment
	// that has applications; empty: none.
	Files string
	// Stored are the components in the stored catalogs of an environment; nil:
	// catalogs tell of no applications.
	Stored func(ctx context.Context, environment string) ([]job.Component, error)

	KeepFor time.Duration // how long an answer of the server is good; default 10 s
	Timeout time.Duration // of asking it; default 10 s
	Logger  *slog.Logger
	Now     func() time.Time
}

// Environments looks environments up. Its methods may be called at the same time.
type Environments struct {
	cfg    Config
	server *upstream.Service // nil: none

	mu      sync.Mutex             // held while the server is asked: others wait for its answer
	told    map[string]Environment // the server's last answer; nil: none yet
	version string                 // of Puppet, as the server told with it
	asked   time.Time
	broken  error // why the last question was not answered

	graphMu sync.Mutex // held while the server is asked for an environment catalog
	graphs  map[string]graph
}

// New checks the configuration and asks nobody.
func New(cfg Config) (*Environments, error) {
	if cfg.Seen == nil {
		return nil, errors.New("environments: Seen is required")
	}
	if cfg.Server != "" {
		if err := CheckServer(cfg.Server); err != nil {
			return nil, err
		}
	}
	if cfg.KeepFor <= 0 {
		cfg.KeepFor = 10 * time.Second
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = 10 * time.Second
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	e := &Environments{cfg: cfg, graphs: map[string]graph{}}
	if cfg.Server != "" {
		e.server = upstream.New("the Puppet Server", cfg.Server, cfg.Client)
	}
	return e, nil
}

// CheckServer tells what is wrong with the URL of a Puppet Server.
func CheckServer(server string) error {
	u, err := url.Parse(server)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" {
		return fmt.Errorf("%q is not the URL of a Puppet Server, such as https://puppet.example.com:8140", server)
	}
	return nil
}

// Known tells whether something can run in an environment. job.Unavailable
// means that the Puppet Server would have to be asked and does not answer.
func (e *Environments) Known(ctx context.Context, name string) (bool, error) {
	if e.server != nil {
		told, err := e.ask(ctx)
		if err == nil {
			_, known := told[name]
			return known, nil
		}
		if len(e.cfg.Path) == 0 {
			return false, job.Unavailable(err)
		}
	}
	if len(e.cfg.Path) > 0 {
		return e.onPath(name), nil
	}
	seen, err := e.cfg.Seen(ctx)
	return slices.Contains(seen, name), err
}

// List is the union of all sources, by name. A server that does not answer
// adds nothing; the log has why.
func (e *Environments) List(ctx context.Context) ([]Environment, error) {
	all := map[string]Environment{}
	seen, err := e.cfg.Seen(ctx)
	if err != nil {
		return nil, err
	}
	for _, name := range append(seen, e.pathNames()...) {
		all[name] = Environment{Name: name}
	}
	if e.server != nil {
		if told, err := e.ask(ctx); err == nil {
			maps.Copy(all, told)
		}
	}
	list := make([]Environment, 0, len(all))
	for _, name := range slices.Sorted(maps.Keys(all)) {
		list = append(list, all[name])
	}
	return list, nil
}

// ask gives the server's answer, which may be up to KeepFor old, or older if
// the server does not answer. It fails when the server never did.
func (e *Environments) ask(ctx context.Context) (map[string]Environment, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if now := e.cfg.Now(); e.asked.IsZero() || now.Sub(e.asked) >= e.cfg.KeepFor {
		// The answer is for others as well: it does not depend on one request.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), e.cfg.Timeout)
		defer cancel()
		told, version, err := e.fetch(ctx)
		e.asked, e.broken = e.cfg.Now(), err
		if err == nil {
			e.told, e.version = told, version
		} else {
			e.cfg.Logger.LogAttrs(ctx, slog.LevelWarn, "the Puppet Server does not tell its environments",
				slog.String("server", e.cfg.Server), slog.Any("error", err), slog.Bool("last_answer_counts", e.told != nil))
		}
	}
	if e.told == nil {
		return nil, e.broken
	}
	return e.told, nil
}

// fetch asks the server. The version is the one that it tells of itself, "" if
// it does not.
func (e *Environments) fetch(ctx context.Context) (told map[string]Environment, version string, err error) {
	var body json.RawMessage
	header, err := e.server.JSON(ctx, "/puppet/v3/environments", nil, &body)
	if err != nil {
		return nil, "", err
	}
	told, err = parse(body)
	return told, header.Get("X-Puppet-Version"), err
}

// parse reads what a Puppet Server answers.
func parse(body []byte) (map[string]Environment, error) {
	var answer struct {
		Environments map[string]struct {
			Settings json.RawMessage `json:"settings"`
		} `json:"environments"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return nil, fmt.Errorf("read the Puppet Server's environments: %w", err)
	}
	if answer.Environments == nil {
		return nil, errors.New("read the Puppet Server's environments: the answer has no environments")
	}
	told := make(map[string]Environment, len(answer.Environments))
	for name, env := range answer.Environments {
		settings := env.Settings
		if len(settings) == 0 || settings[0] != '{' {
			settings = nil
		}
		told[name] = Environment{Name: name, Settings: settings}
	}
	return told, nil
}

// onPath tells whether a directory of the path has an environment.
func (e *Environments) onPath(name string) bool {
	return job.ValidEnvironment(name) && slices.ContainsFunc(e.cfg.Path, func(dir string) bool {
		info, err := os.Stat(filepath.Join(dir, name))
		return err == nil && info.IsDir()
	})
}

// pathNames are the environments of the path. Directories that cannot be read
// have none.
func (e *Environments) pathNames() (names []string) {
	for _, dir := range e.cfg.Path {
		entries, err := os.ReadDir(dir)
		if err != nil {
			e.cfg.Logger.Warn("a directory of the environmentpath cannot be read", "directory", dir, "error", err)
		}
		for _, entry := range entries {
			if e.onPath(entry.Name()) { // a link to a directory is one too
				names = append(names, entry.Name())
			}
		}
	}
	return names
}
