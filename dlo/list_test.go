package dlo

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"dalang/commands/queue"
	"dalang/wireformat"
)

// five letters, a second apart, the first at noon.
func fiveLetters(t *testing.T) *bench {
	b := newBench(t)
	b.discard(wireformat.ReplaceFacts, 5, "web1.example.com", badFacts, "validation", "environment must be a string")
	b.discard(wireformat.ReplaceFacts, 5, "web2.example.com", badFacts, "validation", "values must be a map")
	b.discard(wireformat.StoreReport, 8, "web1.example.com", "{", "parse", "Unexpected end of input")
	b.discard(wireformat.ReplaceCatalog, 10, "db1.example.com", "{}", "version", "Unknown catalog version '10'")
	b.discard(wireformat.ReplaceFacts, 6, "db1.example.com", badFacts, "version", "Unsupported command replace facts version 6")
	return b
}

func TestFilters(t *testing.T) {
	b := fiveLetters(t) // now: 12:00:05
	cases := []struct {
		filter Filter
		want   []int
	}{
		{Filter{}, []int{0, 1, 2, 3, 4}},
		{Filter{Command: "replace facts"}, []int{0, 1, 4}},
		{Filter{Command: "replace_facts"}, []int{0, 1, 4}},
		{Filter{Command: "replace-facts"}, []int{0, 1, 4}},
		{Filter{Command: "facts", Cause: "version"}, []int{4}},
		{Filter{Certname: "web1.example.com"}, []int{0, 2}},
		{Filter{Certname: "web1"}, nil},
		{Filter{Certname: "web?.*"}, []int{0, 1, 2}},
		{Filter{Certname: "*.EXAMPLE.com"}, nil},
		{Filter{Cause: "parse"}, []int{2}},
		{Filter{Cause: "none"}, nil},
		{Filter{Text: "UNEXPECTED"}, []int{2}},
		{Filter{Text: "must be", Certname: "web2*"}, []int{1}},
		{Filter{OlderThan: Age(3500 * time.Millisecond)}, []int{0, 1}},
		{Filter{OlderThan: Age(4 * time.Second)}, []int{0}},
		{Filter{NewerThan: Age(2 * time.Second)}, []int{3, 4}},
		{Filter{OlderThan: Age(time.Second), NewerThan: Age(3 * time.Second)}, []int{2, 3}},
	}
	all := b.list(Filter{})
	for range 2 { // also after a restart
		for _, c := range cases {
			var want []Summary
			for _, i := range c.want {
				want = append(want, all[i])
			}
			require.ElementsMatch(t, want, b.list(c.filter), "%+v", c.filter)
		}
		b.reopen()
	}
	_, err := b.office.List(context.Background(), Filter{Command: "replace fact"}, Page{})
	require.EqualError(t, err, `there is no command "replace fact"; the commands are: configure expiration, `+
		`deactivate node, replace catalog, replace catalog inputs, replace facts, store report`)
}

func TestPages(t *testing.T) {
	b := fiveLetters(t)
	ids := func(p Page) (list []uint64) {
		l, err := b.office.List(context.Background(), Filter{}, p)
		require.NoError(t, err)
		require.Equal(t, 5, l.Total)
		for _, s := range l.Letters {
			id, _, err := queue.ParseName(s.File)
			require.NoError(t, err)
			list = append(list, id)
		}
		return list
	}
	require.Equal(t, []uint64{4, 3, 2, 1, 0}, ids(Page{}))
	require.Equal(t, []uint64{4, 3}, ids(Page{Limit: 2}))
	require.Equal(t, []uint64{2, 1}, ids(Page{Limit: 2, Offset: 2}))
	require.Equal(t, []uint64{1, 2}, ids(Page{Limit: 2, Offset: 1, OldestFirst: true}))
	require.Empty(t, ids(Page{Offset: 7}))
}

func TestStats(t *testing.T) {
	b := fiveLetters(t)
	s, err := b.office.Stats(context.Background(), Filter{})
	require.NoError(t, err)
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	at := func(sec int) time.Time { return noon.Add(time.Duration(sec) * time.Second) }
	require.Equal(t, Stats{
		Count: 5, Bytes: int64(3*len(badFacts) + 3), Certnames: 3,
		Causes: []CauseStats{
			{Cause: "validation", Count: 2, Bytes: int64(2 * len(badFacts)), Oldest: stamp(at(0)), Newest: stamp(at(1)),
				Certnames: 2, Commands: []CommandCount{{"replace facts", 2}}},
			{Cause: "version", Count: 2, Bytes: int64(2 + len(badFacts)), Oldest: stamp(at(3)), Newest: stamp(at(4)),
				Certnames: 1, Commands: []CommandCount{{"replace catalog", 1}, {"replace facts", 1}}},
			{Cause: "parse", Count: 1, Bytes: 1, Oldest: stamp(at(2)), Newest: stamp(at(2)),
				Certnames: 1, Commands: []CommandCount{{"store report", 1}}},
		},
	}, s)
	s, err = b.office.Stats(context.Background(), Filter{Cause: "none"})
	require.NoError(t, err)
	require.Equal(t, Stats{Causes: []CauseStats{}}, s)
}

func TestIDs(t *testing.T) {
	b := newBench(t)
	var n byte
	b.cfg.UUID = nil
	for _, u := range []string{"aaaa1111-0000-5000-8000-000000000001", "aaaa2222-0000-5000-8000-000000000002"} {
		e := b.put(wireformat.DeactivateNode, 3, fmt.Sprint("node", n), deadNode)
		e.UUID = uuid.MustParse(u)
		require.NoError(t, b.office.Discard(context.Background(), b.letter(e, "node", "store", "no")))
		n++
	}
	get := func(id string) error {
		_, err := b.office.Get(context.Background(), id)
		return err
	}
	require.NoError(t, get("aaaa1"))
	require.NoError(t, get("aaaa2222-0000"))
	require.EqualError(t, get("aaaa"), `"aaaa" begins several letters: aaaa1111-0000-5000-8000-000000000001, aaaa2222-0000-5000-8000-000000000002`)
	for _, id := range []string{"", "aaa", "bbbb", "../../etc/passwd", uuid.NewString(), "1-2_facts_5_x.json"} {
		require.ErrorIs(t, get(id), ErrNotFound, id)
	}
}

func TestAges(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"0": 0, "90m": 90 * time.Minute, "36h": 36 * time.Hour, "7d": 7 * 24 * time.Hour, "2w": 14 * 24 * time.Hour,
		"1.5d": 36 * time.Hour, "1h30m": 90 * time.Minute,
	} {
		a, err := ParseAge(text)
		require.NoError(t, err, text)
		require.Equal(t, want, a.Duration(), text)
		back, err := ParseAge(a.String())
		require.NoError(t, err)
		require.Equal(t, a, back)
	}
	for _, text := range []string{"", "d", "7", "-1h", "-1d", "1y", "1e30w", "NaNd", "Infd", " 7d"} {
		_, err := ParseAge(text)
		require.Error(t, err, text)
	}
	require.Equal(t, []string{"0", "90s", "1h", "1h30m", "1d", "2w"}, []string{
		Age(0).String(), "90s", Age(time.Hour).String(), Age(90 * time.Minute).String(),
		Age(24 * time.Hour).String(), Age(14 * 24 * time.Hour).String()})
}

// TestManyLetters: a hundred thousand letters are listed, found and counted
// from memory.
func TestManyLetters(t *testing.T) {
	b := newBench(t)
	const n = 100_000
	begin := time.Now()
	for i := range n {
		certname := fmt.Sprintf("node%d.example.com", i%1000)
		m := queue.NewMeta(wireformat.ReplaceFacts, 5, certname, b.now.Add(time.Duration(i)*time.Millisecond), time.Time{}, true)
		l := &letter{id: uint64(i), meta: m, noted: true}
		l.note(Diagnosis{UUID: uuid.NewSHA1(uuid.Nil, []byte(m.Name())), Certname: certname, Cause: "validation",
			Message: "facts of " + certname + " are not valid", Size: 1000, DiscardedAt: stamp(b.now)})
		b.office.add(l)
	}
	built := time.Since(begin)
	begin = time.Now()
	l, err := b.office.List(context.Background(), Filter{Certname: "node7*", Text: "not VALID"}, Page{Limit: 50})
	require.NoError(t, err)
	require.Equal(t, 11_100, l.Total)
	require.Len(t, l.Letters, 50)
	_, err = b.office.Stats(context.Background(), Filter{})
	require.NoError(t, err)
	listed := time.Since(begin)
	t.Logf("index of %d letters built in %v; listed and counted in %v", n, built, listed)
	require.Less(t, listed, 2*time.Second)
}
