package config

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write goldens and docs/configuration.md anew")

const page = "../../../docs/configuration.md"

// TestDocs compares docs/configuration.md with what the comments in config.go
// say; `make docs` writes it.
func TestDocs(t *testing.T) {
	want := render(t)
	if *update {
		require.NoError(t, os.WriteFile(page, []byte(want), 0o644))
	}
	got, err := os.ReadFile(page)
	require.NoError(t, err)
	require.Equal(t, want, string(got), "docs/configuration.md is out of date: make docs")
}

const intro = `# Configuration

<!-- Made of the comments in cmd/internal/config/config.go by ` + "`make docs`" + `. Do not edit. -->

Dalang needs no configuration. What it is told comes, the weakest first, from

1. its defaults
2. ` + "`--config`" + `: PuppetDB's own ` + "`conf.d`" + ` (all its *.ini files), or one such file
3. the environment: ` + "`DALANG_LISTEN`" + ` for ` + "`dalang.listen`" + `, ` + "`DALANG_DATABASE_NODE_TTL`" + ` for ` + "`database.node-ttl`" + `
4. flags of ` + "`dalang serve`" + `: the ones named below, and ` + "`--set section.key=value`" + ` for every setting

` + "`dalang config show`" + `, with the flags of ` + "`serve`" + `, prints what is in effect and where each value comes from, as a file that
can be read back; ` + "`--changed`" + ` leaves out the defaults. ` + "`dalang config check`" + ` tells all that is wrong, and starts nothing.

Mistakes in a value, a setting given twice, and unknown settings in Dalang's own sections end the program with
status 2 and the files and lines of all of them. Settings of PuppetDB that Dalang has no use for are named in a warning.

A **duration** is a whole number and one of d, h, m, s, ms: ` + "`14d`" + `. A **size** is a number of bytes, or a whole
number with KiB, MiB or GiB. A **list** has commas. Section and key names may be in capitals.
`

func render(t *testing.T) string {
	docs := comments(t)
	flags := map[string]string{}
	for name, key := range Flags() {
		flags[key] = name
	}
	defaults := Default()
	var b strings.Builder
	b.WriteString(intro)
	section := ""
	root := reflect.TypeFor[Config]()
	for _, k := range Keys() {
		outer := root.Field(k.field[0])
		if k.Section != section {
			section = k.Section
			fmt.Fprintf(&b, "\n## [%s]\n\n%s\n\n| key | default | |\n|---|---|---|\n", section, docs["Config."+outer.Name])
		}
		doc := docs[outer.Type.Name()+"."+outer.Type.Field(k.field[1]).Name]
		require.NotEmpty(t, doc, "%s has no comment", k)
		if f := flags[k.String()]; f != "" {
			doc += " Flag: `--" + f + "`."
		}
		value := k.Text(&defaults)
		if value != "" {
			value = "`" + value + "`"
		}
		fmt.Fprintf(&b, "| `%s` (%s) | %s | %s |\n", k.Name, kind(k.Type), value, strings.ReplaceAll(doc, "|", "\\|"))
	}
	return b.String()
}

// kind is how the page calls a type.
func kind(goType string) string {
	switch goType {
	case "int":
		return "number"
	case "bool":
		return "true or false"
	case "string":
		return "text"
	}
	return goType
}

// comments reads the comments of the fields of structs in config.go, a line
// each, by Struct.Field.
func comments(t *testing.T) map[string]string {
	file, err := parser.ParseFile(token.NewFileSet(), "config.go", nil, parser.ParseComments)
	require.NoError(t, err)
	docs := map[string]string{}
	for _, decl := range file.Decls {
		gen, ok := decl.(*ast.GenDecl)
		if !ok || gen.Tok != token.TYPE {
			continue
		}
		for _, spec := range gen.Specs {
			typ := spec.(*ast.TypeSpec)
			fields, ok := typ.Type.(*ast.StructType)
			if !ok {
				continue
			}
			for _, f := range fields.Fields.List {
				docs[typ.Name.Name+"."+f.Names[0].Name] = strings.Join(strings.Fields(f.Doc.Text()), " ")
			}
		}
	}
	return docs
}
