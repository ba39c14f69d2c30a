package query_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dalang/store/query"
	"dalang/wireformat"
)

// run is a report with the given events: a letter each, capital when corrective.
func run(certname string, day int, events string) *wireformat.Report {
	at := time.Date(2001, 1, day, 0, 0, 0, 0, time.UTC)
	r := &wireformat.Report{Certname: certname, Hash: fmt.Sprintf("%s%d", certname, day), Type: "agent", Environment: "production",
		StartTime: at, EndTime: at, ProducerTimestamp: at}
	for i, c := range events {
		corrective := c < 'a'
		r.Events = append(r.Events, wireformat.Event{
			Status:    map[rune]string{'f': "failure", 's': "success", 'n': "noop", 'k': "skipped"}[c|0x20],
			Timestamp: at, ResourceType: "File", ResourceTitle: fmt.Sprint(i), CorrectiveChange: &corrective,
		})
	}
	return r
}

// TestLatestCounts: event counts that are kept ready are those of the events.
func TestLatestCounts(t *testing.T) {
	e, st := open(t, func(c *query.Config) {})
	load(t, st, run("a", 1, "ffs"), run("b", 2, "sSnNkf"), run("a", 3, "SS"), run("a", 2, "kk"), run("c", 1, ""), run("d", 4, "f"), run("d", 5, ""))
	ask := func(text string, o query.EventOptions) []string {
		r := &rows{}
		o.SummarizeBy = []string{"certname"}
		require.NoError(t, e.Run(context.Background(), query.Request{Entity: "events", Query: parse(t, text), Events: &o, Paging: query.Paging{IncludeTotal: true}}, r))
		require.Equal(t, int64(len(r.list)), r.head.Total)
		return r.list
	}
	const latest, all = `["=","latest_report?",true]`, `[">","timestamp","1970-01-01"]`
	for _, o := range []query.EventOptions{{}, {Totals: true}, {CountsFilter: parse(t, `[">","skips",0]`)}, {Totals: true, CountsFilter: parse(t, `[">","successes",1]`)}} {
		for _, extra := range []string{`["~","certname","."]`, `["=","certname","b"]`, `["=","environment","production"]`, `["=","environment","none"]`, `["not",["=","certname","b"]]`} {
			want := ask(`["and",`+latest+`,`+all+`,`+extra+`]`, o)
			require.Equal(t, want, ask(`["and",`+latest+`,`+extra+`]`, o))
		}
	}
	require.Len(t, ask(latest, query.EventOptions{}), 2)
	sql, _, err := e.SQL(query.Request{Entity: "events", Query: parse(t, latest), Events: &query.EventOptions{SummarizeBy: []string{"certname"}}})
	require.NoError(t, err)
	require.NotContains(t, sql, "event v")
	require.Len(t, ask(`["or",`+latest+`,`+all+`]`, query.EventOptions{}), 3)
}
