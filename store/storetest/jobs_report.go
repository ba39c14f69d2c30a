package storetest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dalang/commands/outcome"
	"dalang/orchestrator/job"
)

// notes are the certnames and hashes of the reports that wait.
func (b *bench) notes() []string {
	b.t.Helper()
	notes, err := b.JobReports(context.Background(), 100)
	require.NoError(b.t, err)
	list := []string{}
	for _, n := range notes {
		hash := "gone"
		if n.Report != nil {
			hash = n.Report.Hash
		}
		list = append(list, fmt.Sprint(n.Node.JobID, n.Node.Certname, " ", hash))
	}
	return list
}

// told tells whether the signal was given since the last time.
func (b *bench) told() bool {
	select {
	case <-b.ReportNotes():
		return true
	default:
		return false
	}
}

func testJobReports(t *testing.T, open Open) {
	t.Run("by the job's name", func(t *testing.T) {
		b := start(t, open, nil)
		j := b.newJob("a")
		first := b.report(outcome.Processed, "a", Day(99), map[string]string{"job_id": `"1"`, "metrics": `[{"category":"resources","name":"total","value":3}]`,
			"transaction_uuid": `"11111111-1111-4111-8111-111111111111"`, "noop": "true"})
		require.True(t, b.told())
		b.report(outcome.Duplicate, "a", Day(99), map[string]string{"job_id": `"1"`, "transaction_uuid": `"11111111-1111-4111-8111-111111111111"`})
		for i, other := range []string{"null", `"2"`, `"01"`, `"+1"`, `"1 "`, `""`, `"99999999999999999999"`, `"one"`} {
			b.report(outcome.Processed, "a", Day(99).Add(time.Duration(i+1)*time.Second), map[string]string{"job_id": other})
		}
		b.report(outcome.Processed, "b", Day(99), map[string]string{"job_id": `"1"`})
		require.False(t, b.told(), "a node of that name, not only a job")
		require.Equal(t, []string{"1a " + first.Hash}, b.notes())
		notes, err := b.JobReports(t.Context(), 1)
		require.NoError(t, err)
		r := notes[0].Report
		require.Equal(t, job.Report{Hash: first.Hash, Certname: "a", JobID: "1", TransactionUUID: "11111111-1111-4111-8111-111111111111",
			Status: "changed", Noop: true, Environment: "production", ConfigurationVersion: "1", Start: Day(99), End: Day(99), Metrics: r.Metrics}, *r)
		require.Equal(t, int64(3), r.Counters()["total"])
		require.Len(t, r.Counters(), 9)
		require.Equal(t, job.New, notes[0].Node.State)

		b.changeJobs(job.Batch{Notes: []int64{notes[0].Note}, Nodes: []job.NodeMove{moveOf(j.ID, "a", job.New, job.Ready)}})
		require.Empty(t, b.notes())
	})
	t.Run("by the transaction that a run told", func(t *testing.T) { testTransactionReports(t, start(t, open, nil)) })
	t.Run("enrich", func(t *testing.T) {
		b := start(t, open, nil)
		j := b.newJob("a")
		b.walk(j.ID, "a", job.New, job.Ready, job.Running)
		late := job.Enrichment{JobID: j.ID, Certname: "a", ReportHash: "h", TransactionUUID: "u", Details: []byte(`{"metrics":{}}`), Result: []byte(`{}`)}
		b.changeJobs(job.Batch{Enrich: []job.Enrichment{late}})
		require.Empty(t, b.jobNode(j.ID, "a").ReportHash, "not while it runs")
		b.walk(j.ID, "a", job.Running, job.Errored)
		before := b.jobNode(j.ID, "a")
		b.changeJobs(job.Batch{Enrich: []job.Enrichment{late}})
		late.ReportHash = "other"
		b.changeJobs(job.Batch{Enrich: []job.Enrichment{late}})
		after := b.jobNode(j.ID, "a")
		require.Equal(t, "h", after.ReportHash, "the first one stays")
		require.Equal(t, "u", after.TransactionUUID)
		require.JSONEq(t, `{"metrics":{}}`, string(after.Details))
		require.Equal(t, before.State, after.State)
		require.Equal(t, before.LatestEvent, after.LatestEvent)
	})
	t.Run("gone meanwhile", func(t *testing.T) {
		b := start(t, open, nil)
		j := b.newJob("a b")
		b.report(outcome.Processed, "a", Day(99), map[string]string{"job_id": `"1"`})
		require.NoError(t, b.DeleteNode(t.Context(), "a"))
		require.Equal(t, []string{"1a gone"}, b.notes())
		b.report(outcome.Processed, "b", Day(99), map[string]string{"job_id": `"1"`})
		b.walk(j.ID, "a", job.New, job.Errored)
		b.walk(j.ID, "b", job.New, job.Errored)
		_, err := b.PruneJobs(t.Context(), b.now.Add(time.Hour))
		require.NoError(t, err)
		require.Equal(t, []string{"1a gone", "1b gone"}, b.notes())
	})
}

func testTransactionReports(t *testing.T, b *bench) {
	j := b.newJob("a b")
	b.walk(j.ID, "a", job.New, job.Ready, job.Running)
	done := moveOf(j.ID, "a", job.Running, job.Finished)
	done.TransactionUUID = "22222222-2222-4222-8222-222222222222"
	b.changeJobs(job.Batch{Nodes: []job.NodeMove{done}})
	require.False(t, b.told())
	b.report(outcome.Processed, "b", Day(99), map[string]string{"transaction_uuid": `"22222222-2222-4222-8222-222222222222"`})
	require.Empty(t, b.notes())
	late := b.report(outcome.Processed, "a", Day(99), map[string]string{"transaction_uuid": `"22222222-2222-4222-8222-222222222222"`})
	require.True(t, b.told())
	require.Equal(t, []string{"1a " + late.Hash}, b.notes())

	early := b.report(outcome.Processed, "b", Day(99), map[string]string{"transaction_uuid": `"33333333-3333-4333-8333-333333333333"`})
	require.False(t, b.told())
	b.walk(j.ID, "b", job.New, job.Ready, job.Running)
	done = moveOf(j.ID, "b", job.Running, job.Failed)
	done.TransactionUUID = "33333333-3333-4333-8333-333333333333"
	b.changeJobs(job.Batch{Nodes: []job.NodeMove{done}})
	require.True(t, b.told())
	require.Equal(t, []string{"1a " + late.Hash, "1b " + early.Hash}, b.notes())
}

func testComponents(t *testing.T, open Open) {
	b := start(t, open, nil)
	component := func(kind, title, parameters string) string {
		return resource(kind, title, "")[:len(resource(kind, title, ""))-len(`"parameters":{}}`)] + `"parameters":` + parameters + "}"
	}
	contains := func(kind, title, inKind, inTitle string) string {
		return fmt.Sprintf(`{"source":{"type":%q,"title":%q},"target":{"type":%q,"title":%q},"relationship":"contains"}`, inKind, inTitle, kind, title)
	}
	b.catalog(outcome.Processed, "db.example", Day(99), resource("Lamp", "one", "")+","+
		component("Lamp::Db", "one", `{"export":"Sql[one]","port":1}`)+","+component("Lamp::Inner", "x", `{"consume":"Sql[one]"}`)+","+
		component("File", "/x", `{"content":{"export":"no"}}`),
		contains("Lamp::Db", "one", "Lamp", "one")+","+contains("Lamp::Inner", "x", "Lamp::Db", "one")+","+contains("File", "/x", "Lamp", "one"))
	b.catalog(outcome.Processed, "web.example", Day(99), resource("Lamp", "one", "")+","+
		component("Lamp::Web", "one", `{"consume":["Sql[one]","Cache[one]"],"export":[]}`)+","+component("Alone", "x", `{"consume":"Sql[one]"}`),
		contains("Lamp::Web", "one", "Lamp", "one"))
	got, err := b.Components(t.Context(), "production")
	require.NoError(t, err)
	require.Equal(t, []job.Component{
		{Type: "Lamp", Title: "one", Ref: "Lamp::Db[one]", Certname: "db.example", Produces: []string{"Sql[one]"}},
		{Type: "Lamp", Title: "one", Ref: "Lamp::Web[one]", Certname: "web.example", Consumes: []string{"Sql[one]", "Cache[one]"}},
	}, got)
	require.Equal(t, "Lamp[one]", got[0].Application())
	got, err = b.Components(t.Context(), "other")
	require.NoError(t, err)
	require.Empty(t, got)
	b.deactivate(outcome.Processed, "web.example", Day(100))
	got, err = b.Components(t.Context(), "production")
	require.NoError(t, err)
	require.Len(t, got, 1)
}
