package query_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"dalang/store"
	"dalang/store/query"
)

// TestSlowQueryLog: one line with everything that one needs to find out who
// asked what, and why it took so long.
func TestSlowQueryLog(t *testing.T) {
	var log bytes.Buffer
	e, st := open(t, func(c *query.Config) {
		c.Logger, c.SlowQuery = slog.New(slog.NewJSONHandler(&log, nil)), 3*time.Second
		now := time.UnixMilli(1e12)
		c.Now = func() time.Time { now = now.Add(2 * time.Second); return now } // each look takes two seconds
	})
	load(t, st, facts("a", "x", "1"), facts("b", "x", "2"))
	require.NoError(t, e.Run(context.Background(), query.Request{Query: parse(t, `facts{name = "x"}`), Origin: "dashboard"}, &rows{}))
	var line struct {
		Level, Msg, Origin, Query, Plan, SQL, Entity string
		ID                                           string `json:"query_id"`
		Rows                                         int
		Took, Waited                                 time.Duration
		Error                                        *string
	}
	require.NoError(t, json.Unmarshal(log.Bytes(), &line), log.String())
	require.Equal(t, "slow query", line.Msg)
	require.Equal(t, "WARN", line.Level)
	require.Equal(t, "dashboard", line.Origin)
	require.Equal(t, `["from","facts",["=","name","x"]]`, line.Query)
	require.Equal(t, "facts", line.Entity)
	require.Equal(t, 2, line.Rows)
	require.Contains(t, line.SQL, "SELECT")
	require.Contains(t, line.Plan, "SEARCH")
	require.NotEmpty(t, line.ID)
	require.Positive(t, line.Waited)
	require.Greater(t, line.Took, line.Waited)
	require.Nil(t, line.Error)
}

func TestFastQueriesAreNotLogged(t *testing.T) {
	for name, slow := range map[string]time.Duration{"fast": time.Hour, "never": -1} {
		var log bytes.Buffer
		e, _ := open(t, func(c *query.Config) { c.Logger, c.SlowQuery = slog.New(slog.NewJSONHandler(&log, nil)), slow })
		require.NoError(t, e.Run(context.Background(), query.Request{Entity: "nodes"}, &rows{}))
		require.Empty(t, log.String(), name)
	}
}

// TestLogQueries: every query is told, refused ones with the reason; that is no
// warning, and asks for no plan.
func TestLogQueries(t *testing.T) {
	var log bytes.Buffer
	e, st := open(t, func(c *query.Config) {
		c.Logger, c.SlowQuery, c.LogQueries = slog.New(slog.NewJSONHandler(&log, nil)), time.Hour, true
	})
	load(t, st, facts("a", "x", "1"))
	told := func() (line map[string]any) {
		require.NoError(t, json.Unmarshal(log.Bytes(), &line), log.String())
		log.Reset()
		require.Equal(t, "INFO", line["level"])
		require.Equal(t, "query", line["msg"])
		require.NotContains(t, line, "plan")
		return line
	}
	require.NoError(t, e.Run(context.Background(), query.Request{Query: parse(t, `facts{name = "x"}`), Origin: "dashboard"}, &rows{}))
	line := told()
	require.Equal(t, []any{"facts", "dashboard", `["from","facts",["=","name","x"]]`, 1.0}, []any{line["entity"], line["origin"], line["query"], line["rows"]})
	for _, run := range []func(query.Request) error{
		func(r query.Request) error { return e.Run(context.Background(), r, &rows{}) }, e.Check,
	} {
		require.Error(t, run(query.Request{Query: parse(t, `facts{nam = "x"}`), Origin: "me"}))
		line = told()
		require.Equal(t, []any{"me", `["from","facts",["=","nam","x"]]`}, []any{line["origin"], line["query"]})
		require.Contains(t, line["error"], "'nam' is not a queryable object")
	}
}

// TestExistsTakesItsTurn: looking for a parent is a query like others.
func TestExistsTakesItsTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := heldDB{make(chan string, 10), make(chan struct{})}
		e, err := query.New(query.Config{DB: db, MaxConcurrent: 1})
		require.NoError(t, err)
		ctx := context.WithValue(context.Background(), originKey{}, "first")
		var first sync.WaitGroup
		first.Go(func() { require.NoError(t, e.Run(ctx, query.Request{Entity: "nodes"}, &rows{})) })
		synctest.Wait()
		limit := time.Minute
		start := time.Now()
		_, err = e.Exists(ctx, query.Request{Timeout: &limit, Origin: "second"}, query.Node, "a")
		var slow *query.TimeoutError
		require.ErrorAs(t, err, &slow)
		require.Equal(t, "second", slow.Origin)
		require.Equal(t, limit, time.Since(start))
		require.Len(t, db.begun, 1, "it had no turn")
		db.end <- struct{}{}
		first.Wait()
	})
}

// endless is a database in which the table of nodes never ends and no row of it
// is ever wanted.
type endless struct{ *store.Store }

func (d endless) ReadTx(ctx context.Context, fn func(context.Context, *sql.Conn) error) error {
	return d.Store.ReadTx(ctx, func(ctx context.Context, conn *sql.Conn) error {
		for _, text := range []string{
			"PRAGMA query_only = false", // temporary views only
			`CREATE TEMP VIEW IF NOT EXISTS node AS WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c)
			   SELECT i AS id, '' AS certname, NULL AS deactivated, NULL AS expired FROM c WHERE i < 0`,
		} {
			if _, err := conn.ExecContext(ctx, text); err != nil {
				return err
			}
		}
		return fn(ctx, conn)
	})
}

// TestQueriesAreStoppedInTheDatabase: neither the timeout nor a client that
// goes away waits for a row that never comes.
func TestQueriesAreStoppedInTheDatabase(t *testing.T) {
	var log bytes.Buffer
	_, st := open(t, nil)
	e, err := query.New(query.Config{DB: endless{st}, MaxConcurrent: 1, SlowQuery: 1, Logger: slog.New(slog.NewJSONHandler(&log, nil))})
	require.NoError(t, err)
	forever := query.Request{Query: parse(t, `nodes[certname]{}`), Origin: "me"}
	limit := 20 * time.Millisecond
	forever.Timeout = &limit
	var slow *query.TimeoutError
	require.ErrorAs(t, e.Run(context.Background(), forever, &rows{}), &slow)
	require.Equal(t, "me", slow.Origin)
	require.Contains(t, log.String(), slow.ID)
	require.Contains(t, log.String(), `"plan":"`)
	require.NotContains(t, log.String(), `"plan":""`, "a plan is wanted most of queries that ran into their timeout")

	forever.Timeout = nil
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(limit, cancel)
	require.ErrorIs(t, e.Run(ctx, forever, &rows{}), context.Canceled)
}

// heldDB lets queries end one after the other, when it is told to.
type heldDB struct {
	begun chan string
	end   chan struct{}
}

type originKey struct{}

func (d heldDB) ReadTx(ctx context.Context, _ func(context.Context, *sql.Conn) error) error {
	d.begun <- ctx.Value(originKey{}).(string)
	<-d.end
	return nil
}

// TestTurns: no more queries run than may; the rest follow in the order in
// which they came; who gives up while waiting makes room.
func TestTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := heldDB{make(chan string, 10), make(chan struct{})}
		reg := prometheus.NewRegistry()
		var log bytes.Buffer
		e, err := query.New(query.Config{DB: db, MaxConcurrent: 2, Registerer: reg, SlowQuery: time.Minute, Logger: slog.New(slog.NewJSONHandler(&log, nil))})
		require.NoError(t, err)
		var clients sync.WaitGroup
		run := func(name string, timeout time.Duration) {
			clients.Go(func() {
				ctx := context.WithValue(context.Background(), originKey{}, name)
				err := e.Run(ctx, query.Request{Entity: "nodes", Timeout: &timeout, Origin: name}, &rows{})
				if name == "impatient" {
					var slow *query.TimeoutError
					require.ErrorAs(t, err, &slow)
					return
				}
				require.NoError(t, err)
			})
			synctest.Wait()
		}
		for i := range 4 {
			run(fmt.Sprint(i), 0)
			if i == 2 {
				run("impatient", 2*time.Minute)
			}
		}
		require.Len(t, db.begun, 2)
		gauges := func(running, waiting int) {
			t.Helper()
			want := fmt.Sprintf("# HELP dalang_queries_running Queries that are being answered.\n# TYPE dalang_queries_running gauge\ndalang_queries_running %d\n"+
				"# HELP dalang_queries_waiting Queries that wait for their turn (max-concurrent).\n# TYPE dalang_queries_waiting gauge\ndalang_queries_waiting %d\n", running, waiting)
			require.NoError(t, testutil.GatherAndCompare(reg, bytes.NewBufferString(want), "dalang_queries_running", "dalang_queries_waiting"))
		}
		gauges(2, 3)
		time.Sleep(3 * time.Minute) // synthetic
		synctest.Wait()
		gauges(2, 2)
		require.Contains(t, log.String(), `"origin":"impatient"`)
		require.Contains(t, log.String(), fmt.Sprintf(`"waited":%d`, 2*time.Minute), "it waited all the time")
		for range 4 {
			db.end <- struct{}{}
			synctest.Wait()
		}
		clients.Wait()
		close(db.begun)
		var order []string
		for name := range db.begun {
			order = append(order, name)
		}
		require.Equal(t, []string{"0", "1", "2", "3"}, order)
		gauges(0, 0)
	})
}
