package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"dalang/cmd/internal/client"
	"dalang/cmd/internal/config"
	"dalang/store"
	"dalang/store/query"
	"dalang/store/query/ast"
	"dalang/store/query/pql"
)

// source answers queries: a server (*remoteDB), or the files of one (*localDB).
type source interface {
	// ask calls row for each row of the answer; the bytes are row's until it
	// returns. A query that cannot be understood is a *mistake, or an
	// *client.Error of status 400.
	ask(ctx context.Context, q question, row func([]byte) error) error
	Close() error
}

// mistake is what is wrong with a query.
type mistake struct{ text string }

func (m *mistake) Error() string { return m.text }

// origin is how queries of this command are called in the server's log.
const origin = "dalang query"

// remoteDB is a running server.
type remoteDB struct {
	client   *client.Client
	settings client.Settings
}

func (r *remoteDB) Close() error { return r.client.Close() }

func (r *remoteDB) ask(ctx context.Context, q question, row func([]byte) error) error {
	body, err := json.Marshal(parameters(q))
	if err != nil {
		return err
	}
	res, err := r.client.Do(ctx, client.Request{Path: "/pdb/query/v4", Body: body})
	if err != nil {
		return r.explained(err)
	}
	defer res.Body.Close() // read only: nothing to lose
	return readRows(res.Body, row)
}

// parameters are those of a POST.
func parameters(q question) map[string]any {
	p := map[string]any{"query": q.text, "origin": origin}
	if q.paging.Limit != nil {
		p["limit"] = *q.paging.Limit
	}
	if q.paging.Offset != nil {
		p["offset"] = *q.paging.Offset
	}
	if q.explain {
		p["explain"] = "analyze"
	}
	if q.timeout > 0 {
		p["timeout"] = strconv.FormatFloat(q.timeout.Seconds(), 'f', -1, 64) // rounded, it might be 0: no limit
	}
	var order []map[string]string
	for _, o := range q.paging.OrderBy {
		way := "asc"
		if o.Desc {
			way = "desc"
		}
		order = append(order, map[string]string{"field": o.Field, "order": way})
	}
	if order != nil {
		p["order_by"] = order
	}
	return p
}

// explained adds to an error why this server was asked.
func (r *remoteDB) explained(err error) error {
	var none *client.UnreachableError
	if !errors.As(err, &none) {
		return err
	}
	notes := ""
	for _, n := range r.settings.Notes {
		notes += "\n" + n
	}
	switch r.settings.Origin {
	case "--server":
	case "the default":
		return fmt.Errorf("%w\nName another with --server URL, or read its data with --data DIR.%s", err, notes)
	default:
		return fmt.Errorf("%w (named by %s)", err, r.settings.Origin)
	}
	return err
}

// maxTail bounds what is read of the text behind an answer that breaks off.
const maxTail = 4 << 10

// readRows reads an array row by row. A server that fails in the middle of an
// answer breaks it off and says why.
func readRows(r io.Reader, row func([]byte) error) error {
	dec := json.NewDecoder(r)
	if t, err := dec.Token(); err != nil || t != json.Delim('[') {
		return fmt.Errorf("the server's answer is no list of rows: %w", errors.Join(err, rest(dec, r)))
	}
	n := 0
	for ; dec.More(); n++ {
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
			return fmt.Errorf("the answer breaks off after %s: %w", counted(n, "row"), errors.Join(rest(dec, r), ioError(err)))
		}
		if err := row(raw); err != nil {
			return err
		}
	}
	if _, err := dec.Token(); err != nil {
		return fmt.Errorf("the answer breaks off after %s: %w", counted(n, "row"), err)
	}
	return nil
}

// ioError keeps errors of the connection; what was no JSON is told otherwise.
func ioError(err error) error {
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		return nil
	}
	return err
}

// rest is the text that follows what was understood.
func rest(dec *json.Decoder, r io.Reader) error {
	text, err := io.ReadAll(io.LimitReader(io.MultiReader(dec.Buffered(), r), maxTail))
	said := strings.Trim(strings.TrimSpace(plain(string(text))), ",")
	if said == "" {
		return err
	}
	return errors.New(strings.TrimSpace(said))
}

// localDB is a data directory.
type localDB struct {
	reader *store.Reader
	engine *query.Engine
}

// openData opens a data directory, or the database file itself. The settings are
// those of the server whose data it is.
func openData(ctx context.Context, path string, c *config.Config) (*localDB, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	if info.IsDir() {
		path = filepath.Join(path, "dalang.db")
		if c.Store.Path != "" {
			path = c.Store.Path
		}
		if _, err := os.Stat(path); err != nil {
			return nil, fmt.Errorf("there is no database in the data directory: %w", err)
		}
	}
	reader, err := store.OpenReader(ctx, path)
	if err != nil {
		return nil, err
	}
	engine, err := query.New(query.Config{DB: reader, NodePurgeTTL: time.Duration(c.Database.NodePurgeTTL),
		AllReportTypes: !c.PuppetDB.AddAgentReportFilter, TimeoutDefault: -1})
	if err != nil {
		return nil, errors.Join(err, reader.Close())
	}
	return &localDB{reader, engine}, nil
}

func (l *localDB) Close() error { return l.reader.Close() }

func (l *localDB) ask(ctx context.Context, q question, row func([]byte) error) error {
	tree, err := parseQuery(q.text)
	if err != nil {
		return &mistake{err.Error()}
	}
	req := query.Request{Query: &tree, ActiveOnly: true, Paging: q.paging, Origin: origin, Explain: q.explain}
	if q.timeout > 0 {
		req.Timeout = &q.timeout
	}
	err = l.engine.Run(ctx, req, rowSink(row))
	var wrong *query.Error
	if errors.As(err, &wrong) {
		if wrong.Hint != "" {
			return &mistake{wrong.Message + "\n\n" + wrong.Hint}
		}
		return &mistake{wrong.Message}
	}
	return err
}

// parseQuery reads PQL or AST, as the root of the query API does.
func parseQuery(text string) (ast.Value, error) {
	if strings.HasPrefix(strings.TrimSpace(text), "[") {
		return ast.Read(text)
	}
	return pql.Parse(text)
}

// rowSink is a function as a query.Sink.
type rowSink func([]byte) error

func (rowSink) Begin(query.Head) error { return nil }

func (f rowSink) Row(json []byte) error { return f(json) }
