package storetest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dalang/commands/outcome"
	"dalang/wireformat"
)

const (
	deactivated = "SELECT deactivated FROM node WHERE certname = 'a'"
	expired     = "SELECT expired FROM node WHERE certname = 'a'"
)

func millis(t time.Time) string { return fmt.Sprint(t.UnixMilli()) }

func testNode(t *testing.T, open Open) {
	t.Run("deactivation", func(t *testing.T) {
		b := start(t, open, nil)
		b.deactivate(outcome.Processed, "a", Day(90))
		require.Equal(t, []string{millis(Day(90))}, b.rows(deactivated), "an unknown node is made")
		b.deactivate(outcome.Processed, "a", Day(89))
		require.Equal(t, []string{millis(Day(90))}, b.rows(deactivated), "an earlier one changes nothing")
		b.deactivate(outcome.Processed, "a", Day(91))
		require.Equal(t, []string{millis(Day(91))}, b.rows(deactivated))
		b.apply(outcome.Processed, wireformat.DeactivateNode, `{"certname":"b"}`)
		require.Equal(t, []string{millis(b.now)}, b.rows("SELECT deactivated FROM node WHERE certname = 'b'"), "without a time it is now")
	})
	for name, newer := range map[string]func(b *bench, at time.Time){
		"facts":   func(b *bench, at time.Time) { b.facts(outcome.Processed, "a", at, "") },
		"catalog": func(b *bench, at time.Time) { b.catalog(outcome.Processed, "a", at, "", "") },
		"report":  func(b *bench, at time.Time) { b.report(outcome.Processed, "a", at, nil) },
	} {
		t.Run("deactivation and newer "+name, func(t *testing.T) {
			b := start(t, open, nil)
			newer(b, Day(90))
			b.deactivate(outcome.Stale, "a", Day(89))
			require.Equal(t, []string{"NULL"}, b.rows(deactivated))
			b.deactivate(outcome.Processed, "a", Day(90))
			require.Equal(t, []string{millis(Day(90))}, b.rows(deactivated), "equal is not newer")
			newer(b, Day(90).Add(time.Hour))
			require.Equal(t, []string{"NULL"}, b.rows(deactivated), "later data revives")
		})
	}
	for _, tt := range []struct {
		name    string
		at      time.Time
		revived bool
	}{{"later", Day(91), true}, {"equal", Day(90), false}, {"earlier", Day(89), false}} {
		t.Run("activation by "+tt.name+" data", func(t *testing.T) {
			b := start(t, open, nil)
			b.deactivate(outcome.Processed, "a", Day(90))
			b.facts(outcome.Processed, "a", tt.at, `"n":1`)
			require.Equal(t, tt.revived, b.rows(deactivated)[0] == "NULL")
			require.Equal(t, 1, b.count("fact"), "the data is stored anyway")
		})
	}
	t.Run("stale commands revive too", func(t *testing.T) {
		b := start(t, open, nil)
		b.facts(outcome.Processed, "a", Day(95), `"n":1`)
		b.deactivate(outcome.Processed, "a", Day(96))
		b.report(outcome.Processed, "a", Day(97), nil)
		b.deactivate(outcome.Processed, "a", Day(97))
		b.facts(outcome.Stale, "a", Day(94), `"n":2`)
		require.NotEqual(t, []string{"NULL"}, b.rows(deactivated))
	})
	t.Run("configure expiration", func(t *testing.T) {
		b := start(t, open, nil)
		const row = "SELECT expires_facts || '|' || expires_facts_updated FROM node"
		set := func(at time.Time, expire bool) {
			b.apply(outcome.Processed, wireformat.ConfigureExpiration,
				fmt.Sprintf(`{"certname":"a","producer_timestamp":%q,"expire":{"facts":%t}}`, stamp(at), expire))
		}
		set(Day(90), false)
		require.Equal(t, []string{"0|" + millis(Day(90))}, b.rows(row))
		set(Day(90), true)
		require.Equal(t, []string{"0|" + millis(Day(90))}, b.rows(row), "equal is not newer")
		set(Day(91), true)
		require.Equal(t, []string{"1|" + millis(Day(91))}, b.rows(row))
	})
}

// testBatch: one bad command of a batch leaves nothing behind and its
// neighbours, and the names that are remembered, alone.
func testBatch(t *testing.T, open Open) {
	b := start(t, open, nil)
	bad := b.change(wireformat.StoreReport, 8, `{"certname":"bad","environment":"only here","puppet_version":"8","report_format":1,
		"configuration_version":"1","start_time":"2026-04-01T00:00:00Z","end_time":"2026-04-01T00:00:00Z","producer_timestamp":"2026-04-01T00:00:00Z",
		"transaction_uuid":null,"catalog_uuid":null,"code_id":null,"cached_catalog_status":null,"producer":null,"status":null,"noop":null,
		"noop_pending":null,"corrective_change":null,"metrics":null,"logs":null,"resources":null}`)
	bad.Payload.(*wireformat.Report).Type = "neither"
	good := func(certname, environment string) outcome.Change {
		return b.change(wireformat.ReplaceFacts, 5, fmt.Sprintf(
			`{"certname":%q,"environment":%q,"producer":null,"producer_timestamp":"2026-04-01","values":{"n":1}}`, certname, environment))
	}
	results, err := b.Apply(context.Background(), []outcome.Change{good("a", "first"), bad, good("b", "only here"), good("c", "first")})
	require.NoError(t, err)
	require.Len(t, results, 4)
	for _, i := range []int{0, 2, 3} {
		require.NoError(t, results[i].Err)
		require.Equal(t, outcome.Processed, results[i].Status)
	}
	cause, fatal := outcome.IsFatal(results[1].Err)
	require.True(t, fatal)
	require.Equal(t, outcome.CauseStore, cause)
	require.Equal(t, []string{"a", "b", "c"}, b.rows("SELECT certname FROM node ORDER BY 1"))
	require.Equal(t, []string{"first", "only here", "first"},
		b.rows("SELECT e.name FROM node n JOIN environment e ON e.id = n.facts_environment_id ORDER BY n.certname"))

	ended, cancel := context.WithCancel(context.Background())
	cancel()
	_, err = b.Apply(ended, []outcome.Change{good("d", "x")})
	require.Error(t, err)
	_, fatal = outcome.IsFatal(err)
	require.False(t, fatal, "a context that ended is nobody's fault")
	require.True(t, errors.Is(err, context.Canceled))
	require.Equal(t, 3, b.count("node"))
}
