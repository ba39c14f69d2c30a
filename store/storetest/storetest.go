// Package storetest is the conformance suite of package store: every rule of
// spec commands.md §6 and §7, looked at from the outside, over commands in
// JSON. A second database passes it or is not done.
package storetest

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dalang/commands/outcome"
	"dalang/store"
	"dalang/wireformat"
)

// Open opens an empty store that is closed when the test ends.
type Open func(t testing.TB, change func(*store.Config)) *store.Store

// Run runs the whole suite.
func Run(t *testing.T, open Open) {
	t.Run("facts", func(t *testing.T) { testFacts(t, open) })
	t.Run("packages", func(t *testing.T) { testPackages(t, open) })
	t.Run("blocklist", func(t *testing.T) { testBlocklist(t, open) })
	t.Run("catalog", func(t *testing.T) { testCatalog(t, open) })
	t.Run("catalog unread", func(t *testing.T) { testCatalogUnread(t, open) })
	t.Run("report", func(t *testing.T) { testReport(t, open) })
	t.Run("node", func(t *testing.T) { testNode(t, open) })
	t.Run("inputs", func(t *testing.T) { testInputs(t, open) })
	t.Run("batch", func(t *testing.T) { testBatch(t, open) })
	t.Run("jobs", func(t *testing.T) { testJobs(t, open) })
	t.Run("reports of jobs", func(t *testing.T) { testJobReports(t, open) })
	t.Run("tasks", func(t *testing.T) { testTasks(t, open) })
	t.Run("components", func(t *testing.T) { testComponents(t, open) })
	t.Run("schedules", func(t *testing.T) { testSchedules(t, open) })
	t.Run("plans", func(t *testing.T) { testPlans(t, open) })
	t.Run("access", func(t *testing.T) { testAccess(t, open) })
	t.Run("groups", func(t *testing.T) { testGroups(t, open) })
	t.Run("garbage", func(t *testing.T) { testGarbage(t, open) })
}

// Day is a day of the suite's calendar: days around its present, Day(100).
func Day(n int) time.Time { return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).AddDate(0, 0, n) }

// today is the suite's present.
const today = 100

// bench is a store with a clock of its own.
type bench struct {
	*store.Store
	t   *testing.T
	now time.Time
}

func start(t *testing.T, open Open, change func(*store.Config)) *bench {
	t.Helper()
	b := &bench{t: t, now: Day(today)}
	b.Store = open(t, func(c *store.Config) {
		c.ReportTTL = 14 * 24 * time.Hour
		c.NodeTTL, c.NodePurgeTTL, c.NodePurgeLimit = 7*24*time.Hour, 14*24*time.Hour, 25
		c.Now = func() time.Time { return b.now }
		if change != nil {
			change(c)
		}
	})
	return b
}

func stamp(t time.Time) string { return wireformat.FormatTime(t) }

// change decodes a command.
func (b *bench) change(cmd wireformat.Command, version int, body string) outcome.Change {
	b.t.Helper()
	payload, err := wireformat.Decode(cmd, version, b.now, []byte(body))
	require.NoError(b.t, err)
	return outcome.Change{Payload: payload, Received: b.now}
}

// apply applies one command and requires its outcome.
func (b *bench) apply(want outcome.Status, cmd wireformat.Command, body string) outcome.Result {
	b.t.Helper()
	known, _ := wireformat.Lookup(string(cmd))
	results, err := b.Apply(context.Background(), []outcome.Change{b.change(cmd, known.Latest, body)})
	require.NoError(b.t, err)
	require.NoError(b.t, results[0].Err)
	require.Equal(b.t, want, results[0].Status)
	return results[0]
}

// facts applies facts whose values are JSON members.
func (b *bench) facts(want outcome.Status, certname string, at time.Time, members string, more ...string) outcome.Result {
	b.t.Helper()
	return b.apply(want, wireformat.ReplaceFacts, fmt.Sprintf(
		`{"certname":%q,"environment":"production","producer":"p","producer_timestamp":%q,"values":{%s}%s}`,
		certname, stamp(at), members, strings.Join(more, "")))
}

// catalog applies a catalog of resources and edges in JSON.
func (b *bench) catalog(want outcome.Status, certname string, at time.Time, resources, edges string) outcome.Result {
	b.t.Helper()
	return b.apply(want, wireformat.ReplaceCatalog, fmt.Sprintf(
		`{"certname":%q,"version":"v%s","environment":"production","transaction_uuid":null,"catalog_uuid":null,"code_id":null,
		"producer":null,"producer_timestamp":%[2]q,"resources":[%s],"edges":[%s]}`, certname, stamp(at), resources, edges))
}

func resource(kind, title, more string) string {
	return fmt.Sprintf(`{"type":%q,"title":%q,"tags":["a"],"exported":false,"parameters":{}%s}`, kind, title, more)
}

func edge(from, to string) string {
	return fmt.Sprintf(`{"source":{"type":"T","title":%q},"target":{"type":"T","title":%q},"relationship":"contains"}`, from, to)
}

// report applies a report; more are members that replace the usual ones.
func (b *bench) report(want outcome.Status, certname string, at time.Time, more map[string]string) outcome.Result {
	b.t.Helper()
	members := map[string]string{
		"certname": fmt.Sprintf("%q", certname), "environment": `"production"`, "puppet_version": `"8"`, "report_format": "12",
		"configuration_version": `"1"`, "transaction_uuid": "null", "catalog_uuid": "null", "code_id": "null",
		"cached_catalog_status": "null", "producer": "null", "status": `"changed"`, "noop": "false", "noop_pending": "false",
		"corrective_change": "null", "metrics": "[]", "logs": "[]", "resources": "[]",
	}
	for _, time := range []string{"start_time", "end_time", "producer_timestamp"} {
		members[time] = fmt.Sprintf("%q", stamp(at))
	}
	for k, v := range more {
		members[k] = v
	}
	var list []string
	for k, v := range members {
		list = append(list, fmt.Sprintf("%q:%s", k, v))
	}
	return b.apply(want, wireformat.StoreReport, "{"+strings.Join(list, ",")+"}")
}

// reported is one resource of a report with one event at a time.
func reported(title string, at time.Time, skipped bool) string {
	return fmt.Sprintf(`{"skipped":%t,"timestamp":%q,"resource_type":"T","resource_title":%q,"file":"/f","line":1,
		"containment_path":["Stage[main]","Outer","Inner","T[x]"],"corrective_change":true,"events":[{"status":"success",
		"timestamp":%[2]q,"name":null,"property":"ensure","new_value":{"b":1,"a":10.0},"old_value":null,"corrective_change":true,"message":null}]}`,
		skipped, stamp(at), title)
}

func (b *bench) deactivate(want outcome.Status, certname string, at time.Time) {
	b.t.Helper()
	b.apply(want, wireformat.DeactivateNode, fmt.Sprintf(`{"certname":%q,"producer_timestamp":%q}`, certname, stamp(at)))
}

// clean does one kind of cleanup.
func (b *bench) clean(ops ...string) {
	b.t.Helper()
	for _, op := range ops {
		require.NoError(b.t, b.Clean(context.Background(), []store.CleanOp{{Name: op}}))
	}
}

// rows reads the first column of a query as text, NULL as "NULL".
func (b *bench) rows(query string, args ...any) []string {
	b.t.Helper()
	out := []string{}
	err := b.ReadTx(context.Background(), func(ctx context.Context, conn *sql.Conn) error {
		rows, err := conn.QueryContext(ctx, query, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			v := sql.NullString{}
			if err := rows.Scan(&v); err != nil {
				return err
			}
			if !v.Valid {
				v.String = "NULL"
			}
			out = append(out, v.String)
		}
		return rows.Err()
	})
	require.NoError(b.t, err)
	return out
}

// count is the number that a query answers.
func (b *bench) count(from string) int {
	b.t.Helper()
	var n int
	_, err := fmt.Sscan(b.rows("SELECT count(*) FROM " + from)[0], &n)
	require.NoError(b.t, err)
	return n
}
