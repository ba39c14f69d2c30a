package action

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"dalang/orchestrator/apply"
)

// applyParams are the params of the application of a catalog.
type applyParams struct {
	Catalog json.RawMessage            `json:"catalog"`
	Options map[string]json.RawMessage `json:"apply_options"`
	Timeout seconds                    `json:"timeout"`
}

// applyCatalog is what we look at in a catalog.
type applyCatalog struct {
	Environment string `json:"environment"`
	Resources   []struct {
		Parameters map[string]any `json:"parameters"`
		Sensitive  []string       `json:"sensitive_parameters"`
	} `json:"resources"`
}

// environmentName is also the name of a directory.
var environmentName = regexp.MustCompile(`\A[A-Za-z0-9_]+\z`)

func checkApply(params json.RawMessage) error {
	_, _, err := readApply(params)
	return err
}

func readApply(params json.RawMessage) (*applyParams, *applyCatalog, error) {
	var p applyParams
	var c applyCatalog
	if err := decode(params, &p); err != nil {
		return nil, nil, err
	}
	if err := decode(p.Catalog, &c); err != nil {
		return nil, nil, fmt.Errorf("catalog: %w", err)
	}
	switch {
	case p.Options == nil:
		return nil, nil, errors.New("apply_options must be an object")
	case !environmentName.MatchString(c.Environment):
		return nil, nil, fmt.Errorf("catalog: environment: %.80q is not the name of one", c.Environment)
	case len(c.Resources) == 0:
		return nil, nil, errors.New("catalog: it has no resources")
	}
	if _, err := p.flags(); err != nil {
		return nil, nil, err
	}
	return &p, &c, p.Timeout.check()
}

// flags are the options as Puppet takes them. Without noop, what the node's
// configuration says of it does not count.
func (p *applyParams) flags() ([]string, error) {
	flags := []string{"--no-noop"}
	for _, name := range sortedNames(p.Options) {
		var on bool
		switch err := json.Unmarshal(p.Options[name], &on); {
		case name != "noop" && name != "show_diff":
			return nil, fmt.Errorf("apply_options: %.80q is not one that is permitted: noop, show_diff", name)
		case err != nil || string(p.Options[name]) == "null":
			return nil, fmt.Errorf("apply_options: %s must be true or false", name)
		case on && name == "noop":
			flags[0] = "--noop"
		case on:
			flags = append(flags, "--"+name)
		}
	}
	return flags, nil
}

// application is the application of one catalog.
type application struct {
	*applyParams
	catalog  *applyCatalog
	settings *Settings
	dir      string // its own, for what Puppet writes
	hide     *strings.Replacer
}

// runApply has Puppet apply a catalog, which never touches the disk: it may
// hold secrets.
func runApply(ctx context.Context, dir string, o *Order) Result {
	p, c, err := readApply(o.Params)
	if err != nil {
		return failed("%v", err)
	}
	a := &application{applyParams: p, catalog: c, settings: &o.Settings, dir: filepath.Join(dir, "apply"), hide: secretsOf(c)}
	limit := a.settings.limit(a.Timeout.duration())
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	defer os.RemoveAll(a.dir) // what is left goes with the transaction
	r := a.run(ctx)
	if ctx.Err() != nil && r.Error == "" && r.ExitCode != 0 {
		return failed("it took longer than %v", limit)
	}
	return r
}

// applyError is the result of an application that did not take place.
func applyError(format string, args ...any) Result {
	document := map[string]any{"_error": map[string]any{"kind": apply.KindError, "msg": fmt.Sprintf(format, args...), "details": map[string]any{}}}
	return Result{ExitCode: 1, Stdout: string(mustJSON(document))}
}

func (a *application) run(ctx context.Context) Result {
	bin := a.settings.Puppet
	if _, err := exec.LookPath(bin); err != nil {
		return applyError("Puppet is not installed on this node: '%s' does not exist or cannot be run", bin)
	}
	flags, err := a.prepare()
	if err != nil {
		return failed("%v", err)
	}
	agent := &puppetRun{bin: bin}
	if err := agent.locate(ctx, a.dir); err != nil {
		return applyError("could not find the location of Puppet's lock: %v", err)
	}
	output, err := nameless(a.dir)
	if err != nil {
		return failed("%v", err)
	}
	defer output.Close() // nobody reads it again
	lock := &puppetLock{path: agent.lock}
	defer lock.release()
	var busy error
	run := &process{path: bin, args: append([]string{"apply", "--catalog", "-"}, flags...), settings: a.settings, timeout: a.Timeout.duration(),
		env: append(puppetEnvironment(), "RUBYOPT=-EUTF-8"), output: output,
		feed: func(ctx context.Context, pid int, in io.Writer) error {
			if busy = lock.take(ctx, pid, a.settings.LockWait); busy == nil {
				_, _ = in.Write(a.Catalog) // one that has ended says why below
			}
			return busy
		}}
	r := run.run(ctx)
	switch {
	case errors.Is(busy, errLocked):
		return applyError("%v", busy)
	case r.Error != "":
		return r
	}
	return a.result(r.ExitCode, tail(output))
}

// prepare makes the directories that Puppet is to use instead of the node's: the
// state of its runs, among it the report of the last one, is theirs. The
// environment is an empty one of the catalog's name: the node has none. Files
// come from the Puppet Server, as in its runs. Nobody is asked or told about the
// node or its facts, as where it runs without a server, and reports go nowhere.
func (a *application) prepare() ([]string, error) {
	flags, err := a.flags()
	if err != nil {
		return nil, err
	}
	environments, state := filepath.Join(a.dir, "environments"), filepath.Join(a.dir, "state")
	for _, dir := range []string{filepath.Join(environments, a.catalog.Environment), state} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, err
		}
	}
	return append(flags, "--statedir", state, "--lastrunfile", filepath.Join(state, "last_run_summary.yaml"), "--lastrunreport", a.report(),
		"--environmentpath", environments, "--environment", a.catalog.Environment, "--default_file_terminus", "rest",
		"--route_file", filepath.Join(a.dir, "routes.yaml"), "--node_terminus", "plain", "--no-storeconfigs", // a file that is not there
		"--report", "--reports", "none", "--color", "false"), nil
}

func (a *application) report() string { return filepath.Join(a.dir, "state", "last_run_report.yaml") }

// result is Puppet's report, without secrets, or what it said instead.
func (a *application) result(exit int, words []byte) Result {
	report, err := wholeReport(a.report(), a.hide.Replace)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return applyError("Puppet ended with status %d and left no report: %s", exit, lastWords([]byte(a.hide.Replace(text(words)))))
	case err != nil:
		return applyError("Puppet's report could not be loaded: %s", a.hide.Replace(err.Error()))
	}
	return Result{Stdout: string(mustJSON(apply.Shorten(report)))}
}

// shortest is how long a text has to be to be hidden where it stands in another.
const shortest = 4

// secretsOf hides the texts and numbers that a catalog says are secrets, and the
// lines of those that have more than one: what prints them prints lines. Puppet
// hides them as far as they are properties; some parameters it cannot.
func secretsOf(c *applyCatalog) *strings.Replacer {
	found := map[string]bool{}
	var add func(v any)
	add = func(v any) {
		switch v := v.(type) {
		case string:
			found[v] = true
			for line := range strings.Lines(v) {
				found[strings.TrimSpace(line)] = true
			}
		case float64:
			found[strconv.FormatFloat(v, 'f', -1, 64)] = true
		case []any:
			for _, e := range v {
				add(e)
			}
		case map[string]any:
			for k, e := range v {
				add(k)
				add(e)
			}
		}
	}
	for _, r := range c.Resources {
		for _, name := range r.Sensitive {
			add(r.Parameters[name])
		}
	}
	// The first that fits is hidden: one that is the beginning of another comes later.
	words := slices.SortedFunc(maps.Keys(found), func(a, b string) int { return cmp.Compare(len(b), len(a)) })
	var pairs []string
	for _, w := range words {
		if len(w) >= shortest {
			pairs = append(pairs, w, "[redacted]")
		}
	}
	return strings.NewReplacer(pairs...)
}
