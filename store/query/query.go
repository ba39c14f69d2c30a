package query

import (
	"context"
	"database/sql"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"dalang/store/query/ast"
)

// DB is where queries read. Implementations are safe for concurrent use.
type DB interface {
	// ReadTx runs fn on one read-only connection inside one read transaction,
	// so that everything fn reads belongs to one snapshot. It waits for a free
	// connection as long as ctx lives. The connection carries the SQL functions
	// of package sqlfunc, and is fn's alone until fn returns.
	ReadTx(ctx context.Context, fn func(ctx context.Context, conn *sql.Conn) error) error
}

// Config is what an Engine needs. Only DB is required.
type Config struct {
	DB         DB
	Now        func() time.Time
	Logger     *slog.Logger
	Registerer prometheus.Registerer

	NodePurgeTTL   time.Duration // how long a dead node counts as inactive; 0: never
	AllReportTypes bool          // true: reports of plans are not hidden (add-agent-report-filter = false)
	TimeoutDefault time.Duration // of a query that does not ask for one; 0: 10 minutes, negative: none
	TimeoutMax     time.Duration // upper bound of what a query may ask for; 0: none
	MaxConcurrent  int           // queries that run at a time, others wait in order; 0: 64
	SpoolDir       string        // of files for answers whose clients are slow; "": the system's for temporary files
	SlowQuery      time.Duration // log queries that take longer, with their plans; 0: 5 s, negative: never
	LogQueries     bool          // log every query, also refused ones
}

// Request is one query.
type Request struct {
	Entity string     // the route's entity (nodes, fact_contents, resource_graphs, …); "": the query says it, as at the root
	Query  *ast.Value // the AST as JSON; nil: everything
	// Restrict are filters that the route adds.
	Restrict   []ast.Value
	ActiveOnly bool // hide dead nodes unless the query speaks of node_state
	Paging     Paging

	Timeout *time.Duration // nil: the default; 0: as long as allowed
	Origin  string         // who asks; for the log
	Explain bool           // answer with the plan instead of rows

	Only string // rows are the bare data of this field, whatever the query extracts

	FactsExpiration  bool // nodes gain expires_facts, expires_facts_updated
	PackageInventory bool // factsets gain package_inventory

	Events *EventOptions // distinct resources, event counts

	// Overview asks for one row that counts nodes by state, and for nothing else:
	// nodes that have not reported for as long are unresponsive.
	Overview *time.Duration
}

// text is the query for the log.
func (r *Request) text() string {
	if r.Query == nil {
		return "null"
	}
	return string(r.Query.JSON())
}

// Order is one sort key.
type Order struct {
	Field string
	Desc  bool
}

// Paging is what the request's parameters say about the rows wanted. Each
// takes precedence over the same clause within the query.
type Paging struct {
	Limit, Offset *int64
	OrderBy       []Order // nil: not given
	IncludeTotal  bool
}

// Head is what is known about an answer before its first row.
type Head struct {
	Total int64 // rows without limit and offset; -1 when nobody asked
}

// Sink takes an answer. Its methods are called by one goroutine.
type Sink interface {
	// Begin is called once, when the first row was read or the answer is known
	// to be empty. A query that fails earlier never calls it.
	Begin(Head) error
	// Row takes one row: a JSON text, valid until Row returns.
	Row(json []byte) error
}

// Error says what is wrong with a query. It is the client's fault: 400.
type Error struct {
	Message string // in upstream's words where upstream has them
	Hint    string // more help, never part of upstream's text
}

func (e *Error) Error() string { return e.Message }
