package lint

import (
	"go/ast"
	"go/token"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestNoPackageState refuses package-level variables that can change: two
// tests, or two requests, would share them. Allowed are values that nobody
// assigns to again, made by one of
//
//   - a literal of a basic type, an array or a struct without references
//   - a call of a function in harmless, whose result cannot change
//   - a function literal whose result is no reference, called once
//   - //go:embed
//
// and interface assertions (var _ = …). A table of strings is a function with
// a switch, an array, or a function that returns a fresh slice. Tests may keep
// their flags and tables.
func TestNoPackageState(t *testing.T) {
	packages := map[string][]*source{}
	for _, s := range tree(t) {
		if !s.test() {
			packages[s.dir()] = append(packages[s.dir()], s)
		}
	}
	for _, files := range packages {
		for _, problem := range packageState(files) {
			t.Error(problem)
		}
	}
}

// packageState finds the changing variables of one package.
func packageState(files []*source) (problems []string) {
	names := map[string]*ast.ValueSpec{}
	for _, s := range files {
		for _, d := range s.file.Decls {
			gen, ok := d.(*ast.GenDecl)
			if !ok || gen.Tok != token.VAR {
				continue
			}
			for _, spec := range gen.Specs {
				v := spec.(*ast.ValueSpec)
				for i, name := range v.Names {
					if name.Name == "_" {
						continue
					}
					names[name.Name] = v
					if why := reference(v, i); why != "" && !embedded(gen, v) {
						problems = append(problems, s.at(name.Pos())+": package state: "+name.Name+" "+why)
					}
				}
			}
		}
	}
	for _, s := range files {
		for _, at := range assignments(s.file, names) {
			problems = append(problems, s.at(at)+": package state: a package-level variable is assigned to")
		}
	}
	return problems
}

// reference says why variable i of v may change, or nothing.
func reference(v *ast.ValueSpec, i int) string {
	if len(v.Values) == 0 {
		return "has no value yet"
	}
	if why := referenceType(v.Type); why != "" {
		return why
	}
	if len(v.Values) != len(v.Names) {
		return "is one of several results"
	}
	return referenceValue(v.Values[i])
}

// referenceType says why a type can be changed through a copy, or nothing.
func referenceType(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.ArrayType:
		if e.Len == nil {
			return "is a slice"
		}
		return referenceType(e.Elt)
	case *ast.MapType:
		return "is a map"
	case *ast.StarExpr:
		if of, ok := e.X.(*ast.SelectorExpr); ok && of.Sel.Name == "Regexp" {
			return "" // which never changes
		}
		return "is a pointer"
	case *ast.ChanType:
		return "is a channel"
	case *ast.StructType:
		for _, f := range e.Fields.List {
			if why := referenceType(f.Type); why != "" {
				return "has a field that " + why
			}
		}
	case *ast.SelectorExpr:
		if pkg, ok := e.X.(*ast.Ident); ok && (pkg.Name == "sync" || pkg.Name == "atomic") && e.Sel.Name != "Pool" {
			return "is of package " + pkg.Name
		}
	}
	return ""
}

// harmless are functions whose result cannot change. A sync.Pool carries
// nothing from one use to the next.
func harmless(pkg, name string) bool {
	switch pkg + "." + name {
	case "errors.New", "fmt.Errorf", "fmt.Sprintf", "regexp.MustCompile", "strings.NewReplacer", "template.Must",
		"sync.OnceValue", "sync.OnceValues", "time.Date", "time.Unix", "uuid.MustParse", "netip.MustParsePrefix":
		return true
	}
	return false
}

func referenceValue(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.CompositeLit:
		return referenceType(e.Type)
	case *ast.UnaryExpr:
		if e.Op == token.AND {
			return "is a pointer"
		}
	case *ast.CallExpr:
		switch fun := e.Fun.(type) {
		case *ast.FuncLit:
			for _, r := range fun.Type.Results.List {
				if why := referenceType(r.Type); why != "" {
					return why
				}
			}
			return ""
		case *ast.SelectorExpr:
			if pkg, ok := fun.X.(*ast.Ident); ok && harmless(pkg.Name, fun.Sel.Name) {
				return ""
			}
		}
		return "is the result of a call that may be anything"
	}
	return ""
}

// embedded tells whether the declaration is a //go:embed.
func embedded(gen *ast.GenDecl, v *ast.ValueSpec) bool {
	for _, doc := range []*ast.CommentGroup{gen.Doc, v.Doc} {
		if doc == nil {
			continue
		}
		for _, c := range doc.List {
			if len(c.Text) > 10 && c.Text[:10] == "//go:embed" {
				return true
			}
		}
	}
	return false
}

// assignments finds where a package-level variable, or a part of one, is
// assigned to. A name that the parser resolves within the file is package-level
// when that is its declaration; one that it does not resolve is of another file.
func assignments(file *ast.File, names map[string]*ast.ValueSpec) (at []token.Pos) {
	global := func(e ast.Expr) bool {
		for {
			switch x := e.(type) {
			case *ast.IndexExpr:
				e = x.X
			case *ast.SelectorExpr:
				e = x.X
			case *ast.ParenExpr:
				e = x.X
			case *ast.Ident:
				spec, ok := names[x.Name]
				return ok && (x.Obj == nil || x.Obj.Decl == spec)
			default:
				return false
			}
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.AssignStmt:
			for _, left := range n.Lhs {
				if n.Tok != token.DEFINE && global(left) {
					at = append(at, n.Pos())
				}
			}
		case *ast.IncDecStmt:
			if global(n.X) {
				at = append(at, n.Pos())
			}
		}
		return true
	})
	return at
}

// TestPackageStateRule: what the rule finds and what it lets pass.
func TestPackageStateRule(t *testing.T) {
	find := func(texts ...string) []string {
		var files []*source
		for i, text := range texts {
			files = append(files, parsed(t, filepath.Join("p", string(rune('a'+i))+".go"), "package p\n"+text))
		}
		return packageState(files)
	}
	for _, bad := range []string{
		"var a int", "var a = map[string]int{}", "var a = []int{1}", "var a = &T{}", "var a = make(chan int)", "var a sync.Mutex",
		"var a = sync.Map{}", "var a atomic.Int64", "var a *int = nil", "var a = [2][]int{}", "var a = f()", "var a, _ = g()",
		"var a = struct{ m map[string]int }{}", "var a = func() map[string]int { return nil }()", "var a = new(int)",
	} {
		require.Len(t, find(bad), 1, bad)
	}
	for _, good := range []string{
		"var _ I = (*T)(nil)", `var ErrX = errors.New("x")`, "var a = regexp.MustCompile(`x`)", "var a = [2]int{1, 2}", "var a = time.Second",
		"//go:embed x\nvar a embed.FS", "var a = sync.Pool{New: nil}", "var a = func() (t [2]int) { return }()", "var a T = 1", "var a = [...]struct{ r *regexp.Regexp }{}",
		"const a = 1\nfunc f() { b := map[int]int{}; b[1] = 2 }", "var a = 1\nfunc f() { a := 2; a = 3; _ = a }",
	} {
		require.Empty(t, find(good), good)
	}
	require.Equal(t, []string{"p/a.go:3: package state: a package-level variable is assigned to"}, find("var a = 1\nfunc f() { a = 2 }"))
	require.Len(t, find("var a = [2]int{}", "func f() { a[1]++ }"), 1)
	require.Len(t, find("var a = T{}", "func f(b int) { a.x, b = 1, 2 }"), 1)
}
