package lint

import (
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"dalang/orchestrator/job"
	"dalang/orchestrator/secret"
	"dalang/server"
	"dalang/server/orch"
	"dalang/server/pdb"
	"dalang/store/query"
)

var update = flag.Bool("update", false, "write the generated pages anew")

// golden compares a page in docs/ with what it should say; `make docs` writes it.
func golden(t *testing.T, page, want string) {
	t.Helper()
	path := filepath.Join(root, "docs", page)
	if *update {
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(want), 0o644))
	}
	got, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, want, string(got), "docs/%s is out of date: make docs", page)
}

// routes is the table that `dalang serve` mounts.
func routes(t *testing.T) []pdb.Route {
	type (
		jobs         = orch.Jobs
		environments = orch.Environments
		schedules    = orch.Schedules
		tasks        = orch.TaskSource
		targets      = orch.TaskTargets
		usage        = orch.Usage
	)
	api, err := orch.New(orch.Config{
		Engine: struct{ orch.Engine }{}, Jobs: struct{ jobs }{}, Inventory: struct{ orch.Inventory }{},
		Environments: struct{ environments }{}, Schedules: struct{ schedules }{}, Tasks: struct{ tasks }{}, TaskTargets: struct{ targets }{},
		Usage: struct{ usage }{}, Authenticate: func(*http.Request) (orch.Subject, error) { return nil, nil },
	})
	require.NoError(t, err)
	connections, err := orch.NewConnections(api, struct{ orch.ConnectionStore }{}, &secret.Keeper{})
	require.NoError(t, err)
	return server.Table(server.Handlers{
		Commands: &pdb.Commands{}, Admin: &pdb.Admin{}, Meta: &pdb.Meta{}, Status: &pdb.Status{}, Metrics: &pdb.Metrics{},
		More:         []server.Router{pdb.NewQueries(pdb.QueryConfig{}), pdb.NewDLO(nil, nil)},
		Orchestrator: []server.Companion{api, connections, orch.NewRBAC(nil, nil), orch.NewClassifier(nil, nil, nil)},
		Broker:       http.NotFoundHandler(), Files: http.NotFoundHandler(),
	})
}

func TestDocsRoutes(t *testing.T) {
	var b strings.Builder
	b.WriteString("# Routes\n\n<!-- Made of the route table by `make docs`. Do not edit. -->\n\n" +
		"In the order in which they are tried. HEAD is answered where GET is.\n\n| method | path | |\n|---|---|---|\n")
	pattern := regexp.MustCompile(`\{([a-z]+):(?:[^{}]|\{[^{}]*\})*\}`)
	for _, r := range routes(t) {
		var methods []string
		for _, m := range r.Methods {
			if m != "HEAD" {
				methods = append(methods, m)
			}
		}
		if methods == nil {
			methods = []string{"any"}
		}
		require.NotEmpty(t, r.Doc, "%s says nothing about itself", r.Path)
		fmt.Fprintf(&b, "| %s | `%s` | %s |\n", strings.Join(methods, ", "), pattern.ReplaceAllString(r.Path, "{$1}"), r.Doc)
	}
	golden(t, "api/routes.md", b.String())
}

func TestDocsMetrics(t *testing.T) {
	declared := regexp.MustCompile(`"(dalang_[a-z0-9_]+)",\s*(?:Help:\s*)?"([^"]+)"`)
	help := map[string]string{}
	for _, s := range tree(t) {
		if s.test() {
			continue
		}
		for _, m := range declared.FindAllStringSubmatch(string(s.text), -1) {
			help[m[1]] = m[2]
		}
	}
	// Made in a loop.
	help["dalang_store_database_bytes"] = "Size of the SQLite file."
	help["dalang_store_wal_bytes"] = "Size of its write-ahead log."
	names := make([]string, 0, len(help))
	for name := range help {
		names = append(names, name)
	}
	sort.Strings(names)
	var b strings.Builder
	b.WriteString("# Metrics\n\n<!-- Made of the declarations by `make docs`. Do not edit. -->\n\n" +
		"At `/metrics`, beside those of the Go runtime (`go_*`) and of the process (`process_*`). " +
		"The same numbers under PuppetDB's names are at `/metrics/v2`.\n\n| name | |\n|---|---|\n")
	for _, name := range names {
		fmt.Fprintf(&b, "| `%s` | %s |\n", name, help[name])
	}
	golden(t, "metrics.md", b.String())

	used := regexp.MustCompile(`Name:\s*"(dalang_[a-z0-9_]*[a-z0-9])"`)
	for _, s := range tree(t) {
		for _, m := range used.FindAllStringSubmatch(string(s.text), -1) {
			if _, ok := help[m[1]]; !ok && !s.test() {
				t.Errorf("%s: metric %s is declared in a way that docs/metrics.md does not see: put Help right after Name", s.path, m[1])
			}
		}
	}
}

func TestDocsEntities(t *testing.T) {
	var b strings.Builder
	b.WriteString("# Entities\n\n<!-- Made of the entity tables by `make docs`. Do not edit. -->\n\n" +
		"What can be [queried](query.md). *Asked for* fields may be compared and ordered by; *shown* ones are part of a row, and may be extracted. " +
		"*Belongs to a node* tells that `node_state`, `[\"node\", \"active\"]` and `[\"fact\", …]` may be asked for too, and that rows of dead nodes are left out. " +
		"*Leads to* are the entities that an implicit subquery may name, with the fields that are equal.\n")
	list := append(query.Entities(), query.Extensions()...)
	for _, e := range list {
		require.NotEmpty(t, e.About, "%s says nothing about itself", e.Name)
		fmt.Fprintf(&b, "\n## %s\n\n%s", e.Name, e.About)
		if e.Node {
			b.WriteString(" Belongs to a node.")
		}
		if leads := relations(e); leads != "" {
			b.WriteString(" Leads to " + leads + ".")
		}
		b.WriteString("\n\n| field | type | asked for | shown | |\n|---|---|---|---|---|\n")
		for _, f := range e.Fields {
			require.NotEmpty(t, f.About, "%s.%s says nothing about itself", e.Name, f.Name)
			kind := f.Type.String()
			if !f.NotNull && f.Queryable {
				kind += "?"
			}
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", f.Name, kind, tick(f.Queryable), tick(f.Shown), f.About)
		}
	}
	b.WriteString("\nA type with a question mark may be null.\n")
	golden(t, "api/entities.md", b.String())
}

// TestDocsStates: the table by which jobs and runs of nodes move is the doc.
func TestDocsStates(t *testing.T) {
	var b strings.Builder
	b.WriteString("# States of jobs and nodes\n\n<!-- Made of the table of moves by `make docs`. Do not edit. -->\n\n" +
		"The whole table: a move that is not in it does not happen. Each is one conditional update, in one transaction with the " +
		"[event](orchestrator.md#events) that it writes. A state that is never left is an end.\n")
	for _, of := range []struct {
		what   job.Subject
		title  string
		states []job.State
	}{{job.OfJob, "Jobs", job.JobStates()}, {job.OfNode, "Nodes", job.NodeStates()}} {
		var ends []string
		for _, s := range of.states {
			if s.Terminal() {
				ends = append(ends, "`"+string(s)+"`")
			}
		}
		fmt.Fprintf(&b, "\n## %s\n\nIt begins as `%s`; ends are %s.\n\n| from | to | event | when |\n|---|---|---|---|\n", of.title, of.states[0], strings.Join(ends, ", "))
		for _, m := range job.Moves() {
			event := ""
			if m.Event != "" {
				event = "`" + m.Event + "`"
			}
			if m.Of == of.what {
				fmt.Fprintf(&b, "| `%s` | `%s` | %s | %s |\n", m.From, m.To, event, m.When)
			}
		}
	}
	golden(t, "api/states.md", b.String())
}

func tick(yes bool) string {
	if yes {
		return "yes"
	}
	return ""
}

// relations lists where implicit subqueries lead, those over the same fields together.
func relations(e query.EntityInfo) string {
	var order []string
	over := map[string][]string{}
	for _, r := range e.Relations {
		by := "`" + strings.Join(r.Local, "`, `") + "`"
		if foreign := "`" + strings.Join(r.Foreign, "`, `") + "`"; foreign != by {
			by += " = " + foreign
		}
		if over[by] == nil {
			order = append(order, by)
		}
		over[by] = append(over[by], r.Target)
	}
	for i, by := range order {
		sort.Strings(over[by])
		order[i] = strings.Join(over[by], ", ") + " (" + by + ")"
	}
	return strings.Join(order, "; ")
}

// TestDocsAreLinked wants README.md to link every page in docs/, and every page
// below it to be reachable from there.
func TestDocsAreLinked(t *testing.T) {
	readme, err := os.ReadFile(filepath.Join(root, "README.md"))
	require.NoError(t, err)
	direct, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	require.NoError(t, err)
	for _, page := range direct {
		if name := filepath.Base(page); !strings.Contains(string(readme), "(docs/"+name+")") {
			t.Errorf("README.md does not link docs/%s", name)
		}
	}
	reached := map[string]bool{}
	var follow func(page string)
	follow = func(page string) {
		if reached[page] || filepath.Ext(page) != ".md" {
			return
		}
		text, err := os.ReadFile(page)
		if err != nil {
			return // told by TestLinks
		}
		reached[page] = true
		for _, m := range link().FindAllStringSubmatch(string(text), -1) {
			follow(filepath.Join(filepath.Dir(page), m[1]))
		}
	}
	follow(filepath.Join(root, "README.md"))
	below, err := filepath.Glob(filepath.Join(root, "docs", "*", "*.md"))
	require.NoError(t, err)
	for _, page := range below {
		if !reached[page] {
			t.Errorf("no link leads from README.md to %s", strings.TrimPrefix(page, root+"/"))
		}
	}
}

// link is a relative link in Markdown.
func link() *regexp.Regexp { return regexp.MustCompile(`\]\(([^)#:]+)(?:#[^)]*)?\)`) }

// TestLinks wants relative links in Markdown to lead somewhere.
func TestLinks(t *testing.T) {
	pages := []string{filepath.Join(root, "README.md")}
	for _, pattern := range []string{"*.md", "*/*.md"} {
		more, err := filepath.Glob(filepath.Join(root, "docs", pattern))
		require.NoError(t, err)
		pages = append(pages, more...)
	}
	for _, page := range pages {
		text, err := os.ReadFile(page)
		require.NoError(t, err)
		for _, m := range link().FindAllStringSubmatch(string(text), -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(page), m[1])); err != nil {
				t.Errorf("%s links to %s, which is not there", page, m[1])
			}
		}
	}
}

// TestDocsSpeakOfRealMetrics: an alert on a metric that is not there never fires.
func TestDocsSpeakOfRealMetrics(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(root, "docs", "metrics.md"))
	require.NoError(t, err)
	prose, err := os.ReadFile(filepath.Join(root, "docs", "operations.md"))
	require.NoError(t, err)
	for _, name := range regexp.MustCompile(`dalang_(?:commands|queue|dlo|http|store|query)_[a-z_]+[a-z]`).FindAllString(string(prose), -1) {
		if !strings.Contains(string(page), "`"+name+"`") {
			t.Errorf("docs/operations.md speaks of %s, which is no metric", name)
		}
	}
}

// TestMakefileExplainsItself: `make help` lists the targets that have a ##.
func TestMakefileExplainsItself(t *testing.T) {
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	require.NoError(t, err)
	targets := regexp.MustCompile(`(?m)^([A-Za-z0-9_-]+):(?:[^=].*)?$`).FindAllStringSubmatch(string(makefile), -1)
	require.NotEmpty(t, targets)
	for _, m := range targets {
		if !regexp.MustCompile(`^[a-z-]+:.*? ## .`).MatchString(m[0]) {
			t.Errorf("Makefile: target %s says nothing about itself, or has a name that `make help` does not list", m[1])
		}
		if !strings.Contains(string(makefile), "\n.PHONY: "+m[1]+"\n") {
			t.Errorf("Makefile: target %s is not .PHONY", m[1])
		}
	}
}
