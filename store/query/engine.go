package query

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/semaphore"

	"dalang/store/query/ast"
	"dalang/store/query/sqlfunc"
)

// Engine answers queries. It is safe for concurrent use.
type Engine struct {
	cfg      Config
	entities catalogue
	extra    catalogue           // of routes
	slots    *semaphore.Weighted // fair: first come, first served
	inSpools atomic.Int64        // bytes of answers in files
	metrics  *metrics
}

// TimeoutError says that a query took longer than it may.
type TimeoutError struct{ ID, Origin string }

func (e *TimeoutError) Error() string {
	if e.Origin != "" {
		return fmt.Sprintf("PDBQuery:%s: from %q exceeded timeout", e.ID, e.Origin)
	}
	return fmt.Sprintf("PDBQuery:%s: exceeded timeout", e.ID)
}

// New makes an engine.
func New(cfg Config) (*Engine, error) {
	if cfg.DB == nil {
		return nil, errors.New("query: DB is required")
	}
	if err := cfg.defaults(); err != nil {
		return nil, err
	}
	m, err := newMetrics(cfg.Registerer)
	if err != nil {
		return nil, err
	}
	return &Engine{cfg: cfg, entities: newCatalogue(), extra: extensions(), slots: semaphore.NewWeighted(int64(cfg.MaxConcurrent)), metrics: m}, nil
}

func (c *Config) defaults() error {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.TimeoutDefault == 0 {
		c.TimeoutDefault = 10 * time.Minute
	}
	if c.MaxConcurrent == 0 {
		c.MaxConcurrent = 64
	}
	if c.MaxConcurrent < 0 {
		return errors.New("query: MaxConcurrent must be positive")
	}
	if c.SlowQuery == 0 {
		c.SlowQuery = 5 * time.Second
	}
	return nil
}

// Check finds out whether a query can be run, without running it.
func (e *Engine) Check(req Request) error {
	_, err := e.answer(&req)
	if err != nil {
		e.Refused(req.Entity, req.text(), req.Origin, err)
	}
	return err
}

// answer is what a request asks for, ready to be emitted: a plan, or a summary
// of one.
type answer interface {
	rows() *statement
	total() *statement
	bare() bool // rows are bare values, not objects
	name() string
}

// answer finds out what a request asks for.
func (e *Engine) answer(req *Request) (answer, error) {
	if req.Overview != nil {
		return &overview{e.cfg.Now().Add(-*req.Overview).UnixMilli()}, nil
	}
	o := req.Events
	if o == nil {
		p, err := e.plan(req)
		if err != nil { // not a nil plan in an answer that is not nil
			return nil, err
		}
		return p, nil
	}
	old := o.Distinct || o.Aggregate
	if old && req.Query != nil {
		if len(req.Query.Items) == 0 && req.Query.Kind == ast.Array {
			req.Query = nil // there, an empty query asks for everything
		} else if err := checkOld(*req.Query); err != nil {
			return nil, err
		}
	}
	inner := *req
	if o.SummarizeBy != nil {
		inner.Paging = Paging{}
	}
	p, err := e.plan(&inner)
	if err != nil {
		return nil, err
	}
	if o.Distinct {
		where := []pred{latestEvents{o.Start.UnixMilli(), o.End.UnixMilli()}}
		if p.where != nil {
			where = append(where, p.where)
		}
		p.where = allOf{where}
	}
	if o.SummarizeBy == nil {
		return p, nil
	}
	if len(p.cols) != len(p.ent.names(shown, false)) || p.group != nil {
		return nil, &Error{Message: "extract is not supported for event counts"}
	}
	return newCounts(p, o, req.Paging)
}

// plan parses and resolves the query of a request.
func (e *Engine) plan(req *Request) (*plan, error) {
	q := &ast.Query{Entity: req.Entity}
	var err error
	switch {
	case req.Entity == "" && req.Query == nil:
		_, err = ast.ParseRoot(ast.Value{})
	case req.Entity == "":
		q, err = ast.ParseRoot(*req.Query)
	case req.Query != nil:
		q, err = ast.Parse(req.Entity, *req.Query)
	}
	if err != nil {
		return nil, &Error{Message: err.Error()}
	}
	counts := req.Events != nil && req.Events.SummarizeBy != nil // what they count, upstream does not narrow to agents
	r := &resolver{old: req.Events != nil && req.Events.Distinct, entities: e.entities, extra: e.extra[req.Entity], agents: !e.cfg.AllReportTypes && !counts, deadSince: e.cfg.Now().Add(-e.cfg.NodePurgeTTL).UnixMilli()}
	p, err := r.resolve(req, q)
	if err == nil && req.Only != "" {
		p.only = true
		p.cols = []outcol{{req.Only, term{field: p.ent.field(req.Only)}}}
	}
	return p, err
}

// Run answers a request. An *Error is the client's fault and comes before
// sink.Begin; a *TimeoutError may come later.
func (e *Engine) Run(ctx context.Context, req Request, sink Sink) error {
	text := req.text()
	a, err := e.answer(&req)
	if err != nil {
		e.Refused(req.Entity, text, req.Origin, err)
		return err
	}
	client := ctx
	ctx, id, cancel := e.limited(ctx, &req)
	defer cancel()
	err = e.deliver(ctx, client, sink, func(ctx context.Context, out Sink) error {
		run := &run{answer: a, sink: out, req: &req, id: id, watch: e.watch(), waits: e.metrics.waits}
		err := e.inTurn(ctx, run.in)
		if err != nil {
			err = cause(ctx, blame(err))
		}
		e.finished(run, err)
		return err
	})
	if err != nil {
		err = cause(client, err)
	}
	return err
}

// limited gives a request an id, and its context the time that it may take.
func (e *Engine) limited(ctx context.Context, req *Request) (context.Context, string, context.CancelFunc) {
	id, limit := uuid.NewString(), e.timeout(req.Timeout)
	if limit <= 0 {
		return ctx, id, func() {}
	}
	ctx, cancel := context.WithTimeoutCause(ctx, limit, &TimeoutError{id, req.Origin})
	return ctx, id, cancel
}

// timeout is the time that a request gets; 0 is none.
func (e *Engine) timeout(asked *time.Duration) time.Duration {
	limit := max(e.cfg.TimeoutDefault, 0)
	if asked != nil {
		limit = *asked
	}
	if top := e.cfg.TimeoutMax; top > 0 && (limit == 0 || limit > top) {
		limit = top
	}
	return limit
}

// blame knows the errors of running statements that are the client's fault.
func blame(err error) error {
	if sqlfunc.TookTooLong(err) {
		return &Error{Message: "The regular expression takes too long to match", Hint: "Look-around, back-references and word boundaries make expressions slow; nested repetitions like (a+)+ much more so."}
	}
	return err
}

// cause prefers the reason why the context ended.
func cause(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// run is one running query.
type run struct {
	answer answer
	req    *Request
	sink   Sink
	id     string
	watch  *watch
	waits  prometheus.Observer
	rows   int
	text   string // the SQL
	plan   []string
}

// maxArgs is how many parameters the database takes.
const maxArgs = 32766

// in answers within a read transaction.
func (r *run) in(ctx context.Context, conn *sql.Conn) error {
	r.waits.Observe(r.watch.begin().Seconds())
	st := r.answer.rows()
	if len(st.args) > maxArgs {
		return &Error{Message: fmt.Sprintf("The query holds more than %d values", maxArgs)}
	}
	defer r.noteSlow(ctx, conn, st)
	total := int64(-1)
	if r.req.Paging.IncludeTotal && !r.req.Explain {
		st := r.answer.total()
		if err := conn.QueryRowContext(ctx, st.sql, st.args...).Scan(&total); err != nil {
			return fmt.Errorf("count rows: %w", err)
		}
	}
	r.text = st.sql
	if r.req.Explain {
		return r.explain(ctx, conn, st)
	}
	return conn.Raw(func(dc any) error {
		return r.stream(ctx, dc, st, Head{Total: total})
	})
}

// stream hands the rows to the sink one by one. It reads through the driver:
// database/sql would copy every value twice more.
func (r *run) stream(ctx context.Context, dc any, st *statement, head Head) (err error) {
	q, ok := dc.(driver.QueryerContext)
	if !ok {
		return fmt.Errorf("driver connection %T cannot query", dc)
	}
	args := make([]driver.NamedValue, len(st.args))
	for i, a := range st.args {
		args[i] = driver.NamedValue{Ordinal: i + 1, Value: a}
	}
	rows, err := q.QueryContext(ctx, st.sql, args)
	if err != nil {
		return fmt.Errorf("query: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	vals := make([]driver.Value, len(rows.Columns()))
	var buf []byte
	for first := true; ; first = false {
		err := rows.Next(vals)
		if err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("read row: %w", err)
		}
		if first {
			if err := r.sink.Begin(head); err != nil {
				return err
			}
		}
		if err != nil {
			return nil
		}
		buf = appendRow(buf[:0], st.cols, vals, r.answer.bare())
		r.rows++
		if err := r.sink.Row(buf); err != nil {
			return err
		}
		if cap(buf) > 1<<20 { // one huge row must not be kept for the rest
			buf = nil
		}
	}
}

// bare tells whether rows are values instead of objects.
func (p *plan) bare() bool {
	return p.only || p.ent.Strings && len(p.cols) == 1 && p.cols[0].term.fn == nil
}

func (p *plan) name() string { return p.ent.Name }

// Parent is a kind of thing that a route is about.
type Parent string

// The parents of routes.
const (
	Node        Parent = "node"
	Catalog     Parent = "catalog"
	Factset     Parent = "factset"
	Report      Parent = "report"
	Environment Parent = "environment"
	Producer    Parent = "producer"
)

// Exists tells whether a parent of this name is known. It waits for its turn as
// Run does, for as long as the request may take; a *TimeoutError says that this
// was too long.
func (e *Engine) Exists(ctx context.Context, req Request, kind Parent, name string) (found bool, err error) {
	text, ok := map[Parent]string{
		Node:        "SELECT 1 FROM node WHERE certname = ?",
		Catalog:     "SELECT 1 FROM catalog c JOIN node n ON n.id = c.node_id WHERE n.certname = ?",
		Factset:     "SELECT 1 FROM factset f JOIN node n ON n.id = f.node_id WHERE n.certname = ?",
		Report:      "SELECT 1 FROM report WHERE hash = ?",
		Environment: "SELECT 1 FROM environment WHERE name = ?",
		Producer:    "SELECT 1 FROM producer WHERE name = ?",
	}[kind]
	if !ok {
		return false, fmt.Errorf("query: unknown parent %q", kind)
	}
	ctx, _, cancel := e.limited(ctx, &req)
	defer cancel()
	err = e.inTurn(ctx, func(ctx context.Context, conn *sql.Conn) error {
		var one int
		err := conn.QueryRowContext(ctx, text, name).Scan(&one)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		found = err == nil
		return err
	})
	if err != nil {
		return false, fmt.Errorf("look for %s: %w", kind, cause(ctx, err))
	}
	return found, nil
}
