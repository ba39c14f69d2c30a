package query

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/semaphore"

	"dalang/store/query/ast"
)

// Engine answers queries. It is safe for concurrent use.
type Engine struct {
	cfg      Config
	entities catalogue
	slots    *semaphore.Weighted // fair: first come, first served
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
	return &Engine{cfg: cfg, entities: newCatalogue(), slots: semaphore.NewWeighted(int64(cfg.MaxConcurrent)), metrics: m}, nil
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
	r := &resolver{old: req.Events != nil && (req.Events.Distinct || req.Events.Aggregate), entities: e.entities, agents: !e.cfg.AllReportTypes, deadSince: e.cfg.Now().Add(-e.cfg.NodePurgeTTL).UnixMilli()}
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
	a, err := e.answer(&req)
	if err != nil {
		return err
	}
	id := uuid.NewString()
	if limit := e.timeout(req.Timeout); limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, limit, &TimeoutError{id, req.Origin})
		defer cancel()
	}
	start := e.cfg.Now()
	if err := e.slots.Acquire(ctx, 1); err != nil {
		return cause(ctx, err)
	}
	defer e.slots.Release(1)
	run := &run{answer: a, sink: sink, req: &req}
	err = e.cfg.DB.ReadTx(ctx, run.in)
	if err != nil {
		err = cause(ctx, err)
	}
	e.finished(run, id, e.cfg.Now().Sub(start), err)
	return err
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

// cause prefers the reason why the context ended.
func cause(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

func (e *Engine) finished(r *run, id string, took time.Duration, err error) {
	e.metrics.seconds.WithLabelValues(r.answer.name()).Observe(took.Seconds())
	if e.cfg.SlowQuery < 0 || took < e.cfg.SlowQuery {
		return
	}
	text := "null"
	if r.req.Query != nil {
		text = string(r.req.Query.JSON())
	}
	e.cfg.Logger.Warn("slow query", "query_id", id, "entity", r.answer.name(), "origin", r.req.Origin, "query", text,
		"rows", r.rows, "took", took, "error", err, "sql", r.text)
}

// run is one running query.
type run struct {
	answer answer
	req    *Request
	sink   Sink
	rows   int
	text   string // the SQL
}

// maxArgs is how many parameters the database takes.
const maxArgs = 32766

// in answers within a read transaction.
func (r *run) in(ctx context.Context, conn *sql.Conn) error {
	total := int64(-1)
	if r.req.Paging.IncludeTotal && !r.req.Explain {
		st := r.answer.total()
		if err := conn.QueryRowContext(ctx, st.sql, st.args...).Scan(&total); err != nil {
			return fmt.Errorf("count rows: %w", err)
		}
	}
	st := r.answer.rows()
	if len(st.args) > maxArgs {
		return &Error{Message: fmt.Sprintf("The query holds more than %d values", maxArgs)}
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

// explain answers with the database's plan.
func (r *run) explain(ctx context.Context, conn *sql.Conn, st *statement) error {
	rows, err := conn.QueryContext(ctx, "EXPLAIN QUERY PLAN "+st.sql, st.args...)
	if err != nil {
		return fmt.Errorf("explain: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var list []ast.Value
	depth := map[int]int{}
	for rows.Next() {
		var id, parent, unused int
		var detail string
		if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
			return fmt.Errorf("explain: %w", err)
		}
		depth[id] = depth[parent] + 1
		list = append(list, ast.Str(strings.Repeat("  ", depth[id]-1)+detail))
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("explain: %w", err)
	}
	if err := r.sink.Begin(Head{Total: -1}); err != nil {
		return err
	}
	row := ast.Value{Kind: ast.Object, Keys: []string{"query plan", "sql"}, Items: []ast.Value{ast.List(list...), ast.Str(st.sql)}}
	return r.sink.Row(row.JSON())
}

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

// Exists tells whether a parent of this name is known.
func (e *Engine) Exists(ctx context.Context, kind Parent, id string) (found bool, err error) {
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
	err = e.cfg.DB.ReadTx(ctx, func(ctx context.Context, conn *sql.Conn) error {
		var one int
		err := conn.QueryRowContext(ctx, text, id).Scan(&one)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		found = err == nil
		return err
	})
	if err != nil {
		return false, fmt.Errorf("look for %s: %w", kind, err)
	}
	return found, nil
}

// metrics of the engine.
type metrics struct {
	seconds *prometheus.HistogramVec // time from the request to the last row, by entity
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "dalang_query_seconds", Help: "Time to answer queries, by entity.", Buckets: prometheus.ExponentialBuckets(.0005, 4, 10),
	}, []string{"entity"})}
	if reg == nil {
		return m, nil
	}
	if err := reg.Register(m.seconds); err != nil {
		return nil, fmt.Errorf("register query metrics: %w", err)
	}
	return m, nil
}
