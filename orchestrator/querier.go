package orchestrator

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"dalang/orchestrator/classifier"
	"dalang/orchestrator/job"
	"dalang/store/query"
	"dalang/store/query/ast"
	"dalang/store/query/pql"
)

// Queries is a Querier over the query engine of this process.
type Queries struct{ engine *query.Engine }

// NewQuerier makes a Querier of the query engine.
func NewQuerier(engine *query.Engine) *Queries { return &Queries{engine} }

// Certnames implements Querier.
func (q *Queries) Certnames(ctx context.Context, text json.RawMessage) ([]string, error) {
	v, err := ast.Read(string(text))
	if err != nil {
		return nil, job.Query("The query of the scope is invalid: %v", err)
	}
	switch v.Kind {
	case ast.String:
		if v, err = pql.Parse(v.Text); err != nil {
			return nil, job.Query("The query of the scope is invalid: %v", err)
		}
	case ast.Array:
	default:
		return nil, job.Query("The query of the scope must be a PQL string or an AST array")
	}
	return q.certnames(ctx, v)
}

// InEnvironment implements Querier.
func (q *Queries) InEnvironment(ctx context.Context, environment string) ([]string, error) {
	str, list := ast.Str, ast.List
	is := func(field string) ast.Value { return list(str("="), str(field), str(environment)) }
	none := func(field string) ast.Value { return list(str("null?"), str(field), ast.Boolean(true)) }
	return q.certnames(ctx, list(str("from"), str("nodes"), list(str("extract"), list(str("certname")), list(str("or"),
		is("catalog_environment"),
		list(str("and"), none("catalog_environment"), is("report_environment")),
		list(str("and"), none("catalog_environment"), none("report_environment"), is("facts_environment")))),
		list(str("order_by"), list(str("certname")))))
}

// Seen implements Querier.
func (q *Queries) Seen(ctx context.Context, environment string) (bool, error) {
	found := false
	named := ast.List(ast.Str("="), ast.Str("name"), ast.Str(environment))
	err := q.run(ctx, request("environments", named), rows(func([]byte) error { found = true; return nil }))
	return found, err
}

// Environments lists those that something stored is of, by name.
func (q *Queries) Environments(ctx context.Context) ([]string, error) {
	var names []string
	query := ast.List(ast.Str("extract"), ast.List(ast.Str("name")))
	err := q.run(ctx, request("environments", query), rows(func(text []byte) error {
		var row struct{ Name string }
		err := json.Unmarshal(text, &row)
		names = append(names, row.Name)
		return err
	}))
	slices.Sort(names)
	return names, err
}

// Classes are those of Puppet in the latest catalogs of active nodes, by
// environment and name, in the language's own spelling. Stage[main]'s and the
// settings are none.
func (q *Queries) Classes(ctx context.Context) ([]classifier.Class, error) {
	str, list := ast.Str, ast.List
	query := list(str("extract"), list(str("title"), str("environment"), list(str("function"), str("count"))),
		list(str("and"), list(str("="), str("type"), str("Class")), list(str("="), list(str("node"), str("active")), ast.Boolean(true))),
		list(str("group_by"), str("title"), str("environment")))
	var all []classifier.Class
	err := q.run(ctx, request("resources", query), rows(func(text []byte) error {
		var row struct{ Title, Environment string }
		err := json.Unmarshal(text, &row)
		if name := strings.ToLower(row.Title); name != "main" && name != "settings" {
			all = append(all, classifier.Class{Name: name, Environment: row.Environment})
		}
		return err
	}))
	slices.SortFunc(all, func(a, b classifier.Class) int {
		return cmp.Or(strings.Compare(a.Environment, b.Environment), strings.Compare(a.Name, b.Name))
	})
	return slices.Compact(all), err
}

func request(entity string, v ast.Value) query.Request {
	return query.Request{Entity: entity, Query: &v, ActiveOnly: entity == "", Origin: "orchestrator"}
}

func (q *Queries) certnames(ctx context.Context, v ast.Value) ([]string, error) {
	var certnames []string
	seen := map[string]bool{}
	err := q.run(ctx, request("", v), rows(func(text []byte) error {
		var row struct{ Certname *string }
		if json.Unmarshal(text, &row) != nil || row.Certname == nil {
			return job.Query("The query of the scope must give rows with a certname, and gives %.80s", text)
		}
		if !seen[*row.Certname] {
			seen[*row.Certname] = true
			certnames = append(certnames, *row.Certname)
		}
		return nil
	}))
	return certnames, err
}

// run classifies what can go wrong: the query's fault, or the world's.
func (q *Queries) run(ctx context.Context, r query.Request, sink query.Sink) error {
	err := q.engine.Run(ctx, r, sink)
	var known *job.Error
	var mistake *query.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &known):
		return known
	case errors.As(err, &mistake):
		return job.Query("The query of the scope is invalid: %v", mistake)
	}
	return job.PuppetDB(fmt.Errorf("run a query: %w", err))
}

// rows is a sink that looks at each row.
type rows func(text []byte) error

func (rows) Begin(query.Head) error  { return nil }
func (r rows) Row(text []byte) error { return r(text) }
