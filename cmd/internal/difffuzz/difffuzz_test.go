package difffuzz

import (
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"dalang/store/query/ast"
	"dalang/store/query/conformance"
)

const testdata = "../../../testdata"

func newLocal(t *testing.T) (*Local, []Command) {
	t.Helper()
	commands, err := Corpus(testdata)
	require.NoError(t, err)
	l, err := NewLocal(t.Context(), t.TempDir(), commands)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, l.Close()) })
	return l, commands
}

func number(t *testing.T, name string, otherwise int) int {
	s := os.Getenv(name)
	if s == "" {
		return otherwise
	}
	n, err := strconv.Atoi(s)
	require.NoError(t, err, name)
	return n
}

// TestDifferences asks Dalang and the PuppetDB at $DALANG_ORACLE the same.
// It is skipped without one. $DALANG_DIFFFUZZ_SEED, $DALANG_DIFFFUZZ_QUERIES and $DALANG_DIFFFUZZ_STOP
// say which requests, how many, and after how many differences to stop. What
// differs becomes lines of $DALANG_DIFFFUZZ_OUT.
func TestDifferences(t *testing.T) {
	base := os.Getenv("DALANG_ORACLE")
	if base == "" {
		t.Skip("DALANG_ORACLE is not set")
	}
	res, err := http.Get(base + "/pdb/meta/v1/version")
	if err != nil {
		t.Skipf("no PuppetDB to compare with: %v", err)
	}
	require.NoError(t, res.Body.Close())
	local, commands := newLocal(t)
	oracle, err := NewOracle(t.Context(), base, commands, local)
	require.NoError(t, err)
	v, err := harvest(local, oracle.pairs)
	require.NoError(t, err)
	pair := &Pair{local, oracle}
	seed, queries, stop := number(t, "DALANG_DIFFFUZZ_SEED", 1), number(t, "DALANG_DIFFFUZZ_QUERIES", 20000), number(t, "DALANG_DIFFFUZZ_STOP", 25)
	var mu sync.Mutex // guards the rest
	var found []*Difference
	var statuses [6]int
	var g errgroup.Group
	const workers = 2
	for w := range workers {
		gen := newGenerator(uint64(seed)<<8|uint64(w), v)
		g.Go(func() error {
			for range queries / workers {
				d, theirs, err := pair.Compare(gen.request())
				if err == nil && d != nil {
					d, err = pair.settle(d)
				}
				if err != nil {
					return err
				}
				mu.Lock()
				statuses[theirs.Status/100]++
				if d != nil {
					found = append(found, d)
				}
				enough := len(found) >= stop
				mu.Unlock()
				if enough {
					return nil
				}
			}
			return nil
		})
	}
	require.NoError(t, g.Wait())
	t.Logf("answers of the other server by hundreds of their status: %v", statuses)
	report(t, found)
}

// report writes what differs, each kind once.
func report(t *testing.T, found []*Difference) {
	var out []byte
	seen := map[string]bool{}
	for _, d := range found {
		w := d.Case.Request
		text, _ := d.Request.text()
		if seen[text] {
			continue
		}
		seen[text] = true
		t.Errorf("%s %s %s %v\n  %s", w.Method, w.Path, text, d.Request.Params, d.Text)
		line, err := caseLine(d.Case)
		require.NoError(t, err)
		out = append(append(out, line...), '\n')
	}
	if file := os.Getenv("DALANG_DIFFFUZZ_OUT"); file != "" && out != nil {
		require.NoError(t, os.WriteFile(file, out, 0o644))
	}
}

// TestExcuses: what is excused is no wider than the reason.
func TestExcuses(t *testing.T) {
	const (
		latest   = "a node without reports makes everything unknown that is not in a latest report"
		capitals = "the names of columns lose their capitals"
		part     = "not around a comparison within a document negates only a part of it"
	)
	for _, c := range []struct{ entity, query, want string }{
		{"events", `["=","latest_report?",true]`, ""},
		{"events", `["and",["=","latest_report?",true],["not",["=","message","false"]]]`, ""},
		{"events", `["=","latest_report?",false]`, latest},
		{"events", `["not",["or",["=","certname","a"],["=","latest_report?",true]]]`, latest},
		{"reports", `["not",["=","latest_report?",true]]`, ""},
		{"inventory", `["=","facts.os.family","Debian"]`, ""},
		{"inventory", `["~","facts.aB","x"]`, ""},
		{"inventory", `["extract",["certname"],["=","facts.aB",1]]`, ""},
		{"inventory", `["extract",["facts.aB"]]`, capitals},
		{"inventory", `["not",["~","facts.ab","x"]]`, part},
		{"inventory", `["not",["=","facts.ab","x"]]`, ""},
		{"inventory", `["not",["and",["~","facts.ab","x"]]]`, ""},
	} {
		q, err := ast.Read(c.query)
		require.NoError(t, err)
		ok := conformance.Answer{Status: http.StatusOK}
		require.Equal(t, c.want, excused(&Request{Path: "/" + c.entity, Entity: c.entity, Query: &q}, ok, ok), c.query)
	}
}

// TestFoundDifferences replays every difference that was ever found.
func TestFoundDifferences(t *testing.T) {
	local, _ := newLocal(t)
	files, err := filepath.Glob(filepath.Join(testdata, "difffuzz", "*.jsonl"))
	require.NoError(t, err)
	var cases []conformance.Case
	for _, file := range files {
		list, err := conformance.Lines[conformance.Case](file)
		require.NoError(t, err)
		cases = append(cases, list...)
	}
	require.NotEmpty(t, cases)
	for _, c := range cases {
		got, err := local.Ask(c.Request)
		require.NoError(t, err, c.ID)
		if d := differs(&c, got); d != "" {
			t.Errorf("%s %s %s: %s", c.ID, c.Path, c.Params, d)
		}
	}
}
