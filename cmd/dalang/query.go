package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"dalang/cmd/internal/client"
	"dalang/store/query"
)

// queryCLI is `dalang query`.
type queryCLI struct {
	remote  client.Flags
	data    string
	server  *settings // of the server whose data it is
	file    string
	output  string
	explain bool
	limit   int64
	offset  int64
	orderBy []string
	timeout time.Duration

	load func(client.Options) (client.Settings, error)
}

// newQueryCommand makes `dalang query`.
func newQueryCommand() *cobra.Command { return (&queryCLI{load: client.Load}).command() }

const queryLong = `Ask the database, in PQL or in AST:

  dalang query 'nodes[certname]{catalog_environment = "production"}'
  dalang query '["from", "nodes", ["extract", "certname"]]'

The query is the argument; @FILE or --file FILE reads it from a file, - or
nothing at all from standard input.

Asks the running server: the one that --server or DALANG_SERVER names, else the
one of ~/.puppetlabs/client-tools/puppetdb.conf,
/etc/puppetlabs/client-tools/puppetdb.conf or the termini's puppetdb.conf, else
` + client.DefaultURL + `. Any PuppetDB will do. With --data it reads the data
directory itself, whether a server works with it or not, and changes nothing;
--config and --set tell it the server's settings, as they tell 'dalang serve'
(node-purge-ttl, add-agent-report-filter), and the environment (DALANG_*) does.

Rows are printed as they come, so that an answer may be larger than memory. As
  table   columns, cut to the width of the terminal (the default on one)
  json    an array, a row on each line (the default elsewhere)
  ndjson  a row on each line, and nothing else
  csv     comma-separated values under a line of names; what is no text or
          number as JSON
  pretty  YAML, for people

Exit status: 0 when the query was answered, 2 when the query or the command line
is wrong, 1 when it could not be answered.`

func (c *queryCLI) command() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "query [QUERY]",
		Short: "Ask the database, in PQL or AST",
		Long:  queryLong,
		Example: `  dalang query 'nodes[certname, latest_report_status]{order by certname}'
  dalang query -o csv 'inventory[certname, facts.os.release.full]{}' > os.csv
  dalang query -o ndjson 'resources{type = "User" and exported = true}' | jq -r .title
  dalang query --data /var/lib/dalang @unused-classes.pql`,
		Args:              oneQuery,
		ValidArgsFunction: c.completePQL,
		RunE:              func(cmd *cobra.Command, args []string) error { return c.run(cmd, args) },
	}
	f := cmd.Flags()
	c.remote.AddTo(f)
	f.StringVar(&c.data, "data", "", "data `directory` to read instead of asking a server")
	c.server = addConfig(cmd, "; with --data")
	f.StringVarP(&c.file, "file", "f", "", "`file` with the query; -: standard input")
	f.StringVarP(&c.output, "output", "o", "", "how to print: "+strings.Join(formats(), ", "))
	f.BoolVar(&c.explain, "explain", false, "print how the database would answer, instead of rows")
	f.Int64Var(&c.limit, "limit", 0, "`rows` to print at most, whatever the query says; 0: as it says")
	f.Int64Var(&c.offset, "offset", 0, "`rows` to step over")
	f.StringSliceVar(&c.orderBy, "order-by", nil, "`field` to sort by, with a minus in front or desc behind it downwards; repeatable, or with commas")
	f.DurationVar(&c.timeout, "timeout", 0, "how long the answer may take; 0: as long as the server allows")
	cmd.MarkFlagsMutuallyExclusive("server", "data")
	_ = cmd.MarkFlagDirname("data")
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(formats(), cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("order-by", completeOrder)
	for _, name := range []string{"server", "limit", "offset", "timeout"} {
		_ = cmd.RegisterFlagCompletionFunc(name, cobra.NoFileCompletions)
	}
	return cmd
}

// oneQuery wants one argument at most; more are a query without quotes.
func oneQuery(cmd *cobra.Command, args []string) error {
	if len(args) > 1 {
		return &usageError{hinted(cmd, fmt.Errorf("the query is %d arguments: put it in quotes", len(args)))}
	}
	return nil
}

// question is a query with all that is asked beside it.
type question struct {
	text    string
	name    string // of the file it comes from, or ""
	paging  query.Paging
	explain bool
	timeout time.Duration // 0: as long as may be
}

func (c *queryCLI) run(cmd *cobra.Command, args []string) error {
	q, err := c.question(cmd, args)
	if err != nil {
		return err
	}
	out := newOutput(cmd.OutOrStdout())
	p, err := newPrinter(c.output, out, columnsOf(q))
	if err != nil {
		return err
	}
	if c.explain && c.output == "" {
		p = &planPrinter{out: out}
	}
	from, err := c.open(cmd.Context())
	if err != nil {
		return err
	}
	err = from.ask(cmd.Context(), q, p.row)
	// What came is printed, even when the answer breaks off.
	if e := p.end(err == nil); err == nil {
		err = e
	}
	if e := out.Flush(); err == nil {
		err = e
	}
	if e := from.Close(); err == nil {
		err = e
	}
	return told(q, err)
}

// question puts together what is asked.
func (c *queryCLI) question(cmd *cobra.Command, args []string) (q question, err error) {
	q.explain, q.timeout = c.explain, c.timeout
	if q.text, q.name, err = c.text(cmd.InOrStdin(), args); err != nil {
		return q, &usageError{err}
	}
	switch {
	case c.limit < 0:
		return q, &usageError{fmt.Errorf("--limit must not be negative, but is %d", c.limit)}
	case c.offset < 0:
		return q, &usageError{fmt.Errorf("--offset must not be negative, but is %d", c.offset)}
	case c.timeout < 0:
		return q, &usageError{fmt.Errorf("--timeout must not be negative, but is %s", c.timeout)}
	}
	if c.limit > 0 {
		q.paging.Limit = &c.limit
	}
	if cmd.Flags().Changed("offset") {
		q.paging.Offset = &c.offset
	}
	for _, text := range c.orderBy {
		o, err := parseOrder(text)
		if err != nil {
			return q, &usageError{err}
		}
		q.paging.OrderBy = append(q.paging.OrderBy, o)
	}
	return q, nil
}

// parseOrder reads a sort key: name, -name, name desc.
func parseOrder(text string) (o query.Order, err error) {
	words := strings.Fields(text)
	if len(words) == 2 {
		switch strings.ToLower(words[1]) {
		case "asc":
		case "desc":
			o.Desc = true
		default:
			return o, fmt.Errorf("--order-by %s: want asc or desc behind the field", text)
		}
	}
	if len(words) == 0 || len(words) > 2 {
		return o, fmt.Errorf("--order-by %q: want a field, and perhaps asc or desc", text)
	}
	var down bool
	if o.Field, down = strings.CutPrefix(words[0], "-"); down {
		o.Desc = true
	}
	return o, nil
}

// told explains an error: a mistake in the query shows where it is.
func told(q question, err error) error {
	var refused *client.Error
	var wrong *mistake
	switch {
	case errors.As(err, &refused) && refused.Status == http.StatusBadRequest:
		return &usageError{showMistake(q, refused.Message)}
	case errors.As(err, &wrong):
		return &usageError{showMistake(q, wrong.text)}
	}
	return err
}

// open opens what is asked.
func (c *queryCLI) open(ctx context.Context) (source, error) {
	if c.data != "" {
		loaded, err := c.server.loadWith(nil)
		if err != nil {
			return nil, err
		}
		return openData(ctx, c.data, &loaded.Config)
	}
	if c.server != nil && (c.server.path != "" || c.server.set != nil) {
		return nil, &usageError{errors.New("--config and --set go with --data: a server has settings of its own")}
	}
	s, err := c.load(client.Options{Flags: c.remote})
	if err != nil {
		return nil, &usageError{err}
	}
	s.Patience = -1 // the server limits how long queries take
	http, err := client.New(s.Config)
	if err != nil {
		return nil, &usageError{fmt.Errorf("%w (settings of %s)", err, s.Origin)}
	}
	return &remoteDB{client: http, settings: s}, nil
}
