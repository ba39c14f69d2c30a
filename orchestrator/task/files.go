package task

import (
	"path"
	"slices"
	"strings"
)

// Task is a task and where its files are.
type Task struct {
	Name     string // module, or module::task
	Metadata *Metadata
	// Files are the executables, by base name, in the order in which Puppet
	// sends them, then shared files as module/mount/path.
	Files []File
	// Command says that the PXP module command runs it, by its parameter
	// command: it has no files.
	Command bool
}

// File is one file of a task.
type File struct {
	Filename string `json:"filename"`
	SHA256   string `json:"sha256"` // lower-case hex
	Size     int64  `json:"size_bytes"`
	URI      URI    `json:"uri"`
}

// URI is where to get a file from the server that the agent asks.
type URI struct {
	Path   string            `json:"path"`
	Params map[string]string `json:"params"`
}

// Executable is the file that runs on a target, and how.
type Executable struct {
	File        File
	InputMethod string
	Shared      []File // what has to lie in _installdir
}

// Executable chooses for a target with these features: shell, powershell,
// puppet-agent. Its error is an *Error.
func (t *Task) Executable(features []string) (*Executable, error) {
	name, method := "", t.Metadata.InputMethod
	wanted := slices.Clone(t.Metadata.Files)
	if len(t.Metadata.Implementations) == 0 {
		if len(t.Files) == 0 {
			return nil, fail(KindMissingImplementation, "the task %s has no executable", t.Name)
		}
		name = t.Files[0].Filename
	}
	for _, i := range t.Metadata.Implementations {
		if !subset(i.Requirements, features) {
			continue
		}
		name = i.Name
		wanted = append(wanted, i.Files...)
		if i.InputMethod != "" {
			method = i.InputMethod
		}
		break
	}
	if name == "" {
		return nil, fail(KindNoImplementation, "no implementation of the task %s fits a target with the features %s", t.Name, strings.Join(features, ", "))
	}
	at := slices.IndexFunc(t.Files, func(f File) bool { return f.Filename == name })
	if at < 0 {
		return nil, fail(KindMissingImplementation, "the task %s has no file %s", t.Name, name)
	}
	if method == "" {
		method = DefaultMethod(name)
	}
	e := &Executable{File: t.Files[at], InputMethod: method}
	for _, f := range t.Files {
		if slices.ContainsFunc(wanted, func(w string) bool {
			return f.Filename == w || strings.HasSuffix(w, "/") && strings.HasPrefix(f.Filename, w)
		}) {
			e.Shared = append(e.Shared, f)
		}
	}
	return e, nil
}

// DefaultMethod is how an executable gets its input if nothing says how.
func DefaultMethod(file string) string {
	if strings.EqualFold(path.Ext(file), ".ps1") {
		return PowerShell
	}
	return Both
}

func subset(needs, has []string) bool {
	for _, n := range needs {
		if !slices.Contains(has, n) {
			return false
		}
	}
	return true
}
