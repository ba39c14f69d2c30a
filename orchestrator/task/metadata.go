package task

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"sort"
	"strings"

	"dalang/orchestrator/ptype"
)

// Methods of input.
const (
	Stdin       = "stdin"
	Environment = "environment"
	Both        = "both"
	PowerShell  = "powershell"
)

// Error is a task that is not what Puppet takes for one.
type Error struct {
	Kind string // puppet.tasks/…
	Msg  string
}

func (e *Error) Error() string { return e.Msg }

// The kinds of errors that Puppet has for tasks.
const (
	KindInvalidName             = "puppet.tasks/invalid-name"
	KindInvalidFile             = "puppet.tasks/invalid-file"
	KindInvalidMetadata         = "puppet.tasks/invalid-metadata"
	KindUnparseableMetadata     = "puppet.tasks/unparseable-metadata"
	KindMissingImplementation   = "puppet.tasks/missing-implementation"
	KindMultipleImplementations = "puppet.tasks/multiple-implementations"
	KindNoImplementation        = "puppet.tasks/no-implementation"
	KindNotFound                = "puppet.tasks/task-not-found"
)

func fail(kind, format string, args ...any) *Error { return &Error{kind, fmt.Sprintf(format, args...)} }

// Metadata is what a task says of itself.
type Metadata struct {
	Description     string
	InputMethod     string // "": by the executable's extension
	SupportsNoop    bool
	Private         bool
	Remote          bool
	Parameters      []Parameter // by name; meaningful when Typed
	Typed           bool        // the metadata names its parameters
	Implementations []Implementation
	Files           []string // module/mount/path; a directory ends with /
	// Raw is the whole object as it was written; see Shown.
	Raw json.RawMessage
}

// Parameter is one parameter of a task or plan.
type Parameter struct {
	Name        string
	Type        *ptype.Type // nil: Any
	Description string
	Default     json.RawMessage // nil: none
	Sensitive   bool
}

// Alias makes a secret of a parameter of which types of modules say that it is
// one; see ptype.Type.Alias.
func (p *Parameter) Alias(find func(name string) *ptype.Type) {
	if p.Type != nil && find != nil {
		p.Type.Alias(find)
		p.Sensitive = p.Sensitive || p.Type.Sensitive()
	}
}

// Required tells whether a value must be given.
func (p *Parameter) Required() bool {
	return p.Default == nil && p.Type != nil && p.Type.Check(nil) != nil
}

// Implementation is an executable and what it needs.
type Implementation struct {
	Name         string   `json:"name"`
	Requirements []string `json:"requirements"`
	InputMethod  string   `json:"input_method"`
	Files        []string `json:"files"`
}

var (
	namePattern  = regexp.MustCompile(`\A[a-z][a-z0-9_]*(::[a-z][a-z0-9_]*)?\z`)
	paramPattern = regexp.MustCompile(`\A[a-z][a-z0-9_]*\z`)
	filePattern  = regexp.MustCompile(`\A[a-z][a-z0-9_]*/(files|lib|scripts|tasks)/`)
)

// ValidName tells whether a name may be a task's: module, or module::task.
func ValidName(name string) bool { return namePattern.MatchString(name) }

// SplitName gives the module and the task's own name, init for the module's.
func SplitName(name string) (module, own string) {
	module, own, found := strings.Cut(name, "::")
	if !found {
		own = "init"
	}
	return module, own
}

// JoinName is the name of a module's task.
func JoinName(module, own string) string {
	if own == "init" {
		return module
	}
	return module + "::" + own
}

// Parse reads a task's metadata; no text at all is an empty object. Its error
// is an *Error.
func Parse(text []byte) (*Metadata, error) {
	if len(bytes.TrimSpace(text)) == 0 {
		text = []byte("{}")
	}
	var raw struct {
		Description     string                     `json:"description"`
		InputMethod     string                     `json:"input_method"`
		SupportsNoop    bool                       `json:"supports_noop"`
		Private         bool                       `json:"private"`
		Remote          bool                       `json:"remote"`
		Parameters      map[string]json.RawMessage `json:"parameters"`
		Implementations []Implementation           `json:"implementations"`
		Files           []string                   `json:"files"`
	}
	if !json.Valid(text) {
		return nil, fail(KindUnparseableMetadata, "the metadata is not JSON")
	}
	if err := json.Unmarshal(text, &raw); err != nil {
		return nil, fail(KindInvalidMetadata, "the metadata is not what a task's is: %v", err)
	}
	m := &Metadata{Description: raw.Description, InputMethod: raw.InputMethod, SupportsNoop: raw.SupportsNoop, Private: raw.Private,
		Remote: raw.Remote, Implementations: raw.Implementations, Files: raw.Files, Typed: raw.Parameters != nil}
	var compact bytes.Buffer
	if err := json.Compact(&compact, text); err != nil {
		return nil, fail(KindUnparseableMetadata, "the metadata is not JSON: %v", err)
	}
	m.Raw = compact.Bytes()
	methods := []string{raw.InputMethod}
	files := slices.Clone(raw.Files)
	for _, i := range raw.Implementations {
		methods = append(methods, i.InputMethod)
		files = append(files, i.Files...)
		if i.Name == "" || strings.ContainsAny(i.Name, "/\\") {
			return nil, fail(KindInvalidMetadata, "the implementation %q is not the name of a file", i.Name)
		}
	}
	for _, method := range methods {
		if !slices.Contains([]string{"", Stdin, Environment, Both, PowerShell}, method) {
			return nil, fail(KindInvalidMetadata, "the input method %q is not stdin, environment, both or powershell", method)
		}
	}
	for _, f := range files {
		if !ValidFile(f) {
			return nil, fail(KindInvalidMetadata, "the file %q is not module/files, lib, scripts or tasks and a path below", f)
		}
	}
	var err error
	m.Parameters, err = ParseParameters(raw.Parameters)
	if err != nil {
		return nil, fail(KindInvalidMetadata, "%v", err)
	}
	return m, nil
}

// Shown is Raw as everybody may see it: the defaults of parameters that are
// secrets are null.
func (m *Metadata) Shown() (json.RawMessage, error) {
	secret := func(p Parameter) bool { return p.Sensitive && p.Default != nil }
	if !slices.ContainsFunc(m.Parameters, secret) {
		return m.Raw, nil
	}
	var members map[string]json.RawMessage
	var params map[string]map[string]json.RawMessage
	if err := json.Unmarshal(m.Raw, &members); err != nil {
		return nil, fmt.Errorf("metadata of a task: %w", err)
	}
	if err := json.Unmarshal(members["parameters"], &params); err != nil {
		return nil, fmt.Errorf("metadata of a task: %w", err)
	}
	for _, p := range m.Parameters {
		if secret(p) {
			params[p.Name]["default"] = json.RawMessage("null")
		}
	}
	text, err := Marshal(params)
	if err != nil {
		return nil, fmt.Errorf("metadata of a task: %w", err)
	}
	members["parameters"] = text
	return Marshal(members)
}

// ValidFile tells whether a name may be that of a shared file, or of a
// directory of such, which ends with a slash.
func ValidFile(name string) bool {
	return filePattern.MatchString(name) && !slices.Contains(strings.Split(name, "/"), "..") && !strings.Contains(name, "//") &&
		!strings.ContainsAny(name, "\\\x00")
}

// ParseParameters reads the parameters of a task's metadata, or of a plan's.
func ParseParameters(raw map[string]json.RawMessage) ([]Parameter, error) {
	var all []Parameter
	for name, text := range raw {
		if !paramPattern.MatchString(name) {
			return nil, fmt.Errorf("the parameter %q does not have the name of one: a lower-case letter, then letters, digits and _", name)
		}
		var p struct {
			Type        string          `json:"type"`
			Description string          `json:"description"`
			Default     json.RawMessage `json:"default"`
			Sensitive   bool            `json:"sensitive"`
		}
		if err := json.Unmarshal(text, &p); err != nil {
			return nil, fmt.Errorf("the parameter %s: %w", name, err)
		}
		one := Parameter{Name: name, Description: p.Description, Default: p.Default, Sensitive: p.Sensitive}
		if p.Type != "" {
			t, err := ptype.Parse(p.Type)
			if err != nil {
				return nil, fmt.Errorf("the parameter %s: %w", name, err)
			}
			one.Type = t
			one.Sensitive = one.Sensitive || t.Sensitive()
		}
		all = append(all, one)
	}
	sort.Slice(all, func(i, j int) bool { return all[i].Name < all[j].Name })
	return all, nil
}
