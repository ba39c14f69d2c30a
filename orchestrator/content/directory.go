package content

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"go.yaml.in/yaml/v3"

	"dalang/orchestrator/job"
	"dalang/orchestrator/task"
)

// DirectoryConfig says where modules are.
type DirectoryConfig struct {
	Path           []string      // directories of environments
	BaseModulePath []string      // $basemodulepath of environment.conf
	KeepFor        time.Duration // how long a list of modules is good; default 30 s
	Logger         *slog.Logger
	Now            func() time.Time
}

// Directory reads tasks and plans from disk. It is a Source.
type Directory struct {
	cfg DirectoryConfig

	mu     sync.Mutex
	listed map[string]listing // by environment
	sums   map[string]sum     // by module directory, NUL, name
}

// NewDirectory fills in defaults and reads nothing.
func NewDirectory(cfg DirectoryConfig) *Directory {
	if cfg.KeepFor <= 0 {
		cfg.KeepFor = 30 * time.Second
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Directory{cfg: cfg, listed: map[string]listing{}, sums: map[string]sum{}}
}

const (
	metadataExt = ".json"
	// maxText bounds metadata and plans.
	maxText = 4 << 20
)

// taskFiles are the files of a module's tasks by the task's own name.
func taskFiles(module string) (map[string][]string, error) {
	names, err := below(module, "tasks")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	files := map[string][]string{}
	for _, name := range names {
		base := path.Base(name)
		own, _, _ := strings.Cut(base, ".")
		if path.Dir(name) != "tasks" || !modulePattern.MatchString(own) || slices.Contains([]string{".md", ".conf"}, path.Ext(base)) {
			continue
		}
		files[own] = append(files[own], base)
	}
	return files, err
}

// Tasks is Source's. A task whose metadata is wrong is listed without them.
func (d *Directory) Tasks(_ context.Context, environment string) ([]Entry, string, error) {
	modules, err := d.modules(environment)
	if err != nil {
		return nil, "", err
	}
	var all []Entry
	for _, module := range slices.Sorted(maps.Keys(modules)) {
		files, err := taskFiles(modules[module])
		if err != nil {
			d.cfg.Logger.Warn("the tasks of a module cannot be read", "module", modules[module], "error", err)
			continue
		}
		for own := range files {
			e := Entry{Name: task.JoinName(module, own)}
			if m, err := d.metadata(modules[module], own); err == nil {
				e.Private, e.Description = m.Private, m.Description
			}
			all = append(all, e)
		}
	}
	slices.SortFunc(all, func(a, b Entry) int { return strings.Compare(a.Name, b.Name) })
	return all, "", nil
}

// metadata reads what a task says of itself; nothing is an empty object.
func (d *Directory) metadata(module, own string) (*task.Metadata, error) {
	text, err := d.text(module, "tasks/"+own+metadataExt)
	if errors.Is(err, fs.ErrNotExist) {
		text, err = nil, nil
	}
	if err != nil {
		return nil, &task.Error{Kind: "puppet.tasks/unreadable-metadata", Msg: fmt.Sprintf("the metadata cannot be read: %v", err)}
	}
	return task.Parse(text)
}

func (d *Directory) text(module, name string) ([]byte, error) {
	f, err := inModule(module, name)
	if err != nil {
		return nil, err
	}
	defer f.Close() // read only
	text, err := io.ReadAll(io.LimitReader(f, maxText+1))
	if err == nil && len(text) > maxText {
		err = fmt.Errorf("%s is larger than %d bytes", name, maxText)
	}
	return text, err
}

// Task is Source's.
func (d *Directory) Task(_ context.Context, environment, name string) (*task.Task, error) {
	modules, err := d.modules(environment)
	if err != nil {
		return nil, err
	}
	module, own := task.SplitName(name)
	home, ok := modules[module]
	if !ok || !task.ValidName(name) {
		return nil, unknownTask(environment, name)
	}
	files, err := taskFiles(home)
	if err != nil {
		return nil, fmt.Errorf("read the tasks of module %s: %w", module, err)
	}
	if len(files[own]) == 0 {
		return nil, unknownTask(environment, name)
	}
	m, err := d.metadata(home, own)
	if err != nil {
		return nil, named(name, err)
	}
	aliases := d.aliases(modules)
	for i := range m.Parameters {
		m.Parameters[i].Alias(aliases)
	}
	t := &task.Task{Name: name, Metadata: m}
	executables, err := executables(name, own, m, files)
	if err != nil {
		return nil, err
	}
	for _, file := range executables {
		if err := d.addFile(t, environment, home, file, module+"/tasks/"+file); err != nil {
			return nil, err
		}
	}
	for _, wanted := range sharedNames(m) {
		if err := d.addShared(t, environment, modules, wanted); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// named adds the task's name to an error of its metadata.
func named(name string, err error) error {
	var e *task.Error
	if errors.As(err, &e) {
		return &task.Error{Kind: e.Kind, Msg: fmt.Sprintf("The task %s: %s", name, e.Msg)}
	}
	return err
}

// executables are the files that may run, in order.
func executables(name, own string, m *task.Metadata, files map[string][]string) ([]string, error) {
	if len(m.Implementations) > 0 {
		var all []string
		for _, i := range m.Implementations {
			base, _, _ := strings.Cut(i.Name, ".")
			if !slices.Contains(files[base], i.Name) {
				return nil, &task.Error{Kind: task.KindMissingImplementation, Msg: fmt.Sprintf("The task %s has no file %s", name, i.Name)}
			}
			if !slices.Contains(all, i.Name) {
				all = append(all, i.Name)
			}
		}
		return all, nil
	}
	var all []string
	for _, f := range files[own] {
		if path.Ext(f) != metadataExt {
			all = append(all, f)
		}
	}
	switch len(all) {
	case 1:
		return all, nil
	case 0:
		return nil, &task.Error{Kind: task.KindMissingImplementation, Msg: fmt.Sprintf("The task %s has no executable", name)}
	}
	return nil, &task.Error{Kind: task.KindMultipleImplementations,
		Msg: fmt.Sprintf("The task %s has several executables and no metadata that say which to use: %s", name, strings.Join(all, ", "))}
}

func sharedNames(m *task.Metadata) []string {
	all := slices.Clone(m.Files)
	for _, i := range m.Implementations {
		all = append(all, i.Files...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// addShared adds a shared file, or all below a directory.
func (d *Directory) addShared(t *task.Task, environment string, modules map[string]string, wanted string) error {
	module, rest, _ := strings.Cut(wanted, "/")
	home, ok := modules[module]
	if !ok {
		return &task.Error{Kind: task.KindInvalidFile, Msg: fmt.Sprintf("The task %s wants %s, and there is no module %s", t.Name, wanted, module)}
	}
	names := []string{rest}
	if strings.HasSuffix(wanted, "/") {
		var err error
		if names, err = below(home, rest); err != nil {
			return &task.Error{Kind: task.KindInvalidFile, Msg: fmt.Sprintf("The task %s wants %s, which cannot be listed: %v", t.Name, wanted, err)}
		}
	}
	for _, name := range names {
		full := module + "/" + name
		if slices.ContainsFunc(t.Files, func(f task.File) bool { return f.Filename == full }) {
			continue
		}
		if err := d.addFile(t, environment, home, full, full); err != nil {
			return err
		}
	}
	return nil
}

// addFile adds a file of the module in home: what tasks call it, and its whole
// name, module/mount/path.
func (d *Directory) addFile(t *task.Task, environment, home, filename, full string) error {
	_, within, _ := strings.Cut(full, "/")
	s, err := d.hash(home, within)
	if err != nil {
		return &task.Error{Kind: task.KindInvalidFile, Msg: fmt.Sprintf("The task %s wants %s, which cannot be read: %v", t.Name, full, err)}
	}
	uri, err := fileURI(environment, full)
	if err != nil {
		return &task.Error{Kind: task.KindInvalidFile, Msg: err.Error()}
	}
	t.Files = append(t.Files, task.File{Filename: filename, SHA256: s.sha256, Size: s.size, URI: uri})
	return nil
}

// Plans is Source's.
func (d *Directory) Plans(_ context.Context, environment string) ([]Entry, error) {
	modules, err := d.modules(environment)
	if err != nil {
		return nil, err
	}
	var all []Entry
	for module, home := range modules {
		files, err := below(home, "plans")
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			d.cfg.Logger.Warn("the plans of a module cannot be read", "module", home, "error", err)
		}
		for _, file := range files {
			name, ok := planName(module, file)
			if !ok || slices.ContainsFunc(all, func(e Entry) bool { return e.Name == name }) {
				continue
			}
			e := Entry{Name: name}
			if filepath.Ext(file) != ".pp" {
				d.describe(&e, home, file)
			}
			all = append(all, e)
		}
	}
	slices.SortFunc(all, func(a, b Entry) int { return strings.Compare(a.Name, b.Name) })
	return all, nil
}

// describe adds what a YAML plan says of itself, if it can be read.
func (d *Directory) describe(e *Entry, home, file string) {
	text, err := d.text(home, file)
	if err != nil {
		return
	}
	var head struct {
		Description string `yaml:"description"`
		Private     bool   `yaml:"private"`
	}
	if yaml.Unmarshal(text, &head) == nil {
		e.Description, e.Private = head.Description, head.Private
	}
}

// planName is the name of the plan in a file, plans/a/b.yaml.
func planName(module, file string) (string, bool) {
	ext := path.Ext(file)
	if !slices.Contains(planExts(), ext) {
		return "", false
	}
	own := strings.TrimSuffix(strings.TrimPrefix(file, "plans/"), ext)
	name := module
	if own != "init" {
		name += "::" + strings.ReplaceAll(own, "/", "::")
	}
	return name, ValidPlan(name)
}

// planExts are the extensions of plans; the first that is there counts.
func planExts() []string { return []string{".yaml", ".pp"} }

// Plan is Source's.
func (d *Directory) Plan(_ context.Context, environment, name string) (*Plan, error) {
	modules, err := d.modules(environment)
	if err != nil {
		return nil, err
	}
	module, own, nested := strings.Cut(name, "::")
	home, ok := modules[module]
	if !ok || !ValidPlan(name) {
		return nil, job.UnknownPlan(environment, name)
	}
	if !nested {
		own = "init"
	}
	for _, ext := range planExts() {
		text, err := d.text(home, "plans/"+strings.ReplaceAll(own, "::", "/")+ext)
		if err == nil {
			return &Plan{name, ext, text, d.aliases(modules)}, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("read the plan %s: %w", name, err)
		}
	}
	return nil, job.UnknownPlan(environment, name)
}

// Open is Source's.
func (d *Directory) Open(_ context.Context, f task.File) (io.ReadCloser, error) {
	file, err := d.served(f.URI.Params["environment"], f.URI.Path)
	if err != nil {
		return nil, err
	}
	return checked(file, f.SHA256), nil
}
