package query

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"dalang/store/query/ast"
)

// watch measures one query.
type watch struct {
	now    func() time.Time
	slow   time.Duration // from here on it is logged; negative: never
	start  time.Time
	waited time.Duration // until it had a connection; 0: it never had
}

func (e *Engine) watch() *watch {
	return &watch{now: e.cfg.Now, slow: e.cfg.SlowQuery, start: e.cfg.Now()}
}

func (w *watch) took() time.Duration { return w.now().Sub(w.start) }
func (w *watch) begin() time.Duration {
	w.waited = w.took()
	return w.waited
}

func (w *watch) isSlow() bool { return w.slow >= 0 && w.took() >= w.slow }

// inTurn reads when it is its turn: first come, first served.
func (e *Engine) inTurn(ctx context.Context, read func(context.Context, *sql.Conn) error) error {
	e.metrics.waiting.Inc()
	err := e.slots.Acquire(ctx, 1)
	e.metrics.waiting.Dec()
	if err != nil {
		return err
	}
	defer e.slots.Release(1)
	e.metrics.running.Inc()
	defer e.metrics.running.Dec()
	return e.cfg.DB.ReadTx(ctx, read)
}

// planTime bounds how long a slow query may be held up further to learn its
// plan; a plan takes well below a millisecond.
const planTime = time.Second

// noteSlow keeps the plan of a slow query, while there is a connection to ask.
// The query's own context may have ended: that a query ran into its timeout is
// the best reason to want the plan.
func (r *run) noteSlow(ctx context.Context, conn *sql.Conn, st *statement) {
	if r.req.Explain || !r.watch.isSlow() {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), planTime)
	defer cancel()
	if plan, err := queryPlan(ctx, conn, st); err == nil {
		r.plan = plan
	}
}

// Refused logs a query that cannot be run, if all are logged. Its text is what
// was sent, or null.
func (e *Engine) Refused(entity, text, origin string, err error) {
	if e.cfg.LogQueries {
		e.cfg.Logger.Info("query", "entity", entity, "origin", origin, "query", text, "error", err)
	}
}

// finished counts a query, and logs it when it was slow, or when all are.
func (e *Engine) finished(r *run, err error) {
	took := r.watch.took()
	e.metrics.seconds.WithLabelValues(r.answer.name()).Observe(took.Seconds())
	slow := r.watch.isSlow()
	if !slow && !e.cfg.LogQueries {
		return
	}
	waited := r.watch.waited
	if waited == 0 && r.text == "" {
		waited = took // its turn never came
	}
	attrs := []any{"query_id", r.id, "entity", r.answer.name(), "origin", r.req.Origin, "query", r.req.text(),
		"rows", r.rows, "took", took, "waited", waited, "error", err, "sql", r.text}
	if e.cfg.LogQueries {
		e.cfg.Logger.Info("query", attrs...)
	}
	if slow {
		e.cfg.Logger.Warn("slow query", append(attrs, "plan", strings.Join(r.plan, "\n"))...)
	}
}

// explain answers with the database's plan.
func (r *run) explain(ctx context.Context, conn *sql.Conn, st *statement) error {
	plan, err := queryPlan(ctx, conn, st)
	if err != nil {
		return fmt.Errorf("explain: %w", err)
	}
	if err := r.sink.Begin(Head{Total: -1}); err != nil {
		return err
	}
	list := make([]ast.Value, len(plan))
	for i, line := range plan {
		list[i] = ast.Str(line)
	}
	row := ast.Value{Kind: ast.Object, Keys: []string{"query plan", "sql"}, Items: []ast.Value{ast.List(list...), ast.Str(st.sql)}}
	return r.sink.Row(row.JSON())
}

// queryPlan is the database's plan, a line for each step, indented by depth.
func queryPlan(ctx context.Context, conn *sql.Conn, st *statement) ([]string, error) {
	rows, err := conn.QueryContext(ctx, "EXPLAIN QUERY PLAN "+st.sql, st.args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var list []string
	depth := map[int]int{}
	for rows.Next() {
		var id, parent, unused int
		var detail string
		if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
			return nil, err
		}
		depth[id] = depth[parent] + 1
		list = append(list, strings.Repeat("  ", depth[id]-1)+detail)
	}
	return list, rows.Err()
}

// metrics of the engine.
type metrics struct {
	seconds *prometheus.HistogramVec // time from the request to the last row, by entity
	waits   prometheus.Histogram     // time of it until a query had a connection
	running prometheus.Gauge         // queries that have a slot
	waiting prometheus.Gauge         // queries that wait for one
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "dalang_query_seconds", Help: "Time to answer queries, by entity.", Buckets: prometheus.ExponentialBuckets(.0005, 4, 10),
		}, []string{"entity"}),
		waits: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "dalang_query_wait_seconds", Help: "Time that queries wait for their turn and a connection.", Buckets: prometheus.ExponentialBuckets(.0001, 4, 10),
		}),
		running: prometheus.NewGauge(prometheus.GaugeOpts{Name: "dalang_queries_running", Help: "Queries that are being answered."}),
		waiting: prometheus.NewGauge(prometheus.GaugeOpts{Name: "dalang_queries_waiting", Help: "Queries that wait for their turn (max-concurrent)."}),
	}
	if reg == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.seconds, m.waits, m.running, m.waiting} {
		if err := reg.Register(c); err != nil {
			return nil, fmt.Errorf("register query metrics: %w", err)
		}
	}
	return m, nil
}
