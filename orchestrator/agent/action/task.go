package action

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

type taskParams struct {
	Task        string                     `json:"task"`
	Input       map[string]json.RawMessage `json:"input"`
	Files       []file                     `json:"files"`
	Metadata    *taskMetadata              `json:"metadata"`
	Timeout     seconds                    `json:"timeout"`
	InputMethod string                     `json:"input_method"`
	Features    []string                   `json:"features"`
	// Implementations of requests without metadata.
	Implementations []implementation `json:"implementations"`
}

// taskMetadata is of the task's metadata what matters here. Elsewhere files are
// the names of files that the task needs.
type taskMetadata struct {
	InputMethod     string           `json:"input_method"`
	Implementations []implementation `json:"implementations"`
	Files           []string         `json:"files"`
	Features        []string         `json:"features"`
}

type implementation struct {
	Name         string   `json:"name"`
	Requirements []string `json:"requirements"`
	Files        []string `json:"files"`
	InputMethod  string   `json:"input_method"`
}

// metadata is where a request has it: its own member, or the request itself.
func (p *taskParams) metadata() taskMetadata {
	if p.Metadata != nil {
		return *p.Metadata
	}
	return taskMetadata{InputMethod: p.InputMethod, Implementations: p.Implementations, Features: p.Features}
}

func checkTask(params json.RawMessage) error {
	var p taskParams
	if err := decode(params, &p); err != nil {
		return err
	}
	var errs []error
	if p.Task == "" || strings.ContainsAny(p.Task, "/\x00") {
		errs = append(errs, errors.New("task must be the name of a task"))
	}
	if p.Input == nil {
		errs = append(errs, errors.New("input must be an object"))
	}
	if len(p.Files) == 0 {
		errs = append(errs, errors.New("files must not be empty"))
	}
	for i := range p.Files {
		errs = append(errs, p.Files[i].check(fmt.Sprintf("files[%d]", i)))
	}
	return errors.Join(append(errs, p.Timeout.check())...)
}

func runTask(ctx context.Context, dir string, o *Order) Result {
	var p taskParams
	if err := decode(o.Params, &p); err != nil {
		return failed("%v", err)
	}
	t := &task{taskParams: p, settings: &o.Settings, fetch: newFetcher(&o.Settings), dir: dir}
	defer os.RemoveAll(t.installDir()) // it may not be there
	run, err := t.prepare(ctx)
	if err != nil {
		return failed("%v", err)
	}
	return run.run(ctx)
}

// task is one that is being prepared.
type task struct {
	taskParams
	settings *Settings
	fetch    *fetcher
	dir      string
}

func (t *task) installDir() string { return filepath.Join(t.dir, "install") }

// prepare selects and fetches files, and makes the command.
func (t *task) prepare(ctx context.Context) (*process, error) {
	meta := t.metadata()
	chosen, err := choose(meta.Implementations, meta.Features)
	if err != nil {
		return nil, err
	}
	executable, err := t.find(chosen.Name)
	if err != nil {
		return nil, err
	}
	method, err := inputMethod(chosen.InputMethod, meta.InputMethod, executable.Filename)
	if err != nil {
		return nil, err
	}
	path, err := t.fetch.cached(ctx, executable)
	if err != nil {
		return nil, err
	}
	t.Input["_task"] = mustJSON(t.Task)
	if names := t.needed(append(slices.Clone(meta.Files), chosen.Files...)); len(names) > 0 {
		if path, err = t.install(ctx, names, path); err != nil {
			return nil, err
		}
		t.Input["_installdir"] = mustJSON(t.installDir())
	}
	return t.command(method, path)
}

// choose takes the first implementation that can run here; the zero value means
// the first file.
func choose(all []implementation, extra []string) (implementation, error) {
	features := append([]string{"puppet-agent", "shell"}, extra...)
	for _, i := range all {
		if !slices.ContainsFunc(i.Requirements, func(r string) bool { return !slices.Contains(features, r) }) {
			return i, nil
		}
	}
	if len(all) == 0 {
		return implementation{}, nil
	}
	slices.Sort(features)
	return implementation{}, fmt.Errorf("no implementation matches the features of this node: %s", strings.Join(features, ", "))
}

// find looks a file of the request up; "" is the first.
func (t *task) find(name string) (file, error) {
	for _, f := range t.Files {
		if name == "" || f.Filename == name {
			return f, nil
		}
	}
	return file{}, fmt.Errorf("the request has no file %s, which the task needs", name)
}

func inputMethod(chosen, general, filename string) (string, error) {
	method := chosen
	if method == "" {
		method = general
	}
	switch method {
	case "stdin", "environment", "powershell", "both":
		return method, nil
	case "":
		if filepath.Ext(filename) == ".ps1" {
			return "powershell", nil
		}
		return "both", nil
	}
	return "", fmt.Errorf("unsupported task input method: %.80s", method)
}

// needed expands names that end with a slash, sorts, and drops repetitions.
func (t *task) needed(names []string) []string {
	set := map[string]bool{}
	for _, name := range names {
		if !strings.HasSuffix(name, "/") {
			set[name] = true
			continue
		}
		for _, f := range t.Files {
			if strings.HasPrefix(f.Filename, name) {
				set[f.Filename] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(set))
}

// install lays out the files that the task needs, and the executable among
// them; it answers where that is.
func (t *task) install(ctx context.Context, names []string, executable string) (string, error) {
	for _, name := range names {
		f, err := t.find(name)
		if err != nil {
			return "", err
		}
		cached, err := t.fetch.cached(ctx, f)
		if err != nil {
			return "", err
		}
		if err := place(cached, filepath.Join(t.installDir(), f.Filename)); err != nil {
			return "", err
		}
	}
	module, _, _ := strings.Cut(t.Task, "::")
	target := filepath.Join(t.installDir(), module, "tasks", filepath.Base(executable))
	return target, place(executable, target)
}

func place(from, to string) error {
	if err := os.MkdirAll(filepath.Dir(to), execMode); err != nil {
		return fmt.Errorf("_installdir: %w", err)
	}
	if err := copyFile(from, to); err != nil {
		return fmt.Errorf("_installdir: %w", err)
	}
	return nil
}

// command gives the task its input. Nothing of it stands on a command line.
func (t *task) command(method, path string) (*process, error) {
	run := &process{env: Environment(os.Environ()), settings: t.settings, timeout: t.Timeout.duration()}
	var err error
	if method == "powershell" {
		run.path, err = powershell()
		run.args = append(powershellArgs(), "-Command", powershellShim)
		run.env = append(run.env, "DALANG_TASK_FILE="+path)
	} else {
		run.path, run.args, err = interpreter(t.settings, path)
	}
	if err != nil {
		return nil, err
	}
	if method != "environment" {
		run.stdin = mustJSON(t.Input)
	}
	if method == "environment" || method == "both" {
		variables, err := t.variables()
		if err != nil {
			return nil, err
		}
		run.env = append(run.env, variables...)
	}
	return run, nil
}

// variables are the input as PT_<name>: strings as they are, the rest as JSON.
func (t *task) variables() ([]string, error) {
	var env []string
	for _, name := range slices.Sorted(maps.Keys(t.Input)) {
		value := string(bytes.TrimSpace(t.Input[name]))
		if strings.HasPrefix(value, `"`) {
			if err := json.Unmarshal(t.Input[name], &value); err != nil {
				return nil, fmt.Errorf("input: %w", err)
			}
		}
		if strings.ContainsAny(name, "=\x00") || strings.ContainsRune(value, 0) {
			return nil, fmt.Errorf("the parameter %.80q cannot be an environment variable", name)
		}
		env = append(env, "PT_"+name+"="+value)
	}
	return env, nil
}
