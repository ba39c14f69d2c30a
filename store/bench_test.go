package store_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"dalang/commands/outcome"
	"dalang/store"
	"dalang/wireformat"
)

// realistic reads the samples of a kind as commands: without what only answers have.
func realistic(tb testing.TB, kind string) []map[string]any {
	tb.Helper()
	files, err := filepath.Glob(filepath.Join("../testdata/corpus/realistic", kind, "*.json"))
	require.NoError(tb, err)
	require.NotEmpty(tb, files)
	var samples []map[string]any
	for _, f := range files {
		text, err := os.ReadFile(f)
		require.NoError(tb, err)
		var sample map[string]any
		require.NoError(tb, json.Unmarshal(text, &sample))
		for _, key := range []string{"hash", "timestamp", "receive_time"} {
			delete(sample, key)
		}
		samples = append(samples, sample)
	}
	return samples
}

func payloadOf(tb testing.TB, cmd wireformat.Command, sample map[string]any) outcome.Change {
	tb.Helper()
	body, err := json.Marshal(sample)
	require.NoError(tb, err)
	known, _ := wireformat.Lookup(string(cmd))
	payload, err := wireformat.Decode(cmd, known.Latest, time.Now(), body)
	require.NoError(tb, err)
	return outcome.Change{Payload: payload, Received: time.Now()}
}

func apply1(tb testing.TB, s *store.Store, c outcome.Change) {
	tb.Helper()
	results, err := s.Apply(context.Background(), []outcome.Change{c})
	require.NoError(tb, err)
	require.NoError(tb, results[0].Err)
}

// at sets the sample's time, n seconds on.
func at(sample map[string]any, n int) {
	sample["producer_timestamp"] = wireformat.FormatTime(time.Date(2026, 1, 1, 0, 0, n, 0, time.UTC))
}

// benchmark applies commands that next makes; making them is not measured.
func benchmark(b *testing.B, s *store.Store, next func(n int) outcome.Change) {
	n := 0
	for b.Loop() {
		b.StopTimer()
		n++
		c := next(n)
		b.StartTimer()
		apply1(b, s, c)
	}
}

func BenchmarkApplyCatalogUnchanged(b *testing.B) {
	s, sample := open(b, nil), realistic(b, "catalogs")[0]
	benchmark(b, s, func(n int) outcome.Change { at(sample, n); return payloadOf(b, wireformat.ReplaceCatalog, sample) })
}

func BenchmarkApplyCatalogOneResourceChanged(b *testing.B) {
	s, sample := open(b, nil), realistic(b, "catalogs")[0]
	first := sample["resources"].([]any)[0].(map[string]any)
	benchmark(b, s, func(n int) outcome.Change {
		at(sample, n)
		first["parameters"] = map[string]any{"n": n}
		return payloadOf(b, wireformat.ReplaceCatalog, sample)
	})
}

func BenchmarkApplyCatalogOfANewNode(b *testing.B) {
	s, sample := open(b, nil), realistic(b, "catalogs")[0]
	benchmark(b, s, func(n int) outcome.Change {
		sample["certname"] = fmt.Sprintf("node%d", n)
		return payloadOf(b, wireformat.ReplaceCatalog, sample)
	})
}

func BenchmarkApplyFactsFiveChanged(b *testing.B) {
	s, sample := open(b, nil), realistic(b, "facts")[0]
	values := sample["values"].(map[string]any)
	benchmark(b, s, func(n int) outcome.Change {
		at(sample, n)
		values["uptime_seconds"], values["memoryfree_mb"], values["load"] = n, n*7%4096, map[string]any{"1m": float64(n) / 7, "5m": float64(n) / 9}
		return payloadOf(b, wireformat.ReplaceFacts, sample)
	})
}

func BenchmarkApplyReport(b *testing.B) {
	s, sample := open(b, nil), realistic(b, "reports")[0]
	benchmark(b, s, func(n int) outcome.Change {
		at(sample, n)
		return payloadOf(b, wireformat.StoreReport, sample)
	})
}
