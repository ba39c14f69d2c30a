package query_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dalang/commands/outcome"
	"dalang/store"
	"dalang/store/query"
	"dalang/store/query/ast"
	"dalang/store/query/pql"
	"dalang/wireformat"
)

// benchNodes is how many nodes to measure with: DALANG_BENCH_NODES, or 200.
func benchNodes(b *testing.B) int {
	b.Helper()
	text := os.Getenv("DALANG_BENCH_NODES")
	if text == "" {
		return 200
	}
	n, err := strconv.Atoi(text)
	require.NoError(b, err, "DALANG_BENCH_NODES")
	return n
}

// fleet fills a store with nodes made of the realistic samples.
func fleet(b *testing.B) *query.Engine {
	b.Helper()
	st, err := store.Open(context.Background(), store.Config{Path: filepath.Join(b.TempDir(), "store.db"), ReportTTL: 1e6 * time.Hour, ResourceEventsTTL: 1e6 * time.Hour})
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, st.Close()) })
	samples := map[wireformat.Command][][]byte{}
	for cmd, dir := range map[wireformat.Command]string{wireformat.ReplaceFacts: "facts", wireformat.ReplaceCatalog: "catalogs", wireformat.StoreReport: "reports"} {
		files, err := filepath.Glob(filepath.Join("../../testdata/corpus/realistic", dir, "*.json"))
		require.NoError(b, err)
		require.NotEmpty(b, files)
		for _, f := range files {
			body, err := os.ReadFile(f)
			require.NoError(b, err)
			samples[cmd] = append(samples[cmd], body)
		}
	}
	now := time.Now().UTC().Truncate(time.Millisecond)
	for i := range benchNodes(b) {
		var batch []outcome.Change
		for cmd, version := range map[wireformat.Command]int{wireformat.ReplaceFacts: 5, wireformat.ReplaceCatalog: 9, wireformat.StoreReport: 8} {
			body := samples[cmd][i%len(samples[cmd])]
			payload, err := wireformat.Decode(cmd, version, now, body)
			require.NoError(b, err)
			rename(payload, fmt.Sprintf("host-%05d.example.com", i), i)
			batch = append(batch, outcome.Change{Payload: payload, Received: now})
		}
		res, err := st.Apply(context.Background(), batch)
		require.NoError(b, err)
		for _, r := range res {
			require.NoError(b, r.Err)
		}
	}
	e, err := query.New(query.Config{DB: st})
	require.NoError(b, err)
	return e
}

// rename gives a sample to another node. Hashes only have to differ.
func rename(p wireformat.Payload, certname string, i int) {
	switch p := p.(type) {
	case *wireformat.Facts:
		p.Certname = certname
	case *wireformat.Catalog:
		p.Certname, p.Hash = certname, fmt.Sprintf("%040x", i)
	case *wireformat.Report:
		p.Certname, p.Hash = certname, fmt.Sprintf("%040x", i)
	}
}

// discard counts what an answer would send.
type discard struct{ rows, bytes int64 }

func (d *discard) Begin(query.Head) error { return nil }
func (d *discard) Row(json []byte) error {
	d.rows++
	d.bytes += int64(len(json)) + 1
	return nil
}

// BenchmarkQuery runs the hot queries of spec query.md §9.5.
func BenchmarkQuery(b *testing.B) {
	e := fleet(b)
	for _, c := range []struct{ name, entity, text string }{
		{"nodes", "", `nodes{}`},
		{"node", "", `nodes{certname = "host-00007.example.com"}`},
		{"node facts", "", `facts{certname = "host-00007.example.com"}`},
		{"one fact of all", "", `facts{name = "ipaddress"}`},
		{"all facts", "", `facts{}`},
		{"inventory by fact", "", `inventory[certname]{facts.kernel = "Linux"}`},
		{"inventory", "", `inventory{limit 10}`},
		{"nodes by resource", "", `nodes[certname]{resources{type = "Class" and title = "main"}}`},
		{"catalog", "", `catalogs{certname = "host-00007.example.com"}`},
		{"resources of a type", "", `resources{type = "File"}`},
		{"count resources", "", `resources[count()]{type = "Class"}`},
		{"resources by tag", "", `resources[certname,title]{type = "File" and tag = "apache"}`},
		{"resources by file", "", `resources[count()]{file ~ "init"}`},
		{"reports page", "", `reports{order by end_time desc limit 10}`},
		{"reports by status", "", `reports[status,count()]{group by status}`},
		{"events", "", `events{latest_report? = true and certname = "host-00007.example.com"}`},
		{"fact paths", "", `fact_paths{order by path limit 100}`},
		{"facts by value", "", `facts[certname]{name = "uptime_seconds" and value > 10}`},
	} {
		b.Run(c.name, func(b *testing.B) {
			tree, err := pql.Parse(c.text)
			require.NoError(b, err)
			benchmark(b, e, query.Request{Query: &tree, ActiveOnly: true})
		})
	}
	b.Run("event counts", func(b *testing.B) {
		latest := ast.List(ast.Str("="), ast.Str("latest_report?"), ast.Boolean(true))
		benchmark(b, e, query.Request{Entity: "events", Query: &latest, Events: &query.EventOptions{SummarizeBy: []string{"certname"}}})
	})
}

func benchmark(b *testing.B, e *query.Engine, req query.Request) {
	var d discard
	n := 0
	for b.Loop() {
		require.NoError(b, e.Run(context.Background(), req, &d))
		n++
	}
	b.ReportAllocs()
	b.ReportMetric(float64(d.rows)/float64(n), "rows/op")
	b.SetBytes(d.bytes / int64(n))
}
