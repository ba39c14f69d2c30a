package lint

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const root = "../../.."

// Sizes that nothing may exceed.
const (
	maxFile     = 600
	maxFunction = 80
)

// source is one Go file of the tree.
type source struct {
	path string // from the root, with slashes
	text []byte
	set  *token.FileSet
	file *ast.File
}

func (s *source) test() bool { return strings.HasSuffix(s.path, "_test.go") }

// dir is the package's directory from the root.
func (s *source) dir() string { return filepath.ToSlash(filepath.Dir(s.path)) }

func (s *source) at(p token.Pos) string {
	return fmt.Sprintf("%s:%d", s.path, s.set.Position(p).Line)
}

// tree parses all Go files.
func tree(t *testing.T) []*source {
	t.Helper()
	var all []*source
	require.NoError(t, filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name := d.Name(); d.IsDir() && path != root && (strings.HasPrefix(name, ".") || name == "testdata" || name == "data" || name == "bin") {
			return filepath.SkipDir
		}
		if filepath.Ext(path) != ".go" {
			return nil
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		all = append(all, parsed(t, rel, string(text)))
		return nil
	}))
	require.NotEmpty(t, all)
	return all
}

// parsed reads the text of one file.
func parsed(t *testing.T, path, text string) *source {
	t.Helper()
	s := &source{path: filepath.ToSlash(path), text: []byte(text), set: token.NewFileSet()}
	var err error
	s.file, err = parser.ParseFile(s.set, s.path, s.text, parser.ParseComments)
	require.NoError(t, err)
	return s
}

func TestFormat(t *testing.T) {
	for _, s := range tree(t) {
		formatted, err := format.Source(s.text)
		require.NoError(t, err, s.path)
		if !bytes.Equal(formatted, s.text) {
			t.Errorf("%s is not gofmt'ed", s.path)
		}
	}
}

func TestSizes(t *testing.T) {
	for _, s := range tree(t) {
		if n := bytes.Count(s.text, []byte("\n")); n > maxFile {
			t.Errorf("%s has %d lines; at most %d", s.path, n, maxFile)
		}
		for _, d := range s.file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || f.Body == nil {
				continue
			}
			// A test's table is as long as it needs to be.
			if n := s.set.Position(f.End()).Line - s.set.Position(f.Pos()).Line + 1; n > maxFunction && !s.test() {
				t.Errorf("%s: %s has %d lines; at most %d", s.at(f.Pos()), f.Name.Name, n, maxFunction)
			}
		}
	}
}

// TestDocstrings wants a comment on everything that other packages see.
func TestDocstrings(t *testing.T) {
	for _, s := range tree(t) {
		if s.test() {
			continue
		}
		for _, d := range s.file.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Name.IsExported() && d.Doc == nil && exportedReceiver(d) && !wellKnown(s, d) {
					t.Errorf("%s: %s has no comment", s.at(d.Pos()), d.Name.Name)
				}
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					typ, ok := spec.(*ast.TypeSpec)
					if ok && typ.Name.IsExported() && d.Doc == nil && typ.Doc == nil && typ.Comment == nil {
						t.Errorf("%s: type %s has no comment", s.at(typ.Pos()), typ.Name.Name)
					}
				}
			}
		}
	}
}

// exportedReceiver is false for methods of types that others do not see.
func exportedReceiver(f *ast.FuncDecl) bool {
	if f.Recv == nil {
		return true
	}
	typ := f.Recv.List[0].Type
	if star, ok := typ.(*ast.StarExpr); ok {
		typ = star.X
	}
	name, ok := typ.(*ast.Ident)
	return ok && name.IsExported()
}

// wellKnown methods need no words.
func wellKnown(s *source, f *ast.FuncDecl) bool {
	if f.Recv != nil && bytes.Count(s.text[f.Pos()-1:f.End()-1], []byte("\n")) == 0 {
		return true // a method of one line says it all
	}
	switch f.Name.Name {
	case "Error", "Unwrap", "Is", "String", "Close", "Len", "Read", "Write":
		return f.Recv != nil
	}
	return false
}

// TestNoInit refuses init functions: they have effects that nobody asked for.
func TestNoInit(t *testing.T) {
	for _, s := range tree(t) {
		for _, d := range s.file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
				t.Errorf("%s: no init functions", s.at(f.Pos()))
			}
		}
	}
}

// layers are the packages that a package may import, tests aside; a name ends
// with /... for all below it. Imports point down only.
func layers() map[string][]string {
	leaves := []string{"wireformat"}
	return map[string][]string{
		"cmd/...":          {"..."},
		"server":           {"server/...", "commands", "commands/...", "wireformat", "orchestrator/job"},
		"server/...":       {"commands", "commands/...", "dlo", "store/query", "store/query/...", "wireformat", "orchestrator", "orchestrator/..."},
		"commands":         {"commands/...", "wireformat", "wireformat/gunzip"},
		"commands/outcome": leaves, "commands/queue": leaves,
		"commands/queue/faultfs": {"commands/queue"},
		"dlo":                    {"commands", "commands/...", "wireformat"},
		"dlo/...":                {"dlo", "commands", "wireformat"},
		"orchestrator":           {"orchestrator/...", "store/query", "store/query/...", "wireformat"},
		"orchestrator/...":       {"orchestrator/...", "wireformat"},
		"orchestrator/job":       nil,
		"orchestrator/planjob":   {"orchestrator", "orchestrator/..."}, // above the engine
		"store":                  {"store/...", "commands/outcome", "orchestrator/job", "orchestrator/rbac", "orchestrator/classifier", "orchestrator/schedule", "wireformat"},
		"store/dialect":          {"store/migrations", "store/query/sqlfunc"},
		"store/migrations":       nil,
		"store/storetest":        {"store", "store/...", "commands/outcome", "orchestrator/job", "orchestrator/rbac", "orchestrator/classifier", "orchestrator/schedule", "wireformat"},
		"store/query":            {"store/query/...", "wireformat"},
		"store/query/...":        {"store/query", "store/query/...", "wireformat"},
		"wireformat":             {"wireformat/gunzip"},
		"wireformat/gunzip":      nil,
	}
}

func TestImportDirections(t *testing.T) {
	rules := layers()
	for _, s := range tree(t) {
		if s.test() {
			continue
		}
		allowed, ok := ruleFor(rules, s.dir())
		if !ok {
			t.Errorf("%s: cmd/internal/lint has no rule for this package", s.path)
			continue
		}
		for _, i := range s.file.Imports {
			path, err := strconv.Unquote(i.Path.Value)
			require.NoError(t, err)
			path, ours := strings.CutPrefix(path, "dalang/")
			if ours && !matches(allowed, path) {
				t.Errorf("%s: %s must not import %s", s.at(i.Pos()), s.dir(), path)
			}
		}
	}
}

// ruleFor finds the rule with the longest name that covers dir.
func ruleFor(rules map[string][]string, dir string) ([]string, bool) {
	if allowed, ok := rules[dir]; ok {
		return allowed, true
	}
	for up := dir; up != "."; {
		up = filepath.ToSlash(filepath.Dir(up))
		if allowed, ok := rules[up+"/..."]; ok {
			return allowed, true
		}
	}
	return nil, false
}

func matches(allowed []string, path string) bool {
	for _, a := range allowed {
		if prefix, below := strings.CutSuffix(a, "..."); a == path || below && strings.HasPrefix(path, prefix) {
			return true
		}
	}
	return false
}
