package storetest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dalang/commands/outcome"
	"dalang/store"
)

func testReport(t *testing.T, open Open) {
	latest := "SELECT latest_report_hash FROM node"
	t.Run("the same eight fields are a duplicate", func(t *testing.T) {
		b := start(t, open, nil)
		first := b.report(outcome.Processed, "a", Day(99), nil)
		second := b.report(outcome.Duplicate, "a", Day(99), map[string]string{"status": `"failed"`, "logs": "null"})
		require.Equal(t, first.Hash, second.Hash)
		require.Equal(t, []string{"changed"}, b.rows("SELECT status FROM report"))
	})
	t.Run("latest", func(t *testing.T) {
		b := start(t, open, nil)
		first := b.report(outcome.Processed, "a", Day(98), nil)
		require.Equal(t, []string{first.Hash}, b.rows(latest))
		b.report(outcome.Processed, "a", Day(97), nil)
		require.Equal(t, []string{first.Hash}, b.rows(latest), "an earlier one is not")
		b.report(outcome.Processed, "a", Day(98), map[string]string{"configuration_version": `"2"`})
		require.Equal(t, []string{first.Hash}, b.rows(latest), "an equal one is not")
		b.report(outcome.Processed, "a", Day(99), map[string]string{"type": `"plan"`})
		require.Equal(t, []string{first.Hash}, b.rows(latest), "a plan's never is")
		last := b.report(outcome.Processed, "a", Day(99).Add(time.Hour), map[string]string{"status": "null", "noop": "true", "job_id": `"7"`, "corrective_change": "true"})
		require.Equal(t, []string{last.Hash}, b.rows(latest))
		require.Equal(t, []string{"1|1|7|NULL"}, b.rows(`SELECT latest_report_noop || '|' || latest_report_corrective_change || '|' || latest_report_job_id
			|| '|' || coalesce(latest_report_status, 'NULL') FROM node`))
	})
	t.Run("events", func(t *testing.T) {
		b := start(t, open, nil)
		resources := "[" + reported("changed", Day(99), false) + "," + reported("skipped", Day(99), true) + "," +
			reported("changed", Day(99), false) + "," + reported("old", Day(80), false) + "]"
		b.report(outcome.Processed, "a", Day(99), map[string]string{"resources": resources})
		require.Equal(t, []string{
			`changed|success|ensure|{"a":10.0,"b":1}|null|Inner|1`,
			"skipped|skipped|NULL|NULL|NULL|Inner|0",
		}, b.rows(`SELECT f.title || '|' || e.status || '|' || coalesce(e.property, 'NULL') || '|' || coalesce(e.new_value, 'NULL') || '|'
			|| coalesce(e.old_value, 'NULL') || '|' || e.containing_class || '|' || e.corrective_change
			FROM event e JOIN resource_ref f ON f.id = e.ref_id ORDER BY 1`))
		require.Equal(t, []string{"4"}, b.rows("SELECT json_array_length(pdb_unpack(resources)) FROM report_body"), "resources are kept as sent")
	})
	t.Run("no events with a ttl of nothing", func(t *testing.T) {
		b := start(t, open, func(c *store.Config) { c.EventsTTLSet = true })
		b.report(outcome.Processed, "a", Day(99), map[string]string{"resources": "[" + reported("x", Day(100), false) + "]"})
		require.Zero(t, b.count("event"))
		require.Equal(t, 1, b.count("report"))
	})
	t.Run("null lists", func(t *testing.T) {
		b := start(t, open, nil)
		b.report(outcome.Processed, "a", Day(99), map[string]string{"metrics": "null", "logs": "null", "resources": "null"})
		require.Equal(t, []string{"NULL"}, b.rows("SELECT metrics FROM report_body"))
	})
}
